import Testing

@testable import JSON

private func canonical(_ value: JSONValue) throws -> String {
  String(decoding: try JSONWriter.canonical(value), as: UTF8.self)
}

@Suite struct JSONWriterTests {
  /// RFC 8785, section 3.2.2: the sample of the text.
  @Test func rfc8785Sample() throws {
    let text = #"""
      {
        "numbers": [333333333.33333329, 1E30, 4.50,
                    2e-3, 0.000000000000000000000000001],
        "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
        "literals": [null, true, false]
      }
      """#
    let expected =
      #"{"literals":[null,true,false],"numbers":[333333333.3333333,"#
      + #"1e+30,4.5,0.002,1e-27],"string":"€$\u000f\nA'B\"\\\\\"/"}"#
    #expect(try canonical(try parse(text)) == expected)
  }

  /// RFC 8785, section 3.2.4: the bytes of that sample.
  @Test func rfc8785SampleBytes() throws {
    let hexadecimal = """
      7b 22 6c 69 74 65 72 61 6c 73 22 3a 5b 6e 75 6c 6c 2c 74 72
      75 65 2c 66 61 6c 73 65 5d 2c 22 6e 75 6d 62 65 72 73 22 3a
      5b 33 33 33 33 33 33 33 33 33 2e 33 33 33 33 33 33 33 2c 31
      65 2b 33 30 2c 34 2e 35 2c 30 2e 30 30 32 2c 31 65 2d 32 37
      5d 2c 22 73 74 72 69 6e 67 22 3a 22 e2 82 ac 24 5c 75 30 30
      30 66 5c 6e 41 27 42 5c 22 5c 5c 5c 5c 5c 22 2f 22 7d
      """
    let expected = hexadecimal.split { $0 == " " || $0 == "\n" }.map { UInt8($0, radix: 16) }
    let value: JSONValue = [
      "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
      "string": "€$\u{F}\nA'B\"\\\\\"/", "literals": [nil, true, false],
    ]
    #expect(try JSONWriter.canonical(value) == expected)
  }

  /// RFC 8785, section 3.2.3: names sort by UTF-16 code units, so D83D comes before FB33.
  @Test func rfc8785Sorting() throws {
    let text = #"""
      {
        "\u20ac": "Euro Sign",
        "\r": "Carriage Return",
        "\ufb33": "Hebrew Letter Dalet With Dagesh",
        "1": "One",
        "\ud83d\ude00": "Emoji: Grinning Face",
        "\u0080": "Control",
        "\u00f6": "Latin Small Letter O With Diaeresis"
      }
      """#
    let written = try parse(canonical(try parse(text)))
    #expect(
      written.objectValue?.members.map(\.value) == [
        "Carriage Return", "One", "Control", "Latin Small Letter O With Diaeresis", "Euro Sign",
        "Emoji: Grinning Face", "Hebrew Letter Dalet With Dagesh",
      ])
  }

  /// RFC 8785, appendix B, and the limits of each layout.
  @Test(
    arguments: [
      (0x0000_0000_0000_0000, "0"), (0x8000_0000_0000_0000, "0"),
      (0x0000_0000_0000_0001, "5e-324"), (0x8000_0000_0000_0001, "-5e-324"),
      (0x7fef_ffff_ffff_ffff, "1.7976931348623157e+308"),
      (0xffef_ffff_ffff_ffff, "-1.7976931348623157e+308"),
      (0x4340_0000_0000_0000, "9007199254740992"), (0xc340_0000_0000_0000, "-9007199254740992"),
      (0x4430_0000_0000_0000, "295147905179352830000"),
      (0x44b5_2d02_c7e1_4af5, "9.999999999999997e+22"), (0x44b5_2d02_c7e1_4af6, "1e+23"),
      (0x44b5_2d02_c7e1_4af7, "1.0000000000000001e+23"),
      (0x444b_1ae4_d6e2_ef4e, "999999999999999700000"),
      (0x444b_1ae4_d6e2_ef4f, "999999999999999900000"), (0x444b_1ae4_d6e2_ef50, "1e+21"),
      (0x3eb0_c6f7_a0b5_ed8c, "9.999999999999997e-7"), (0x3eb0_c6f7_a0b5_ed8d, "0.000001"),
      (0x41b3_de43_5555_5553, "333333333.3333332"), (0x41b3_de43_5555_5554, "333333333.33333325"),
      (0x41b3_de43_5555_5555, "333333333.3333333"), (0x41b3_de43_5555_5556, "333333333.3333334"),
      (0x41b3_de43_5555_5557, "333333333.33333343"),
      (0xbecb_f647_612f_3696, "-0.0000033333333333333333"),
      (0x4314_3ff3_c1cb_0959, "1424953923781206.2"),
    ] as [(UInt64, String)])
  func rfc8785Numbers(bits: UInt64, expected: String) throws {
    #expect(ECMAScriptNumber.format(Double(bitPattern: bits)) == expected)
    #expect(try canonical(.number(Double(bitPattern: bits))) == expected)
  }

  @Test(
    arguments: [0x7fff_ffff_ffff_ffff, 0x7ff0_0000_0000_0000, 0xfff0_0000_0000_0000] as [UInt64])
  func numbersWithoutAForm(bits: UInt64) {
    let value = JSONValue.number(Double(bitPattern: bits))
    #expect(throws: JSONError.numberNotFinite) { try JSONWriter.canonical([value]) }
    #expect(JSONWriter.compact([value]) == Array("[null]".utf8))
    #expect(JSONWriter.pretty(value) == Array("null".utf8))
  }

  /// By UTF-16 code units, whatever the names are made of.
  @Test func anyNamesSort() throws {
    let alphabet: [Unicode.Scalar] = [
      "a", "b", "\u{7F}", "\u{80}", "\u{7FF}", "\u{800}", "\u{D7FF}", "\u{E000}", "\u{FFFD}",
      "\u{FFFF}", "\u{10000}", "\u{1F600}", "\u{10FFFF}",
    ]
    var generator = SplitMix64(state: 16)
    for _ in 0..<2_000 {
      var object = JSONObject()
      for _ in 0..<4 {
        var name = ""
        for _ in 0..<Int(generator.next() % 4) {
          name.unicodeScalars.append(alphabet[Int(generator.next() % 13)])
        }
        object[name] = .null
      }
      let parsed = try JSONParser.parse(try JSONWriter.canonical(.object(object)))
      let names = try #require(parsed.objectValue).members.map(\.name)
      #expect(names == names.sorted { $0.utf16.lexicographicallyPrecedes($1.utf16) })
    }
  }

  @Test func numbersReadBack() {
    var generator = SplitMix64(state: 8785)
    for _ in 0..<4_000 {
      let value = Double(bitPattern: generator.next())
      guard value.isFinite else { continue }
      let text = ECMAScriptNumber.format(value)
      #expect(Double(text) == value)
      #expect(text.utf8.count <= 25)
    }
  }

  @Test func integersBeyondDoublesAreRefused() throws {
    let largest = JSONWriter.integerMaxCanonical
    #expect(try canonical(.integer(largest)) == "9007199254740991")
    #expect(try canonical(.integer(-largest)) == "-9007199254740991")
    for integer in [largest + 1, -largest - 1, Int64.max, Int64.min] {
      #expect(throws: JSONError.integerNotCanonical(integer)) {
        try JSONWriter.canonical(.integer(integer))
      }
      #expect(JSONWriter.compact(.integer(integer)) == Array("\(integer)".utf8))
    }
  }

  @Test func stringsEscapeOnlyWhatTheyMust() throws {
    let text = "\u{0}\u{7}\u{8}\t\n\u{b}\u{c}\r\u{1f} \"\\/\u{7f}\u{80}\u{9f}\u{a0}é😀\u{2028}"
    #expect(
      try canonical(.string(text)) == #""\u0000\u0007\b\t\n\u000b\f\r\u001f \"\\/"#
        + "\u{7f}\u{80}\u{9f}\u{a0}é😀\u{2028}\"")
    #expect(
      String(decoding: JSONWriter.compact(.string(text)), as: UTF8.self)
        == #""\u0000\u0007\b\t\n\u000b\f\r\u001f \"\\/\u007f\u0080\u009f"#
        + "\u{a0}é😀" + #"\u2028""#)
  }

  /// What would turn a line round, or hide a part of it, is seen, and means the same.
  @Test func unseenCharactersAreSeen() throws {
    let text = "a\u{202e}b\u{2066}c\u{feff}\u{ad}\u{e0041}\u{200d}“…”"
    let written = JSONWriter.compact(.string(text))
    #expect(
      String(decoding: written, as: UTF8.self)
        == #""a\u202eb\u2066c\ufeff\u00ad\udb40\udc41\u200d"# + "“…”\"")
    #expect(try JSONParser.parse(written) == .string(text))
    #expect(try canonical(.string(text)) == "\"\(text)\"")
  }

  @Test func prettyIndentsByTwoSpaces() {
    let value: JSONValue = ["b": [1, [], "x"], "a": ["c": nil], "d": [:], "e": 0.5]
    let expected = """
      {
        "b": [
          1,
          [],
          "x"
        ],
        "a": {
          "c": null
        },
        "d": {},
        "e": 0.5
      }
      """
    #expect(String(decoding: JSONWriter.pretty(value), as: UTF8.self) == expected)
    #expect(
      String(decoding: JSONWriter.compact(value), as: UTF8.self)
        == #"{"b":[1,[],"x"],"a":{"c":null},"d":{},"e":0.5}"#)
  }

  /// Whatever is written before and whatever comes between.
  @Test func membersThatAreWrittenAlready() throws {
    let names = ["", "a", "b", "ab", "\u{7F}", "é", "\u{E000}", "\u{FFFF}", "\u{10000}", "\"", "z"]
    var random = SystemRandomNumberGenerator()
    for _ in 0..<200 {
      let members = names.shuffled(using: &random).prefix(Int.random(in: 0...names.count))
        .enumerated().map { JSONObject.Member(name: $1, value: [.integer(Int64($0)), "x\n"]) }
      let cut = Int.random(in: 0...members.count)
      let written = try CanonicalMembers(JSONObject(unique: Array(members[..<cut])))
      var bytes: [UInt8] = []
      let rest = JSONObject(unique: Array(members[cut...]))
      try JSONWriter.appendCanonical(rest, with: written, to: &bytes)
      #expect(try bytes == JSONWriter.canonical(.object(JSONObject(unique: members))))
    }
    #expect(throws: JSONError.self) { _ = try CanonicalMembers(["a": .integer(.max)]) }
  }
}
