/// The checks on the bytes of a document that come before its syntax: encoding, characters that
/// hide text from a reviewer or that YAML versions read differently, and tabs in indentation.
struct YAMLText {
  /// Bytes of the byte order mark, which libyaml need not see.
  let byteOrderMarkLength: Int
  /// Line number to the 1-based column of the first tab in that line's indentation. Tabs are legal
  /// in block scalars and after content, so only an event decides whether one is wrong.
  let tabIndentedLines: [Int: TabIndent]

  /// The place behind the last character. libyaml counts one line more when the text does not end
  /// with a line feed.
  let endLine: Int
  let endColumn: Int

  struct TabIndent {
    let tabColumn: Int
    /// Column of the first character after the indentation.
    let contentColumn: Int
  }

  init(checking bytes: [UInt8], file: String, limits: YAMLLimits) throws(YAMLError) {
    if bytes.count > limits.sizeMaxBytes {
      throw YAMLError(
        file: file, line: 1, column: 1,
        message: "\(bytes.count) bytes are more than the \(limits.sizeMaxBytes) that are read; "
          + "split the file")
    }
    let start = try Self.skipByteOrderMark(bytes, file: file)
    do {
      _ = try UTF8Span(validating: bytes.span)
    } catch {
      throw Self.error(
        bytes, at: error.byteOffsets.lowerBound, start: start, file: file,
        "not valid UTF-8; save the file as UTF-8")
    }
    byteOrderMarkLength = start
    tabIndentedLines = try Self.scan(bytes, from: start, file: file)
    (endLine, endColumn) = Self.place(of: bytes.count, in: bytes, from: start)
  }

  /// A place that libyaml gives, 0-based, as a 1-based place inside the text.
  func place(line: Int, column: Int) -> (line: Int, column: Int) {
    line + 1 > endLine ? (endLine, endColumn) : (line + 1, column + 1)
  }

  private static func skipByteOrderMark(_ bytes: [UInt8], file: String) throws(YAMLError) -> Int {
    if bytes.starts(with: [0xEF, 0xBB, 0xBF]) { return 3 }
    let isUTF16 =
      bytes.starts(with: [0xFE, 0xFF]) || bytes.starts(with: [0xFF, 0xFE])
      || (bytes.count >= 2 && (bytes[0] == 0) != (bytes[1] == 0))
    if isUTF16 {
      throw YAMLError(
        file: file, line: 1, column: 1, message: "looks like UTF-16; save the file as UTF-8")
    }
    return 0
  }

  private static func scan(
    _ bytes: [UInt8], from start: Int, file: String
  ) throws(YAMLError) -> [Int: TabIndent] {
    var tabs: [Int: TabIndent] = [:]
    var line = 1
    var lineStart = start
    var tabColumn = 0
    var isIndent = true
    var offset = start
    while offset < bytes.count {
      let byte = bytes[offset]
      if byte >= 0x20 && byte < 0x7F {
        if isIndent && byte != 0x20 {
          isIndent = false
          if tabColumn > 0 {
            tabs[line] = TabIndent(tabColumn: tabColumn, contentColumn: offset - lineStart + 1)
            tabColumn = 0
          }
        }
      } else if byte == 0x0A {
        line += 1
        lineStart = offset + 1
        isIndent = true
        tabColumn = 0
      } else if byte == 0x09 {
        if isIndent && tabColumn == 0 { tabColumn = offset - lineStart + 1 }
      } else if let message = refusal(bytes, at: offset) {
        throw error(bytes, at: offset, start: start, file: file, message)
      } else if byte != 0x0D {
        isIndent = false
      }
      offset += 1
    }
    return tabs
  }

  /// Why the character at `offset` of valid UTF-8 is refused, or nil.
  private static func refusal(_ bytes: [UInt8], at offset: Int) -> String? {
    let next = offset + 1 < bytes.count ? bytes[offset + 1] : 0
    let last = offset + 2 < bytes.count ? bytes[offset + 2] : 0
    switch (bytes[offset], next, last) {
    case (0x0D, 0x0A, _):
      return nil
    case (0x0D, _, _):
      return "carriage return without line feed; end lines with a line feed"
    case (0x00..<0x20, _, _), (0x7F, _, _):
      return "control character U+\(hex(bytes[offset])); remove it"
    case (0xC2, 0x80...0x9F, _):
      return "control character U+\(hex(next)); remove it"
    case (0xE2, 0x80, 0xA8...0xA9):
      // YAML 1.1 ends a line here and YAML 1.2 does not.
      return "Unicode line or paragraph separator; end lines with a line feed"
    case (0xE2, 0x80, 0xAA...0xAE), (0xE2, 0x81, 0xA6...0xA9):
      // CVE-2021-42574: the text that is shown differs from the text that is read.
      return "bidirectional control character; remove it, it hides what the text says"
    case (0xEF, 0xBB, 0xBF):
      return "byte order mark inside the text; remove it"
    case (0xEF, 0xBF, 0xBE...0xBF):
      return "not a character of Unicode; remove it"
    default:
      return nil
    }
  }

  private static func hex(_ byte: UInt8) -> String {
    let digits = String(byte, radix: 16, uppercase: true)
    return String(repeating: "0", count: 4 - digits.count) + digits
  }

  private static func error(
    _ bytes: [UInt8], at offset: Int, start: Int, file: String, _ message: String
  ) -> YAMLError {
    let (line, column) = place(of: offset, in: bytes, from: start)
    return YAMLError(file: file, line: line, column: column, message: message)
  }

  private static func place(
    of offset: Int, in bytes: [UInt8], from start: Int
  ) -> (line: Int, column: Int) {
    var line = 1
    var column = 1
    for byte in bytes[min(start, offset)..<offset] {
      if byte == 0x0A {
        line += 1
        column = 1
      } else if byte & 0xC0 != 0x80 {
        column += 1
      }
    }
    return (line, column)
  }
}
