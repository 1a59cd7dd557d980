/// What a program wrote to its terminal before somebody attached, shown again without its questions: a terminal
/// answers those as if its user had typed, and whoever asked has long had an answer or none.
///
/// Only what is known to have no answer passes. What comes after the kept bytes is live and passes as it is.
struct TerminalReplay {
  /// Final bytes of `ESC [`, by the prefix.
  private static let standard = Set("@ABCDEFGHIJKLMPSTXZ`abdefghlmrsu".utf8)
  private static let withPrefix: [UInt8: Set<UInt8>] = [
    UInt8(ascii: "?"): Set("hlJKrs".utf8), UInt8(ascii: ">"): Set("mu".utf8),
    UInt8(ascii: "<"): Set("u".utf8), UInt8(ascii: "="): Set("u".utf8),
  ]
  /// Of `ESC`.
  private static let simple = Set("78=>DEHMNOc".utf8)
  private static let enquiry: UInt8 = 0x05

  /// Bytes that are still old.
  private var restBytes: Int
  private var scanner = TerminalScanner()

  /// - Parameter keptBytes: so many of the stream were written before.
  init(keptBytes: Int) { restBytes = keptBytes }

  mutating func take(_ bytes: [UInt8]) -> [UInt8] {
    guard restBytes > 0 else { return bytes }
    let old = bytes.prefix(restBytes)
    restBytes -= old.count
    var shown: [UInt8] = []
    shown.reserveCapacity(bytes.count)
    scanner.scan(Array(old)) { piece in
      switch piece {
      case .byte(let byte): if byte != Self.enquiry { shown.append(byte) }
      case .sequence(let sequence): if Self.isSilent(sequence) { shown += sequence }
      case .string: break
      }
    }
    return shown + bytes.dropFirst(old.count)
  }

  private static func isSilent(_ sequence: [UInt8]) -> Bool {
    guard let control = ControlSequence(sequence) else {
      // Character sets and tests of the screen have an intermediate.
      return sequence.count == 2
        ? simple.contains(sequence[1])
        : sequence.count == 3 && "()*+#".utf8.contains(sequence[1])
    }
    switch (control.prefix, control.intermediates) {
    case (nil, []): return standard.contains(control.final)
    case (let prefix?, []): return withPrefix[prefix]?.contains(control.final) == true
    // The shape of the cursor, and the soft reset.
    case (nil, [UInt8(ascii: " ")]): return control.final == UInt8(ascii: "q")
    case (nil, [UInt8(ascii: "!")]): return control.final == UInt8(ascii: "p")
    default: return false
    }
  }
}
