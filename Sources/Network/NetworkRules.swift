public import Policy

/// What a run may reach: the rules of its policies and of its command line, and what they mean for an
/// address that somebody connects to.
public struct NetworkRules: Sendable {
  public let rules: [NetworkRule]

  /// More rules than this are no policy that a person has read; each connection walks the list.
  public static let maximumRules = 1024
  /// Each port takes two listeners in the ring.
  public static let maximumPorts = 64

  public init(_ rules: [NetworkRule]) { self.rules = rules }

  /// Every TCP port that a rule names, ascending.
  public var ports: [Int] { Set(rules.flatMap(\.ports)).sorted() }

  /// The rule for a name in canonical spelling.
  public func rule(host: String, port: Int) -> NetworkRule? {
    rules.first { $0.ports.contains(port) && isName(host, of: $0) }
  }

  /// Whether a name may be looked up: some rule names it at some port.
  public func isResolvable(_ host: String) -> Bool { rules.contains { isName(host, of: $0) } }

  /// At which a rule names the host, each once.
  private func ports(of host: String) -> Set<Int> {
    rules.reduce(into: []) { if isName(host, of: $1) { $0.formUnion($1.ports) } }
  }

  /// A range of addresses names no host.
  private func isName(_ host: String, of rule: NetworkRule) -> Bool {
    if case .network = rule.destination { return false }
    return rule.isMatch(host: host)
  }

  public enum Refusal: Error, Equatable, Sendable {
    /// No rule names the address at the port.
    case noRule
    /// It is loopback, private, a metadata service …, and no rule for that range names it.
    case guarded(IPAddress, String)

    /// For the log and for the text of a DNS answer.
    public var text: String {
      switch self {
      case .noRule: Self.noRuleText
      case .guarded(let address, let kind): "\(address) is \(kind)\(Self.guardedText)"
      }
    }

    private static let noRuleText = "no network rule names it"
    private static let guardedText = "; a rule for its range has to name it"

    /// Whether a text is of such a refusal, and not of a host that is not there.
    public static func isByRule(_ text: String) -> Bool {
      text == noRuleText || text.hasSuffix(guardedText)
    }
  }

  /// The rule that lets an address be reached without a name. A wide network does not open a guarded
  /// range inside: `0.0.0.0/0` means the Internet, not the neighbours.
  public func rule(address: IPAddress, port: Int) throws(Refusal) -> NetworkRule {
    let candidates = rules.filter { rule in
      guard case .network(let network) = rule.destination else { return false }
      return rule.ports.contains(port) && network.contains(address)
    }
    guard let first = candidates.first else { throw .noRule }
    switch AddressGuard.judge(address) {
    case .global: return first
    case .never(let name): throw .guarded(address, name)
    case .guarded(let name, let range):
      let named = candidates.first { rule in
        guard case .network(let network) = rule.destination else { return false }
        return range.contains(network)
      }
      guard let named else { throw .guarded(address, name) }
      return named
    }
  }

  /// Whether an address that a name resolved to may be connected at a port; the name itself is allowed.
  public func judge(_ address: IPAddress, port: Int) throws(Refusal) {
    guard case .global = AddressGuard.judge(address) else {
      do throws(Refusal) {
        _ = try rule(address: address, port: port)
      } catch {
        if case .noRule = error, let kind = AddressGuard.name(address) {
          throw .guarded(address, kind)
        }
        throw error
      }
      return
    }
  }

  /// Whether a rule names this very address, not only a range around it.
  public func names(_ address: IPAddress, port: Int) -> Bool {
    rules.contains { rule in
      guard case .network(let network) = rule.destination else { return false }
      return rule.ports.contains(port) && network.isSingle && network.address == address
    }
  }

  /// Whether an address is of use to a name at any of its ports.
  public func judge(_ address: IPAddress, host: String) throws(Refusal) {
    var refusal = Refusal.noRule
    for port in ports(of: host) {
      do throws(Refusal) {
        return try judge(address, port: port)
      } catch {
        refusal = error
      }
    }
    throw refusal
  }
}

extension AddressGuard {
  /// What a guarded address is; nil for an ordinary one.
  static func name(_ address: IPAddress) -> String? {
    switch judge(address) {
    case .global: nil
    case .guarded(let name, _), .never(let name): name
    }
  }
}
