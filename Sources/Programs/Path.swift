/// A path as the kernel sees it: bytes without NUL, in no particular encoding.
///
/// Swift's `String` compares by canonical equivalence, so two different directories (composed and
/// decomposed é) would be equal; whether one path lies within another is decided on bytes.
public struct Path: Hashable, Sendable, ExpressibleByStringLiteral, CustomStringConvertible {
  public let bytes: [UInt8]

  public init(_ bytes: [UInt8]) { self.bytes = bytes }
  public init(_ text: String) { bytes = Array(text.utf8) }
  public init(stringLiteral text: String) { bytes = Array(text.utf8) }

  /// The whole text at once: an array would hash byte by byte, which dominated a resolution.
  public func hash(into hasher: inout Hasher) {
    // SAFETY: the buffer is used only within the call.
    unsafe bytes.withUnsafeBytes { unsafe hasher.combine(bytes: $0) }
  }

  /// For messages only: bounded, control characters and what is not UTF-8 made visible.
  public var description: String { shown(bytes) }

  /// Whether the path begins at the root directory.
  public var isAbsolute: Bool { bytes.first == slash }

  /// The names between slashes, without empty ones and `.`; `..` is kept.
  public var components: [[UInt8]] {
    bytes.split(separator: slash).filter { $0 != [dot] }.map(Array.init)
  }

  /// The last name; empty for the root directory.
  public var name: [UInt8] { components.last ?? [] }

  /// The path without its last name, by text: right for a path without symbolic links and `..`.
  public var parent: Path {
    let names = components
    return Path(absolute: names.dropLast())
  }

  /// Whether this is `directory` or something below it, by text: both without links and `..`.
  public func isWithin(_ directory: Path) -> Bool {
    if directory.bytes == [slash] { return isAbsolute }
    guard bytes.starts(with: directory.bytes) else { return false }
    return bytes.count == directory.bytes.count || bytes[directory.bytes.count] == slash
  }

  public func appending(_ relative: [UInt8]) -> Path {
    Path(bytes.last == slash ? bytes + relative : bytes + [slash] + relative)
  }

  public func appending(_ relative: String) -> Path { appending(Array(relative.utf8)) }

  /// This path when it is absolute, else below `directory`.
  func absolute(in directory: Path) -> Path { isAbsolute ? self : directory.appending(bytes) }

  init(absolute names: some Sequence<[UInt8]>) {
    var joined: [UInt8] = []
    for name in names {
      joined.append(slash)
      joined += name
    }
    bytes = joined.isEmpty ? [slash] : joined
  }
}

let slash = UInt8(ascii: "/")
let dot = UInt8(ascii: ".")
let newline = UInt8(ascii: "\n")
let colon = UInt8(ascii: ":")
let dash = UInt8(ascii: "-")

/// Bytes from outside for a message: what could steer a terminal becomes an escape, and a long
/// text is cut, because a file that an agent wrote must not write on the operator's screen.
func shown(_ bytes: some Collection<UInt8>) -> String {
  let limit = 240
  var text = ""
  for scalar in String(decoding: bytes.prefix(limit), as: UTF8.self).unicodeScalars {
    switch scalar.properties.generalCategory {
    case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .privateUse:
      text += scalar.escaped(asASCII: true)
    default: text.unicodeScalars.append(scalar)
    }
  }
  return bytes.count > limit ? text + "…" : text
}

extension UInt8 {
  /// A space, tab or carriage return.
  fileprivate var isBlank: Bool { self == 32 || self == 9 || self == 13 }
}

extension Collection<UInt8> {
  /// Without spaces, tabs and carriage returns at both ends.
  var trimmed: [UInt8] {
    var kept = Array(self)[...]
    while let first = kept.first, first.isBlank { kept.removeFirst() }
    while let last = kept.last, last.isBlank { kept.removeLast() }
    return Array(kept)
  }

  /// Words between spaces and tabs.
  var words: [[UInt8]] {
    split(whereSeparator: \.isBlank).map { Array($0) }
  }

  /// Whether the bytes are this text.
  func isText(_ text: StaticString) -> Bool { elementsEqual(text.description.utf8) }

  /// Where `text` first occurs, as the offset from the start.
  func firstOffset(of text: String) -> Int? {
    let wanted = Array(text.utf8)
    let all = Array(self)
    guard wanted.count <= all.count, let first = wanted.first else { return nil }
    for start in 0...(all.count - wanted.count) where all[start] == first {
      if all[start..<start + wanted.count].elementsEqual(wanted) { return start }
    }
    return nil
  }
}
