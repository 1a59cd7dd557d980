/// Writes JSON as UTF-8 without a line feed at the end.
public enum JSONWriter {
  /// The canonical form of RFC 8785 (JCS), over which digests and signatures are computed.
  ///
  /// - Throws: `JSONError.integerNotCanonical`, `JSONError.numberNotFinite`.
  public static func canonical(_ value: JSONValue) throws(JSONError) -> [UInt8] {
    var output: [UInt8] = []
    try appendCanonical(value, to: &output)
    return output
  }

  /// One line, members in their order; for line protocols. A number that is not finite becomes
  /// null, as ECMAScript writes it.
  public static func compact(_ value: JSONValue) -> [UInt8] {
    var output: [UInt8] = []
    appendCompact(value, to: &output)
    return output
  }

  /// Indented by 2 spaces, members in their order; for people. A number that is not finite becomes
  /// null, as ECMAScript writes it.
  public static func pretty(_ value: JSONValue) -> [UInt8] {
    var output: [UInt8] = []
    appendPretty(value, level: 0, to: &output)
    return output
  }

  /// Largest integer that every reader with doubles takes for itself (RFC 7493, section 2.2).
  public static let integerMaxCanonical: Int64 = (1 << 53) - 1

  /// The canonical form behind what is there.
  ///
  /// - Throws: as `canonical`; what was appended until then stays.
  public static func appendCanonical(
    _ value: JSONValue, to output: inout [UInt8]
  ) throws(JSONError) {
    switch value {
    case .integer(let integer) where integer.magnitude > integerMaxCanonical.magnitude:
      throw .integerNotCanonical(integer)
    case .number(let number) where !number.isFinite:
      throw .numberNotFinite
    case .string(let text):
      appendString(text, escapesAllControls: false, to: &output)
    case .array(let elements):
      output.append(UInt8(ascii: "["))
      for (index, element) in elements.enumerated() {
        if index > 0 { output.append(UInt8(ascii: ",")) }
        try appendCanonical(element, to: &output)
      }
      output.append(UInt8(ascii: "]"))
    case .object(let object):
      let members = object.members
      output.append(UInt8(ascii: "{"))
      if isOrdered(members) {
        for index in members.indices {
          try appendCanonical(members[index], isFirst: index == 0, to: &output)
        }
      } else {
        for (index, place) in canonicalOrder(members).enumerated() {
          try appendCanonical(members[place], isFirst: index == 0, to: &output)
        }
      }
      output.append(UInt8(ascii: "}"))
    case .null, .bool, .integer, .number:
      appendScalar(value, to: &output)
    }
  }

  /// The canonical form of an object that has some members more.
  ///
  /// - Parameter others: of other names.
  /// - Throws: as `canonical`; what was appended until then stays.
  public static func appendCanonical(
    _ object: JSONObject, with others: CanonicalMembers, to output: inout [UInt8]
  ) throws(JSONError) {
    output.append(UInt8(ascii: "{"))
    var isFirst = true
    var other = 0
    for place in canonicalOrder(object.members) {
      let member = object.members[place]
      while other < others.names.count, precedes(others.names[other], member.name) {
        others.append(other, isFirst: isFirst, to: &output)
        (other, isFirst) = (other + 1, false)
      }
      try appendCanonical(member, isFirst: isFirst, to: &output)
      isFirst = false
    }
    while other < others.names.count {
      others.append(other, isFirst: isFirst, to: &output)
      (other, isFirst) = (other + 1, false)
    }
    output.append(UInt8(ascii: "}"))
  }

  /// Places of the members in the order of RFC 8785.
  static func canonicalOrder(_ members: [JSONObject.Member]) -> [Int] {
    members.indices.sorted { precedes(members[$0].name, members[$1].name) }
  }

  fileprivate static func appendCanonical(
    _ member: JSONObject.Member, isFirst: Bool, to output: inout [UInt8]
  ) throws(JSONError) {
    if !isFirst { output.append(UInt8(ascii: ",")) }
    appendString(member.name, escapesAllControls: false, to: &output)
    output.append(UInt8(ascii: ":"))
    try appendCanonical(member.value, to: &output)
  }

