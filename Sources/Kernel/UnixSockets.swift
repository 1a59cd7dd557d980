internal import CLinux
internal import Glibc

/// Unix sockets with names that keep message borders (unix(7), SOCK_SEQPACKET).
public enum UnixSockets {
  /// Who connected, as the kernel noted it then (SO_PEERCRED, unix(7)).
  public struct Peer: Equatable, Sendable {
    /// 0 when the process is not visible in our pid namespace.
    public let pid: Int32
    public let uid: UInt32
    public let gid: UInt32
    public init(pid: Int32, uid: UInt32, gid: UInt32) {
      self.pid = pid
      self.uid = uid
      self.gid = gid
    }
  }

  /// A socket that listens under `name` in an open directory; it does not block.
  ///
  /// It is bound through /proc/self/fd, so that the directory is the one that was judged, and so that its
  /// path may be longer than the 107 bytes of an address.
  /// - Parameter backlog: connections that may wait to be accepted.
  public static func listen(
    _ name: String, in directory: Int32, backlog: Int32
  ) throws(SyscallError) -> OwnedFD {
    let socket = try create()
    try address(socket.raw, name, directory, listening: true)
    _ = try check(Glibc.listen(socket.raw, backlog), "listen", name)
    return socket
  }

  /// A stream socket that listens under `name` in the working directory; it does not block.
  /// - Parameter mode: who may connect, as for a file; the umask is not applied.
  public static func listenHere(_ name: ByteString, mode: UInt32) throws(SyscallError) -> OwnedFD {
    precondition(!name.contains(UInt8(ascii: "/")), "a name, not a path")
    let kind = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
    let socket = OwnedFD(try check(Glibc.socket(AF_UNIX, kind, 0), "socket", "AF_UNIX"))
    let mask = umask(~mode & 0o777)
    // SAFETY: the path is NUL-terminated for the call.
    let result = name.withCString { unsafe agt_unix_address(socket.raw, $0, 1) }
    let failure = errno
    umask(mask)
    if result < 0 { throw SyscallError(call: "bind", object: name.text, errno: failure) }
    _ = try check(Glibc.listen(socket.raw, backlog), "listen", name.text)
    return socket
  }

  /// Connections of one ring that wait to be accepted.
  private static let backlog: Int32 = 64

  /// A pair of connected stream sockets, close-on-exec. Each knows this process as its peer.
  public static func streamPair() throws(SyscallError) -> Messages.Pair {
    var both: [Int32] = [-1, -1]
    let kind = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue)
    // SAFETY: the kernel writes two ints.
    _ = try check(unsafe socketpair(AF_UNIX, kind, 0, &both), "socketpair")
    return Messages.Pair(first: OwnedFD(both[0]), second: OwnedFD(both[1]))
  }

  /// Connects to `name` in an open directory; the socket does not block afterwards.
  /// - Throws: ECONNREFUSED when nobody listens any more, EAGAIN when too many wait already.
  public static func connect(_ name: String, in directory: Int32) throws(SyscallError) -> OwnedFD {
    let socket = try create()
    try address(socket.raw, name, directory, listening: false)
    return socket
  }

  /// A datagram socket that is connected to an address and does not block.
  /// - Parameter address: a path, or the name of an abstract address after a NUL; at most 108 bytes.
  public static func connectDatagram(to address: [UInt8]) throws(SyscallError) -> OwnedFD {
    let kind = Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
    let socket = OwnedFD(try check(Glibc.socket(AF_UNIX, kind, 0), "socket", "AF_UNIX"))
    // SAFETY: the length is that of the bytes.
    _ = try check(unsafe agt_unix_connect(socket.raw, address, address.count), "connect", "AF_UNIX")
    return socket
  }

  private static func create() throws(SyscallError) -> OwnedFD {
    let kind = Int32(
      SOCK_SEQPACKET.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
    return OwnedFD(try check(Glibc.socket(AF_UNIX, kind, 0), "socket", "AF_UNIX"))
  }

  private static func address(
    _ socket: Int32, _ name: String, _ directory: Int32, listening: Bool
  ) throws(SyscallError) {
    precondition(!name.utf8.contains(UInt8(ascii: "/")), "a name, not a path")
    let result = ByteString("/proc/self/fd/\(directory)/\(name)").withCString { path in
      // SAFETY: the path is NUL-terminated for the call.
      unsafe agt_unix_address(socket, path, listening ? 1 : 0)
    }
    _ = try check(result, listening ? "bind" : "connect", name)
  }

  /// The next connection, close-on-exec and not blocking; nil when none waits.
  public static func accept(_ socket: Int32) throws(SyscallError) -> OwnedFD? {
    try Sockets.accept(socket)
  }

  public static func peer(_ socket: Int32) throws(SyscallError) -> Peer {
    var peer = agt_peer()
    // SAFETY: the kernel fills the structure that we own.
    _ = try check(unsafe agt_peer_credentials(socket, &peer), "getsockopt(SO_PEERCRED)")
    return Peer(pid: peer.pid, uid: peer.uid, gid: peer.gid)
  }

  /// A pidfd of the process that connected (SO_PEERPIDFD, Linux 6.5); nil on older kernels.
  /// - Throws: when that process is gone.
  public static func peerPidfd(_ socket: Int32) throws(SyscallError) -> OwnedFD? {
    let number = agt_peer_pidfd(socket)
    if number >= 0 { return OwnedFD(number) }
    if errno == ENOPROTOOPT { return nil }
    throw SyscallError(call: "getsockopt(SO_PEERPIDFD)", errno: errno)
  }
}

extension Descriptors {
  /// Whether something can be read, or the other side is gone, within the time (poll(2)).
  /// - Parameter milliseconds: -1 waits for ever.
  public static func isReadable(_ number: Int32, withinMilliseconds milliseconds: Int32) -> Bool {
    var one = pollfd(fd: number, events: Int16(POLLIN), revents: 0)
    // SAFETY: one structure of ours.
    return unsafe poll(&one, 1, milliseconds) == 1
  }
}
