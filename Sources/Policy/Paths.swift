internal import Paths

/// File paths as text: what `path` fields and `under` compare. Nothing is looked up, so symbolic
/// links are not followed; for `file.open` the broker passes the path that it has resolved.
public enum PolicyPath {
  /// The path without empty, `.` and `..` components and without a slash at the end.
  ///
  /// `..` at the root of an absolute path stays there, as in the kernel; a relative path keeps the
  /// `..` that lead out of it. The empty path stays empty.
  public static func normalize(_ path: String) -> String {
    if isNormal(path) { return path }
    let isAbsolute = path.utf8.first == UInt8(ascii: "/")
    var components: [String] = []
    for component in PathText.components(path) {
      switch component {
      case ".": continue
      case "..":
        if let last = components.last, last != ".." {
          components.removeLast()
        } else if !isAbsolute {
          components.append(component)
        }
      default: components.append(component)
      }
    }
    let joined = components.joined(separator: "/")
    if isAbsolute { return "/" + joined }
    return joined.isEmpty && !path.isEmpty ? "." : joined
  }

  /// Whether `path` is `folder` or lies in it; both normalised and absolute.
  static func isPath(_ path: String, under folder: String) -> Bool {
    !path.isEmpty && PathText.isInside(path, folder)
  }

  /// Whether normalising would change nothing: the common case, without allocation.
  static func isNormal(_ path: String) -> Bool {
    let bytes = path.utf8Span.span
    var previous: UInt8 = 0
    var length = 0
    var isDots = true
    var isFirst = true
    for index in bytes.indices {
      let byte = bytes[index]
      if byte == UInt8(ascii: "/") {
        if !isFirst && (length == 0 || isDots) { return false }
        length = 0
        isDots = true
      } else {
        length += 1
        if byte != UInt8(ascii: ".") || length > 2 { isDots = false }
      }
      isFirst = false
      previous = byte
    }
    if length > 0 { return !isDots }
    return bytes.count <= 1 || previous != UInt8(ascii: "/")
  }
}

/// A glob over text: `*` any characters but `/`, `**` any characters, `**/` any folders or none,
/// `?` one character but `/`, `[a-z]` and `[!a-z]` one of a set. A backslash takes the next
/// character literally.
struct Glob: Sendable {
  fileprivate enum Token {
    case literal(UInt8)
    case any, star, doubleStar
    /// `**/` after a slash or at the start: no folder or several. `skip` goes on at once behind
    /// `folders`, which takes everything up to a slash.
    case skip, folders
    case set([ClosedRange<UInt8>], isNegated: Bool)
  }

  private let tokens: [Token]
  let pattern: String

  enum Problem: Error {
    case unclosedSet, trailingBackslash, emptySet, tooLong, setNotASCII
    var message: String {
      switch self {
      case .unclosedSet: "a \"[\" without \"]\"; close it, or write \"\\[\" for the character"
      case .trailingBackslash: "a backslash at the end; write \"\\\\\" for the character"
      case .emptySet: "an empty set \"[]\"; name the characters in it"
      case .tooLong: "more than \(PolicyLimits.globMaxBytes) bytes; shorten it"
      case .setNotASCII:
        "a set holds only ASCII characters; write alternatives as rules of their own"
      }
    }
  }

  /// - Parameter isFlat: `*` takes slashes too, as in fnmatch(3) without flags.
  init(_ pattern: String, isFlat: Bool = false) throws(Problem) {
    if pattern.utf8.count > PolicyLimits.globMaxBytes { throw .tooLong }
    let bytes = Array(pattern.utf8)
    var tokens: [Token] = []
    var offset = 0
    while offset < bytes.count {
      switch bytes[offset] {
      case UInt8(ascii: "*"):
        let isDouble = offset + 1 < bytes.count && bytes[offset + 1] == UInt8(ascii: "*")
        let isStart = offset == 0 || bytes[offset - 1] == UInt8(ascii: "/")
        if isDouble && isStart && offset + 2 < bytes.count
          && bytes[offset + 2] == UInt8(ascii: "/")
        {
          tokens += [.skip, .folders]
          offset += 3
        } else {
          tokens.append(isDouble || isFlat ? .doubleStar : .star)
          offset += isDouble ? 2 : 1
        }
      case UInt8(ascii: "?"):
        tokens.append(.any)
        offset += 1
      case UInt8(ascii: "["):
        tokens.append(try Self.set(bytes, &offset))
      case UInt8(ascii: "\\"):
        guard offset + 1 < bytes.count else { throw .trailingBackslash }
        tokens.append(.literal(bytes[offset + 1]))
        offset += 2
      case let byte:
        tokens.append(.literal(byte))
        offset += 1
      }
    }
    self.tokens = tokens
    self.pattern = pattern
  }

