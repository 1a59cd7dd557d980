internal import CLinux
internal import Glibc

/// An address and a port of IPv4 or IPv6 (ip(7), ipv6(7)).
public struct SocketAddress: Equatable, Hashable, Sendable {
  /// 4 or 16, in network order.
  public let address: [UInt8]
  public let port: UInt16

  public init(_ address: [UInt8], port: UInt16) {
    precondition(address.count == 4 || address.count == 16, "an address has 4 or 16 bytes")
    self.address = address
    self.port = port
  }

  public var isIPv4: Bool { address.count == 4 }

  /// 127.0.0.0/8, or ::1.
  public var isLoopback: Bool {
    isIPv4 ? address[0] == 127 : address == [UInt8](repeating: 0, count: 15) + [1]
  }

  /// The bytes of a struct sockaddr_in or sockaddr_in6.
  var encoded: [UInt8] {
    let portBytes = [UInt8(port >> 8), UInt8(port & 255)]
    if isIPv4 {
      return Self.family(AF_INET) + portBytes + address + [UInt8](repeating: 0, count: 8)
    }
    return Self.family(AF_INET6) + portBytes + [0, 0, 0, 0] + address + [0, 0, 0, 0]
  }

  /// sa_family_t is in the machine's order.
  private static func family(_ number: Int32) -> [UInt8] {
    let value = UInt16(number)
    return value.littleEndian == value
      ? [UInt8(value & 255), UInt8(value >> 8)] : [UInt8(value >> 8), UInt8(value & 255)]
  }

  /// Nil for what is neither.
  init?(encoded bytes: [UInt8]) {
    guard bytes.count >= 16 else { return nil }
    port = UInt16(bytes[2]) << 8 | UInt16(bytes[3])
    if bytes[..<2] == Self.family(AF_INET)[...] {
      address = Array(bytes[4..<8])
    } else if bytes.count >= 28, bytes[..<2] == Self.family(AF_INET6)[...] {
      address = Array(bytes[8..<24])
    } else {
      return nil
    }
  }
}

/// TCP and UDP, never blocking: every socket here is non-blocking and close-on-exec.
public enum Sockets {
  public enum Kind: Sendable { case stream, datagram }

  /// The length of a struct sockaddr_in6, the longer of the two.
  private static let longest = 28
  private static let backlog: Int32 = 1024

  public static func open(_ kind: Kind, isIPv4: Bool) throws(SyscallError) -> OwnedFD {
    let type = Int32(kind == .stream ? SOCK_STREAM.rawValue : SOCK_DGRAM.rawValue)
    let family = isIPv4 ? AF_INET : AF_INET6
    return OwnedFD(
      try check(agt_socket(family, type, 0), "socket", isIPv4 ? "AF_INET" : "AF_INET6"))
  }

  /// A bound socket; of IPv6 it takes no IPv4. The address may be one that only a route makes local
  /// (IPV6_FREEBIND of ipv6(7); IPv4 needs nothing for it).
  /// - Parameter isLocal: nobody comes from beyond this machine (`localCongestionControl`).
  public static func bound(
    _ kind: Kind, to place: SocketAddress, isLocal: Bool = false
  ) throws(SyscallError) -> OwnedFD {
    let socket = try open(kind, isIPv4: place.isIPv4)
    if !place.isIPv4 {
      try set(socket.raw, ipv6Level, IPV6_V6ONLY, 1)
      try set(socket.raw, ipv6Level, freeBind, 1)
    }
    let bytes = place.encoded
    // SAFETY: the length is that of the bytes.
    _ = try check(unsafe agt_bind(socket.raw, bytes, UInt32(bytes.count)), "bind", "\(place.port)")
    if kind == .stream {
      if isLocal { try setLocalCongestionControl(socket.raw) }
      _ = try check(Glibc.listen(socket.raw, backlog), "listen", "\(place.port)")
    }
    return socket
  }

  private static let ipv6Level: Int32 = 41
  private static let freeBind: Int32 = 78
  private static let tcpLevel: Int32 = 6

  private static func set(
    _ socket: Int32, _ level: Int32, _ name: Int32, _ value: Int32
  ) throws(SyscallError) {
    _ = try check(agt_set_option(socket, level, name, value), "setsockopt", "\(level) \(name)")
  }

  /// Small segments go at once (tcp(7), TCP_NODELAY).
  public static func setNoDelay(_ socket: Int32) throws(SyscallError) {
    try set(socket, tcpLevel, 1, 1)
  }

  /// For a connection that does not leave the machine, where nothing is lost and nobody shares the way. A host whose
  /// default is BBR paces what it sends: a timer for each segment, which between two ends on one machine takes more than
  /// the sending (tcp(7), TCP_CONGESTION). Every kernel has this one, and allows it to everybody.
  public static let localCongestionControl: StaticString = "reno"

  /// `localCongestionControl` for what is not connected yet, or for whoever comes to a listener: a connection that has
  /// once been paced stays so.
  public static func setLocalCongestionControl(_ socket: Int32) throws(SyscallError) {
    let name = localCongestionControl
    let result = name.withUTF8Buffer {
      // SAFETY: the length is that of the text.
      unsafe $0.withMemoryRebound(to: CChar.self) {
        unsafe agt_set_congestion_control(socket, $0.baseAddress, $0.count)
      }
    }
    _ = try check(result, "setsockopt", "TCP_CONGESTION")
  }

