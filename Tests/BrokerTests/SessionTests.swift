import Broker
import JSON
import Testing

/// The request table holds for every line: by ring, by turn, by size, by rate.
@Suite struct SessionTests {
  private struct Site {
    var session = Session()
    let ring: UInt8
    var rate: TokenBucket

    init(ring: UInt8 = 3, burst: UInt64 = 1000) {
      self.ring = ring
      rate = TokenBucket(perSecond: 5, burst: burst, nowMilliseconds: 0)
    }

    mutating func take(_ line: String, descriptors: Int = 0, at now: UInt64 = 0) -> Session.Outcome
    {
      session.take(
        Array(line.utf8)[...], descriptors: descriptors, ring: ring, rate: &rate,
        nowMilliseconds: now)
    }

    mutating func greet() {
      guard case .call = take(hello) else {
        Issue.record("the greeting was refused")
        return
      }
    }
  }

  private static let hello =
    #"{"jsonrpc":"2.0","id":1,"method":"agt.hello","params":{"protocol":1}}"#
  private static let decide =
    #"{"jsonrpc":"2.0","id":2,"method":"policy.decide","params":{"tool":"x"}}"#

  private func code(_ outcome: Session.Outcome) -> BrokerError.Code? {
    switch outcome {
    case .call: nil
    case .refused(let error, _), .dropped(let error): error.code
    }
  }

  @Test func turns() {
    var site = Site()
    #expect(code(site.take(Self.decide)) == .outOfTurn)
    site.greet()
    site.greet()
    guard case .call(let request, let method) = site.take(Self.decide) else {
      Issue.record("refused")
      return
    }
    #expect(request.id == 2 && request.params == ["tool": "x"] && method.name == "policy.decide")
  }

  @Test(arguments: [
    ("", BrokerError.Code.malformed), ("nonsense", .malformed), ("[1]", .invalidRequest),
    ("\u{FEFF}{}", .malformed), ("{}", .invalidRequest), ("[]", .invalidRequest),
    (#"{"jsonrpc":"1.0","id":1,"method":"agt.hello"}"#, .invalidRequest),
    (#"{"id":1,"method":"agt.hello"}"#, .invalidRequest),
    (#"{"jsonrpc":"2.0","id":null,"method":"agt.hello"}"#, .invalidRequest),
    (#"{"jsonrpc":"2.0","id":1.5,"method":"agt.hello"}"#, .invalidRequest),
    (#"{"jsonrpc":"2.0","id":{},"method":"agt.hello"}"#, .invalidRequest),
    (#"{"jsonrpc":"2.0","id":1,"method":7}"#, .invalidRequest),
    (#"{"jsonrpc":"2.0","id":1,"method":"agt.hello","ring":0}"#, .invalidRequest),
    (#"{"jsonrpc":"2.0","id":1,"id":2,"method":"agt.hello"}"#, .malformed),
    (#"{"jsonrpc":"2.0","id":1,"method":"agt.hello","params":[1]}"#, .invalidParams),
    (
      #"{"jsonrpc":"2.0","id":1,"method":"agt.hello","params":{"protocol":1,"token":"x"}}"#,
      .invalidParams
    ),
    (#"{"jsonrpc":"2.0","method":"agt.hello","params":{"protocol":1}}"#, .invalidRequest),
    (#"{"jsonrpc":"2.0","id":1,"method":"AGT.HELLO"}"#, .unknownMethod),
    (#"{"jsonrpc":"2.0","id":1,"method":"agt.hello\u0000"}"#, .unknownMethod),
    (#"[{"jsonrpc":"2.0","id":1,"method":"agt.hello"}]"#, .invalidRequest),
  ]) func refusals(_ line: String, _ expected: BrokerError.Code) {
    var site = Site()
    #expect(code(site.take(line)) == expected, "\(line)")
    // Nothing of that has greeted.
    #expect(code(site.take(Self.decide)) == .outOfTurn)
  }

  @Test func depthAndSize() {
    var site = Site()
    site.greet()
    func nested(_ depth: Int) -> String {
      #"{"jsonrpc":"2.0","id":2,"method":"policy.decide","params":{"data":"#
        + String(repeating: "[", count: depth) + String(repeating: "]", count: depth) + "}}"
    }
    #expect(code(site.take(nested(30))) == nil)
    #expect(code(site.take(nested(31))) == .malformed)
    #expect(code(site.take(nested(20_000))) == .malformed)
    func note(_ count: Int) -> String {
      #"{"jsonrpc":"2.0","id":2,"method":"log.note","params":{"text":""#
        + String(repeating: "x", count: count) + "\"}}"
    }
    #expect(code(site.take(note(16_000))) == nil)
    #expect(code(site.take(note(17_000))) == .invalidParams)
    let many =
      #"{"jsonrpc":"2.0","id":2,"method":"policy.decide","params":{"args":["#
      + String(repeating: "1,", count: 5000) + "1]}}"
    #expect(code(site.take(many)) == .malformed)
  }

  @Test func descriptorsAreNotTaken() {
    var site = Site()
    site.greet()
    #expect(code(site.take(Self.decide, descriptors: 1)) == .descriptors)
    #expect(code(site.take(Self.decide)) == nil)
  }

  @Test func rate() {
    var site = Site(burst: 3)
    site.greet()
    #expect(code(site.take(Self.decide)) == nil)
    // What is no request costs as much.
    #expect(code(site.take("x")) == .malformed)
    guard case .refused(let error, let id) = site.take(Self.decide) else {
      Issue.record("not refused")
      return
    }
    #expect(error.code == .rateLimited && error.details["retryAfterMilliseconds"] == 200)
    #expect(id == 2)
    #expect(code(site.take(Self.decide, at: 200)) == nil)
  }

  @Test func notifications() {
    var site = Site()
    site.greet()
    let note = #"{"jsonrpc":"2.0","method":"log.note","params":{"text":"x"}}"#
    #expect(code(site.take(note)) == nil)
    let decide = #"{"jsonrpc":"2.0","method":"policy.decide","params":{}}"#
    guard case .dropped(let error) = site.take(decide) else {
      Issue.record("not dropped")
      return
    }
    #expect(error.code == .invalidRequest)
  }

  @Test func answersAreOneLine() throws {
    let error = BrokerError(.denied, "a\nb", ["rule": "r"])
    let line = Answer.error(error, id: "x\n")
    #expect(line.last == 10 && !line.dropLast().contains(10))
    let value = try JSONParser.parse(Array(line.dropLast()))
    #expect(value["error"]?["code"] == -32001 && value["id"] == "x\n")
    #expect(value["error"]?["data"] == ["code": "denied", "rule": "r"])
    #expect(Set(BrokerError.Code.allCases.map(\.number)).count == BrokerError.Code.allCases.count)
  }

  @Test func untrustedText() {
    let text = "a\u{1B}[31mb\u{202E}c\u{0}d\u{85}e\u{2028}f\u{E000}\u{FEFF}g\n"
    #expect(UntrustedText.cleaned(text) == "a [31mb c d e f  g ")
    #expect(UntrustedText.cleaned(String(repeating: "x", count: 600)).count == 513)
    #expect(UntrustedText.cleaned("grüße 日本語") == "grüße 日本語")
  }
}
