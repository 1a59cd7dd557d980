public import Policy

/// The ring's DNS server: pure. It answers only names that a rule names, with addresses of the pool, and
/// asks for a resolution outside first, so that a name that does not exist does not exist inside either.
public struct NameService: Sendable {
  public let rules: NetworkRules
  public private(set) var pool: SyntheticPool

  /// Programs ask again after this; the meaning of an address does not change during a run.
  static let timeToLiveSeconds: UInt32 = 30
  /// What we take ourselves, and send at most over UDP (RFC 9715: 1,232 fits every path).
  static let payload: UInt16 = 1232

  /// A host name that policy keeps from the program, and why.
  public struct Refusal: Equatable, Sendable {
    public let name: String
    public let why: String
  }

  private var refusal: Refusal?

  /// What the last answer refused, once.
  public mutating func takeRefusal() -> Refusal? {
    defer { refusal = nil }
    return refusal
  }

  public init(rules: NetworkRules, pool: SyntheticPool) {
    self.rules = rules
    self.pool = pool
  }

  /// A question that waits for a resolution.
  public struct Pending: Sendable {
    public let name: String
    let id: UInt16
    let flags: UInt16
    let question: DNSQuestion
    /// Nil when the client does not speak EDNS.
    let payload: UInt16?
  }

  public enum Outcome: Sendable {
    case reply([UInt8])
    case resolve(Pending)
    /// No query at all.
    case ignore
  }

  /// Extended DNS errors (RFC 8914) with a sentence.
  struct Explanation: Equatable {
    var code: UInt16
    var text: String
    static func blocked(_ text: String) -> Explanation { Explanation(code: 15, text: text) }
    static func filtered(_ text: String) -> Explanation { Explanation(code: 17, text: text) }
    static func unreachable(_ text: String) -> Explanation { Explanation(code: 22, text: text) }
    static func other(_ text: String) -> Explanation { Explanation(code: 0, text: text) }
  }

  public mutating func handle(_ bytes: [UInt8]) -> Outcome {
    guard Self.isQuery(bytes) else { return .ignore }
    let id = UInt16(bytes[0]) << 8 | UInt16(bytes[1])
    let flags = UInt16(bytes[2]) << 8 | UInt16(bytes[3])
    guard let message = try? DNSMessage(decoding: bytes) else {
      return .reply(bare(id, flags, DNSCode.formatError))
    }
    guard message.operation == 0 else { return .reply(bare(id, flags, DNSCode.notImplemented)) }
    guard message.questions.count == 1, message.answers.isEmpty,
      message.others.count(where: { $0.type == DNSType.opt }) <= 1
    else { return .reply(bare(id, flags, DNSCode.formatError)) }
    let edns = message.edns
    let asked = Pending(
      name: message.questions[0].name.host ?? "", id: id, flags: flags,
      question: message.questions[0], payload: edns.map { max(512, $0.classNumber) })
    if let edns, edns.timeToLiveSeconds >> 16 & 255 != 0 {
      return .reply(reply(asked, code: DNSCode.badVersion))
    }
    return answer(asked)
  }

  /// After the resolution outside.
  public mutating func reply(to asked: Pending, _ resolution: Resolution) -> [UInt8] {
    switch resolution {
    case .noSuchName: return reply(asked, code: DNSCode.noSuchName)
    case .failed(let why):
      return reply(asked, code: DNSCode.serverFailure, .unreachable(why))
    case .addresses(let addresses, _):
      return reply(asked, addresses)
    }
  }

  private mutating func reply(_ asked: Pending, _ addresses: [IPAddress]) -> [UInt8] {
    if addresses.isEmpty { return reply(asked, code: DNSCode.noError) }
    var refusal = NetworkRules.Refusal.noRule
    for address in addresses {
      do throws(NetworkRules.Refusal) {
        try rules.judge(address, host: asked.name)
      } catch {
        refusal = error
        continue
      }
      return synthetic(asked)
    }
    self.refusal = Refusal(name: asked.name, why: refusal.text)
    return reply(asked, code: DNSCode.noSuchName, .filtered("\(asked.name): \(refusal.text)"))
  }

  private mutating func synthetic(_ asked: Pending) -> [UInt8] {
    guard let number = pool.number(for: asked.name) else {
      return reply(
        asked, code: DNSCode.serverFailure,
        .other("a run can use \(SyntheticPool.maximumNames) names"))
    }
    switch asked.question.type {
    case DNSType.a:
      return reply(asked, code: DNSCode.noError, answer: SyntheticPool.ipv4(number).bytes)
    case DNSType.aaaa:
      return reply(asked, code: DNSCode.noError, answer: SyntheticPool.ipv6(number).bytes)
    default: return reply(asked, code: DNSCode.noError)
    }
  }

