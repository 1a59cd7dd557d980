import Testing

@testable import JSON

func parse(_ text: String, limits: JSONLimits = .default) throws(JSONError) -> JSONValue {
  try JSONParser.parse(Array(text.utf8), limits: limits)
}

/// `1:2: cause (byte 1)` of the refusal, or nil when the text is accepted.
private func refusal(_ text: String, limits: JSONLimits = .default) -> String? {
  refusal(bytes: Array(text.utf8), limits: limits)
}

private func refusal(bytes: [UInt8], limits: JSONLimits = .default) -> String? {
  do {
    _ = try JSONParser.parse(bytes, limits: limits)
    return nil
  } catch {
    return error.description
  }
}

@Suite struct JSONParserTests {
  @Test func readsEveryKindOfValue() throws {
    let text = """
       { "a" : null, "b":[true,false , []],\r\n\t"c":{"d":"x\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9é"},
       "":0.5, "n": -12 }
      """
    let expected: JSONValue = [
      "a": nil, "b": [true, false, []], "c": ["d": "x\"\\/\u{8}\u{c}\n\r\téé"], "": 0.5, "n": -12,
    ]
    let value = try parse(text)
    #expect(value == expected)
    #expect(value.objectValue?.members.map(\.name) == ["a", "b", "c", "", "n"])
    #expect(value["c"]?["d"]?.stringValue == "x\"\\/\u{8}\u{c}\n\r\téé")
  }

  /// -2^63 - 1 is read as the double -2^63, which is a whole number that fits.
  @Test(
    arguments: [
      ("0", .integer(0)), ("-0", .integer(0)), ("-0.0", .integer(0)), ("12", .integer(12)),
      ("1.0", .integer(1)), ("1e2", .integer(100)), ("1E+2", .integer(100)),
      ("15e-1", .number(1.5)), ("-1.25", .number(-1.25)),
      ("5e-324", .number(.leastNonzeroMagnitude)),
      ("9223372036854775807", .integer(.max)), ("-9223372036854775808", .integer(.min)),
      ("9223372036854775808", .number(0x1p63)), ("-9223372036854775809", .integer(.min)),
      ("1e19", .number(1e19)), ("18446744073709551616", .number(0x1p64)),
      ("123456789012345678901234567890", .number(1.2345678901234568e29)),
      ("1e-999", .integer(0)),
    ] as [(String, JSONValue)])
  func numbers(text: String, expected: JSONValue) throws {
    #expect(try parse(text) == expected)
  }

