import Network
import Policy
import Testing

/// The ring's DNS server as a function from bytes to bytes.
@Suite struct NameServiceTests {
  static func service(_ arguments: String...) throws -> NameService {
    let rules = NetworkRules(try arguments.map { try NetworkRule(argument: $0) })
    return NameService(rules: rules, pool: SyntheticPool(ListenPlan(rules).names))
  }

  static func name(_ labels: [[UInt8]]) -> [UInt8] {
    labels.flatMap { [UInt8($0.count)] + $0 } + [0]
  }

  static func name(_ text: String) -> [UInt8] {
    name(text.split(separator: ".").map { Array($0.utf8) })
  }

  /// - Parameter edns: The payload size of an OPT record; nil for none.
  static func query(
    _ name: [UInt8], type: UInt16 = 1, edns: UInt16? = 1232, flags: UInt16 = 0x0100
  ) -> [UInt8] {
    var bytes: [UInt8] = [0x12, 0x34, UInt8(flags >> 8), UInt8(flags & 255), 0, 1, 0, 0, 0, 0]
    bytes += [0, edns == nil ? 0 : 1] + name + [UInt8(type >> 8), UInt8(type & 255), 0, 1]
    if let edns { bytes += [0, 0, 41, UInt8(edns >> 8), UInt8(edns & 255), 0, 0, 0, 0, 0, 0] }
    return bytes
  }

  struct Answer: Equatable {
    var code: Int
    var addresses: [String] = []
    var explanation: UInt16?
    var text = ""
  }

  /// Asks and, when the service wants to know, resolves.
  private func ask(
    _ service: inout NameService, _ query: [UInt8], _ resolution: Resolution = .noSuchName
  ) throws -> Answer {
    let bytes: [UInt8]
    switch service.handle(query) {
    case .reply(let reply): bytes = reply
    case .resolve(let pending): bytes = service.reply(to: pending, resolution)
    case .ignore: throw Ignored()
    }
    #expect(bytes.count <= 1232)
    #expect(Array(bytes.prefix(2)) == Array(query.prefix(2)))
    let message = try DNSMessage(decoding: bytes)
    #expect(message.isResponse)
    var answer = Answer(code: message.code)
    for record in message.answers {
      switch record.content {
      case .address(let address): answer.addresses.append("\(address)")
      case .alias(let name): answer.addresses.append(name.host ?? "?")
      case .other(let data): answer.addresses.append("\(data)")
      }
    }
    if case .other(let options)? = message.edns?.content, options.count >= 6 {
      answer.explanation = UInt16(options[4]) << 8 | UInt16(options[5])
      answer.text = String(decoding: options[6...], as: UTF8.self)
    }
    return answer
  }

  private struct Ignored: Error {}

  private static let found = Resolution.addresses(
    [IPAddress("93.184.216.34")!], timeToLiveSeconds: 60)

