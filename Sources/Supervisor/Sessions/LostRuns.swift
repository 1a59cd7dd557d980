internal import Glibc
public import JSON
internal import Kernel

/// `agt gc`: runs whose supervisor was killed. Their rings ended with it, because PID 1 ends when the
/// supervisor's socket does; here that is confirmed and recorded, and what they left in the registry is
/// removed.
public enum LostRuns {
  public struct Finding: Sendable {
    public var run: String
    public var name: String?
    public var agent: String?
    /// That of the kill, or `ended` for a detached run whose log was kept.
    public var reason: String
    /// Whether PID 1 of the ring was still there and had to be killed now.
    public var wasAlive: Bool
    /// Whether nothing of the ring is left. It is not when PID 1 cannot end, because a process of the ring
    /// is in uninterruptible sleep; then the run stays registered.
    public var terminated: Bool
    /// The record that is kept.
    public var record: JSONValue

    public var json: JSONValue {
      .object([
        "run": .string(run), "name": JSONValue(name), "agent": JSONValue(agent),
        "reason": .string(reason), "wasAlive": .bool(wasAlive),
        "terminated": .bool(terminated), "kill": record,
      ])
    }
  }

  /// - Parameters:
  ///   - environment: of the caller, `NAME=VALUE`.
  ///   - isEverything: also what detached runs left that ended less than a day ago.
  public static func clear(
    environment: [[UInt8]], isEverything: Bool = false
  ) throws(RunError) -> [Finding] {
    let caller = Caller(environment)
    let store = KillStore(caller)
    var findings: [Finding] = []
    var kills: [(run: String, record: JSONValue, terminated: Bool)] = []
    for run in try RunRegistry(environment: environment).list()
    where run.ending != nil ? !run.isSupervised : !run.hasAnySupervisor {
      if run.ending != nil {
        guard isEverything || run.isLongEnded else { continue }
        run.remove()
        findings.append(
          Finding(
            run: run.id, name: run.status?.name, agent: run.status?.agent, reason: "ended",
            wasAlive: false, terminated: true, record: .null))
        continue
      }
      // A launch that has no socket yet is none of ours to judge.
      if run.status == nil, run.isBeginning { continue }
      let (found, record, terminated) = DirectKill.end(run, order(run), store)
      if found != .killedBefore { kills.append((run.id, .object(record), terminated)) }
      if terminated {
        RunCgroup.clear(run.id)
        run.remove()
      }
      findings.append(
        Finding(
          run: run.id, name: run.status?.name, agent: run.status?.agent,
          reason: JSONValue.object(record)["reason"]?.stringValue ?? "supervisor_lost",
          wasAlive: found == .alive, terminated: terminated, record: .object(record)))
    }
    OperatorAudit.record(kills: kills)
    store.prune()
    return findings
  }

  /// Somebody may have ended the ring before its supervisor was killed, and have said why.
  private static func order(_ run: RegisteredRun) -> KillOrder {
    guard let mark = KillMark(in: run.directory.raw) else {
      return KillOrder(.supervisorLost, by: "the end of the supervisor")
    }
    return KillOrder(
      mark.reason, by: mark.record["by"]?.stringValue ?? "an operator",
      message: mark.record["message"]?.stringValue)
  }
}

extension RegisteredRun {
  /// Logs are for the day after.
  private static let endedKeptNanoseconds: UInt64 = 86_400 * 1_000_000_000

  var isLongEnded: Bool {
    guard
      let status = try? Files.status(of: ByteString(RunDirectory.endingName), at: directory.raw),
      let ended = UInt64(exactly: status.modifiedNanoseconds)
    else { return false }
    return Clock.wallNanoseconds() > ended + Self.endedKeptNanoseconds
  }

  var hasAnySupervisor: Bool { isSupervised || hasSupervisor }

  /// Takes the run out of the registry.
  func remove() {
    guard let parent = try? Files.open(ByteString(place), O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
    else { return }
    RunDirectory.remove(id, name: status?.name, directory.raw, parent: parent.raw)
  }
}
