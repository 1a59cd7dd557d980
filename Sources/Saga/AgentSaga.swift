internal import JSON

/// A saga without a plan: an agent says through its broker what it does next and what undoes it. The same
/// journal and the same machine; only, what is done is the agent's, and what is left to the machine is to undo it
/// when the agent does not commit.
///
/// Each step needs the one before, so that what was begun last is undone first.

/// A tool of a run's broker, as an agt-run of its own runs it.
public struct SagaTool: Equatable, Sendable {
  public var name: String
  /// Of agt-run, besides those of every attempt.
  public var options: [String]
  /// What it reads on its standard input.
  public var input: String
  /// What it executed when the call was judged; it is not run when that is something else.
  public var program: [SagaFile]

  public init(name: String, options: [String], input: String, program: [SagaFile] = []) {
    self.name = name
    self.options = options
    self.input = input
    self.program = program
  }
}

/// A file as it was.
public struct SagaFile: Equatable, Sendable {
  /// Absolute, without links.
  public var path: String
  /// SHA-256 in hexadecimal digits; nil of a folder.
  public var digest: String?

  public init(path: String, digest: String?) {
    self.path = path
    self.digest = digest
  }

  var json: JSONValue { ["path": .string(path), "sha256": JSONValue(digest)] }

  init(_ json: JSONValue) throws(SagaProblem) {
    let reader = RecordReader(json: json)
    path = try reader.text("path")
    digest = json["sha256"] == .null ? nil : try reader.text("sha256")
  }
}

/// Whose saga it is.
public struct SagaDriver: Equatable, Sendable {
  public var run: String
  public var agent: String?
  /// PID 1 of its ring, seen from outside, in that boot of the machine (boot_id, random(4)).
  public var ringInit: Int32
  public var boot: String
  /// Where relative paths begin: that of the supervisor.
  public var directory: String

  public init(
    run: String, agent: String?, ringInit: Int32, boot: String, directory: String
  ) {
    self.directory = directory
    self.run = run
    self.agent = agent
    self.ringInit = ringInit
    self.boot = boot
  }

  var json: JSONValue {
    .object([
      "run": .string(run), "agent": JSONValue(agent), "pid": JSONValue(ringInit),
      "boot": .string(boot), "directory": .string(directory),
    ])
  }

  init(_ json: JSONValue) throws(SagaProblem) {
    let reader = RecordReader(json: json)
    run = try reader.text("run")
    agent = json["agent"] == .null ? nil : try reader.text("agent")
    boot = try reader.text("boot")
    directory = try reader.text("directory")
    guard let pid = Int32(exactly: try reader.unsigned("pid")) else { throw reader.wrong("pid") }
    ringInit = pid
  }
}

/// One step of such a saga, and what undoes it.
public struct SagaDeclaration: Equatable, Sendable {
  /// A call of a tool, complete.
  public struct Call: Equatable, Sendable {
    public var tool: SagaTool
    public var words: [String]
    public var ring: Int
    public var timeoutMilliseconds: UInt64

    public init(tool: SagaTool, words: [String], ring: Int, timeoutMilliseconds: UInt64) {
      self.tool = tool
      self.words = words
      self.ring = ring
      self.timeoutMilliseconds = timeoutMilliseconds
    }

    var command: SagaCommand {
      let place = SagaPlace(line: 1, column: 1)
      var command = SagaCommand(
        arguments: words.map { SagaTemplate(literal: $0, place: place) }, ring: ring, profile: nil,
        timeoutMilliseconds: timeoutMilliseconds,
        graceMilliseconds: SagaLimits.graceDefaultMilliseconds, workspace: nil, reads: [],
        writes: [], network: [], environment: [], memoryBytes: nil, processes: nil, place: place)
      command.tool = tool
      return command
    }

