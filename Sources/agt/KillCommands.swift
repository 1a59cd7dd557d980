internal import ArgumentParser
internal import JSON
internal import Supervisor
internal import YAML

/// Which runs a command is about.
struct RunSelection: ParsableArguments {
  @Argument(help: ArgumentHelp("Runs: ids, beginnings of ids, or names.", valueName: "run"))
  var references: [String] = []

  @Option(help: ArgumentHelp("Every run of this agent.", valueName: "name"))
  var agent: String?

  @Option(help: ArgumentHelp("Every run in this ring.", valueName: "0-3"))
  var ring: UInt8?

  @Flag(help: "Every run of this user.")
  var all = false

  func validate() throws {
    let ways = [!references.isEmpty, agent != nil, ring != nil, all].filter { $0 }.count
    guard ways == 1 else {
      throw ValidationError("Name runs, or give one of --agent, --ring and --all.")
    }
  }

  var selection: RunControl.Selection {
    if let agent { return .agent(agent) }
    if let ring { return .ring(ring) }
    return all ? .all : .named(references)
  }

  func find() throws -> [RegisteredRun] {
    do throws(RunError) { return try Runs.control.select(selection) } catch {
      throw Printing.fail(error)
    }
  }
}

/// A reason in a person's words, where a command takes one.
enum Reason {
  static func check(_ text: String?) throws {
    if let problem = text.flatMap({ Label.problem(ofReason: $0) }) {
      throw Printing.fail(RunError(.usage, "--reason: \(problem)"))
    }
  }
}

struct KillCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "kill",
    abstract: "Ends runs with everything in them, and confirms that nothing is left.",
    discussion: """
      Works whatever the processes do, and whether or not the supervisor answers. The record of each kill \
      is kept: agt inspect shows it.

      Exit status: 0 when nothing is left of any of them, 1 when a process cannot be ended \
      (uninterruptible sleep), 127 when there is no such run.
      """)

  @OptionGroup var runs: RunSelection

  @Option(help: ArgumentHelp("Why, for the record.", valueName: "text"))
  var reason: String?

  @Flag(help: "With --agent or --all: first hold further launches, as agt hold does.")
  var hold = false

  @Flag(help: "Print JSON.")
  var json = false

  func validate() throws {
    if hold, runs.agent == nil, !runs.all {
      throw ValidationError("--hold goes with --agent or --all.")
    }
  }

  func run() throws {
    try Reason.check(reason)
    if hold {
      do throws(RunError) {
        _ = try Runs.holds.set(agent: runs.agent, reason: reason ?? "killed by agt kill --hold")
      } catch { throw Printing.fail(error) }
    }
    let findings = Runs.control.kill(try runs.find(), message: reason)
    if json {
      Printing.json(.array(findings.map(\.json)))
    } else {
      if findings.isEmpty { print("no runs") }
      for finding in findings {
        print("\(finding.run)\(finding.name.map { " (\($0))" } ?? ""): \(finding.sentence)")
      }
    }
    if findings.contains(where: { !$0.terminated }) { throw ExitCode(1) }
  }
}

struct PauseCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "pause", abstract: "Stops every process of runs, until agt resume.",
    discussion: """
      Their wall clock goes on. Exit status: 0 when every process is stopped, 1 when one is not, or a run \
      cannot be paused.
      """)

  @OptionGroup var runs: RunSelection

  @Option(
    name: .customLong("for"),
    help: ArgumentHelp(
      "Kill them (quarantine_timeout) when nobody has resumed them after this long.",
      valueName: "time"))
  var duration: String?

  func run() throws {
    var milliseconds: UInt64?
    if let duration {
      do throws(QuantityError) { milliseconds = try Quantity.milliseconds(duration) } catch {
        throw Printing.fail(
          RunError(.usage, "--for \(duration): \(error.description)", hint: "--for 10m"))
      }
    }
    try Runs.each(try runs.find()) { run throws(RunError) in
      let (stopped, moving) = try Runs.control.pause(run, forMilliseconds: milliseconds)
      guard moving == 0 else {
        throw RunError(
          .internalFailure, "run \(run.id): \(moving) of \(stopped + moving) processes do not stop")
      }
      return "paused, \(stopped) process\(stopped == 1 ? "" : "es") stopped"
    }
  }
}

