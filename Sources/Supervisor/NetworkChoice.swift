internal import LaunchPlan
internal import Network
internal import Policy
internal import Rings

/// What a run may reach, and how the ring is listened to for it.
struct NetworkPlan {
  let rules: NetworkRules
  let pool: SyntheticPool
  let sockets: [LaunchPlan.RingSocket]

  /// Where the ring's resolv.conf points.
  static let nameServer: [UInt8] = [127, 0, 0, 53]

  /// Nil when nothing is to be reached: such a run has nothing of all this.
  /// - Parameters:
  ///   - named: of the command line.
  ///   - policy: of policies; where there is no network they let nothing be reached.
  static func choose(
    _ named: [NetworkRule], policy: [NetworkRule], profile: RingProfile,
    degraded: Set<Degradation>
  ) throws(RunError) -> NetworkPlan? {
    let rules = named + policy
    guard !rules.isEmpty else { return nil }
    switch profile.network {
    case .loopback: break
    case .none:
      if named.isEmpty { return nil }
      throw RunError(
        .usage, "--net: ring \(profile.ring) has no network",
        hint: "--ring 2 reaches what --net names, and nothing else")
    case .host:
      if named.isEmpty {
        throw RunError(
          .usage,
          "\(policy[0].place): ring \(profile.ring) uses the network of the host, and a policy's "
            + "network bounds nothing",
          hint: "leave the section out, or choose --ring 2")
      }
      throw RunError(
        .usage,
        "--net: ring \(profile.ring) uses the network of the host, and --net bounds nothing",
        hint: "leave it out, or choose --ring 2")
    }
    if degraded.contains(.namespaces) {
      throw RunError(
        .usage,
        "\(named.isEmpty ? "\(policy[0].place): network" : "--net") needs the network namespace that --degrade namespaces gives up",
        hint: "leave one of them out")
    }
    let all = NetworkRules(rules)
    guard rules.count <= NetworkRules.maximumRules, all.ports.count <= NetworkRules.maximumPorts
    else {
      throw RunError(
        .usage,
        "network: at most \(NetworkRules.maximumRules) rules with \(NetworkRules.maximumPorts) ports",
        hint: "a wildcard or a range says many in one: *.example.org:443, 10.20.0.0/16:5432")
    }
    let plan = ListenPlan(all)
    let listeners = plan.listeners.map {
      LaunchPlan.RingSocket(isDatagram: false, address: $0.address, port: $0.port)
    }
    let names = [true, false].map {
      LaunchPlan.RingSocket(isDatagram: $0, address: nameServer, port: 53)
    }
    return NetworkPlan(
      rules: all, pool: SyntheticPool(plan.names), sockets: names + listeners)
  }

  /// `example.org:443, 10.20.0.0/16:5432`
  var summary: String {
    rules.rules.map { rule in
      rule.ports.map { "\(rule.destination.text):\($0)" }.joined(separator: ", ")
    }.joined(separator: ", ")
  }
}

extension NetworkRule.Destination {
  var text: String {
    switch self {
    case .host(let name): name
    case .subdomains(let suffix): "*.\(suffix)"
    case .network(let network):
      network.isSingle
        ? network.address.description : "\(network.address)/\(network.prefixLength)"
    }
  }
}
