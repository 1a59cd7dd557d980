/// Network rules as the command line names them: `--net HOST:PORT`.
extension NetworkRule {
  /// Why an argument is no rule.
  public struct ArgumentError: Error, Equatable, Sendable {
    public let message: String
    /// What to write instead.
    public let hint: String?
  }

  /// The name of the host's own loopback in rules: inside a ring, 127.0.0.1 is the ring.
  public static let hostLoopback = "host-loopback"

  /// `example.org:443`, `*.example.org:443`, `10.0.0.0/8:5432`, `192.0.2.7:22`, `[2001:db8::1]:443`,
  /// `[2001:db8::/32]:443` or `host-loopback:8080`.
  public init(argument text: String) throws(ArgumentError) {
    guard let colon = text.lastIndex(of: ":"), colon != text.startIndex else {
      throw ArgumentError(message: "a host and a port are needed", hint: "\(text):443")
    }
    let portText = text[text.index(after: colon)...]
    guard portText.utf8.allSatisfy({ (48...57).contains($0) }), let port = Int(portText),
      (1...65_535).contains(port)
    else {
      throw ArgumentError(
        message: "\(Text.quote(String(portText))) is no port, a whole number from 1 to 65535",
        hint: "\(text[..<colon]):443")
    }
    destination = try Self.destination(String(text[..<colon]), port: port)
    ports = [port]
    why = "--net"
    allowsEncryptedHello = false
    place = Place(file: "--net", line: 1, column: 1)
  }

  private static func destination(
    _ host: String, port: Int
  ) throws(ArgumentError) -> Destination {
    if !host.hasPrefix("["), host.contains(":") {
      throw ArgumentError(
        message: "an IPv6 address stands in brackets", hint: "--net [\(host)]:\(port)")
    }
    if host.hasPrefix("[") || host.contains("/") || IPAddress(host) != nil {
      return try network(host, port: port)
    }
    let isWildcard = host.hasPrefix("*.")
    let name: String
    do throws(HostName.Problem) {
      name = try HostName.canonical(isWildcard ? String(host.dropFirst(2)) : host)
    } catch {
      throw ArgumentError(
        message: "the host \(Text.quote(host)) \(error.message)",
        hint: host.contains("*") ? "a wildcard stands only in front: *.example.org:\(port)" : nil)
    }
    if name == "localhost" || name.hasSuffix(".localhost") { throw loopback(port) }
    return isWildcard ? .subdomains(of: name) : .host(name)
  }

  private static func network(_ host: String, port: Int) throws(ArgumentError) -> Destination {
    let isBracketed = host.hasPrefix("[") && host.hasSuffix("]")
    let bare = isBracketed ? String(host.dropFirst().dropLast()) : host
    let network: IPNetwork
    do throws(IPNetwork.Problem) {
      network = try IPNetwork(bare)
    } catch {
      throw ArgumentError(message: "\(Text.quote(bare)) \(error.message)", hint: nil)
    }
    if loopbacks.contains(where: { $0.contains(network) }) { throw loopback(port) }
    return .network(network)
  }

  private static let loopbacks = [IPNetwork(cidr: "127.0.0.0/8")!, IPNetwork(cidr: "::1")!]

  private static func loopback(_ port: Int) -> ArgumentError {
    ArgumentError(
      message: "loopback inside the ring belongs to the ring",
      hint: "--net \(hostLoopback):\(port) names the host's own")
  }
}
