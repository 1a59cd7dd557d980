/// Splits a condition into tokens.
struct ConditionLexer {
  enum Token: Equatable {
    /// A word: keyword, field or function name.
    case word(String)
    case literal(Literal)
    /// `== != < <= > >= ( ) [ ] , .`
    case symbol(String)
    case end
  }

  struct Placed: Equatable {
    let token: Token
    let range: Range<Int>
  }

  private let bytes: [UInt8]
  private var offset = 0

  init(_ text: String) {
    bytes = Array(text.utf8)
  }

  static func tokens(_ text: String) throws(ConditionProblem) -> [Placed] {
    if text.utf8.count > PolicyLimits.conditionMaxBytes {
      throw ConditionProblem(
        offset: 0,
        message: "the condition has \(text.utf8.count) bytes, more than "
          + "\(PolicyLimits.conditionMaxBytes); write several rules")
    }
    var lexer = ConditionLexer(text)
    var tokens: [Placed] = []
    while true {
      let placed = try lexer.next()
      tokens.append(placed)
      if placed.token == .end { return tokens }
    }
  }

  static func isNameStart(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "_"):
      true
    default: false
    }
  }

  static func isDigit(_ byte: UInt8) -> Bool {
    (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
  }

  static func isNameByte(_ byte: UInt8) -> Bool { isNameStart(byte) || isDigit(byte) }

  private mutating func next() throws(ConditionProblem) -> Placed {
    while offset < bytes.count, [0x20, 0x09, 0x0A, 0x0D].contains(bytes[offset]) { offset += 1 }
    guard offset < bytes.count else {
      return Placed(token: .end, range: offset..<offset)
    }
    let start = offset
    let byte = bytes[offset]
    let token: Token
    if Self.isNameStart(byte) {
      while offset < bytes.count, Self.isNameByte(bytes[offset]) { offset += 1 }
      token = .word(text(start..<offset))
    } else if Self.isDigit(byte) || byte == UInt8(ascii: "-") {
      token = .literal(try number())
    } else if byte == UInt8(ascii: "'") || byte == UInt8(ascii: "\"") {
      token = .literal(.text(try string()))
    } else {
      token = .symbol(try symbol())
    }
    return Placed(token: token, range: start..<offset)
  }

  private func text(_ range: Range<Int>) -> String { String(decoding: bytes[range], as: UTF8.self) }

  private mutating func symbol() throws(ConditionProblem) -> String {
    let byte = bytes[offset]
    let isFollowedByEqual = offset + 1 < bytes.count && bytes[offset + 1] == UInt8(ascii: "=")
    switch byte {
    case UInt8(ascii: "="), UInt8(ascii: "!"):
      guard isFollowedByEqual else {
        throw ConditionProblem(
          offset: offset,
          message: byte == UInt8(ascii: "=")
            ? "\"=\" is not an operator; write \"==\"" : "\"!\" is not an operator; write \"not\"")
      }
      offset += 2
    case UInt8(ascii: "<"), UInt8(ascii: ">"):
      offset += isFollowedByEqual ? 2 : 1
    case UInt8(ascii: "("), UInt8(ascii: ")"), UInt8(ascii: "["), UInt8(ascii: "]"),
      UInt8(ascii: ","), UInt8(ascii: "."):
      offset += 1
      return text(offset - 1..<offset)
    default:
      throw unexpected()
    }
    return text(offset - (isFollowedByEqual ? 2 : 1)..<offset)
  }

  private func unexpected() -> ConditionProblem {
    let scalar = text(offset..<min(offset + 4, bytes.count)).unicodeScalars.first ?? "?"
    let hint =
      switch scalar {
      case "&": "write \"and\""
      case "|": "write \"or\""
      case "~": "write \"matches\" for a regular expression"
      case "{", "}": "write a list in square brackets"
      case "‘", "’", "“", "”": "use straight quotes"
      default: "put text into quotes"
      }
    return ConditionProblem(
      offset: offset, message: "unexpected \(Text.quote(String(scalar))); \(hint)")
  }

  /// A quote inside a string is written twice. There are no escapes, so that regular expressions
  /// are written as they are.
  private mutating func string() throws(ConditionProblem) -> String {
    let start = offset
    let quote = bytes[offset]
    var content: [UInt8] = []
    offset += 1
    while offset < bytes.count {
      let byte = bytes[offset]
      offset += 1
      if byte != quote {
        content.append(byte)
      } else if offset < bytes.count, bytes[offset] == quote {
        content.append(quote)
        offset += 1
      } else {
        return String(decoding: content, as: UTF8.self)
      }
    }
    throw ConditionProblem(
      offset: start, message: "a string without its closing quote; add the quote")
  }

  /// `-12`, `0.5`, `1e6`, `5m`, `512MiB`.
  private mutating func number() throws(ConditionProblem) -> Literal {
    let start = offset
    if bytes[offset] == UInt8(ascii: "-") { offset += 1 }
    let digitsStart = offset
    skipDigits()
    guard offset > digitsStart else {
      throw ConditionProblem(offset: start, message: "\"-\" without a number; write for example -1")
    }
    if bytes[digitsStart] == UInt8(ascii: "0") && offset > digitsStart + 1 {
      throw ConditionProblem(
        offset: start, message: "a number with a leading zero; write it without the zero")
    }
    var isWhole = true
    if offset + 1 < bytes.count, bytes[offset] == UInt8(ascii: "."),
      Self.isDigit(bytes[offset + 1])
    {
      isWhole = false
      offset += 1
      skipDigits()
    }
    if isExponent() {
      isWhole = false
      offset += 1
      if !Self.isDigit(bytes[offset]) { offset += 1 }
      skipDigits()
    }
    let unitStart = offset
    while offset < bytes.count, Self.isNameByte(bytes[offset]) { offset += 1 }
    if unitStart < offset {
      guard isWhole, digitsStart == start,
        let literal = Self.quantity(text(start..<unitStart), unit: text(unitStart..<offset))
      else {
        throw ConditionProblem(
          offset: start,
          message: "\(Text.quote(text(start..<offset))) is not a number; units are ms, s, m, h for "
            + "durations and KiB, MiB, GiB, k, M, G for sizes, behind a whole number")
      }
      return literal
    }
    return try value(start, isWhole: isWhole)
  }

  private func value(_ start: Int, isWhole: Bool) throws(ConditionProblem) -> Literal {
    let written = text(start..<offset)
    if isWhole, let integer = Int64(written) { return .integer(integer) }
    guard !isWhole, written.utf8.count <= 64, let number = Double(written), number.isFinite else {
      throw ConditionProblem(
        offset: start,
        message: "\(Text.quote(written)) does not fit into 64 bits; write a "
          + "smaller number")
    }
    return .number(number)
  }

  private mutating func skipDigits() {
    while offset < bytes.count, Self.isDigit(bytes[offset]) { offset += 1 }
  }

  private func isExponent() -> Bool {
    guard offset + 1 < bytes.count, bytes[offset] | 0x20 == UInt8(ascii: "e") else { return false }
    if Self.isDigit(bytes[offset + 1]) { return true }
    return (bytes[offset + 1] == UInt8(ascii: "-") || bytes[offset + 1] == UInt8(ascii: "+"))
      && offset + 2 < bytes.count && Self.isDigit(bytes[offset + 2])
  }

  private static func quantity(_ digits: String, unit: String) -> Literal? {
    guard let number = Int64(digits) else { return nil }
    let durations: [String: Int64] = ["ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000]
    let sizes: [String: Int64] = [
      "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "k": 1_000, "M": 1_000_000,
      "G": 1_000_000_000,
    ]
    if let factor = durations[unit] {
      let (product, isOverflow) = number.multipliedReportingOverflow(by: factor)
      return isOverflow ? nil : .durationMilliseconds(product)
    }
    guard let factor = sizes[unit] else { return nil }
    let (product, isOverflow) = number.multipliedReportingOverflow(by: factor)
    return isOverflow ? nil : .sizeBytes(product)
  }
}
