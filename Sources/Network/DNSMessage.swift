public import Policy

/// Why bytes are no DNS message of use.
public enum DNSError: Error, Equatable, Sendable {
  case cut
  /// A compression pointer that does not point backwards, or too many of them.
  case badPointer
  case badLabel
  case nameTooLong
  case tooManyRecords
}

/// Types of records (RFC 1035, 3596, 6891, 9460).
public enum DNSType {
  public static let a: UInt16 = 1
  public static let cname: UInt16 = 5
  public static let soa: UInt16 = 6
  public static let ptr: UInt16 = 12
  public static let aaaa: UInt16 = 28
  public static let opt: UInt16 = 41
}

/// Response codes (RFC 1035, section 4.1.1; RFC 6891, section 6.1.3).
public enum DNSCode {
  public static let noError = 0
  public static let formatError = 1
  public static let serverFailure = 2
  public static let noSuchName = 3
  public static let notImplemented = 4
  public static let refused = 5
  public static let badVersion = 16
}

/// A name as labels of bytes, without compression.
public struct DNSName: Equatable, Sendable {
  public var labels: [[UInt8]]

  /// RFC 1035, section 2.3.4: with lengths and the root.
  public static let maximumBytes = 255

  public init(labels: [[UInt8]]) { self.labels = labels }

  /// A host name in canonical spelling, which is short enough and ASCII.
  public init(host: String) {
    labels = host.utf8.split(separator: UInt8(ascii: ".")).map(Array.init)
  }

  /// Letters in lower case; nil when a label holds what host names do not: dots, NUL, control bytes,
  /// blanks, bytes that are not ASCII.
  public var host: String? {
    guard !labels.isEmpty else { return nil }
    for label in labels where !label.allSatisfy(Self.isHostByte) { return nil }
    let text = labels.map { String(decoding: $0, as: UTF8.self) }.joined(separator: ".")
    return try? HostName.canonical(text)
  }

  private static func isHostByte(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"):
      true
    default: false
    }
  }

  /// Equal but for the case of ASCII letters (RFC 4343).
  public func isSame(as other: DNSName) -> Bool {
    labels.count == other.labels.count
      && zip(labels, other.labels).allSatisfy { $0.map(Self.folded) == $1.map(Self.folded) }
  }

  private static func folded(_ byte: UInt8) -> UInt8 {
    (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte) ? byte | 0x20 : byte
  }

  var encoded: [UInt8] { labels.flatMap { [UInt8($0.count)] + $0 } + [0] }

  /// `1.0.18.198.in-addr.arpa` and its IPv6 relative (RFC 1035, section 3.5; RFC 3596, section 2.5).
  public var reverseAddress: IPAddress? {
    let text = labels.map { String(decoding: $0, as: UTF8.self).lowercased() }
    if text.count == 6, text.suffix(2) == ["in-addr", "arpa"] {
      return IPAddress(text.prefix(4).reversed().joined(separator: "."))
    }
    guard text.count == 34, text.suffix(2) == ["ip6", "arpa"] else { return nil }
    let nibbles = text.prefix(32).reversed().compactMap {
      $0.utf8.count == 1 ? UInt8($0, radix: 16) : nil
    }
    guard nibbles.count == 32 else { return nil }
    return IPAddress(bytes: (0..<16).map { nibbles[2 * $0] << 4 | nibbles[2 * $0 + 1] })
  }
}

public struct DNSQuestion: Equatable, Sendable {
  public var name: DNSName
  public var type: UInt16
  public var classNumber: UInt16
  public init(name: DNSName, type: UInt16, classNumber: UInt16 = 1) {
    self.name = name
    self.type = type
    self.classNumber = classNumber
  }
}

public struct DNSRecord: Equatable, Sendable {
  public enum Content: Equatable, Sendable {
    case address(IPAddress)
    case alias(DNSName)
    case other([UInt8])
  }
  public var name: DNSName
  public var type: UInt16
  /// For OPT: the largest datagram that the sender takes.
  public var classNumber: UInt16
  public var timeToLiveSeconds: UInt32
  public var content: Content
}

/// A message, read whole. Nothing is believed beyond the bounds: a name has at most 255 bytes, a pointer
/// points backwards, and a message has at most `maximumRecords` records.
public struct DNSMessage: Equatable, Sendable {
  public var id: UInt16
  public var flags: UInt16
  public var questions: [DNSQuestion] = []
  public var answers: [DNSRecord] = []
  /// Authority and additional records.
  public var others: [DNSRecord] = []

  /// A resolver's answer for a host has a handful.
  public static let maximumRecords = 256
  /// A message over TCP has 65,535 at most (RFC 1035, section 4.2.2).
  public static let maximumBytes = 65_535

  public init(id: UInt16, flags: UInt16) {
    self.id = id
    self.flags = flags
  }

  public var isResponse: Bool { flags & 0x8000 != 0 }
  public var operation: Int { Int(flags >> 11 & 15) }
  public var isTruncated: Bool { flags & 0x0200 != 0 }
  public var code: Int { Int(flags & 15) }
  public var edns: DNSRecord? { others.first { $0.type == DNSType.opt } }

