/// Texts of which one occurs in every match of a regular expression, ignoring letter case.
///
/// The reader knows the common part of the syntax (pcre2pattern(3)) and gives up on the rest: nil
/// only costs time, a text that is not required would open a hole.
struct RequiredLiterals {
  /// Shorter texts are in nearly every input.
  private static let lengthMin = 2
  /// More alternatives cost memory for little.
  private static let alternativesMax = 64

  private let pattern: [UInt8]
  private var offset = 0
  private var depth = 0
  private var isCaseless = false

  static func find(_ pattern: String) -> [String]? {
    var reader = RequiredLiterals(pattern: Array(pattern.utf8))
    // Extended syntax, quoting, verbs and conditions change what characters mean.
    for marker in ["\\Q", "\\E", "(*", "(?(", "(?x", "(?#", "(?|", "(?R", "(?&", "(?P>", "(?P="] {
      if pattern.contains(bytesOf: marker) { return nil }
    }
    guard let found = try? reader.alternatives(), reader.offset == reader.pattern.count else {
      return nil
    }
    return found
  }

  private init(pattern: [UInt8]) { self.pattern = pattern }

  private struct GiveUp: Error {}

  private var byte: UInt8? { offset < pattern.count ? pattern[offset] : nil }

  /// What one branch or the other requires; nil when a branch requires nothing known.
  private mutating func alternatives() throws(GiveUp) -> [String]? {
    depth += 1
    defer { depth -= 1 }
    if depth > 32 { throw GiveUp() }
    let caseless = isCaseless
    defer { isCaseless = caseless }
    var all: [String]? = []
    while true {
      let branch = try sequence()
      if let branch, let known = all, known.count + branch.count <= Self.alternativesMax {
        all = known + branch
      } else {
        all = nil
      }
      guard byte == UInt8(ascii: "|") else { return all }
      offset += 1
    }
  }

  private enum Item {
    case character([UInt8])
    /// Matches something; `required` holds for it.
    case other(required: [String]?)
    /// Matches no character: an assertion.
    case empty
  }

  private mutating func sequence() throws(GiveUp) -> [String]? {
    var best: [String]?
    var run: [UInt8] = []
    while let next = byte, next != UInt8(ascii: "|"), next != UInt8(ascii: ")") {
      let item = try item()
      let minimum = try quantifierMinimum()
      switch item {
      case .character(let bytes):
        if minimum == nil {
          run += bytes
        } else {
          if minimum! > 0 { run += bytes }
          finish(&run, &best)
          // The last repetition stands before what follows.
          if minimum! > 0 { run = bytes }
        }
      case .other(let required):
        finish(&run, &best)
        if minimum ?? 1 > 0 { best = Self.better(best, required) }
      case .empty:
        break
      }
    }
    finish(&run, &best)
    return best
  }

  private func finish(_ run: inout [UInt8], _ best: inout [String]?) {
    if run.count >= Self.lengthMin {
      best = Self.better(best, [String(decoding: run, as: UTF8.self)])
    }
    run = []
  }

  /// The one with the longer shortest text.
  private static func better(_ first: [String]?, _ second: [String]?) -> [String]? {
    guard let first else { return second }
    guard let second else { return first }
    let lengths = [first, second].map { $0.map(\.utf8.count).min() ?? 0 }
    if lengths[0] != lengths[1] { return lengths[0] > lengths[1] ? first : second }
    return first.count <= second.count ? first : second
  }

  /// The least number of repetitions, or nil without a quantifier.
  private mutating func quantifierMinimum() throws(GiveUp) -> Int? {
    let minimum: Int
    switch byte {
    case UInt8(ascii: "?"), UInt8(ascii: "*"):
      minimum = 0
      offset += 1
    case UInt8(ascii: "+"):
      minimum = 1
      offset += 1
    case UInt8(ascii: "{"):
      guard let bound = try bound() else { return nil }
      minimum = bound
    default:
      return nil
    }
    if byte == UInt8(ascii: "?") || byte == UInt8(ascii: "+") { offset += 1 }
    if [UInt8(ascii: "?"), UInt8(ascii: "*"), UInt8(ascii: "+"), UInt8(ascii: "{")].contains(byte) {
      throw GiveUp()
    }
    return minimum
  }

  /// `{2}`, `{2,}`, `{2,5}`; other braces are read differently by versions of PCRE2.
  private mutating func bound() throws(GiveUp) -> Int? {
    var digits = 0
    var value = 0
    offset += 1
    while let next = byte, ConditionLexer.isDigit(next), digits < 6 {
      value = value * 10 + Int(next - UInt8(ascii: "0"))
      digits += 1
      offset += 1
    }
    guard digits > 0 else { throw GiveUp() }
    if byte == UInt8(ascii: ",") {
      offset += 1
      while let next = byte, ConditionLexer.isDigit(next) { offset += 1 }
    }
    guard byte == UInt8(ascii: "}") else { throw GiveUp() }
    offset += 1
    return value
  }

