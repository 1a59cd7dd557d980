import Testing

@testable import YAML

/// The value of `v` in the document `v: TEXT`, read by `read`, or the message of the refusal.
private func value<Value>(
  _ text: String, _ read: (YAMLNode) throws(YAMLError) -> Value
) -> Result<Value, Refused> {
  do {
    let root = try YAMLParser.parse(Array("v: \(text)".utf8), file: "f")
    return .success(try read(try root.mapping("f")[0].value))
  } catch {
    return .failure(Refused(place: "\(error.line):\(error.column)", message: error.message))
  }
}

private struct Refused: Error, Equatable {
  let place: String
  let message: String
}

@Suite struct YAMLAccessorTests {
  @Test func strings() {
    let read = { (node: YAMLNode) throws(YAMLError) in try node.string("f") }
    #expect(value("1.10", read) == .success("1.10"))
    #expect(value("yes", read) == .success("yes"))
    #expect(value("\"null\"", read) == .success("null"))
    #expect(value("''", read) == .success(""))
    let hint = "write \"\" for an empty string"
    #expect(value("null", read) == .failure("expected a string, found \"null\"; \(hint)".refused))
    #expect(value("~", read) == .failure("expected a string, found \"~\"; \(hint)".refused))
    #expect(value("[a]", read) == .failure("expected a string, found a sequence; \(hint)".refused))
    #expect(value("{}", read) == .failure("expected a string, found a mapping; \(hint)".refused))
    #expect(
      value("", read)
        == .failure(Refused(place: "1:3", message: "expected a string, found nothing; \(hint)")))
  }

  @Test func integers() {
    let read = { (node: YAMLNode) throws(YAMLError) in try node.integer("f") }
    #expect(value("0", read) == .success(0))
    #expect(value("-12", read) == .success(-12))
    #expect(value("0x1F", read) == .success(31))
    #expect(value("0o644", read) == .success(0o644))
    #expect(value("9223372036854775807", read) == .success(Int.max))
    #expect(value("-9223372036854775808", read) == .success(Int.min))
    for text in [
      "0644", "-07", "+5", "0x", "0x-1", "-0x1", "0o8", "1_000", "1.0", "1e3", "\"5\"",
      "9223372036854775808",
      "٣", "x", "", "~", "[1]", "--1", "1-", "0x+1",
    ] {
      #expect(throws: Refused.self) { try value(text, read).get() }
    }
    #expect(
      value("0644", read)
        == .failure(
          ("0644 has a leading zero, which YAML versions read differently; write 0o in front for "
            + "octal, or no leading zero for decimal").refused))
    #expect(
      value("70000") { node throws(YAMLError) in try node.integer("f", in: 1...65535) }
        == .failure("70000 is out of range; write a number from 1 to 65535".refused))
    #expect(
      value("\"5\"", read)
        == .failure(
          "expected an integer, found the string \"5\"; write a number without quotes".refused))
  }

  @Test func numbers() {
    let read = { (node: YAMLNode) throws(YAMLError) in try node.number("f") }
    #expect(value("2", read) == .success(2))
    #expect(value("-0.25", read) == .success(-0.25))
    #expect(value("1e3", read) == .success(1000))
    for text in [".nan", "nan", "inf", "0x1p3", "1e999", "+1", "\"1\"", "", "1 2"] {
      #expect(throws: Refused.self) { try value(text, read).get() }
    }
  }

  @Test func booleans() {
    let read = { (node: YAMLNode) throws(YAMLError) in try node.boolean("f") }
    #expect(value("true", read) == .success(true))
    #expect(value("false", read) == .success(false))
    for text in ["yes", "no", "on", "off", "y", "True", "TRUE", "1"] {
      #expect(
        value(text, read)
          == .failure("expected a boolean, found \"\(text)\"; write true or false".refused))
    }
    #expect(
      value("\"true\"", read)
        == .failure("expected a boolean, found the string \"true\"; write true or false".refused))
  }

  @Test func collections() {
    let sequence = { (node: YAMLNode) throws(YAMLError) in try node.sequence("f").count }
    let mapping = { (node: YAMLNode) throws(YAMLError) in try node.mapping("f").count }
    #expect(value("[a, b]", sequence) == .success(2))
    #expect(value("{a: b}", mapping) == .success(1))
    #expect(
      value("{}", sequence)
        == .failure(
          "expected a sequence, found a mapping; write [a, b] or \"- \" lines, or [] for none"
            .refused))
    #expect(
      value("x", mapping)
        == .failure(
          "expected a mapping, found \"x\"; write \"key: value\" lines, or {} for none".refused))
  }

  @Test func quantitiesGainAPlace() {
    #expect(
      value("512MiB") { node throws(YAMLError) in try node.sizeBytes("f") }
        == .success(512 << 20))
    #expect(
      value("5m") { node throws(YAMLError) in try node.durationMilliseconds("f") }
        == .success(300_000))
    #expect(
      value("5") { node throws(YAMLError) in try node.durationMilliseconds("f") }
        == .failure(
          "no unit in the duration \"5\"; write ms, s, m or h after the number, for example 30s"
            .refused))
    #expect(
      value("\"5m\"") { node throws(YAMLError) in try node.durationMilliseconds("f") }
        == .failure(
          "expected a duration, found the string \"5m\"; write for example 30s, without quotes"
            .refused))
  }
}

extension String {
  fileprivate var refused: Refused { Refused(place: "1:4", message: self) }
}

@Suite struct YAMLMappingReaderTests {
  private func reader(_ text: String) throws -> YAMLMappingReader {
    try YAMLMappingReader(try parse(text), file: "f")
  }

  @Test func readsKeysInAnyOrder() throws {
    var reader = try reader("b: 2\na: 1\n")
    #expect(try reader.require("a").integer("f") == 1)
    #expect(try reader.optional("b")?.integer("f") == 2)
    #expect(reader.optional("c") == nil)
    try reader.finish()
  }

  @Test func unknownKeysNameTheNearest() throws {
    var reader = try reader("name: x\nsyscals: []\n")
    _ = try reader.require("name")
    _ = reader.optional("syscalls")
    let error = #expect(throws: YAMLError.self) { try reader.finish() }
    #expect(error?.description == "f:2:1: unknown key \"syscals\"; did you mean \"syscalls\"?")
  }

  @Test func unknownKeysListWhatIsKnown() throws {
    var first = try reader("colour: x\n")
    _ = first.optional("ring")
    _ = first.optional("name")
    let error = #expect(throws: YAMLError.self) { try first.finish() }
    #expect(error?.message == "unknown key \"colour\"; the keys here are ring, name")
    let second = try reader("colour: x\n")
    let other = #expect(throws: YAMLError.self) { try second.finish() }
    #expect(other?.message == "unknown key \"colour\"; this mapping takes no keys")
  }

  @Test func missingKeysAreReportedAtTheMapping() throws {
    var reader = try reader("\n\nmemery: 1\n")
    let error = #expect(throws: YAMLError.self) { try reader.require("memory") }
    #expect(
      error?.description == "f:3:1: missing key \"memory\"; is \"memery\" a misspelling?")
    let other = #expect(throws: YAMLError.self) { try reader.require("name") }
    #expect(other?.message == "missing key \"name\"; add it")
  }

  @Test func otherNodesAreRefused() throws {
    #expect(throws: YAMLError.self) { try self.reader("[a]") }
  }
}