  // MARK: questions

  private mutating func answer(_ asked: Pending) -> Outcome {
    let question = asked.question
    guard question.classNumber == 1 else { return .reply(reply(asked, code: DNSCode.refused)) }
    if let address = question.name.reverseAddress { return .reply(reverse(asked, address)) }
    guard !asked.name.isEmpty else {
      return .reply(
        reply(asked, code: DNSCode.noSuchName, .blocked("this is no host name")))
    }
    if asked.name == "localhost" || asked.name.hasSuffix(".localhost") {
      return .reply(localhost(asked))
    }
    guard rules.isResolvable(asked.name) else {
      refusal = Refusal(name: asked.name, why: NetworkRules.Refusal.noRule.text)
      return .reply(
        reply(
          asked, code: DNSCode.noSuchName,
          .blocked("agt-run: no network rule names \(asked.name)")))
    }
    guard question.type == DNSType.a || question.type == DNSType.aaaa else {
      // Other records would name services and addresses that nobody judged.
      return .reply(reply(asked, code: DNSCode.noError))
    }
    if asked.name == NetworkRule.hostLoopback { return .reply(synthetic(asked)) }
    return .resolve(asked)
  }

  /// RFC 6761, section 6.3.
  private func localhost(_ asked: Pending) -> [UInt8] {
    switch asked.question.type {
    case DNSType.a: reply(asked, code: DNSCode.noError, answer: [127, 0, 0, 1])
    case DNSType.aaaa:
      reply(asked, code: DNSCode.noError, answer: [UInt8](repeating: 0, count: 15) + [1])
    default: reply(asked, code: DNSCode.noError)
    }
  }

  private func reverse(_ asked: Pending, _ address: IPAddress) -> [UInt8] {
    guard let name = pool.name(of: address) else {
      return reply(asked, code: DNSCode.noSuchName)
    }
    return asked.question.type == DNSType.ptr
      ? reply(asked, code: DNSCode.noError, answer: DNSName(host: name).encoded)
      : reply(asked, code: DNSCode.noError)
  }

  // MARK: answers

  /// QR, the operation, RD as asked, RA.
  private func flags(_ asked: UInt16, _ code: Int) -> UInt16 {
    0x8080 | asked & 0x7900 | UInt16(code & 15)
  }

  private func bare(_ id: UInt16, _ asked: UInt16, _ code: Int) -> [UInt8] {
    DNSWriter(id: id, flags: flags(asked, code), questions: 0, answers: 0, additional: 0).bytes
  }

  private func reply(
    _ asked: Pending, code: Int, _ explanation: Explanation? = nil, answer: [UInt8]? = nil
  ) -> [UInt8] {
    var out = DNSWriter(
      id: asked.id, flags: flags(asked.flags, code), questions: 1, answers: answer == nil ? 0 : 1,
      additional: asked.payload == nil ? 0 : 1)
    out.question(asked.question)
    if let answer {
      out.answer(
        type: asked.question.type, timeToLiveSeconds: Self.timeToLiveSeconds, answer)
    }
    guard let payload = asked.payload else { return out.bytes }
    var options: [UInt8] = []
    if let explanation {
      // RFC 8914, section 2. Eleven bytes are the record itself, six the option's head.
      let room = Int(min(payload, Self.payload)) - out.bytes.count - 17
      let text = Array(explanation.text.utf8.prefix(max(0, min(room, 240))))
      let count = text.count + 2
      options = [0, 15, UInt8(count >> 8), UInt8(count & 255)]
      options += [UInt8(explanation.code >> 8), UInt8(explanation.code & 255)] + text
    }
    out.edns(payload: Self.payload, code: code, options)
    return out.bytes
  }
}

/// What the world outside says of a name.
public enum Resolution: Equatable, Sendable {
  /// Possibly none: the name exists without an address.
  case addresses([IPAddress], timeToLiveSeconds: UInt32)
  case noSuchName
  case failed(String)
}

extension NameService {
  /// Whether `handle` answers these bytes at all, now or after a resolution.
  public static func isQuery(_ bytes: [UInt8]) -> Bool { bytes.count >= 12 && bytes[2] & 0x80 == 0 }
}
