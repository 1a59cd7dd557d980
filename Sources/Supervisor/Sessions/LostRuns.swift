internal import Glibc
public import JSON
internal import Kernel

/// `agt gc`: runs whose supervisor was killed. Their rings ended with it, because PID 1 ends when the
/// supervisor's socket does; here that is confirmed, and what they left in the registry is removed.
public enum LostRuns {
  public struct Finding: Sendable {
    public var run: String
    public var name: String?
    public var agent: String?
    /// Whether PID 1 of the ring was still there and had to be killed now.
    public var wasAlive: Bool
    /// Whether nothing of the ring is left. It is not when PID 1 cannot end, because a process of the ring
    /// is in uninterruptible sleep; then the run stays registered.
    public var terminated: Bool

    public var json: JSONValue {
      .object([
        "run": .string(run), "name": JSONValue(name), "agent": JSONValue(agent),
        "reason": "supervisor_lost", "wasAlive": .bool(wasAlive), "terminated": .bool(terminated),
      ])
    }
  }

  /// The kernel ends a namespace within some hundred milliseconds, when nothing sleeps uninterruptibly.
  private static let confirmationMilliseconds: Int32 = 5000

  public static func clear(_ registry: RunRegistry) throws(RunError) -> [Finding] {
    var findings: [Finding] = []
    for run in try registry.list() where !run.isSupervised && !run.hasSupervisor {
      // A launch that has no socket yet is none of ours to judge.
      if run.status == nil, run.isBeginning { continue }
      let (wasAlive, terminated) = end(run)
      if terminated { run.remove() }
      findings.append(
        Finding(
          run: run.id, name: run.status?.name, agent: run.status?.agent, wasAlive: wasAlive,
          terminated: terminated))
    }
    return findings
  }

  private static func end(_ run: RegisteredRun) -> (wasAlive: Bool, terminated: Bool) {
    guard let status = run.status else { return (false, true) }
    // Opened before the process is judged: from then on the pid cannot become another's unnoticed.
    guard let pidfd = try? Processes.openPidfd(status.initPid), run.livingInit != nil else {
      return (false, true)
    }
    // It is on its way already, unless somebody stopped it.
    _ = try? Processes.signal(pidfd: pidfd.raw, SIGKILL)
    return (
      true,
      Descriptors.isReadable(pidfd.raw, withinMilliseconds: confirmationMilliseconds)
    )
  }
}

extension RegisteredRun {
  /// Takes the run out of the registry.
  func remove() {
    guard let parent = try? Files.open(ByteString(place), O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
    else { return }
    RunDirectory.remove(id, name: status?.name, directory.raw, parent: parent.raw)
  }
}
