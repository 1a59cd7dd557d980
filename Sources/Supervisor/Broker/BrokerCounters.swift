internal import Audit
internal import Broker
internal import JSON
internal import Policy

/// What was asked and how it was answered, for those who follow the run and for its record. Equal denials
/// are counted, so that an agent can fill neither memory nor log.
struct BrokerCounters {
  /// A denial, as an operator wants to see it once.
  struct Denial: Hashable {
    var verdict: String
    /// The deciding rule with its place; empty when a default decided.
    var rule: String
    /// What it was about: the tool or the action.
    var subject: String
  }

  var requests = 0
  private(set) var allowed = 0
  private(set) var denied = 0
  private(set) var needApproval = 0
  private(set) var notes = 0
  /// Calls that were begun.
  var tools = 0
  private(set) var refused: [String: Int] = [:]
  private(set) var denials: [Denial: Int] = [:]
  private let events: RunEvents
  private let audit: RunAudit

  /// More kinds are only counted.
  private static let kindsMax = 256
  private static let notesShown = 1000

  init(_ events: RunEvents, _ audit: RunAudit) {
    self.events = events
    self.audit = audit
  }

  mutating func count(_ decision: Decision, _ request: Request, kind: String) {
    switch decision.verdict {
    case .allow:
      allowed += 1
      return
    case .deny: denied += 1
    case .requireApproval: needApproval += 1
    }
    tell(
      Denial(
        verdict: decision.verdict.name, rule: decision.decidingRule?.place ?? "",
        subject: Self.subject(of: request.own, kind: kind).text), decision.operatorReason)
  }

  private mutating func tell(_ denial: Denial, _ reason: String) {
    guard denials[denial] != nil || denials.count < Self.kindsMax else { return }
    denials[denial, default: 0] += 1
    // The first of each kind is told; the rest is in the record.
    guard denials[denial] == 1 else { return }
    events.emit(
      "broker.denied",
      [
        "verdict": .string(denial.verdict), "rule": .string(denial.rule),
        "subject": .string(denial.subject), "reason": .string(reason),
      ])
  }

  /// What no policy was asked about.
  mutating func deny(_ denial: Denial, reason: String) {
    denied += 1
    tell(denial, reason)
  }

  /// The tool or action, as the agent calls it, and the field of the request that has it; of what is about a
  /// ring, which one.
  static func subject(
    of fields: JSONObject, kind: String
  ) -> (field: String?, text: String) {
    switch kind {
    case "ring.elevate": return (nil, "ring \(fields["target_ring"]?.integerValue ?? -1)")
    case "file.open":
      let path = fields["path"]?.stringValue ?? ""
      return ("path", UntrustedText.cleaned(path, maxCharacters: 512))
    case "net.connect": return ("host", fields["host"]?.stringValue ?? "")
    default: break
    }
    for name in ["tool", "action"] {
      guard let value = fields[name] else { continue }
      for (field, value) in [
        (name, value), (name + ".type", value["type"]), (name + ".name", value["name"]),
      ] {
        guard let text = value?.stringValue else { continue }
        return (field, UntrustedText.cleaned(text, maxCharacters: 64))
      }
    }
    return (nil, "")
  }

  /// A request that was no matter for the policy.
  mutating func refuse(_ error: BrokerError, _ peer: BrokerPeer) {
    tell(error.code.rawValue, error.message)
  }

  mutating func refuse(connection reason: String) { tell("connection", reason) }

  private mutating func tell(_ kind: String, _ reason: String) {
    refused[kind, default: 0] += 1
    guard refused[kind] == 1 else { return }
    events.emit("broker.refused", ["kind": .string(kind), "reason": .string(reason)])
  }

  mutating func note(_ text: String, _ peer: BrokerPeer) {
    notes += 1
    guard notes <= Self.notesShown else { return }
    events.emit("note", ["pid": JSONValue(peer.pid), "untrusted": .string(text)])
    audit.record(.note, ["pid": JSONValue(peer.pid), "text": .string(text)])
  }

  var json: JSONValue {
    .object([
      "requests": JSONValue(requests), "allowed": JSONValue(allowed), "denied": JSONValue(denied),
      "needApproval": JSONValue(needApproval), "tools": JSONValue(tools),
      "notes": JSONValue(notes),
      "refused": .object(
        refused.sorted { $0.key < $1.key }.reduce(into: JSONObject()) {
          $0[$1.key] = JSONValue($1.value)
        }),
      "denials": .array(
        denials.sorted { ($0.value, $1.key.rule) > ($1.value, $0.key.rule) }.map {
          .object([
            "verdict": .string($0.key.verdict), "rule": .string($0.key.rule),
            "subject": .string($0.key.subject), "count": JSONValue($0.value),
          ])
        }),
    ])
  }
}

extension Rule {
  /// `policy.yaml:12 no-mail`
  var place: String { "\(file):\(line) \(id)" }
}
