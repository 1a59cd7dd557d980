internal import JSON
internal import YAML

/// One expectation about a decision, read from a test file.
struct PolicyCase {
  let name: String
  let place: Place
  let request: JSONObject
  /// A verdict, or an action of the toolkit.
  let verdict: String?
  let isAllowed: Bool?
  /// nil: not checked. `.some(nil)`: no rule may have decided.
  let rule: String??

  /// Reads a list of fixtures, one fixture, `{scenarios: …}` or `{tests: …}`, in JSON or YAML.
  static func read(_ source: PolicySource) throws(YAMLError) -> [PolicyCase] {
    let file = source.name
    let root = try Self.parse(source)
    var items: [YAMLNode]
    switch root.content {
    case .sequence(let list): items = list
    case .mapping:
      var reader = try YAMLMappingReader(root, file: file)
      if let list = reader.optional("scenarios") ?? reader.optional("tests") {
        items = try list.sequence(file)
        for key in ["version", "name", "description"] { _ = reader.optional(key) }
        try reader.finish()
      } else {
        items = [root]
      }
    case .scalar:
      throw root.error(file, "no tests: expected a list of {name, request, expect}")
    }
    if items.isEmpty { throw root.error(file, "no tests: the list is empty") }
    var cases: [PolicyCase] = []
    for item in items { cases.append(try PolicyCase(item, file)) }
    return cases
  }

  /// Fixtures are generated, so they may be larger than policies.
  private static let limits = YAMLLimits(
    sizeMaxBytes: 16 << 20, depthMax: 64, nodesMax: 1_000_000)

  /// JSON is read as YAML, which has places, unless only JSON can read it.
  private static func parse(_ source: PolicySource) throws(YAMLError) -> YAMLNode {
    do {
      return try YAMLParser.parse(source.bytes, file: source.name, limits: limits)
    } catch {
      let json = try? JSONParser.parse(
        source.bytes,
        limits: JSONLimits(sizeMaxBytes: 16 << 20, depthMax: 64, elementsMax: 1_000_000))
      guard source.name.hasSuffix(".json"), let json else { throw error }
      return node(json)
    }
  }

  private static func node(_ value: JSONValue) -> YAMLNode {
    let content: YAMLNode.Content
    switch value {
    case .string(let text): content = .scalar(text, .quoted)
    case .array(let items): content = .sequence(items.map(node))
    case .object(let object):
      content = .mapping(
        object.members.map { YAMLNode.Entry(key: node(.string($0.name)), value: node($0.value)) })
    default:
      content = .scalar(String(decoding: JSONWriter.compact(value), as: UTF8.self), .plain)
    }
    return YAMLNode(content: content, line: 1, column: 1)
  }

  private init(_ node: YAMLNode, _ file: String) throws(YAMLError) {
    var reader = try YAMLMappingReader(node, file: file)
    let one = { (keys: [String]) throws(YAMLError) -> YAMLNode? in
      var found: YAMLNode?
      for key in keys {
        guard let value = reader.optional(key) else { continue }
        if found != nil {
          throw value.error(file, "\(keys.joined(separator: ", ")) mean the same; keep one")
        }
        found = value
      }
      return found
    }
    guard let name = try one(["id", "name"]) else {
      throw node.error(file, "missing key \"name\"; add it")
    }
    self.name = try name.string(file)
    place = Place(file: file, line: node.line, column: node.column)
    guard let input = try one(["request", "input", "context"]) else {
      throw node.error(file, "missing key \"request\"; add it")
    }
    guard case .object(var fields) = try Reading.json(input, file) else {
      throw input.error(file, "a request is a mapping, for example {tool: git}")
    }
    if let stage = reader.optional("stage") {
      fields["stage"] = .string(try NativeDocument.stage(stage, file).rawValue)
    }
    request = fields
    let expected = try one(["expect", "expected_verdict", "expected_action"])
    verdict = try expected.map { (node) throws(YAMLError) in
      try Reading.choice(node, file, "verdict", Self.verdicts)
    }
    isAllowed = try reader.optional("expected_allowed")?.boolean(file)
    if let rule = try one(["rule", "expected_rule"]) {
      self.rule = .some(rule.isNull ? nil : try rule.string(file))
    } else {
      rule = nil
    }
    for key in ["description", "resolution_metadata", "tags"] { _ = reader.optional(key) }
    try reader.finish()
    if verdict == nil && isAllowed == nil {
      throw node.error(file, "nothing is expected; add for example expect: deny")
    }
  }

  private static let verdicts: KeyValuePairs<String, String> = [
    "allow": "allow", "deny": "deny", "require_approval": "require_approval", "warn": "warn",
    "log": "log", "audit": "audit", "block": "block", "escalate": "escalate",
    "rate_limit": "rate_limit",
  ]

  /// What is wrong with a decision; empty when nothing is.
  func failures(_ decision: Decision) -> [String] {
    var failures: [String] = []
    if let verdict, verdict != decision.verdict.name, verdict != decision.decidingRule?.action {
      failures.append("expected \(verdict), got \(decision.verdict.name)")
    }
    if let isAllowed, isAllowed != decision.isAllowed {
      failures.append(
        "expected \(isAllowed ? "allowed" : "not allowed"), got "
          + decision.verdict.name)
    }
    if let rule, rule != decision.decidingRule?.id {
      failures.append(
        "expected the rule \(rule ?? "none"), got \(decision.decidingRule?.id ?? "none")")
    }
    return failures
  }
}

