import JSON
import TestSupport
import Testing

/// `ring.elevate`: tools in a higher ring for a while, and no longer (docs/broker-protocol.md).
@Suite struct ElevationTests {
  static let policy = """
    apiVersion: agt-run/v1
    kind: Policy
    metadata: {name: test}
    rules:
      - {id: tools, when: kind == 'tool.call', then: allow}
      - {id: low, when: kind == 'tool.call' and target_ring == 2 and args.script contains 'evil', then: deny}
      - {id: two, when: kind == 'ring.elevate' and target_ring == 2 and ttl <= 10m, then: allow}
      - {id: not-git, when: "kind == 'ring.elevate' and 'git' in args.tools", then: deny, say: Not git.}
      - {id: one, when: kind == 'ring.elevate' and target_ring == 1 and reason != 'alone', then: require_approval, say: Ask.}
      - {id: alone, when: kind == 'ring.elevate' and target_ring == 1 and reason == 'alone', then: allow}

    """

  static func tool(_ name: String, ring: Int) -> String {
    """
    apiVersion: agt-run/v1
    kind: Tool
    metadata: {name: \(name), description: a shell}
    ring: \(ring)
    arguments: {type: object, properties: {script: {type: string}}, required: [script]}
    command: [sh, -c, "{script}"]
    """
  }

  static let helpers = """
    def begin(name, script): p.s.sendall(p.line('tool.call', name=name, arguments={'script': script}))
    def ended(reply):
        if 'error' in reply: return reply['error']['data']['code']
        r = reply['result']
        return r['outcome'] if r['outcome'] != 'exited' else r['stdout'].strip() or r['stderr']
    def call(name, script='echo $AGT_RING'):
        begin(name, script)
        return ended(p.read())
    def elevate(*tools, **params):
        reply = p.ask('ring.elevate', tools=list(tools), **params)
        if 'result' in reply: return reply['result']
        data = reply['error']['data']
        return data['code'] + ':' + data.get('reason', '')
    def release(lease): return p.ask('ring.release', lease=lease)['result']
    p = Peer()

    """

  private func command(
    _ site: BrokerSite, _ script: String, policy: String = ElevationTests.policy,
    options: [String] = [], in scratch: Scratch = Scratch()
  ) -> Command {
    for (name, ring) in [("sh", 3), ("mid", 2), ("top", 1), ("git", 3)] {
      scratch.write("\(name).yaml", Self.tool(name, ring: ring))
    }
    let files = ["sh", "mid", "top", "git"].flatMap { ["--tools", "\($0).yaml"] }
    return site.command(
      Self.helpers + script, policy: policy, options: files + options, in: scratch)
  }

