internal import Glibc
internal import Supervisor

/// One call and nothing else: what is written here belongs to the main actor, whose library would be linked and
/// started with it.
@main
struct AgtRun {
  static func main() { exit(Launch.main()) }
}
