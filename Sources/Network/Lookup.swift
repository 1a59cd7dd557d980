public import Policy

/// One name asked outside, as a machine: A and AAAA at the same time, one server after the other, over TCP
/// when an answer was cut, along aliases. The caller sends, receives and keeps the time.
public struct Lookup: Sendable {
  public enum Family: Int, CaseIterable, Sendable {
    case ipv4, ipv6
    var type: UInt16 { self == .ipv4 ? DNSType.a : DNSType.aaaa }
  }

  public enum Effect: Equatable, Sendable {
    /// From a new socket, connected to the server's port 53; an older one of the family is closed.
    case send(
      Family, server: IPAddress, overTCP: Bool, query: [UInt8], deadlineMilliseconds: UInt64)
    /// The family's socket is closed.
    case close(Family)
    case finish(Resolution)
  }

  /// Aliases of aliases (RFC 1034, section 3.6.2); servers of our own kind follow them themselves.
  static let maximumAliases = 8
  /// The program's own resolver waits 10 s (resolv.conf in the ring).
  static let totalMilliseconds: UInt64 = 8000
  /// Once there are addresses of one family, the other gets this much longer (RFC 8305, section 3, gives
  /// 50 ms; a slow IPv6 answer still counts here).
  static let graceMilliseconds: UInt64 = 500
  /// Of one name; a connection tries no more.
  static let maximumAddresses = 16
  private static let minimumSeconds: UInt32 = 1
  private static let maximumSeconds: UInt32 = 300

  private struct Side: Sendable {
    var name: DNSName
    var id: UInt16 = 0
    var attempt = 0
    var aliases = 0
    var overTCP = false
    var deadlineMilliseconds: UInt64 = .max
    var result: Resolution?
  }

  public let name: String
  private let servers: [IPAddress]
  private let attempts: Int
  private let timeoutMilliseconds: UInt64
  private let endMilliseconds: UInt64
  private var sides: [Side]
  private var isFinished = false

  public init(name: String, _ configuration: ResolverConfiguration, nowMilliseconds: UInt64) {
    self.name = name
    servers = configuration.servers
    attempts = configuration.attempts * configuration.servers.count
    timeoutMilliseconds = UInt64(configuration.timeoutSeconds) * 1000
    endMilliseconds = nowMilliseconds + Self.totalMilliseconds
    sides = Family.allCases.map { _ in Side(name: DNSName(host: name)) }
  }

  /// The next time at which `expire` has something to do.
  public var deadlineMilliseconds: UInt64 {
    min(endMilliseconds, sides.map { $0.result == nil ? $0.deadlineMilliseconds : .max }.min()!)
  }

  public mutating func start(
    nowMilliseconds now: UInt64, using generator: inout some RandomNumberGenerator
  ) -> [Effect] {
    Family.allCases.flatMap { ask($0, now, &generator) }
  }

  /// Bytes from the family's socket: over TCP without the length in front.
  public mutating func receive(
    _ bytes: [UInt8], _ family: Family, nowMilliseconds now: UInt64,
    using generator: inout some RandomNumberGenerator
  ) -> [Effect] {
    let side = sides[family.rawValue]
    guard side.result == nil, !isFinished else { return [] }
    // What is no answer to this very question is somebody else's, or forged: wait on.
    guard let message = try? DNSMessage(decoding: bytes), message.isResponse, message.id == side.id,
      message.questions.count == 1, message.questions[0].name.isSame(as: side.name),
      message.questions[0].type == family.type, message.questions[0].classNumber == 1
    else { return [] }
    if message.isTruncated, !side.overTCP {
      sides[family.rawValue].overTCP = true
      return ask(family, now, &generator)
    }
    switch message.code {
    case DNSCode.noError: return take(message, family, now, &generator)
    case DNSCode.noSuchName: return settle(family, .noSuchName, now)
    default:
      return tryNext(family, "the server answered with code \(message.code)", now, &generator)
    }
  }

  /// The family's socket failed: refused, unreachable, closed.
  public mutating func fail(
    _ family: Family, _ why: String, nowMilliseconds now: UInt64,
    using generator: inout some RandomNumberGenerator
  ) -> [Effect] {
    guard sides[family.rawValue].result == nil, !isFinished else { return [] }
    return tryNext(family, why, now, &generator)
  }

