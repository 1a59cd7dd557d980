import Testing

@testable import Supervisor

/// What of an untrusted program's output reaches a person's terminal.
@Suite struct TerminalTextTests {
  private func shown(_ pieces: [[UInt8]]) -> String {
    var text = VisibleText()
    var all: [UInt8] = []
    for piece in pieces { all += text.filter(piece) }
    return String(decoding: all + text.end(), as: UTF8.self)
  }

  /// Whole, and byte by byte: an agent chooses where its writes are cut.
  private func cleaned(_ text: String) -> String {
    let bytes = Array(text.utf8)
    let whole = shown([bytes])
    #expect(shown(bytes.map { [$0] }) == whole)
    return whole
  }

  @Test(
    arguments: [
      ("plain\ttext\n", "plain\ttext\n"),
      ("gr\u{fc}n \u{20ac} \u{1f600}\n", "gr\u{fc}n \u{20ac} \u{1f600}\n"),
      ("\u{1b}[1;32mok\u{1b}[0m\n", "ok\n"), ("a\u{1b}[2Jb\u{1b}[1Ac", "abc"),
      ("\u{1b}]0;title\u{7}x", "?]0;title?x"), ("\u{1b}Pq\u{1b}\\", "?Pq?\\"),
      ("\u{1b}c", "?c"), ("\u{1b}", "?"), ("a\u{8}b\u{7f}", "a?b?"), ("end\u{1b}[3", "end?[3"),
      ("10%\r20%\rdone\r\n", "10%\n20%\ndone\n"), ("last\r", "last"),
      ("\u{9b}2J", "?2J"), ("\u{85}\u{9d}0;x", "??0;x"),
      ("user\u{202e}txt.exe\u{202c}", "user?txt.exe?"), ("\u{1b}[31\nm", "?[31\nm"),
      ("\u{1b}[\u{1b}[2J", "?["),
    ]) func controlsAreShown(_ text: String, _ expected: String)
  {
    #expect(cleaned(text) == expected)
  }

  @Test func nothingControlsATerminal() {
    var random = SystemRandomNumberGenerator()
    for _ in 0..<2000 {
      var pieces: [[UInt8]] = []
      for _ in 0..<Int.random(in: 1...4, using: &random) {
        pieces.append(
          (0..<Int.random(in: 0...12, using: &random)).map { _ in
            let tricky: [UInt8] = [0x1b, 0x5b, 0x9b, 0xc2, 0x9d, 0x0d, 0x0a, 0xe2, 0x80, 0xae]
            return Bool.random(using: &random)
              ? tricky.randomElement(using: &random)! : UInt8.random(in: 0...255, using: &random)
          })
      }
      for scalar in shown(pieces).unicodeScalars {
        #expect(
          scalar == "\t" || scalar == "\n" || scalar.properties.generalCategory != .control,
          "\(pieces)")
      }
    }
  }

  @Test func bytesThatAreNoTextAreShown() {
    #expect(shown([[0x9b, 0x32, 0x4a, 0xff, 0x41, 0xc2]]) == "?2J?A?")
    #expect(shown([[0xc2], [0x9b, 0x41]]) == "?A")
    #expect(shown([[0xed, 0xa0, 0x80, 0xc0, 0xaf]]) == "?????")
    let long = [UInt8]("\u{1b}[".utf8) + [UInt8](repeating: 0x31, count: 5000)
    #expect(shown([long, [0x6d]]).hasPrefix("?[111"))
  }

  @Test(
    arguments: [
      ("\u{1b}[1mbold\u{1b}[0m\r\n", "\u{1b}[1mbold\u{1b}[0m\r\n"),
      // Where is the cursor, what are you, how large, which colour, which mode.
      ("\u{1b}[6na\u{1b}[c\u{1b}[>c\u{1b}[=0cb\u{1b}[14t\u{5}\u{1b}Zc", "abc"),
      ("\u{1b}]11;?\u{1b}\\x\u{1b}]4;1;?\u{7}y\u{1b}P+q544e\u{1b}\\z", "xyz"),
      ("\u{1b}[?2026$p\u{1b}[?u\u{1b}[>0q\u{1b}[?6nq", "q"), ("\u{9b}6n\u{9b}31mr", "\u{1b}[31mr"),
      (
        "\u{1b}[?1049h\u{1b}[2J\u{1b}[5;1H\u{1b}(B\u{1b}[2 q",
        "\u{1b}[?1049h\u{1b}[2J\u{1b}[5;1H\u{1b}(B\u{1b}[2 q"
      ),
      ("\u{1b}[6\nn", "\n"), ("\u{1b}[31\u{1b}[6nx", "x"), ("gr\u{fc}n", "gr\u{fc}n"),
    ]) func oldQuestionsAreNotAskedAgain(_ text: String, _ expected: String)
  {
    let bytes = Array(text.utf8)
    var replay = TerminalReplay(keptBytes: bytes.count)
    #expect(String(decoding: replay.take(bytes), as: UTF8.self) == expected)
    var slow = TerminalReplay(keptBytes: bytes.count)
    #expect(String(decoding: bytes.flatMap { slow.take([$0]) }, as: UTF8.self) == expected)
    // What is new passes.
    #expect(replay.take(bytes) == bytes)
  }

  @Test func theBorderBetweenOldAndNewIsExact() {
    var replay = TerminalReplay(keptBytes: 6)
    #expect(replay.take(Array("a\u{1b}[6nb\u{1b}[6n".utf8)) == Array("ab\u{1b}[6n".utf8))
  }

  @Test(
    arguments: [
      ("text\n", ""), ("\u{1b}[?1049h\u{1b}[?25l", "\u{1b}[?25h\u{1b}[?1049l"),
      ("\u{1b}[?1049h\u{1b}[?25l\u{1b}[?25h\u{1b}[?1049l", ""),
      ("\u{1b}[?1000;1006h\u{1b}[?2004h", "\u{1b}[?1000l\u{1b}[?1006l\u{1b}[?2004l"),
      ("\u{1b}=\u{1b}[4h\u{1b}[2;10r", "\u{1b}>\u{1b}[4l\u{1b}7\u{1b}[r\u{1b}8"),
      ("\u{1b}[?1049h\u{1b}c", ""), ("\u{1b}[>1u\u{1b}[>4;2m", "\u{1b}[<1u\u{1b}[>4m"),
    ]) func modesAreLeft(_ written: String, _ expected: String)
  {
    var modes = ScreenModes()
    modes.observe(Array(written.utf8))
    #expect(String(decoding: modes.leaving, as: UTF8.self) == expected + "\u{1b}[m\u{1b}(B")
  }

  @Test func keysThatLeave() {
    var keys = DetachKeys()
    let steps: [([UInt8], [UInt8], Bool)] = [
      ([0x61, 0x1d], [0x61], false), ([0x1d, 0x1d, 0x78], [0x1d, 0x1d, 0x78], false),
      ([0x62, 0x1d, 0x64, 0x63], [0x62], true),
    ]
    for (keysTyped, passed, leaves) in steps {
      let (typed, isLeaving) = keys.take(keysTyped)
      #expect(typed == passed && isLeaving == leaves)
    }
  }
}