  private mutating func item() throws(GiveUp) -> Item {
    let first = pattern[offset]
    switch first {
    case UInt8(ascii: "("): return try group()
    case UInt8(ascii: "["):
      try skipSet()
      return .other(required: nil)
    case UInt8(ascii: "\\"): return try escape()
    case UInt8(ascii: "."):
      offset += 1
      return .other(required: nil)
    case UInt8(ascii: "^"), UInt8(ascii: "$"):
      offset += 1
      return .empty
    case UInt8(ascii: "?"), UInt8(ascii: "*"), UInt8(ascii: "+"), UInt8(ascii: "{"):
      throw GiveUp()
    default:
      return character()
    }
  }

  /// One character; in UTF-8 a quantifier repeats all its bytes.
  private mutating func character() -> Item {
    let start = offset
    offset += 1
    while let next = byte, next & 0xC0 == 0x80 { offset += 1 }
    let bytes = Array(pattern[start..<offset])
    // Beyond ASCII another spelling may equal it when case is ignored.
    return bytes.count > 1 && isCaseless ? .other(required: nil) : .character(bytes)
  }

  private mutating func escape() throws(GiveUp) -> Item {
    guard offset + 1 < pattern.count else { throw GiveUp() }
    let escaped = pattern[offset + 1]
    offset += 2
    switch escaped {
    case UInt8(ascii: "d"), UInt8(ascii: "D"), UInt8(ascii: "w"), UInt8(ascii: "W"),
      UInt8(ascii: "s"), UInt8(ascii: "S"), UInt8(ascii: "h"), UInt8(ascii: "H"),
      UInt8(ascii: "v"), UInt8(ascii: "V"), UInt8(ascii: "R"), UInt8(ascii: "N"),
      UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"), UInt8(ascii: "f"):
      return .other(required: nil)
    case UInt8(ascii: "b"), UInt8(ascii: "B"), UInt8(ascii: "A"), UInt8(ascii: "Z"),
      UInt8(ascii: "z"):
      return .empty
    default:
      guard escaped < 0x80, !ConditionLexer.isNameByte(escaped) else { throw GiveUp() }
      return .character([escaped])
    }
  }

  private mutating func skipSet() throws(GiveUp) {
    offset += 1
    if byte == UInt8(ascii: "^") { offset += 1 }
    if byte == UInt8(ascii: "]") { offset += 1 }
    while let next = byte {
      switch next {
      case UInt8(ascii: "]"):
        offset += 1
        return
      case UInt8(ascii: "\\"):
        offset += 2
      case UInt8(ascii: "["):
        // [:alpha:] and its kin hold a bracket of their own.
        if offset + 1 < pattern.count,
          [UInt8(ascii: ":"), UInt8(ascii: "."), UInt8(ascii: "=")].contains(pattern[offset + 1])
        {
          throw GiveUp()
        }
        offset += 1
      default:
        offset += 1
      }
    }
    throw GiveUp()
  }

  private mutating func group() throws(GiveUp) -> Item {
    offset += 1
    var isAssertion = false
    if byte == UInt8(ascii: "?") {
      let rest = String(decoding: pattern[offset...].prefix(8), as: UTF8.self)
      if rest.hasPrefix("?:") || rest.hasPrefix("?>") {
        offset += 2
      } else if rest.hasPrefix("?=") || rest.hasPrefix("?!") {
        offset += 2
        isAssertion = true
      } else if rest.hasPrefix("?<=") || rest.hasPrefix("?<!") {
        offset += 3
        isAssertion = true
      } else if rest.hasPrefix("?P<") || rest.hasPrefix("?<") {
        try skipName()
      } else {
        return try options()
      }
    }
    let required = try alternatives()
    guard byte == UInt8(ascii: ")") else { throw GiveUp() }
    offset += 1
    return isAssertion ? .empty : .other(required: required)
  }

  private mutating func skipName() throws(GiveUp) {
    while let next = byte, next != UInt8(ascii: ">") { offset += 1 }
    guard byte != nil else { throw GiveUp() }
    offset += 1
  }

  /// `(?i)`, `(?is)` and `(?i:…)`. Case is ignored in texts anyhow; it matters beyond ASCII.
  private mutating func options() throws(GiveUp) -> Item {
    offset += 1
    while let next = byte, next != UInt8(ascii: ")"), next != UInt8(ascii: ":") {
      switch next {
      case UInt8(ascii: "i"): isCaseless = true
      case UInt8(ascii: "s"), UInt8(ascii: "m"), UInt8(ascii: "U"), UInt8(ascii: "a"),
        UInt8(ascii: "u"):
        break
      default: throw GiveUp()
      }
      offset += 1
    }
    guard let end = byte else { throw GiveUp() }
    offset += 1
    if end == UInt8(ascii: ")") { return .empty }
    let required = try alternatives()
    guard byte == UInt8(ascii: ")") else { throw GiveUp() }
    offset += 1
    return .other(required: required)
  }
}

extension String {
  /// Whether the bytes of `part` occur in the text.
  func contains(bytesOf part: String) -> Bool {
    utf8Span.span.containsBytes(part.utf8Span.span)
  }
}

extension Span<UInt8> {
  func containsBytes(_ part: Span<UInt8>) -> Bool {
    if part.isEmpty { return true }
    if part.count > count { return false }
    let first = part[0]
    for start in 0...(count - part.count) where self[start] == first {
      var length = 1
      while length < part.count && self[start + length] == part[length] { length += 1 }
      if length == part.count { return true }
    }
    return false
  }
}