  @Test(arguments: [
    ("", "1:1: expected a value (byte 0)"),
    ("  ", "1:3: expected a value (byte 2)"),
    ("tru", "1:1: expected true (byte 0)"),
    ("nulL", "1:1: expected null (byte 0)"),
    ("falsey", "1:6: text after the value (byte 5)"),
    ("NaN", "1:1: expected a value (byte 0)"),
    ("-Infinity", "1:2: expected a digit (byte 1)"),
    ("'a'", "1:1: expected a value (byte 0)"),
    ("+1", "1:1: expected a value (byte 0)"),
    (".5", "1:1: expected a value (byte 0)"),
    ("-", "1:2: expected a digit (byte 1)"),
    ("1.", "1:3: expected a digit (byte 2)"),
    ("1.e3", "1:3: expected a digit (byte 2)"),
    ("1e", "1:3: expected a digit (byte 2)"),
    ("1e+", "1:4: expected a digit (byte 3)"),
    ("01", "1:1: a number must not start with 0 (byte 0)"),
    ("-00", "1:2: a number must not start with 0 (byte 1)"),
    ("0x10", "1:2: text after the value (byte 1)"),
    ("1e999", "1:1: the number is too large for a double (byte 0)"),
    ("-1e999", "1:1: the number is too large for a double (byte 0)"),
    ("[1,]", "1:4: expected a value (byte 3)"),
    ("[,1]", "1:2: expected a value (byte 1)"),
    ("[1 2]", "1:4: expected ',' or ']' (byte 3)"),
    ("[1", "1:3: the text ends inside an array or object (byte 2)"),
    ("[", "1:2: the text ends inside an array or object (byte 1)"),
    ("[1}", "1:3: expected ',' or ']' (byte 2)"),
    ("{\"a\":1,}", "1:8: expected a member name in quotes (byte 7)"),
    ("{a:1}", "1:2: expected a member name in quotes (byte 1)"),
    ("{1:1}", "1:2: expected a member name in quotes (byte 1)"),
    ("{\"a\" 1}", "1:6: expected ':' after the member name (byte 5)"),
    ("{\"a\":}", "1:6: expected a value (byte 5)"),
    ("{\"a\"", "1:5: expected ':' after the member name (byte 4)"),
    ("{\"a\":1", "1:7: the text ends inside an array or object (byte 6)"),
    ("{\"é\":1,\n\"é\":2}", "2:1: duplicate member name (byte 9)"),
    ("{\"\\u0061\":1,\"a\":2}", "1:13: duplicate member name (byte 12)"),
    ("{\"e\\u0301\":1,\"é\":2}", "1:14: duplicate member name (byte 13)"),
    ("\"a", "1:1: the string is not closed (byte 0)"),
    ("\"a\\n", "1:1: the string is not closed (byte 0)"),
    ("\"\\", "1:2: the text ends inside an escape (byte 1)"),
    ("\"a\nb\"", "1:3: control character in a string; it must be escaped (byte 2)"),
    ("\"\\n\u{0}\"", "1:4: control character in a string; it must be escaped (byte 3)"),
    ("\"\\x41\"", "1:2: unknown escape (byte 1)"),
    ("\"\\u12\"", "1:2: \\u needs 4 hexadecimal digits (byte 1)"),
    ("\"\\u12g4\"", "1:2: \\u needs 4 hexadecimal digits (byte 1)"),
    ("\"\\u12", "1:2: \\u needs 4 hexadecimal digits (byte 1)"),
    ("\"\\ud800\"", "1:2: lone surrogate (byte 1)"),
    ("\"\\udc00\"", "1:2: lone surrogate (byte 1)"),
    ("\"\\ud800\\ud800\"", "1:2: lone surrogate (byte 1)"),
    ("\"\\ud800\\n\"", "1:2: lone surrogate (byte 1)"),
    ("\"\\ud800x\"", "1:2: lone surrogate (byte 1)"),
    ("1 1", "1:3: text after the value (byte 2)"),
    ("{} // c", "1:4: text after the value (byte 3)"),
    ("\u{FEFF}1", "1:1: a byte order mark is not allowed (RFC 8259, section 8.1) (byte 0)"),
    ("\u{A0}1", "1:1: expected a value (byte 0)"),
    ("[\n  1,\n  é]", "3:3: expected a value (byte 9)"),
  ])
  func refuses(text: String, expected: String) {
    #expect(refusal(text) == expected)
  }

  @Test func surrogatePairsAndEscapedNul() throws {
    #expect(try parse("\"\\ud83d\\uDE00\"") == "😀")
    #expect(try parse("\"\\uDBFF\\uDFFF\\ud800\\udc00\"") == "\u{10FFFF}\u{10000}")
    #expect(try parse("\"\\u0000\"") == "\u{0}")
  }

