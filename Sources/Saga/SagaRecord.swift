public import JSON

/// One entry of the journal: a fact. The state of a saga is what its facts add up to, so that another
/// version of the program, with other decisions, can go on from them.
public struct SagaRecord: Equatable, Sendable {
  public enum Body: Equatable, Sendable {
    /// A runner took over, in that boot of the machine.
    case runner(boot: String, pid: Int32)
    /// The agent that drives the saga has said what it does next and what undoes it.
    case declared(SagaDeclaration)
    /// An attempt is about to start; durable before it does. For a run it registers the compensation.
    case started(step: String, SagaActionKind, attempt: Int, arguments: [String], key: String)
    case ended(step: String, SagaActionKind, attempt: Int, SagaOutcome)
    /// The next attempt, and when.
    case scheduled(step: String, SagaActionKind, notBefore: UInt64, reason: String)
    /// No more is tried; the step counts as failed.
    case gaveUp(step: String, reason: String)
    /// Only a person can go on with the step.
    case stuck(step: String, reason: String)
    case skipped(step: String, reason: String)
    case phase(SagaPhase, SagaCause?, reason: String)
    /// Of the files that wait for the end of the saga; durable before they are committed or discarded.
    case files(SagaFilesState, reason: String)
    case approvalRequested(step: String, expiresAt: UInt64)
    case approved(step: String, uid: UInt32)
    case denied(step: String, uid: UInt32, reason: String)
    case cancelled(uid: UInt32, reason: String)
    case resolved(
      step: String, happened: Bool, evidence: String, uid: UInt32, outputs: [String: String])
  }

  /// Milliseconds since 1970; never before the record ahead.
  public let at: UInt64
  public let body: Body

  public init(at: UInt64, _ body: Body) {
    self.at = at
    self.body = body
  }
}

extension SagaRecord {
  /// The members of the entry; the journal adds its sequence number.
  public var json: JSONObject {
    var object: JSONObject = ["at": JSONValue(at)]
    func put(_ kind: String, _ members: (String, JSONValue)...) { put(kind, members) }
    func put(_ kind: String, _ members: [(String, JSONValue)]) {
      object["kind"] = .string("saga." + kind)
      for (name, value) in members { object[name] = value }
    }
    switch body {
    case .runner(let boot, let pid): put("runner", ("boot", .string(boot)), ("pid", JSONValue(pid)))
    case .declared(let declaration): put("step.declared", declaration.members)
    case .started(let step, let kind, let attempt, let arguments, let key):
      put(
        "step.started", ("step", .string(step)), ("action", .string(kind.rawValue)),
        ("attempt", JSONValue(attempt)), ("arguments", JSONValue(arguments)), ("key", .string(key)))
    case .ended(let step, let kind, let attempt, let outcome):
      put(
        "step.ended", ("step", .string(step)), ("action", .string(kind.rawValue)),
        ("attempt", JSONValue(attempt)), ("outcome", outcome.json))
    case .scheduled(let step, let kind, let notBefore, let reason):
      put(
        "step.scheduled", ("step", .string(step)), ("action", .string(kind.rawValue)),
        ("notBefore", JSONValue(notBefore)), ("reason", .string(reason)))
    case .gaveUp(let step, let reason):
      put("step.failed", ("step", .string(step)), ("reason", .string(reason)))
    case .stuck(let step, let reason):
      put("step.stuck", ("step", .string(step)), ("reason", .string(reason)))
    case .skipped(let step, let reason):
      put("step.skipped", ("step", .string(step)), ("reason", .string(reason)))
    case .phase(let phase, let cause, let reason):
      put(
        "phase", ("phase", .string(phase.rawValue)), ("cause", JSONValue(cause?.rawValue)),
        ("reason", .string(reason)))
    case .files(let state, let reason):
      put("files", ("state", .string(state.rawValue)), ("reason", .string(reason)))
    case .approvalRequested(let step, let expiresAt):
      put("approval.requested", ("step", .string(step)), ("expiresAt", JSONValue(expiresAt)))
    case .approved(let step, let uid):
      put("approval.given", ("step", .string(step)), ("uid", JSONValue(uid)))
    case .denied(let step, let uid, let reason):
      put(
        "approval.denied", ("step", .string(step)), ("uid", JSONValue(uid)),
        ("reason", .string(reason)))
    case .cancelled(let uid, let reason):
      put("cancelled", ("uid", JSONValue(uid)), ("reason", .string(reason)))
    case .resolved(let step, let happened, let evidence, let uid, let outputs):
      put(
        "step.resolved", ("step", .string(step)), ("happened", .bool(happened)),
        ("evidence", .string(evidence)), ("uid", JSONValue(uid)), ("outputs", texts(outputs)))
    }
    return object
  }