  public mutating func expire(
    nowMilliseconds now: UInt64, using generator: inout some RandomNumberGenerator
  ) -> [Effect] {
    guard !isFinished else { return [] }
    var effects: [Effect] = []
    for family in Family.allCases {
      let side = sides[family.rawValue]
      guard side.result == nil else { continue }
      if now >= endMilliseconds {
        effects += settle(family, .failed("no answer in time"), now)
      } else if now >= side.deadlineMilliseconds {
        effects += tryNext(family, "no answer in time", now, &generator)
      }
    }
    return effects
  }

  // MARK: one family

  private mutating func ask(
    _ family: Family, _ now: UInt64, _ generator: inout some RandomNumberGenerator
  ) -> [Effect] {
    let index = family.rawValue
    sides[index].id = UInt16.random(in: .min ... .max, using: &generator)
    sides[index].deadlineMilliseconds = min(now + timeoutMilliseconds, endMilliseconds)
    let side = sides[index]
    var out = DNSWriter(id: side.id, flags: 0x0100, questions: 1, answers: 0, additional: 1)
    out.question(DNSQuestion(name: side.name, type: family.type))
    out.edns(payload: NameService.payload, code: 0, [])
    return [
      .send(
        family, server: servers[side.attempt % servers.count], overTCP: side.overTCP,
        query: out.bytes, deadlineMilliseconds: side.deadlineMilliseconds)
    ]
  }

  private mutating func tryNext(
    _ family: Family, _ why: String, _ now: UInt64,
    _ generator: inout some RandomNumberGenerator
  ) -> [Effect] {
    sides[family.rawValue].attempt += 1
    sides[family.rawValue].overTCP = false
    guard sides[family.rawValue].attempt < attempts, now < endMilliseconds else {
      return settle(family, .failed(why), now)
    }
    return ask(family, now, &generator)
  }

  private mutating func take(
    _ message: DNSMessage, _ family: Family, _ now: UInt64,
    _ generator: inout some RandomNumberGenerator
  ) -> [Effect] {
    var target = sides[family.rawValue].name
    var seconds = Self.maximumSeconds
    for _ in 0..<Self.maximumAliases {
      let alias = message.answers.first {
        $0.type == DNSType.cname && $0.classNumber == 1 && $0.name.isSame(as: target)
      }
      guard let alias, case .alias(let next) = alias.content else { break }
      seconds = min(seconds, alias.timeToLiveSeconds)
      target = next
    }
    var addresses: [IPAddress] = []
    for record in message.answers where record.type == family.type && record.name.isSame(as: target)
    {
      guard case .address(let address) = record.content, addresses.count < Self.maximumAddresses
      else { continue }
      seconds = min(seconds, record.timeToLiveSeconds)
      addresses.append(address)
    }
    if addresses.isEmpty, !target.isSame(as: sides[family.rawValue].name) {
      sides[family.rawValue].aliases += 1
      guard sides[family.rawValue].aliases < Self.maximumAliases else {
        return settle(family, .failed("too many aliases"), now)
      }
      sides[family.rawValue].name = target
      sides[family.rawValue].overTCP = false
      return ask(family, now, &generator)
    }
    return settle(
      family,
      .addresses(addresses, timeToLiveSeconds: max(Self.minimumSeconds, seconds)), now)
  }

  private mutating func settle(
    _ family: Family, _ result: Resolution, _ now: UInt64
  ) -> [Effect] {
    sides[family.rawValue].result = result
    var effects = [Effect.close(family)]
    let other = family == .ipv4 ? 1 : 0
    if sides[other].result == nil {
      if case .addresses(let addresses, _) = result, !addresses.isEmpty {
        let limit = now + Self.graceMilliseconds
        sides[other].deadlineMilliseconds = min(sides[other].deadlineMilliseconds, limit)
        sides[other].attempt = attempts
      }
      return effects
    }
    isFinished = true
    effects.append(.finish(combined))
    return effects
  }

  /// Addresses of either family count; otherwise a failure says more than an absence.
  private var combined: Resolution {
    var all: [IPAddress] = []
    var seconds = Self.maximumSeconds
    var failure: Resolution?
    var isMissing = true
    for side in sides {
      switch side.result! {
      case .addresses(let addresses, let left):
        all += addresses
        seconds = min(seconds, left)
        isMissing = false
      case .failed: failure = side.result
      case .noSuchName: continue
      }
    }
    if all.isEmpty, let failure { return failure }
    return isMissing ? .noSuchName : .addresses(all, timeToLiveSeconds: seconds)
  }
}
