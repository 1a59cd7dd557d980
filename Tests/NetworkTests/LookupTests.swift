import Network
import Policy
import Testing

/// Resolution outside as a machine: servers, time and chance are values.
@Suite struct LookupTests {
  private struct Zero: RandomNumberGenerator {
    var value: UInt64 = 0x1234_5678_9abc_def0
    mutating func next() -> UInt64 {
      value = value &* 6_364_136_223_846_793_005 &+ 1
      return value
    }
  }

  private struct Outside {
    var lookup: Lookup
    var random = Zero()
    var now: UInt64 = 0
    /// The last query of each family, with its server.
    var asked: [Lookup.Family: (server: IPAddress, overTCP: Bool, query: [UInt8])] = [:]
    var count = 0
    var result: Resolution?

    init(_ name: String, _ resolver: String = "nameserver 192.0.2.1\nnameserver 192.0.2.2\n") {
      let configuration = ResolverConfiguration(resolver)
      lookup = Lookup(name: name, configuration, nowMilliseconds: 0)
      take(lookup.start(nowMilliseconds: 0, using: &random))
    }

    mutating func take(_ effects: [Lookup.Effect]) {
      for effect in effects {
        switch effect {
        case .send(let family, let server, let overTCP, let query, _):
          asked[family] = (server, overTCP, query)
          count += 1
        case .close(let family): asked[family] = nil
        case .finish(let resolution):
          #expect(result == nil)
          result = resolution
        }
      }
    }

    mutating func answer(
      _ family: Lookup.Family, code: UInt16 = 0, flags: UInt16 = 0x8180, _ records: [[UInt8]] = [],
      change: (inout [UInt8]) -> Void = { _ in }
    ) throws {
      let query = try #require(asked[family]).query
      let end = 12 + query[12...].firstIndex(of: 0)! - 12 + 5
      let head = flags | code
      var bytes = Array(query[..<2]) + [UInt8(head >> 8), UInt8(head & 255)]
      bytes +=
        [0, 1, 0, UInt8(records.count), 0, 0, 0, 0] + query[12..<end] + records.flatMap { $0 }
      change(&bytes)
      take(lookup.receive(bytes, family, nowMilliseconds: now, using: &random))
    }

    mutating func wait(until milliseconds: UInt64) {
      while lookup.deadlineMilliseconds <= milliseconds, result == nil {
        now = lookup.deadlineMilliseconds
        take(lookup.expire(nowMilliseconds: now, using: &random))
      }
      now = milliseconds
    }
  }

  private static func record(_ name: String, _ type: UInt16, _ data: [UInt8], ttl: UInt8 = 60)
    -> [UInt8]
  {
    NameServiceTests.name(name)
      + [0, UInt8(type), 0, 1, 0, 0, 0, ttl, 0, UInt8(data.count)] + data
  }

  private static func a(_ name: String, _ last: UInt8 = 34, ttl: UInt8 = 60) -> [UInt8] {
    record(name, 1, [93, 184, 216, last], ttl: ttl)
  }

  private static let both = IPAddress("93.184.216.34")!

