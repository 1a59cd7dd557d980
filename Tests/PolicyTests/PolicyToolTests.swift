internal import JSON
internal import Testing

@testable internal import Policy

func source(_ text: String, _ name: String = "p.yaml") -> PolicySource {
  PolicySource(name: name, bytes: Array(text.utf8))
}

let noFiles: @Sendable (String) -> LoadedFile = { _ in .missing }

@Suite struct PolicyLintTests {
  static func codes(_ rules: String, extra: String = "") -> [String] {
    PolicyLint.check([source(native(rules, extra: extra))], loader: noFiles).map(\.code)
  }

  @Test(arguments: [
    ("{id: r, when: \"tool == 'a'\", then: allow}", []),
    ("{id: r, when: \"true\", then: allow}", ["allow-everything"]),
    ("{id: r, when: \"exists(tool)\", then: allow}", ["allow-everything"]),
    ("{id: r, when: \"tool == 'a' and tool == 'b'\", then: allow}", ["never-true"]),
    ("{id: r, when: \"tool == 'a'\", then: require_approval}", ["approval-without-approvers"]),
    ("{id: r, when: \"path under '/etc'\", then: deny}", ["deny-on-missing-field"]),
    ("{id: r, when: \"exists(path) and path under '/etc'\", then: deny}", []),
    ("{id: r, when: \"tool == 'a' and path startswith '/w'\", then: allow}", ["path-prefix"]),
    ("{id: r, when: \"tool == 'a' and args.p startswith '/w/'\", then: allow}", ["path-prefix"]),
    ("{id: r, when: \"tool == 'a' and path == '~/x'\", then: allow}", ["relative-path"]),
    ("{id: r, when: \"tool == 'python3'\", then: allow}", ["interpreter-without-arguments"]),
    ("{id: r, when: \"executable == '/bin/sh'\", then: allow}", ["interpreter-without-arguments"]),
    ("{id: r, when: \"tool == 'python3' and args == ['x']\", then: allow}", ["cannot-load"]),
    ("{id: r, when: \"tool == 'python3' and 'x.py' in args\", then: allow}", []),
    ("{id: r, when: \"tool == 'a '\", then: allow}", ["blank-in-name"]),
    ("{id: r, when: \"tool in ['a', 'A']\", then: allow}", ["letter-case"]),
    ("{id: no, when: \"tool == 'a'\", then: allow}", ["yaml-trap"]),
    ("{id: r, when: \"tool == 'a'\", then: allow, say: 12:30}", ["yaml-trap"]),
  ])
  func oneRule(_ rule: String, _ codes: [String]) {
    #expect(Self.codes("  - " + rule) == codes)
  }

  @Test(arguments: [
    ("{host: \"*.com\", ports: [443]}", ["public-suffix-wildcard"]),
    ("{host: \"*.co.uk\", ports: [443]}", ["public-suffix-wildcard"]),
    ("{host: \"*.github.io\", ports: [443]}", ["public-suffix-wildcard"]),
    ("{host: \"*.example.com\", ports: [443]}", []),
    ("{cidr: 0.0.0.0/0, ports: [443]}", ["wide-network"]),
    ("{cidr: 169.254.0.0/16, ports: [80]}", ["wide-network"]),
    ("{cidr: 10.0.0.0/8, ports: [80]}", []),
    ("{host: \"*\", ports: [443]}", ["cannot-load"]),
    ("{host: a.org, ports: []}", ["cannot-load"]),
    ("{host: a.org, cidr: 10.0.0.0/8, ports: [1]}", ["cannot-load"]),
  ])
  func network(_ rule: String, _ codes: [String]) {
    let text = native("", extra: "network: [\(rule)]").replacing("rules:\n\n", with: "")
    #expect(PolicyLint.check([source(text)], loader: noFiles).map(\.code) == codes)
  }

