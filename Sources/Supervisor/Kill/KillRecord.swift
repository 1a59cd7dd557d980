internal import JSON
internal import Kernel

/// What is known of a run's end by the kill switch, for people, `--result-json`, `agt inspect` and the state
/// directory. `terminated` is true only after the kernel confirmed that no process is left.
struct KillRecord {
  let id: String
  var run: RunReference
  var order: KillOrder
  var times: KillMachine.Times
  /// Nanoseconds since 1970-01-01 00:00 UTC at `times.decided`.
  var decidedWallNanoseconds: UInt64
  var terminated: Bool
  var evidence: KillEvidence?
  /// Of sagas that the agent drove and had not committed: what is undone, and when that is over, what was.
  var compensations: [JSONValue] = []
  /// Whether it could be written to the state directory.
  var isStored = false

  init(
    _ run: RunReference, _ order: KillOrder, _ times: KillMachine.Times,
    decidedWallNanoseconds: UInt64, terminated: Bool, evidence: KillEvidence?
  ) {
    var generator = SystemRandomNumberGenerator()
    id = RunIdentifier.make(
      wallMilliseconds: decidedWallNanoseconds / 1_000_000, using: &generator)
    self.run = run
    self.order = order
    self.times = times
    self.decidedWallNanoseconds = decidedWallNanoseconds
    self.terminated = terminated
    self.evidence = evidence
  }

  /// Without the evidence, of which it has the digest.
  var json: JSONObject {
    let digest = evidence.map { KillEvidence.digest($0.json) }
    return [
      "kill": .string(id), "run": .string(run.id), "name": JSONValue(run.name),
      "agent": JSONValue(run.agent), "ring": run.ring.map { JSONValue($0) } ?? .null,
      "reason": .string(order.reason.rawValue), "by": .string(order.by),
      "message": JSONValue(order.message), "rule": JSONValue(order.rule),
      "decided": time(times.decided), "frozen": time(times.frozen),
      "evidenceGathered": time(times.gathered), "signaled": time(times.signaled),
      "confirmed": time(times.confirmed),
      "microseconds": times.confirmed.map { JSONValue(($0 - times.decided) / 1000) } ?? .null,
      "processes": evidence.map { JSONValue($0.count) } ?? .null,
      "processesComplete": .bool(evidence?.isComplete ?? false),
      "compensations": .array(compensations),
      "terminated": .bool(terminated), "evidenceDigest": JSONValue(digest),
      "stored": .bool(isStored),
    ]
  }

  /// What the state directory keeps.
  var stored: JSONValue {
    var object = json
    object["stored"] = true
    object["evidence"] = evidence?.json ?? .null
    return .object(object)
  }

  private func time(_ moment: UInt64?) -> JSONValue {
    guard let moment else { return .null }
    return .string(Amounts.timestamp(decidedWallNanoseconds + (moment - times.decided)))
  }
}

/// Which run it was.
struct RunReference: Equatable {
  var id: String
  var name: String?
  var agent: String?
  var ring: UInt8?
}
