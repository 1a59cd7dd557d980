internal import Audit
internal import AuditStore
public import JSON
internal import Kernel

/// What an operator does with `agt`, in the log of all runs.
public enum OperatorAudit {
  public enum Act: Sendable {
    /// A transaction is about to be committed.
    case committing
    /// A transaction was committed or discarded.
    case ended
    case note
    /// A saga is about to be run or to be gone on with.
    case sagaRunning
    /// A saga rests.
    case sagaResting
    /// Launches are refused.
    case held
    /// Launches will be refused no more.
    case releasing
  }

  /// On the disk when this returns: what it announces must not begin before.
  public static func record(_ act: Act, _ data: JSONObject) throws(RunError) {
    let kind: EntryKind =
      switch act {
      case .committing: .txnCommit
      case .ended: .txnEnd
      case .note: .note
      case .sagaRunning: .sagaStart
      case .sagaResting: .sagaEnd
      case .held: .hold
      case .releasing: .release
      }
    try add([(kind, data)])
  }

  /// Rings were ended without their supervisors, which cannot say so themselves. That was done before, and stays
  /// done when it cannot be written: what is stuck may be just what holds the log.
  static func record(kills: [(run: String, record: JSONValue, terminated: Bool)]) {
    var entries: [(kind: EntryKind, data: JSONObject)] = []
    for (run, record, terminated) in kills {
      var entry: JSONObject = ["run": .string(run), "terminated": .bool(terminated)]
      for name in ["reason", "by", "message"] { entry[name] = record[name] ?? .null }
      entries.append((.kill, entry))
      guard terminated else { continue }
      entries.append(
        (.runEnd, ["run": .string(run), "state": "killed", "reason": record["reason"] ?? .null]))
    }
    if !entries.isEmpty { try? add(entries, withinMilliseconds: killPatienceMilliseconds) }
  }

  private static let killPatienceMilliseconds: UInt64 = 1000

  private static func add(
    _ entries: [(kind: EntryKind, data: JSONObject)],
    withinMilliseconds patience: UInt64 = HostLog.patienceMilliseconds
  ) throws(RunError) {
    let caller = Caller(Vectors.environment)
    let place = try AuditPlace.make(caller)
    let told = entries.map { (kind, data) in
      var entry = data
      entry["uid"] = JSONValue(caller.uid)
      return (kind: kind, data: entry)
    }
    do throws(LogError) {
      let host = try HostLog(
        place.host, hostName: RunAudit.hostName, timeMilliseconds: AuditClock.milliseconds)
      try host.add(
        told, timeMilliseconds: AuditClock.milliseconds, isDurable: true,
        withinMilliseconds: patience)
    } catch { throw RunAudit.refusal(error, place) }
  }
}