  public init(decoding bytes: [UInt8]) throws(DNSError) {
    var reader = DNSReader(bytes)
    id = try reader.integer16()
    flags = try reader.integer16()
    let counts = [
      try reader.integer16(), try reader.integer16(), try reader.integer16(),
      try reader.integer16(),
    ].map(Int.init)
    guard counts.reduce(0, +) <= Self.maximumRecords else { throw .tooManyRecords }
    for _ in 0..<counts[0] {
      questions.append(
        DNSQuestion(
          name: try reader.name(), type: try reader.integer16(),
          classNumber: try reader.integer16()))
    }
    for _ in 0..<counts[1] { answers.append(try reader.record()) }
    for _ in 0..<counts[2] + counts[3] { others.append(try reader.record()) }
  }
}

struct DNSReader {
  private let bytes: [UInt8]
  private var offset = 0

  init(_ bytes: [UInt8]) { self.bytes = bytes }

  private mutating func integer8() throws(DNSError) -> UInt8 {
    guard offset < bytes.count else { throw .cut }
    defer { offset += 1 }
    return bytes[offset]
  }

  mutating func integer16() throws(DNSError) -> UInt16 {
    UInt16(try integer8()) << 8 | UInt16(try integer8())
  }

  private mutating func integer32() throws(DNSError) -> UInt32 {
    UInt32(try integer16()) << 16 | UInt32(try integer16())
  }

  /// RFC 1035, section 4.1.4. Each pointer goes to an earlier place than the one before it, so that the
  /// walk ends.
  mutating func name() throws(DNSError) -> DNSName {
    var labels: [[UInt8]] = []
    var length = 1
    var place = offset
    var earliest = offset
    var isFollowing = false
    while true {
      guard place < bytes.count else { throw .cut }
      let head = bytes[place]
      switch head >> 6 {
      case 0:
        let next = place + 1 + Int(head)
        if head == 0 {
          if !isFollowing { offset = place + 1 }
          return DNSName(labels: labels)
        }
        guard next <= bytes.count else { throw .cut }
        length += 1 + Int(head)
        guard length <= DNSName.maximumBytes else { throw .nameTooLong }
        labels.append(Array(bytes[place + 1..<next]))
        place = next
      case 3:
        guard place + 1 < bytes.count else { throw .cut }
        let target = Int(head & 63) << 8 | Int(bytes[place + 1])
        guard target < earliest else { throw .badPointer }
        if !isFollowing { offset = place + 2 }
        isFollowing = true
        earliest = target
        place = target
      default: throw .badLabel
      }
    }
  }

  mutating func record() throws(DNSError) -> DNSRecord {
    let name = try name()
    let type = try integer16()
    let classNumber = try integer16()
    let seconds = try integer32()
    let count = Int(try integer16())
    let end = offset + count
    guard end <= bytes.count else { throw .cut }
    let content: DNSRecord.Content
    let data = Array(bytes[offset..<end])
    switch type {
    case DNSType.a where classNumber == 1, DNSType.aaaa where classNumber == 1:
      guard count == (type == DNSType.a ? 4 : 16), let address = IPAddress(bytes: data) else {
        throw .cut
      }
      content = .address(address)
    case DNSType.cname, DNSType.ptr:
      content = .alias(try self.name())
      guard offset == end else { throw .cut }
    default: content = .other(data)
    }
    offset = end
    return DNSRecord(
      name: name, type: type, classNumber: classNumber, timeToLiveSeconds: seconds,
      content: content)
  }
}

struct DNSWriter {
  private(set) var bytes: [UInt8] = []

  init(id: UInt16, flags: UInt16, questions: Int, answers: Int, additional: Int) {
    for value in [id, flags, UInt16(questions), UInt16(answers), 0, UInt16(additional)] {
      integer16(value)
    }
  }

  mutating func integer16(_ value: UInt16) {
    bytes += [UInt8(value >> 8), UInt8(value & 255)]
  }

  mutating func question(_ question: DNSQuestion) {
    bytes += question.name.encoded
    integer16(question.type)
    integer16(question.classNumber)
  }

  /// A record of the question's own name.
  mutating func answer(type: UInt16, timeToLiveSeconds: UInt32, _ data: [UInt8]) {
    integer16(0xc00c)
    integer16(type)
    integer16(1)
    integer16(UInt16(timeToLiveSeconds >> 16))
    integer16(UInt16(timeToLiveSeconds & 0xffff))
    integer16(UInt16(data.count))
    bytes += data
  }

  /// RFC 6891, section 6.1.2.
  mutating func edns(payload: UInt16, code: Int, _ options: [UInt8]) {
    bytes.append(0)
    integer16(DNSType.opt)
    integer16(payload)
    bytes += [UInt8(code >> 4), 0, 0, 0]
    integer16(UInt16(options.count))
    bytes += options
  }
}
