@main
struct AgtBench {
  static func main() {}
}
