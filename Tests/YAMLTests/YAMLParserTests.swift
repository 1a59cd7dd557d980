import Testing

@testable import YAML

/// `2:5: message` of the refusal, or nil when the text is accepted.
func refusal(
  _ text: String, limits: YAMLLimits = .default
) -> String? {
  refusal(bytes: Array(text.utf8), limits: limits)
}

func refusal(bytes: [UInt8], limits: YAMLLimits = .default) -> String? {
  do {
    _ = try YAMLParser.parse(bytes, file: "f", limits: limits)
    return nil
  } catch {
    return "\(error.line):\(error.column): \(error.message)"
  }
}

func parse(_ text: String) throws -> YAMLNode {
  try YAMLParser.parse(Array(text.utf8), file: "f")
}

/// A document without places, for comparison.
indirect enum Plain: Equatable {
  case scalar(String, YAMLNode.ScalarStyle)
  case sequence([Plain])
  case mapping([(String, Plain)])

  init(_ node: YAMLNode) {
    switch node.content {
    case .scalar(let text, let style): self = .scalar(text, style)
    case .sequence(let items): self = .sequence(items.map(Plain.init))
    case .mapping(let entries):
      self = .mapping(entries.map { ($0.key.text ?? "", Plain($0.value)) })
    }
  }

  static func == (first: Plain, second: Plain) -> Bool {
    switch (first, second) {
    case (.scalar(let a, let x), .scalar(let b, let y)): a == b && x == y
    case (.sequence(let a), .sequence(let b)): a == b
    case (.mapping(let a), .mapping(let b)):
      a.map(\.0) == b.map(\.0) && a.map(\.1) == b.map(\.1)
    default: false
    }
  }
}

@Suite struct YAMLParserTests {
  @Test func readsEveryKindOfNode() throws {
    let document = """
      # comment
      name: ring3
      quoted: "a\\tb"
      single: 'it''s'
      block: |
        one
        two
      folded: >-
        one
        two
      list:
      - 1
      - [x, {y: z}]
      nested: {a: , b: []}
      """
    let expected = Plain.mapping([
      ("name", .scalar("ring3", .plain)),
      ("quoted", .scalar("a\tb", .quoted)),
      ("single", .scalar("it's", .quoted)),
      ("block", .scalar("one\ntwo\n", .block)),
      ("folded", .scalar("one two", .block)),
      (
        "list",
        .sequence([
          .scalar("1", .plain),
          .sequence([.scalar("x", .plain), .mapping([("y", .scalar("z", .plain))])]),
        ])
      ),
      ("nested", .mapping([("a", .scalar("", .plain)), ("b", .sequence([]))])),
    ])
    #expect(Plain(try parse(document)) == expected)
  }

  @Test func placesAreOneBasedCharacters() throws {
    let root = try parse("é: 1\nlist:\n  - ñ: ö\n")
    guard case .mapping(let entries) = root.content,
      case .sequence(let items) = entries[1].value.content,
      case .mapping(let inner) = items[0].content
    else {
      Issue.record("unexpected shape")
      return
    }
    #expect([root.line, root.column] == [1, 1])
    #expect([entries[0].value.line, entries[0].value.column] == [1, 4])
    #expect([entries[1].key.line, entries[1].key.column] == [2, 1])
    #expect([inner[0].value.line, inner[0].value.column] == [3, 8])
  }

