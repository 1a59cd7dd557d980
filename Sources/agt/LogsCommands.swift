internal import ArgumentParser
internal import Glibc
internal import Kernel
internal import Supervisor

struct LogsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "logs", abstract: "Prints what a detached run has written.",
    discussion: """
      The newest half to whole megabyte is kept, also for a day after the run has ended. On a terminal, colours are \
      left out and control characters shown as ? unless --raw is given: what an agent writes may be made to fool the \
      terminal or its reader.
      """)

  @Argument(help: Runs.reference)
  var reference: String

  @Flag(name: [.customShort("f"), .long], help: "Go on with what comes, until the run has ended.")
  var follow = false

  @Flag(help: "Print every byte as it is, also on a terminal.")
  var raw = false

  func run() throws {
    let found = try Runs.find(reference)
    let isShown = isatty(1) == 1 && !raw
    signal(SIGPIPE, SIG_IGN)
    var visible = VisibleText()
    func write(_ bytes: [UInt8]) -> Bool {
      (try? Descriptors.write(1, isShown ? visible.filter(bytes) : bytes)) != nil
    }
    defer { if isShown { try? Descriptors.write(1, visible.end()) } }
    do throws(RunError) {
      if follow {
        switch try RunFollower.follow(found, write: write) {
        case .ended, .detached: break
        case .leftBehind:
          throw RunError(
            .internalFailure, "run \(found.id): it wrote faster than this was read",
            hint: "agt logs -f \(found.id) again")
        case .lost: throw RunsLost.error(found)
        }
      } else {
        _ = write(try RunFollower.log(of: found))
      }
    } catch { throw Printing.fail(error) }
  }
}

struct AttachCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "attach", abstract: "Makes this terminal that of a detached run.",
    discussion: """
      For runs of agt-run --detach --tty. Ctrl-] d leaves the run, which goes on; Ctrl-] Ctrl-] types one Ctrl-]. Several \
      may be attached; the size is that of who attached or resized last.

      Exit status: that of the run when it ended, 0 when it was left, 125 when its supervisor was killed.
      """)

  @Argument(help: Runs.reference)
  var reference: String

  func run() throws {
    let found = try Runs.find(reference)
    let end: RunFollower.End
    do throws(RunError) { end = try RunFollower.attach(found) } catch { throw Printing.fail(error) }
    switch end {
    case .detached: print("\r\n[left \(found.id); agt attach \(reference) comes back]")
    case .ended(let status, let message):
      // The reason may have words of the run in it.
      print("\r\n[ended with status \(status)\(message.map { ": \(VisibleText.all($0))" } ?? "")]")
      if status != 0 { throw ExitCode(Int32(status)) }
    case .leftBehind:
      print("\r\n[left behind: it wrote faster than this was read; agt attach \(reference)]")
      throw ExitCode(1)
    case .lost: throw Printing.fail(RunsLost.error(found))
    }
  }
}

enum RunsLost {
  static func error(_ run: RegisteredRun) -> RunError {
    RunError(
      .internalFailure, "run \(run.id): its supervisor was killed",
      hint: "agt gc confirms that nothing is left")
  }
}