  /// A text that matches, for examples.
  var sample: String {
    var bytes: [UInt8] = []
    for token in tokens {
      switch token {
      case .literal(let byte): bytes.append(byte)
      case .any, .star, .doubleStar: bytes.append(UInt8(ascii: "x"))
      case .skip, .folders: break
      case .set(let ranges, let isNegated):
        bytes.append(isNegated ? UInt8(ascii: "~") : ranges[0].lowerBound)
      }
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  private static func set(_ bytes: [UInt8], _ offset: inout Int) throws(Problem) -> Token {
    offset += 1
    var isNegated = false
    if offset < bytes.count,
      bytes[offset] == UInt8(ascii: "!") || bytes[offset] == UInt8(ascii: "^")
    {
      isNegated = true
      offset += 1
    }
    var ranges: [ClosedRange<UInt8>] = []
    while offset < bytes.count, bytes[offset] != UInt8(ascii: "]") {
      let low = bytes[offset]
      if low >= 0x80 { throw .setNotASCII }
      if offset + 2 < bytes.count, bytes[offset + 1] == UInt8(ascii: "-"),
        bytes[offset + 2] != UInt8(ascii: "]")
      {
        let high = bytes[offset + 2]
        if high >= 0x80 { throw .setNotASCII }
        if low > high { throw .emptySet }
        ranges.append(low...high)
        offset += 3
      } else {
        ranges.append(low...low)
        offset += 1
      }
    }
    guard offset < bytes.count else { throw .unclosedSet }
    if ranges.isEmpty { throw .emptySet }
    offset += 1
    return .set(ranges, isNegated: isNegated)
  }

  /// Whether the whole of `text` matches. Takes at most tokens times bytes steps.
  func matches(_ text: String) -> Bool {
    var positions = [Bool](repeating: false, count: tokens.count + 1)
    positions[0] = true
    close(&positions)
    var next = positions
    for byte in text.utf8 {
      for index in next.indices { next[index] = false }
      var isAlive = false
      for (index, token) in tokens.enumerated() where positions[index] {
        switch token {
        case .literal(let literal):
          if byte == literal { next[index + 1] = true }
        case .any:
          // The bytes of one character pass together: a continuation byte stays before the token's
          // end.
          if byte != UInt8(ascii: "/") && byte & 0xC0 != 0x80 { next[index + 1] = true }
        case .star:
          if byte != UInt8(ascii: "/") { next[index] = true }
        case .doubleStar:
          next[index] = true
        case .skip:
          break
        case .folders:
          next[index] = true
          if byte == UInt8(ascii: "/") { next[index + 1] = true }
        case .set(let ranges, let isNegated):
          if byte != UInt8(ascii: "/") && byte & 0xC0 != 0x80
            && ranges.contains(where: { $0.contains(byte) }) != isNegated
          {
            next[index + 1] = true
          }
        }
      }
      if byte & 0xC0 == 0x80 {
        for index in tokens.indices where positions[index + 1] && tokens[index].isOneCharacter {
          next[index + 1] = true
        }
      }
      close(&next)
      for position in next where position { isAlive = true }
      if !isAlive { return false }
      swap(&positions, &next)
    }
    return positions[tokens.count]
  }

  private func close(_ positions: inout [Bool]) {
    for (index, token) in tokens.enumerated() where positions[index] {
      switch token {
      case .star, .doubleStar: positions[index + 1] = true
      case .skip:
        positions[index + 1] = true
        positions[index + 2] = true
      default: break
      }
    }
  }
}

extension Glob.Token {
  fileprivate var isOneCharacter: Bool {
    switch self {
    case .any, .set: true
    default: false
    }
  }
}
