import JSON
import TestSupport
import Testing

/// Requests that wait for people (docs/approvals.md).
@Suite struct ApprovalTests {
  private static let policy = """
    apiVersion: agt-run/v1
    kind: Policy
    metadata: {name: test}
    rules:
      - {id: mail, when: tool == 'mail', then: require_approval, say: A person looks at mail first.}
      - {id: quick, when: tool == 'quick', then: require_approval, approvers: {users: ['0', '61234'], expires: 300ms}}
      - {id: late, when: tool == 'late', then: require_approval, approvers: {users: ['0', '61234'], useWithin: 200ms}}
      - {id: two, when: tool == 'two', then: require_approval, approvers: {users: ['0', '61234'], quorum: 2}}
      - {id: three, when: tool == 'three', then: require_approval, approvers: {users: ['0', '61234', '7'], quorum: 3}}
      - {id: other, when: tool == 'other', then: require_approval, approvers: {users: [nobody-here]}}
      - {id: script, when: kind == 'tool.call', then: require_approval}

    """

  /// A run in ring 3, and the operator's answers to what it parks, one after another.
  private func run(
    _ script: String, as starter: Starter = .native, in scratch: Scratch = Scratch(),
    policy: String = ApprovalTests.policy, answers: [(Starter, [String])]
  ) throws -> (run: Completed, said: [Completed]) {
    scratch.write("tool.yaml", BrokerSite.shell(ring: 3))
    let running = BrokerSite(ring: 3, starter: starter).command(
      """
      def ask(tool): return p.ask('policy.decide', tool=tool, approval=True, args={'to': 'a\\u202eb'})['result']
      def wait(ticket): return p.ask('approval.wait', approval=ticket)['result']
      def status(ticket): return p.ask('approval.status', approval=ticket)['result']['state']
      p = Peer()

      """ + script, policy: policy, options: ["--tools", "tool.yaml"], in: scratch
    ).start()
    var said: [Completed] = []
    for (person, words) in answers {
      var id: String?
      _ = Clock.eventually(10) {
        let listed = Self.agt(["pending", "--json"], as: person, scratch).run()
        let all = (try? JSONParser.parse(listed.output))?.arrayValue ?? []
        id =
          all.first { ($0["text"]?.stringValue ?? "").contains(scratch.path) }?["id"]?.stringValue
        return id != nil
      }
      let request = try #require(id)
      said.append(Self.agt(words.map { $0 == "ID" ? request : $0 }, as: person, scratch).run())
    }
    return (running.wait(), said)
  }

  static func agt(_ words: [String], as person: Starter, _ scratch: Scratch) -> Command {
    var command = Command(person.prefix + [Binaries.agt] + words, in: scratch.path)
    command.environment[1] = "HOME=\(scratch.home)"
    return command
  }

