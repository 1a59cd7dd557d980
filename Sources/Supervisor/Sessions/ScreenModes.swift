/// What a program has switched on in the terminal of somebody who is attached, and how to switch it off when that
/// person leaves or the program is killed: the other screen, a hidden cursor, the mouse, pasted text in brackets.
struct ScreenModes {
  /// On at first (DEC private modes): wrapping lines, the cursor.
  private static let usual: Set<Int> = [7, 25]
  /// The other screen goes last: what is set before is the same on both.
  private static let screens: Set<Int> = [47, 1047, 1049]
  /// A program that sets more than all modes there are is not followed.
  private static let modesMax = 128

  private var scanner = TerminalScanner()
  /// Private modes that are not as they usually are.
  private var changed: Set<Int> = []
  private var inserts = false
  private var keypad = false
  private var region = false
  private var keys = false
  /// How often kitty's keyboard protocol was entered.
  private var keyboards = 0

  mutating func observe(_ bytes: [UInt8]) {
    var sequences: [[UInt8]] = []
    scanner.scan(bytes) { if case .sequence(let sequence) = $0 { sequences.append(sequence) } }
    for sequence in sequences { observe(sequence: sequence) }
  }

  private mutating func observe(sequence: [UInt8]) {
    guard let control = ControlSequence(sequence) else {
      switch sequence.last {
      case UInt8(ascii: "=") where sequence.count == 2: keypad = true
      case UInt8(ascii: ">") where sequence.count == 2: keypad = false
      case UInt8(ascii: "c") where sequence.count == 2: forget()
      default: break
      }
      return
    }
    let isOn = control.final == UInt8(ascii: "h")
    switch (control.prefix, control.final) {
    case (UInt8(ascii: "?"), UInt8(ascii: "h")), (UInt8(ascii: "?"), UInt8(ascii: "l")):
      for mode in control.parameters {
        if isOn == Self.usual.contains(mode) {
          changed.remove(mode)
        } else if changed.count < Self.modesMax {
          changed.insert(mode)
        }
      }
    case (nil, UInt8(ascii: "h")), (nil, UInt8(ascii: "l")):
      if control.parameters.contains(4) { inserts = isOn }
    case (nil, UInt8(ascii: "r")): region = !control.parameters.isEmpty
    case (nil, UInt8(ascii: "p")) where control.intermediates == [UInt8(ascii: "!")]: forget()
    case (UInt8(ascii: ">"), UInt8(ascii: "m")): keys = true
    case (UInt8(ascii: ">"), UInt8(ascii: "u")): keyboards = min(keyboards + 1, 99)
    case (UInt8(ascii: "<"), UInt8(ascii: "u")):
      keyboards = max(keyboards - max(control.parameters.first ?? 1, 1), 0)
    default: break
    }
  }

  private mutating func forget() { self = ScreenModes() }

  /// What makes the terminal as it was.
  var leaving: [UInt8] {
    var text = ""
    if keyboards > 0 { text += "\u{1b}[<\(keyboards)u" }
    if keys { text += "\u{1b}[>4m" }
    if keypad { text += "\u{1b}>" }
    if inserts { text += "\u{1b}[4l" }
    // Setting the region moves the cursor.
    if region { text += "\u{1b}7\u{1b}[r\u{1b}8" }
    let order = changed.subtracting(Self.screens).sorted() + changed.intersection(Self.screens)
    for mode in order { text += "\u{1b}[?\(mode)\(Self.usual.contains(mode) ? "h" : "l")" }
    // Colours and the character set.
    return Array((text + "\u{1b}[m\u{1b}(B").utf8)
  }
}