  @Test func byteOrderMarkIsAcceptedAndNotCounted() throws {
    let root = try YAMLParser.parse([0xEF, 0xBB, 0xBF] + Array("a: b".utf8), file: "f")
    guard case .mapping(let entries) = root.content else {
      Issue.record("not a mapping")
      return
    }
    #expect(entries[0].key.text == "a")
    #expect([entries[0].value.line, entries[0].value.column] == [1, 4])
    #expect(refusal(bytes: [0xEF, 0xBB, 0xBF]) != nil)
    #expect(
      refusal(bytes: [0xEF, 0xBB, 0xBF, 0xFF])
        == "1:1: not valid UTF-8; save the file as UTF-8")
  }

  @Test func windowsLineEndsAreAccepted() throws {
    #expect(Plain(try parse("a: 1\r\nb: 2\r\n")) == Plain(try parse("a: 1\nb: 2\n")))
  }

  @Test(arguments: [
    (
      "a: 1\nb: 2\na: 3\n",
      "3:1: duplicate key \"a\"; it is already at line 1, column 1; "
        + "remove one of the two"
    ),
    (
      "{x: 1, 'x': 2}",
      "1:8: duplicate key \"x\"; it is already at line 1, column 2; "
        + "remove one of the two"
    ),
    ("a: &x 1", "1:4: anchors (&name) are not supported; remove the anchor"),
    ("a: &x {}", "1:4: anchors (&name) are not supported; remove the anchor"),
    ("a: &x []", "1:4: anchors (&name) are not supported; remove the anchor"),
    ("a: *x", "1:4: aliases (*name) are not supported; write the value out in full"),
    ("<<: {a: 1}", "1:1: merge keys (<<) are not supported; write the merged keys out in full"),
    (
      "a: !x 1",
      "1:4: tags (!name) are not supported; write the value without the tag, or in "
        + "quotes if the text starts with \"!\""
    ),
    (
      "a: !!binary aGk=",
      "1:4: tags (!name) are not supported; write the value without the tag, "
        + "or in quotes if the text starts with \"!\""
    ),
    (
      "%TAG !e! tag:e,2000:\n---\na: 1",
      "1:1: %TAG directives are not supported; remove the "
        + "directive"
    ),
    (
      "a: 1\n---\nb: 2\n",
      "2:1: a second document starts here; keep one document in this file, "
        + "without \"---\""
    ),
    ("", "1:1: the document is empty; write at least one \"key: value\" line"),
    ("# only a comment\n", "2:1: the document is empty; write at least one \"key: value\" line"),
    ("---\n", "2:1: the document is empty; write at least one \"key: value\" line"),
    (
      "[a]: 1",
      "1:1: a key must be a word or a quoted string, not a sequence or a mapping; put { "
        + "or [ into quotes if it is part of the text"
    ),
    (
      "{{a: 1}: 1}",
      "1:2: a key must be a word or a quoted string, not a sequence or a mapping; "
        + "put { or [ into quotes if it is part of the text"
    ),
    (
      ": 1",
      "1:1: did not find expected key while parsing a block mapping; check the indentation "
        + "of this line and the quotes before it"
    ),
    ("?\n: 1", "1:2: the key before \":\" is missing; write a key or remove the line"),
    ("a:\n\tb: 1\n", "2:1: tab used for indentation; indent with spaces"),
    ("a:\n  \tb: 1\n", "2:3: tab used for indentation; indent with spaces"),
    ("a: [\n\tb]\n", "2:1: tab used for indentation; indent with spaces"),
    ("a: b\n\tc: d\n", "2:1: tab used for indentation; indent with spaces"),
    ("a: b\u{0}", "1:5: control character U+0000; remove it"),
    ("a: b\nc: \u{1B}[0m", "2:4: control character U+001B; remove it"),
    ("a: b\u{7F}", "1:5: control character U+007F; remove it"),
    ("ü: \u{85}", "1:4: control character U+0085; remove it"),
    ("a: b\rc: d", "1:5: carriage return without line feed; end lines with a line feed"),
    ("a: b\u{2028}c: d", "1:5: Unicode line or paragraph separator; end lines with a line feed"),
    (
      "a: \u{202E}b",
      "1:4: bidirectional control character; remove it, it hides what the text "
        + "says"
    ),
    (
      "a: \u{2066}b",
      "1:4: bidirectional control character; remove it, it hides what the text "
        + "says"
    ),
    ("a: \u{FEFF}b", "1:4: byte order mark inside the text; remove it"),
    ("a: \u{FFFF}b", "1:4: not a character of Unicode; remove it"),
    (
      "a: \"x\\0y\"",
      "1:4: the string holds an escaped control character; remove it from the "
        + "string"
    ),
    (
      "a: \"\\e[2J\"",
      "1:4: the string holds an escaped control character; remove it from the "
        + "string"
    ),
    (
      "a: \"\\x9b2J\"",
      "1:4: the string holds an escaped control character; remove it from the "
        + "string"
    ),
    (
      "a: b: c",
      "1:5: mapping values are not allowed in this context; put the key on a line of "
        + "its own, or put a text that contains \": \" into quotes"
    ),
    (
      "a: \"b\nc",
      "2:2: found unexpected end of stream while scanning a quoted scalar that "
        + "starts at line 1, column 4; close the quote"
    ),
    (
      "a: [1, 2\nb: 3",
      "2:2: did not find expected ',' or ']' while parsing a flow sequence that "
        + "starts at line 1, column 4; add the comma or the closing bracket"
    ),
    (
      "a: \"\\q\"",
      "1:5: found unknown escape character while parsing a quoted scalar that starts "
        + "at line 1, column 4; write \\\\ for a backslash, or use single quotes"
    ),
    (
      "[$",
      "1:3: did not find expected ',' or ']' while parsing a flow sequence that starts at "
        + "line 1, column 1; add the comma or the closing bracket"
    ),
    (
      "a: @b",
      "1:4: found character that cannot start any token while scanning for the next "
        + "token; put a text that starts with %, @, ` or a tab into quotes"
    ),
  ])
  func refuses(text: String, expected: String) {
    #expect(refusal(text) == expected)
  }

  @Test func refusesOtherEncodings() {
    let expected = "1:1: looks like UTF-16; save the file as UTF-8"
    #expect(refusal(bytes: [0xFF, 0xFE, 0x61, 0x00]) == expected)
    #expect(refusal(bytes: [0xFE, 0xFF, 0x00, 0x61]) == expected)
    #expect(refusal(bytes: [0x61, 0x00, 0x3A, 0x00]) == expected)
    #expect(refusal(bytes: [0x00, 0x61, 0x00, 0x3A]) == expected)
    #expect(
      refusal(bytes: Array("a: b\nö: ".utf8) + [0xC3])
        == "2:4: not valid UTF-8; save the file as UTF-8")
    for bytes: [UInt8] in [[0x80], [0xC0, 0x80], [0xED, 0xA0, 0x80], [0xF5, 0x80, 0x80, 0x80]] {
      #expect(refusal(bytes: bytes) == "1:1: not valid UTF-8; save the file as UTF-8")
    }
  }

  @Test func duplicatesAreFoundInLargeMappings() {
    let lines = (0..<40).map { "k\($0): 1\n" }.joined()
    #expect(refusal(lines) == nil)
    #expect(refusal(lines + "k3: 2\n")?.hasPrefix("41:1: duplicate key \"k3\"") == true)
    #expect(refusal(lines + "k39: 2\n")?.hasPrefix("41:1: duplicate key \"k39\"") == true)
  }

  @Test func tabsThatAreNotIndentationAreAccepted() throws {
    #expect(
      Plain(try parse("a: |\n  x\n  \ty\nb:\t1\t# c\n"))
        == .mapping([("a", .scalar("x\n\ty\n", .block)), ("b", .scalar("1", .plain))]))
  }

  @Test func limitsAreExact() {
    let limits = YAMLLimits(sizeMaxBytes: 20, depthMax: 2, nodesMax: 5)
    #expect(refusal("[[a, b, c]]", limits: limits) == nil)
    #expect(
      refusal("[[a, b, c, d]]", limits: limits)
        == "1:12: more than 5 values in one file; split the file")
    #expect(
      refusal("[[[]]]", limits: limits)
        == "1:3: nested deeper than 2 levels; flatten the document")
    #expect(refusal(String(repeating: "a", count: 20), limits: limits) == nil)
    #expect(
      refusal(String(repeating: "a", count: 21), limits: limits)
        == "1:1: 21 bytes are more than the 20 that are read; split the file")
    let open = String(repeating: "[", count: 64)
    let close = String(repeating: "]", count: 64)
    #expect(refusal(open + close) == nil)
    #expect(
      refusal("[\(open)\(close)]") == "1:65: nested deeper than 64 levels; flatten the document")
  }

  @Test func readsDocumentStreams() throws {
    let documents = try YAMLParser.parseDocuments(Array("a: 1\n---\n- b\n...\n".utf8), file: "f")
    #expect(
      documents.map(Plain.init) == [
        .mapping([("a", .scalar("1", .plain))]), .sequence([.scalar("b", .plain)]),
      ])
    #expect(throws: YAMLError.self) {
      try YAMLParser.parseDocuments(Array("a: 1\n---\n---\nb: 1".utf8), file: "f")
    }
    #expect(throws: YAMLError.self) { try YAMLParser.parseDocuments([], file: "f") }
  }

  @Test func errorsNameTheFile() {
    let error = #expect(throws: YAMLError.self) {
      try YAMLParser.parse(Array("a: *b".utf8), file: "Profiles/ring2.yaml")
    }
    #expect(error?.description.hasPrefix("Profiles/ring2.yaml:1:4: aliases") == true)
  }
}
