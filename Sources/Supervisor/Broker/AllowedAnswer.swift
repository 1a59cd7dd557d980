internal import Audit
internal import AuditStore
internal import JSON
internal import Policy

/// How questions are answered, and told to the log, that are allowed for the same reason as the last one.
///
/// An agent that asks in a loop pays for each answer once: what all of them have in common is written when the first is
/// given. It is not to fill its log either, without which nothing is allowed any more: questions that are equal share
/// an entry. What was answered must never be missing there.
final class AllowedAnswer {
  private let template: DecisionTemplate
  /// The result as text, before and behind the number of the decision.
  private let front: [UInt8]
  private let back: [UInt8]
  /// What was asked last, and the entry that tells of it.
  private var fields = JSONObject()
  private var place: GroupCommitter.Place?

  /// - Parameter result: of the first of them; `decision` is its number.
  init(_ decision: Decision, of caller: KnownCaller, result: JSONObject, salt: String) {
    template = DecisionTemplate(decision, of: caller, salt: salt)
    let members = result.members
    let index = members.firstIndex { $0.name == "decision" } ?? members.endIndex
    front =
      JSONWriter.compact(.object(JSONObject(unique: Array(members[..<index])))).dropLast()
      + Array(",\"decision\":".utf8)
    back =
      [UInt8(ascii: ",")]
      + JSONWriter.compact(.object(JSONObject(unique: Array(members[(index + 1)...])))).dropFirst()
  }

  /// Whether an allowed question obliges to nothing that is told, so that others can be answered as it is.
  static func isPlain(_ decision: Decision) -> Bool {
    decision.verdict == .allow
      && decision.obligations.allSatisfy { if case .rateLimit = $0 { true } else { false } }
  }

  /// - Parameter decision: a plain one.
  func answers(_ decision: Decision, of caller: KnownCaller) -> Bool {
    template.tells(decision, of: caller)
  }

  /// The result of a question, as JSON.
  func text(number: UInt64) -> [UInt8] {
    var text: [UInt8] = []
    text.reserveCapacity(front.count + back.count + 20)
    text += front
    text += String(number).utf8
    text += back
    return text
  }

  func record(_ one: Occurrence, in audit: RunAudit) {
    if let place, fields.isIdentical(to: one.fields), audit.count(one.number, in: place) { return }
    fields = one.fields
    place = audit.record(.decision, template, one)
  }
}
