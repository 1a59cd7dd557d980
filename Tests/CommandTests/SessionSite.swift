import Glibc
import JSON
import TestSupport

/// The runs of one starter, apart from those of other tests where that is possible: root has one place.
struct SessionSite {
  let starter: Starter
  let scratch = Scratch()
  /// Tells the runs of this test from others.
  let mark = "t\(UInt32.random(in: 0...999_999_999))"

  init(_ starter: Starter) {
    self.starter = starter
    _ = Command(["/bin/mkdir", runtime]).run()
    _ = Command(["/bin/chmod", "700", runtime]).run()
    if Starter.isRoot, starter == .ordinary {
      _ = Command(["/bin/chown", "\(Starter.ordinaryID):\(Starter.ordinaryID)", runtime]).run()
    }
  }

  var runtime: String { scratch.home + "/run" }
  var registry: String { starter == .root ? "/run/agt" : runtime + "/agt" }

  func start(_ script: String, _ options: [String] = [], ring: String = "2") -> RunningCommand {
    Command.agtRun(
      ["--ring", ring] + options + ["--", "sh", "-c", script], as: starter, in: scratch
    ).with {
      $0.environment.append("XDG_RUNTIME_DIR=\(runtime)")
      $0.input = .silent
    }.start()
  }

  func agt(_ words: String...) -> Completed { agtCommand(words).run() }

  func agtCommand(_ words: [String]) -> Command {
    Command(starter.prefix + [Binaries.agt] + words, in: scratch.path).with {
      $0.environment.append("XDG_RUNTIME_DIR=\(runtime)")
    }
  }

  /// agt-run --detach; its output is the run's id.
  func detach(_ script: String, _ options: [String] = [], ring: String = "2") -> Completed {
    Command.agtRun(
      ["--detach", "--ring", ring] + options + ["--", "sh", "-c", script], as: starter, in: scratch
    ).with { $0.environment.append("XDG_RUNTIME_DIR=\(runtime)") }.run()
  }

  func line(_ name: String) -> JSONValue? {
    let listing = agt("ps", "--json")
    let lines = (try? JSONParser.parse(listing.output))?.arrayValue
    return lines?.first { $0["name"]?.stringValue == name }
  }
}
