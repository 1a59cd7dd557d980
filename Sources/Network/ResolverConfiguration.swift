public import Policy

/// The host's resolver: which servers it asks, and how long (resolv.conf(5)).
public struct ResolverConfiguration: Equatable, Sendable {
  public var servers: [IPAddress] = []
  /// Of one question to one server.
  public var timeoutSeconds: Int = 2
  /// Rounds over all servers.
  public var attempts: Int = 2

  /// MAXNS of resolv.h.
  static let maximumServers = 3
  /// More would outlast the patience of the program that asked.
  static let maximumTimeoutSeconds = 5
  static let maximumAttempts = 3

  /// - Parameter text: of /etc/resolv.conf; the search list is for names that people type and is not
  ///   applied to those that rules name.
  public init(_ text: String) {
    for line in text.split(whereSeparator: \.isNewline) {
      let words = Self.words(line)
      switch words.first {
      case "nameserver":
        // A zone (fe80::1%eth0) names an interface of the host; such a server is left out.
        guard words.count > 1, servers.count < Self.maximumServers,
          let address = IPAddress(String(words[1]))
        else { continue }
        servers.append(address)
      case "options": for word in words.dropFirst() { option(word) }
      default: continue
      }
    }
    // resolv.conf(5): without a server, the one of this machine.
    if servers.isEmpty { servers = [IPAddress("127.0.0.1")!] }
  }

  private mutating func option(_ word: Substring) {
    let parts = word.split(separator: ":")
    guard parts.count == 2, let value = Int(parts[1]) else { return }
    switch parts[0] {
    case "timeout": timeoutSeconds = min(max(value, 1), Self.maximumTimeoutSeconds)
    case "attempts": attempts = min(max(value, 1), Self.maximumAttempts)
    default: return
    }
  }

  /// Up to a comment.
  private static func words(_ line: Substring) -> [Substring] {
    let end = line.firstIndex { $0 == "#" || $0 == ";" } ?? line.endIndex
    return line[..<end].split { $0 == " " || $0 == "\t" }
  }
}