    var json: JSONValue {
      .object([
        "tool": .string(tool.name), "words": JSONValue(words), "input": .string(tool.input),
        "options": JSONValue(tool.options), "ring": JSONValue(ring),
        "timeoutMilliseconds": JSONValue(timeoutMilliseconds),
        "program": .array(tool.program.map(\.json)),
      ])
    }

    init?(_ json: JSONValue) throws(SagaProblem) {
      if json == .null { return nil }
      let reader = RecordReader(json: json)
      guard let program = json["program"]?.arrayValue else { throw reader.wrong("program") }
      tool = SagaTool(
        name: try reader.text("tool"), options: try reader.list("options"),
        input: try reader.text("input"),
        program: try program.map { file throws(SagaProblem) in try SagaFile(file) })
      words = try reader.list("words")
      ring = try reader.count("ring")
      timeoutMilliseconds = try reader.unsigned("timeoutMilliseconds")
      if words.isEmpty { throw reader.wrong("words") }
    }
  }

  public var step: String
  /// What the broker runs; nil for what the agent does by itself.
  public var call: Call?
  /// nil for a tool that changes nothing.
  public var undo: Call?

  public init(step: String, call: Call?, undo: Call?) {
    self.step = step
    self.call = call
    self.undo = undo
  }

  var members: [(String, JSONValue)] {
    [
      ("step", .string(step)), ("call", call?.json ?? .null), ("undo", undo?.json ?? .null),
    ]
  }

  init(_ reader: RecordReader) throws(SagaProblem) {
    step = try reader.text("step")
    call = try Call(reader.json["call"] ?? .null)
    undo = try Call(reader.json["undo"] ?? .null)
  }

  fileprivate func planned(after previous: SagaName?) -> SagaStep {
    let place = SagaPlace(line: 1, column: 1)
    let own = Call(
      tool: SagaTool(name: "", options: [], input: ""), words: ["(the agent)"], ring: 3,
      timeoutMilliseconds: SagaLimits.durationMaxMilliseconds)
    return SagaStep(
      id: SagaName(step, place), kind: undo == nil ? .readonly : .compensatable,
      needs: previous.map { [$0] } ?? [], command: (call ?? own).command, retry: .never,
      outputs: [], idempotency: nil, approval: nil,
      compensation: undo.map {
        SagaCompensation(
          command: $0.command, condition: .started, retry: .compensation, elevates: nil)
      }, irreversible: nil, approvalWaived: nil)
  }
}

extension SagaGraph {
  /// Of a saga that an agent drives, before its first step.
  public static func driven(name: String) -> SagaGraph {
    SagaGraph(plan: SagaPlan(name: name), needs: [], groups: [], order: [], indices: [:])
  }

  fileprivate func adding(_ declaration: SagaDeclaration) -> SagaGraph {
    var plan = plan
    plan.steps.append(declaration.planned(after: plan.steps.last?.id))
    let count = plan.steps.count
    return SagaGraph(
      plan: plan, needs: (0..<count).map { $0 == 0 ? [] : [$0 - 1] }, groups: [],
      order: Array(0..<count),
      indices: Dictionary(
        uniqueKeysWithValues: plan.steps.indices.map { (plan.steps[$0].id.text, $0) })
    )
  }
}

extension SagaMachine {
  func check(_ declaration: SagaDeclaration) throws(SagaProblem) {
    guard isDriven, SagaName.isValid(declaration.step), graph.index(of: declaration.step) == nil,
      steps.count < SagaLimits.stepsMax
    else {
      throw SagaProblem(
        "the journal declares a step \(SagaText.quote(declaration.step)) that cannot be one")
    }
  }

  mutating func declared(_ declaration: SagaDeclaration) {
    graph = graph.adding(declaration)
    steps.append(SagaStepState())
  }

  /// A runner has it, so nobody drives it any more.
  func abandoned() -> SagaRecord.Body {
    isCancelled
      ? .phase(.compensating, .cancel, reason: reason)
      : .phase(.compensating, .failure, reason: "the supervisor of its agent is gone")
  }
}
