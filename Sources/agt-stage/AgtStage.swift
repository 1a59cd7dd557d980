@main
struct AgtStage {
  static func main() {}
}
