import JSON
import TestSupport
import Testing

/// A lease and an approval hold for what tools executed when they were given, and for nothing that was put there since.
@Suite struct PinnedToolTests {
  private static let policy = """
    apiVersion: agt-run/v1
    kind: Policy
    metadata: {name: test}
    rules:
      - {id: ask, when: kind == 'tool.call' and tool == 'ask', then: require_approval}
      - {id: tools, when: kind == 'tool.call' and tool != 'ask', then: allow}
      - {id: steps, when: kind == 'saga.step', then: allow}
      - {id: two, when: kind == 'ring.elevate' and target_ring == 2, then: allow}
      - {id: one, when: kind == 'ring.elevate' and target_ring == 1, then: require_approval}

    """

  private static func tool(_ name: String, _ command: String, ring: Int) -> String {
    """
    apiVersion: agt-run/v1
    kind: Tool
    metadata: {name: \(name), description: runs something}
    ring: \(ring)
    arguments: {type: object, properties: {file: {type: string}, script: {type: string}}}
    command: \(command)
    """
  }

  private static let helpers = """
    def call(tool, **arguments):
        reply = p.ask('tool.call', name=tool, arguments=arguments)
        if 'error' in reply: return reply['error']['data']['code']
        return reply['result'].get('stdout', '').strip() or reply['result']['outcome']
    def elevate(*tools, ring=2, **more):
        reply = p.ask('ring.elevate', tools=list(tools), ring=ring, **more)
        if 'result' in reply: return 'lease'
        return reply['error']['data']['approval' if more else 'code']
    def park(tool): return p.ask('tool.call', name=tool, arguments={}, approval=True)['error']['data']['approval']
    def wait(ticket):
        result = p.ask('approval.wait', approval=ticket)['result']['result']
        return result.get('code') or result.get('stdout', '').strip() or 'lease'
    def go(name):
        while not os.path.exists(name): time.sleep(0.02)
    p = Peer()

    """

  private func command(
    _ script: String, as starter: Starter = .native, in scratch: Scratch, _ outside: Scratch,
    options: [String] = []
  ) -> Command {
    outside.write("kept.sh", "echo kept in $AGT_RING\n", mode: 0o644)
    scratch.write("own.sh", "echo own in $AGT_RING\n", mode: 0o666)
    var files: [String] = []
    for (name, command, ring) in [
      ("own", "[sh, own.sh]", 2), ("kept", "[sh, \(outside.path)/kept.sh]", 2),
      ("any", "[sh, \"{file}\"]", 2), ("edit", "[sh, -c, \"{script}\"]", 2),
      ("ask", "[sh, \(outside.path)/kept.sh]", 3),
    ] {
      scratch.write("\(name).yaml", Self.tool(name, command, ring: ring))
      files += ["--tools", "\(name).yaml"]
    }
    return BrokerSite(ring: 3, starter: starter).command(
      Self.helpers + script, policy: Self.policy,
      options: files + ["--read", outside.path] + options, in: scratch)
  }

