/// Host names in the one spelling that rules compare: lower case, ASCII (IDNA, RFC 5891), without
/// the dot at the end.
public enum HostName {
  public enum Problem: Error, Equatable, Sendable {
    case empty, tooLong, badLabel, badCharacter, ambiguousAddress

    var message: String {
      switch self {
      case .empty: "is empty"
      case .tooLong: "is longer than 253 bytes, or a label is longer than 63 (RFC 1035)"
      case .badLabel: "has an empty label, or one that starts or ends with \"-\""
      case .badCharacter: "has a character that host names do not have"
      case .ambiguousAddress:
        "looks like an address that programs read differently; write four decimal numbers"
      }
    }
  }

  /// The canonical spelling of a name or an address literal (with or without brackets).
  public static func canonical(_ text: String) throws(Problem) -> String {
    if text.isEmpty { throw .empty }
    if isCanonical(text) { return text }
    if text.utf8.count > 1024 { throw .tooLong }
    let isBracketed = text.utf8.first == UInt8(ascii: "[") && text.utf8.last == UInt8(ascii: "]")
    let bare = isBracketed ? String(text.dropFirst().dropLast()) : text
    if isBracketed || bare.utf8.contains(UInt8(ascii: ":")) {
      guard let address = IPAddress(bare) else { throw .badCharacter }
      return address.description
    }
    if let address = IPAddress(bare) { return address.description }
    return try canonicalName(bare)
  }

  /// The common case, without allocation: lower-case labels, the last of which starts with a letter.
  private static func isCanonical(_ text: String) -> Bool {
    guard text.utf8.count <= 253 else { return false }
    var length = 0
    var previous = UInt8(ascii: ".")
    var isLetterFirst = false
    for byte in text.utf8 {
      let isLetter = byte >= UInt8(ascii: "a") && byte <= UInt8(ascii: "z")
      if length == 0 { isLetterFirst = isLetter }
      switch byte {
      case UInt8(ascii: "."):
        guard length > 0, previous != UInt8(ascii: "-") else { return false }
        length = 0
      case UInt8(ascii: "-") where length == 0: return false
      case UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "0")...UInt8(ascii: "9"):
        length += 1
      default:
        guard isLetter else { return false }
        length += 1
      }
      if length > 63 { return false }
      previous = byte
    }
    return length > 0 && previous != UInt8(ascii: "-") && isLetterFirst
  }

  private static func canonicalName(_ text: String) throws(Problem) -> String {
    var labels: [String] = []
    let name = text.utf8.last == UInt8(ascii: ".") ? text.dropLast() : text[...]
    for label in name.split(separator: ".", omittingEmptySubsequences: false) {
      labels.append(try canonicalLabel(label))
    }
    // WHATWG URL, "ends in a number": such a host is an IPv4 address to a browser, with its own
    // reading of 127.1, 0x7f.1 and 2130706433.
    if let last = labels.last, isNumber(last) { throw .ambiguousAddress }
    let canonical = labels.joined(separator: ".")
    if canonical.utf8.count > 253 { throw .tooLong }
    return canonical
  }

  private static func isNumber(_ label: String) -> Bool {
    if label.hasPrefix("0x") { return label.utf8.dropFirst(2).allSatisfy(isHexadecimal) }
    return label.utf8.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
  }

  private static func isHexadecimal(_ byte: UInt8) -> Bool {
    (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
      || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte)
  }

  private static func canonicalLabel(_ label: Substring) throws(Problem) -> String {
    guard !label.isEmpty, label.utf8.first != UInt8(ascii: "-"),
      label.utf8.last != UInt8(ascii: "-")
    else { throw .badLabel }
    if label.utf8.allSatisfy({ $0 < 0x80 }) {
      guard label.utf8.allSatisfy(isNameByte) else { throw .badCharacter }
      if label.utf8.count > 63 { throw .tooLong }
      return label.lowercased()
    }
    let folded = Text.normalized(Text.normalized(String(label)).lowercased())
    // What UTS 46 would map to something else is refused instead: two spellings of one host must
    // not exist, and no full mapping table is needed.
    guard folded.unicodeScalars.allSatisfy(isNameScalar) else { throw .badCharacter }
    guard let encoded = Punycode.encode(folded) else { throw .tooLong }
    let ascii = "xn--" + encoded
    if ascii.utf8.count > 63 { throw .tooLong }
    return ascii
  }

  private static func isNameByte(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"):
      true
    default: false
    }
  }

  private static func isNameScalar(_ scalar: Unicode.Scalar) -> Bool {
    if scalar.isASCII { return isNameByte(UInt8(scalar.value)) }
    switch scalar.value {
    // Letters that a compatibility decomposition turns into others: ª º ſ, modifier letters,
    // letter-like symbols, enclosed and presentation forms, full width, mathematical alphabets.
    case 0xAA, 0xBA, 0x17F, 0x2B0...0x2B8, 0x2E0...0x2E4, 0x1D2C...0x1D6A, 0x2071, 0x207F,
      0x2090...0x209C, 0x2100...0x214F, 0x2160...0x217F, 0x2460...0x24FF, 0x3200...0x33FF,
      0xF900...0xFAFF, 0xFB00...0xFDFF, 0xFE70...0xFEFF, 0xFF00...0xFFEF, 0x1D400...0x1D7FF,
      0x1F100...0x1F1FF:
      return false
    default: break
    }
    switch scalar.properties.generalCategory {
    case .lowercaseLetter, .otherLetter, .modifierLetter, .nonspacingMark, .spacingMark,
      .decimalNumber:
      return true
    default:
      return false
    }
  }
}

