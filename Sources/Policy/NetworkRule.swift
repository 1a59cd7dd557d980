internal import YAML

/// What may be reached over the network. Nothing else resolves.
public struct NetworkRule: Equatable, Sendable {
  public enum Destination: Equatable, Sendable {
    /// A host in canonical spelling.
    case host(String)
    /// `*.example.org`: any name below the suffix, not the suffix itself.
    case subdomains(of: String)
    case network(IPNetwork)
  }

  public let destination: Destination
  /// Never empty.
  public let ports: [Int]
  public let why: String
  /// Whether a TLS client may hide the name it asks for (Encrypted Client Hello, RFC 9849).
  public let allowsEncryptedHello: Bool
  public let place: Place

  /// `{host: NAME, ports: [443], why: TEXT}` or `{cidr: NETWORK, …}`; `encryptedHello: true` besides
  /// where a client may hide the name it asks for.
  static func read(_ node: YAMLNode, _ file: String) throws(YAMLError) -> NetworkRule {
    var reader = try YAMLMappingReader(node, file: file)
    let host = reader.optional("host")
    let cidr = reader.optional("cidr")
    let portsNode = try reader.require("ports")
    let why = try reader.optional("why")?.string(file) ?? ""
    let encryptedHello = try reader.optional("encryptedHello")?.boolean(file) ?? false
    try reader.finish()
    var ports: [Int] = []
    for port in try portsNode.sequence(file) {
      ports.append(try port.integer(file, in: 1...65_535))
    }
    if ports.isEmpty {
      throw portsNode.error(file, "no port is named, so that nothing is reached; write [443]")
    }
    let destination: Destination
    switch (host, cidr) {
    case (let host?, nil): destination = try Self.host(host, file)
    case (nil, let cidr?):
      let text = try cidr.string(file)
      do {
        destination = .network(try IPNetwork(text))
      } catch {
        throw cidr.error(file, "\(Text.quote(text)) \(error.message)")
      }
    default:
      throw node.error(file, "a network rule names either \"host\" or \"cidr\"; keep one")
    }
    return NetworkRule(
      destination: destination, ports: ports, why: why, allowsEncryptedHello: encryptedHello,
      place: Place(file: file, line: node.line, column: node.column))
  }

  static func host(_ node: YAMLNode, _ file: String) throws(YAMLError) -> Destination {
    let text = try node.string(file)
    let isWildcard = text.hasPrefix("*.")
    do throws(HostName.Problem) {
      let name = try HostName.canonical(isWildcard ? String(text.dropFirst(2)) : text)
      if let address = IPAddress(name) {
        if isWildcard { throw HostName.Problem.badCharacter }
        return .network(IPNetwork(single: address))
      }
      return isWildcard ? .subdomains(of: name) : .host(name)
    } catch {
      let hint = text.contains("*") ? "; a wildcard stands only in front: *.example.org" : ""
      throw node.error(file, "the host \(Text.quote(text)) \(error.message)\(hint)")
    }
  }

  /// Whether the rule names this host, in canonical spelling, at this port.
  public func isMatch(host: String, port: Int) -> Bool {
    ports.contains(port) && isMatch(host: host)
  }

  /// The same at any port.
  public func isMatch(host: String) -> Bool {
    switch destination {
    case .host(let name): return name == host
    case .subdomains(let suffix):
      return host.utf8.count > suffix.utf8.count + 1 && host.hasSuffix("." + suffix)
    case .network(let network): return IPAddress(host).map(network.contains) ?? false
    }
  }
}

extension IPNetwork {
  /// The network of one address.
  init(single address: IPAddress) {
    self.address = address
    prefixLength = Self.wholeBits(address)
  }

  /// Whether it is the network of one address.
  public var isSingle: Bool { prefixLength == Self.wholeBits(address) }
}

extension PolicySet {
  /// The rule that lets a name or an address literal be reached at a port, or nil: refused.
  ///
  /// - Parameter host: As the program gave it; what is no host name is refused.
  public func networkRule(host: String, port: Int) -> NetworkRule? {
    guard let name = try? HostName.canonical(host) else { return nil }
    return network.first { $0.isMatch(host: name, port: port) }
  }
}
