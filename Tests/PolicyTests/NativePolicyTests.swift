internal import JSON
internal import Network
internal import Testing

@testable internal import Policy

@Suite struct NativePolicyTests {
  static let codingAgent = """
    apiVersion: agt-run/v1
    kind: Policy
    metadata: {name: coding-agent}
    network:
      - {host: api.openai.com, ports: [443], why: model API}
      - {host: "*.githubusercontent.com", ports: [443]}
      - {cidr: 10.20.0.0/16, ports: [5432], why: staging database}
    rules:
      - id: no-force-push
        when: tool == 'git' and '--force' in args
        then: deny
        say: Force pushes are not allowed; push to a branch and open a pull request.
        examples: {match: [{tool: git, args: [push, --force]}], notMatch: [{tool: git, args: [push]}]}
      - id: git
        when: tool == 'git'
        then: allow
      - id: mail-needs-a-human
        when: tool == 'send_email'
        then: require_approval
        approvers: {group: security, quorum: 1, expires: 5m}
      - id: reads
        when: tool in ['read_file', 'list_dir'] and path startswith '/workspace/'
        then: allow
    violations:
      - {when: "kind == 'syscall' and name in ['ptrace', 'bpf', 'mount']", do: kill}
      - {when: "kind == 'broker.denied'", do: {after: 3, within: 60s, then: kill}}
    """