  /// Whether the members are in the order of RFC 8785, section 3.2.3: by UTF-16 code units.
  private static func isOrdered(_ members: [JSONObject.Member]) -> Bool {
    for index in members.indices.dropFirst() {
      guard precedes(members[index - 1].name, members[index].name) else { return false }
    }
    return true
  }

  /// The order of UTF-8 bytes is that of UTF-16 code units below U+E000, where bytes begin with 0xEE:
  /// what is above is compared as it is asked for.
  private static func precedes(_ one: String, _ other: String) -> Bool {
    let (left, right) = (one.utf8Span.span, other.utf8Span.span)
    for index in 0..<min(left.count, right.count) where left[index] != right[index] {
      guard max(left[index], right[index]) < 0xEE else {
        return one.utf16.lexicographicallyPrecedes(other.utf16)
      }
      return left[index] < right[index]
    }
    return left.count < right.count
  }

  /// As `compact`, behind what is there.
  public static func appendCompact(_ value: JSONValue, to output: inout [UInt8]) {
    switch value {
    case .string(let text):
      appendString(text, escapesAllControls: true, to: &output)
    case .array(let elements):
      output.append(UInt8(ascii: "["))
      for (index, element) in elements.enumerated() {
        if index > 0 { output.append(UInt8(ascii: ",")) }
        appendCompact(element, to: &output)
      }
      output.append(UInt8(ascii: "]"))
    case .object(let object):
      output.append(UInt8(ascii: "{"))
      for (index, member) in object.members.enumerated() {
        if index > 0 { output.append(UInt8(ascii: ",")) }
        appendString(member.name, escapesAllControls: true, to: &output)
        output.append(UInt8(ascii: ":"))
        appendCompact(member.value, to: &output)
      }
      output.append(UInt8(ascii: "}"))
    case .null, .bool, .integer, .number:
      appendScalar(value, to: &output)
    }
  }

  private static func appendPretty(_ value: JSONValue, level: Int, to output: inout [UInt8]) {
    switch value {
    case .array(let elements) where !elements.isEmpty:
      output.append(UInt8(ascii: "["))
      for (index, element) in elements.enumerated() {
        if index > 0 { output.append(UInt8(ascii: ",")) }
        appendLineFeed(level: level + 1, to: &output)
        appendPretty(element, level: level + 1, to: &output)
      }
      appendLineFeed(level: level, to: &output)
      output.append(UInt8(ascii: "]"))
    case .object(let object) where !object.members.isEmpty:
      output.append(UInt8(ascii: "{"))
      for (index, member) in object.members.enumerated() {
        if index > 0 { output.append(UInt8(ascii: ",")) }
        appendLineFeed(level: level + 1, to: &output)
        appendString(member.name, escapesAllControls: true, to: &output)
        output.append(contentsOf: ": ".utf8)
        appendPretty(member.value, level: level + 1, to: &output)
      }
      appendLineFeed(level: level, to: &output)
      output.append(UInt8(ascii: "}"))
    default:
      appendCompact(value, to: &output)
    }
  }

  private static func appendLineFeed(level: Int, to output: inout [UInt8]) {
    output.append(0x0A)
    for _ in 0..<(2 * level) { output.append(0x20) }
  }

  private static func appendScalar(_ value: JSONValue, to output: inout [UInt8]) {
    switch value {
    case .bool(let isTrue): output.append(contentsOf: (isTrue ? "true" : "false").utf8)
    case .integer(let integer): output.append(contentsOf: String(integer).utf8)
    case .number(let number) where number.isFinite:
      output.append(contentsOf: ECMAScriptNumber.format(number).utf8)
    default: output.append(contentsOf: "null".utf8)
    }
  }