  @Test func allowedName() throws {
    var service = try Self.service("example.org:443")
    for text in ["example.org", "EXAMPLE.org", "eXaMpLe.OrG"] {
      #expect(
        try ask(&service, Self.query(Self.name(text)), Self.found)
          == Answer(code: 0, addresses: ["198.18.0.2"]))
      #expect(
        try ask(&service, Self.query(Self.name(text), type: 28), Self.found)
          == Answer(code: 0, addresses: ["2001:2::2"]))
    }
    // The question comes back letter by letter (draft 0x20).
    let query = Self.query(Self.name("eXaMpLe.OrG"))
    guard case .resolve(let pending) = service.handle(query) else { throw Ignored() }
    let reply = service.reply(to: pending, Self.found)
    #expect(Array(reply[12..<29]) == Array(query[12..<29]))
  }

  @Test func refusedNameSaysWhy() throws {
    var service = try Self.service("example.org:443")
    for text in ["evil.example", "www.example.org", "org", "example.org.evil.example"] {
      let answer = try ask(&service, Self.query(Self.name(text)), Self.found)
      #expect(answer.code == 3)
      #expect(answer.explanation == 15)
      #expect(answer.text == "agt-run: no network rule names \(text)")
    }
    let plain = try ask(&service, Self.query(Self.name("evil.example"), edns: nil))
    #expect(plain == Answer(code: 3))
  }

  @Test func longExplanationsFit() throws {
    var service = try Self.service("example.org:443")
    let label = [UInt8](repeating: 97, count: 63)
    let name = Self.name([label, label, label, [UInt8](repeating: 97, count: 61)])
    #expect(name.count == 255)
    for payload in [0, 512, 600, 1232, 65535] as [UInt16] {
      let query = Self.query(name, edns: payload)
      guard case .reply(let reply) = service.handle(query) else { throw Ignored() }
      #expect(reply.count <= max(512, Int(min(payload, 1232))))
      #expect(try DNSMessage(decoding: reply).code == 3)
    }
  }

  @Test(arguments: [
    ("10.1.2.3", "private"), ("169.254.169.254", "link-local"), ("127.0.0.1", "loopback"),
    ("::1", "loopback"), ("::ffff:10.1.2.3", "private"), ("100.64.1.1", "carrier-grade NAT"),
  ]) func nameOfAGuardedAddress(_ address: String, _ kind: String) throws {
    var service = try Self.service("example.org:443")
    let resolution = Resolution.addresses([IPAddress(address)!], timeToLiveSeconds: 1)
    let answer = try ask(&service, Self.query(Self.name("example.org")), resolution)
    #expect(answer.code == 3)
    #expect(answer.explanation == 17)
    #expect(answer.text.contains(" is \(kind); a rule for its range has to name it"))
  }

  @Test func guardedAddressWithItsRule() throws {
    var service = try Self.service("db.example.org:5432", "10.0.0.0/8:5432")
    let resolution = Resolution.addresses([IPAddress("10.1.2.3")!], timeToLiveSeconds: 1)
    let answer = try ask(&service, Self.query(Self.name("db.example.org")), resolution)
    #expect(answer == Answer(code: 0, addresses: ["198.18.0.2"]))
    // The range is open at another port than the name.
    var other = try Self.service("db.example.org:5432", "10.0.0.0/8:80")
    #expect(try ask(&other, Self.query(Self.name("db.example.org")), resolution).code == 3)
  }

  @Test func otherAnswers() throws {
    var service = try Self.service("example.org:443", "host-loopback:8080")
    let query = Self.query(Self.name("example.org"))
    #expect(try ask(&service, query, .noSuchName) == Answer(code: 3))
    #expect(try ask(&service, query, .addresses([], timeToLiveSeconds: 9)) == Answer(code: 0))
    #expect(
      try ask(&service, query, .failed("no answer in time"))
        == Answer(code: 2, explanation: 22, text: "no answer in time"))
    // Names that need nobody outside.
    #expect(
      try ask(&service, Self.query(Self.name("host-loopback"))).addresses == ["198.18.0.3"])
    #expect(try ask(&service, Self.query(Self.name("localhost"))).addresses == ["127.0.0.1"])
    #expect(try ask(&service, Self.query(Self.name("a.localhost"), type: 28)).addresses == ["::1"])
    #expect(
      try ask(&service, Self.query(Self.name("2.0.18.198.in-addr.arpa"), type: 12)).addresses
        == ["example.org"])
    let reverse = "2" + String(repeating: ".0", count: 23) + ".2.0.0.0.1.0.0.2.ip6.arpa"
    #expect(
      try ask(&service, Self.query(Self.name(reverse), type: 12)).addresses == ["example.org"])
    #expect(try ask(&service, Self.query(Self.name("8.8.8.8.in-addr.arpa"), type: 12)).code == 3)
  }

  /// TXT, MX, SRV, HTTPS, ANY and what does not exist: the name is there, the record is not.
  @Test(arguments: [0, 2, 5, 6, 15, 16, 33, 64, 65, 255, 65535] as [UInt16])
  func otherTypes(_ type: UInt16) throws {
    var service = try Self.service("example.org:443")
    #expect(try ask(&service, Self.query(Self.name("example.org"), type: type)) == Answer(code: 0))
    #expect(
      try ask(&service, Self.query(Self.name("evil.example"), type: type)).explanation == 15)
  }

  /// Labels that a rule's text could be confused with.
  @Test func labelsThatAreNoNames() throws {
    var service = try Self.service("example.org:443", "*.example.org:443")
    let suffix: [[UInt8]] = [Array("example".utf8), Array("org".utf8)]
    for label in [
      "evil.example", "a\0", "a b", "a/b", "a@b", "ä", "%61", "*", "a\n", "-a", "\u{3002}",
    ] {
      let query = Self.query(Self.name([Array(label.utf8)] + suffix))
      let answer = try ask(&service, query, Self.found)
      #expect(answer == Answer(code: 3, explanation: 15, text: "this is no host name"), "\(label)")
    }
    // "example.org" as one label is no name either, and neither is a NUL behind it.
    #expect(
      try ask(&service, Self.query(Self.name([Array("example.org".utf8)])), Self.found).code == 3)
    #expect(
      try ask(
        &service, Self.query(Self.name([Array("example".utf8), Array("org\0".utf8)])), Self.found
      ).code == 3)
    // An IDN comes as its A-label and is compared as that.
    var idn = try Self.service("münchen.example:443")
    #expect(
      try ask(&idn, Self.query(Self.name("xn--mnchen-3ya.example")), Self.found).addresses.count
        == 1)
    #expect(try ask(&idn, Self.query(Self.name("münchen.example")), Self.found).code == 3)
  }

  @Test func malformedMessages() throws {
    var service = try Self.service("example.org:443")
    let good = Self.query(Self.name("example.org"), edns: nil)
    for length in 0..<12 {
      guard case .ignore = service.handle(Array(good.prefix(length))) else {
        Issue.record("\(length) bytes are answered")
        continue
      }
    }
    for length in 12..<good.count {
      #expect(try ask(&service, Array(good.prefix(length))) == Answer(code: 1), "\(length)")
    }
    // An answer is no query: two servers must not talk to each other for ever.
    guard case .ignore = service.handle(Self.query(Self.name("example.org"), flags: 0x8100)) else {
      Issue.record("an answer is answered")
      return
    }
    // NOTIFY, UPDATE and what does not exist.
    for operation in 1...15 as ClosedRange<UInt16> {
      let query = Self.query(Self.name("example.org"), flags: operation << 11)
      #expect(try ask(&service, query).code == 4)
    }
    // A pointer to itself, forwards, in a circle; a name of 256 bytes; a bad label type.
    for name: [UInt8] in [
      [0xc0, 12], [0xc0, 40], [1, 97, 0xc0, 12], [0x40, 1, 97], [0x80, 97],
      Self.name([[UInt8]](repeating: [UInt8](repeating: 97, count: 63), count: 4)),
    ] {
      #expect(try ask(&service, Self.query(name, edns: nil)).code == 1, "\(name)")
    }
    var two = good
    two[5] = 2
    two += Self.name("example.org") + [0, 1, 0, 1]
    #expect(try ask(&service, two).code == 1)
    // EDNS version 1.
    var version = Self.query(Self.name("example.org"))
    version[version.count - 5] = 1
    guard case .reply(let reply) = service.handle(version) else { throw Ignored() }
    let message = try DNSMessage(decoding: reply)
    #expect(message.code == 0 && message.edns?.timeToLiveSeconds == 0x0100_0000)
  }

  @Test func poolIsBounded() throws {
    var service = try Self.service("*.example.org:443")
    for index in 0..<SyntheticPool.maximumNames {
      let answer = try ask(
        &service, Self.query(Self.name("n\(index).example.org")), Self.found)
      guard answer.addresses.count == 1 else {
        Issue.record("\(index): \(answer)")
        return
      }
    }
    let last = try ask(&service, Self.query(Self.name("last.example.org")), Self.found)
    #expect(last.code == 2 && last.text == "a run can use 4096 names")
    #expect(
      try ask(&service, Self.query(Self.name("n7.example.org")), Self.found).addresses
        == ["198.18.0.9"])
  }
}
