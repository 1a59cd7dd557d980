import Glibc
import TestSupport

/// A workspace, a home directory and the commands of one starter, root or an ordinary user.
struct Site {
  let scratch = Scratch()
  let starter: Starter
  /// Of the ordinary user; root's are the machine's.
  private var environment: [String] {
    ["PATH=/usr/bin:/bin", "HOME=\(scratch.home)", "PYTHONHASHSEED=0"]
  }

  init(_ starter: Starter) { self.starter = starter }

  func run(_ words: [String]) -> Completed {
    var command = Command(words, in: "/")
    command.environment = environment
    command.timeoutSeconds = 120
    return command.run()
  }

  /// As the starter, on the host.
  func native(_ words: [String]) -> Completed { run(starter.prefix + words) }

  func agtRun(_ options: [String], _ program: [String]) -> Completed {
    own()
    return native(
      [Binaries.agtRun, "--ring", "2", "--workspace", scratch.path] + options + ["--"] + program)
  }

  var result: String { scratch.home + "/result" }

  /// Everything is the starter's.
  func own() {
    _ = run(["/bin/chown", "-R", "\(owner):\(owner)", scratch.path, scratch.home])
  }

  func agt(_ words: [String]) -> Completed { native([Self.agtPath, "txn"] + words) }

  var owner: UInt32 { starter == .root ? 0 : Starter.ordinaryID }

  /// The identifier in a message of agt-run.
  func identifier(_ run: Completed) -> String {
    let words = run.err.split { $0 == " " || $0 == "\n" }
    guard let index = words.firstIndex(of: "transaction"), index + 1 < words.count else {
      return "none"
    }
    return String(words[index + 1])
  }

  /// Where every user can execute it.
  static let agtPath: String = {
    let copy = Binaries.directory + "/agt"
    _ = Command(["/bin/cp", Binaries.agt, copy]).run()
    return copy
  }()

  static let script: String = {
    let copy = Binaries.directory + "/trees.py"
    let own = String(#filePath[..<#filePath.lastIndex(of: "/")!]) + "/trees.py"
    _ = Command(["/bin/cp", own, copy]).run()
    return copy
  }()

  func picture(_ path: String) -> String {
    native(["/usr/bin/python3", Self.script, "picture", path]).out
  }
}
