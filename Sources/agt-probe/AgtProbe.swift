@main
struct AgtProbe {
  static func main() {}
}