  @Test(
    arguments: [
      [0x80], [0xC0, 0x80], [0xC3], [0xED, 0xA0, 0x80], [0xF4, 0x90, 0x80, 0x80], [0xFF],
    ] as [[UInt8]])
  func invalidUTF8IsRefusedWhereItStands(bytes: [UInt8]) {
    let quote = UInt8(ascii: "\"")
    #expect(
      refusal(bytes: [quote, 0x61] + bytes + [quote]) == "1:3: not valid UTF-8 (byte 2)")
    let escaped = [quote] + Array("\\n".utf8) + bytes + [quote]
    #expect(refusal(bytes: escaped) == "1:4: not valid UTF-8 (byte 3)")
    let beforeEscape = [quote] + bytes + Array("\\n".utf8) + [quote]
    #expect(refusal(bytes: beforeEscape) == "1:2: not valid UTF-8 (byte 1)")
    #expect(refusal(bytes: bytes) == "1:1: expected a value (byte 0)")
  }

  @Test func limitsAreExact() {
    let limits = JSONLimits(sizeMaxBytes: 16, depthMax: 2, elementsMax: 4)
    #expect(refusal("[[1,2,3]]", limits: limits) == nil)
    #expect(
      refusal("[[1,2,3,4]]", limits: limits) == "1:9: more than 4 elements and members (byte 8)")
    #expect(
      refusal("{\"a\":{\"b\":{}}}", limits: limits)
        == "1:11: nested deeper than 2 levels (byte 10)")
    #expect(refusal("1               ", limits: limits) == nil)
    #expect(
      refusal("1                ", limits: limits) == "1:1: 17 bytes are more than the 16 allowed "
        + "(byte 0)")
    let open = String(repeating: "[", count: 32)
    let close = String(repeating: "]", count: 32)
    #expect(refusal(open + close) == nil)
    #expect(refusal("[\(open)\(close)]") == "1:33: nested deeper than 32 levels (byte 32)")
    let digits = String(repeating: "1", count: 128)
    #expect(refusal(digits) == nil)
    #expect(refusal(digits + "1") == "1:1: a number of more than 128 bytes (byte 0)")
  }

  @Test func duplicatesAreFoundInLargeObjects() {
    let members = (0..<40).map { "\"k\($0)\":1" }.joined(separator: ",")
    #expect(refusal("{\(members)}") == nil)
    for name in ["k0", "k11", "k12", "k39"] {
      #expect(refusal("{\(members),\"\(name)\":1}")?.contains("duplicate member name") == true)
    }
  }

  @Test func spansOfABufferAreRead() throws {
    let buffer = Array("..[1]..".utf8)
    #expect(try JSONParser.parse(buffer.span.extracting(2..<5)) == [1])
  }
}

@Suite struct JSONValueTests {
  @Test func objectsKeepTheirOrder() {
    var object: JSONObject = ["b": 1, "a": 2]
    object["c"] = 3
    object["b"] = 4
    #expect(object.members.map(\.name) == ["b", "a", "c"])
    #expect(object["b"] == 4)
    object["a"] = nil
    object["z"] = nil
    #expect(object.members.map(\.name) == ["b", "c"])
  }

  @Test func orderOfMembersDoesNotMatterForEquality() {
    let first: JSONValue = ["a": 1, "b": [2]]
    #expect(first == ["b": [2], "a": 1])
    #expect(first != ["b": [2], "a": 2])
    #expect(first != ["b": [2], "c": 1])
    #expect(first != ["b": [2]])
    let (composed, apart): (JSONObject, JSONObject) = (
      ["a": ["é", ["b": "é"]]], ["a": ["é", ["b": "e\u{301}"]]]
    )
    #expect(composed == apart && !composed.isIdentical(to: apart))
    #expect(composed.isIdentical(to: composed) && !composed.isIdentical(to: ["a": ["é"]]))
    let long: JSONValue = ["x": 0, "a": 1, "b": 2]
    #expect(long == ["x": 0, "b": 2, "a": 1] && long != ["x": 0, "b": 1, "a": 2])
    #expect(long != ["x": 1, "a": 1, "b": 2] && long != ["x": 0, "a": 1, "c": 2])
  }

  @Test func wholeNumbersHaveOneForm() {
    #expect((1.0 as JSONValue) == 1)
    #expect(JSONValue(-0.0) == .integer(0))
    #expect(JSONValue(UInt64.max) == .number(0x1p64))
    #expect(JSONValue(UInt8(7)) == 7)
    #expect(JSONValue(0.5) == .number(0.5))
  }

  @Test func accessorsAnswerForTheirKindOnly() {
    #expect(JSONValue(nil as String?).isNull)
    #expect((true as JSONValue).boolValue == true)
    #expect((1 as JSONValue).boolValue == nil)
    #expect((1 as JSONValue).integerValue == 1)
    #expect((1.5 as JSONValue).integerValue == nil)
    #expect((1 as JSONValue).numberValue == 1)
    #expect((1.5 as JSONValue).numberValue == 1.5)
    #expect(("1" as JSONValue).numberValue == nil)
    #expect(("x" as JSONValue).stringValue == "x")
    #expect((nil as JSONValue).stringValue == nil)
    #expect(JSONValue(["x", "y"]).arrayValue == ["x", "y"])
    #expect((1 as JSONValue).arrayValue == nil)
    #expect((1 as JSONValue).objectValue == nil)
    #expect(([1] as JSONValue)["a"] == nil)
  }
}
