/// How large a text may be. The text comes from an untrusted process, so every dimension that
/// costs time, memory or stack has a bound.
public struct JSONLimits: Equatable, Sendable {
  /// Longest text in bytes.
  public var sizeMaxBytes: Int
  /// Deepest nesting of arrays and objects; a text that is one scalar has depth 0.
  public var depthMax: Int
  /// Most array elements and object members, counted over the whole text.
  public var elementsMax: Int

  /// The parser recurses once per level: a bound that any thread's stack can hold.
  public static let depthMaxHighest = 256

  public static let `default` = JSONLimits(
    sizeMaxBytes: 1 << 20, depthMax: 32, elementsMax: 100_000)

  /// Traps when `depthMax` is above `depthMaxHighest` or a limit is negative.
  public init(sizeMaxBytes: Int, depthMax: Int, elementsMax: Int) {
    precondition(sizeMaxBytes >= 0 && elementsMax >= 0)
    precondition((0...Self.depthMaxHighest).contains(depthMax))
    self.sizeMaxBytes = sizeMaxBytes
    self.depthMax = depthMax
    self.elementsMax = elementsMax
  }
}

/// Reads JSON exactly as RFC 8259 defines it. Refused besides malformed text: duplicate member
/// names, lone surrogates, a byte order mark, and whatever exceeds the limits.
///
/// Strings may hold U+0000, as in RFC 8259; who passes one to the kernel has to check.
public enum JSONParser {
  /// Longest number in bytes. The shortest form of any double takes 24; converting thousands of
  /// digits exactly would cost time for nothing.
  public static let numberMaxBytes = 128

  /// - Throws: `JSONError.malformed` with the place and the cause.
  public static func parse(
    _ bytes: [UInt8], limits: JSONLimits = .default
  ) throws(JSONError) -> JSONValue {
    try parse(bytes.span, limits: limits)
  }

  /// - Throws: `JSONError.malformed` with the place and the cause.
  public static func parse(
    _ bytes: Span<UInt8>, limits: JSONLimits = .default
  ) throws(JSONError) -> JSONValue {
    var scanner = JSONScanner(limits: limits)
    if bytes.count > limits.sizeMaxBytes {
      throw scanner.error(
        bytes, at: 0, "\(bytes.count) bytes are more than the \(limits.sizeMaxBytes) allowed")
    }
    if bytes.count >= 3 && bytes[0] == 0xEF && bytes[1] == 0xBB && bytes[2] == 0xBF {
      throw scanner.error(bytes, at: 0, "a byte order mark is not allowed (RFC 8259, section 8.1)")
    }
    let value = try scanner.value(bytes, depth: 0)
    scanner.skipWhitespace(bytes)
    if scanner.offset < bytes.count {
      throw scanner.error(bytes, at: scanner.offset, "text after the value")
    }
    return value
  }
}

/// The grammar of RFC 8259, one function per production. The text is passed to each function
/// because a span cannot be stored.
struct JSONScanner {
  var offset = 0
  private var elementCount = 0
  private let limits: JSONLimits

  /// Objects up to this size are searched for duplicate names without a hash table.
  private static let smallObjectCount = 12

  init(limits: JSONLimits) {
    self.limits = limits
  }

  /// Section 2: space, tab, line feed, carriage return.
  mutating func skipWhitespace(_ bytes: Span<UInt8>) {
    while offset < bytes.count {
      switch bytes[offset] {
      case 0x20, 0x09, 0x0A, 0x0D: offset += 1
      default: return
      }
    }
  }

  /// Section 3.
  mutating func value(_ bytes: Span<UInt8>, depth: Int) throws(JSONError) -> JSONValue {
    skipWhitespace(bytes)
    guard offset < bytes.count else { throw error(bytes, at: offset, "expected a value") }
    switch bytes[offset] {
    case UInt8(ascii: "{"): return .object(try object(bytes, depth: depth + 1))
    case UInt8(ascii: "["): return .array(try array(bytes, depth: depth + 1))
    case UInt8(ascii: "\""): return .string(try string(bytes))
    case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return try number(bytes)
    case UInt8(ascii: "t"):
      try literal("true", bytes)
      return .bool(true)
    case UInt8(ascii: "f"):
      try literal("false", bytes)
      return .bool(false)
    case UInt8(ascii: "n"):
      try literal("null", bytes)
      return .null
    default:
      throw error(bytes, at: offset, "expected a value")
    }
  }

