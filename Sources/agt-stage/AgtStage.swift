import Kernel
@main struct AgtStage { static func main() { print(test()) } }