  @Test(arguments: [
    (#"{"tool": "git", "args": ["push"]}"#, Verdict.allow),
    (#"{"tool": "git", "args": ["push", "--force"]}"#, .deny),
    (#"{"tool": "git"}"#, .deny),
    (#"{"tool": "send_email"}"#, .requireApproval),
    (#"{"tool": "read_file", "path": "/workspace/a"}"#, .allow),
    (#"{"tool": "read_file", "path": "/workspace/../etc/passwd"}"#, .deny),
    (#"{"tool": "read_file", "path": "/workspace"}"#, .deny),
    (#"{"tool": "read_file"}"#, .deny),
    (#"{"tool": "rm"}"#, .deny),
    (#"{}"#, .deny),
    (#"{"kind": "file.open", "path": "/workspace/a"}"#, .deny),
  ])
  func decides(_ json: String, _ verdict: Verdict) throws {
    #expect(try load(Self.codingAgent).verdict(json) == verdict)
  }

  @Test func hiddenNamesAreAllowedByName() throws {
    let set = try load(
      """
      apiVersion: agt-run/v1
      kind: Policy
      metadata: {name: web}
      network:
        - {host: a.example.org, ports: [443], encryptedHello: true}
        - {host: b.example.org, ports: [443]}
      """)
    #expect(set.networkRule(host: "a.example.org", port: 443)?.allowsEncryptedHello == true)
    #expect(set.networkRule(host: "b.example.org", port: 443)?.allowsEncryptedHello == false)
  }

  @Test func rulesAboutToolsConcernNothingElse() throws {
    let set = try load(
      native(
        """
          - {id: no-rm, when: "tool == 'rm'", then: deny}
          - {id: open, when: "kind == 'file.open' and path under '/w'", then: allow}
          - {id: others, when: "tool != 'rm'", then: allow}
          - {id: not, when: "not (tool in ['rm', 'mv'])", then: allow}
          - {id: any, when: "exists(tool)", then: allow}
        """))
    #expect(try set.verdict(#"{"kind": "file.open", "path": "/etc/a"}"#) == .deny)
    #expect(try set.verdict(#"{"kind": "ring.elevate", "target_ring": 1}"#) == .deny)
    #expect(try set.verdict(#"{"kind": "tool.call", "tool": "ls"}"#) == .allow)
    #expect(try set.verdict(#"{"kind": "file.open", "path": "/w/a"}"#) == .allow)
    #expect(try set.verdict(#"{"kind": "file.open", "path": "/w/a", "tool": "rm"}"#) == .deny)
    #expect(try set.verdict(#"{"kind": "policy.decide", "path": "/w/a"}"#) == .deny)
  }

  @Test func explainsItself() throws {
    let set = try load(Self.codingAgent)
    let decision = set.decide(try request(#"{"tool": "git", "args": ["push", "--force"]}"#))
    #expect(decision.rules.map(\.id) == ["no-force-push", "git"])
    #expect(decision.reason.hasPrefix("Force pushes"))
    #expect(decision.operatorReason == "p.yaml:9:5: no-force-push (deny)")
    #expect(decision.policyDigest.hasPrefix("sha256:"))
    let mail = set.decide(try request(#"{"tool": "send_email"}"#))
    let approval = Approval(groups: ["security"], quorum: 1, expiresMilliseconds: 300_000)
    #expect(mail.obligations == [.approval(approval)])
  }

  @Test func missingFieldOfDenyRuleDenies() throws {
    let set = try load(
      native(
        """
          - {id: big, when: "tool == 'pay' and args.amount > 100", then: deny}
          - {id: pay, when: "tool == 'pay'", then: allow}
        """))
    #expect(try set.verdict(#"{"tool": "pay", "args": {"amount": 100}}"#) == .allow)
    #expect(try set.verdict(#"{"tool": "pay", "args": {"amount": 101}}"#) == .deny)
    #expect(try set.verdict(#"{"tool": "pay", "args": {}}"#) == .deny)
    #expect(try set.verdict(#"{"tool": "pay", "args": {"amount": "101"}}"#) == .deny)
    let decision = set.decide(try request(#"{"tool": "pay"}"#))
    #expect(decision.rules[0].isUncertain)
    #expect(decision.operatorReason.contains("missing"))
  }

  @Test func unknownApprovalRestrictsAndOpensNothing() throws {
    let rule = #"  - {id: ask, when: "args.to == 'boss'", then: require_approval}"#
    #expect(try load(native(rule)).verdict(#"{"tool": "mail"}"#) == .deny)
    let open = rule + "\n  - {id: mail, when: \"tool == 'mail'\", then: allow}"
    #expect(try load(native(open)).verdict(#"{"tool": "mail"}"#) == .requireApproval)
  }

  @Test(arguments: [
    (#"{"tool": "a\u0000b"}"#, "control"), (#"{"tool": "a\u001b[0m"}"#, "control"),
    (#"{"tool": "a\u202eb"}"#, "control"), (#"{"path": "/a\u0000"}"#, "control"),
    (#"{"tool": ["git"]}"#, "text"), (#"{"port": "443"}"#, "number"),
    (#"{"host": "a b"}"#, "host names do not have"), (#"{"host": "127.1"}"#, "address"),
    (#"{"stage": "later"}"#, "stage"), (#"{"ip": "1.2.3.04"}"#, "IP address"),
  ])
  func refusesMalformedRequests(_ json: String, _ cause: String) throws {
    let set = try load(native(#"  - {id: all, when: "true", then: allow}"#))
    let decision = set.decide(try request(json))
    #expect(decision.verdict == .deny)
    #expect(decision.reason.contains(cause), "\(decision.reason)")
    #expect(try set.verdict("{}") == .allow)
  }

  @Test func exampleThatFailsRefusesTheFile() {
    let rule = """
        - id: r
          when: tool == 'a'
          then: allow
          examples:
            match: [{tool: b}]
            notMatch: [{tool: a}]
      """
    #expect(
      refusals(native(rule)) == [
        "p.yaml:10:15: this example under \"match\" does not match the rule \"r\"; correct the "
          + "condition or the example",
        "p.yaml:11:18: this example under \"notMatch\" matches the rule \"r\"; correct the "
          + "condition or the example",
      ])
  }

  @Test func agentsAndStages() throws {
    let set = try load(
      native(
        """
          - {id: r, when: "tool == 'a'", then: allow}
          - {id: out, when: "true", then: deny, stage: pre_output}
        """, extra: "agents: [alice, bob]"))
    #expect(try set.verdict(#"{"tool": "a", "agent": "alice"}"#) == .allow)
    #expect(try set.verdict(#"{"tool": "a", "agent": {"id": "bob"}}"#) == .allow)
    #expect(try set.verdict(#"{"tool": "a", "agent": "eve"}"#) == .deny)
    #expect(try set.verdict(#"{"tool": "a"}"#) == .deny)
    #expect(try set.verdict(#"{"tool": "a", "agent": "bob", "stage": "pre_output"}"#) == .deny)
  }

  @Test func extendsAddsRules() throws {
    let base = native(#"  - {id: no-rm, when: "tool == 'rm'", then: deny}"#)
    let derived = native(
      #"  - {id: all, when: "exists(tool)", then: allow}"#, extra: "extends: base/base.yaml")
    let set = try load(
      derived, file: "policies/p.yaml", others: ["policies/base/base.yaml": base])
    #expect(try set.verdict(#"{"tool": "rm"}"#) == .deny)
    #expect(try set.verdict(#"{"tool": "ls"}"#) == .allow)
    #expect(
      set.decide(try request(#"{"tool": "rm"}"#)).operatorReason
        == "policies/base/base.yaml:6:5: no-rm (deny)")
  }

  @Test(arguments: [
    ("../base.yaml", "leads out of the policy's folder"),
    ("/etc/base.yaml", "leads out of the policy's folder"),
    ("a/../../base.yaml", "leads out of the policy's folder"),
    ("none.yaml", "cannot read \"policies/none.yaml\": No such file"),
    ("p.yaml", "a cycle of extends: policies/p.yaml → policies/p.yaml"),
    ("b.yaml", "a cycle of extends: policies/p.yaml → policies/b.yaml → policies/p.yaml"),
  ])
  func extendsIsConfined(_ path: String, _ cause: String) {
    let text = native("  []", extra: "extends: \(path)").replacing(
      "rules:\n  []", with: "rules: []")
    let other = text.replacing("extends: \(path)", with: "extends: p.yaml")
    let messages = refusals(
      text, file: "policies/p.yaml",
      others: ["policies/b.yaml": other, "policies/p.yaml": text, "base.yaml": text])
    #expect(messages.count == 1 && messages[0].contains(cause), "\(messages)")
  }

  @Test func limitsCount() throws {
    let set = try load(native(#"  - {id: r, when: "tool == 'a'", then: allow, limit: 2/minute}"#))
    let first = try request(#"{"tool": "a", "agent": "x"}"#)
    var buckets = TokenBuckets()
    let verdicts = [0, 1, 2, 29_999, 30_001, 30_002].map { time in
      set.decide(first, buckets: &buckets, nowMilliseconds: time).verdict
    }
    #expect(verdicts == [.allow, .allow, .deny, .deny, .allow, .deny])
    let other = try request(#"{"tool": "a", "agent": "y"}"#)
    #expect(set.decide(other, buckets: &buckets, nowMilliseconds: 30_003).verdict == .allow)
  }

  @Test func networkRules() throws {
    let set = try load(Self.codingAgent)
    #expect(set.networkRule(host: "API.OpenAI.com.", port: 443)?.why == "model API")
    #expect(set.networkRule(host: "api.openai.com", port: 80) == nil)
    #expect(set.networkRule(host: "raw.githubusercontent.com", port: 443) != nil)
    #expect(set.networkRule(host: "githubusercontent.com", port: 443) == nil)
    #expect(set.networkRule(host: "evilgithubusercontent.com", port: 443) == nil)
    #expect(set.networkRule(host: "10.20.3.4", port: 5432) != nil)
    #expect(set.networkRule(host: "::ffff:10.20.3.4", port: 5432) != nil)
    #expect(set.networkRule(host: "10.21.3.4", port: 5432) == nil)
    let reach = NetworkRules(set.network)
    _ = try reach.rule(address: try #require(IPAddress("10.20.0.1")), port: 5432)
    #expect(reach.isResolvable("api.openai.com"))
    #expect(!reach.isResolvable("example.org"))
    #expect(reach.ports == [443, 5432])
  }

  @Test func violationTriggers() throws {
    let set = try load(Self.codingAgent)
    var windows = ViolationWindows()
    let trace = try request(#"{"kind": "syscall", "name": "ptrace"}"#)
    let hit = set.violations(trace, windows: &windows, nowMilliseconds: 0)
    #expect(hit.map(\.action) == [.kill])
    let denied = try request(#"{"kind": "broker.denied"}"#)
    let counts = [0, 1_000, 61_500, 62_000, 62_001].map { time in
      set.violations(denied, windows: &windows, nowMilliseconds: time).count
    }
    #expect(counts == [0, 0, 0, 0, 1])
  }
}
