/// Cuts what a program writes to its terminal into characters and control sequences (ECMA-48, xterm's ctlseqs).
/// The bytes may be cut anywhere.
struct TerminalScanner {
  enum Piece: Equatable {
    /// Of a character, or a control character by itself.
    case byte(UInt8)
    /// From ESC to the final byte.
    case sequence([UInt8])
    /// A title, a colour, a device's data (OSC, DCS, APC, PM, SOS), whose content is of no use here.
    case string
  }

  private enum State {
    case ground, escape, control, string
    /// The first byte of a C1 control in UTF-8 may have come.
    case twoBytes
  }

  private static let escape: UInt8 = 0x1b
  /// What begins a string after ESC.
  private static let strings = Set("]P_^X".utf8)
  /// What is longer is dropped.
  private static let sequenceMaxBytes = 256

  private var state = State.ground
  private var sequence: [UInt8] = []

  mutating func scan(_ bytes: [UInt8], _ body: (Piece) -> Void) {
    for byte in bytes { take(byte, body) }
  }

  private mutating func take(_ byte: UInt8, _ body: (Piece) -> Void) {
    switch state {
    case .ground: begin(byte, body)
    case .twoBytes:
      state = .ground
      if (0x80...0x9f).contains(byte) {
        sequence = [Self.escape]
        state = .escape
        return take(byte - 0x40, body)
      }
      body(.byte(0xc2))
      begin(byte, body)
    case .escape: escape(byte, body)
    case .control: control(byte, body)
    case .string:
      switch byte {
      case Self.escape: begin(byte, body)
      // BEL ends it, as ESC \ does; CAN and SUB break it off.
      case 0x07, 0x18, 0x1a: state = .ground
      default: break
      }
    }
  }

  private mutating func begin(_ byte: UInt8, _ body: (Piece) -> Void) {
    switch byte {
    case Self.escape:
      sequence = [byte]
      state = .escape
    case 0xc2: state = .twoBytes
    default: body(.byte(byte))
    }
  }

  private mutating func escape(_ byte: UInt8, _ body: (Piece) -> Void) {
    switch byte {
    case Self.escape: sequence = [byte]
    case 0x18, 0x1a: state = .ground
    case ..<0x20: body(.byte(byte))
    case 0x20...0x2f: append(byte)
    case UInt8(ascii: "[") where sequence.count == 1:
      append(byte)
      state = .control
    case _ where sequence.count == 1 && Self.strings.contains(byte):
      state = .string
      body(.string)
    default:
      append(byte)
      finish(body)
    }
  }

  private mutating func control(_ byte: UInt8, _ body: (Piece) -> Void) {
    switch byte {
    case Self.escape:
      sequence = [byte]
      state = .escape
    case 0x18, 0x1a: state = .ground
    // Obeyed in the middle of a sequence, as terminals do.
    case ..<0x20: body(.byte(byte))
    case 0x40...0x7e:
      append(byte)
      finish(body)
    default: append(byte)
    }
  }

  private mutating func append(_ byte: UInt8) {
    if sequence.count <= Self.sequenceMaxBytes { sequence.append(byte) }
  }

  private mutating func finish(_ body: (Piece) -> Void) {
    state = .ground
    if sequence.count <= Self.sequenceMaxBytes { body(.sequence(sequence)) }
  }
}

/// A control sequence `ESC [ … final` in its parts.
struct ControlSequence {
  /// `?`, `>`, `<` or `=`; nil for a standard one.
  let prefix: UInt8?
  let parameters: [Int]
  /// Bytes from 0x20 to 0x2f before the last.
  let intermediates: [UInt8]
  let final: UInt8

  /// - Returns: nil for what does not begin with `ESC [`.
  init?(_ bytes: [UInt8]) {
    guard bytes.count >= 3, bytes[1] == UInt8(ascii: "["), let final = bytes.last else {
      return nil
    }
    var inside = bytes[2..<bytes.count - 1]
    prefix = inside.first.flatMap { (0x3c...0x3f).contains($0) ? $0 : nil }
    if prefix != nil { inside = inside.dropFirst() }
    intermediates = inside.filter { (0x20...0x2f).contains($0) }
    parameters = inside.prefix { (0x30...0x3b).contains($0) }.split(separator: UInt8(ascii: ";"))
      .map { Int(String(decoding: $0, as: UTF8.self)) ?? 0 }
    self.final = final
  }
}
