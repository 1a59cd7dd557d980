/// Typed reading of nodes. Each accessor throws an error at the node's place that says what was
/// expected, what was found, and how to write it.
extension YAMLNode {
  /// An error at this node's place.
  public func error(_ file: String, _ message: String) -> YAMLError {
    YAMLError(file: file, line: line, column: column, message: message)
  }

  /// Whether nothing is written here: an empty value, `~` or `null` without quotes.
  public var isNull: Bool {
    guard case .scalar(let text, .plain) = content else { return false }
    return text.isEmpty || text == "~" || text == "null" || text == "Null" || text == "NULL"
  }

  /// The text of a scalar of any style, exactly as written: `1.10` stays `1.10`.
  /// A value that is not written (`key:`, `~`, `null`) is refused.
  public func string(_ file: String) throws(YAMLError) -> String {
    guard let text, !isNull else {
      throw mismatch(file, expected: "a string", hint: "write \"\" for an empty string")
    }
    return text
  }

  /// A decimal integer, or a hexadecimal or octal one with 0x or 0o (YAML 1.2 core schema).
  /// A leading zero is refused: YAML 1.1 and 1.2 read `0644` differently.
  public func integer(
    _ file: String, in range: ClosedRange<Int> = Int.min...Int.max
  ) throws(YAMLError) -> Int {
    guard case .scalar(let text, .plain) = content, !isNull else {
      throw mismatch(file, expected: "an integer", hint: "write a number without quotes")
    }
    let digits = text.utf8.first == UInt8(ascii: "-") ? text.dropFirst() : text[...]
    let isDecimal = digits.utf8.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
    if digits.utf8.count > 1 && digits.utf8.first == UInt8(ascii: "0") && isDecimal {
      throw error(
        file,
        "\(text) has a leading zero, which YAML versions read differently; "
          + "write 0o in front for octal, or no leading zero for decimal")
    }
    guard let value = Self.integer(text) else {
      throw mismatch(file, expected: "an integer", hint: "write a whole number such as 10")
    }
    guard range.contains(value) else {
      throw error(
        file,
        "\(value) is out of range; write a number from \(range.lowerBound) to "
          + "\(range.upperBound)")
    }
    return value
  }

  private static func integer(_ text: String) -> Int? {
    let isHexadecimal = text.hasPrefix("0x")
    let isOctal = text.hasPrefix("0o")
    // A sign is allowed where the core schema allows it, and "+" nowhere.
    let sign = text.utf8.lastIndex { $0 == UInt8(ascii: "+") || $0 == UInt8(ascii: "-") }
    if let sign, sign != text.startIndex || text.utf8.first == UInt8(ascii: "+") { return nil }
    if isHexadecimal { return Int(text.dropFirst(2), radix: 16) }
    if isOctal { return Int(text.dropFirst(2), radix: 8) }
    return Int(text)
  }

  /// A finite decimal number such as `2` or `0.25`.
  public func number(_ file: String) throws(YAMLError) -> Double {
    guard case .scalar(let text, .plain) = content,
      text.utf8.allSatisfy(Self.isNumberByte), text.utf8.first != UInt8(ascii: "+"),
      let value = Double(text), value.isFinite
    else {
      throw mismatch(file, expected: "a number", hint: "write for example 0.5, without quotes")
    }
    return value
  }

  /// Leaves out the letters of the spellings that `Double` reads besides: nan, inf and hexadecimal.
  private static func isNumberByte(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "e"),
      UInt8(ascii: "E"), UInt8(ascii: "+"), UInt8(ascii: "-"):
      true
    default: false
    }
  }

  /// `true` or `false` without quotes, in lower case. The other spellings of YAML 1.1 (`yes`,
  /// `no`, `on`, `off`, …) are refused: they are strings in YAML 1.2.
  public func boolean(_ file: String) throws(YAMLError) -> Bool {
    switch content {
    case .scalar("true", .plain): return true
    case .scalar("false", .plain): return false
    default: throw mismatch(file, expected: "a boolean", hint: "write true or false")
    }
  }

  /// The items of a sequence. A value that is not written is refused rather than taken for empty.
  public func sequence(_ file: String) throws(YAMLError) -> [YAMLNode] {
    guard case .sequence(let items) = content else {
      throw mismatch(
        file, expected: "a sequence", hint: "write [a, b] or \"- \" lines, or [] for none")
    }
    return items
  }

  /// The entries of a mapping, in the order of the file; their keys differ.
  public func mapping(_ file: String) throws(YAMLError) -> [Entry] {
    guard case .mapping(let entries) = content else {
      throw mismatch(
        file, expected: "a mapping", hint: "write \"key: value\" lines, or {} for none")
    }
    return entries
  }

  /// A size in bytes, see `Quantity.bytes`.
  public func sizeBytes(_ file: String) throws(YAMLError) -> UInt64 {
    guard case .scalar(let text, .plain) = content, !isNull else {
      throw mismatch(file, expected: "a size", hint: "write for example 512MiB, without quotes")
    }
    do { return try Quantity.bytes(text) } catch { throw self.error(file, error.description) }
  }

  /// A duration in milliseconds, see `Quantity.milliseconds`.
  public func durationMilliseconds(_ file: String) throws(YAMLError) -> UInt64 {
    guard case .scalar(let text, .plain) = content, !isNull else {
      throw mismatch(file, expected: "a duration", hint: "write for example 30s, without quotes")
    }
    do {
      return try Quantity.milliseconds(text)
    } catch {
      throw self.error(file, error.description)
    }
  }

  /// The text of a scalar of any style.
  var text: String? {
    guard case .scalar(let text, _) = content else { return nil }
    return text
  }

  var isEmptyPlain: Bool { content == .scalar("", .plain) }

  private func mismatch(_ file: String, expected: String, hint: String) -> YAMLError {
    error(file, "expected \(expected), found \(summary); \(hint)")
  }

  private var summary: String {
    switch content {
    case .scalar("", .plain): "nothing"
    case .scalar(let text, .plain): YAMLQuote.quote(text)
    case .scalar(let text, _): "the string \(YAMLQuote.quote(text))"
    case .sequence: "a sequence"
    case .mapping: "a mapping"
    }
  }
}
