@main
struct Agt {
  static func main() {}
}
