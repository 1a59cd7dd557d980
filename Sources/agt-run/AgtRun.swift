internal import Glibc
internal import Supervisor

@main
struct AgtRun {
  static func main() {
    exit(
      Int32(
        Launch.main(
          arguments: Vectors.arguments.dropFirst().map { $0 }, environment: Vectors.environment)))
  }
}
