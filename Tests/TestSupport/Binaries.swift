internal import Glibc

/// The built commands: those in AGT_BIN, else of the release build, else of the debug build. They are
/// copied once to a place that every user can read, and removed when the tests end.
public enum Binaries {
  public static let directory: String = copied
  public static var agtRun: String { directory + "/agt-run" }
  public static var agt: String { source + "/agt" }
  public static var stage: String { directory + "/agt-stage" }
  public static var probe: String { directory + "/agt-probe" }

  /// Tools that the tests bring along are built beside the tests themselves.
  public static let tests: String = {
    let own = File.linkTarget("/proc/self/exe")!
    return File.parent(own)
  }()

  /// Where they were built.
  public static let source: String = {
    if let named = environment("AGT_BIN") { return named }
    let package = File.parent(File.parent(File.parent(#filePath)))
    for build in ["release", "debug"] where File.exists("\(package)/.build/\(build)/agt-run") {
      return "\(package)/.build/\(build)"
    }
    fatalError("no agt-run in .build: swift build -c release")
  }()

  /// A variable of the test process.
  public static func environment(_ name: String) -> String? {
    // SAFETY: the string is copied at once; nothing in the tests changes the environment.
    unsafe getenv(name).map { unsafe String(cString: $0) }
  }

  private static let copied: String = {
    let place = Scratch.makeDirectory()
    for name in ["agt-run", "agt-stage", "agt-probe"] {
      let copy = Command(["/bin/cp", "\(source)/\(name)", "\(place)/\(name)"]).run()
      precondition(copy.status == 0, copy.err)
    }
    unsafe placeToRemove = place
    atexit { _ = unsafe Command(["/bin/rm", "-rf", placeToRemove]).run() }
    return place
  }()

  // Written once before atexit(3) reads it.
  nonisolated(unsafe) private static var placeToRemove = ""
}

/// Who starts agt-run in a test.
public enum Starter: String, Sendable, CaseIterable {
  case root, ordinary

  /// An id that nobody on the machine has.
  public static let ordinaryID: UInt32 = 61234
  public static let isRoot = geteuid() == 0
  /// An ordinary user tests as itself alone.
  public static var all: [Starter] { isRoot ? [.root, .ordinary] : [.ordinary] }
  /// The more powerful of those that are possible.
  public static var native: Starter { isRoot ? .root : .ordinary }

  /// The words before a command that make this user its starter.
  public var prefix: [String] {
    guard self == .ordinary, Starter.isRoot else { return [] }
    let id = Starter.ordinaryID
    return [
      "/usr/bin/setpriv", "--reuid=\(id)", "--regid=\(id)", "--clear-groups", "--bounding-set=-all",
      "--inh-caps=-all", "--",
    ]
  }
}

extension Command {
  /// agt-run with these words, in a directory of the starter's.
  public static func agtRun(
    _ words: [String], as starter: Starter = .native, in directory: Scratch
  ) -> Command {
    directory.give(to: starter)
    var command = Command(starter.prefix + [Binaries.agtRun] + words, in: directory.path)
    command.scratch = directory
    command.environment[1] = "HOME=\(directory.home)"
    return command
  }
}
