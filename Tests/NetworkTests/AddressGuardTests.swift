import Network
import Policy
import Testing

@Suite struct AddressGuardTests {
  private func rules(_ arguments: String...) throws -> NetworkRules {
    NetworkRules(try arguments.map { try NetworkRule(argument: $0) })
  }

  private func address(_ text: String) throws -> IPAddress { try #require(IPAddress(text)) }

  @Test(arguments: [
    "93.184.216.34", "8.8.8.8", "2606:2800:220:1::34", "2a00::1", "64:ff9b::808:808",
    "172.32.0.1", "100.128.0.1",
  ]) func ordinary(_ text: String) throws {
    #expect(AddressGuard.judge(try address(text)) == .global)
  }

  @Test(arguments: [
    "127.0.0.1", "127.255.0.1", "0.0.0.0", "0.1.2.3", "::1", "::", "::7f00:1", "224.0.0.1",
    "255.255.255.255", "ff02::1", "2002:7f00:1::", "2001:0:1::", "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe", "64:ff9b::a00:1", "4000::1",
  ]) func neverReached(_ text: String) throws {
    let address = try address(text)
    guard case .never = AddressGuard.judge(address) else {
      Issue.record("\(text): \(AddressGuard.judge(address))")
      return
    }
    let open = try rules("0.0.0.0/0:80", "[::/0]:80")
    #expect(throws: NetworkRules.Refusal.self) { try open.rule(address: address, port: 80) }
    #expect(throws: NetworkRules.Refusal.self) { try open.judge(address, port: 80) }
  }

  @Test(arguments: [
    ("169.254.169.254", "169.254.0.0/16"), ("10.1.2.3", "10.1.0.0/16"),
    ("172.16.0.1", "172.16.0.0/12"), ("192.168.1.1", "192.168.1.1"),
    ("100.64.0.1", "100.64.0.0/10"), ("100.100.100.200", "100.100.100.200"),
    ("168.63.129.16", "168.63.129.16"), ("::ffff:10.1.2.3", "10.0.0.0/8"),
    ("fd00:ec2::254", "[fd00:ec2::254]"), ("fd12::1", "[fc00::/7]"), ("fe80::1", "[fe80::/10]"),
    ("64:ff9b:1::a00:1", "[64:ff9b:1::/48]"), ("192.0.2.1", "192.0.2.0/24"),
  ]) func guarded(_ text: String, _ network: String) throws {
    let address = try address(text)
    // A wide rule means the Internet and opens no guarded range.
    let wide = try rules("0.0.0.0/0:80", "[::/0]:80", "example.org:80")
    #expect(throws: NetworkRules.Refusal.self) { try wide.rule(address: address, port: 80) }
    #expect(throws: NetworkRules.Refusal.self) { try wide.judge(address, port: 80) }
    #expect(throws: NetworkRules.Refusal.self) { try wide.judge(address, host: "example.org") }
    let named = try rules("\(network):80", "example.org:80")
    _ = try named.rule(address: address, port: 80)
    try named.judge(address, host: "example.org")
    // The port is part of the rule.
    #expect(throws: NetworkRules.Refusal.noRule) { try named.rule(address: address, port: 81) }
  }

  @Test func metadataInsideAPrivateRule() throws {
    // 100.64.0.0/10 holds a cloud's metadata service; only a rule for that address opens it.
    let open = try rules("100.64.0.0/10:80", "[fc00::/7]:80")
    #expect(throws: NetworkRules.Refusal.self) {
      try open.rule(address: try address("100.100.100.200"), port: 80)
    }
    #expect(throws: NetworkRules.Refusal.self) {
      try open.rule(address: try address("fd00:ec2::254"), port: 80)
    }
  }

  @Test func namesAndPorts() throws {
    let all = try rules("example.org:443", "*.example.net:80", "192.0.2.7:22")
    #expect(all.ports == [22, 80, 443])
    #expect(all.rule(host: "example.org", port: 443) != nil)
    #expect(all.rule(host: "example.org", port: 80) == nil)
    #expect(all.rule(host: "a.example.net", port: 80) != nil)
    #expect(all.rule(host: "a.b.example.net", port: 80) != nil)
    #expect(all.rule(host: "example.net", port: 80) == nil)
    #expect(all.rule(host: "evilexample.net", port: 80) == nil)
    // An address is no name.
    #expect(all.rule(host: "192.0.2.7", port: 22) == nil)
    #expect(!all.isResolvable("192.0.2.7"))
    #expect(all.isResolvable("example.org"))
    #expect(!all.isResolvable("www.example.org"))
  }

  /// Each query walks the rules once: sixteen times as many take about sixteen times as long.
  @Test func manyRules() throws {
    let clock = ContinuousClock()
    func time(_ count: Int) throws -> Duration {
      let all = NetworkRules(
        try (0..<count).map { try NetworkRule(argument: "*.n\($0).example:\(1 + $0 % 64)") })
      return try (0..<5).map { _ in
        try clock.measure {
          #expect(!all.isResolvable("www.example.org"))
          #expect(all.isResolvable("a.n\(count - 1).example"))
          let far = try address("10.0.0.1")
          #expect(throws: NetworkRules.Refusal.self) { try all.judge(far, host: "a.n1.example") }
        }
      }.min()!
    }
    #expect(try time(1024) / time(64) < 64)
  }

  @Test(arguments: [
    ("example.org", "a host and a port are needed"),
    (":443", "a host and a port are needed"),
    ("example.org:https", "\"https\" is no port, a whole number from 1 to 65535"),
    ("example.org:0", "\"0\" is no port, a whole number from 1 to 65535"),
    ("example.org:65536", "\"65536\" is no port, a whole number from 1 to 65535"),
    ("2001:db8::1:443", "an IPv6 address stands in brackets"),
    ("localhost:80", "loopback inside the ring belongs to the ring"),
    ("127.0.0.1:80", "loopback inside the ring belongs to the ring"),
    ("127.0.0.0/8:80", "loopback inside the ring belongs to the ring"),
    ("[::1]:80", "loopback inside the ring belongs to the ring"),
    ("*:80", "the host \"*\" has a character that host names do not have"),
    ("a.*.org:80", "the host \"a.*.org\" has a character that host names do not have"),
    (
      "10.0.0.1/8:80",
      "\"10.0.0.1/8\" has address bits behind the prefix; write the first address of the network"
    ),
    (
      "0x7f.1:80",
      "the host \"0x7f.1\" looks like an address that programs read differently; write four decimal numbers"
    ),
  ]) func badArgument(_ text: String, _ message: String) {
    do {
      _ = try NetworkRule(argument: text)
      Issue.record("\(text) is a rule")
    } catch {
      #expect(error.message == message)
    }
  }

  @Test(arguments: [
    ("EXAMPLE.org.:443", "example.org"), ("*.Example.ORG:443", "*.example.org"),
    ("münchen.example:443", "xn--mnchen-3ya.example"),
    ("10.0.0.0/8:5432", "10.0.0.0/8"), ("[2001:db8::/32]:443", "2001:db8::/32"),
    ("[2001:DB8::1]:443", "2001:db8::1/128"), ("host-loopback:8080", "host-loopback"),
  ]) func argument(_ text: String, _ destination: String) throws {
    let text: String =
      switch try NetworkRule(argument: text).destination {
      case .host(let name): name
      case .subdomains(let suffix): "*.\(suffix)"
      case .network(let network): "\(network.address)/\(network.prefixLength)"
      }
    #expect(text == destination)
  }

  @Test func addressesAsBytes() throws {
    for text in ["1.2.3.4", "2001:db8::1", "::", "ff02::fb"] {
      let address = try address(text)
      #expect(IPAddress(bytes: address.bytes) == address)
    }
    #expect(IPAddress(bytes: [1, 2, 3]) == nil)
    let mapped: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 10, 0, 0, 1]
    #expect(try IPAddress(bytes: mapped) == address("10.0.0.1"))
  }

  @Test func poolIsABijection() throws {
    var pool = SyntheticPool(["a.example", "b.example"])
    #expect(pool.number(for: "a.example") == 2)
    #expect(pool.number(for: "c.example") == 4)
    #expect(pool.number(for: "c.example") == 4)
    for (number, name) in [(2, "a.example"), (3, "b.example"), (4, "c.example")] {
      #expect(pool.name(of: SyntheticPool.ipv4(number)) == name)
      #expect(pool.name(of: SyntheticPool.ipv6(number)) == name)
    }
    for text in ["198.18.0.1", "198.18.0.5", "198.19.255.255", "2001:2::1", "2001:2:0:1::2"] {
      #expect(pool.name(of: try address(text)) == nil)
      #expect(SyntheticPool.contains(try address(text)))
    }
    #expect(!SyntheticPool.contains(try address("198.20.0.2")))
    for index in 3..<SyntheticPool.maximumNames { #expect(pool.number(for: "n\(index)") != nil) }
    #expect(pool.number(for: "one.more") == nil)
    let last = SyntheticPool.maximumNames + 1
    #expect(pool.name(of: SyntheticPool.ipv4(last)) == "n\(SyntheticPool.maximumNames - 1)")
    #expect(pool.name(of: SyntheticPool.ipv6(last)) == "n\(SyntheticPool.maximumNames - 1)")
  }

  @Test func listeners() throws {
    func plan(_ arguments: String...) throws -> [String] {
      let rules = NetworkRules(try arguments.map { try NetworkRule(argument: $0) })
      return ListenPlan(rules).listeners.map { "\(IPAddress(bytes: $0.address)!):\($0.port)" }
    }
    #expect(try plan("example.org:443") == ["0.0.0.0:443", ":::443"])
    // A port that a program of the ring could use itself stays free on loopback.
    #expect(
      try plan("x.org:80", "db.org:5432", "10.0.0.7:5432") == [
        "0.0.0.0:80", ":::80", "198.18.0.3:5432", "2001:2::3:5432", "10.0.0.7:5432",
      ])
    #expect(try plan("*.org:5432", "db.org:5432") == ["0.0.0.0:5432", ":::5432"])
    #expect(try plan("10.0.0.0/8:5432") == ["0.0.0.0:5432", ":::5432"])
  }
}
