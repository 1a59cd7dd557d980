internal import Glibc
internal import JSON
internal import Kernel

/// Ends a ring without its supervisor: one that was killed, that does not answer, or that is stuck in a launch.
///
/// PID 1 of the ring takes everything with it, and its pidfd tells when that has happened. It must never signal
/// a process that only has a number that was once the ring's.
enum DirectKill {
  /// The kernel ends a namespace within some hundred milliseconds, when nothing sleeps uninterruptibly.
  static let confirmationMilliseconds: Int32 = 5000

  /// What was found of the ring.
  enum Found { case alive, gone, killedBefore }

  /// - Returns: the record is kept already; where somebody else had ended it, it is theirs.
  static func end(
    _ run: RegisteredRun, _ order: KillOrder, _ store: KillStore
  ) -> (found: Found, record: JSONObject, terminated: Bool) {
    var times = KillMachine.Times(decided: Clock.monotonicNanoseconds())
    let wall = Clock.wallNanoseconds()
    var evidence: KillEvidence?
    var wasAlive = false
    var terminated = true
    if let status = run.status {
      // Opened before the process is judged: from then on the pid cannot become another's unnoticed.
      if let pidfd = try? Processes.openPidfd(status.initPid), run.livingInit != nil {
        wasAlive = true
        evidence = KillEvidence(below: status.initPid)
        times.gathered = Clock.monotonicNanoseconds()
        leaveMark(run, order, times, wall, evidence)
        times.signaled = Clock.monotonicNanoseconds()
        // It is on its way already, unless somebody stopped it.
        _ = try? Processes.signal(pidfd: pidfd.raw, SIGKILL)
        // Frozen ones end only with their cgroup, and so do those of a run without a process namespace.
        _ = RunCgroup.end(run.id)
        terminated = Descriptors.isReadable(
          pidfd.raw, withinMilliseconds: confirmationMilliseconds)
      }
    } else if let holder = run.lockHolder {
      wasAlive = true
      times.signaled = Clock.monotonicNanoseconds()
      terminated = endLaunch(holder, of: run)
    }
    if !RunCgroup.end(run.id) { terminated = false }
    // Somebody else has ended it a moment ago: the first reason stays, and so does its evidence.
    if !wasAlive, let first = store.read(run.id), first["terminated"] == true,
      case .object(var object) = first
    {
      object["evidence"] = nil
      return (.killedBefore, object, true)
    }
    if terminated { times.confirmed = Clock.monotonicNanoseconds() }
    var record = KillRecord(
      RunReference(
        id: run.id, name: run.status?.name, agent: run.status?.agent, ring: run.status?.ring),
      order, times, decidedWallNanoseconds: wall, terminated: terminated, evidence: evidence)
    record.isStored = (try? store.write(record)) != nil
    return (wasAlive ? .alive : .gone, record.json, terminated)
  }

  private static func leaveMark(
    _ run: RegisteredRun, _ order: KillOrder, _ times: KillMachine.Times, _ wall: UInt64,
    _ evidence: KillEvidence?
  ) {
    let record = KillRecord(
      RunReference(
        id: run.id, name: run.status?.name, agent: run.status?.agent, ring: run.status?.ring),
      order, times, decidedWallNanoseconds: wall, terminated: false, evidence: evidence)
    KillMark.leave(record.json, in: run.directory.raw)
  }

  /// A supervisor that launches has no socket and no status yet, but the lock of its directory. What it has
  /// started ends with it; that is waited for.
  private static func endLaunch(_ supervisor: Int32, of run: RegisteredRun) -> Bool {
    guard let pidfd = try? Processes.openPidfd(supervisor), run.lockHolder == supervisor else {
      return true
    }
    var waiting = [pidfd.raw]
    var children: [OpenPidfd] = []
    for child in KillEvidence.children(of: supervisor) ?? [] {
      guard let opened = try? Processes.openPidfd(child) else { continue }
      children.append(OpenPidfd(opened))
    }
    waiting += children.map(\.raw)
    _ = try? Processes.signal(pidfd: pidfd.raw, SIGKILL)
    let deadline =
      Clock.monotonicNanoseconds() + UInt64(confirmationMilliseconds) * 1_000_000
    return waiting.allSatisfy { number in
      let now = Clock.monotonicNanoseconds()
      let rest = now < deadline ? Int32((deadline - now) / 1_000_000) : 0
      return Descriptors.isReadable(number, withinMilliseconds: rest)
    }
  }

  /// A descriptor in a list.
  private final class OpenPidfd {
    private let descriptor: OwnedFD
    var raw: Int32 { descriptor.raw }
    init(_ descriptor: consuming OwnedFD) { self.descriptor = descriptor }
  }
}

extension RegisteredRun {
  /// As agt-run is called when it is executed; at most 15 bytes (proc_pid_comm(5)).
  private static let supervisorName = "agt-run"

  /// The supervisor that has the directory's lock (proc_locks(5)); nil when none has. A command that only asks
  /// whether there is one has it for a moment, and is not meant.
  var lockHolder: Int32? {
    guard let status = try? Files.status(directory.raw),
      let text = try? Files.read(ByteString("/proc/locks"), limit: 16 << 20)
    else { return nil }
    let device = status.identity.device
    // makedev(3): the low eight bits of the minor number are the lowest, twelve of the major follow.
    let major = device >> 8 & 0xfff | device >> 32 & ~0xfff
    let minor = device & 0xff | device >> 12 & ~0xff
    for line in text.split(separator: 10) {
      // 7: FLOCK  ADVISORY  WRITE 4711 00:1a:815 0 EOF
      let words = line.split(separator: 32).map { String(decoding: $0, as: UTF8.self) }
      guard words.count >= 6, words[1] == "FLOCK", let pid = Int32(words[4]), pid > 1 else {
        continue
      }
      let place = words[5].split(separator: ":")
      guard place.count == 3, UInt64(place[0], radix: 16) == major,
        UInt64(place[1], radix: 16) == minor, UInt64(place[2]) == status.identity.inode
      else { continue }
      if ProcessSample(pid)?.name == Self.supervisorName { return pid }
    }
    return nil
  }
}