/// RFC 3492, encoding only.
enum Punycode {
  static func encode(_ label: String) -> String? {
    let scalars = label.unicodeScalars.map(\.value)
    var output = scalars.filter { $0 < 0x80 }.map { UInt8($0) }
    let basicCount = output.count
    var handled = basicCount
    if basicCount > 0 { output.append(UInt8(ascii: "-")) }
    var next: UInt32 = 128
    var delta: UInt32 = 0
    var bias: UInt32 = 72
    while handled < scalars.count {
      guard let minimum = scalars.filter({ $0 >= next }).min() else { return nil }
      let (step, isOverflow) = (minimum - next).multipliedReportingOverflow(by: UInt32(handled + 1))
      let (sum, isSumOverflow) = delta.addingReportingOverflow(step)
      if isOverflow || isSumOverflow { return nil }
      delta = sum
      next = minimum
      for scalar in scalars {
        if scalar < next { delta += 1 }
        if scalar == next {
          append(delta, bias: bias, to: &output)
          bias = adapt(delta, count: UInt32(handled + 1), isFirst: handled == basicCount)
          delta = 0
          handled += 1
        }
      }
      delta += 1
      next += 1
    }
    return String(decoding: output, as: UTF8.self)
  }

  private static func append(_ delta: UInt32, bias: UInt32, to output: inout [UInt8]) {
    var quotient = delta
    var position: UInt32 = 36
    while true {
      let threshold = position <= bias ? 1 : min(26, position - bias)
      if quotient < threshold { break }
      output.append(digit(threshold + (quotient - threshold) % (36 - threshold)))
      quotient = (quotient - threshold) / (36 - threshold)
      position += 36
    }
    output.append(digit(quotient))
  }

  private static func digit(_ value: UInt32) -> UInt8 {
    UInt8(value < 26 ? value + 97 : value - 26 + 48)
  }

  private static func adapt(_ delta: UInt32, count: UInt32, isFirst: Bool) -> UInt32 {
    var delta = isFirst ? delta / 700 : delta / 2
    delta += delta / count
    var steps: UInt32 = 0
    while delta > 455 {
      delta /= 35
      steps += 36
    }
    return steps + 36 * delta / (delta + 38)
  }
}
