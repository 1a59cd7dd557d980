internal import AuditStore
internal import JSON
internal import Policy

/// How requests were judged that have all but their fields in common: who asked, and which rules said what.
///
/// Its text is made when the first of them is judged, as pieces between which the rest goes; an agent that asks in a loop
/// pays for each entry once, in the thread that writes it.
final class DecisionTemplate: EntryTemplate {
  private let verdict: Verdict
  private let caller: KnownCaller
  private let rules: [Rule]
  private let decidingRule: Rule?
  private let salt: String

  // In the order of RFC 8785: what stands before the count and the decision's number, between its field and the number of
  // the last, up to the digest, and around the subject.
  private let front: [UInt8]
  private let kindPart: [UInt8]
  private let middle: [UInt8]
  private let rulesPart: [UInt8]
  private let back: [UInt8]

  /// - Parameters:
  ///   - reason: told unless it is allowed.
  ///   - told: obligations that an entry tells of.
  init(
    _ verdict: Verdict, of caller: KnownCaller, rules: [Rule], decidingRule: Rule?,
    reason: @autoclosure () -> String, told: [Obligation] = [], salt: String
  ) {
    self.verdict = verdict
    self.caller = caller
    self.rules = rules
    self.decidingRule = decidingRule
    self.salt = salt
    front = Self.text("{\"cgroup\":", JSONValue(caller.cgroup))
    kindPart = Self.text(",\"kind\":", .string(caller.kind))
    var middle: [UInt8] = []
    if !told.isEmpty { middle += Self.text(",\"obligations\":", .array(told.map(\.json))) }
    middle += Self.text(",\"pid\":", JSONValue(caller.pid))
    if verdict != .allow { middle += Self.text(",\"reason\":", .string(reason())) }
    self.middle = middle + Array(",\"requestDigest\":\"".utf8)
    rulesPart =
      Self.text("\",\"rule\":", JSONValue(decidingRule?.place))
      + Self.text(",\"rules\":", JSONValue(rules.map(\.id))) + Array(",\"subject\":".utf8)
    back = Self.text(",\"verdict\":", .string(verdict.name)) + [UInt8(ascii: "}")]
  }

  /// Of a decision.
  convenience init(_ decision: Decision, of caller: KnownCaller, salt: String) {
    self.init(
      decision.verdict, of: caller, rules: decision.rules.map(\.rule),
      decidingRule: decision.decidingRule, reason: decision.operatorReason,
      told: decision.obligations.filter(\.concernsRun), salt: salt)
  }

  /// Whether the decision, which allows and obliges to nothing that is told, is told by this one.
  func tells(_ decision: Decision, of caller: KnownCaller) -> Bool {
    verdict == decision.verdict && decidingRule === decision.decidingRule
      && rules.count == decision.rules.count
      && zip(rules, decision.rules).allSatisfy { $0 === $1.rule }
      && self.caller.isSame(as: caller)
  }

  func append(_ one: Occurrence, to output: inout [UInt8]) throws(JSONError) {
    let subject = BrokerCounters.subject(of: one.fields, kind: caller.kind)
    output.append(contentsOf: front)
    if one.count > 1 { Self.append(",\"count\":", one.count, to: &output) }
    Self.append(",\"decision\":", one.number, to: &output)
    output.append(contentsOf: ",\"field\":".utf8)
    try JSONWriter.appendCanonical(JSONValue(subject.field), to: &output)
    output.append(contentsOf: kindPart)
    if one.count > 1 { Self.append(",\"lastDecision\":", one.lastNumber, to: &output) }
    output.append(contentsOf: middle)
    AuditEntries.appendDigest(salt, one.fields, from: caller, to: &output)
    output.append(contentsOf: rulesPart)
    try JSONWriter.appendCanonical(.string(subject.text), to: &output)
    output.append(contentsOf: back)
  }

  private static func append(_ name: String, _ number: UInt64, to output: inout [UInt8]) {
    output.append(contentsOf: name.utf8)
    output.append(contentsOf: String(number).utf8)
  }

  /// Texts and small numbers always have a canonical form.
  private static func text(_ name: String, _ value: JSONValue) -> [UInt8] {
    Array(name.utf8) + ((try? JSONWriter.canonical(value)) ?? Array("null".utf8))
  }
}

extension Obligation {
  /// Limits and approvals are told of where they have an effect.
  fileprivate var concernsRun: Bool {
    switch self {
    case .audit, .warn, .kill, .rollback, .demote: true
    case .rateLimit, .approval: false
    }
  }
}
