import JSON
import TestSupport
import Testing

/// What rules of a policy oblige a run to beside their verdict, and what its defaults demand of the whole run
/// (docs/policy-language.md, docs/compatibility.md).
@Suite struct ObligationTests {
  private static let policy = """
    apiVersion: agt-run/v1
    kind: Policy
    metadata: {name: test}
    rules:
      - {id: tools, when: kind == 'tool.call', then: allow}
      - {id: fine, when: tool == 'fine', then: allow}
      - {id: noted, when: tool == 'noted', then: allow, obligations: [audit, {warn: Mind the gap.}]}
      - {id: over, when: tool == 'over', then: deny, obligations: [kill], say: That was it.}
      - {id: back, when: tool == 'back', then: allow, obligations: [rollback]}
      - {id: lower, when: tool == 'lower', then: allow, obligations: [{demote: 3}]}
      - {id: mighty, when: tool == 'mighty' and ring == 2, then: allow}
      - {id: files, when: kind == 'file.open', then: allow}
    violations:
      - {when: "kind == 'broker.denied'", do: {after: 50, within: 60s, then: hold}}

    """

  @Test(arguments: Starter.all) func kill(_ starter: Starter) {
    let scratch = Scratch()
    let run = BrokerSite(ring: 3, starter: starter).command(
      """
      p = Peer()
      print(p.verdict(tool='fine'), flush=True)
      p.verdict(tool='over')
      time.sleep(20)
      """, policy: Self.policy, in: scratch
    ).run()
    #expect(run.status == 137 && run.out == "allow\n", "\(run.summary)")
    let record = try? JSONParser.parse(Array((scratch.read("result.json") ?? "").utf8))
    #expect(record?["kill"]?["reason"] == "policy_violation", "\(run.summary)")
    #expect(record?["kill"]?["rule"] == "policy.yaml:8:5", "\(scratch.read("result.json") ?? "")")
  }

  @Test(arguments: Starter.all) func rollback(_ starter: Starter) {
    let scratch = Scratch()
    let script =
      BrokerSite.prelude + """
        p = Peer()
        open('made', 'w').close()
        print(p.verdict(tool='fine'), flush=True)
        p.verdict(tool='back')
        time.sleep(20)
        """
    scratch.write("policy.yaml", Self.policy)
    let run = Command.agtRun(
      [
        "--ring", "2", "--txn=commit-on-success", "--policy", "policy.yaml", "--",
        "/usr/bin/python3", "-c", script,
      ], as: starter, in: scratch
    ).run()
    #expect(run.status == 137 && run.out == "allow\n", "\(run.summary)")
    #expect(scratch.read("made") == nil, "\(run.summary)")
    let left = Command([Binaries.agt, "txn", "list"], in: scratch.path).run()
    #expect(!left.out.contains(scratch.path), "\(left.summary)")
  }

  /// Requests count as those of the lower ring from then on, in every connection, and nobody is promoted.
  @Test(arguments: Starter.all) func demote(_ starter: Starter) {
    let scratch = Scratch()
    scratch.write("sh.yaml", BrokerSite.shell(ring: 2))
    scratch.write("made", "", mode: 0o666)
    let run = BrokerSite(ring: 2, starter: starter).command(
      """
      p, q = Peer(), Peer()
      def tool(): return p.code(p.line('tool.call', name='sh', arguments={'script': 'exit 0'}))
      def write(): return q.code(q.line('file.open', path=os.getcwd() + '/made', mode='write'))
      print(p.verdict(tool='mighty'), q.hello['result']['ring'], tool(), write(), 'net.connect' in Peer().hello['result']['methods'])
      print(p.verdict(tool='lower'), p.verdict(tool='lower'))
      print(p.verdict(tool='mighty'), q.verdict(tool='mighty'), Peer().hello['result']['ring'], tool(), write())
      print('net.connect' in Peer().hello['result']['methods'], q.code(q.line('net.connect', host='localhost', port=1)))
      """, policy: Self.policy, options: ["--tools", "sh.yaml"], in: scratch
    ).run()
    #expect(
      run.out == "allow 2 ok ok True\nallow allow\ndeny deny 3 not_permitted not_permitted\n"
        + "False not_permitted\n", "\(run.summary)")
  }

  @Test func recorded() throws {
    let site = AuditLogTests.Site()
    site.scratch.write("policy.yaml", Self.policy)
    let run = site.run([
      "--policy", "policy.yaml", "--", "python3", "-c",
      BrokerSite.prelude + """
        p = Peer()
        for tool in ['fine', 'fine', 'noted', 'noted']: print(p.ask('policy.decide', tool=tool)['result'].get('warning'))
        """,
    ])
    #expect(run.out == "None\nNone\nMind the gap.\nMind the gap.\n", "\(run.summary)")
    let id = try #require(
      site.entries(["--kind", "run.start"]).first?["data"]?["run"]?.stringValue)
    let entries = site.entries([id, "--kind", "decision"])
    // Equal ones share an entry, unless each is to be audited.
    #expect(entries.count == 3, "\(entries)")
    #expect(entries.first?["data"]?["obligations"] == nil && entries.first?["data"]?["count"] == 2)
    let told: JSONValue = [["name": "audit"], ["name": "warn", "text": "Mind the gap."]]
    #expect(entries.dropFirst().allSatisfy { $0["data"]?["obligations"] == told }, "\(entries)")
    for entry in entries { AuditLogTests.expectDocumented(entry) }
  }

  /// A document's defaults bound the run, and nothing makes them wider.
  @Test(arguments: [[], ["--memory", "8GiB", "--timeout", "1h"]])
  func defaults(_ options: [String]) {
    let scratch = Scratch()
    scratch.write(
      "policy.yaml",
      """
      name: bounds
      rules: []
      defaults: {action: allow, max_memory_mb: 300, timeout_seconds: 1, max_tokens: 10}
      """)
    let script =
      BrokerSite.prelude + """
        import resource
        p = Peer()
        print(resource.getrlimit(resource.RLIMIT_DATA)[1] >> 20, p.verdict(token_count=10), p.verdict(token_count=11), flush=True)
        time.sleep(20)
        """
    let run = Command.agtRun(
      ["--ring", "2", "--policy", "policy.yaml"] + options + [
        "--", "/usr/bin/python3", "-c", script,
      ],
      as: .native, in: scratch
    ).run()
    #expect(run.status == 124 && run.out == "300 allow deny\n", "\(run.summary)")
  }

  /// What cannot be enforced is not promised.
  @Test func processors() {
    let scratch = Scratch()
    scratch.write(
      "policy.yaml",
      "name: bounds\nrules: []\ndefaults: {action: allow, max_cpu: 0.5}\n")
    let run = Command.agtRun(
      ["--ring", "2", "--cgroup", "none", "--policy", "policy.yaml", "--", "true"], as: .native,
      in: scratch
    ).run()
    #expect(run.status == 126 && run.err.contains("a policy's max_cpu"), "\(run.summary)")
  }
}