  @Test(arguments: Starter.all) func whileItLives(_ starter: Starter) {
    let run = command(
      BrokerSite(ring: 3, starter: starter),
      """
      print(call('sh'), call('mid'), call('top'))
      lease = elevate('sh', 'mid', ring=2, ttl=60)
      print(lease['ring'], lease['tools'], lease['expiresInMilliseconds'])
      print(call('sh'), call('mid'), call('top'), call('git'), call('sh', 'evil'))
      # Ring 2 may write where ring 3 may not, and the agent itself is in ring 3 all the time.
      print(call('mid', ': > made && echo made'), os.environ['AGT_RING'], os.access('made', os.W_OK))
      print(release(lease['lease']), release(lease['lease']))
      print(call('sh'), call('mid'))
      """
    ).run()
    #expect(
      run.out
        == "3 not_permitted not_permitted\n2 ['sh', 'mid'] 60000\n"
        + "2 2 not_permitted 3 denied\nmade 3 False\n"
        + "{'ended': 'released', 'calls': 0} {'ended': 'released'}\n3 not_permitted\n",
      "\(run.summary)")
  }

  /// Its time, its owner's word, and its owner's end: none leaves a call behind.
  @Test(arguments: ["time", "release", "close"]) func theEndClosesWhatItOpened(_ how: String) {
    let word = "leased-\(how)-\(UInt32.random(in: 0 ... .max))"
    let running = command(
      BrokerSite(ring: 3, starter: .native),
      """
      lease = elevate('sh', 'mid', ring=2, ttl=2 if '\(how)' == 'time' else 60)['lease']
      began = time.monotonic()
      begin('mid', 'trap "" TERM; sleep 60; : \(word)')
      call('sh', 'sleep 0.2')
      if '\(how)' == 'time':
          print(ended(p.read()), 1.5 < time.monotonic() - began < 8, release(lease))
          print(call('mid'), flush=True)
      if '\(how)' == 'release':
          p.s.sendall(p.line('ring.release', lease=lease))
          answers = [p.read()['result'] for _ in range(2)]
          print(answers[0]['outcome'], answers[1], call('mid'), flush=True)
      if '\(how)' == 'close':
          for fd in (p.s.fileno(), int(os.environ['AGT_BROKER'][3:])): os.close(fd)
          print('closed', flush=True)
      time.sleep(30)
      """
    ).start()
    #expect(running.waitForOutput("\n"))
    if how != "close" { #expect(running.waitForOutput("not_permitted")) }
    let out = String(decoding: running.output, as: UTF8.self)
    switch how {
    case "time": #expect(out == "lease_ended True {'ended': 'expired'}\nnot_permitted\n", "\(out)")
    case "release":
      #expect(out == "lease_ended {'ended': 'released', 'calls': 1} not_permitted\n", "\(out)")
    default: break
    }
    func tools() -> [Int32] {
      ProcessTable.pids(withWord: word).filter {
        (File.read("/proc/\($0)/cmdline") ?? "").hasPrefix("sh\0")
      }
    }
    // What was answered is confirmed; only of a closed connection nobody was told.
    if how == "close" { #expect(Clock.eventually(5) { tools().isEmpty }) }
    #expect(tools().isEmpty, "\(tools())")
    running.signal(15)
    _ = running.wait()
  }

  @Test(arguments: Starter.all) func whatIsRefused(_ starter: Starter) {
    let scratch = Scratch()
    let run = command(
      BrokerSite(ring: 3, starter: starter),
      """
      for ring in (0, 3, 4, -1, 256 + 2): print(ring, elevate('sh', ring=ring))
      for ttl in (0, -1, 3601, 601): print(ttl, elevate('sh', ring=2, ttl=ttl))
      print(elevate('sh', 'git', ring=2), elevate('sh', ring=1, reason='x'), elevate('sh', ring=1, reason='alone'))
      print(elevate('sh', ring=2)['lease'], elevate('mid', 'sh', ring=2), elevate('mid', ring=2)['lease'])
      # The twin of what has a lease: nothing else got one.
      print(call('sh'), call('mid'), call('git'), call('top'))
      for params in ({'tools': []}, {'tools': 'sh'}, {'tools': ['sh', 'sh']}, {'tools': ['no']}, {'tools': [1]},
                     {'tools': ['sh'] * 65}, {'ring': '2'}, {'ring': 1.5}, {'ring': None}, {'ttl': '60'}, {'ttl': 0.5},
                     {'ttl': True}, {'reason': 1}, {'approval': 1}, {'lease': 'e1'}, {'client': 1}):
          line = p.line('ring.elevate', **{'tools': ['git'], 'ring': 2, **params})
          print(p.code(line), end=' ')
      print(p.code(p.line('ring.release', lease='e99')), p.code(p.line('ring.release', lease=1)))
      print(elevate('top', ring=2))
      """, in: scratch
    ).run()
    let bad = Array(repeating: "invalid_params", count: 18).joined(separator: " ")
    #expect(
      run.out
        == "0 denied:ring_0_forbidden\n3 denied:invalid_target\n4 denied:invalid_target\n"
        + "-1 denied:invalid_target\n258 denied:invalid_target\n0 denied:expired_ttl\n"
        + "-1 denied:expired_ttl\n3601 denied:expired_ttl\n601 denied:insufficient_trust\n"
        + "denied:insufficient_trust approval_required:no_sponsorship denied:no_sponsorship\n"
        + "e1 denied:duplicate_elevation e2\n2 2 3 not_permitted\n"
        + bad + "\nnot_permitted:\n", "\(run.summary)")
    let denied = BrokerSite.record(scratch)?["denials"]?.arrayValue?.compactMap {
      $0["subject"]?.stringValue
    }
    #expect(denied?.contains("ring 0") == true, "\(denied ?? [])")
  }

  /// Ring 1, by a person who sees what is asked for; and for no other connection.
  @Test(arguments: Starter.all) func aPersonGivesRing1(_ starter: Starter) throws {
    let scratch = Scratch()
    let running = command(
      BrokerSite(ring: 2, starter: starter),
      """
      def ask(**params):
          reply = p.ask('ring.elevate', tools=['sh', 'top'], ring=1, ttl=60, reason='a \\u202ereason', **params)
          return reply['error']['data']
      print(call('top'), 'approval' in ask(), flush=True)
      ticket = ask(approval=True)['approval']
      end = p.ask('approval.wait', approval=ticket)['result']
      print(end['state'], end['result']['ring'], call('sh'), call('top'))
      mine, p = p, Peer()
      print(call('top'), p.code(p.line('ring.release', lease=end['result']['lease'])))
      p = mine
      print(call('top'), release(end['result']['lease'])['ended'], call('top'))
      print(p.ask('approval.wait', approval=ask(approval=True)['approval'])['result']['state'])
      """, in: scratch
    ).start()
    #expect(running.waitForOutput("\n"))
    for words in [["approve"], ["deny"]] {
      var id: String?
      var text = ""
      _ = Clock.eventually(10) {
        var pending = Command(
          starter.prefix + [Binaries.agt, "pending", "--json"], in: scratch.path)
        pending.environment[1] = "HOME=\(scratch.home)"
        let all = (try? JSONParser.parse(pending.run().output))?.arrayValue ?? []
        let mine = all.first { ($0["text"]?.stringValue ?? "").contains(scratch.path) }
        id = mine?["id"]?.stringValue
        text = mine?["text"]?.stringValue ?? ""
        return id != nil
      }
      #expect(text.contains("targetRing: 1") && text.contains("\"tool\":\"top\""), "\(text)")
      #expect(
        text.split(separator: "\n").last == "asked (untrusted): {\"reason\":\"a \\u202ereason\"}")
      var answer = Command(
        starter.prefix + [Binaries.agt] + words + [try #require(id)], in: scratch.path)
      answer.environment[1] = "HOME=\(scratch.home)"
      #expect(answer.run().status == 0)
    }
    let run = running.wait()
    #expect(
      run.out
        == "not_permitted False\napproved 1 1 1\nnot_permitted invalid_params\n"
        + "1 released not_permitted\ndenied\n", "\(run.summary)")
  }

  /// A tool in the higher ring has a broker of its own, and no lease of its caller's.
  @Test func anotherRunHasNoneOfIt() {
    let scratch = Scratch()
    scratch.write(
      "inner.py",
      BrokerSite.prelude + """
        q = Peer()
        print(q.hello['result']['ring'], q.code(q.line('ring.release', lease='e1')), q.code(q.line('tool.call', name='mid')),
              q.code(q.line('ring.elevate', tools=['mid'], ring=1)))

        """)
    let run = command(
      BrokerSite(ring: 3, starter: .native),
      """
      print(elevate('mid', ring=2)['lease'])
      print(call('mid', 'exec python3 inner.py'))
      print(call('mid'))
      """, in: scratch
    ).run()
    #expect(run.out == "e1\n2 invalid_params invalid_params invalid_params\n2\n", "\(run.summary)")
  }

  @Test func nothingOnHold() {
    let policy = Self.policy.replacing(
      "rules:\n",
      with: "violations:\n"
        + "  - {when: \"kind == 'broker.denied' and target_ring == 0\", do: {after: 1, within: 60s, then: hold}}\n"
        + "rules:\n")
    let run = command(
      BrokerSite(ring: 3, starter: .native),
      """
      print(elevate('mid', ring=2)['lease'], elevate('sh', ring=0), elevate('sh', ring=2), call('mid'))
      """, policy: policy
    ).run()
    #expect(run.out == "e1 denied:ring_0_forbidden held: held\n", "\(run.summary)")
  }

  @Test func recorded() throws {
    let site = AuditLogTests.Site()
    site.scratch.write("policy.yaml", Self.policy)
    site.scratch.write("mid.yaml", Self.tool("mid", ring: 2))
    let run = site.run([
      "--policy", "policy.yaml", "--tools", "mid.yaml", "--", "python3", "-c",
      BrokerSite.prelude + Self.helpers + """
        lease = elevate('mid', ring=2, ttl=60, reason='why \\x1b')['lease']
        print(call('mid'), elevate('mid', ring=0), release(lease)['ended'])
        elevate('mid', ring=2)
        """,
    ])
    #expect(run.out == "2 denied:ring_0_forbidden released\n", "\(run.summary)")
    let id = try #require(
      site.entries(["--kind", "run.start"]).first?["data"]?["run"]?.stringValue)
    let entries = site.entries([id])
    let kinds = entries.compactMap { $0["kind"]?.stringValue }
    #expect(
      Array(kinds.drop { $0 != "run.program" }) == [
        "run.program", "decision", "elevation.granted", "decision", "tool.start", "tool.end",
        "decision", "elevation.ended", "decision", "elevation.granted", "elevation.ended",
        "run.end",
      ], "\(kinds)")
    func data(_ kind: String) -> [JSONValue] {
      entries.filter { $0["kind"]?.stringValue == kind }.compactMap { $0["data"] }
    }
    let granted = data("elevation.granted")
    #expect(granted.first?["decision"] == 1 && granted.first?["ring"] == 2)
    #expect(granted.first?["untrustedReason"] == "why  " && granted.first?["approval"] == .null)
    #expect(data("tool.start").first?["lease"] == "e1" && data("tool.start").first?["ring"] == 2)
    #expect(data("elevation.ended").map { $0["reason"] } == ["released", "client_gone"])
    #expect(data("decision")[2]["verdict"] == "deny" && data("decision")[2]["rule"] == .null)
    for entry in entries { AuditLogTests.expectDocumented(entry) }
    #expect(site.agt(["log", "verify"]).status == 0)
  }

  @Test(arguments: Starter.all) func python(_ starter: Starter) {
    let scratch = Scratch()
    scratch.write("agt.py", BrokerClientTests.client)
    let run = command(
      BrokerSite(ring: 3, starter: starter),
      """
      sys.path.insert(0, os.getcwd())
      p.s.close()
      import agt, asyncio
      def ring(): return agt.tool('mid', script='echo $AGT_RING').stdout.strip()
      with agt.elevate('mid', ring=2, ttl=60) as lease:
          print(lease.ring, lease.tools, lease.seconds, ring())
      try: ring()
      except agt.RequestError as error: print(error.code)
      async def later():
          async with agt.elevate('mid', ring=2): return (await agt.atool('mid', script='echo $AGT_RING')).stdout
      print(asyncio.run(later()).strip())
      for options in ({'ring': 0}, {'ring': 1, 'reason': 'x'}, {'ring': 2, 'ttl': 4000}):
          try:
              with agt.elevate('mid', **options): print('never')
          except agt.GovernanceDenied as error: print(type(error).__name__, error.reason)
      try:
          with agt.elevate('mid', ring=2, ttl=1): print(agt.tool('mid', script='sleep 60').outcome)
      finally: print('out')
      """, in: scratch
    ).run()
    #expect(
      run.out
        == "2 ('mid',) 60.0 2\nnot_permitted\n2\nGovernanceDenied ring_0_forbidden\n"
        + "ApprovalRequired no_sponsorship\nGovernanceDenied expired_ttl\nlease_ended\nout\n",
      "\(run.summary)")
  }
}
