@_spi(_Unicode) internal import Swift

/// Text as rules compare it.
enum Text {
  /// Normalization Form C (UAX 15). Text in ASCII is returned as it is.
  static func normalized(_ text: String) -> String {
    if isASCII(text) { return text }
    var scalars = String.UnicodeScalarView()
    scalars.append(contentsOf: text._nfc)
    return String(scalars)
  }

  static func isASCII(_ text: String) -> Bool {
    let bytes = text.utf8Span.span
    for index in bytes.indices where bytes[index] >= 0x80 { return false }
    return true
  }

  /// Whether nothing in it has another spelling or is a control character, whatever the field: most texts are so.
  static func isPrintableASCII(_ text: String) -> Bool {
    let bytes = text.utf8Span.span
    for index in bytes.indices where bytes[index] < 0x20 || bytes[index] >= 0x7F { return false }
    return true
  }

  /// Whether a terminal, a C string or a reviewer would see another text than a program: control
  /// and format characters, NUL, line separators.
  ///
  /// - Parameter allowsJoiners: U+200C and U+200D are part of ordinary words in Persian and Hindi,
  ///   and so of file names.
  static func hasControl(_ text: String, allowsJoiners: Bool = false) -> Bool {
    if isPrintableASCII(text) { return false }
    return text.unicodeScalars.contains { scalar in
      if allowsJoiners && (scalar.value == 0x200C || scalar.value == 0x200D) { return false }
      return switch scalar.properties.generalCategory {
      case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .unassigned: true
      default: false
      }
    }
  }

  /// Calls `body` with the text as bytes. Strings that JSON and YAML gave are contiguous; others
  /// are copied.
  static func withBytes<Result>(_ text: String, _ body: (Span<UInt8>) -> Result) -> Result {
    body(text.utf8Span.span)
  }

  /// Text of a document or a request in quotes for a message: bounded, without control characters.
  static func quote(_ text: String) -> String {
    var quoted = "\""
    for (count, scalar) in text.unicodeScalars.enumerated() {
      if count == 64 { return quoted + "…\"" }
      switch scalar {
      case "\"", "\\":
        quoted += "\\"
        quoted.unicodeScalars.append(scalar)
      case "\n": quoted += "\\n"
      case "\t": quoted += "\\t"
      default:
        if hasControl(String(scalar)) {
          quoted += "\\u{\(String(scalar.value, radix: 16))}"
        } else {
          quoted.unicodeScalars.append(scalar)
        }
      }
    }
    return quoted + "\""
  }

  /// `text` cut to `bytesMax` at a character, without control characters: for reasons that reach a
  /// terminal.
  static func printable(_ text: String, bytesMax: Int) -> String {
    var result = ""
    for scalar in text.unicodeScalars {
      if result.utf8.count + 4 > bytesMax { return result + "…" }
      if scalar == "\n" || scalar == "\t" {
        result += " "
      } else if !hasControl(String(scalar)) {
        result.unicodeScalars.append(scalar)
      }
    }
    return result
  }
}