  /// - Throws: when a member is missing, of another type, or unknown.
  public init(_ json: JSONValue) throws(SagaProblem) {
    let reader = RecordReader(json: json)
    at = try reader.unsigned("at")
    switch try reader.text("kind") {
    case "saga.runner":
      guard let pid = Int32(exactly: try reader.unsigned("pid")) else { throw reader.wrong("pid") }
      body = .runner(boot: try reader.text("boot"), pid: pid)
    case "saga.step.declared": body = .declared(try SagaDeclaration(reader))
    case "saga.step.started":
      body = .started(
        step: try reader.text("step"), try reader.choice("action"),
        attempt: try reader.count("attempt"), arguments: try reader.list("arguments"),
        key: try reader.text("key"))
    case "saga.step.ended":
      body = .ended(
        step: try reader.text("step"), try reader.choice("action"),
        attempt: try reader.count("attempt"), try SagaOutcome(json["outcome"] ?? .null))
    case "saga.step.scheduled":
      body = .scheduled(
        step: try reader.text("step"), try reader.choice("action"),
        notBefore: try reader.unsigned("notBefore"), reason: try reader.text("reason"))
    case "saga.step.failed":
      body = .gaveUp(step: try reader.text("step"), reason: try reader.text("reason"))
    case "saga.step.stuck":
      body = .stuck(step: try reader.text("step"), reason: try reader.text("reason"))
    case "saga.step.skipped":
      body = .skipped(step: try reader.text("step"), reason: try reader.text("reason"))
    case "saga.phase":
      let cause: SagaCause? = json["cause"] == .null ? nil : try reader.choice("cause")
      body = .phase(try reader.choice("phase"), cause, reason: try reader.text("reason"))
    case "saga.files":
      body = .files(try reader.choice("state"), reason: try reader.text("reason"))
    case "saga.approval.requested":
      body = .approvalRequested(
        step: try reader.text("step"), expiresAt: try reader.unsigned("expiresAt"))
    case "saga.approval.given":
      body = .approved(step: try reader.text("step"), uid: try reader.uid())
    case "saga.approval.denied":
      body = .denied(
        step: try reader.text("step"), uid: try reader.uid(), reason: try reader.text("reason"))
    case "saga.cancelled":
      body = .cancelled(uid: try reader.uid(), reason: try reader.text("reason"))
    case "saga.step.resolved":
      guard let happened = json["happened"]?.boolValue else { throw reader.wrong("happened") }
      body = .resolved(
        step: try reader.text("step"), happened: happened, evidence: try reader.text("evidence"),
        uid: try reader.uid(), outputs: try reader.texts("outputs"))
    case let kind:
      throw SagaProblem(
        "the journal has an entry of the kind \(SagaText.quote(kind)), which this "
          + "version does not know; use the version that wrote it")
    }
  }
}

private func texts(_ values: [String: String]) -> JSONValue {
  var object = JSONObject()
  for (name, value) in values.sorted(by: { $0.key < $1.key }) { object[name] = .string(value) }
  return .object(object)
}

