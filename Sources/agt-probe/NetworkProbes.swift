internal import CProbe
internal import Glibc

/// An address for connect(2), in memory.
struct SocketAddress {
  var address: Int
  var length: Int

  /// struct sockaddr_in.
  static func inet(_ host: [UInt8], _ port: Int) -> SocketAddress {
    let bytes = [2, 0, UInt8(port >> 8 & 0xff), UInt8(port & 0xff)] + host
    return SocketAddress(address: Memory.bytes(bytes + [UInt8](repeating: 0, count: 8)), length: 16)
  }

  /// struct sockaddr_in6 of ::1.
  static func loopback6(_ port: Int) -> SocketAddress {
    let head: [UInt8] = [10, 0, UInt8(port >> 8 & 0xff), UInt8(port & 0xff), 0, 0, 0, 0]
    let host = [UInt8](repeating: 0, count: 15) + [1]
    return SocketAddress(address: Memory.bytes(head + host + [0, 0, 0, 0]), length: 28)
  }

  /// struct sockaddr_in6 of ::, which takes IPv4 too.
  static func any6(_ port: Int) -> SocketAddress {
    let head: [UInt8] = [10, 0, UInt8(port >> 8 & 0xff), UInt8(port & 0xff)]
    return SocketAddress(
      address: Memory.bytes(head + [UInt8](repeating: 0, count: 24)), length: 28)
  }

  /// struct sockaddr_un of a path, or of an abstract name behind a NUL byte.
  static func unix(_ name: [UInt8], abstract: Bool) -> SocketAddress {
    let bytes = [1, 0] + (abstract ? [0] : []) + name + (abstract ? [] : [0])
    return SocketAddress(address: Memory.bytes(bytes), length: bytes.count)
  }

  /// `192.0.2.7`; nil when it is no IPv4 address.
  static func parse(_ text: String, _ port: Int) -> SocketAddress? {
    let parts = text.split(separator: ".").compactMap { UInt8($0) }
    return parts.count == 4 ? inet(parts, port) : nil
  }
}

private let loopback: [UInt8] = [127, 0, 0, 1]
private let stream = Int(SOCK_STREAM.rawValue)
private let datagram = Int(SOCK_DGRAM.rawValue)

/// How long an answer from the network may take.
private let answerMilliseconds = 700