  @Test func rulesBesideEachOther() {
    #expect(
      Self.codes(
        """
          - {id: a, when: "tool in ['x', 'y']", then: deny}
          - {id: b, when: "tool == 'x' and ring == 2", then: allow}
          - {id: c, when: "tool == 'z'", then: allow}
          - {id: d, when: "tool == 'z'", then: allow}
        """) == ["unreachable-rule", "unreachable-rule"])
    let two = PolicyLint.check(
      [
        source(native(#"  - {id: a, when: "tool == 'x'", then: allow}"#), "a.yaml"),
        source(native(#"  - {id: a, when: "tool == 'y'", then: allow}"#), "b.yaml"),
      ], isSet: true, loader: noFiles)
    #expect(two.map(\.code) == ["duplicate-id"])
    #expect(two[0].place == Place(file: "b.yaml", line: 6, column: 5))
  }

  @Test func firstMatchShadows() {
    let text = FieldDocumentTests.document(
      """
        - {name: a, condition: {field: t, operator: in, value: [x, y]}, action: allow}
        - {name: b, condition: {field: t, operator: eq, value: x}, action: deny}
      """)
    #expect(
      PolicyLint.check([source(text)], loader: noFiles).map(\.code) == ["unreachable-rule"])
  }

  @Test func formatsAndStatus() throws {
    let clean = source(native(#"  - {id: a, when: "tool == 'x'", then: allow}"#))
    let warned = source(native(#"  - {id: a, when: "true", then: allow}"#))
    let broken = source(native(#"  - {id: a, when: "tol == 'x'", then: allow}"#))
    let run = { (source: PolicySource, format: PolicyLint.Format) in
      PolicyLint.run([source], format: format, loader: noFiles)
    }
    #expect(run(clean, .text) == ToolOutput(text: "1 file: clean\n", status: 0))
    #expect(
      run(warned, .text).text == "p.yaml:6:5: warning: the rule a allows every request; name the "
        + "tools that it is for [allow-everything]\n1 file: 1 findings\n")
    #expect(run(warned, .text).status == 1)
    #expect(run(broken, .text).status == 2)
    #expect(run(broken, .text).text.hasPrefix("p.yaml:6:20: error: unknown field \"tol\""))
    let json = try JSONParser.parse(Array(run(warned, .json).text.utf8))
    #expect(json["messages"]?.arrayValue?.first?["line"] == 6)
    let sarif = try JSONParser.parse(Array(run(broken, .sarif).text.utf8))
    let result = sarif["runs"]?.arrayValue?.first?["results"]?.arrayValue?.first
    #expect(result?["level"] == "error" && result?["ruleId"] == "cannot-load")
    #expect(PolicyLint.run([], format: .text, loader: noFiles).status == 2)
  }
}

@Suite struct PolicyTestRunnerTests {
  static let policy = source(NativePolicyTests.codingAgent)

  static func run(
    _ tests: String, _ name: String = "t.yaml",
    _ change: (inout PolicyTest.Options) -> Void = { _ in }
  ) -> ToolOutput {
    var options = PolicyTest.Options()
    change(&options)
    return PolicyTest.run(
      [policy], tests: [source(tests, name)], options: options, loader: noFiles)
  }

  @Test func fixtureListInJSON() {
    let output = Self.run(
      #"""
      [{"id": "push", "input": {"tool": "git", "args": ["push"]}, "expected_verdict": "allow",
        "expected_rule": "git"},
       {"id": "force", "input": {"tool": "git", "args": ["\ud83d\ude00", "--force"]},
        "expected_verdict": "deny", "expected_rule": "no-force-push"},
       {"id": "none", "input": {"tool": "rm"}, "expected_verdict": "deny", "expected_rule": null}]
      """#, "t.json")
    #expect(output == ToolOutput(text: "3 of 3 tests pass\n", status: 0))
  }

  @Test func scenariosInYAML() {
    let output = Self.run(
      """
      scenarios:
        - {name: a, context: {tool: git, args: [push]}, expected_action: allow}
        - {name: b, context: {tool: rm}, expected_allowed: false}
        - {name: c, context: {tool: rm}, expected_allowed: true}
      """)
    #expect(output.status == 1)
    #expect(
      output.text == "t.yaml:4:5: c: expected allowed, got deny\n  no rule allows it: default "
        + "deny\n2 of 3 tests pass\n")
  }

  @Test func coverageAndJUnit() {
    let output = Self.run(
      "[{name: \"a<b\", request: {tool: send_email}, expect: deny, rule: git}]"
    ) {
      $0.isCoverage = true
      $0.isJUnit = true
    }
    #expect(output.text.contains("never hit: git\n"))
    #expect(output.text.hasSuffix("1 of 4 rules are hit\n"))
    #expect(output.report?.contains("name=\"a&lt;b\"") == true)
    #expect(output.report?.contains("failures=\"1\"") == true)
    let json = Self.run("[{name: a, request: {tool: git}, expect: deny}]") {
      $0.isJSON = true
      $0.isCoverage = true
    }
    #expect(json.status == 0 && json.text.contains("\"neverHit\""))
  }

  @Test(arguments: [
    ("[]", "no tests"), ("scenarios: []", "no tests"), ("text", "no tests"),
    ("[{name: a, request: {tool: git}}]", "nothing is expected"),
    ("[{name: a, expect: deny}]", "missing key \"request\""),
    ("[{request: {}, expect: deny}]", "missing key \"name\""),
    ("[{name: a, request: {}, expect: dny}]", "did you mean \"deny\"?"),
    ("[{name: a, request: {}, expect: deny, expected: x}]", "unknown key \"expected\""),
    ("[{name: a, id: b, request: {}, expect: deny}]", "keep one"),
    ("[{name: a, request: {tool: no}, expect: deny}]", "boolean"),
    ("[{name: a, request: [1], expect: deny}]", "a request is a mapping"),
  ])
  func refuses(_ tests: String, _ cause: String) {
    let output = Self.run(tests)
    #expect(output.status == 2 && output.text.contains(cause), "\(output.text)")
  }
}

@Suite struct PolicyExplainTests {
  static func run(_ request: String, isJSON: Bool = false) -> ToolOutput {
    PolicyExplain.run(
      [source(NativePolicyTests.codingAgent)], request: Array(request.utf8), strategy: nil,
      isJSON: isJSON, loader: noFiles)
  }

  @Test func statuses() {
    #expect(Self.run(#"{"tool": "git", "args": []}"#).status == 0)
    #expect(Self.run(#"{"tool": "git"}"#).status == 1)
    #expect(Self.run(#"{"tool": "send_email"}"#).status == 3)
    #expect(Self.run("[]").status == 2)
    #expect(Self.run("{").text.hasPrefix("request:1:2: "))
  }

  @Test func namesTheNearestRule() throws {
    let output = Self.run(#"{"tool": "read_file", "path": "/workspace/../etc/passwd"}"#)
    #expect(
      output.text.hasPrefix(
        """
        deny: Nothing allows this; the default is to deny it.
          decided by: no rule allows it: default deny
          nearest: p.yaml:21:5: reads → allow
            does not hold: path startswith '/workspace/'
            because path is "/etc/passwd"
          request: {"tool":"read_file","path":"/etc/passwd"}
          policy: sha256:
        """), "\(output.text)")
    let json = try JSONParser.parse(
      Array(Self.run(#"{"tool": "git", "args": ["--force"]}"#, isJSON: true).text.utf8))
    let keys = json.objectValue?.members.map(\.name) ?? []
    for key in ["verdict", "reason", "rules", "nearest", "obligations", "policyDigest"] {
      #expect(keys.contains(key))
    }
    #expect(json["rules"]?.arrayValue?.first?["id"] == "no-force-push")
    #expect(json["rules"]?.arrayValue?.first?["line"] == 9)
  }

  @Test func trailingBlanksAreVisible() {
    #expect(Self.run(#"{"tool": "git "}"#).text.contains(#"because tool is "git ""#))
  }
}

@Suite struct PolicyDiffTests {
  static func run(_ old: String, _ new: String) -> ToolOutput {
    PolicyDiff.run(
      old: [source(old, "old.yaml")], new: [source(new, "new.yaml")], strategy: nil, isJSON: false,
      loader: noFiles)
  }

  @Test func equalPolicies() {
    let text = NativePolicyTests.codingAgent
    #expect(Self.run(text, text) == ToolOutput(text: "no difference found\n", status: 0))
  }

  @Test func namesWhatChangedWithAnExample() {
    let old = NativePolicyTests.codingAgent
    let noDeny = old.replacing("'--force' in args", with: "'--forced' in args")
      .replacing("args: [push, --force]", with: "args: [push, --forced]")
    let output = Self.run(old, noDeny)
    #expect(output.status == 1)
    #expect(
      output.text.contains(#"deny → allow: {"args":["--force"],"tool":"git"}"#), "\(output.text)")
    #expect(output.text.contains(#"allow → deny: {"args":["--forced"],"tool":"git"}"#))
    let narrowed = old.replacing("'/workspace/'", with: "'/workspace/src/'")
    #expect(Self.run(old, narrowed).text.contains("allow → deny: {\"path\":\"/workspace/x\""))
    let network = old.replacing("api.openai.com", with: "api.example.com")
    #expect(Self.run(old, network).text.contains("network: api.openai.com:443 is no longer"))
    #expect(Self.run(old, network).text.contains("network: api.example.com:443 is now reachable"))
  }

  @Test func brokenPolicy() {
    #expect(Self.run("a: [", NativePolicyTests.codingAgent).status == 2)
  }
}
