internal import Glibc
internal import Supervisor

@main
struct AgtRun {
  static func main() {
    let words = Vectors.arguments
    if words.first.map({ $0.elementsEqual(ReadOnlyFile.commandName.utf8) }) == true {
      exit(Int32(ReadOnlyFile.main(words)))
    }
    exit(
      Int32(
        Launch.main(
          arguments: words.dropFirst().map { $0 }, environment: Vectors.environment)))
  }
}
