internal import CProbe
internal import Glibc

/// A socket type that does not exist. The kernel looks at the type before it asks whether it
/// knows the family and before any capability: EINVAL proves that no filter refused the family,
/// whatever this kernel was built with.
private let impossibleType = 15

/// Families that no ring below 0 has, by the numbers of socket(2). This year's kernel exploits
/// went through ALG and RXRPC; VSOCK reaches the host of a virtual machine.
private let families: [(name: String, number: Int, type: Int32)] = [
  ("alg", 38, 5), ("packet", 17, 3), ("vsock", 40, 1), ("rxrpc", 33, 2), ("key", 15, 3),
  ("xdp", 44, 3), ("bluetooth", 31, 3), ("tipc", 30, 5), ("can", 29, 3), ("rds", 21, 5),
  ("smc", 43, 1), ("kcm", 41, 2), ("qipcrtr", 42, 2), ("llc", 26, 1), ("pppox", 24, 1),
  ("phonet", 35, 2), ("nfc", 39, 3), ("x25", 9, 5), ("ax25", 3, 5), ("caif", 37, 1),
  ("ieee802154", 36, 2), ("mctp", 45, 2),
]

let socketProbes: [Probe] =
  families.map { family in
    Probe(
      call: "socket.\(family.name)", ring: 1, rows: [14],
      refusals: [EPERM, ENOSYS, EAFNOSUPPORT],
      "a socket of family \(family.number), by socket and socketpair, also of an impossible type"
    ) {
      let type = Int(family.type)
      return [
        call(SYS_socket, family.number, type, 0),
        call(SYS_socket, family.number, impossibleType, 0),
        call(SYS_socket, family.number | 1 << 32, impossibleType, 0),
        call(SYS_socketpair, family.number, impossibleType, 0, Memory.zeroed(8)),
      ]
    }
  } + [
    Probe(
      "socket.every-other-family", ring: 1, rows: [14, 18],
      "every family from 1 to 45 but UNIX, INET, INET6 and NETLINK, of an impossible type"
    ) { _ in
      for family in 1...45 where ![1, 2, 10, 16].contains(family) {
        let outcome = Outcome.judged(
          call(SYS_socket, family, impossibleType, 0), refusals: [EPERM, ENOSYS, EAFNOSUPPORT],
          "family \(family)")
        if outcome.kind != .refused { return outcome }
      }
      return .refused("all 41", errno: EAFNOSUPPORT)
    },
    Probe(
      call: "socket.raw", ring: 1, rows: [14],
      refusals: [EPERM, ENOSYS, EAFNOSUPPORT],
      "a raw IPv4 socket; with a bit that no type has, EINVAL before EPERM"
    ) {
      let raw = Int(SOCK_RAW.rawValue)
      return [
        call(SYS_socket, 2, raw, 1), call(SYS_socket, 2, raw | 0x10000, 1),
        call(SYS_socket, 2, raw | 0x10000 | Int(O_CLOEXEC), 1),
      ]
    },
    Probe(
      call: "socket.raw6", ring: 1, rows: [14],
      refusals: [EPERM, ENOSYS, EAFNOSUPPORT],
      "a raw IPv6 socket; with a bit that no type has, EINVAL before EPERM"
    ) {
      let raw = Int(SOCK_RAW.rawValue)
      return [call(SYS_socket, 10, raw, 58), call(SYS_socket, 10, raw | 0x10000, 58)]
    },
    Probe(
      call: "socket.inet-packet", ring: 1, rows: [14],
      refusals: [EPERM, ENOSYS, EAFNOSUPPORT],
      "the old form of a packet socket: SOCK_PACKET of AF_INET"
    ) {
      [call(SYS_socket, 2, 10, 0x300), call(SYS_socket, 2, 10 | 0x10000, 0x300)]
    },
    Probe(
      "socket.unix-out-of-band", ring: 3,
      "MSG_OOB on a Unix stream pair (CVE-2025-38236)"
    ) { _ in
      guard let pair = socketPair() else { return .unavailable("socketpair") }
      return .worst([
        .judged(
          call(SYS_sendto, pair.0, Memory.text("x"), 1, 1, 0, 0), refusals: outOfBandRefusals),
        .judged(
          call(SYS_recvfrom, pair.1, Memory.zeroed(8), 8, 1 | 0x40, 0, 0),
          refusals: outOfBandRefusals),
      ])
    },
  ]

/// A family without urgent data answers EOPNOTSUPP, and a filter may say the same.
private let outOfBandRefusals: Set<Int32> = [EPERM, ENOSYS, EOPNOTSUPP]

/// Netlink protocols: each is a parser of its own in the kernel.
private let netlinkProtocols: [(name: String, number: Int, ring: Int, feature: String?)] = [
  ("audit", 9, 1, "CONFIG_AUDIT"), ("xfrm", 6, 1, "CONFIG_XFRM_USER"),
  ("netfilter", 12, 1, "CONFIG_NETFILTER_NETLINK"), ("sock_diag", 4, 1, "CONFIG_SOCK_DIAG"),
  ("generic", 16, 1, nil), ("uevent", 15, 1, nil), ("connector", 11, 1, "CONFIG_CONNECTOR"),
  ("usersock", 2, 1, nil), ("crypto", 21, 1, "CONFIG_CRYPTO_USER"), ("rdma", 20, 1, "CONFIG_RDMA"),
]

let netlinkProbes: [Probe] = netlinkProtocols.map { entry in
  Probe(
    call: "netlink.\(entry.name)", ring: entry.ring, rows: [14], feature: entry.feature,
    refusals: [EPERM, ENOSYS, EAFNOSUPPORT, EPROTONOSUPPORT],
    "a netlink socket of protocol \(entry.number); also with an impossible type, EINVAL first"
  ) {
    [
      call(SYS_socket, 16, Int(SOCK_RAW.rawValue), entry.number),
      call(SYS_socket, 16, Int(SOCK_DGRAM.rawValue) | Int(O_CLOEXEC), entry.number),
      call(SYS_socket, 16, impossibleType, entry.number),
    ]
  }
}

func socketPair() -> (Int, Int)? {
  let pair = Memory.halves([0, 0])
  if call(SYS_socketpair, 1, Int(SOCK_STREAM.rawValue), 0, pair) < 0 { return nil }
  return (Int(Memory.load(UInt32.self, at: pair)), Int(Memory.load(UInt32.self, at: pair + 4)))
}
