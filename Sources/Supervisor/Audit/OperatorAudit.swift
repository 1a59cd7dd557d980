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

  /// A ring was ended without its supervisor, which cannot say so itself. It was ended all the same when that
  /// cannot be written.
  static func recordKill(_ record: JSONObject, run: String, terminated: Bool) {
    var entry: JSONObject = ["run": .string(run), "terminated": .bool(terminated)]
    for name in ["reason", "by", "message"] { entry[name] = record[name] ?? .null }
    var entries: [(kind: EntryKind, data: JSONObject)] = [(.kill, entry)]
    if terminated {
      entries.append(
        (.runEnd, ["run": .string(run), "state": "killed", "reason": record["reason"] ?? .null]))
    }
    try? add(entries)
  }

  private static func add(
    _ entries: [(kind: EntryKind, data: JSONObject)]
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
      try host.add(told, timeMilliseconds: AuditClock.milliseconds, isDurable: true)
    } catch { throw RunAudit.refusal(error, place) }
  }
}