let networkProbes: [Probe] = [
  Probe(
    "network.tcp-loopback", ring: 2, needs: [.tcpPort],
    "connect to a server on the host's loopback"
  ) { fixtures in
    connect(2, stream, 0, .inet(loopback, fixtures.number(.tcpPort)))
  },
  Probe(
    "network.tcp6-loopback", ring: 2, needs: [.tcpPort], feature: "IPv6",
    "connect to a server on ::1 of the host"
  ) { fixtures in
    connect(10, stream, 0, .loopback6(fixtures.number(.tcpPort)))
  },
  Probe(
    "network.tcp-address", ring: 2, rows: [31], needs: [.tcpPort, .address],
    "connect to a server on another address of the host"
  ) { fixtures in
    guard let address = SocketAddress.parse(fixtures.text(.address), fixtures.number(.tcpPort))
    else { return .unavailable("not an IPv4 address") }
    return connect(2, stream, 0, address)
  },
  Probe(
    "network.any-address", ring: 2, rows: [31], needs: [.tcpPort],
    "connect to 0.0.0.0, which means the own host"
  ) { fixtures in
    connect(2, stream, 0, .inet([0, 0, 0, 0], fixtures.number(.tcpPort)))
  },
  Probe(
    "network.mptcp", ring: 2, needs: [.tcpPort], feature: "CONFIG_MPTCP",
    "connect by MPTCP, which Landlock's rules for TCP do not see"
  ) { fixtures in
    connect(2, stream, 262, .inet(loopback, fixtures.number(.tcpPort)))
  },
  Probe(
    "network.fast-open", ring: 2, needs: [.tcpPort],
    "connect without connect(2): sendto with MSG_FASTOPEN"
  ) { fixtures in
    let fd = call(SYS_socket, 2, stream, 0)
    if fd < 0 { return .judged(fd, refusals: Outcome.networkRefusals) }
    let address = SocketAddress.inet(loopback, fixtures.number(.tcpPort))
    let sent = call(
      SYS_sendto, fd, Memory.text("probe"), 5, 0x2000_0000, address.address, address.length)
    return .judged(sent, refusals: Outcome.networkRefusals.union([EOPNOTSUPP]))
  },
  Probe(
    "network.udp", ring: 2, needs: [.udpPort],
    "send a datagram to the host's loopback and get the answer"
  ) { fixtures in
    exchange(.inet(loopback, fixtures.number(.udpPort)), protocol: 0)
  },
  Probe(
    "network.udp-sendto", ring: 2, needs: [.udpPort],
    "the same without connect: sendto"
  ) { fixtures in
    let fd = call(SYS_socket, 2, datagram, 0)
    if fd < 0 { return .judged(fd, refusals: Outcome.networkRefusals) }
    let address = SocketAddress.inet(loopback, fixtures.number(.udpPort))
    let sent = call(SYS_sendto, fd, Memory.text("probe"), 5, 0, address.address, address.length)
    if sent < 0 { return .judged(sent, refusals: Outcome.networkRefusals) }
    return answer(fd)
  },
  Probe(
    "network.udp-lite", ring: 3, needs: [.udpPort], feature: "UDP-Lite (until Linux 7.1)",
    "a UDP-Lite socket"
  ) { _ in
    .judged(call(SYS_socket, 2, datagram, 136), refusals: otherProtocolRefusals)
  },
  Probe(
    "network.sctp", ring: 3, feature: "CONFIG_IP_SCTP",
    "an SCTP socket"
  ) { _ in
    .judged(call(SYS_socket, 2, stream, 132), refusals: otherProtocolRefusals)
  },
  Probe(
    "network.ping", ring: 3, feature: "ping_group_range",
    "an ICMP datagram socket, for those in ping_group_range"
  ) { _ in
    .judged(call(SYS_socket, 2, datagram, 1), refusals: otherProtocolRefusals)
  },
  Probe(
    "network.configure", ring: 1, twin: .root,
    "set the flags of the loopback interface to what they are"
  ) { _ in
    let fd = call(SYS_socket, 2, datagram, 0)
    if fd < 0 { return .judged(fd, refusals: Outcome.networkRefusals) }
    // struct ifreq: a name of 16 bytes, then the flags. SIOCGIFFLAGS and SIOCSIFFLAGS.
    let request = Memory.zeroed(64)
    for (offset, byte) in "lo".utf8.enumerated() { Memory.store(byte, at: request + offset) }
    _ = call(SYS_ioctl, fd, 0x8913, request)
    return .judged(call(SYS_ioctl, fd, 0x8914, request), refusals: [EPERM, ENOSYS, ENOTTY])
  },
  Probe(
    "network.route", ring: 1, twin: .root,
    "add a route, in a table that nobody uses, and remove it"
  ) { _ in
    let fd = call(SYS_socket, 16, Int(SOCK_RAW.rawValue), 0)
    if fd < 0 { return .judged(fd, refusals: Outcome.networkRefusals, "socket") }
    let added = changeRoute(fd, type: 24, flags: 0x605)
    if added >= 0 { _ = changeRoute(fd, type: 25, flags: 5) }
    return .judged(added, refusals: Outcome.networkRefusals)
  },
  Probe(
    "network.privileged-port", ring: 1, twin: .root,
    "listen on a port below ip_unprivileged_port_start"
  ) { _ in
    let fd = call(SYS_socket, 2, stream, 0)
    if fd < 0 { return .judged(fd, refusals: Outcome.networkRefusals) }
    let address = SocketAddress.inet(loopback, 843)
    return .judged(
      call(SYS_bind, fd, address.address, address.length), refusals: Outcome.networkRefusals)
  },
  Probe(
    "network.abstract-stream", ring: 1, rows: [16], needs: [.abstract],
    "connect to an abstract Unix socket of the host"
  ) { fixtures in
    connect(1, stream, 0, .unix(Array(fixtures.text(.abstract).utf8), abstract: true))
  },
  Probe(
    "network.abstract-datagram", ring: 1, rows: [16], needs: [.abstract],
    "send a datagram to an abstract Unix socket of the host"
  ) { fixtures in
    let name = Array((fixtures.text(.abstract) + ".datagram").utf8)
    return connect(1, datagram, 0, .unix(name, abstract: true))
  },
  Probe(
    "network.pathname-stream", ring: 2, rows: [17], needs: [.socket],
    "connect to a Unix socket of the host by its path"
  ) { fixtures in
    connect(1, stream, 0, .unix(Array(fixtures.text(.socket).utf8), abstract: false))
  },
  Probe(
    "network.pathname-datagram", ring: 2, rows: [17], needs: [.datagramSocket],
    "send a datagram to a Unix socket of the host by its path"
  ) { fixtures in
    let fd = call(SYS_socket, 1, datagram, 0)
    if fd < 0 { return .judged(fd, refusals: Outcome.networkRefusals) }
    let address = SocketAddress.unix(
      Array(fixtures.text(.datagramSocket).utf8), abstract: false)
    return .judged(
      call(SYS_sendto, fd, Memory.text("probe"), 5, 0, address.address, address.length),
      refusals: Outcome.networkRefusals.union([ENOTDIR]))
  },
  Probe(
    "network.workspace-stream", ring: 3, rows: [17], needs: [.planted],
    "connect to a socket of the host's that lies in the workspace"
  ) { _ in
    let path = workingDirectory() + "/planted-stream.sock"
    return connect(1, stream, 0, .unix(Array(path.utf8), abstract: false))
  },
  Probe(
    "network.workspace-datagram", ring: 3, rows: [17], needs: [.planted],
    "send a datagram to a socket of the host's that lies in the workspace"
  ) { _ in
    let path = workingDirectory() + "/planted-datagram.sock"
    return connect(1, datagram, 0, .unix(Array(path.utf8), abstract: false))
  },
  Probe(
    "network.engine-socket", ring: 1, rows: [17], needs: [.engineSocket],
    "connect to the container engine's socket: whoever may is root"
  ) { fixtures in
    connect(1, stream, 0, .unix(Array(fixtures.text(.engineSocket).utf8), abstract: false))
  },
]