  private mutating func literal(_ name: String, _ bytes: Span<UInt8>) throws(JSONError) {
    var end = offset
    for byte in name.utf8 {
      guard end < bytes.count, bytes[end] == byte else {
        throw error(bytes, at: offset, "expected \(name)")
      }
      end += 1
    }
    offset = end
  }

  /// Section 4. Names that are equal for Unicode (canonical equivalence) count as duplicates.
  private mutating func object(_ bytes: Span<UInt8>, depth: Int) throws(JSONError) -> JSONObject {
    try checkDepth(depth, bytes)
    offset += 1
    var members: [JSONObject.Member] = []
    var names: Set<String> = []
    if try closes(UInt8(ascii: "}"), bytes) { return JSONObject(unique: members) }
    members.reserveCapacity(4)
    while true {
      skipWhitespace(bytes)
      let start = offset
      guard offset < bytes.count, bytes[offset] == UInt8(ascii: "\"") else {
        throw error(bytes, at: offset, "expected a member name in quotes")
      }
      let name = try string(bytes)
      if Self.isDuplicate(name, members, &names) {
        throw error(bytes, at: start, "duplicate member name")
      }
      skipWhitespace(bytes)
      guard offset < bytes.count, bytes[offset] == UInt8(ascii: ":") else {
        throw error(bytes, at: offset, "expected ':' after the member name")
      }
      offset += 1
      try countElement(bytes)
      members.append(JSONObject.Member(name: name, value: try value(bytes, depth: depth)))
      if try ends(UInt8(ascii: "}"), bytes) { return JSONObject(unique: members) }
    }
  }

  private static func isDuplicate(
    _ name: String, _ members: [JSONObject.Member], _ names: inout Set<String>
  ) -> Bool {
    if members.count < smallObjectCount { return members.contains { $0.name == name } }
    if names.isEmpty { names = Set(members.map(\.name)) }
    return !names.insert(name).inserted
  }

  /// Section 5.
  private mutating func array(_ bytes: Span<UInt8>, depth: Int) throws(JSONError) -> [JSONValue] {
    try checkDepth(depth, bytes)
    offset += 1
    var elements: [JSONValue] = []
    if try closes(UInt8(ascii: "]"), bytes) { return elements }
    while true {
      try countElement(bytes)
      elements.append(try value(bytes, depth: depth))
      if try ends(UInt8(ascii: "]"), bytes) { return elements }
    }
  }

  /// Whether the collection that was just opened is empty.
  private mutating func closes(_ bracket: UInt8, _ bytes: Span<UInt8>) throws(JSONError) -> Bool {
    skipWhitespace(bytes)
    guard offset < bytes.count else {
      throw error(bytes, at: offset, "the text ends inside an array or object")
    }
    guard bytes[offset] == bracket else { return false }
    offset += 1
    return true
  }

  /// Whether the collection ends after an element; false means that a comma was read.
  private mutating func ends(_ bracket: UInt8, _ bytes: Span<UInt8>) throws(JSONError) -> Bool {
    if try closes(bracket, bytes) { return true }
    guard bytes[offset] == UInt8(ascii: ",") else {
      let name = Character(Unicode.Scalar(bracket))
      throw error(bytes, at: offset, "expected ',' or '\(name)'")
    }
    offset += 1
    return false
  }

  private func checkDepth(_ depth: Int, _ bytes: Span<UInt8>) throws(JSONError) {
    if depth > limits.depthMax {
      throw error(bytes, at: offset, "nested deeper than \(limits.depthMax) levels")
    }
  }

  private mutating func countElement(_ bytes: Span<UInt8>) throws(JSONError) {
    elementCount += 1
    if elementCount > limits.elementsMax {
      throw error(bytes, at: offset, "more than \(limits.elementsMax) elements and members")
    }
  }

  func error(_ bytes: Span<UInt8>, at offset: Int, _ cause: String) -> JSONError {
    var line = 1
    var column = 1
    for index in 0..<min(offset, bytes.count) {
      let byte = bytes[index]
      if byte == 0x0A {
        line += 1
        column = 1
      } else if byte & 0xC0 != 0x80 {
        column += 1
      }
    }
    return .malformed(offset: offset, line: line, column: column, cause: cause)
  }
}
