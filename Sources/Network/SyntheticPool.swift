public import Policy

/// Addresses that stand for names inside the ring: 198.18.0.0/15 and 2001:2::/48, which are for
/// benchmarks and never on the Internet (RFC 2544, RFC 5180). A connection to one says which name was
/// asked for. A name keeps its number for the whole run.
public struct SyntheticPool: Sendable {
  /// Each name is some hundred bytes here; a program that asks for random names below a wildcard ends
  /// at this bound and not at the supervisor's memory.
  public static let maximumNames = 4096
  /// The ring's own address, so that its programs see an interface that is not only loopback.
  public static let own = 1

  private var names: [String] = []
  private var numbers: [String: Int] = [:]

  /// - Parameter names: those that get their addresses at once, so that listeners can be made for them.
  public init(_ names: [String] = []) {
    for name in names { _ = number(for: name) }
  }

  /// The number of a name; nil when the pool is full.
  public mutating func number(for name: String) -> Int? {
    if let number = numbers[name] { return number }
    guard names.count < Self.maximumNames else { return nil }
    names.append(name)
    let number = names.count + Self.own
    numbers[name] = number
    return number
  }

  /// The name that an address stands for.
  public func name(of address: IPAddress) -> String? {
    guard let number = Self.number(of: address), number > Self.own else { return nil }
    let index = number - Self.own - 1
    return index < names.count ? names[index] : nil
  }

  /// Whether an address belongs to the pool, given out or not.
  public static func contains(_ address: IPAddress) -> Bool { number(of: address) != nil }

  public static func ipv4(_ number: Int) -> IPAddress {
    IPAddress(bytes: [198, 18 + UInt8(number >> 16), UInt8(number >> 8 & 255), UInt8(number & 255)]
    )!
  }

  public static func ipv6(_ number: Int) -> IPAddress {
    let head: [UInt8] = [0x20, 0x01, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0]
    return IPAddress(
      bytes: head + [0, UInt8(number >> 16), UInt8(number >> 8 & 255), UInt8(number & 255)])!
  }

  private static func number(of address: IPAddress) -> Int? {
    let bytes = address.bytes
    if address.isIPv4 {
      guard bytes[0] == 198, bytes[1] & 0xfe == 18 else { return nil }
      return Int(bytes[1] & 1) << 16 | Int(bytes[2]) << 8 | Int(bytes[3])
    }
    guard bytes.starts(with: [0x20, 0x01, 0, 2, 0, 0]) else { return nil }
    guard bytes[6..<13].allSatisfy({ $0 == 0 }) else { return .max }
    return Int(bytes[13]) << 16 | Int(bytes[14]) << 8 | Int(bytes[15])
  }
}