/// One request of rtnetlink(7) for `unreachable 198.51.100.77 table 4711`, and what the kernel answers.
private func changeRoute(_ fd: Int, type: UInt8, flags: UInt16) -> Int {
  // struct nlmsghdr, struct rtmsg, RTA_DST, RTA_TABLE.
  let message: [UInt8] =
    [44, 0, 0, 0, type, 0, UInt8(flags & 255), UInt8(flags >> 8), 1, 0, 0, 0, 0, 0, 0, 0]
    + [2, 32, 0, 0, 0, 4, 0, 7, 0, 0, 0, 0]
    + [8, 0, 1, 0, 198, 51, 100, 77] + [8, 0, 15, 0, 0x67, 0x12, 0, 0]
  let sent = call(SYS_sendto, fd, Memory.bytes(message), message.count, 0, 0, 0)
  if sent < 0 { return sent }
  let answer = Memory.zeroed(256)
  let got = call(SYS_recvfrom, fd, answer, 256, 0, 0, 0)
  return got < 20 ? -Int(EPROTO) : Int(Memory.load(Int32.self, at: answer + 16))
}

/// A protocol that the kernel lacks or that the filter hides.
private let otherProtocolRefusals = Outcome.networkRefusals.union([EPROTONOSUPPORT])

/// Connects and sends a word; done when the other side took the connection.
private func connect(
  _ family: Int, _ type: Int, _ number: Int, _ address: SocketAddress
) -> Outcome {
  let refusals = Outcome.networkRefusals.union([EPROTONOSUPPORT, ENOTDIR])
  let fd = call(SYS_socket, family, type | Int(O_NONBLOCK), number)
  if fd < 0 { return .judged(fd, refusals: refusals, "socket") }
  var result = call(SYS_connect, fd, address.address, address.length)
  if result == -Int(EINPROGRESS) {
    if !ready(fd, UInt32(POLLOUT)) { return .refused("no answer", errno: ETIMEDOUT) }
    let error = Memory.halves([0])
    _ = call(SYS_getsockopt, fd, 1, 4, error, Memory.halves([4]))
    result = -Int(Memory.load(UInt32.self, at: error))
  }
  if result < 0 { return .judged(result, refusals: refusals, "connect") }
  // Who is connected has got out, whether or not the other side still listens.
  _ = write(fd, Array("probe".utf8))
  return .done("connected")
}

private func exchange(_ address: SocketAddress, protocol number: Int) -> Outcome {
  let fd = call(SYS_socket, 2, datagram, number)
  if fd < 0 { return .judged(fd, refusals: Outcome.networkRefusals) }
  let connected = call(SYS_connect, fd, address.address, address.length)
  if connected < 0 { return .judged(connected, refusals: Outcome.networkRefusals) }
  let sent = write(fd, Array("probe".utf8))
  if sent < 0 { return .judged(sent, refusals: Outcome.networkRefusals) }
  return answer(fd)
}

/// In a network of its own a datagram may well be sent: only an answer shows that it arrived.
private func answer(_ fd: Int) -> Outcome {
  if !ready(fd, UInt32(POLLIN)) { return .refused("no answer", errno: ETIMEDOUT) }
  let got = call(SYS_recvfrom, fd, Memory.zeroed(64), 64, 0, 0, 0)
  return .judged(got, refusals: Outcome.networkRefusals, "answered")
}

private func ready(_ fd: Int, _ events: UInt32) -> Bool {
  // struct pollfd: fd, then events and revents of 16 bits.
  let poll = Memory.halves([UInt32(fd), events])
  let limit = Memory.words([0, UInt64(answerMilliseconds) * 1_000_000])
  return call(SYS_ppoll, poll, 1, limit, 0, 0) > 0
}
