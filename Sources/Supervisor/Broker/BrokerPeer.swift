internal import Kernel

/// Who is at the other end of a connection, as the kernel says: no token is needed, and none proves anything.
struct BrokerPeer: Equatable {
  let pid: Int32
  let uid: UInt32
  let gid: UInt32
  /// Of the process when it connected, in the hierarchy of version 2 (cgroups(7)); nil when it may not be seen.
  let cgroup: String?

  /// The path of the program that the process executes now; nil when it is gone or may not be seen.
  var executable: String? { (try? Files.readLink(ByteString("/proc/\(pid)/exe")))?.text }

  init(pid: Int32, uid: UInt32, gid: UInt32) {
    self.pid = pid
    self.uid = uid
    self.gid = gid
    cgroup = Self.cgroup(of: pid)
  }

  private static let cgroupMaxBytes = 65_536

  private static func cgroup(of pid: Int32) -> String? {
    let bytes = try? Files.read(ByteString("/proc/\(pid)/cgroup"), limit: cgroupMaxBytes)
    let line = bytes?.text.split(separator: "\n").first { $0.hasPrefix("0::") }
    return line.map { String($0.dropFirst(3)) }
  }

  /// Of a connection that the stage made in the program's own process (`Program.connectBroker`).
  init(madeByStage socket: Int32) throws(SyscallError) {
    let peer = try UnixSockets.peer(socket)
    self.init(pid: peer.pid, uid: peer.uid, gid: peer.gid)
  }

  /// Of a connection to the listening socket: only for processes of the ring. Somebody outside can reach the
  /// socket through /proc/PID/root, or enter the ring's namespaces; neither makes him a child of its PID 1.
  static func judged(_ socket: Int32, ringInit: Int32) throws(Refusal) -> BrokerPeer {
    guard let peer = try? UnixSockets.peer(socket), peer.pid > 0 else {
      throw Refusal(reason: "its process is not visible here")
    }
    // Held open while its ancestors and its cgroup are read, so that the pid does not become another's meanwhile.
    let pidfd: OwnedFD?
    do throws(SyscallError) { pidfd = try UnixSockets.peerPidfd(socket) } catch {
      throw Refusal(reason: "its process is gone")
    }
    guard PeerJudge.isBelow(peer.pid, ringInit) else {
      throw Refusal(reason: "its process \(peer.pid) is not of this run")
    }
    let judged = BrokerPeer(pid: peer.pid, uid: peer.uid, gid: peer.gid)
    if let pidfd, (try? Processes.signal(pidfd: pidfd.raw, 0)) == false {
      throw Refusal(reason: "its process is gone")
    }
    return judged
  }

  struct Refusal: Error, Equatable {
    let reason: String
  }
}
