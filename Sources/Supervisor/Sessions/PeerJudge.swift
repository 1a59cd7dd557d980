internal import Glibc
internal import Kernel

/// Who may command a run: the user who started it and root, from outside of every ring.
///
/// An agent may have the same uid as its operator, and in ring 0 it sees the socket. It is told apart by
/// where it is: in another pid namespace than the supervisor, or below the PID 1 of a ring.
enum PeerJudge {
  /// Deeper trees of processes than this are no terminal's.
  private static let ancestorsMax = 128
  /// As RingInit names itself.
  static let nameOfInit = "agt-init"

  /// - Parameter ringInit: PID 1 of the run's own ring.
  /// - Returns: nil when the peer may command.
  static func refusal(socket: Int32, peer: UnixSockets.Peer, ringInit: Int32?) -> String? {
    guard peer.uid == Identity.effectiveUID || peer.uid == 0 else {
      return "only the user who started the run and root may command it"
    }
    guard peer.pid > 0 else { return outside("its pid is not visible here") }
    // Held open while its files are read, so that the pid does not become another's meanwhile.
    let pidfd: OwnedFD?
    do throws(SyscallError) { pidfd = try UnixSockets.peerPidfd(socket) } catch {
      return outside("it is gone")
    }
    if let reason = place(peer.pid) { return outside(reason) }
    if let reason = ancestry(peer.pid, ringInit) { return outside(reason) }
    if let pidfd, (try? Processes.signal(pidfd: pidfd.raw, 0)) == false {
      return outside("it is gone")
    }
    return nil
  }

  /// Whether an agent could have made this listener look like a supervisor: it has its operator's uid, but
  /// not its pid namespace. An agent of ring 0 has both, and is as mighty as its operator.
  static func isImpostor(listener peer: UnixSockets.Peer) -> Bool {
    (peer.uid != Identity.effectiveUID && peer.uid != 0) || peer.pid <= 0 || place(peer.pid) != nil
  }

  /// - Returns: nil for a process of our own pid namespace.
  private static func place(_ pid: Int32) -> String? {
    // One question for most; who may not ask it reads more.
    if let own, let theirs = namespace("\(pid)") {
      return theirs == own ? nil : "another pid namespace"
    }
    guard let status = try? Files.read(ByteString("/proc/\(pid)/status"), limit: 65536).text else {
      return "it is gone"
    }
    return ids(in: status, "NSpid") == 1 ? nil : "another pid namespace"
  }

  private static let own = namespace("self")

  private static func namespace(_ process: String) -> ByteString? {
    try? Files.readLink(ByteString("/proc/\(process)/ns/pid"))
  }

  private static func outside(_ reason: String) -> String {
    "a process of a ring may not command runs (\(reason))"
  }

  /// How many numbers the line of /proc/PID/status has: NSpid has one for each pid namespace from that of
  /// the procfs down to the process's own (proc_pid_status(5)).
  private static func ids(in status: String, _ key: String) -> Int {
    for line in status.split(separator: "\n") where line.hasPrefix(key + ":") {
      return line.dropFirst(key.utf8.count + 1).split { $0 == "\t" || $0 == " " }.count
    }
    // Linux before 4.1 has no such line, and cannot run rings anyway.
    return 0
  }

  /// Whether a process is the PID 1 of a ring or below it, where orphans stay as well.
  static func isBelow(_ pid: Int32, _ ringInit: Int32) -> Bool {
    var pid = pid
    for _ in 0..<ancestorsMax {
      if pid == ringInit { return true }
      guard pid > 1, let process = ProcessSample(pid) else { return false }
      pid = process.parent
    }
    return false
  }

  /// Orphans of a ring stay below its PID 1: that is PID 1 of their namespace, or their subreaper.
  private static func ancestry(_ pid: Int32, _ ringInit: Int32?) -> String? {
    var pid = pid
    for _ in 0..<ancestorsMax {
      if pid == ringInit { return "it belongs to this run" }
      guard let process = ProcessSample(pid) else { return "its ancestors cannot be read" }
      if process.name == nameOfInit { return "it belongs to a run" }
      if process.parent <= 1 { return nil }
      pid = process.parent
    }
    return "its ancestors are too many"
  }
}
