/// Text of a program that nobody trusts, for somebody's terminal.
///
/// Control characters move the cursor, change the title, ask the terminal for answers that look typed, or hide
/// what was written before. None gets through: colours and other whole control sequences (ECMA-48, CSI) are left
/// out, because nothing readable fits into one; every other control character becomes `?` and what comes after
/// it stays visible. A carriage return begins a new line, so that nothing is overwritten.
public struct VisibleText {
  /// A longer one is none of a program's own (xterm takes 30 parameters).
  private static let sequenceMaxBytes = 128
  private static let escape: UInt8 = 0x1b
  private static let unknown = UInt8(ascii: "?")

  /// The beginning of something that is not whole yet.
  private var held: [UInt8] = []

  public init() {}

  /// A whole text.
  public static func all(_ text: String) -> String {
    var visible = VisibleText()
    let shown = visible.filter(Array(text.utf8))
    return String(decoding: shown + visible.end(), as: UTF8.self)
  }

  /// What can be shown by now; the bytes may be cut anywhere.
  public mutating func filter(_ more: [UInt8]) -> [UInt8] {
    let bytes = held + more
    held = []
    var shown: [UInt8] = []
    shown.reserveCapacity(bytes.count)
    var index = 0
    while index < bytes.count {
      guard let (length, replacement) = Self.next(bytes[index...]) else {
        held = Array(bytes[index...])
        break
      }
      if let replacement {
        shown += replacement
      } else {
        shown += bytes[index..<index + length]
      }
      index += length
    }
    return shown
  }

  /// What is left of something that never became whole.
  public mutating func end() -> [UInt8] {
    defer { held = [] }
    switch held.first {
    case nil, UInt8(ascii: "\r"): return []
    case Self.escape: return [Self.unknown] + held.dropFirst()
    default: return [Self.unknown]
    }
  }

  /// The first unit: how many bytes it has, and what is shown in its place.
  /// - Returns: nil when it is not whole.
  private static func next(_ bytes: ArraySlice<UInt8>) -> (Int, [UInt8]?)? {
    let first = bytes[bytes.startIndex]
    switch first {
    case escape: return sequence(bytes)
    case UInt8(ascii: "\t"), UInt8(ascii: "\n"): return (1, nil)
    case UInt8(ascii: "\r"):
      guard bytes.count > 1 else { return nil }
      return bytes[bytes.startIndex + 1] == UInt8(ascii: "\n")
        ? (1, []) : (1, [UInt8(ascii: "\n")])
    case ..<32, 127: return (1, [unknown])
    case ..<128: return (1, nil)
    default: return character(bytes, first)
    }
  }

  private static func sequence(_ bytes: ArraySlice<UInt8>) -> (Int, [UInt8]?)? {
    guard bytes.count > 1 else { return nil }
    guard bytes[bytes.startIndex + 1] == UInt8(ascii: "[") else { return (1, [unknown]) }
    let inside = bytes.dropFirst(2).prefix(sequenceMaxBytes)
    guard let end = inside.firstIndex(where: { !(0x20...0x3f).contains($0) }) else {
      return inside.count < sequenceMaxBytes ? nil : (1, [unknown])
    }
    guard (0x40...0x7e).contains(bytes[end]) else { return (1, [unknown]) }
    return (end - bytes.startIndex + 1, [])
  }

  /// One character of UTF-8 that is not ASCII.
  private static func character(
    _ bytes: ArraySlice<UInt8>, _ first: UInt8
  ) -> (Int, [UInt8]?)? {
    let length: Int
    switch first {
    case 0xc2...0xdf: length = 2
    case 0xe0...0xef: length = 3
    case 0xf0...0xf4: length = 4
    default: return (1, [unknown])
    }
    let unit = bytes.prefix(length)
    guard unit.dropFirst().allSatisfy({ (0x80...0xbf).contains($0) }) else { return (1, [unknown]) }
    guard unit.count == length else { return nil }
    guard let text = String(validating: unit, as: UTF8.self), let scalar = text.unicodeScalars.first
    else { return (1, [unknown]) }
    return isMisleading(scalar) ? (length, [unknown]) : (length, nil)
  }

  /// C1 controls, and what turns the direction of a line (UAX #9), which can make one read as another.
  private static func isMisleading(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.value {
    case 0x80...0x9f, 0x061c, 0x200e, 0x200f, 0x202a...0x202e, 0x2066...0x2069: true
    default: false
    }
  }
}
