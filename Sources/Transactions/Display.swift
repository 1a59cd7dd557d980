internal import Hashing
public import Kernel

/// Text that came from the agent, for a terminal: whatever could move the cursor, hide a line or turn the
/// direction of writing is shown as an escape.
public enum Display {
  /// A path, in quotation marks when something in it had to be escaped.
  public static func path(_ path: ByteString) -> String {
    let text = escaped(path, keepingTabs: false)
    return text.utf8.elementsEqual(path) ? text : "\"\(text)\""
  }

  /// - Parameter keepingTabs: for a line of a file.
  public static func escaped(_ bytes: ByteString, keepingTabs: Bool) -> String {
    // Nearly every line needs nothing.
    if bytes.allSatisfy({ $0 >= 0x20 && $0 < 0x7f && $0 != 0x5c }) {
      return String(decoding: bytes, as: UTF8.self)
    }
    var out = ""
    var rest = bytes[...]
    while let first = rest.first {
      guard let (scalar, length) = scalar(rest) else {
        out += "\\x" + Hexadecimal.encode([first])
        rest.removeFirst()
        continue
      }
      rest.removeFirst(length)
      out += text(of: scalar, keepingTabs: keepingTabs)
    }
    return out
  }

  private static func text(of scalar: Unicode.Scalar, keepingTabs: Bool) -> String {
    switch scalar.value {
    case 0x09: return keepingTabs ? "\t" : "\\t"
    case 0x0a: return "\\n"
    case 0x0d: return "\\r"
    case 0x00...0x1f, 0x7f: return "\\x" + Hexadecimal.encode([UInt8(scalar.value)])
    case 0x5c: return keepingTabs ? "\\" : "\\\\"
    // C1 controls, marks and overrides of direction, line separators, invisible operators, tags.
    case 0x80...0x9f, 0xad, 0x61c, 0x200b...0x200f, 0x2028...0x202e, 0x2060...0x206f, 0xfeff,
      0xfff9...0xfffb, 0xe0000...0xe007f:
      return "\\u{" + String(scalar.value, radix: 16) + "}"
    default: return String(Character(scalar))
    }
  }

  /// The scalar that the bytes begin with; nil when they are not UTF-8.
  private static func scalar(
    _ bytes: ArraySlice<UInt8>
  ) -> (scalar: Unicode.Scalar, length: Int)? {
    let first = bytes[bytes.startIndex]
    let length = first < 0x80 ? 1 : first >> 5 == 6 ? 2 : first >> 4 == 14 ? 3 : 4
    guard bytes.count >= length,
      let text = String(validating: bytes.prefix(length), as: UTF8.self),
      let scalar = text.unicodeScalars.first, text.unicodeScalars.count == 1
    else { return nil }
    return (scalar, length)
  }
}
