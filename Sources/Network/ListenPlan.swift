internal import Policy

/// Where the ring's listeners stand. A port from 1024 on that only names and single addresses use gets a
/// listener for each of those addresses, and stays free on the ring's own loopback; every other port is
/// listened to at all addresses. (Below 1024 a ring's program cannot listen anyway.)
public struct ListenPlan: Equatable, Sendable {
  public struct Listener: Equatable, Sendable {
    /// 4 or 16 bytes; zeros mean every address.
    public var address: [UInt8]
    public var port: UInt16
  }

  public var listeners: [Listener]
  /// In the order of their addresses in the pool.
  public var names: [String]

  /// Beyond, one listener for all addresses is the smaller cost.
  static let maximumAddresses = 16
  private static let firstUnprivileged = 1024

  public init(_ rules: NetworkRules) {
    var names: [String] = []
    for rule in rules.rules {
      if case .host(let name) = rule.destination, !names.contains(name),
        names.count < SyntheticPool.maximumNames
      {
        names.append(name)
      }
    }
    self.names = names
    let numbers = Dictionary(uniqueKeysWithValues: names.enumerated().map { ($1, $0) })
    listeners = []
    for port in rules.ports {
      let addresses = Self.addresses(rules, port, numbers)
      let places = addresses ?? [[UInt8](repeating: 0, count: 4), [UInt8](repeating: 0, count: 16)]
      listeners += places.map { Listener(address: $0, port: UInt16(port)) }
    }
  }

  /// Nil when the port's rules name more than can be counted.
  private static func addresses(
    _ rules: NetworkRules, _ port: Int, _ numbers: [String: Int]
  ) -> [[UInt8]]? {
    guard port >= firstUnprivileged else { return nil }
    var addresses: [[UInt8]] = []
    for rule in rules.rules where rule.ports.contains(port) {
      switch rule.destination {
      case .subdomains: return nil
      case .network(let network):
        guard network.isSingle else { return nil }
        addresses.append(network.address.bytes)
      case .host(let name):
        guard let index = numbers[name] else { return nil }
        let number = index + SyntheticPool.own + 1
        addresses += [SyntheticPool.ipv4(number).bytes, SyntheticPool.ipv6(number).bytes]
      }
      if addresses.count > maximumAddresses { return nil }
    }
    return addresses.reduce(into: []) { if !$0.contains($1) { $0.append($1) } }
  }
}