  /// A script of the workspace is read-only for every ring of the run; one that an argument names is not taken.
  @Test(arguments: Starter.all) func theWorkspaceCannotSwapIt(_ starter: Starter) {
    let (scratch, outside) = (Scratch(), Scratch())
    let run = command(
      """
      print(call('own'), elevate('own', 'edit', 'any'), call('own'))
      for attempt in ('echo echo evil > own.sh', 'rm own.sh', 'mv own.sh other', 'echo echo evil > new && mv new own.sh',
                      'chmod 777 own.sh && echo echo evil > own.sh', 'ln -sf new own.sh'):
          call('edit', script='{ ' + attempt + '; } 2>/dev/null')
          print(call('own'), end='; ')
      # The twin: the same tool may write beside it, and what it wrote is not run in the higher ring.
      print(call('edit', script='echo echo evil > beside.sh; cat beside.sh'))
      print(call('any', file='beside.sh'), call('any', file='\(outside.path)/kept.sh'), call('any', file='own.sh'))
      """, as: starter, in: scratch, outside
    ).run()
    #expect(
      run.out
        == "not_permitted lease own in 2\n" + String(repeating: "own in 2; ", count: 6)
        + "echo evil\nchanged kept in 2 own in 2\n", "\(run.summary)")
  }

  /// The broker opens files outside of the ring, where nothing is read-only: what tools execute is written there by
  /// nobody either, nor what leads to it.
  @Test func theBrokerIsNoWayAround() {
    let (scratch, outside) = (Scratch(), Scratch())
    outside.write("kept.sh", "echo kept in $AGT_RING\n", mode: 0o666)
    scratch.write("own.sh", "echo own in $AGT_RING\n", mode: 0o666)
    scratch.write("beside.sh", "echo beside\n", mode: 0o666)
    _ = Command(["/bin/ln", "-s", "kept.sh", outside.path + "/way.sh"]).run()
    var files: [String] = []
    for (name, script) in [("own", "own.sh"), ("way", outside.path + "/way.sh")] {
      scratch.write("\(name).yaml", Self.tool(name, "[sh, \(script)]", ring: 2))
      files += ["--tools", "\(name).yaml"]
    }
    let policy = Self.policy + "  - {id: files, when: kind == 'file.open', then: allow}\n"
    let run = BrokerSite(ring: 2, starter: .native).command(
      FileOpenTests.helpers + Self.helpers + """
        def write(path, mode):
            fd = fopen(path, mode)
            if isinstance(fd, str): return fd
            os.write(fd, b'echo evil\\n')
            return 'written'
        for mode in ('write', 'append'):
            print(write('\(scratch.path)/own.sh', mode), write('\(outside.path)/way.sh', mode),
                  write('\(outside.path)/kept.sh', mode), write('\(scratch.path)/beside.sh', mode))
        print(call('own'), call('way'), text('\(outside.path)/kept.sh'))
        """, policy: policy, options: files, in: scratch
    ).run()
    #expect(
      run.out
        == String(repeating: "denied denied denied written\n", count: 2)
        + "own in 2 kept in 2 echo kept in $AGT_RING\n", "\(run.summary)")
  }

  /// Where nothing can be made read-only, nothing of the workspace's runs in a higher ring.
  @Test func withoutNamespaces() {
    let (scratch, outside) = (Scratch(), Scratch())
    let run = command(
      "print(elevate('own'), elevate('kept'), call('kept'))", in: scratch, outside,
      options: ["--degrade", "namespaces"]
    ).run()
    #expect(run.out == "changed lease kept in 2\n", "\(run.summary)")
  }

  /// Somebody outside changes a tool after the lease was given, or puts another in its place.
  @Test func changedAfterTheLease() {
    let (scratch, outside) = (Scratch(), Scratch())
    let running = command(
      """
      print(elevate('kept'), call('kept'), flush=True)
      go('go')
      print(call('kept'), flush=True)
      go('back')
      print(call('kept'))
      """, in: scratch, outside
    ).start()
    #expect(running.waitForOutput("kept in 2\n"))
    outside.write("kept.sh", "echo other in $AGT_RING\n", mode: 0o644)
    scratch.write("go", "")
    #expect(running.waitForOutput("changed\n"))
    outside.write("kept.sh", "echo kept in $AGT_RING\n", mode: 0o644)
    scratch.write("back", "")
    let run = running.wait()
    #expect(run.out == "lease kept in 2\nchanged\nkept in 2\n", "\(run.summary)")
  }

  /// Whoever approves sees command and digest, and what was changed after that is not run.
  @Test(arguments: [false, true]) func changedAfterTheApproval(_ isChanged: Bool) throws {
    let (scratch, outside) = (Scratch(), Scratch())
    let running = command(
      """
      saga = p.ask('saga.begin', name='s')['result']['saga']
      one = {'name': 'ask', 'arguments': {}}
      def step(): return p.ask('saga.step', saga=saga, step='one', tool=one, undo=one, approval=True)['error']['data']['approval']
      for ticket in (park('ask'), elevate('kept', ring=1, approval=True), step()): print(ticket, flush=True); print(wait(ticket), flush=True)
      """, in: scratch, outside
    ).start()
    let digest = Command(["/usr/bin/sha256sum", outside.path + "/kept.sh"]).run().out.prefix(64)
    for number in 0..<3 {
      var mine: JSONValue?
      _ = Clock.eventually(10) {
        let listed = ApprovalTests.agt(["pending", "--json"], as: .native, scratch).run()
        let all = (try? JSONParser.parse(listed.output))?.arrayValue ?? []
        mine = all.first { ($0["text"]?.stringValue ?? "").contains(scratch.path) }
        return mine != nil
      }
      let pending = try #require(mine)
      let text = pending["text"]?.stringValue ?? ""
      #expect(text.contains(digest), "\(text)")
      #expect(text.contains("[\"sh\",\"\(outside.path)/kept.sh\"]"), "\(text)")
      #expect(text.contains("environmentDigest: sha256:"))
      if isChanged { outside.write("kept.sh", "echo \(number)\n", mode: 0o644) }
      let id = try #require(pending["id"]?.stringValue)
      #expect(ApprovalTests.agt(["approve", id], as: .native, scratch).run().status == 0)
      if isChanged {
        #expect(running.waitForOutput("changed\n", times: number + 1))
        outside.write("kept.sh", "echo kept in $AGT_RING\n", mode: 0o644)
      }
    }
    let words = running.wait().out.split(separator: "\n").map(String.init)
    #expect(words.count == 6, "\(words)")
    #expect(
      words.enumerated().filter { $0.offset % 2 == 1 }.map(\.element)
        == (isChanged ? ["changed", "changed", "changed"] : ["kept in 3", "lease", "kept in 3"]))
  }
}
