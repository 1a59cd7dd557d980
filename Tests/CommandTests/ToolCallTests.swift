import JSON
import TestSupport
import Testing

/// `tool.call`: each tool in its own ring, with an end that is always told.
@Suite struct ToolCallTests {
  private static let policy = """
    apiVersion: agt-run/v1
    kind: Policy
    metadata: {name: test}
    rules:
      - {id: tools, when: kind == 'tool.call', then: allow}
      - {id: no-evil, when: tool == 'sh' and args.script contains 'evil', then: deny, say: Not that.}
      - {id: ask, when: tool == 'sh' and args.script contains 'danger', then: require_approval}

    """

  private static func tool(_ name: String, ring: Int, _ more: String = "") -> String {
    """
    apiVersion: agt-run/v1
    kind: Tool
    metadata: {name: \(name), description: a shell}
    ring: \(ring)
    arguments:
      type: object
      properties: {script: {type: string}, words: {type: array, items: {type: string}, default: []}}
      required: [script]
    command: [sh, -c, "{script}", sh, "{words...}"]
    \(more)
    """
  }

  private func run(
    _ site: BrokerSite, _ script: String, tools: [String] = [], options: [String] = [],
    in scratch: Scratch = Scratch()
  ) -> Completed {
    let declared = [
      Self.tool("sh", ring: site.ring), Self.tool("short", ring: site.ring, "timeout: 300ms"),
      Self.tool("little", ring: site.ring, "output: 1KiB"),
    ]
    for (index, text) in (declared + tools).enumerated() {
      scratch.write("tool\(index).yaml", text)
    }
    let files = (declared + tools).indices.flatMap { ["--tools", "tool\($0).yaml"] }
    return site.command(
      """
      def call(name, script, *words):
          reply = p.ask('tool.call', name=name, arguments={'script': script, 'words': list(words)})
          if 'error' in reply: return reply['error']['data']['code'], reply['error']['message']
          r = reply['result']
          return tuple(r.get(k) for k in ('outcome', 'status', 'stdout', 'stderr') if k in r)
      p = Peer()

      """ + script, policy: Self.policy, options: files + options, in: scratch
    ).run()
  }

  /// A tool in its caller's ring has its caller's own profile, and what is kept from the caller is kept from it.
  @Test(arguments: Starter.all) func noWiderThanItsCaller(_ starter: Starter) {
    let scratch = Scratch()
    scratch.write("tool.yaml", Self.tool("sh", ring: 2))
    scratch.write("policy.yaml", Self.policy)
    scratch.write("kept", "", mode: 0o666)
    scratch.write(
      "narrow.yaml",
      """
      apiVersion: agt-run/v1
      kind: RingProfile
      metadata: {name: narrow, description: changes nothing}
      extends: ring2
      filesystem: {workspace: ro}
      """)
    func made(_ options: [String]) -> Completed {
      Command.agtRun(
        options + [
          "--quiet", "--policy", "policy.yaml", "--tools", "tool.yaml", "--", "python3", "-c",
        ]
          + [
            BrokerSite.prelude + """
              p = Peer()
              for script in ['echo x > made', 'echo x > kept']:
                  print(p.ask('tool.call', name='sh', arguments={'script': script})['result']['status'])
              """
          ], as: starter, in: scratch
      ).run()
    }
    let narrow = made(["--profile", "narrow.yaml"])
    #expect(narrow.out == "2\n2\n", "\(narrow.summary)")
    let wide = made(["--ring", "2", "--protect", "kept"])
    #expect(wide.out == "0\n2\n", "\(wide.summary)")
  }

  /// A name that ends as a mode does is a name.
  @Test func workspaceNamedLikeAMode() {
    let scratch = Scratch()
    #expect(Command(["/bin/mkdir", "p:rw"], in: scratch.path).run().status == 0)
    scratch.write("p:rw/mark", "here\n")
    let run = run(
      BrokerSite(ring: 2, starter: .native), "print(call('sh', 'cat mark'))",
      options: ["--workspace", "p:rw/"], in: scratch)
    #expect(run.out == "('exited', 0, 'here\\n', '')\n", "\(run.summary)")
  }

