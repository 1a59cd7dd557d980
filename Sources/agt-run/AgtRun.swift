@main
struct AgtRun {
  static func main() {}
}
