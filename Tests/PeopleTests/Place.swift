import TestSupport
import Testing

/// A ring and who starts it.
struct Place: Sendable, CustomTestStringConvertible {
  let ring: Int
  let starter: Starter

  static let all = ring2 + ring3
  static let ring2 = Starter.all.map { Place(ring: 2, starter: $0) }
  static let ring3 = Starter.all.map { Place(ring: 3, starter: $0) }

  var testDescription: String { "ring \(ring), \(starter)" }

  /// agt-run with this ring and a program.
  func command(
    _ words: [String], options: [String] = [], in scratch: Scratch = Scratch()
  ) -> Command {
    .agtRun(["--ring", "\(ring)", "--quiet"] + options + ["--"] + words, as: starter, in: scratch)
  }

  func run(
    _ words: String..., options: [String] = [], in scratch: Scratch = Scratch()
  ) -> Completed {
    command(words, options: options, in: scratch).run()
  }

  func python(_ script: String, in scratch: Scratch = Scratch()) -> Completed {
    run("/usr/bin/python3", "-c", script, in: scratch)
  }

  func shell(_ script: String, in scratch: Scratch = Scratch()) -> Completed {
    run("sh", "-c", script, in: scratch)
  }

  /// A person at a terminal.
  func terminal(_ words: String..., in scratch: Scratch = Scratch()) -> PseudoTerminal {
    var command = command(words, in: scratch)
    command.environment.append("TERM=xterm")
    return PseudoTerminal(command)
  }
}

/// What is installed here.
enum Installed {
  static func find(_ program: String) -> String? {
    ["/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin"].map { $0 + "/" + program }
      .first(where: File.isExecutable)
  }
}

extension Trait where Self == ConditionTrait {
  /// Skips, and says what is missing. Scripts/bootstrap --tests installs what every machine can have.
  static func needs(_ programs: String...) -> Self {
    .enabled("needs \(programs.joined(separator: ", "))") {
      programs.allSatisfy { Installed.find($0) != nil }
    }
  }
}

extension Completed {
  /// Ends with 0 and writes exactly this.
  func prints(_ text: String) -> Bool { status == 0 && out == text }
}