  /// Ends the kernel's own tuning of what may wait to be read; it takes twice the number (socket(7), SO_RCVBUF).
  public static func setReceiveBuffer(_ socket: Int32, bytes: Int32) throws(SyscallError) {
    try set(socket, SOL_SOCKET, SO_RCVBUF, bytes)
  }

  /// The round trip of a connection, smoothed; nil when it is not known.
  public static func roundTripMicroseconds(_ socket: Int32) -> Int? {
    let value = agt_round_trip(socket)
    return value >= 0 ? Int(value) : nil
  }

  /// close(2) then sends a reset, which says that something is wrong.
  public static func resetOnClose(_ socket: Int32) { _ = agt_linger_none(socket) }

  /// Takes `resetOnClose` back.
  public static func closeCleanly(_ socket: Int32) { _ = agt_linger_default(socket) }

  /// Nil when nobody waits.
  public static func accept(_ socket: Int32) throws(SyscallError) -> OwnedFD? {
    do throws(SyscallError) {
      return OwnedFD(try retrying("accept4", "\(socket)") { agt_accept(socket) })
    } catch {
      // The client may be gone again (accept(2)).
      if error.errno == EAGAIN || error.errno == ECONNABORTED { return nil }
      throw error
    }
  }

  public enum Connecting: Sendable { case done, underWay }

  /// Begins to connect, or asks how a connection that is under way is doing (connect(2), EINPROGRESS).
  public static func connect(
    _ socket: Int32, to place: SocketAddress
  ) throws(SyscallError) -> Connecting {
    let bytes = place.encoded
    // SAFETY: the length is that of the bytes.
    if unsafe agt_connect(socket, bytes, UInt32(bytes.count)) == 0 { return .done }
    switch Glibc.errno {
    case EINPROGRESS, EALREADY, EINTR: return .underWay
    case EISCONN: return .done
    case let number: throw SyscallError(call: "connect", object: "\(place.port)", errno: number)
    }
  }

  /// Whether an address is one of this machine's own: what is sent there comes from there. Nothing is sent.
  public static func isOwn(_ address: [UInt8]) -> Bool {
    // Any port will do: connecting a datagram socket only chooses a route (connect(2)).
    let place = SocketAddress(address, port: 9)
    guard let socket = try? open(.datagram, isIPv4: place.isIPv4),
      (try? connect(socket.raw, to: place)) != nil,
      let local = try? localAddress(socket.raw)
    else { return false }
    return local.address == address
  }

  /// Where the socket itself stands: for an accepted connection, where its client wanted to go.
  public static func localAddress(_ socket: Int32) throws(SyscallError) -> SocketAddress? {
    var bytes = [UInt8](repeating: 0, count: longest)
    var length = UInt32(longest)
    // SAFETY: at most `length` bytes are written.
    _ = try check(unsafe agt_local_address(socket, &bytes, &length), "getsockname", "\(socket)")
    return SocketAddress(encoded: Array(bytes.prefix(Int(length))))
  }

  /// The error that waits at a socket, and clears it; 0 when none does.
  public static func pendingError(_ socket: Int32) -> Int32 {
    agt_get_option(socket, SOL_SOCKET, SO_ERROR)
  }

  /// No more will be written (shutdown(2), SHUT_WR); a peer that is gone does not need to know.
  public static func endWriting(_ socket: Int32) { _ = Glibc.shutdown(socket, 1) }

  /// One datagram and its sender; nil when none waits.
  public static func receive(
    _ socket: Int32, upTo count: Int
  ) throws(SyscallError) -> (bytes: [UInt8], from: SocketAddress)? {
    var address = [UInt8](repeating: 0, count: longest)
    var length = UInt32(longest)
    var bytes = [UInt8](repeating: 0, count: count)
    let received: Int
    do throws(SyscallError) {
      received = try retrying("recvfrom", "\(socket)") {
        // SAFETY: both buffers have the sizes that are given.
        unsafe agt_receive_from(socket, &bytes, count, &address, &length)
      }
    } catch {
      if error.errno == EAGAIN { return nil }
      throw error
    }
    guard let from = SocketAddress(encoded: Array(address.prefix(Int(length)))) else { return nil }
    return (Array(bytes.prefix(received)), from)
  }

  public static func send(
    _ socket: Int32, _ bytes: [UInt8], to place: SocketAddress
  ) throws(SyscallError) {
    let address = place.encoded
    _ = try retrying("sendto", "\(socket)") {
      // SAFETY: lengths are those of the arrays.
      unsafe agt_send_to(socket, bytes, bytes.count, address, UInt32(address.count))
    }
  }

  /// Moves at most `count` bytes between a socket and a pipe without copying them (splice(2)).
  /// - Returns: nil when it would have to wait; 0 at the end.
  public static func splice(
    from: Int32, to: Int32, upTo count: Int
  ) throws(SyscallError) -> Int? {
    do throws(SyscallError) {
      return try retrying("splice", "\(from)") { agt_splice(from, to, count) }
    } catch {
      if error.errno == EAGAIN { return nil }
      throw error
    }
  }

  /// A pipe for `splice`, as large as the machine lets it be, up to `bytes`.
  public static func splicePipe(bytes: Int32) throws(SyscallError) -> Descriptors.Pipe {
    let pipe = try Descriptors.pipe()
    try Descriptors.setNonBlocking(pipe.reader.raw, true)
    try Descriptors.setNonBlocking(pipe.writer.raw, true)
    // Beyond the user's share of pipe memory the pipe stays as it is (pipe(7)).
    _ = agt_pipe_size(pipe.writer.raw, bytes)
    return pipe
  }
}
