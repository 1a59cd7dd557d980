internal import ArgumentParser
internal import Glibc
internal import JSON
internal import Kernel
internal import Saga
internal import SagaRunner
internal import Supervisor
internal import YAML

/// `agt saga`: plans that undo what they have done when they fail.
struct SagaCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "saga",
    abstract: "Runs plans of steps, and undoes what a failed plan has done.",
    discussion: "Plans, guarantees and limits are described in docs/sagas.md.",
    subcommands: [
      Lint.self, Run.self, Resume.self, List.self, Show.self, Graph.self, Cancel.self,
      Resolve.self, Approve.self, Deny.self, Collect.self,
    ])

  static let statuses = """
    Exit status: 0 completed, 1 compensated, 2 an error in the plan or a value, 3 needs an operator, \
    4 halted, 5 cancelled, 64 words that make no command, 75 left to be resumed, 125 failed.
    """

  static func store() throws -> SagaStore {
    try attempt { () throws(RunError) in
      try SagaStore.standard(environment: Vectors.environment)
    }
  }

  static func find(_ id: String) throws -> SagaDirectory {
    let store = try store()
    return try attempt { () throws(RunError) in try store.find(id) }
  }

  static func attempt<R>(_ body: () throws(RunError) -> R) throws -> R {
    do throws(RunError) { return try body() } catch { throw Printing.fail(error) }
  }

  static func finish(_ runner: SagaRunner, _ event: SagaEvent? = nil) throws {
    let ending = try attempt { () throws(RunError) in try runner.run(event) }
    if ending == .left {
      _ = Printing.fail(
        RunError(
          .internalFailure, "saga \(runner.directory.id) was left as it is",
          hint: "agt saga resume \(runner.directory.id)"))
    }
    if ending.status != 0 { throw ExitCode(ending.status) }
  }

  /// A plan file with its findings; ends with 2 when it cannot be read.
  static func read(_ file: String) throws -> (bytes: [UInt8], plan: SagaPlan) {
    let bytes = try Printing.attempt { () throws(RunError) in try OperatorFiles.read(file) }
    do {
      return (bytes, try SagaPlanReader.read(bytes, file: file))
    } catch {
      throw Printing.fail(RunError(.usage, error.description))
    }
  }

  /// How a runner tells how it goes.
  struct Telling: ParsableArguments {
    @Flag(help: "Print one JSON object a line.")
    var json = false

    @Flag(name: .shortAndLong, help: "Print nothing of a saga that completes.")
    var quiet = false

    var progress: any SagaProgress { json ? SagaEvents() : SagaLines(quiet: quiet) }
  }

  struct Lint: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Checks plans.",
      discussion: "Exit status: 0 clean, 1 findings, 2 a file cannot be read.")

    @Argument(help: "Plan files.")
    var files: [String]

    @Flag(help: "Print JSON.")
    var json = false

    func run() throws {
      var all: [(String, SagaLint.Finding)] = []
      for file in files {
        all += SagaPlanFile.check(try SagaCommand.read(file).plan).findings.map { (file, $0) }
      }
      if json {
        Printing.json(
          .array(
            all.map { file, finding in
              .object([
                "file": .string(file), "line": JSONValue(finding.place.line),
                "column": JSONValue(finding.place.column),
                "level": finding.isError ? "error" : "warning", "rule": .string(finding.rule),
                "message": .string(finding.message),
              ])
            }))
      } else {
        for (file, finding) in all { print(finding.description(file: file)) }
        if all.isEmpty { print(files.count == 1 ? "the plan is sound" : "the plans are sound") }
      }
      if !all.isEmpty { throw ExitCode(1) }
    }
  }

  struct Run: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Runs a plan.", discussion: SagaCommand.statuses)

    @Argument(help: "The plan file.")
    var file: String

    @Option(
      name: .customLong("param"),
      help: ArgumentHelp("A parameter of the plan; may be repeated.", valueName: "name=value"))
    var parameters: [String] = []

    @Option(
      help: ArgumentHelp("The directory that steps work in; by default this one.", valueName: "dir")
    )
    var workspace = "."

    @OptionGroup var telling: Telling

    func run() throws {
      let (bytes, plan) = try SagaCommand.read(file)
      let (findings, graph) = SagaPlanFile.check(plan)
      for finding in findings where finding.isError || !telling.quiet {
        try? Descriptors.write(2, Array((finding.description(file: file) + "\n").utf8))
      }
      guard let graph else { throw ExitCode(2) }
      var given: [String: String] = [:]
      for text in parameters {
        guard let equals = text.firstIndex(of: "="), equals != text.startIndex else {
          throw Printing.fail(
            RunError(
              .usage, "--param \(text): a name and a value are needed", hint: "--param env=prod"))
        }
        let name = String(text[..<equals])
        if given.updateValue(String(text[text.index(after: equals)...]), forKey: name) != nil {
          throw Printing.fail(RunError(.usage, "--param \(name) is given twice"))
        }
      }
      let values: [String: String]
      do throws(SagaProblem) { values = try plan.resolveParameters(given) } catch {
        throw Printing.fail(RunError(.usage, error.description))
      }
      let directory: String
      do throws(SyscallError) { directory = try Files.canonical(ByteString(workspace)).text } catch
      {
        throw Printing.fail(RunError(.usage, "--workspace \(workspace): \(error.description)"))
      }
      let store = try SagaCommand.store()
      let runner = try SagaCommand.attempt { () throws(RunError) in
        try SagaRunner.begin(
          plan: bytes, file: file, graph: graph, parameters: values, workspace: directory,
          store: store, progress: telling.progress)
      }
      try SagaCommand.finish(runner)
    }
  }

  struct Resume: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Goes on with a saga whose runner ended.", discussion: SagaCommand.statuses)

    @Argument(help: "The saga, or the beginning of its identifier.")
    var id: String

    @Option(
      help: ArgumentHelp(
        "End what runs after this long, and leave the rest as it is (75).", valueName: "time"))
    var within: String?

    @OptionGroup var telling: Telling

    func run() throws {
      var milliseconds: UInt64?
      if let within {
        do throws(QuantityError) { milliseconds = try Quantity.milliseconds(within) } catch {
          throw Printing.fail(
            RunError(.usage, "--within \(within): \(error.description)", hint: "--within 10m"))
        }
      }
      let directory = try SagaCommand.find(id)
      let runner = try SagaCommand.attempt { () throws(RunError) in
        try SagaRunner(directory, progress: telling.progress, withinMilliseconds: milliseconds)
      }
      try SagaCommand.finish(runner)
    }
  }

  struct Cancel: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Undoes what a saga has done, unless its pivot has happened.",
      discussion: """
        When a runner is at work, it is told, and goes on to undo; else this does it. \
        \(SagaCommand.statuses)
        """)

    @Argument(help: "The saga, or the beginning of its identifier.")
    var id: String

    @Option(help: "Why; kept in the journal.")
    var reason = "cancelled"

    @OptionGroup var telling: Telling

    func run() throws {
      let directory = try SagaCommand.find(id)
      let loaded = try SagaCommand.attempt { () throws(RunError) in try directory.load() }
      guard loaded.machine.mayCancel else {
        throw Printing.fail(
          RunError(
            .usage,
            "saga \(directory.id) is \(loaded.machine.phase.rawValue); there is nothing to cancel",
            hint: "agt saga show \(directory.id)"))
      }
      if let driver = loaded.header.driver, loaded.machine.phase == .running,
        directory.runnerPid != nil
      {
        throw Printing.fail(
          RunError(
            .usage, "saga \(directory.id) is driven by run \(driver.run), which goes on",
            hint: "agt kill \(driver.run) ends the run, and undoes the saga"))
      }
      if let pid = directory.runnerPid {
        return try SagaCommand.attempt { () throws(RunError) in
          try directory.askToCancel(pid, reason: reason)
        }
      }
      let runner = try SagaCommand.attempt { () throws(RunError) in
        try SagaRunner(directory, progress: telling.progress)
      }
      try SagaCommand.finish(runner, .cancel(uid: Identity.effectiveUID, reason: reason))
    }
  }

  struct Resolve: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Says what has become of a step that needs an operator, and goes on.",
      discussion: """
        happened: the step's effect is there; not: it is not. A compensation that failed is tried again \
        after happened, and taken for done after not. \(SagaCommand.statuses)
        """)

    @Argument(help: "The saga, or the beginning of its identifier.")
    var id: String

    @Argument(help: "The step.")
    var step: String

    enum Outcome: String, ExpressibleByArgument, CaseIterable { case happened, not }

    @Option(help: "happened or not.")
    var outcome: Outcome

    @Option(help: "How you know; kept in the journal.")
    var evidence: String

    @Option(
      name: .customLong("output"),
      help: ArgumentHelp("An output of the step; may be repeated.", valueName: "name=value"))
    var outputs: [String] = []

    @OptionGroup var telling: Telling

    func run() throws {
      let directory = try SagaCommand.find(id)
      let runner = try SagaCommand.attempt { () throws(RunError) in
        try SagaRunner(directory, progress: telling.progress)
      }
      guard let index = runner.machine.graph.index(of: step) else {
        throw Printing.fail(RunError(.usage, "the saga has no step \(SagaText.quote(step))"))
      }
      var values: [String: String] = [:]
      for text in outputs {
        guard let equals = text.firstIndex(of: "=") else {
          throw Printing.fail(RunError(.usage, "--output \(text): a name and a value are needed"))
        }
        values[String(text[..<equals])] = String(text[text.index(after: equals)...])
      }
      let happened = outcome == .happened
      if let problem = runner.machine.resolutionProblem(
        index, happened: happened, outputs: values)
      {
        throw Printing.fail(RunError(.usage, problem.description))
      }
      try SagaCommand.finish(
        runner,
        .resolve(
          step: index, happened: happened, evidence: evidence, uid: Identity.effectiveUID,
          outputs: values))
    }
  }
}
