internal import ArgumentParser
internal import Glibc
internal import JSON
internal import Kernel
internal import Saga
internal import SagaRunner
internal import Supervisor
internal import YAML

extension SagaCommand {
  /// A saga that cannot be read is shown with the reason.
  private static func load(_ id: String) throws -> SagaDirectory.Loaded {
    let directory = try find(id)
    return try attempt { () throws(RunError) in try directory.load() }
  }

  struct List: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Lists the sagas, oldest first.")

    @Flag(help: "Print JSON.")
    var json = false

    func run() throws {
      let store = try SagaCommand.store()
      let all = try SagaCommand.attempt { () throws(RunError) in
        var all: [(SagaDirectory, SagaDirectory.Loaded?)] = []
        for id in try store.identifiers() {
          let directory = try store.find(id)
          all.append((directory, try? directory.load()))
        }
        return all
      }
      if json {
        return Printing.json(
          .array(
            all.map { directory, loaded in
              .object([
                "saga": .string(directory.id), "name": JSONValue(loaded?.header.name),
                "phase": JSONValue(loaded?.machine.phase.rawValue),
                "runner": directory.runnerPid.map { JSONValue($0) } ?? .null,
                "begunAt": loaded.map { JSONValue($0.header.begunAt) } ?? .null,
              ])
            }))
      }
      for (directory, loaded) in all {
        let phase = loaded?.machine.phase.rawValue ?? "unreadable"
        let isLeft = loaded.map { !$0.machine.phase.isResting } ?? false
        let note = isLeft && directory.runnerPid == nil ? "  (no runner: agt saga resume)" : ""
        print(
          "\(directory.id)  \(Printing.padded(phase, 21))  \(loaded?.header.name ?? "?")\(note)")
      }
    }
  }

  struct Show: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Shows a saga: each step with its state and the reason.")

    @Argument(help: "The saga, or the beginning of its identifier.")
    var id: String

    @Flag(help: "Print JSON.")
    var json = false

    func run() throws {
      let directory = try SagaCommand.find(id)
      let loaded = try SagaCommand.load(id)
      let machine = loaded.machine
      if json { return Printing.json(Self.json(directory, loaded)) }
      print("saga       \(directory.id) (\(loaded.header.name))")
      print(
        "phase      \(machine.phase.rawValue)\(machine.cause.map { ", by \($0.rawValue)" } ?? "")")
      if !machine.reason.isEmpty { print("reason     \(SagaText.plain(machine.reason))") }
      if let driver = loaded.header.driver {
        let agent = driver.agent.map { " of agent \(SagaText.plain($0))" } ?? ""
        print("driven by  run \(driver.run)\(agent)")
      }
      print("workspace  \(SagaText.plain(loaded.header.workspace))")
      print("runner     \(directory.runnerPid.map { "process \($0)" } ?? "none")")
      print("journal    \(directory.path)/journal.jsonl")
      print("logs       \(directory.path)/runs\n")
      let steps = machine.graph.plan.steps
      let width = steps.map(\.id.text.count).max() ?? 0
      for (index, step) in steps.enumerated() {
        let state = machine.steps[index]
        let attempts = state.attempt[.run].map { "\($0)" } ?? "-"
        print(
          "\(Printing.padded(step.id.text, width))  \(Printing.padded(step.kind.rawValue, 13))  "
            + "\(Printing.padded(state.status.rawValue, 19))  \(Printing.padded(attempts, 3))  "
            + SagaText.plain(state.reason))
      }
      for index in machine.awaitingApproval {
        print(
          "\n\(steps[index].id.text) waits for \(steps[index].approval!.quorum) of the group "
            + "\(steps[index].approval!.group): agt saga approve \(directory.id) \(steps[index].id.text)"
        )
      }
      for index in machine.stuckSteps {
        print(
          "\n\(steps[index].id.text) needs you: agt saga resolve \(directory.id) "
            + "\(steps[index].id.text) --outcome happened|not --evidence TEXT")
      }
    }

    private static func json(_ directory: SagaDirectory, _ loaded: SagaDirectory.Loaded)
      -> JSONValue
    {
      let machine = loaded.machine
      let steps = machine.graph.plan.steps.enumerated().map { index, step in
        let state = machine.steps[index]
        var outputs = JSONObject()
        for (name, value) in state.outputs.sorted(by: { $0.key < $1.key }) {
          outputs[name] = .string(value)
        }
        return JSONValue.object([
          "step": .string(step.id.text), "kind": .string(step.kind.rawValue),
          "status": .string(state.status.rawValue), "attempts": JSONValue(state.attempt[.run] ?? 0),
          "compensationAttempts": JSONValue(state.attempt[.compensate] ?? 0),
          "action": JSONValue(state.action?.rawValue), "reason": .string(state.reason),
          "needsOperator": .bool(machine.stuckSteps.contains(index)), "outputs": .object(outputs),
        ])
      }
      return .object([
        "saga": .string(directory.id), "name": .string(loaded.header.name),
        "phase": .string(machine.phase.rawValue), "cause": JSONValue(machine.cause?.rawValue),
        "reason": .string(machine.reason), "workspace": .string(loaded.header.workspace),
        "runner": directory.runnerPid.map { JSONValue($0) } ?? .null,
        "begunAt": JSONValue(loaded.header.begunAt),
        "planDigest": .string(loaded.header.planDigest),
        "run": JSONValue(loaded.header.driver?.run),
        "agent": JSONValue(loaded.header.driver?.agent),
        "trace": .string(loaded.header.trace),
        "journal": .string(directory.path + "/journal.jsonl"),
        "steps": .array(steps),
      ])
    }
  }

  struct Graph: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Draws the steps of a plan or a saga, and what needs what.")

    @Argument(help: ArgumentHelp("A plan file, or a saga.", valueName: "file|id"))
    var subject: String

    @Flag(help: "Print the language of Graphviz.")
    var dot = false

    func run() throws {
      if Files.mayAccess(ByteString(subject), 4) {
        let (findings, graph) = SagaPlanFile.check(try SagaCommand.read(subject).plan)
        guard let graph else {
          throw Printing.fail(
            RunError(.usage, findings.first { $0.isError }!.description(file: subject)))
        }
        draw(graph) { _ in nil }
      } else {
        let machine = try SagaCommand.load(subject).machine
        draw(machine.graph) { machine.steps[$0].status }
      }
    }

    private func draw(_ graph: SagaGraph, status: (Int) -> SagaStepStatus?) {
      if dot { return print(SagaDrawing.dot(graph, status: status), terminator: "") }
      let steps = graph.plan.steps
      let width = steps.map(\.id.text.count).max() ?? 0
      let drawing = SagaDrawing.terminal(graph) { step in
        let state = status(step).map { "  \($0.rawValue)" } ?? ""
        let group = graph.group[step].map { "  \(graph.policy(of: $0).rawValue)" } ?? ""
        return Printing.padded(steps[step].id.text, width)
          + "  \(steps[step].kind.rawValue)\(group)\(state)"
      }
      print(drawing, terminator: "")
    }
  }

  /// What is answered.
  struct Question: ParsableArguments {
    @Argument(help: "The saga.")
    var id: String

    @Argument(help: "The step.")
    var step: String

    @Option(help: "Where the sagas of the one who runs it are; root's by default.")
    var store = "/var/lib/agt/saga"
  }

  struct Approve: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Approves a step that waits for it, as the calling user.")

    @OptionGroup var question: Question

    func run() throws { try SagaCommand.answer(question, .approve, reason: "") }
  }

  struct Deny: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Denies a step that waits for approval, as the calling user.")

    @OptionGroup var question: Question

    @Option(help: "Why; kept in the journal.")
    var reason: String

    func run() throws { try SagaCommand.answer(question, .deny, reason: reason) }
  }

  private static func answer(
    _ question: Question, _ verdict: Approvals.Verdict, reason: String
  ) throws {
    // One's own first; others' directories can be entered, but only root's are for others to answer.
    let own = try? SagaStore.standard(environment: Vectors.environment).find(question.id)
    let directory: SagaDirectory
    if let own {
      directory = own
    } else {
      let other = SagaStore(path: question.store)
      directory = try attempt { () throws(RunError) in try other.find(question.id) }
    }
    let approvals = Approvals(directory)
    let request = try attempt { () throws(RunError) in try approvals.pending(question.step) }
    Printing.json(request)
    try attempt { () throws(RunError) in
      try approvals.answer(question.step, verdict, reason: reason)
    }
  }

  struct Collect: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "gc", abstract: "Removes sagas that are over.",
      discussion: "Completed, compensated and cancelled ones; what needs an operator stays.")

    @Option(help: ArgumentHelp("Only those that began longer ago.", valueName: "time"))
    var olderThan = "720h"

    @Flag(help: "Print what would be removed, and remove nothing.")
    var dryRun = false

    func run() throws {
      let age: UInt64
      do { age = try Quantity.milliseconds(olderThan) } catch {
        throw Printing.fail(RunError(.usage, "--older-than \(olderThan): \(error)"))
      }
      let store = try SagaCommand.store()
      var problems: [RunError] = []
      if !dryRun {
        problems = try SagaCommand.attempt { () throws(RunError) in try store.removeUnfinished() }
      }
      let now = Clock.wallNanoseconds() / 1_000_000
      let ids = try SagaCommand.attempt { () throws(RunError) in try store.identifiers() }
      for id in ids {
        // Another may collect as well.
        guard let directory = try? store.find(id), let loaded = try? directory.load(),
          loaded.machine.phase.isFinal, loaded.header.begunAt <= now,
          now - loaded.header.begunAt >= age, directory.runnerPid == nil
        else { continue }
        do throws(RunError) {
          if !dryRun { try directory.remove() }
          print("\(id) \(loaded.machine.phase.rawValue)")
        } catch { problems.append(error) }
      }
      let statuses = problems.map(Printing.fail)
      if let status = statuses.first { throw status }
    }
  }
}