extension SagaOutcome {
  var json: JSONValue {
    if case .exited(let status, let message?) = self {
      return .object([
        "result": "exited", "status": JSONValue(status), "message": .string(message),
      ])
    }
    func made(_ result: String, _ name: String? = nil, _ value: JSONValue = .null) -> JSONValue {
      var object: JSONObject = ["result": .string(result)]
      if let name { object[name] = value }
      return .object(object)
    }
    return switch self {
    case .succeeded(let outputs): made("succeeded", "outputs", texts(outputs))
    case .outputMissing(let why): made("output-missing", "reason", .string(why))
    case .exited(let status, _): made("exited", "status", JSONValue(status))
    case .timedOut: made("timed-out")
    case .signaled(let number): made("signaled", "signal", JSONValue(number))
    case .killed(let why): made("killed", "reason", .string(why))
    case .violation(let what): made("violation", "reason", .string(what))
    case .notStarted(let why): made("not-started", "reason", .string(why))
    case .refused(let why): made("refused", "reason", .string(why))
    case .neverBegun: made("never-begun")
    case .lost(let why): made("lost", "reason", .string(why))
    }
  }

  init(_ json: JSONValue) throws(SagaProblem) {
    let reader = RecordReader(json: json)
    switch try reader.text("result") {
    case "succeeded": self = .succeeded(outputs: try reader.texts("outputs"))
    case "output-missing": self = .outputMissing(try reader.text("reason"))
    case "exited":
      self = .exited(try reader.count("status"), message: json["message"]?.stringValue)
    case "timed-out": self = .timedOut
    case "signaled": self = .signaled(try reader.count("signal"))
    case "killed": self = .killed(try reader.text("reason"))
    case "violation": self = .violation(try reader.text("reason"))
    case "not-started": self = .notStarted(try reader.text("reason"))
    case "refused": self = .refused(try reader.text("reason"))
    case "never-begun": self = .neverBegun
    case "lost": self = .lost(try reader.text("reason"))
    default: throw reader.wrong("result")
    }
  }

  /// For people.
  public var description: String {
    switch self {
    case .succeeded: "succeeded"
    case .outputMissing(let why): why
    case .exited(let status, nil): "exit status \(status)"
    case .exited(let status, let message?): "exit status \(status): \(message)"
    case .timedOut: "out of time"
    case .signaled(let number): "ended by signal \(number)"
    case .killed(let why): "killed: \(why)"
    case .violation(let what): "forbidden call: \(what)"
    case .notStarted(let why): "not started: \(why)"
    case .refused(let why): "not started: \(why)"
    case .neverBegun: "the runner ended before it began"
    case .lost(let why): "its outcome is lost: \(why)"
    }
  }
}

struct RecordReader {
  let json: JSONValue

  func wrong(_ name: String) -> SagaProblem {
    SagaProblem("the journal has an entry whose \(SagaText.quote(name)) is missing or wrong")
  }

  func text(_ name: String) throws(SagaProblem) -> String {
    guard let value = json[name]?.stringValue else { throw wrong(name) }
    return value
  }

  func unsigned(_ name: String) throws(SagaProblem) -> UInt64 {
    guard let value = json[name]?.integerValue, value >= 0 else { throw wrong(name) }
    return UInt64(value)
  }

  func count(_ name: String) throws(SagaProblem) -> Int { Int(try unsigned(name)) }

  func uid() throws(SagaProblem) -> UInt32 {
    guard let value = UInt32(exactly: try unsigned("uid")) else { throw wrong("uid") }
    return value
  }

  func choice<T: RawRepresentable>(_ name: String) throws(SagaProblem) -> T
  where T.RawValue == String {
    guard let value = T(rawValue: try text(name)) else { throw wrong(name) }
    return value
  }

  func list(_ name: String) throws(SagaProblem) -> [String] {
    guard let values = json[name]?.arrayValue else { throw wrong(name) }
    let texts = values.compactMap(\.stringValue)
    if texts.count != values.count { throw wrong(name) }
    return texts
  }

  func texts(_ name: String) throws(SagaProblem) -> [String: String] {
    guard let members = json[name]?.objectValue?.members else { throw wrong(name) }
    var texts: [String: String] = [:]
    for member in members {
      guard let value = member.value.stringValue else { throw wrong(name) }
      texts[member.name] = value
    }
    return texts
  }
}
