/// An IPv4 or IPv6 address. IPv4-mapped IPv6 addresses (::ffff:0:0/96) are the IPv4 address, as
/// connect(2) treats them.
public struct IPAddress: Equatable, Hashable, Sendable {
  /// In network order; IPv4 uses the low 32 bits.
  let high: UInt64
  let low: UInt64
  public let isIPv4: Bool

  init(high: UInt64, low: UInt64) {
    isIPv4 = high == 0 && low >> 32 == 0xFFFF
    self.high = high
    self.low = isIPv4 ? low & 0xFFFF_FFFF : low
  }

  init(ipv4 value: UInt32) {
    high = 0
    low = UInt64(value)
    isIPv4 = true
  }

  /// Four decimal numbers without leading zeros (RFC 6943, section 3.1.1: other spellings are read
  /// differently by different programs), or RFC 4291, section 2.2, without a zone.
  public init?(_ text: String) {
    let bytes = Array(text.utf8)
    guard bytes.count <= 45 else { return nil }
    if bytes.contains(UInt8(ascii: ":")) {
      guard let address = Self.ipv6(bytes) else { return nil }
      self = address
    } else {
      guard let value = Self.ipv4(bytes[...]) else { return nil }
      self.init(ipv4: value)
    }
  }

  private static func ipv4(_ bytes: ArraySlice<UInt8>) -> UInt32? {
    let parts = bytes.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
    guard parts.count == 4 else { return nil }
    var value: UInt32 = 0
    for part in parts {
      guard (1...3).contains(part.count), part.count == 1 || part.first != UInt8(ascii: "0"),
        part.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) })
      else { return nil }
      let number = part.reduce(0) { $0 * 10 + UInt32($1 - UInt8(ascii: "0")) }
      guard number <= 255 else { return nil }
      value = value << 8 | number
    }
    return value
  }

  private static func ipv6(_ bytes: [UInt8]) -> IPAddress? {
    var groups: [UInt16] = []
    var gap: Int?
    var offset = 0
    if bytes.starts(with: [UInt8(ascii: ":"), UInt8(ascii: ":")]) {
      gap = 0
      offset = 2
    }
    while offset < bytes.count {
      let end = bytes[offset...].firstIndex(of: UInt8(ascii: ":")) ?? bytes.count
      let part = bytes[offset..<end]
      if part.contains(UInt8(ascii: ".")) {
        guard end == bytes.count, let value = ipv4(part) else { return nil }
        groups += [UInt16(value >> 16), UInt16(value & 0xFFFF)]
        offset = end
        break
      }
      guard (1...4).contains(part.count),
        part.allSatisfy({ $0 != UInt8(ascii: "+") && $0 != UInt8(ascii: "-") }),
        let group = UInt16(String(decoding: part, as: UTF8.self), radix: 16)
      else { return nil }
      groups.append(group)
      offset = end
      guard offset < bytes.count else { break }
      offset += 1
      if offset < bytes.count, bytes[offset] == UInt8(ascii: ":") {
        guard gap == nil else { return nil }
        gap = groups.count
        offset += 1
      } else if offset == bytes.count {
        return nil
      }
    }
    if let gap {
      guard groups.count < 8 else { return nil }
      groups.insert(contentsOf: Array(repeating: 0, count: 8 - groups.count), at: gap)
    }
    guard groups.count == 8 else { return nil }
    let high = groups[0..<4].reduce(UInt64(0)) { $0 << 16 | UInt64($1) }
    let low = groups[4..<8].reduce(UInt64(0)) { $0 << 16 | UInt64($1) }
    return IPAddress(high: high, low: low)
  }
}

extension IPAddress: CustomStringConvertible {
  /// The one spelling of RFC 5952.
  public var description: String {
    if isIPv4 {
      let shifts: [UInt64] = [24, 16, 8, 0]
      return shifts.map { String((low >> $0) & 0xFF) }.joined(separator: ".")
    }
    let groups: [UInt64] = (0..<8).map { (index: Int) -> UInt64 in
      let half: UInt64 = index < 4 ? high : low
      return (half >> UInt64(48 - 16 * (index % 4))) & 0xFFFF
    }
    var best = 0..<0
    var start = 0
    while start < 8 {
      var end = start
      while end < 8 && groups[end] == 0 { end += 1 }
      if end - start > max(1, best.count) { best = start..<end }
      start = max(end, start + 1)
    }
    let text = { (range: Range<Int>) in
      groups[range].map { String($0, radix: 16) }.joined(separator: ":")
    }
    if best.isEmpty { return text(0..<8) }
    return text(0..<best.lowerBound) + "::" + text(best.upperBound..<8)
  }
}

/// A range of addresses in CIDR notation (RFC 4632).
public struct IPNetwork: Equatable, Hashable, Sendable {
  public let address: IPAddress
  /// 0 to 32 for IPv4, 0 to 128 for IPv6.
  public let prefixLength: Int

  enum Problem: Error, Equatable {
    case notNetwork, hostBits

    var message: String {
      switch self {
      case .notNetwork: "is not a network; write for example 10.20.0.0/16 or 2001:db8::/32"
      case .hostBits: "has address bits behind the prefix; write the first address of the network"
      }
    }
  }

  init(_ text: String) throws(Problem) {
    let parts = text.split(separator: "/", omittingEmptySubsequences: false)
    guard parts.count <= 2, let address = IPAddress(String(parts[0])) else { throw .notNetwork }
    let bits = Self.wholeBits(address)
    guard parts.count == 2 else {
      self.address = address
      prefixLength = bits
      return
    }
    guard parts[1].utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }),
      let length = Int(parts[1]), length <= bits, String(length) == parts[1]
    else { throw .notNetwork }
    self.address = address
    prefixLength = length
    let (high, low) = Self.mask(length, isIPv4: address.isIPv4)
    if address.high & ~high != 0 || address.low & ~low != 0 {
      throw .hostBits
    }
  }

  /// The prefix of one address.
  static func wholeBits(_ address: IPAddress) -> Int { address.isIPv4 ? 32 : 128 }

  public func contains(_ other: IPAddress) -> Bool {
    guard other.isIPv4 == address.isIPv4 else { return false }
    let (high, low) = Self.mask(prefixLength, isIPv4: address.isIPv4)
    return (other.high ^ address.high) & high == 0 && (other.low ^ address.low) & low == 0
  }

  private static func mask(_ length: Int, isIPv4: Bool) -> (UInt64, UInt64) {
    if isIPv4 {
      return (0, length == 0 ? 0 : (UInt64(UInt32.max) << (32 - UInt64(length))) & 0xFFFF_FFFF)
    }
    let high = length == 0 ? 0 : UInt64.max << UInt64(max(0, 64 - length))
    let low = length <= 64 ? 0 : UInt64.max << UInt64(128 - length)
    return (high, low)
  }
}