  /// RFC 8785, section 3.2.2.2.
  ///
  /// - Parameter escapesAllControls: Escapes what a terminal may obey or not show, too; the canonical form leaves it as it
  ///   is.
  private static func appendString(
    _ text: String, escapesAllControls: Bool, to output: inout [UInt8]
  ) {
    let start = output.count
    output.append(addingCapacity: text.utf8.count + 2) { span in
      span.append(UInt8(ascii: "\""))
      let bytes = text.utf8Span.span
      for index in bytes.indices where isPlain(bytes[index], escapesAllControls) {
        span.append(bytes[index])
      }
      span.append(UInt8(ascii: "\""))
    }
    if output.count - start == text.utf8.count + 2 { return }
    // Something is written in another way.
    output.removeLast(output.count - start - 1)
    defer { output.append(UInt8(ascii: "\"")) }
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"", "\\":
        output.append(UInt8(ascii: "\\"))
        output.append(UInt8(scalar.value))
      case "\u{08}": output.append(contentsOf: "\\b".utf8)
      case "\u{09}": output.append(contentsOf: "\\t".utf8)
      case "\u{0A}": output.append(contentsOf: "\\n".utf8)
      case "\u{0C}": output.append(contentsOf: "\\f".utf8)
      case "\u{0D}": output.append(contentsOf: "\\r".utf8)
      case "\0"..<" ": appendEscape(scalar, to: &output)
      case _ where escapesAllControls && isUnseen(scalar): appendEscape(scalar, to: &output)
      default: output.append(contentsOf: UTF8.encode(scalar)!)
      }
    }
  }

  /// Whether a byte is written as it is, whatever follows.
  private static func isPlain(_ byte: UInt8, _ escapesAllControls: Bool) -> Bool {
    if byte < 0x7F {
      return byte >= 0x20 && byte != UInt8(ascii: "\"") && byte != UInt8(ascii: "\\")
    }
    return !(escapesAllControls && mayBeginUnseen(byte))
  }

  /// DEL, and first bytes of what `isUnseen` names.
  private static func mayBeginUnseen(_ byte: UInt8) -> Bool {
    switch byte {
    case 0x7F, 0xC2, 0xD8, 0xE1, 0xE2, 0xEF, 0xF3: true
    default: false
    }
  }

  /// What a terminal obeys or does not show: controls, and what orders, joins and separates text (categories Cc, Cf, Zl and
  /// Zp of Unicode as far as they are not letters' own).
  private static func isUnseen(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.value {
    case 0x7F...0x9F, 0xAD, 0x61C, 0x180E, 0x200B...0x200F, 0x2028...0x202E, 0x2060...0x206F,
      0xFEFF,
      0xFFF9...0xFFFB, 0xE0000...0xE007F:
      true
    default: false
    }
  }

  /// `\u` and four digits; two of them for what is beyond the first plane.
  private static func appendEscape(_ scalar: Unicode.Scalar, to output: inout [UInt8]) {
    for unit in UTF16.encode(scalar)! {
      output.append(contentsOf: "\\u".utf8)
      for shift in [12, 8, 4, 0] as [UInt16] {
        let digit = UInt8(unit >> shift & 0x0F)
        output.append(digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") + digit - 10)
      }
    }
  }
}

/// Members of an object in the canonical form, to be written with others time and again.
public struct CanonicalMembers: Sendable {
  /// In the order of RFC 8785.
  fileprivate let names: [String]
  /// Each with its name.
  private let texts: [[UInt8]]

  /// - Throws: as `JSONWriter.canonical`.
  public init(_ object: JSONObject) throws(JSONError) {
    var names: [String] = []
    var texts: [[UInt8]] = []
    for place in JSONWriter.canonicalOrder(object.members) {
      let member = object.members[place]
      var text: [UInt8] = []
      try JSONWriter.appendCanonical(member, isFirst: true, to: &text)
      names.append(member.name)
      texts.append(text)
    }
    self.names = names
    self.texts = texts
  }

  fileprivate func append(_ index: Int, isFirst: Bool, to output: inout [UInt8]) {
    if !isFirst { output.append(UInt8(ascii: ",")) }
    output.append(contentsOf: texts[index])
  }
}
