internal import JSON
internal import Testing

@testable internal import Policy

@Suite struct PolicyPropertyTests {
  static func set(_ rules: [String]) throws -> PolicySet {
    try load(native(rules.joined(separator: "\n"), extra: RandomPolicies.fields))
  }

  @Test func anAddedDenyNeverWidens() throws {
    var policies = RandomPolicies(random: SeededRandom(seed: 1), isTotal: false)
    for _ in 0..<150 {
      let rules = (0..<4).map { policies.rule($0, then: policies.verdict()) }
      let before = try Self.set(rules)
      let after = try Self.set(rules + [policies.rule(9, then: "deny")])
      for _ in 0..<20 {
        let request = Request(policies.request(isComplete: false))
        #expect(after.decide(request).verdict >= before.decide(request).verdict)
      }
    }
  }

  @Test func orderOfRulesAndFilesDoesNotMatter() throws {
    var policies = RandomPolicies(random: SeededRandom(seed: 2), isTotal: false)
    for _ in 0..<100 {
      let rules = (0..<6).map { policies.rule($0, then: policies.verdict()) }
      let first = try Self.set(rules)
      let second = try Self.set(rules.shuffled(using: &policies.random))
      let files = [Array(rules[..<3]), Array(rules[3...])].enumerated().map { index, rules in
        source(
          native(rules.joined(separator: "\n"), extra: RandomPolicies.fields), "\(index).yaml")
      }
      let together = try PolicySet.load(files)
      let reversed = try PolicySet.load(files.reversed())
      #expect(together.digest == reversed.digest)
      for _ in 0..<20 {
        let request = Request(policies.request(isComplete: false))
        let verdict = first.decide(request).verdict
        #expect(second.decide(request).verdict == verdict)
        #expect(together.decide(request).verdict == verdict)
        #expect(reversed.decide(request).verdict == verdict)
      }
    }
  }

  @Test func theIndexLeavesNoRuleOut() throws {
    var policies = RandomPolicies(random: SeededRandom(seed: 3), isTotal: false)
    for _ in 0..<100 {
      let set = try Self.set((0..<8).map { policies.rule($0, then: "deny") })
      for _ in 0..<20 {
        let request = Request(policies.request(isComplete: false))
        var evaluation = Evaluation(set.program, request)
        let all = set.rules.filter { evaluation.truth(of: $0) != .no }.map(\.id)
        #expect(set.decide(request).rules.map(\.id).sorted() == all.sorted())
      }
    }
  }

  @Test func oneRuleDecidesAsManyDo() throws {
    var policies = RandomPolicies(random: SeededRandom(seed: 7), isTotal: false)
    var alone = 0
    for _ in 0..<100 {
      let set = try Self.set((0..<3).map { policies.rule($0, then: policies.verdict()) })
      for _ in 0..<20 {
        let request = Request(policies.request(isComplete: false))
        var evaluation = Evaluation(set.program, request)
        let matches = try set.matches(&evaluation, request).get()
        if matches.certain.count == 1, matches.uncertain.isEmpty { alone += 1 }
        let (decision, long) = (set.decide(request), set.resolve(matches, request))
        #expect(decision.verdict == long.verdict && decision.reason == long.reason)
        #expect(decision.rules.map(\.id) == long.rules.map(\.id))
        #expect(decision.rules.map(\.isUncertain) == long.rules.map(\.isUncertain))
        #expect(decision.decidingRule === long.decidingRule)
        #expect(decision.operatorReason == long.operatorReason)
        #expect(decision.obligations == long.obligations)
      }
    }
    #expect(alone > 100)
  }

