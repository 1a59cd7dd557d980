import Rings
import TestSupport
import Testing

/// An installation of its own whose agt-stage is the fault injector, and a program that says so when it
/// is executed.
final class FaultSite {
  struct Call: Sendable {
    /// In the order of creation: the launcher, the holders of its user namespaces, PID 1, the program.
    let process: Int
    let ordinal: Int
    let number: UInt32
    var name: String { SyscallTable.name(number) ?? "\(number)" }
  }

  /// Of a start that nothing disturbs, up to the program's execve.
  private(set) var calls: [Call] = []
  let ring: String
  private let starter: Starter
  private let hasTerminal: Bool
  let options: [String]
  private let place = Scratch()
  private let work = Scratch()
  private var runs = 0
  private var installed: String { place.path }

  /// How many processes there are: the last is the program, the one before it PID 1.
  var processCount: Int { (calls.map(\.process).max() ?? 0) + 1 }

  init(ring: String, as starter: Starter, terminal: Bool = false, options: [String] = []) {
    self.ring = ring
    self.starter = starter
    hasTerminal = terminal
    self.options = options
    for (source, name) in [
      (Binaries.agtRun, "agt-run"), (Binaries.stage, "real-stage"),
      (Binaries.tests + "/fault-injector", "agt-stage"),
    ] {
      let copy = Command(["/bin/cp", source, "\(installed)/\(name)"]).run()
      precondition(copy.status == 0, copy.err)
    }
    // Made the starter's: the injector writes its log there.
    _ = Command.agtRun([], as: starter, in: place)
  }

  /// Records the calls; what a start that nothing disturbs prints.
  func record() -> (status: Int32, text: String) {
    let result = run(process: -1, ordinal: 0, errno: 0)
    // Its tracer may end a little later than the run.
    _ = Clock.eventually { log.hasSuffix("end\n") }
    calls = log.split(separator: "\n").compactMap { line in
      let numbers = line.split(separator: " ").compactMap { Int($0) }
      guard numbers.count == 3 else { return nil }
      return Call(process: numbers[0], ordinal: numbers[1], number: UInt32(numbers[2]))
    }
    return result
  }

  /// The number of the call that failed in the last run; nil when the run never came so far.
  var injected: UInt32? {
    log.split(separator: "\n").first { $0.hasPrefix("injected ") }.flatMap {
      UInt32($0.dropFirst(9))
    }
  }

  private var log: String { place.read("log\(runs)") ?? "" }

  /// Stops the process for good instead of letting the call fail.
  static let hold: Int32 = -64

  /// A start of the program while one call fails.
  /// - Parameters:
  ///   - errno: what it fails with, less than 0 for a signal to the supervisor instead, or `hold`.
  ///   - name: of the run.
  func command(
    process: Int, ordinal: Int, errno: Int32, program: [String] = ["/bin/echo", "RAN"],
    name: String? = nil
  ) -> Command {
    runs += 1
    place.write(
      "fault", "\(installed)/real-stage \(installed)/log\(runs) \(process) \(ordinal) \(errno)\n")
    var command = Command.agtRun(
      ["--quiet", "--ring", ring] + options
        + (name.map { ["--name", $0] } ?? []) + ["--"] + program,
      as: starter, in: work)
    command.words = command.words.map {
      $0 == Array(Binaries.agtRun.utf8) ? Array("\(installed)/agt-run".utf8) : $0
    }
    command.timeoutSeconds = 10
    return command
  }

  /// A command of the operator's, by the starter.
  func agt(_ words: String...) -> Completed {
    var command = Command.agtRun([], as: starter, in: work)
    command.words = (starter.prefix + [Binaries.agt] + words).map { Array($0.utf8) }
    return command.run()
  }

  /// Starts the program while one call fails.
  /// - Returns: -1 for the status when the run had to be ended after 10 s.
  func run(process: Int, ordinal: Int, errno: Int32) -> (status: Int32, text: String) {
    let command = command(process: process, ordinal: ordinal, errno: errno)
    guard hasTerminal else {
      let run = command.run()
      return (run.timedOut ? -1 : run.status, run.out + run.err)
    }
    let terminal = PseudoTerminal(command)
    let settings = terminal.settingsAtFirst
    let status = terminal.waitForEnd() ?? -1
    #expect(terminal.settings == settings, "the settings of the terminal after \(status)")
    return (status, terminal.screen.replacing("\r\n", with: "\n"))
  }

  /// Processes of this installation that are still there.
  var leftBehind: [String] {
    var left: [String] = []
    _ = Clock.eventually(1) {
      left = (File.names("/proc") ?? []).filter { Int32($0) != nil }.compactMap { pid in
        guard let file = File.linkTarget("/proc/\(pid)/exe"), file.hasPrefix(installed) else {
          return nil
        }
        return "\(pid) \(file)"
      }
      return left.isEmpty
    }
    return left
  }
}