struct ResumeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "resume", abstract: "Lets paused runs go on.",
    discussion:
      "Exit status: 0 when all of them go on, 1 when one was not paused or does not answer.")

  @OptionGroup var runs: RunSelection

  func run() throws {
    try Runs.each(try runs.find()) { run throws(RunError) in
      try Runs.control.resume(run)
      return "goes on"
    }
  }
}

extension Runs {
  static var control: RunControl { RunControl(environment: Vectors.environment) }
  static var holds: Holds { Holds(environment: Vectors.environment) }

  /// Does the same with each, says what came of it, and ends with 1 when one failed.
  static func each(
    _ runs: [RegisteredRun], _ body: (RegisteredRun) throws(RunError) -> String
  ) throws {
    if runs.isEmpty { print("no runs") }
    var failed = false
    for run in runs {
      do throws(RunError) { print("\(run.id): \(try body(run))") } catch {
        failed = true
        _ = Printing.fail(error)
      }
    }
    if failed { throw ExitCode(1) }
  }
}

struct HoldCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "hold",
    abstract: "Refuses further launches, of one agent or all, until agt release.",
    discussion: """
      Survives a reboot. What runs already goes on: agt kill --hold ends it as well. A launch that is \
      refused ends with 126.
      """)

  @Option(help: ArgumentHelp("Only launches with --agent NAME.", valueName: "name"))
  var agent: String?

  @Option(help: ArgumentHelp("Why; whoever is refused is told.", valueName: "text"))
  var reason: String?

  @Flag(help: "Print what is on hold, and set nothing.")
  var list = false

  @Flag(help: "With --list: print JSON.")
  var json = false

  func validate() throws {
    if list == (reason != nil) { throw ValidationError("Give --reason, or --list.") }
    if list, agent != nil { throw ValidationError("--list lists all of them.") }
    if json, !list { throw ValidationError("--json goes with --list.") }
  }

  func run() throws {
    try Reason.check(reason)
    if let problem = agent.flatMap({ Label.problem($0) }) {
      throw Printing.fail(RunError(.usage, "--agent: \(problem)"))
    }
    do throws(RunError) {
      if let reason {
        let hold = try Runs.holds.set(agent: agent, reason: reason)
        print("\(hold.agent.map { "agent \($0)" } ?? "every launch") is on hold")
        // It holds whether or not that can be written.
        try OperatorAudit.record(
          .held, ["agent": JSONValue(agent), "reason": .string(reason)])
      } else {
        show(try Runs.holds.list())
      }
    } catch { throw Printing.fail(error) }
  }

  private func show(_ holds: [Holds.Hold]) {
    if json { return Printing.json(.array(holds.map(\.json))) }
    if holds.isEmpty { print("nothing is on hold") }
    for hold in holds {
      print(
        "\(hold.agent ?? "every launch")  since \(hold.since)  by uid \(hold.uid)  \(hold.reason)")
    }
  }
}

struct ReleaseCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "release", abstract: "Ends a hold.",
    discussion: "Exit status: 0 when there was one, 1 when there was none.")

  @Option(
    help: ArgumentHelp("The hold of this agent, not the one of every launch.", valueName: "name"))
  var agent: String?

  func run() throws {
    if let problem = agent.flatMap({ Label.problem($0) }) {
      throw Printing.fail(RunError(.usage, "--agent: \(problem)"))
    }
    let found: Bool
    do throws(RunError) {
      if try Runs.holds.list().contains(where: { $0.agent == agent }) {
        try OperatorAudit.record(.releasing, ["agent": JSONValue(agent)])
      }
      found = try Runs.holds.release(agent: agent)
    } catch {
      throw Printing.fail(error)
    }
    let what = agent.map { "agent \($0)" } ?? "every launch"
    print(found ? "\(what) is released" : "\(what) was not on hold")
    if !found { throw ExitCode(1) }
  }
}