  /// What obliges or limits is not named alone.
  @Test func oneRuleObliges() throws {
    let set = try load(
      native(
        """
          - {id: r, when: tool == 'a', then: allow, limit: 1/hour}
          - {id: w, when: tool == 'b', then: allow, obligations: [audit]}
        """))
    let limited = set.decide(try request(#"{"tool": "a"}"#))
    #expect(limited.limited.map(\.id) == ["r"])
    #expect(set.decide(try request(#"{"tool": "b"}"#)).obligations.contains(.audit))
  }

  @Test func aCallerCountsAsItsFields() throws {
    let facts: JSONObject = [
      "kind": "policy.decide", "run": "r-1", "ring": 3, "user": "ann", "agent": "bot",
      "executable": "/usr/./bin/x", "pid": 7,
    ]
    let caller = CallerFacts(facts)
    var policies = RandomPolicies(random: SeededRandom(seed: 8), isTotal: false)
    for number in 0..<200 {
      var fields = policies.request(isComplete: false)
      fields["path"] = ["/a/../b", "/a", "/a\u{7}", "", "/e\u{301}"][number % 5]
      fields["stage"] = [nil, "post_tool", "never"][number % 3]
      if number % 7 == 0 { fields["more\u{202e}"] = true }
      var merged = fields
      for member in facts.members { merged[member.name] = member.value }
      // Whatever it says of itself.
      if number % 2 == 0 { fields["ring"] = 0 }
      let (one, other) = (Request(fields, from: caller), Request(merged))
      #expect(one.fields == other.fields && one.problem == other.problem)
      for member in other.fields.members { #expect(one[member.name] == member.value) }
      #expect(one.stage == other.stage && one.agent == "bot")
      #expect(one.isWithoutTool == other.isWithoutTool)
      for position in Vocabulary.typeList.indices {
        #expect(one.known(position) == other.known(position))
      }
    }
    let broken = CallerFacts(["executable": "/a\u{0}"])
    let request = Request(["tool": "git", "executable": "/b"], from: broken)
    #expect(request.problem == "executable holds a control character")
    #expect(request.fields == ["tool": "git", "executable": "/a\u{0}"])
  }

  @Test func aMissingFieldNeverHelps() throws {
    var policies = RandomPolicies(random: SeededRandom(seed: 4), isTotal: false)
    // Rules that only restrict, beside one that allows everything.
    for _ in 0..<100 {
      let rules = (0..<4).map { policies.rule($0, then: "deny") }
      let set = try Self.set(rules + ["  - {id: all, when: \"true\", then: allow}"])
      for _ in 0..<20 {
        var fields = policies.request(isComplete: true)
        fields["opt"] = "git"
        let verdict = set.decide(Request(fields)).verdict
        for member in fields.members {
          var less = fields
          less[member.name] = nil
          // Without the field the rule is unknown or as before; it never turns from yes to no.
          if verdict == .deny { #expect(set.decide(Request(less)).verdict == .deny) }
        }
      }
    }
  }

  @Test func requiredLiteralsAreRequired() throws {
    var random = SeededRandom(seed: 5)
    let atoms = [
      "a", "b", "ab", "key", "K", "s", "é", "\\.", "\\d", "\\w+", "[ab]", "[^k]", "(?:ab|key)",
      "(a|bk)", "(?i:key)", "a+", "b*", "(ab)?", "(?i)", "k{2}", "s{0,2}", "^", "$", "\\b", ".",
      "(?=a)", "(?!b)", "(?<=a)", "(?P<n>ab)", "ſ", "\\-", "x",
    ]
    let texts = [
      "a", "b", "k", "K", "s", "S", "ſ", "\u{212A}", "é", "É", ".", "1", " ", "key", "-",
    ]
    let state = MatchState()
    var checked = 0
    for _ in 0..<4_000 {
      let pattern = (0..<Int.random(in: 1...5, using: &random)).map { _ in
        atoms.randomElement(using: &random)! + (random.isOneIn(8) ? "|" : "")
      }.joined()
      guard let compiled = try? Pattern(pattern), let literals = RequiredLiterals.find(pattern)
      else { continue }
      let scanner = LiteralScanner([literals, ["other"]])
      for _ in 0..<12 {
        let text = (0..<8).map { _ in texts.randomElement(using: &random)! }.joined()
        guard compiled.isFound(in: text.utf8Span.span, using: state) == true else { continue }
        checked += 1
        let bits = scanner.scan(text.utf8Span.span)[0]
        #expect(bits & 1 == 1, "\(pattern) requires \(literals) in \(text)")
      }
    }
    #expect(checked > 300)
  }

  @Test func randomDocumentsAndRequestsAreTotal() throws {
    var random = SeededRandom(seed: 6)
    let seeds = [
      NativePolicyTests.codingAgent, ToolkitPolicyTests.conflict,
      FieldDocumentTests.document(FieldDocumentTests.rule("eq", "1")),
    ].map { Array($0.utf8) }
    var loaded = 0
    for round in 0..<1_500 {
      var bytes = seeds[round % seeds.count]
      for _ in 0..<Int.random(in: 1...4, using: &random) {
        let at = Int.random(in: 0..<bytes.count, using: &random)
        switch Int.random(in: 0..<3, using: &random) {
        case 0: bytes[at] = UInt8.random(in: 0...255, using: &random)
        case 1: bytes.remove(at: at)
        default: bytes.insert("'\"[]{}:=<> \n-0a".utf8.randomElement(using: &random)!, at: at)
        }
      }
      do {
        let set = try PolicySet.load([PolicySource(name: "f", bytes: bytes)])
        loaded += 1
        _ = set.explain(Request(["tool": "git", "args": ["push"]])).text
        _ = set.decide(Request(JSONObject()))
      } catch {
        #expect(error.problems.allSatisfy { $0.line > 0 && $0.column > 0 && !$0.message.isEmpty })
      }
    }
    #expect(loaded > 50)
  }
}

@Suite struct BadPolicyTests {
  @Test(arguments: [
    ("", "the document is empty"), ("a: [1", "p.yaml:1:"), ("a:\n\t- b", "tab"),
    ("a: 1\na: 2", "duplicate key"), ("a: &x 1\nb: *x", "anchor"), ("a: \u{0}", "control"),
    ("a: \u{7}", "control"), ("\u{202e}a: 1", "bidirectional"), ("- 1", "expected a mapping"),
    ("apiVersion: agt-run/v2\nkind: Policy", "unknown apiVersion \"agt-run/v2\""),
    ("apiVersion: agt-run/v1\nkind: Ring\nmetadata: {name: x}", "kind is not Policy"),
    ("apiVersion: agt-run/v1\nmetadata: {name: x}", "missing key \"kind\""),
    ("apiVersion: agt-run/v1\nkind: Policy\nmetadata: {name: x}\nrule: []", "\"rules\"?"),
    ("name: x", "neither apiVersion nor rules"),
    ("rules: []\ndefaults: {action: allow}\nscope: x/*", "\"scope\" only works"),
  ])
  func refuses(_ text: String, _ cause: String) {
    let messages = refusals(text)
    #expect(messages.count == 1 && messages[0].contains(cause), "\(messages)")
    #expect(messages.first?.hasPrefix("p.yaml:") == true)
  }

  @Test(arguments: [
    ("{id: r, when: \"true\"}", "missing key \"then\""),
    ("{id: r, when: \"true\", then: permit}", "unknown verdict \"permit\""),
    ("{id: r, then: deny}", "missing key \"when\""),
    ("{when: \"true\", then: deny}", "missing key \"id\""),
    ("{id: r, when: \"true\", then: deny, sya: x}", "did you mean \"say\"?"),
    ("{id: r, when: \"true\", then: deny, limit: 1/s}", "no effect on deny"),
    ("{id: r, when: \"true\", then: allow, approvers: [a]}", "no effect on allow"),
    ("{id: r, when: \"true\", then: require_approval, approvers: []}", "nobody is named"),
    (
      "{id: r, when: \"true\", then: require_approval, approvers: {users: [a], quorum: 2}}",
      "can never be reached"
    ),
    ("{id: r, when: \"true\", then: allow, obligations: [audi]}", "did you mean \"audit\"?"),
    ("{id: r, when: \"true\", then: allow, obligations: [{demote: 4}]}", "out of range"),
    ("{id: r, when: \"true\", then: allow, stage: late}", "unknown stage"),
    ("{id: r, when: \"true\", then: allow, examples: {match: [5]}}", "an example is a request"),
    ("{id: r, when: \"true\", then: allow, examples: {mach: []}}", "did you mean \"match\"?"),
    ("{id: r, when: [a], then: allow}", "expected a string"),
  ])
  func refusesRules(_ rule: String, _ cause: String) {
    let messages = refusals(native("  - " + rule))
    #expect(messages.count == 1 && messages[0].contains(cause), "\(messages)")
  }

  @Test func largeAndDeepFiles() {
    let large =
      native("  - {id: r, when: \"true\", then: deny}")
      + String(
        repeating: "# padding\n", count: 1 << 20)
    #expect(refusals(large)[0].contains("split the file"))
    let deep = "a: " + String(repeating: "[", count: 10_000)
    #expect(refusals(deep).count == 1)
  }

  @Test func oneBadFileRefusesTheSet() {
    let good = source(native("  - {id: r, when: \"true\", then: allow}"), "good.yaml")
    let bad = source(native("  - {id: r, when: \"tol\", then: allow}"), "bad.yaml")
    #expect(throws: PolicyError.self) { try PolicySet.load([good, bad]) }
    do {
      _ = try PolicySet.load([bad, good, source("x", "worse.yaml")])
    } catch {
      #expect(error.problems.map(\.file) == ["bad.yaml", "worse.yaml"])
    }
  }

  @Test func emptyMeansNone() throws {
    #expect(try PolicySet.load([]).verdict(#"{"tool": "git"}"#) == .deny)
    let text = native("").replacing("rules:\n\n", with: "rules: []\n")
    #expect(try load(text).verdict(#"{"tool": "git"}"#) == .deny)
  }
}