  @Test(arguments: BrokerSite.all) func results(_ site: BrokerSite) {
    let scratch = Scratch()
    let run = run(
      site,
      """
      print([t['name'] for t in p.ask('tool.list')['result']['tools']])
      print(call('sh', 'echo "$AGT_RING:$1:$2"; echo no >&2; exit 3', 'a b', '$x'))
      print(call('sh', 'kill -SEGV $$')[0], call('short', 'while :; do :; done')[0])
      outcome, out, err = call('little', 'while :; do echo 0123456789; done')
      print(outcome, len(out) + len(err))
      print(call('sh', 'printf "\\\\377"')[:2])
      print(call('sh', 'evil'), call('sh', 'danger')[0])
      print(call('sh', 'x\\x00')[0], call('none', '')[0])
      """, in: scratch)
    #expect(
      run.out
        == "['sh', 'short', 'little']\n('exited', 3, '\(site.ring):a b:$x\\n', 'no\\n')\n"
        + "signaled timed_out\noutput_exceeded 1024\n('exited', 0)\n"
        + "('denied', 'Not that.') approval_required\ninvalid_params invalid_params\n",
      "\(run.summary)")
    #expect(BrokerSite.record(scratch)?["tools"] == 5)
  }

  /// Never above the caller's ring; below it as the tool says, and confined there.
  @Test(arguments: Starter.all) func rings(_ starter: Starter) {
    let two = BrokerSite(ring: 2, starter: starter)
    let below = run(
      two, "print(call('low', 'echo $AGT_RING; : > here'), call('sh', ': > here; echo made')[:3])",
      tools: [Self.tool("low", ring: 3)])
    #expect(below.out.hasPrefix("('exited', 2, '3\\n', "), "\(below.summary)")
    #expect(below.out.hasSuffix(" ('exited', 0, 'made\\n')\n"))
    let three = BrokerSite(ring: 3, starter: starter)
    let above = run(three, "print(call('high', 'id'))", tools: [Self.tool("high", ring: 2)])
    #expect(
      above.out == "('not_permitted', 'high runs in ring 2, which is above ring 3')\n",
      "\(above.summary)")
  }

  /// A tool may write more than its caller, but not what says what tools may do.
  @Test(arguments: Starter.all) func declarationsStay(_ starter: Starter) {
    let run = run(
      BrokerSite(ring: 2, starter: starter),
      """
      print(call('sh', '''for f in tool0.yaml policy.yaml profile.yaml; do
        (echo x >> $f) 2>/dev/null && echo wrote $f; rm -f $f 2>/dev/null && echo removed $f
      done; echo x > own && cat own'''))
      """)
    #expect(run.out == "('exited', 0, 'x\\n', '')\n", "\(run.summary)")
  }

  /// Whoever wants to is told while a tool works, and hears at the end what there was as anybody does.
  @Test func progress() {
    let scratch = Scratch()
    scratch.write("agt.py", BrokerClientTests.client)
    let run = run(
      BrokerSite(ring: 2, starter: .native),
      """
      script = 'echo one; sleep 0.4; printf "\\\\303"; sleep 0.4; printf "\\\\244two "; echo; echo err >&2; sleep 1.3; echo end'
      def look(**more):
          p.s.sendall(p.line('tool.call', name='sh', arguments={'script': script}, **more))
          told = []
          while True:
              reply = p.read()
              if reply.get('method') != '$/progress': return told, reply
              told.append(reply['params'])
      told, reply = look(progress=True)
      print({t['id'] for t in told} == {reply['id']}, len(told) >= 4, len(told) < 12)
      streams = [''.join(t.get(name, '') for t in told) for name in ('stdout', 'stderr')]
      print(streams[0].startswith('one\\nätwo \\n'), streams[1] == 'err\\n')
      times = [t['elapsedMilliseconds'] for t in told]
      print(times == sorted(times), times[0] < 400, repr(reply['result']['stdout']))
      print(look()[0], look(progress=False)[0], p.code(p.line('tool.call', name='sh', arguments={'script': ''}, progress=1)))
      # Bytes that are no text, more than fits into one line, and somebody who does not read.
      script = 'printf "\\\\377\\\\376"; sleep 0.3; head -c 40000 /dev/zero | tr "\\\\0" x; sleep 0.5'
      told, reply = look(progress=True)
      import base64
      parts = [base64.b64decode(t['stdoutBase64']) if 'stdoutBase64' in t else t.get('stdout', '').encode() for t in told]
      whole = b'\\377\\376' + b'x' * 40000
      print('stdoutBase64' in reply['result'], any('stdoutBase64' in t for t in told), whole.startswith(b''.join(parts)))
      print(len(b''.join(parts)) > 16384, max(len(json.dumps(t)) for t in told) < 25000)
      p.s.sendall(p.line('tool.call', name='sh', arguments={'script': 'i=0; while [ $i -lt 20 ]; do i=$((i+1)); head -c 3000 /dev/zero | tr "\\\\0" x; sleep 0.1; done'}, progress=True))
      time.sleep(3)
      last = ''
      while 'result' not in last: last = p.read()
      print(last['result']['outcome'], len(last['result']['stdout']))
      sys.path.insert(0, os.getcwd())
      p.s.close()
      import agt
      seen = []
      result = agt.tool('sh', progress=seen.append, script='echo a; sleep 0.5; echo b', words=[])
      print(result.stdout.split(), b''.join(s.output for s in seen).startswith(b'a'), seen[0].seconds > 0)
      """, in: scratch)
    #expect(
      run.out
        == "True True True\nTrue True\nTrue True 'one\\nätwo \\nend\\n'\n[] [] invalid_params\n"
        + "True True True\nTrue True\nexited 60000\n['a', 'b'] True True\n", "\(run.summary)")
  }

  @Test func asManyAsTheRingMayHave() {
    let run = run(
      BrokerSite(ring: 3, starter: .native),
      """
      def begin(name, script): p.s.sendall(p.line('tool.call', name=name, arguments={'script': script}))
      # The read never ends, and needs no process.
      for _ in range(3): begin('sh', 'read x < /dev/zero')
      print(p.read()['error']['data']['code'], p.verdict(tool='x'))
      print(p.ask('agt.cancel', id=2)['result'])
      answers = [p.read() for _ in range(1)]
      print(answers[0]['id'], answers[0]['result']['outcome'])
      begin('sh', 'echo free')
      print(p.read()['result']['stdout'])
      print(p.ask('agt.cancel', id=99)['result'])
      """)
    #expect(
      run.out == "busy deny\n{'cancelled': True}\n2 cancelled\nfree\n\n{'cancelled': False}\n",
      "\(run.summary)")
    #expect(run.seconds < 15)
  }

  /// No tool outlives its caller, nor the supervisor of its caller.
  @Test(arguments: ["close", "exit", "kill"]) func noneIsLeft(_ how: String) {
    let word = "left-\(how)-\(UInt32.random(in: 0 ... .max))"
    let scratch = Scratch()
    scratch.write("policy.yaml", Self.policy)
    scratch.write("tool.yaml", Self.tool("sh", ring: 2))
    let script = """
      p = Peer()
      p.s.sendall(p.line('tool.call', name='sh', arguments={'script': 'sleep 60; : \(word)'}))
      while not os.path.exists('go'): time.sleep(0.02)
      if '\(how)' == 'close': p.s.close()
      if '\(how)' != 'exit': time.sleep(30)
      """
    let running = BrokerSite(ring: 2, starter: .native).command(
      script, policy: Self.policy, options: ["--tools", "tool.yaml"], in: scratch
    ).start()
    func tools() -> [Int32] {
      ProcessTable.pids(withWord: word).filter {
        (File.read("/proc/\($0)/cmdline") ?? "").hasPrefix("sh\0")
      }
    }
    #expect(Clock.eventually { !tools().isEmpty })
    scratch.write("go", "")
    if how == "kill" { running.signal(9) }
    #expect(Clock.eventually(5) { tools().isEmpty }, "\(tools())")
    running.signal(15)
    _ = running.wait()
  }

  /// Nothing is left of a run that was killed, and its tools are of it.
  @Test func killedWithItsTools() throws {
    let word = "killed-\(UInt32.random(in: 0 ... .max))"
    let scratch = Scratch()
    scratch.write("tool.yaml", Self.tool("sh", ring: 2))
    let running = BrokerSite(ring: 2, starter: .native).command(
      """
      p = Peer()
      p.s.sendall(p.line('tool.call', name='sh', arguments={'script': 'trap "" TERM; sleep 60; : \(word)'}))
      time.sleep(60)
      """, policy: Self.policy, options: ["--tools", "tool.yaml", "--name", word], in: scratch
    ).start()
    func tools() -> [Int32] {
      ProcessTable.pids(withWord: word).filter {
        (File.read("/proc/\($0)/cmdline") ?? "").hasPrefix("sh\0")
      }
    }
    #expect(Clock.eventually { !tools().isEmpty })
    let kill = Command([Binaries.agt, "kill", "--json", word], in: scratch.path).with {
      $0.environment[1] = "HOME=\(scratch.home)"
    }.run()
    #expect(tools().isEmpty, "\(tools())")
    #expect(kill.status == 0, "\(kill.summary)")
    #expect(running.wait().status == 137)
  }

  /// The shipped ones.
  @Test func shippedTools() {
    let scratch = Scratch()
    scratch.write("notes.txt", "one\ntwo\nthree\n")
    let place = File.parent(File.parent(File.parent(#filePath))) + "/Profiles/tools"
    let command = BrokerSite(ring: 2, starter: .native).command(
      """
      p = Peer()
      def call(name, **arguments):
          reply = p.ask('tool.call', name=name, arguments=arguments)
          r = reply.get('result', {})
          return r.get('outcome'), r.get('status'), r.get('stdout') or r.get('stderr') or r or reply
      print(len(p.ask('tool.list')['result']['tools']))
      print(call('read_file', path='notes.txt'))
      print('notes.txt' in call('list_dir')[2])
      print(call('search_files', pattern='^t', most=1))
      print(call('run_python', code='import sys; print(sys.argv[1:], 6*7)', args=['a b']))
      print(call('shell', script='echo $((1+1)) > made; cat made'))
      print(call('git', args=['init', '-q', '-b', 'main', 'g']), call('git', args=['-C', 'g', 'status', '--short']))
      print(call('http_get', url='http://no-such.example/')[:2])
      """, policy: Self.policy, options: ["--tools", place], in: scratch)
    let run = command.run()
    #expect(
      run.out.hasPrefix(
        "7\n('exited', 0, 'one\\ntwo\\nthree\\n')\nTrue\n('exited', 0, './notes.txt:2:two\\n')\n"
          + "('exited', 0, \"['a b'] 42\\n\")\n('exited', 0, '2\\n')\n('exited', 0, "),
      "\(run.summary)")
    #expect(run.out.hasSuffix("\n('exited', 6)\n"), "\(run.summary)")
  }

  @Test func refusedAtTheStart() {
    let scratch = Scratch()
    scratch.write("policy.yaml", Self.policy)
    scratch.write("a.yaml", Self.tool("sh", ring: 2))
    scratch.write("b.yaml", Self.tool("sh", ring: 3))
    for (options, message) in [
      (["--tools", "a.yaml"], "--tools: without --policy no tool may be called"),
      (
        ["--policy", "policy.yaml", "--tools", "a.yaml", "--tools", "b.yaml"],
        "the tool sh is declared at a.yaml:1"
      ),
      (["--policy", "policy.yaml", "--tools", "policy.yaml"], "this is no tool"),
      (["--policy", "policy.yaml", "--tools", "a.yaml", "--txn"], "--tools and --txn contradict"),
      (["--policy", "policy.yaml", "--tools", "none.yaml"], "none.yaml"),
      (["--tie-fd", "77"], "--tie-fd 77: the descriptor is not open"),
    ] {
      let run = Command.agtRun(options + ["--", "echo", "no"], in: scratch).run()
      #expect(run.status == 2 && run.out.isEmpty && run.err.contains(message), "\(run.summary)")
    }
  }

  /// `--tie-fd`: the end of whoever holds the other end is the end of the run.
  @Test func tied() {
    let word = "tied-\(UInt32.random(in: 0 ... .max))"
    let scratch = Scratch()
    let run = Command.shell(
      """
      sleep 0.5 | "$1" --ring 2 --quiet --tie-fd 3 -- sh -c 'sleep 60; : \(word)' 3<&0 </dev/null
      echo $?
      """, [Binaries.agtRun], in: scratch.path
    ).with { $0.scratch = scratch }.run()
    #expect(run.out == "137\n" && run.seconds < 10, "\(run.summary)")
    #expect(ProcessTable.pids(withWord: word).isEmpty)
  }
}
