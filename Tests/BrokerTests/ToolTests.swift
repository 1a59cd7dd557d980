import Broker
import JSON
import Testing
import YAML

/// Declarations of tools: what they make of arguments, and what refuses them.
@Suite struct ToolTests {
  private static func text(_ command: String, _ properties: String, _ more: String = "") -> String {
    """
    apiVersion: agt-run/v1
    kind: Tool
    metadata: {name: t, description: a tool}
    ring: 3
    arguments:
      type: object
      properties: \(properties)
    command: \(command)
    \(more)
    """
  }

  private func tool(
    _ command: String, _ properties: String = "{}", _ more: String = ""
  ) throws -> Tool {
    try Tool(Array(Self.text(command, properties, more).utf8), file: "t.yaml")
  }

  private func problem(_ text: String) -> String? {
    do throws(YAMLError) {
      _ = try Tool(Array(text.utf8), file: "t.yaml")
      return nil
    } catch { return error.description }
  }

  @Test func wordsAreNeverSplit() throws {
    let tool = try tool(
      #"[p, "{a}", "--n={n}", "{list...}", "{{x}}", "a{a}b{a}"]"#,
      "{a: {type: string}, n: {type: integer}, list: {type: array, items: {type: string}}}")
    #expect(
      try tool.invocation(["a": "x y; $(z) {n}", "n": 7, "list": ["", "-", "a b"]]).words == [
        "p", "x y; $(z) {n}", "--n=7", "", "-", "a b", "{x}", "ax y; $(z) {n}bx y; $(z) {n}",
      ])
    // What is missing leaves its word out.
    #expect(try tool.invocation([:]).words == ["p", "{x}"])
  }

  @Test func undo() throws {
    let undo = "undo: {tool: u, arguments: {n: '{n}', list: '{list}', why: 'not {a}!', fixed: x}}"
    let properties =
      "{a: {type: string}, n: {type: integer}, list: {type: array, items: {type: string}}}"
    let tool = try tool("[p]", properties, undo)
    #expect(tool.isReversible && !tool.isReadOnly && tool.json["undo"] == "u")
    #expect(
      tool.undo?.arguments(for: ["a": "x", "n": 3, "list": ["y"]])
        == ["n": 3, "list": ["y"], "why": "not x!", "fixed": "x"])
    // What stands for a missing argument is left out.
    #expect(tool.undo?.arguments(for: [:]) == ["fixed": "x"])
    #expect(tool.undo?.problem(among: [tool])?.contains("\"u\", which is not declared") == true)
    func other(_ properties: String) throws -> Tool {
      let text = Self.text("[q]", properties).replacing("name: t,", with: "name: u,")
      return try Tool(Array(text.utf8), file: "u.yaml")
    }
    let string = "{type: string}"
    let fits = "{n: \(string), list: \(string), why: \(string), fixed: \(string)}"
    #expect(tool.undo?.problem(among: [tool, try other(fits)]) == nil)
    let without = tool.undo?.problem(among: [tool, try other("{n: \(string)}")])
    #expect(without == "t.yaml:9: the tool u has no argument \"list\"")
    let needs = "{n: \(string), list: \(string), why: \(string), fixed: \(string), z: \(string)}"
    let missing = tool.undo?.problem(among: [tool, try other(needs + "\n  required: [z]")])
    #expect(missing == "t.yaml:9: the tool u needs the argument \"z\"")
    #expect(problem(Self.text("[p]", "{}", "undo: {tool: u, arguments: {n: '{a}'}}")) != nil)
  }

  @Test func defaultsAndInput() throws {
    let tool = try tool(
      #"[p, "{n}"]"#, "{n: {type: integer, default: 5, maximum: 9}, code: {type: string}}",
      "input: code\ntimeout: 5s\noutput: 1KiB\nreadOnly: true")
    let made = try tool.invocation(["code": "print()"])
    #expect(made.words == ["p", "5"] && made.input == "print()")
    #expect(made.arguments == ["code": "print()", "n": 5])
    #expect(tool.timeoutMilliseconds == 5000 && tool.outputMaxBytes == 1024)
    #expect(tool.isReadOnly && tool.isReversible)
  }

  @Test func arguments() throws {
    let tool = try tool(
      "[p]",
      """
      {s: {type: string, minLength: 2, maxLength: 3}, i: {type: integer, minimum: -1, maximum: 5},
           f: {type: number}, b: {type: boolean}, e: {type: string, enum: [x, y]},
           l: {type: array, items: {type: integer}, minItems: 1, maxItems: 2},
           o: {type: object, properties: {k: {type: string}}, required: [k]}}
      """)
    let right: [JSONObject] = [
      [:], ["s": "ab", "i": -1], ["s": "äöü", "i": 5], ["f": 1, "b": true], ["f": 1.5],
      ["e": "y", "l": [1], "o": ["k": "v"]],
    ]
    for object in right { #expect(throws: Never.self) { try tool.invocation(object) } }
    let wrong: [(JSONObject, String)] = [
      (["s": "a"], "arguments.s: 2 to 3 characters are needed"),
      (["s": "abcd"], "arguments.s: 2 to 3 characters are needed"),
      (["s": "a\u{0}"], "arguments.s: NUL is not allowed"),
      (["s": 1], "arguments.s: a text is needed"), (["s": nil], "arguments.s: a text is needed"),
      (["i": 6], "arguments.i: -1 to 5 is needed"),
      (["i": 1.5], "arguments.i: a whole number is needed"),
      (["i": true], "arguments.i: a whole number is needed"),
      (["f": "1"], "arguments.f: a number is needed"),
      (["b": 0], "arguments.b: true or false is needed"),
      (["e": "z"], "arguments.e: one of \"x\", \"y\" is needed"),
      (["l": []], "arguments.l: 1 to 2 elements are needed"),
      (["l": [1, "2"]], "arguments.l[1]: a whole number is needed"),
      (["o": [:]], "arguments.o.k is missing"),
      (["o": ["k": "v", "x": 1]], "arguments.o has no \"x\""),
      (["zz\u{1B}": 1], "arguments has no \"zz \""),
    ]
    for (object, expected) in wrong {
      do throws(BrokerError) {
        _ = try tool.invocation(object)
        Issue.record("\(object) was taken")
      } catch {
        #expect(error.code == .invalidParams && error.message == expected)
      }
    }
  }

  @Test func declarationsThatAreWrong() {
    let good = Self.text("[p]", "{a: {type: string}}")
    #expect(problem(good) == nil)
    let cases: [(String, String)] = [
      (good.replacing("kind: Tool", with: "kind: Tule"), "this is no tool"),
      (good.replacing("ring: 3", with: "ring: 0"), "t.yaml:4:7"),
      (good.replacing("name: t,", with: "name: a b,"), "a tool's name"),
      (good.replacing("type: object", with: "type: string\n  x: 1"), "t.yaml"),
      (good.replacing("{a: {type: string}}", with: "{a: {type: string, pattern: x}}"), "pattern"),
      (good.replacing("{a: {type: string}}", with: "{a: {type: text}}"), "unknown type"),
      (
        good.replacing("{a: {type: string}}", with: "{a: {type: integer, minimum: 3, maximum: 2}}"),
        "no number fits"
      ),
      (good.replacing("[p]", with: "[]"), "begins with the program"),
      (good.replacing("[p]", with: "[\"{a}\"]"), "begins with the program"),
      (good.replacing("[p]", with: "[p, \"{b}\"]"), "\"b\" is no argument"),
      (good.replacing("[p]", with: "[p, \"{a...}\"]"), "\"a\" is no argument that is a list"),
      (good.replacing("[p]", with: "[p, \"{a\"]"), "not closed"),
      (good.replacing("[p]", with: "[p, \"a}\"]"), "not opened"),
      (good + "\ninput: b", "\"b\" is no argument"), (good + "\ntimeout: 2h", "1ms to 1h"),
      (good + "\noutput: 2MiB", "1 byte to 1MiB"), (good + "\ncolour: red", "unknown key"),
      (good.replacing("properties:", with: "required: [z]\n  properties:"), "is no property"),
      (good.replacing("properties:", with: "additionalProperties: true\n  properties:"), "without"),
    ]
    for (text, expected) in cases {
      #expect(problem(text)?.contains(expected) == true, "\(expected): \(problem(text) ?? "taken")")
    }
  }

  @Test func schemaForCallers() throws {
    let tool = try tool("[p]", "{a: {type: string, maxLength: 5, default: x, description: d}}")
    #expect(
      tool.json["inputSchema"] == [
        "type": "object",
        "properties": [
          "a": ["type": "string", "maxLength": 5, "description": "d", "default": "x"]
        ],
        "required": [], "additionalProperties": false,
      ])
  }
}
