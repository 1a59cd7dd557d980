internal import Broker
internal import JSON
internal import Saga

/// A saga that the agent drives, as its supervisor sees it.
final class AgentSaga {
  enum State: Equatable {
    /// Its first entry is on the way to the disk.
    case beginning
    case open
    /// It is committed or left to a runner; nothing is added.
    case closing
    /// With the word for what became of it.
    case over(String)
  }

  enum Step: Equatable {
    /// It is not in the journal yet.
    case registering
    /// The agent does it by itself, and says nothing before it commits.
    case own
    /// With the identifier of the request.
    case tool(JSONValue)
    case ended
  }

  let id: String
  let name: String
  /// The connection that has begun it: nobody else has a say in it.
  let client: UInt64
  /// The thread's, as long as something of it waits there.
  let book: SagaBook
  var state = State.beginning
  /// What each step is at the moment.
  private(set) var steps: [String: Step] = [:]

  init(id: String, name: String, client: UInt64, _ book: SagaBook) {
    self.id = id
    self.name = name
    self.client = client
    self.book = book
  }

  /// - Returns: false when there was such a step already.
  func add(_ step: String) -> Bool {
    if steps[step] != nil { return false }
    steps[step] = .registering
    return true
  }

  /// It is in the journal.
  func begin(_ step: String, _ kind: Step) { steps[step] = kind }

  /// It will not be in the journal.
  func forget(_ step: String) { steps[step] = nil }

  func end(_ step: String) { steps[step] = .ended }

  /// One without which nothing is settled yet: it is being registered, or its tool is at work.
  var underWay: String? {
    steps.keys.sorted().first { steps[$0] == .registering }
      ?? toolsAtWork.map(\.step).min()
  }

  /// The steps whose tools are at work, with their requests.
  var toolsAtWork: [(step: String, request: JSONValue)] {
    steps.compactMap { if case .tool(let request) = $0.value { ($0.key, request) } else { nil } }
  }

  var isOver: Bool { if case .over = state { true } else { false } }

  /// Whether it would be undone if nothing more came.
  var isOpen: Bool { state == .open || state == .beginning }

  /// The entries of a commit: what the agent did by itself, it says now, has happened.
  var commitment: [SagaRecord.Body] {
    steps.filter { $0.value == .own }.keys.sorted().map {
      .ended(step: $0, .run, attempt: 1, .succeeded(outputs: [:]))
    } + [.phase(.completed, nil, reason: "")]
  }

  var json: JSONValue {
    let word =
      switch state {
      case .beginning, .open: "open"
      case .closing: "compensating"
      case .over(let word): word
      }
    return ["saga": .string(id), "name": .string(name), "state": .string(word)]
  }
}

/// A call of a tool that was judged.
struct SagaCall {
  let tool: Tool
  let words: [String]
  let input: String
  let arguments: JSONObject
  /// What it executes, once that was looked at.
  var program: ToolProgram?
  /// What it executed when somebody approved it; nil when nobody had to.
  var expected: ToolProgram?
  /// What the log says of the decision.
  var why: JSONObject = [:]

  /// Finds out what it executes. Reads files.
  /// - Parameter member: of the request, for the error.
  /// - Throws: `not_permitted` when a program of the run could have something else executed.
  mutating func look(_ member: String, _ programs: ToolPrograms?) throws(BrokerError) {
    guard let programs else { return }
    let found: ToolProgram
    do throws(BrokerError) { found = try programs.look(words) } catch {
      throw BrokerError(error.code, "\(member): \(error.message)")
    }
    if let path = found.changeable {
      throw BrokerError(
        .notPermitted,
        "\(member): \(path), which decides what \(tool.name) executes, can be changed by programs "
          + "of the run; it has to lie outside of what they may write")
    }
    if let other = expected.flatMap({ found.difference(from: $0) }) {
      throw BrokerError(.changed, "\(member): \(other) is not what it was when it was approved")
    }
    program = found
  }

  /// - Parameter options: of agt-run, good wherever they are given.
  func kept(_ options: [String]) -> SagaDeclaration.Call {
    SagaDeclaration.Call(
      tool: SagaTool(
        name: tool.name, options: options, input: input,
        program: program?.files.map { SagaFile(path: $0.path, digest: $0.digest) } ?? []),
      words: words,
      ring: Int(tool.ring), timeoutMilliseconds: tool.timeoutMilliseconds)
  }
}

extension SagaOutcome {
  /// What became of a tool, as `tool.call` tells it.
  init(ofTool result: JSONValue) {
    let message = result["message"]?.stringValue
    switch result["outcome"]?.stringValue {
    case "exited":
      let status = Int(result["status"]?.integerValue ?? 125)
      self = status == 0 ? .succeeded(outputs: [:]) : .exited(status)
    case "signaled": self = .signaled(Int(result["signal"]?.integerValue ?? 0))
    case "timed_out": self = .timedOut
    case "output_exceeded": self = .killed("it wrote more than it may")
    case "cancelled": self = .killed("cancelled")
    case "lease_ended": self = .killed("its lease ended")
    case "not_started": self = .notStarted(message ?? "it did not start")
    case "killed":
      let reason = result["reason"]?.stringValue ?? "killed"
      self = reason == "policy_violation" ? .violation(message ?? reason) : .killed(reason)
    default: self = .lost(message ?? "nobody knows")
    }
  }
}