/// `agt policy test`.
public enum PolicyTest {
  public struct Options: Sendable {
    public var strategy: ConflictStrategy?
    /// Name the rules that no test hit.
    public var isCoverage = false
    public var isJSON = false
    /// Also make a JUnit report.
    public var isJUnit = false

    public init() {}
  }

  struct Result {
    let test: PolicyCase
    let decision: Decision
    let failures: [String]
  }

  /// - Returns: status 0 all pass, 1 some fail, 2 cannot be loaded.
  public static func run(
    _ policies: [PolicySource], tests: [PolicySource], options: Options,
    loader: @escaping (String) -> LoadedFile
  ) -> ToolOutput {
    let set: PolicySet
    var results: [Result] = []
    do {
      set = try PolicySet.load(policies, strategy: options.strategy, loader: loader)
      for test in try readAll(tests) {
        let decision = set.decide(Request(test.request))
        results.append(
          Result(test: test, decision: decision, failures: test.failures(decision)))
      }
    } catch {
      return .refused(error, isJSON: options.isJSON)
    }
    let hit = Set(results.flatMap { $0.decision.rules.map { Self.key($0.rule) } })
    let missed = set.rules.filter { !hit.contains(Self.key($0)) }
    let status: Int32 = results.contains { !$0.failures.isEmpty } ? 1 : 0
    var output =
      options.isJSON
      ? ToolOutput.json(json(results, missed, set, options), status: status)
      : ToolOutput(text: text(results, missed, set, options), status: status)
    if options.isJUnit { output.report = JUnit.report(results) }
    return output
  }

  private static func key(_ rule: Rule) -> String {
    "\(rule.file):\(rule.line):\(rule.column):\(rule.id)"
  }

  private static func readAll(_ sources: [PolicySource]) throws(PolicyError) -> [PolicyCase] {
    var cases: [PolicyCase] = []
    var problems: [PolicyError.Problem] = []
    for source in sources {
      do {
        cases += try PolicyCase.read(source)
      } catch {
        problems.append(PolicyError.Problem(error))
      }
    }
    if !problems.isEmpty { throw PolicyError(problems) }
    if cases.isEmpty {
      throw PolicyError(
        PolicyError.Problem(
          file: "tests", line: 1, column: 1, message: "no test file was given; name some"))
    }
    return cases
  }

  private static func text(
    _ results: [Result], _ missed: [Rule], _ set: PolicySet, _ options: Options
  ) -> String {
    var lines: [String] = []
    for result in results where !result.failures.isEmpty {
      let place = result.test.place
      let name = Text.printable(result.test.name, bytesMax: 200)
      lines.append(
        "\(place.file):\(place.line):\(place.column): \(name): "
          + result.failures.joined(separator: "; "))
      lines.append("  \(result.decision.operatorReason)")
    }
    let failed = results.count { !$0.failures.isEmpty }
    lines.append("\(results.count - failed) of \(results.count) tests pass")
    if options.isCoverage {
      for rule in missed {
        lines.append("\(rule.file):\(rule.line):\(rule.column): never hit: \(rule.id)")
      }
      lines.append("\(set.rules.count - missed.count) of \(set.rules.count) rules are hit")
    }
    return lines.joined(separator: "\n") + "\n"
  }

  private static func json(
    _ results: [Result], _ missed: [Rule], _ set: PolicySet, _ options: Options
  ) -> JSONValue {
    let failed = results.count { !$0.failures.isEmpty }
    var object: JSONObject = [
      "total": .integer(Int64(results.count)), "passed": .integer(Int64(results.count - failed)),
      "failed": .integer(Int64(failed)), "ok": .bool(failed == 0),
      "policyDigest": .string(set.digest),
    ]
    object["results"] = .array(
      results.map { result in
        [
          "id": .string(result.test.name), "file": .string(result.test.place.file),
          "line": .integer(Int64(result.test.place.line)), "passed": .bool(result.failures.isEmpty),
          "verdict": .string(result.decision.verdict.name),
          "rule": JSONValue(result.decision.decidingRule?.id),
          "failures": JSONValue(result.failures),
        ]
      })
    if options.isCoverage {
      object["neverHit"] = .array(missed.map { .object(Decision.json($0)) })
    }
    return .object(object)
  }
}

/// The report format that CI systems read.
enum JUnit {
  static func report(_ results: [PolicyTest.Result]) -> String {
    let failed = results.count { !$0.failures.isEmpty }
    var lines = ["<?xml version=\"1.0\" encoding=\"UTF-8\"?>"]
    lines.append("<testsuite name=\"policy\" tests=\"\(results.count)\" failures=\"\(failed)\">")
    for result in results {
      let place = result.test.place
      let start =
        "  <testcase classname=\"\(escape(place.file))\" name=\"\(escape(result.test.name))\""
      if result.failures.isEmpty {
        lines.append(start + "/>")
      } else {
        lines.append(start + ">")
        lines.append(
          "    <failure message=\"\(escape(result.failures.joined(separator: "; ")))\">"
            + "\(escape("\(place.file):\(place.line): \(result.decision.operatorReason)"))</failure>"
        )
        lines.append("  </testcase>")
      }
    }
    return (lines + ["</testsuite>", ""]).joined(separator: "\n")
  }

  private static func escape(_ text: String) -> String {
    var escaped = ""
    for scalar in Text.printable(text, bytesMax: 2_000).unicodeScalars {
      switch scalar {
      case "&": escaped += "&amp;"
      case "<": escaped += "&lt;"
      case ">": escaped += "&gt;"
      case "\"": escaped += "&quot;"
      default: escaped.unicodeScalars.append(scalar)
      }
    }
    return escaped
  }
}