  @Test(arguments: Starter.all) func approved(_ starter: Starter) throws {
    let (run, said) = try run(
      """
      asked = ask('mail')
      print(asked['verdict'], len(asked['approval']), asked['expiresInMilliseconds'])
      print(status(asked['approval']), wait(asked['approval']), status(asked['approval']))
      print(wait(asked['approval']))
      plain = p.ask('policy.decide', tool='mail')['result']
      print('approval' in plain, p.code(p.line('approval.wait', approval='none')))
      """, as: starter, answers: [(starter, ["approve", "ID", "--reason", "fine"])])
    #expect(
      run.out
        == "require_approval 12 300000\npending {'state': 'approved'} used\n{'state': 'used'}\n"
        + "False invalid_params\n", "\(run.summary)")
    #expect(said[0].out.hasSuffix(" is approved\n"), "\(said[0].summary)")
  }

  @Test func denied() throws {
    let (run, said) = try run(
      "print(wait(ask('mail')['approval']))",
      answers: [(.native, ["deny", "ID", "--reason", "not \u{1B}[31mtoday"])])
    #expect(run.out.hasPrefix("{'state': 'denied', 'by': "), "\(run.summary)")
    #expect(run.out.hasSuffix("'reason': 'not  [31mtoday'}\n"))
    #expect(said[0].out.hasSuffix(" is denied\n"))
  }

  /// What is executed is what was shown, and comes from the supervisor's memory.
  @Test func toolsAreExecutedAsApproved() throws {
    let (run, _) = try run(
      """
      line = p.line('tool.call', name='sh', arguments={'script': 'echo "$AGT_RING"'}, approval=True)
      refused = p.raw(line)['error']['data']
      print(refused['code'])
      print({k: v for k, v in wait(refused['approval'])['result'].items() if k in ('outcome', 'stdout')})
      print(p.code(p.line('tool.call', name='sh', arguments={'script': 'id'})))
      """, answers: [(.native, ["approve", "ID"])])
    #expect(
      run.out
        == "approval_required\n{'outcome': 'exited', 'stdout': '3\\n'}\napproval_required\n",
      "\(run.summary)")
  }

  /// A hold is stronger than an approval, also than one that was asked for before.
  @Test func nothingIsExecutedOnHold() throws {
    let policy = Self.policy.replacing(
      "rules:\n",
      with: "violations:\n"
        + "  - {when: \"kind == 'broker.denied'\", do: {after: 1, within: 60s, then: hold}}\n"
        + "rules:\n  - {id: drop, when: tool == 'drop', then: deny}\n")
    let (run, _) = try run(
      """
      line = p.line('tool.call', name='sh', arguments={'script': 'echo ran'}, approval=True)
      ticket = p.raw(line)['error']['data']['approval']
      p.s.sendall(p.line('approval.wait', approval=ticket))
      print(p.verdict(tool='drop'))
      end = p.read()['result']
      print(end['state'], end['error'], 'result' in end)
      """, policy: policy, answers: [(.native, ["approve", "ID"])])
    #expect(
      run.out == "deny\napproved the run is on hold: everything is denied until it ends False\n",
      "\(run.summary)")
  }

  @Test func nobodyInTime() throws {
    let (run, _) = try run(
      """
      began = time.monotonic()
      print(wait(ask('quick')['approval']), 0.2 < time.monotonic() - began < 5)
      # Nobody could answer: three people, and one who does not exist.
      for tool in ('three', 'other'): print(ask(tool)['verdict'], 'approval' in ask(tool))
      many = [ask('mail') for _ in range(16)]
      print(p.code(p.line('policy.decide', tool='mail', approval=True)))
      """, answers: [])
    #expect(
      run.out == "{'state': 'expired'} True\ndeny False\ndeny False\nbusy\n", "\(run.summary)")
  }

  @Test func approvedAndNotUsed() throws {
    let (run, _) = try run(
      """
      asked = ask('late')['approval']
      while status(asked) == 'pending': time.sleep(0.02)
      print(status(asked))
      time.sleep(0.3)
      print(wait(asked))
      """, answers: [(.native, ["approve", "ID"])])
    #expect(run.out == "approved\n{'state': 'expired'}\n", "\(run.summary)")
  }

  /// Two different people: the user who started it, and root. One of them twice is one.
  @Test(.enabled("needs root, to be two people", { Starter.isRoot })) func quorum() throws {
    let scratch = Scratch()
    scratch.write("tool.yaml", BrokerSite.shell(ring: 3))
    let running = BrokerSite(ring: 3, starter: .ordinary).command(
      """
      p = Peer()
      asked = p.ask('policy.decide', tool='two', approval=True)['result']
      print(asked['approval'], p.hello['result']['run'], flush=True)
      print(p.ask('approval.wait', approval=asked['approval'])['result'])
      """, policy: Self.policy, in: scratch
    ).start()
    #expect(running.waitForOutput("\n"))
    let words = String(decoding: running.output, as: UTF8.self).split { $0 == " " || $0 == "\n" }
    let (id, number) = (String(words[0]), String(words[1]))
    func say(_ method: String, _ person: Starter) -> Completed {
      Self.agt([method, id], as: person, scratch).run()
    }
    let short = Self.agt(["approve", String(id.prefix(5))], as: .ordinary, scratch).run()
    #expect(
      short.status == 2 && short.err.contains("6 digits of the id are needed"), "\(short.summary)")
    #expect(say("approve", .ordinary).out == "\(id) is pending\n")
    #expect(say("approve", .ordinary).err.contains("you have approved it already"))
    // Root has a place of its own for runs; it speaks to this one's socket.
    let script = """
      import json, socket, sys
      def say(**request):
          s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
          s.connect(sys.argv[1])
          s.send(json.dumps(request).encode())
          return json.loads(s.recv(65536).decode())
      # What was not shown is not approved.
      for other in [{}, {'digest': 'sha256:' + '0' * 64}]:
          print(say(method='approve', id=sys.argv[2], **other)['error'])
      digest = say(method='pending')['pending'][0]['request']['digest']
      print(json.dumps(say(method='approve', id=sys.argv[2], digest=digest)))
      """
    let socket = "/tmp/agt-\(Starter.ordinaryID)/\(number)/operator.sock"
    let root = Command(["/usr/bin/python3", "-c", script, socket, id]).run()
    let refused = "request \(id) is not the one that was shown\n"
    #expect(root.out.hasPrefix(refused + refused), "\(root.summary)")
    #expect(root.out.contains("\"state\": \"approved\""), "\(root.summary)")
    #expect(running.wait().out == "\(id) \(number)\n{'state': 'approved'}\n")
  }

  /// The conversation of docs/approvals.md is a real one.
  @Test func document() throws {
    let block = try #require(DocumentedExchange.blocks("exchange", of: "approvals.md").first)
    let policy = try #require(DocumentedExchange.blocks("yaml", of: "broker-protocol.md").first)
    let scratch = Scratch()
    scratch.write("lines", block.joined(separator: "\n") + "\n")
    let running = BrokerSite(ring: 3, starter: .native).command(
      """
      p = Peer(greet=False)
      ticket = ''
      for line in open('lines', encoding='utf-8'):
          if line.startswith('→ '): p.s.sendall(line[2:].replace('$approval', ticket).encode())
          if line.startswith('← '):
              reply = p.read()
              ticket = reply['result'].get('approval', ticket)
              print(json.dumps(reply, ensure_ascii=False), flush=True)
      """, policy: policy.joined(separator: "\n") + "\n", in: scratch
    ).start()
    #expect(running.waitForOutput("\"pending\""))
    let said = String(decoding: running.output, as: UTF8.self)
    let id = said.firstMatch(of: /"approval": "([0-9a-f]+)"/).map { String($0.1) } ?? ""
    #expect(block.contains("$ agt approve $approval"))
    #expect(Self.agt(["approve", id], as: .native, scratch).run().status == 0)
    let run = running.wait()
    let written = block.filter { $0.hasPrefix("← ") }.map { String($0.dropFirst(2)) }
    let real = run.out.split(separator: "\n").map(String.init)
    #expect(real.count == written.count, "\(run.summary)")
    for (real, written) in zip(real, written) {
      #expect(try DocumentedExchange.isMatch(real, written), "\(real)\nis not\n\(written)")
    }
  }

  /// What people see: facts first, the agent's text last and harmless.
  @Test func whatIsShown() throws {
    let scratch = Scratch()
    let (_, said) = try run(
      "print(wait(ask('mail')['approval']))", in: scratch,
      answers: [(.native, ["pending"]), (.native, ["deny", "ID"])])
    // Requests of other tests can be listed as well.
    var lines: [String] = []
    for line in said[0].out.split(separator: "\n").map(String.init) {
      if !line.hasPrefix("  ") {
        if lines.contains(where: { $0.contains(scratch.path) }) { break }
        lines = []
      }
      lines.append(line)
    }
    #expect(lines.first?.contains("0 of 1 approvals") == true, "\(said[0].summary)")
    #expect(lines.contains { $0.hasPrefix("  ring: 3") })
    let last = lines.last { $0.contains("(untrusted)") } ?? ""
    #expect(last.contains("\"tool\":\"mail\"") && !last.contains("\u{202E}"), "\(lines)")
  }
}
