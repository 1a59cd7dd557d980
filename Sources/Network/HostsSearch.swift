public import Policy

/// The addresses that a hosts file (hosts(5)) gives one name. Such files are also lists of blocked hosts,
/// with a hundred thousand lines and more: parts of the file are taken as they are read, and words are
/// compared as bytes.
public struct HostsSearch: Sendable {
  private let name: [UInt8]
  /// The start of a line whose end has not come.
  private var rest: [UInt8] = []
  /// Until the end of a line that is too long.
  private var isSkipping = false
  /// In the order of the file.
  public private(set) var addresses: [IPAddress] = []

  /// A longer one is no line of such a file, and says nothing.
  static let maximumLineBytes = 1 << 20

  /// - Parameter name: in canonical spelling.
  public init(_ name: String) { self.name = Array(name.utf8) }

  /// The file's next bytes, in parts of any size.
  public mutating func take(_ bytes: [UInt8]) {
    var bytes = bytes[...]
    if isSkipping {
      guard let end = bytes.firstIndex(where: Self.isNewline) else { return }
      bytes = bytes[end...]
      isSkipping = false
    }
    guard let end = bytes.lastIndex(where: Self.isNewline) else {
      rest += bytes
      isSkipping = rest.count > Self.maximumLineBytes
      if isSkipping { rest = [] }
      return
    }
    lines(rest + bytes[...end])
    rest = Array(bytes[(end + 1)...])
  }

  /// The file has ended.
  public mutating func finish() {
    lines(rest)
    rest = []
  }

  private static func isNewline(_ byte: UInt8) -> Bool { byte == 10 || byte == 13 }
  private static func isBlank(_ byte: UInt8) -> Bool { byte == 32 || byte == 9 }

  private mutating func lines(_ bytes: [UInt8]) {
    let span = bytes.span
    // Of the line's first word, once it has ended.
    var address: Range<Int>?
    var isComment = false
    var start = 0
    for index in 0...span.count {
      let byte = index < span.count ? span[index] : 10
      let isEnd = Self.isNewline(byte)
      let startsComment = byte == UInt8(ascii: "#") || byte == UInt8(ascii: ";")
      guard isEnd || startsComment || Self.isBlank(byte) else { continue }
      if !isComment, start < index {
        if let address {
          if isName(span.extracting(start..<index)) { add(span.extracting(address)) }
        } else {
          address = start..<index
        }
      }
      start = index + 1
      isComment = !isEnd && (isComment || startsComment)
      if isEnd { address = nil }
    }
  }

  /// A word that differs only in case or by the dot at the end, or one that is written with letters beyond
  /// ASCII, is the name.
  private func isName(_ word: borrowing Span<UInt8>) -> Bool {
    var isASCII = true
    for index in word.indices where word[index] >= 0x80 { isASCII = false }
    guard isASCII else {
      return (try? HostName.canonical(Self.text(word))).map { Array($0.utf8) == name } ?? false
    }
    let hasDot = word.count == name.count + 1 && word[name.count] == UInt8(ascii: ".")
    guard word.count == name.count || hasDot else { return false }
    for index in name.indices {
      let byte = word[index]
      let isUpper = byte >= UInt8(ascii: "A") && byte <= UInt8(ascii: "Z")
      if (isUpper ? byte | 0x20 : byte) != name[index] { return false }
    }
    return true
  }

  private mutating func add(_ word: borrowing Span<UInt8>) {
    // A zone (fe80::1%eth0) names an interface of the host; such an address is left out.
    if let address = IPAddress(Self.text(word)) { addresses.append(address) }
  }

  private static func text(_ word: borrowing Span<UInt8>) -> String {
    String(decoding: word.indices.map { word[$0] }, as: UTF8.self)
  }
}