  @Test func bothFamilies() throws {
    var outside = Outside("example.org")
    #expect(outside.count == 2)
    try outside.answer(.ipv4, [Self.a("example.org", ttl: 30)])
    #expect(outside.result == nil)
    let six: [UInt8] = [0x20, 0x01, 0x0d, 0xb8] + [UInt8](repeating: 0, count: 11) + [1]
    try outside.answer(.ipv6, [Self.record("example.org", 28, six)])
    #expect(
      outside.result
        == .addresses([Self.both, IPAddress("2001:db8::1")!], timeToLiveSeconds: 30))
  }

  @Test func aliasesInOneAnswerAndInSeveral() throws {
    var outside = Outside("example.org")
    try outside.answer(.ipv6)
    let alias = Self.record("example.org", 5, NameServiceTests.name("a.net"))
    try outside.answer(.ipv4, [alias, Self.a("a.net")])
    #expect(outside.result == .addresses([Self.both], timeToLiveSeconds: 60))

    outside = Outside("example.org")
    try outside.answer(.ipv6)
    try outside.answer(.ipv4, [alias])
    let query = try #require(outside.asked[.ipv4]).query
    #expect(query[12...].starts(with: NameServiceTests.name("a.net")))
    try outside.answer(.ipv4, [Self.a("a.net")])
    #expect(outside.result == .addresses([Self.both], timeToLiveSeconds: 60))
  }

  @Test func aliasLoopsEnd() throws {
    var outside = Outside("example.org")
    try outside.answer(.ipv6)
    let names = (0...20).map { "n\($0).org" }
    var current = "example.org"
    for name in names where outside.result == nil {
      try outside.answer(.ipv4, [Self.record(current, 5, NameServiceTests.name(name))])
      current = name
    }
    #expect(outside.result == .failed("too many aliases"))
    outside = Outside("example.org")
    try outside.answer(.ipv6)
    let circle = [
      Self.record("example.org", 5, NameServiceTests.name("b.org")),
      Self.record("b.org", 5, NameServiceTests.name("example.org")),
    ]
    try outside.answer(.ipv4, circle)
    #expect(outside.result == .addresses([], timeToLiveSeconds: 60))
  }

  @Test func foreignAnswersAreNoAnswers() throws {
    var outside = Outside("example.org")
    let address = [Self.a("example.org", 66)]
    try outside.answer(.ipv4, address) { $0[1] ^= 1 }
    try outside.answer(.ipv4, address) { $0[2] &= 0x7f }
    try outside.answer(.ipv4, address) { $0[13] ^= 1 }
    try outside.answer(.ipv4, address) { $0[12 + 13 + 1] = 28 }
    try outside.answer(.ipv4, address) { $0.removeLast() }
    #expect(outside.asked[.ipv4] != nil && outside.count == 2)
    // Records of another name in a true answer.
    try outside.answer(.ipv4, [Self.a("other.org", 66)])
    try outside.answer(.ipv6)
    #expect(outside.result == .addresses([], timeToLiveSeconds: 300))
  }

  @Test func overTCPWhenCut() throws {
    var outside = Outside("example.org")
    try outside.answer(.ipv4, flags: 0x8380)
    #expect(outside.asked[.ipv4]?.overTCP == true)
    #expect(outside.asked[.ipv6]?.overTCP == false)
    try outside.answer(.ipv4, [Self.a("example.org")])
    try outside.answer(.ipv6)
    #expect(outside.result == .addresses([Self.both], timeToLiveSeconds: 60))
  }

  @Test func nextServer() throws {
    var outside = Outside("example.org")
    try outside.answer(.ipv4, code: 2)
    #expect(outside.asked[.ipv4]?.server == IPAddress("192.0.2.2"))
    outside.take(
      outside.lookup.fail(.ipv4, "refused", nowMilliseconds: 0, using: &outside.random))
    #expect(outside.asked[.ipv4]?.server == IPAddress("192.0.2.1"))
    try outside.answer(.ipv4, [Self.a("example.org")])
    outside.wait(until: 600)
    // The other family gets half a second once there is an address.
    #expect(outside.result == .addresses([Self.both], timeToLiveSeconds: 60))
  }

  @Test func silenceEnds() {
    var outside = Outside("example.org")
    outside.wait(until: 60_000)
    #expect(outside.result == .failed("no answer in time"))
    #expect(outside.count == 8)
    var slow = Outside("example.org", "nameserver 192.0.2.1\noptions timeout:30 attempts:9\n")
    slow.wait(until: 7999)
    #expect(slow.result == nil)
    slow.wait(until: 8000)
    #expect(slow.result == .failed("no answer in time"))
  }

  @Test func absence() throws {
    var outside = Outside("example.org")
    try outside.answer(.ipv4, code: 3)
    try outside.answer(.ipv6, code: 3)
    #expect(outside.result == .noSuchName)
    // A failure of one family is no absence of the name.
    outside = Outside("example.org", "nameserver 192.0.2.1\noptions attempts:1\n")
    try outside.answer(.ipv4)
    try outside.answer(.ipv6, code: 2)
    #expect(outside.result == .failed("the server answered with code 2"))
  }

  @Test func configuration() {
    let read = ResolverConfiguration(
      """
      # comment
      search example.com
      nameserver 192.0.2.1 ; first
      nameserver fe80::1%eth0
      nameserver 2001:db8::53
      nameserver nonsense
      options ndots:5 timeout:99 attempts:0 rotate
      """)
    #expect(read.servers == [IPAddress("192.0.2.1")!, IPAddress("2001:db8::53")!])
    #expect(read.timeoutSeconds == 5 && read.attempts == 1)
    #expect(ResolverConfiguration("").servers == [IPAddress("127.0.0.1")!])
  }

  private func addresses(of name: String, in text: String, partBytes: Int = 1 << 16) -> [String] {
    let bytes = Array(text.utf8)
    var search = HostsSearch(name)
    for start in stride(from: 0, to: bytes.count, by: partBytes) {
      search.take(Array(bytes[start..<min(start + partBytes, bytes.count)]))
    }
    search.finish()
    return search.addresses.map(\.description)
  }

  @Test(arguments: [1, 2, 3, 7, 64, 4096]) func hosts(_ partBytes: Int) {
    let text = """
      127.0.0.1 localhost
      10.0.0.1 Db.Example.ORG db # db.example.com
      ::1\t other\tdb.example.org.\r
      #10.0.0.2 db.example.org
      10.0.0.3;db.example.org
      10.0.0.4 xdb.example.org db.example.orgx db.example.org..

      fe80::1%eth0 db.example.org
      bad db.example.org
      db.example.org
      10.0.0.5 münchen.example
      10.0.0.6 XN--mnchen-3YA.example#
      10.0.0.7 last.example
      """
    func found(_ name: String) -> [String] { addresses(of: name, in: text, partBytes: partBytes) }
    #expect(found("db.example.org") == ["10.0.0.1", "::1"])
    #expect(found("db") == ["10.0.0.1"])
    #expect(found("db.example.com") == [])
    #expect(found("xn--mnchen-3ya.example") == ["10.0.0.5", "10.0.0.6"])
    #expect(found("last.example") == ["10.0.0.7"])
  }

  @Test func hostsOnLongLines() {
    let line = "10.0.0.1 " + String(repeating: "name ", count: 30_000)
    let tooLong = String(repeating: line, count: 8)
    let text = line + "a.example\n" + tooLong + "a.example\n1.1.1.1 a.example"
    #expect(addresses(of: "a.example", in: text) == ["10.0.0.1", "1.1.1.1"])
  }
}
