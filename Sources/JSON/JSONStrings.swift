/// Section 7 of RFC 8259.
extension JSONScanner {
  mutating func string(_ bytes: Span<UInt8>) throws(JSONError) -> String {
    let start = offset + 1
    // A variable of its own: nothing is stored for each byte.
    var end = start
    while end < bytes.count, !Self.endsRun(bytes[end]) { end += 1 }
    offset = end
    guard end < bytes.count else {
      throw error(bytes, at: start - 1, "the string is not closed")
    }
    switch bytes[end] {
    case UInt8(ascii: "\""):
      offset += 1
      return try text(bytes.extracting(start..<end), bytes, from: start)
    case UInt8(ascii: "\\"):
      return try escapedString(bytes, from: start)
    default:
      throw error(bytes, at: end, "control character in a string; it must be escaped")
    }
  }

  /// What a string cannot hold as it is.
  private static func endsRun(_ byte: UInt8) -> Bool {
    byte < 0x20 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\")
  }

  /// The rest of a string from its first backslash on.
  private mutating func escapedString(
    _ bytes: Span<UInt8>, from start: Int
  ) throws(JSONError) -> String {
    var decoded: [UInt8] = []
    var runStart = start
    while offset < bytes.count {
      switch bytes[offset] {
      case UInt8(ascii: "\""):
        try append(bytes, runStart..<offset, to: &decoded)
        offset += 1
        return try text(decoded.span, bytes, from: start)
      case UInt8(ascii: "\\"):
        try append(bytes, runStart..<offset, to: &decoded)
        try escape(bytes, to: &decoded)
        runStart = offset
      case 0..<0x20:
        throw error(bytes, at: offset, "control character in a string; it must be escaped")
      default:
        offset += 1
      }
    }
    throw error(bytes, at: start - 1, "the string is not closed")
  }

  /// Validated here rather than at the end of the string, so that an error has its true place.
  private func append(
    _ bytes: Span<UInt8>, _ range: Range<Int>, to decoded: inout [UInt8]
  ) throws(JSONError) {
    try validate(bytes.extracting(range), bytes, from: range.lowerBound)
    for index in range { decoded.append(bytes[index]) }
  }

  private func validate(
    _ part: Span<UInt8>, _ bytes: Span<UInt8>, from start: Int
  ) throws(JSONError) {
    do {
      _ = try UTF8Span(validating: part)
    } catch {
      throw self.error(bytes, at: start + error.byteOffsets.lowerBound, "not valid UTF-8")
    }
  }

  /// A copy of `part`, which starts at `start` of the text unless it was decoded from escapes.
  func text(
    _ part: Span<UInt8>, _ bytes: Span<UInt8>, from start: Int
  ) throws(JSONError) -> String {
    do {
      return String(copying: try UTF8Span(validating: part))
    } catch {
      throw self.error(bytes, at: start + error.byteOffsets.lowerBound, "not valid UTF-8")
    }
  }

  private mutating func escape(
    _ bytes: Span<UInt8>, to decoded: inout [UInt8]
  ) throws(JSONError) {
    let start = offset
    offset += 1
    guard offset < bytes.count else {
      throw error(bytes, at: start, "the text ends inside an escape")
    }
    let letter = bytes[offset]
    offset += 1
    switch letter {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): decoded.append(letter)
    case UInt8(ascii: "b"): decoded.append(0x08)
    case UInt8(ascii: "f"): decoded.append(0x0C)
    case UInt8(ascii: "n"): decoded.append(0x0A)
    case UInt8(ascii: "r"): decoded.append(0x0D)
    case UInt8(ascii: "t"): decoded.append(0x09)
    case UInt8(ascii: "u"):
      let scalar = try unicodeScalar(bytes, from: start)
      decoded.append(contentsOf: String(Character(scalar)).utf8)
    default:
      throw error(bytes, at: start, "unknown escape")
    }
  }

  /// One `\u` escape, or two that are a surrogate pair; `offset` is behind the first `u`.
  private mutating func unicodeScalar(
    _ bytes: Span<UInt8>, from start: Int
  ) throws(JSONError) -> Unicode.Scalar {
    let first = try hexadecimal(bytes, from: start)
    if let scalar = Unicode.Scalar(first) { return scalar }
    let isPair =
      first < 0xDC00 && bytes.count - offset >= 2
      && bytes[offset] == UInt8(ascii: "\\") && bytes[offset + 1] == UInt8(ascii: "u")
    guard isPair else { throw error(bytes, at: start, "lone surrogate") }
    offset += 2
    let second = try hexadecimal(bytes, from: offset - 2)
    guard (0xDC00...0xDFFF).contains(second),
      let scalar = Unicode.Scalar(0x1_0000 + (first - 0xD800) << 10 + (second - 0xDC00))
    else {
      throw error(bytes, at: start, "lone surrogate")
    }
    return scalar
  }

  private mutating func hexadecimal(
    _ bytes: Span<UInt8>, from start: Int
  ) throws(JSONError) -> UInt32 {
    var value: UInt32 = 0
    for _ in 0..<4 {
      let digit = offset < bytes.count ? Unicode.Scalar(bytes[offset]) : " "
      guard let number = Character(digit).hexDigitValue else {
        throw error(bytes, at: start, "\\u needs 4 hexadecimal digits")
      }
      value = value << 4 | UInt32(number)
      offset += 1
    }
    return value
  }
}
