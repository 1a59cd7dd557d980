internal import CLinux
internal import Glibc

/// Addresses and routes of the current network namespace, over rtnetlink(7).
public struct Routes: ~Copyable {
  private let socket: OwnedFD
  private var sequence: UInt32 = 0

  /// In every network namespace (LOOPBACK_IFINDEX of the kernel's net/flow.h).
  private static let loopbackIndex: UInt32 = 1

  private init(socket: consuming OwnedFD) { self.socket = socket }

  public static func open() throws(SyscallError) -> Routes {
    // Blocking: the kernel answers within the call.
    let type = Int32(SOCK_RAW.rawValue | SOCK_CLOEXEC.rawValue)
    return Routes(
      socket: OwnedFD(try check(Glibc.socket(AF_NETLINK, type, 0), "socket", "NETLINK_ROUTE")))
  }

  private static let newAddress: UInt16 = 20
  private static let newRoute: UInt16 = 24
  private static let errorMessage: UInt16 = 2

  /// Gives `lo` an address of its own.
  public mutating func addLoopbackAddress(_ address: [UInt8]) throws(SyscallError) {
    // struct ifaddrmsg: family, prefix, flags (IFA_F_NODAD), scope, index.
    let body =
      [family(address), UInt8(address.count * 8), 2, 0] + native(Self.loopbackIndex)
      + attribute(2, address) + attribute(1, address)
    try request(Self.newAddress, body, "address of lo")
  }

  /// Makes every address of the family one of this machine's own, so that connections to any of them end
  /// here: `local default dev lo`.
  /// - Parameter source: what clients are seen as.
  public mutating func makeEverythingLocal(source: [UInt8]) throws(SyscallError) {
    // struct rtmsg: family, destination and source bits, tos; table 255 (local), protocol 4 (static), scope
    // 254 (host) or 0, type 2 (local); flags.
    let scope: UInt8 = source.count == 4 ? 254 : 0
    // RTAX_CC_ALGO, a text with its NUL: nothing of this network leaves the machine.
    let congestionControl = attribute(16, Array("\(Sockets.localCongestionControl)".utf8) + [0])
    let body =
      [family(source), 0, 0, 0, 255, 4, scope, 2] + native(UInt32(0))
      + attribute(7, source) + attribute(4, native(Self.loopbackIndex))
      + attribute(8, congestionControl)
    try request(Self.newRoute, body, "local default dev lo")
  }

  private func family(_ address: [UInt8]) -> UInt8 {
    UInt8(address.count == 4 ? AF_INET : AF_INET6)
  }

  /// struct rtattr, padded to four bytes.
  private func attribute(_ type: UInt16, _ data: [UInt8]) -> [UInt8] {
    let padding = [UInt8](repeating: 0, count: (4 - data.count % 4) % 4)
    return native(UInt16(4 + data.count)) + native(type) + data + padding
  }

  /// In the machine's order.
  private func native<T: FixedWidthInteger>(_ value: T) -> [UInt8] {
    let little = T(littleEndian: value) == value
    let size = T.bitWidth / 8
    return (0..<size).map {
      UInt8(truncatingIfNeeded: value >> T(8 * (little ? $0 : size - 1 - $0)))
    }
  }

  /// struct nlmsghdr with NLM_F_REQUEST, ACK, CREATE and EXCL, and its acknowledgement.
  private mutating func request(
    _ type: UInt16, _ body: [UInt8], _ object: String
  ) throws(SyscallError) {
    sequence += 1
    let header =
      native(UInt32(16 + body.count)) + native(type) + native(UInt16(1 | 4 | 0x400 | 0x200))
      + native(sequence) + native(UInt32(0))
    try Descriptors.write(socket.raw, header + body)
    let answer = try Descriptors.read(socket.raw, upTo: 1024)
    guard answer.count >= 20, Array(answer[4..<6]) == native(Self.errorMessage),
      Array(answer[8..<12]) == native(sequence)
    else { throw SyscallError(call: "rtnetlink", object: object, errno: EPROTO) }
    var code: UInt32 = 0
    let order = native(UInt32(0x0302_0100))
    for index in 0..<4 { code |= UInt32(answer[16 + index]) << (8 * UInt32(order[index])) }
    let errno = -Int32(bitPattern: code)
    if errno != 0 && errno != EEXIST {
      throw SyscallError(call: "rtnetlink", object: object, errno: errno)
    }
  }
}
