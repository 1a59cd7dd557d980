public import Policy

/// What kind of place an address is, whoever named it. A name that policy allows may still resolve to a
/// machine that the operator never meant: the metadata service of a cloud, a router, the host itself.
public enum AddressGuard {
  public enum Verdict: Equatable, Sendable {
    /// Ordinary unicast of the Internet.
    case global
    /// A range that a rule has to name; `range` is what a rule's network must lie in.
    case guarded(name: String, range: IPNetwork)
    /// No rule reaches it.
    case never(name: String)
  }

  /// By the special-purpose registries of IANA (RFC 6890) and the addresses of metadata services.
  public static func judge(_ address: IPAddress) -> Verdict {
    for entry in never where entry.range.contains(address) { return .never(name: entry.name) }
    for entry in guarded where entry.range.contains(address) {
      return .guarded(name: entry.name, range: entry.range)
    }
    // A translator on the way makes an IPv4 connection of it (RFC 6052, section 2.1).
    if translated.contains(address), let inner = IPAddress(bytes: address.bytes.suffix(4)) {
      switch judge(inner) {
      case .global: return .global
      case .guarded(let name, _), .never(let name): return .never(name: "\(name) behind NAT64")
      }
    }
    if !address.isIPv4, !unicast.contains(address) { return .never(name: "unassigned") }
    return .global
  }

  private typealias Entry = (range: IPNetwork, name: String)

  private static func network(_ text: String) -> IPNetwork { IPNetwork(cidr: text)! }

  private static let translated = network("64:ff9b::/96")
  /// What IANA hands out; the rest is reserved (RFC 4291, section 2.4).
  private static let unicast = network("2000::/3")

  /// Loopback inside a ring is the ring's, and the rest is no destination of a TCP connection.
  private static let never: [Entry] = [
    (network("0.0.0.0/8"), "this network"), (network("127.0.0.0/8"), "loopback"),
    (network("224.0.0.0/4"), "multicast"), (network("255.255.255.255"), "broadcast"),
    (network("::"), "unspecified"), (network("::1"), "loopback"),
    (network("ff00::/8"), "multicast"),
    // An IPv4 address inside: what is connected would not be what was judged.
    (network("::/96"), "IPv4-compatible"), (network("2002::/16"), "6to4"),
    (network("2001::/32"), "Teredo"),
  ]

  /// The narrow ranges first: a rule for a wide one around them does not open them.
  private static let guarded: [Entry] = [
    (network("169.254.0.0/16"), "link-local"), (network("100.100.100.200"), "metadata"),
    (network("168.63.129.16"), "metadata"), (network("192.0.0.192"), "metadata"),
    (network("fd00:ec2::254"), "metadata"), (network("fd20:ce::254"), "metadata"),
    (network("10.0.0.0/8"), "private"), (network("172.16.0.0/12"), "private"),
    (network("192.168.0.0/16"), "private"), (network("100.64.0.0/10"), "carrier-grade NAT"),
    (network("192.0.0.0/24"), "protocol assignments"), (network("192.0.2.0/24"), "documentation"),
    (network("192.88.99.0/24"), "6to4 relay"), (network("198.18.0.0/15"), "benchmarking"),
    (network("198.51.100.0/24"), "documentation"), (network("203.0.113.0/24"), "documentation"),
    (network("240.0.0.0/4"), "reserved"), (network("fe80::/10"), "link-local"),
    (network("fec0::/10"), "site-local"), (network("fc00::/7"), "private"),
    (network("64:ff9b:1::/48"), "local NAT64"), (network("100::/64"), "discard"),
    (network("2001:2::/48"), "benchmarking"), (network("2001:db8::/32"), "documentation"),
    (network("3fff::/20"), "documentation"), (network("5f00::/16"), "segment routing"),
  ]
}
