import Audit
import JSON
import Policy
import Testing

@testable import AuditStore
@testable import Supervisor

/// Entries of decisions are put together from pieces: what comes out is canonical, and says what was judged.
@Suite struct DecisionTemplateTests {
  private static let fields: [JSONObject] = [
    ["tool": "read_file", "path": "/w/a"],
    ["zeta": 1, "tool": ["name": "a\u{1B}[31m\"\\\n", "type": "x"]],
    ["path": "/\u{202E}é\u{FFFF}", "z\u{FFFF}": 1, "z\u{10000}": 2], [:],
    ["action": .null, "number": 1.5], ["target_ring": 1, "host": "a.b"], ["beyond": .integer(.max)],
  ]

  private static func caller(_ kind: String, _ facts: JSONObject = [:]) -> KnownCaller {
    KnownCaller(kind: kind, pid: 12, cgroup: "/x \"y\"", facts)
  }

  private func parsed(
    _ template: DecisionTemplate, _ one: Occurrence
  ) throws -> Entry {
    var line: [UInt8] = []
    try Entry.append(index: 7, kind: .decision, time: "2026-01-01T00:00:00.000Z", to: &line) {
      output throws(JSONError) in try template.append(one, to: &output)
    }
    // Refuses what is not canonical.
    return try Entry(parsing: line)
  }

  @Test(arguments: fields, ["tool.call", "file.open", "ring.elevate", "net.connect"])
  func aDenialIsToldWhole(_ fields: JSONObject, _ kind: String) throws {
    let facts: JSONObject = [
      "user": "é", "kind": .string(kind), "pid": 12, "run": "01", "aa": 1, "yy": [1, "x"],
    ]
    let template = DecisionTemplate(
      .deny, of: Self.caller(kind, facts), rules: [], decidingRule: nil,
      reason: "no\u{7}\u{E9}", told: [.audit, .warn("\u{2028}")], salt: "salt")
    let data = try parsed(template, Occurrence(fields, number: 3)).data
    let subject = BrokerCounters.subject(of: fields, kind: kind)
    let whole = JSONObject(unique: fields.members + facts.members)
    #expect(
      data == [
        "cgroup": "/x \"y\"", "decision": 3, "field": JSONValue(subject.field),
        "kind": .string(kind),
        "obligations": .array([Obligation.audit.json, Obligation.warn("\u{2028}").json]),
        "pid": 12, "reason": "no\u{7}\u{E9}",
        "requestDigest": .string(AuditEntries.digest("salt", whole)), "rule": .null,
        "rules": [], "subject": .string(subject.text), "verdict": "deny",
      ])
  }

  @Test func equalOnesAreCounted() throws {
    let template = DecisionTemplate(
      .allow, of: Self.caller("policy.decide"), rules: [], decidingRule: nil, reason: "not told",
      salt: "")
    var one = Occurrence(Self.fields[0], number: 9)
    one.add(10)
    one.add(11)
    let data = try parsed(template, one).data
    #expect(data["count"] == 3 && data["decision"] == 9 && data["lastDecision"] == 11)
    #expect(data["reason"] == nil && data["obligations"] == nil)
  }

  /// The digest of docs/audit.md, of what has no canonical form as well.
  @Test func theDigestIsThatOfSaltLengthAndRequest() {
    let digest = AuditEntries.digest("s", ["a": 1])
    // printf 's\0\0\0\0\0\0\0\7{"a":1}' | sha256sum
    #expect(digest == "c037200aed9844d2319b4d3958dfb045bee6bd9a8daedbdbaa6db142a2ade76a")
    #expect(AuditEntries.digest("s", ["a": .integer(.max)]) != digest)
  }
}

/// What an agent cannot say of itself, under whatever name policies would find it.
@Suite struct ReservedNamesTests {
  @Test(arguments: [
    ("kind", true), ("agent", true), ("agent.id", true), ("agent_id", true), ("agent_did", true),
    ("ring.x", true), ("pid", true), ("executable.a.b", true), ("tool", false), ("agents", false),
    ("", false), (".agent", false), ("sql.verb", false), ("rings", false), ("agent_id.x", true),
  ])
  func name(_ name: String, _ isReserved: Bool) {
    #expect(BrokerMethods.isReserved(name) == isReserved)
  }
}
