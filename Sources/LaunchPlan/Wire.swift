/// Why bytes are no plan or report.
public struct DecodingError: Error, Equatable, Sendable {
  /// Where, in bytes from the start.
  public let offset: Int
  public let reason: String
}

/// Little-endian, length-prefixed: the encoding of plans and reports.
struct WireWriter {
  var bytes: [UInt8] = []

  mutating func integer<T: FixedWidthInteger>(_ value: T) {
    var rest = value.littleEndian
    for _ in 0..<(T.bitWidth / 8) {
      bytes.append(UInt8(truncatingIfNeeded: rest))
      if T.bitWidth > 8 { rest >>= 8 }
    }
  }
  mutating func boolean(_ value: Bool) { bytes.append(value ? 1 : 0) }
  mutating func string(_ value: [UInt8]) {
    integer(UInt32(value.count))
    bytes += value
  }
  mutating func list<T>(_ values: [T], _ write: (inout WireWriter, T) -> Void) {
    integer(UInt32(values.count))
    for value in values { write(&self, value) }
  }
  mutating func optional<T>(_ value: T?, _ write: (inout WireWriter, T) -> Void) {
    boolean(value != nil)
    if let value { write(&self, value) }
  }
}

/// Total on any bytes: refuses what it cannot read and never allocates more than the input holds.
struct WireReader {
  let bytes: [UInt8]
  var offset = 0

  init(_ bytes: [UInt8]) { self.bytes = bytes }

  var wrongVersion: DecodingError {
    failure("another version; agt-run and agt-stage must come from one build")
  }

  func failure(_ reason: String) -> DecodingError { DecodingError(offset: offset, reason: reason) }

  mutating func integer<T: FixedWidthInteger>(_ type: T.Type = T.self) throws(DecodingError) -> T {
    let size = T.bitWidth / 8
    guard bytes.count - offset >= size else { throw failure("cut in a number") }
    var value: UInt64 = 0
    for index in 0..<size { value |= UInt64(bytes[offset + index]) << (8 * UInt64(index)) }
    offset += size
    return T(truncatingIfNeeded: value)
  }

  mutating func boolean() throws(DecodingError) -> Bool {
    let value: UInt8 = try integer()
    guard value <= 1 else { throw failure("\(value) is no truth value") }
    return value == 1
  }

  /// Bytes for the kernel: a NUL inside is refused.
  mutating func string(nulAllowed: Bool = false) throws(DecodingError) -> [UInt8] {
    let count = Int(try integer(UInt32.self))
    guard bytes.count - offset >= count else { throw failure("cut in a string") }
    let value = Array(bytes[offset..<offset + count])
    guard nulAllowed || !value.contains(0) else { throw failure("NUL inside a string") }
    offset += count
    return value
  }

  /// - Parameter limit: more elements are refused; each takes at least one byte.
  mutating func list<T>(
    limit: Int, _ read: (inout WireReader) throws(DecodingError) -> T
  ) throws(DecodingError) -> [T] {
    let count = Int(try integer(UInt32.self))
    guard count <= limit, count <= bytes.count - offset else { throw failure("a list of \(count)") }
    var values: [T] = []
    values.reserveCapacity(count)
    for _ in 0..<count { values.append(try read(&self)) }
    return values
  }

  mutating func optional<T>(
    _ read: (inout WireReader) throws(DecodingError) -> T
  ) throws(DecodingError) -> T? {
    try boolean() ? try read(&self) : nil
  }

  func end() throws(DecodingError) {
    guard offset == bytes.count else { throw failure("\(bytes.count - offset) bytes too many") }
  }
}
