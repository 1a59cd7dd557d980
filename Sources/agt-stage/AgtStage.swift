internal import StageCore

@main
struct AgtStage {
  static func main() { Stage.run() }
}
