/// Section 6 of RFC 8259.
extension JSONScanner {
  /// A whole number that fits into 64 bits becomes `.integer`, however it is written; any other
  /// becomes `.number`. So a value has one representation, and minus zero is zero.
  mutating func number(_ bytes: Span<UInt8>) throws(JSONError) -> JSONValue {
    let start = offset
    let isNegative = bytes[offset] == UInt8(ascii: "-")
    if isNegative { offset += 1 }
    let integerStart = offset
    let magnitude = try digits(bytes)
    if offset - integerStart > 1 && bytes[integerStart] == UInt8(ascii: "0") {
      throw error(bytes, at: integerStart, "a number must not start with 0")
    }
    var isWhole = true
    if offset < bytes.count && bytes[offset] == UInt8(ascii: ".") {
      isWhole = false
      offset += 1
      _ = try digits(bytes)
    }
    if offset < bytes.count && bytes[offset] | 0x20 == UInt8(ascii: "e") {
      isWhole = false
      offset += 1
      let isSigned =
        offset < bytes.count
        && (bytes[offset] == UInt8(ascii: "+") || bytes[offset] == UInt8(ascii: "-"))
      if isSigned { offset += 1 }
      _ = try digits(bytes)
    }
    if isWhole, let magnitude {
      if !isNegative, let value = Int64(exactly: magnitude) { return .integer(value) }
      if isNegative && magnitude <= UInt64(1) << 63 {
        return .integer(Int64(truncatingIfNeeded: 0 &- magnitude))
      }
    }
    return try double(bytes, from: start)
  }

  /// At least one digit; their value when it fits.
  private mutating func digits(_ bytes: Span<UInt8>) throws(JSONError) -> UInt64? {
    let start = offset
    var value: UInt64 = 0
    var isOverflow = false
    while offset < bytes.count {
      let digit = bytes[offset] &- UInt8(ascii: "0")
      guard digit <= 9 else { break }
      let (tenfold, isLarge) = value.multipliedReportingOverflow(by: 10)
      let (sum, isLarger) = tenfold.addingReportingOverflow(UInt64(digit))
      value = sum
      isOverflow = isOverflow || isLarge || isLarger
      offset += 1
    }
    if offset == start { throw error(bytes, at: offset, "expected a digit") }
    return isOverflow ? nil : value
  }

  private func double(_ bytes: Span<UInt8>, from start: Int) throws(JSONError) -> JSONValue {
    if offset - start > JSONParser.numberMaxBytes {
      throw error(bytes, at: start, "a number of more than \(JSONParser.numberMaxBytes) bytes")
    }
    let text = try text(bytes.extracting(start..<offset), bytes, from: start)
    guard let value = Double(text), value.isFinite else {
      throw error(bytes, at: start, "the number is too large for a double")
    }
    return JSONValue(value)
  }
}
