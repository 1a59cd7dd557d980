import JSON
import TestSupport
import Testing

/// The broker's protocol, spoken by a raw socket inside the rings (docs/broker-protocol.md).
@Suite struct BrokerProtocolTests {
  @Test(arguments: BrokerSite.all) func verdicts(_ site: BrokerSite) {
    let scratch = Scratch()
    let run = site.command(
      """
      p = Peer()
      hello = p.hello['result']
      print(hello['protocol'], hello['ring'], hello['agent'], hello['methods'][:2])
      print(len(hello['run']), hello['policy'][:7], hello['limits']['lineBytes'], hello['limits']['depth'])
      for tool in ['read', 'drop', 'mail', 'other', 'who']:
          result = p.ask('policy.decide', tool=tool, args={'n': 1})['result']
          print(tool, result['verdict'], result['decision'], result['rules'], result.get('reason'))
      print(p.verdict(), p.verdict(tool='read\\x00'), p.verdict(tool=7))
      print(p.ask('log.note', text='\\x1b[31mhi')['result'])
      """, options: ["--agent", "a-1"], in: scratch
    ).run()
    #expect(
      run.out
        == "1 \(site.ring) a-1 ['agt.hello', 'policy.decide']\n26 sha256: 65536 32\n"
        + "read allow 1 ['reads'] Reading is fine.\n"
        + "drop deny 2 ['no-drop'] Nothing is dropped.\n"
        + "mail require_approval 3 ['mail'] A person looks at mail first.\n"
        + "other deny 4 [] Nothing allows this; the default is to deny it.\n"
        + "who allow 5 ['mine'] Allowed by the rule mine.\n"
        + "deny deny deny\n{}\n", "\(run.summary)")
    let record = BrokerSite.record(scratch)
    #expect(record?["allowed"] == 2 && record?["needApproval"] == 1 && record?["denied"] == 5)
    #expect(record?["notes"] == 1)
    let denials = record?["denials"]?.arrayValue ?? []
    #expect(denials.contains { $0["rule"] == "policy.yaml:6 no-drop" && $0["subject"] == "drop" })
  }

  /// What the kernel knows is not the agent's to say.
  @Test(arguments: BrokerSite.native) func forgedIdentity(_ site: BrokerSite) {
    let run = site.command(
      """
      p = Peer()
      for name in ['ring', 'run', 'agent', 'user', 'uid', 'pid', 'executable', 'kind']:
          print(name, p.code(p.line('policy.decide', tool='read', **{name: 0})))
      print(p.code(p.line('agt.hello', protocol=1, token='x')), p.code(p.line('agt.hello', protocol=2)))
      print(p.code(b'{"jsonrpc":"2.0","id":1,"method":"policy.decide","params":{"tool":"read"},"ring":0}\\n'))
      """
    ).run()
    #expect(
      run.out
        == ["ring", "run", "agent", "user", "uid", "pid", "executable", "kind"].map {
          "\($0) invalid_params\n"
        }.joined() + "invalid_params invalid_params\ninvalid_request\n", "\(run.summary)")
  }

  @Test(arguments: BrokerSite.native) func splitAndPipelined(_ site: BrokerSite) {
    let run = site.command(
      """
      p = Peer()
      line = p.line('policy.decide', tool='read')
      for i in range(len(line)):
          p.s.send(line[i:i + 1])
      print(p.read()['result']['verdict'])
      # Two lines and a half, and the rest.
      lines = p.line('policy.decide', tool='drop') + p.line('policy.decide', tool='mail') + line[:20]
      p.s.sendall(lines)
      print(p.read()['id'], p.read()['id'])
      print(p.raw(line[20:])['result']['verdict'])
      # The answers to what was sent before the end still come.
      p.s.sendall(line * 3)
      p.s.shutdown(socket.SHUT_WR)
      print([p.read() and 'answer' for _ in range(4)])
      """
    ).run()
    #expect(
      run.out == "allow\n3 4\nallow\n['answer', 'answer', 'answer', None]\n", "\(run.summary)")
  }

  @Test(arguments: BrokerSite.native) func malformed(_ site: BrokerSite) {
    let run = site.command(
      """
      p = Peer(greet=False)
      print(p.code(p.line('policy.decide', tool='read')), p.code(p.line('log.note', text='x')))
      print(p.code(p.line('agt.hello', protocol=1)), p.code(p.line('agt.hello', protocol=1)))
      for line in [b'', b'nonsense', b'[]', b'{}', b'"x"', b'\\xff\\xfe', b'{"jsonrpc":"2.0","id":1,"method":"no.such"}',
                   b'[' * 40000, b'{"jsonrpc":"2.0","id":1,"method":"policy.decide","params":{"data":' + b'[' * 31 + b']' * 31 + b'}}']:
          print(p.code(line + b'\\n'), end=' ')
      print(p.verdict(tool='read'))
      p.s.sendall(b'x' * 70000)
      print(p.read()['error']['data']['code'], p.read())
      """
    ).run()
    #expect(
      run.out
        == "out_of_turn out_of_turn\nok ok\nmalformed malformed invalid_request invalid_request "
        + "invalid_request malformed unknown_method malformed malformed allow\nmalformed None\n",
      "\(run.summary)")
  }

  /// Twice what a ring may ask: refused with the time to wait, in order, and nothing else suffers.
  @Test(arguments: BrokerSite.native) func rate(_ site: BrokerSite) {
    let scratch = Scratch()
    let run = site.command(
      """
      p = Peer()
      limits = p.hello['result']['limits']
      burst = limits['burst']
      count = burst * 2
      p.s.sendall(b''.join(p.line('policy.decide', tool='read') for _ in range(count)))
      replies = [p.read() for _ in range(count)]
      print([r['id'] for r in replies] == list(range(2, count + 2)))
      good = sum('result' in r for r in replies)
      # The greeting took one.
      print(burst - 1 <= good <= burst + limits['requestsPerSecond'])
      last = replies[-1]['error']
      print(last['code'], last['data']['code'], 0 < last['data']['retryAfterMilliseconds'] <= 200)
      time.sleep(last['data']['retryAfterMilliseconds'] / 1000)
      print(p.verdict(tool='read'))
      """, in: scratch, rate: nil
    ).run()
    #expect(run.out == "True\nTrue\n-32002 rate_limited True\nallow\n", "\(run.summary)")
    #expect((BrokerSite.record(scratch)?["refused"]?["rate_limited"]?.integerValue ?? 0) > 0)
  }

  /// Ten thousand requests at once, from somebody who does not read: answered in order, in bounded memory.
  @Test(arguments: BrokerSite.native) func pipelined(_ site: BrokerSite) {
    let scratch = Scratch()
    let running = site.command(
      """
      p = Peer()
      count = 10000
      lines = b''.join(p.line('policy.decide', tool='read') for _ in range(count))
      sender = threading.Thread(target=p.s.sendall, args=[lines])
      sender.start()
      time.sleep(0.5)
      print(sender.is_alive())
      ids = [p.read()['id'] for _ in range(count)]
      print(ids == list(range(2, count + 2)), 'done', flush=True)
      time.sleep(0.5)
      """, in: scratch
    ).start()
    #expect(running.waitForOutput("done", seconds: 20))
    let peak = (File.read("/proc/\(running.pid)/status") ?? "").split(separator: "\n")
      .first { $0.hasPrefix("VmHWM:") }?.split(separator: " ").dropFirst().first.flatMap { Int($0) }
    let run = running.wait()
    #expect(run.out == "True\nTrue done\n", "\(run.summary)")
    #expect(peak ?? .max < 24 << 10, "\(peak ?? 0) KiB")
    #expect(BrokerSite.record(scratch)?["allowed"] == 10_000)
  }

  /// Where agent and supervisor share a processor, what an agent asks at once after an answer is read in another way.
  @Test(arguments: BrokerSite.all) func onOneProcessor(_ site: BrokerSite) throws {
    let scratch = Scratch()
    let command = site.command(
      """
      def send(s, line, count):
          f = os.open('/dev/null', os.O_RDONLY)
          s.sendmsg([line], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [f] * count))])
          os.close(f)
      p = Peer()
      seen = set()
      for i in range(3000):
          if i % 7 == 3:
              send(p.s, p.line('policy.decide', tool='read'), 1 + i % 3)
              reply = p.read()
              seen.add((reply['id'] == p.id, reply['error']['data']['code']))
          elif i % 11 == 5:
              line = p.line('policy.decide', tool='read', data='x' * (i * 5 % 60000))
              p.s.sendall(line[:i % 50])
              p.s.sendall(line[i % 50:] + p.line('policy.decide', tool='drop'))
              seen.add((p.read()['id'] == p.id - 1, p.read()['id'] == p.id))
          else: seen.add((p.verdict(tool='read'),))
      print(sorted(seen, key=str))
      # The last of many, and the end.
      p.s.sendall(p.line('policy.decide', tool='read') * 3)
      p.s.shutdown(socket.SHUT_WR)
      print([p.read() and 'answer' for _ in range(4)])
      # Ring 3 has that connection only.
      if os.environ['AGT_BROKER'].startswith('fd:'): sys.exit()
      q = Peer()
      for _ in range(50): assert q.verdict(tool='read') == 'allow'
      try:
          send(q.s, q.line('policy.decide', tool='read'), 200)
          print(q.read())
      except OSError: print(None)
      print(Peer().verdict(tool='read'))
      """, in: scratch)
    let own = File.read("/proc/self/status")?.split(separator: "\n")
      .first { $0.hasPrefix("Cpus_allowed_list:") }?.dropFirst(18)
    let processor = try #require(own?.split { !$0.isNumber }.first)
    let run = command.with {
      $0.words = ["/usr/bin/taskset", "-c", "\(processor)"].map { Array($0.utf8) } + $0.words
    }.run()
    #expect(
      run.out
        == "[('allow',), (True, 'descriptors'), (True, True)]\n"
        + "['answer', 'answer', 'answer', None]\n" + (site.ring == 2 ? "None\nallow\n" : ""),
      "\(run.summary)")
    // Each was judged once.
    let record = BrokerSite.record(scratch)
    #expect(record?["refused"]?["descriptors"] == 429)
    #expect(record?["denied"] == 234)
    #expect(record?["allowed"] == (site.ring == 2 ? 2625 : 2574))
  }

  /// A line that is begun and never ended costs its own connection and nothing else.
  @Test func slowly() {
    let run = BrokerSite(ring: 2, starter: .native).command(
      """
      slow = Peer()
      slow.s.send(b'{"jsonrpc"')
      began = time.monotonic()
      p = Peer()
      print(p.verdict(tool='read'))
      print(slow.read()['error']['data']['code'], slow.read(), 9 < time.monotonic() - began < 14)
      # Silence between requests is nobody's fault.
      print(p.verdict(tool='read'))
      """
    ).run()
    #expect(run.out == "allow\nmalformed None True\nallow\n", "\(run.summary)")
  }

  @Test func manyConnections() {
    let scratch = Scratch()
    let run = BrokerSite(ring: 2, starter: .native).command(
      """
      peers = [Peer() for _ in range(64)]
      print({p.verdict(tool='read') for p in peers}, flush=True)
      extra = Peer(greet=False)
      try: print(extra.ask('agt.hello', protocol=1), flush=True)
      except OSError as error: print('closed', flush=True)
      peers.pop().s.close()
      print(Peer().verdict(tool='read'), flush=True)
      # Each process for itself.
      if os.fork() == 0:
          peers.pop().s.close()
          print(Peer().verdict(tool='drop'), flush=True)
          os._exit(0)
      os.wait()
      """, in: scratch
    ).run()
    let closed = run.out.replacing("\nNone\n", with: "\nclosed\n")
    #expect(closed == "{'allow'}\nclosed\nallow\ndeny\n", "\(run.summary)")
  }

  /// Descriptors that come and may not are closed, and the request is refused.
  @Test(arguments: BrokerSite.native) func smuggledDescriptors(_ site: BrokerSite) {
    let run = site.command(
      """
      p = Peer()
      def with_descriptors(line, count):
          with open('/dev/null') as f:
              rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [f.fileno()] * count))]
              p.s.sendmsg([line], rights)
          return p.read()
      print(with_descriptors(p.line('policy.decide', tool='read'), 1)['error']['data']['code'])
      print(p.verdict(tool='read'))
      for _ in range(300): with_descriptors(p.line('policy.decide', tool='read'), 8)
      print(p.verdict(tool='read'))
      try: print(with_descriptors(p.line('policy.decide', tool='read'), 200))
      except OSError: print(None)
      """
    ).run()
    #expect(run.out == "descriptors\nallow\nallow\nNone\n", "\(run.summary)")
  }

  /// Somebody outside reaches the socket only through /proc, and is turned away.
  @Test(.enabled("needs root, whom /proc/PID/root lets in", { Starter.isRoot }))
  func processesOutside() throws {
    let scratch = Scratch()
    let word = "outside-\(scratch.path.split(separator: "/").joined())"
    let running = BrokerSite(ring: 2, starter: .native).command(
      """
      p = Peer()
      os.close(os.open('ready', os.O_CREAT | os.O_WRONLY))
      while not os.path.exists('over'): time.sleep(0.02)
      print(p.verdict(tool='read'))  # \(word)
      """, in: scratch
    ).start()
    try #require(Clock.eventually { scratch.read("ready") != nil })
    let script = """
      import socket, sys
      for pid in sys.argv[1:]:
          s = socket.socket(socket.AF_UNIX)
          try: s.connect(f'/proc/{pid}/root/run/agt/broker.sock')
          except OSError as e: print(pid, e, file=sys.stderr); continue
          s.settimeout(5)
          # It may have been closed before or after our words came.
          try:
              s.sendall(b'{"jsonrpc":"2.0","id":1,"method":"agt.hello","params":{"protocol":1}}\\n')
              print('got', s.recv(100))
          except (ConnectionResetError, BrokenPipeError): print('got', b'')
      """
    let pids = ProcessTable.pids(withWord: word).map(String.init)
    let outside = Command(["/usr/bin/python3", "-c", script] + pids).run()
    #expect(outside.out.split(separator: "\n").allSatisfy { $0 == "got b''" }, "\(outside.summary)")
    #expect(!outside.out.isEmpty, "nobody reached the socket: \(pids), \(outside.err)")
    scratch.write("over", "")
    let run = running.wait()
    #expect(run.out == "allow\n", "\(run.summary)")
    #expect(BrokerSite.record(scratch)?["refused"]?["connection"] != nil)
  }

  @Test(arguments: BrokerSite.native) func holdAndKill(_ site: BrokerSite) {
    func policy(_ action: String) -> String {
      BrokerSite.policy + "violations:\n  - {when: \"kind == 'broker.denied' and tool == 'drop'\", "
        + "do: {after: 3, within: 60s, then: \(action)}}\n"
    }
    let script = """
      p = Peer()
      for _ in range(3): print(p.verdict(tool='drop'), p.verdict(tool='other'))
      print(p.verdict(tool='read'), p.ask('log.note', text='x').get('error', {}).get('message'), flush=True)
      time.sleep(5)
      print('on')
      """
    let held = site.command(script.replacing("time.sleep(5)", with: ""), policy: policy("hold"))
      .run()
    #expect(
      held.out
        == "deny deny\ndeny deny\ndeny held\n"
        + "held the run is on hold: everything is denied until it ends\non\n", "\(held.summary)")
    let killed = site.command(script, policy: policy("kill")).run()
    #expect(killed.status == 137 && !killed.out.contains("on\n"), "\(killed.summary)")
    #expect(killed.err.contains("killed: requests that the policy denied (policy.yaml:10:5)"))
  }

  /// Without a policy there is nothing to ask, and nothing is left open for it.
  @Test(arguments: BrokerSite.native) func nothingWithoutAPolicy(_ site: BrokerSite) {
    let run = Command.agtRun(
      [
        "--ring", "\(site.ring)", "--quiet", "--", "/usr/bin/python3", "-c",
        "import os; print(os.environ.get('AGT_BROKER'), os.listdir('/run/agt'), os.listdir('/proc/self/fd'))",
      ], as: site.starter, in: Scratch()
    ).run()
    #expect(run.out == "None ['landlock-canary', 'empty'] ['0', '1', '2', '3']\n", "\(run.summary)")
  }

  /// In rings with the host's files too.
  @Test(arguments: [0, 1]) func ringsOfTheHost(_ ring: Int) {
    let run = BrokerSite(ring: ring, starter: .native).command(
      "p = Peer()\nprint(os.environ['AGT_BROKER'], p.hello['result']['ring'], p.verdict(tool='read'))"
    ).run()
    #expect(run.out == "fd:3 \(ring) allow\n", "\(run.summary)")
  }

  @Test func withATerminal() {
    let scratch = Scratch()
    for ring in [2, 3] {
      let command = BrokerSite(ring: ring, starter: .native).command(
        "print(Peer().verdict(tool='read'))", in: scratch)
      let terminal = PseudoTerminal(command)
      #expect(terminal.expect("allow"), "ring \(ring): \(terminal.screen)")
      #expect(terminal.waitForEnd() == 0)
    }
  }
}
