internal import JSON
internal import Testing

@testable internal import Policy

/// A document of the string form.
func toolkit(_ rules: String, _ header: String = "default_action: deny") -> String {
  "apiVersion: governance.toolkit/v1\nname: t\n\(header)\nrules:\n\(rules)\n"
}

@Suite struct ToolkitPolicyTests {
  @Test func readmeShape() throws {
    let set = try load(
      toolkit(
        """
          - name: block-destructive
            condition: "action.type in ['drop', 'truncate']"
            action: deny
            description: Destructive operations require approval
          - name: send
            condition: "action.type == 'send_email'"
            action: require_approval
            approvers: [security-team]
        """, "default_action: allow"))
    #expect(try set.verdict(#"{"action": {"type": "drop"}}"#) == .deny)
    #expect(try set.verdict(#"{"action": {"type": "read"}}"#) == .allow)
    let mail = set.decide(try request(#"{"action": {"type": "send_email"}}"#))
    #expect(mail.verdict == .requireApproval)
    #expect(mail.obligations == [.approval(Approval(approvers: ["security-team"]))])
    // What the broker sends.
    #expect(try set.verdict(#"{"tool": "drop"}"#) == .deny)
    #expect(try set.verdict(#"{"action": "drop"}"#) == .deny)
  }

  static let conflict = toolkit(
    """
      - {name: allow, condition: "tool == 'x'", action: allow, priority: 100}
      - {name: ask, condition: "tool == 'x'", action: require_approval, priority: 50}
      - {name: deny, condition: "tool == 'x' and args.bad == 'yes'", action: deny, priority: 10}
    """)

  @Test(arguments: [
    (nil, Verdict.requireApproval, Verdict.deny),
    (ConflictStrategy.denyOverrides, .requireApproval, .deny),
    (.allowOverrides, .allow, .allow), (.priorityFirstMatch, .allow, .allow),
    (.mostSpecificWins, .allow, .allow),
  ])
  func strategies(_ strategy: ConflictStrategy?, _ good: Verdict, _ bad: Verdict) throws {
    let set = try load(Self.conflict, strategy: strategy)
    #expect(try set.verdict(#"{"tool": "x", "args": {"bad": "no"}}"#) == good)
    #expect(try set.verdict(#"{"tool": "x", "args": {"bad": "yes"}}"#) == bad)
  }

  @Test func mostSpecificScopeWins() throws {
    let global = toolkit(
      #"  - {name: g, condition: "tool == 'x'", action: deny, priority: 9}"#,
      "conflict_strategy: most_specific_wins")
    let agent = toolkit(
      #"  - {name: a, condition: "tool == 'x'", action: allow}"#, "scope: agent")
    let set = try PolicySet.load([
      PolicySource(name: "a", bytes: Array(global.utf8)),
      PolicySource(name: "b", bytes: Array(agent.utf8)),
    ])
    #expect(try set.verdict(#"{"tool": "x"}"#) == .allow)
  }

  @Test func extendedDenyStays() throws {
    let base = toolkit(#"  - {name: no-rm, condition: "tool == 'rm'", action: deny}"#)
    let child = toolkit(
      """
        - {name: no-rm, condition: "tool == 'rm'", action: allow, priority: 1000}
        - {name: ls, condition: "tool == 'ls'", action: allow}
      """, "extends: base.yaml")
    let set = try load(child, others: ["base.yaml": base])
    #expect(try set.verdict(#"{"tool": "rm"}"#) == .deny)
    #expect(try set.verdict(#"{"tool": "ls"}"#) == .allow)
    #expect(set.remarks.count == 1)
  }

  @Test func diamondsCountOnceAndCyclesAreRefused() throws {
    let base = toolkit(#"  - {name: no-rm, condition: "tool == 'rm'", action: deny}"#)
    let middle = { (name: String) in
      toolkit(
        "  - {name: \(name), condition: \"tool == '\(name)'\", action: allow}",
        "extends: base.yaml")
    }
    let top = toolkit(
      #"  - {name: t, condition: "tool == 't'", action: allow}"#, "extends: [a.yaml, b.yaml]")
    let others = ["base.yaml": base, "a.yaml": middle("a"), "b.yaml": middle("b")]
    let set = try load(top, others: others)
    #expect(set.rules.map(\.id) == ["no-rm", "a", "b", "t"])
    let cycle = refusals(
      toolkit("  []", "extends: p.yaml").replacing("rules:\n  []", with: "rules: []"),
      others: ["p.yaml": top])
    #expect(cycle.count == 1 && cycle[0].contains("a cycle of extends"), "\(cycle)")
  }

  @Test(arguments: [
    ("- {name: r, condition: {field: a, operator: eq, value: b}, action: deny}", "is text"),
    ("- {name: r, condition: \"a == 'b'\", action: dany}", "did you mean \"deny\"?"),
    ("- {name: r, condition: \"a == 'b'\", actoin: deny}", "did you mean \"action\"?"),
    ("- {name: r, condition: \"a == 'b'\", action: allow, limit: 5/fortnight}", "unknown period"),
    ("- {name: r, condition: \"a == 'b'\", action: allow, limit: many}", "is not a limit"),
    ("- {name: r, condition: \"a == 'b' c\", action: allow}", "unknown operator \"c\""),
    ("- {name: r, condition: \"a === 'b'\", action: allow}", "\"=\" is not an operator"),
    ("- {name: r, condition: \"a == 'b'\", action: allow, stage: later}", "unknown stage"),
    ("- {name: r, action: allow}", "missing key \"condition\""),
    ("- {name: r, condition: \"a == 'b'\", action: rate_limit}", "rate_limit without \"limit\""),
  ])
  func refuses(_ rule: String, _ cause: String) {
    let messages = refusals(toolkit("  " + rule))
    #expect(messages.count == 1 && messages[0].contains(cause), "\(messages)")
    #expect(messages.first?.hasPrefix("p.yaml:5:") == true)
  }

  @Test func everyProblemIsReported() {
    let text = toolkit(
      """
        - {name: a, condition: "a = 'b'", action: deny}
        - {name: b, condition: "a == 'b'", action: deyn}
        - {name: c, condition: "a == 'b'", action: deny}
        - {name: c, condition: "a == 'b'", action: deny}
      """)
    #expect(refusals(text).count == 3)
  }
}

@Suite struct FieldDocumentTests {
  static func document(_ rules: String, _ defaults: String = "defaults: {action: deny}") -> String {
    "version: \"1.0\"\nname: d\nrules:\n\(rules)\n\(defaults)\n"
  }

  static func rule(_ op: String, _ value: String, action: String = "allow") -> String {
    "  - {name: r, condition: {field: v, operator: \(op), value: \(value)}, action: \(action)}"
  }

  @Test(arguments: [
    ("eq", "abc", #""abc""#, Verdict.allow), ("eq", "abc", #""ab""#, .deny),
    ("eq", "5", "5", .allow), ("eq", "5", "5.0", .allow), ("eq", "5", #""5""#, .deny),
    ("eq", "true", "true", .allow), ("ne", "abc", #""x""#, .allow), ("ne", "abc", "5", .allow),
    ("ne", "abc", "null", .deny), ("gt", "5", "6", .allow), ("gt", "5", "5", .deny),
    ("gte", "5", "5", .allow), ("lt", "5", "4", .allow), ("lte", "5", "5", .allow),
    ("gt", "5", #""6""#, .deny), ("in", "[a, b]", #""b""#, .allow),
    ("in", "[a, b]", #""c""#, .deny),
    ("in", "[1, a]", "1", .allow), ("not_in", "[a]", #""b""#, .allow),
    ("not_in", "[a]", "null", .deny), ("contains", "bc", #""abcd""#, .allow),
    ("contains", "a", #"["a"]"#, .allow), ("contains", "a", "5", .deny),
    ("matches", "'^a.c$'", #""abc""#, .allow), ("matches", "'^1'", "12", .allow),
    ("matches", "b", #""abc""#, .allow), ("startswith", "a", #""abc""#, .allow),
    ("endswith", "c", #""abc""#, .allow), ("exists", "true", "1", .allow),
    ("exists", "true", "null", .deny),
  ])
  func operators(_ op: String, _ value: String, _ given: String, _ verdict: Verdict) throws {
    let set = try load(Self.document(Self.rule(op, value)))
    #expect(try set.verdict("{\"v\": \(given)}") == verdict)
    #expect(try set.verdict("{}") == .deny)
  }

  @Test func typeErrorDeniesEverything() throws {
    let text = Self.document(Self.rule("gt", "5", action: "deny"), "defaults: {action: allow}")
    let set = try load(text)
    #expect(try set.verdict(#"{"v": 4}"#) == .allow)
    #expect(try set.verdict(#"{"v": "4"}"#) == .deny)
  }

  @Test(arguments: [
    ("deny", Verdict.deny, []), ("block", .deny, []), ("escalate", .requireApproval, []),
    ("audit", .allow, [Obligation.audit]), ("warn", .allow, [.warn("m"), .audit]),
    ("allow", .allow, []),
  ])
  func actions(_ action: String, _ verdict: Verdict, _ obligations: [Obligation]) throws {
    let set = try load(
      Self.document(
        "  - {name: r, condition: {field: v, operator: eq, value: 1}, action: \(action), "
          + "message: m}"))
    let decision = set.decide(try request(#"{"v": 1}"#))
    #expect(decision.verdict == verdict)
    #expect(decision.obligations == obligations)
  }

  @Test func priorityThenFileOrder() throws {
    let text = Self.document(
      """
        - {name: a, condition: {field: v, operator: eq, value: 1}, action: allow}
        - {name: b, condition: {field: v, operator: eq, value: 1}, action: deny}
        - {name: c, condition: {field: v, operator: eq, value: 2}, action: allow}
        - {name: d, condition: {field: v, operator: eq, value: 2}, action: deny, priority: 1}
      """)
    let set = try load(text)
    #expect(try set.verdict(#"{"v": 1}"#) == .allow)
    #expect(try set.verdict(#"{"v": 2}"#) == .deny)
  }

  @Test func defaultsHaveEffect() throws {
    let set = try load(
      Self.document(
        Self.rule("eq", "1"),
        """
        defaults: {action: allow, max_tool_calls: 2, max_tokens: 100, confidence_threshold: 0.8, timeout_seconds: 9}
        tool_allowlist: [a, b]
        network_allowlist: [pypi.org, "*.github.com"]
        """))
    #expect(set.budgets.timeoutSeconds == 9)
    #expect(try set.verdict(#"{"tool": "a", "token_count": 100, "confidence": 0.8}"#) == .allow)
    #expect(try set.verdict(#"{"tool": "a", "token_count": 101}"#) == .deny)
    #expect(try set.verdict(#"{"tool": "a", "confidence": 0.79}"#) == .deny)
    #expect(try set.verdict(#"{"tool": "a"}"#) == .allow)
    #expect(try set.verdict(#"{"tool": "c"}"#) == .deny)
    #expect(set.networkRule(host: "pypi.org", port: 443) != nil)
    #expect(set.networkRule(host: "pypi.org", port: 22) == nil)
    var buckets = TokenBuckets()
    let call = try request(#"{"tool": "a"}"#)
    let verdicts = (0..<3).map { time in
      set.decide(call, buckets: &buckets, nowMilliseconds: time * 1_000_000_000).verdict
    }
    #expect(verdicts == [.allow, .allow, .deny])
  }

  @Test func trustPolicy() throws {
    let set = try load(
      """
      name: trust
      rules:
        - {name: block, condition: {field: trust_score, operator: lt, value: 200}, action: deny, priority: 10}
        - {name: warn, condition: {field: trust_score, operator: lt, value: 700}, action: warn, priority: 20}
      defaults:
        min_trust_score: 800
        max_delegation_depth: 3
        allowed_namespaces: ["*"]
        require_handshake: true
      """)
    #expect(try set.verdict(#"{"trust_score": 100}"#) == .deny)
    #expect(try set.verdict(#"{"trust_score": 600}"#) == .allow)
    #expect(try set.verdict(#"{"trust_score": 750}"#) == .deny)
    #expect(try set.verdict(#"{"trust_score": 900}"#) == .allow)
    #expect(try set.verdict(#"{"trust_score": 900, "delegation_depth": 4}"#) == .deny)
    #expect(try set.verdict(#"{"trust_score": 900, "handshake": false}"#) == .deny)
  }

  @Test(arguments: [
    (Self.rule("eqq", "1"), "did you mean \"eq\"?"), (Self.rule("in", "a"), "needs a list"),
    (Self.rule("in", "[]"), "never holds"), (Self.rule("not_in", "[]"), "always holds"),
    (Self.rule("matches", "'('"), "missing closing parenthesis"),
    (Self.rule("matches", "5"), "needs text"), (Self.rule("gt", "true"), "needs a number"),
    (Self.rule("eq", "no"), "no is a boolean in YAML 1.1"),
    (Self.rule("eq", "0644"), "leading zero"),
    (Self.rule("eq", "1", action: "permit"), "unknown action \"permit\""),
    ("  - {name: r, condition: \"a == 'b'\", action: deny}\n  - 5", "form"),
  ])
  func refuses(_ rules: String, _ cause: String) {
    let messages = refusals(Self.document(rules))
    #expect(messages.contains { $0.contains(cause) } || cause == "form" && !messages.isEmpty)
  }

  @Test func samplesShapeWithoutName() throws {
    let set = try load(
      """
      rules:
        - name: review
          condition: {field: classification, operator: eq, value: internal}
          action: audit
      defaults:
        action: deny
      """)
    #expect(try set.verdict(#"{"classification": "internal"}"#) == .allow)
    #expect(try set.verdict(#"{"classification": "secret"}"#) == .deny)
  }
}

@Suite struct FolderPolicyTests {
  static func document(_ rules: String, _ extra: String = "") -> String {
    "name: d\n\(extra)\nrules:\n\(rules)\n"
  }

  static func rule(
    _ name: String, _ tool: String, _ action: String, _ extra: String = ""
  ) -> String {
    "  - {name: \(name), condition: {field: tool_name, operator: eq, value: \(tool)}, "
      + "action: \(action)\(extra)}"
  }

  static let files = [
    "/r/governance.yaml": document(
      rule("no-rm", "rm", "deny") + "\n" + rule("ls", "ls", "allow"), "defaults: {action: deny}"),
    "/r/a/governance.yaml": document(
      rule("no-rm", "rm", "allow", ", override: true, priority: 900") + "\n"
        + rule("yes-rm", "rm", "allow", ", priority: 1000") + "\n"
        + rule("ls", "ls", "deny", ", override: true") + "\n" + rule("cat", "cat", "allow"),
      "defaults: {action: deny}"),
    "/r/b/governance.yml": document(rule("all", "rm", "allow"), "inherit: false"),
    "/r/c/governance.yaml": document(rule("c", "c", "allow"), "scope: c/*.py"),
    "/governance.yaml": document(rule("outside", "x", "allow")),
  ]

  static func verdict(_ path: String, _ tool: String) throws -> Verdict? {
    let set = try FolderPolicies.load(path: path, root: "/r") { path in
      files[path].map { .bytes(Array($0.utf8)) } ?? .missing
    }
    return try set?.verdict(#"{"tool": "\#(tool)"}"#)
  }

  @Test(arguments: [
    ("/r/x", "ls", Verdict.allow), ("/r/x", "rm", .deny), ("/r/x", "cat", .deny),
    ("/r/a/f", "rm", .deny), ("/r/a/f", "ls", .deny), ("/r/a/f", "cat", .allow),
    ("/r/b/f", "rm", .deny), ("/r/b/f", "ls", .deny), ("/r/c/x.py", "c", .allow),
    ("/r/c/x.txt", "c", .deny), ("/r/a/../x", "ls", .allow), ("/r", "ls", .allow),
  ])
  func merges(_ path: String, _ tool: String, _ verdict: Verdict) throws {
    #expect(try Self.verdict(path, tool) == verdict)
  }

  @Test(arguments: ["/", "/etc", "/r/../etc", "/rr", "r", "../r"])
  func nothingAboveTheRootIsRead(_ path: String) throws {
    #expect(try Self.verdict(path, "x") == nil)
  }

  @Test func aBrokenFileRefusesTheChain() {
    #expect(throws: PolicyError.self) {
      try FolderPolicies.load(path: "/r/a", root: "/r") { path in
        path == "/r/a/governance.yaml" ? .bytes(Array("rules: [".utf8)) : .missing
      }
    }
    #expect(throws: PolicyError.self) {
      try FolderPolicies.load(path: "/r/a", root: "/r") { _ in .unreadable("EACCES") }
    }
  }
}
