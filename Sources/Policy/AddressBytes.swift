/// Addresses as sockets and packets carry them: 4 or 16 bytes in network order.
extension IPAddress {
  /// - Returns: nil when there are neither 4 nor 16 bytes. The 16 bytes of an IPv4-mapped address are
  ///   that IPv4 address.
  public init?(bytes: some Collection<UInt8>) {
    switch bytes.count {
    case 4: self.init(ipv4: bytes.reduce(0) { $0 << 8 | UInt32($1) })
    case 16:
      self.init(
        high: bytes.prefix(8).reduce(0) { $0 << 8 | UInt64($1) },
        low: bytes.dropFirst(8).reduce(0) { $0 << 8 | UInt64($1) })
    default: return nil
    }
  }

  /// 4 bytes of an IPv4 address, 16 of an IPv6 address.
  public var bytes: [UInt8] {
    isIPv4 ? Self.bytes(low, count: 4) : Self.bytes(high, count: 8) + Self.bytes(low, count: 8)
  }

  private static func bytes(_ value: UInt64, count: Int) -> [UInt8] {
    (0..<count).map { UInt8(truncatingIfNeeded: value >> UInt64(8 * (count - 1 - $0))) }
  }
}

extension IPNetwork {
  /// Whether every address of `other` is one of this network.
  public func contains(_ other: IPNetwork) -> Bool {
    other.prefixLength >= prefixLength && contains(other.address)
  }

  /// A network in CIDR notation or a single address; nil when it is neither.
  public init?(cidr text: String) {
    guard let network = try? IPNetwork(text) else { return nil }
    self = network
  }
}
