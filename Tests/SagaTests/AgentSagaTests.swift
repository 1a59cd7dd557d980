import Glibc
import JSON
import TestSupport
import Testing

/// Sagas that an agent drives through its broker: whatever becomes of the agent, what it has not committed is
/// undone, the last step first, outside of its ring.
@Suite struct AgentSagaTests {
  /// Two tools and an action of its own.
  private static let three = """
    s = agt.saga('three').begin()
    s.tool('make', name='a')
    s.step('own', undo=('unmake', {'name': 'b'}))
    open('b', 'w').close()
    s.tool('make', step='last', name='c')
    print(s.id, flush=True)

    """
  private static let undone = "make a\nmake c\nundo c last\nundo b own\nundo a make-1\n"

  @Test(arguments: Starter.all) func commit(_ starter: Starter) throws {
    let place = AgentPlace(starter)
    let run = place.run(
      Self.three + "print(s.tool('look', name='log').stdout)\ns.commit(); print(s.state)")
    #expect(run.status == 0 && run.out.hasSuffix("completed\n"), "\(run.summary)")
    #expect(place.log == "make a\nmake c\n")
    let saga = try place.saga()
    #expect(saga["phase"] == "completed" && saga["name"] == "three" && saga["runner"] == .null)
    let states = saga["steps"]?.arrayValue?.compactMap { $0["status"]?.stringValue }
    #expect(states == ["succeeded", "succeeded", "succeeded", "succeeded"])
    #expect(!File.exists(place.scratch.path + "/x") && File.exists(place.scratch.path + "/b"))
  }

  @Test(arguments: Starter.all) func abort(_ starter: Starter) throws {
    let place = AgentPlace(starter)
    let run = place.run(
      """
      try:
          with agt.saga('three') as s:
              s.tool('make', name='a')
              s.step('own', undo=('unmake', {'name': 'b'}))
              open('b', 'w').close()
              s.tool('make', step='last', name='c')
              raise ValueError('no more')
      except ValueError as error: print(error, s.state, os.path.exists('a'))
      """)
    #expect(run.out == "no more compensated False\n", "\(run.summary)")
    #expect(place.log == Self.undone)
    let saga = try place.saga()
    #expect(saga["phase"] == "compensated")
    #expect(saga["reason"]?.stringValue == "its agent aborted it: ValueError: no more")
  }

  /// A tool that fails may have done half of it.
  @Test func aToolThatFails() throws {
    let place = AgentPlace(.ordinary)
    let run = place.run(
      """
      async def work():
          async with agt.saga() as s:
              await s.astep('own', undo=('unmake', {'name': 'b'}))
              await s.atool('burn', name='x')
      try: asyncio.run(work())
      except agt.StepFailed as error: print(error)
      """)
    #expect(run.out == "burn-1: status 3\n", "\(run.summary)")
    #expect(place.log == "burn x\nundo x burn-1\nundo b own\n")
  }

  /// Every end of the agent but a commit.
  @Test(
    arguments: [
      "sys.exit(3)", "sys.exit(0)", "os.kill(os.getpid(), signal.SIGKILL)", "time.sleep(60)",
      "__import__('ctypes').CDLL(None).unshare(0x20000)",
    ], Starter.all)
  func theAgentEnds(_ how: String, _ starter: Starter) throws {
    let place = AgentPlace(starter)
    let isKilled = how.hasPrefix("time")
    let name = "saga-\(UInt32.random(in: 0 ... .max))"
    let running = place.command(
      Self.three + how,
      options: [
        "--name", name, "--on-violation", "kill", "--result-json", place.scratch.home + "/r",
      ]
    ).start()
    if isKilled {
      #expect(Clock.eventually(20) { place.log.contains("make c\n") })
      #expect(running.waitForOutput("\n"))
      let kill = place.site.program("agt", ["kill", name]).run()
      #expect(kill.status == 0, "\(kill.summary)")
    }
    let run = running.wait()
    #expect(place.log == Self.undone, "\(run.summary)")
    let saga = try place.saga()
    #expect(saga["phase"] == "compensated" && saga["runner"] == .null, "\(saga)")
    #expect(saga["cause"] == (how.contains("unshare") ? "violation" : "failure"))
    let result = try JSONParser.parse(Array((File.read(place.scratch.home + "/r") ?? "").utf8))
    #expect(result["sagas"]?.arrayValue?.first?["state"] == "compensated", "\(run.summary)")
  }

  /// Undoing takes as long as it takes: that the run was killed is in its log before.
  @Test(arguments: Starter.all) func aKillIsToldBeforeItIsUndone(_ starter: Starter) throws {
    let place = AgentPlace(starter)
    for (name, script, more) in [
      ("drag", "touch $1", "undo: {tool: linger, arguments: {name: '{name}'}}"),
      ("linger", "echo begun >> log; sleep 3; echo over >> log", ""),
    ] { place.scratch.write(place.toolFile(name), AgentPlace.tool(name, script, more)) }
    let name = "saga-\(UInt32.random(in: 0 ... .max))"
    let running = place.command(
      "s = agt.saga('one').begin(); s.tool('drag', name='a'); print(s.id, flush=True); "
        + "time.sleep(60)", options: ["--name", name]
    ).start()
    #expect(running.waitForOutput("\n"))
    let kill = place.site.program("agt", ["kill", "--json", name]).run()
    let record = try JSONParser.parse(kill.output).arrayValue?.first
    let id = try #require(record?["run"]?.stringValue, "\(kill.summary)")
    #expect(Clock.eventually(20) { place.log.contains("begun") })
    let log = place.site.program("agt", ["log", "--json", id]).run().out
    #expect(log.contains("\"kind\":\"kill\""), "\(log)")
    #expect(!place.log.contains("over"))
    #expect(running.wait().status == 137)
    #expect(place.log.contains("over"))
  }

  /// The call beyond does not begin, and what undoes the others is not counted.
  @Test(arguments: Starter.all) func itsCallsOfToolsAreUsedUp(_ starter: Starter) throws {
    let place = AgentPlace(starter)
    let run = place.run(
      Self.three + "s.tool('make', name='d')", options: ["--tool-calls", "2"])
    #expect(run.status == 124, "\(run.summary)")
    #expect(run.err.contains("tool call limit of 2 exceeded"), "\(run.summary)")
    #expect(place.log == Self.undone, "\(run.summary)")
  }

  /// The supervisor cannot undo it any more: it is left as it is, whole, for whoever goes on with it.
  @Test(arguments: [false, true], Starter.all)
  func theSupervisorIsKilled(_ hasToolAtWork: Bool, _ starter: Starter) throws {
    let place = AgentPlace(starter)
    let running = place.command(
      Self.three + (hasToolAtWork ? "s.tool('crawl', name='d')" : "time.sleep(60)")
    ).start()
    #expect(Clock.eventually(20) { place.log.contains(hasToolAtWork ? "crawl d\n" : "make c\n") })
    #expect(running.waitForOutput("\n"))
    let id = String(decoding: running.output, as: UTF8.self).prefix(26)
    let refused = place.site.agt(["cancel", String(id)])
    #expect(refused.status == 2 && refused.err.contains("is driven by run"), "\(refused.summary)")
    #expect(place.site.agt(["resume", String(id)]).status == 2)
    running.signal(SIGKILL)
    _ = running.wait()
    #expect(place.site.agt(["list"]).out.contains("(no runner: agt saga resume)"))
    let resumed = place.site.agt(["resume", String(id)])
    #expect(resumed.status == 1, "\(resumed.summary)")
    let expected =
      hasToolAtWork
      ? Self.undone.replacing("make c\n", with: "make c\ncrawl d\nundo d crawl-3\n") : Self.undone
    #expect(place.log == expected, "\(resumed.summary)")
  }

  /// Nothing is taken for undone that is not.
  @Test(arguments: Starter.all) func aCompensationThatFails(_ starter: Starter) throws {
    let place = AgentPlace(starter)
    place.scratch.write("stuck-b", "")
    let run = place.command(Self.three + "print(s.abort('enough'))").with {
      $0.timeoutSeconds = 90
    }.run()
    #expect(run.out.hasSuffix("needs-operator\n"), "\(run.summary)")
    #expect(run.err.contains("is not undone: agt saga show"))
    // One that stays stuck does not stop the others.
    #expect(place.log == "make a\nmake c\nundo c last\nundo a make-1\n")
    let saga = try place.saga()
    let id = try #require(saga["saga"]?.stringValue)
    #expect(saga["phase"] == "partially-compensated")
    _ = Command(["/bin/rm", place.scratch.path + "/stuck-b"]).run()
    let resolved = place.site.agt(
      ["resolve", id, "own", "--outcome", "happened", "--evidence", "it is there"])
    #expect(resolved.status == 1, "\(resolved.summary)")
    #expect(!File.exists(place.scratch.path + "/b"))
  }

  /// What is not the agent's to say.
  @Test func forgeries() {
    let place = AgentPlace(.ordinary)
    let run = place.run(
      """
      b = agt.Broker()
      def code(method, **params):
          try: b.call(method, params); return 'ok'
          except agt.RequestError as error: return error.code
          except agt.ApprovalRequired as error: return 'approval_required'
          except agt.GovernanceDenied as error: return 'denied'
      undo = {'name': 'unmake', 'arguments': {'name': 'a'}}
      s = b.saga('mine').begin()
      def step(step, **more): return code('saga.step', saga=s.id, step=step, **more)
      print(step('one', undo=undo), step('one', undo=undo), step('../x', undo=undo), step('', undo=undo))
      print(step('two'), step('two', undo={'name': 'none'}), step('two', undo={'name': 'unmake', 'arguments': {}}))
      print(step('two', undo=dict(undo, extra=1)), step('two', undo='unmake'), step('two', tool={'name': 'look', 'arguments': {'name': 'x', 'y': 1}}))
      for name in 'never', 'ask':
          bad = {'name': 'unmake', 'arguments': {'name': name}}
          print(step('two', undo=bad), step('two', tool={'name': 'make', 'arguments': {'name': name}}))
      other = agt.Broker().saga('other').begin()
      print(code('saga.commit', saga=other.id), code('saga.abort', saga=other.id), code('saga.commit', saga='0' * 26))
      print(code('saga.step', saga=other.id, step='x', undo=undo), code('saga.commit'), code('saga.begin', name='a b'))
      other.commit()
      print(code('saga.commit', saga=s.id), code('saga.commit', saga=s.id), code('saga.abort', saga=s.id), step('three', undo=undo))
      """)
    let bad = "invalid_params"
    #expect(
      run.out == """
        ok \(bad) \(bad) \(bad)
        \(bad) \(bad) \(bad)
        \(bad) \(bad) \(bad)
        denied denied
        approval_required approval_required
        \(bad) \(bad) \(bad)
        \(bad) \(bad) \(bad)
        ok \(bad) \(bad) \(bad)

        """, "\(run.summary)")
    #expect(place.log == "")
  }

  @Test func bounds() {
    let place = AgentPlace(.native)
    let run = place.command(
      """
      def code(call):
          try: call(); return 'ok'
          except agt.RequestError as error: return error.code
      sagas = [agt.saga('s%d' % i).begin() for i in range(4)]
      print(code(agt.saga('more').begin))
      sagas[3].commit()
      print(code(agt.saga('more').begin))
      n = 0
      while code(lambda: sagas[0].step('n%d' % n, undo=('unmake', {'name': 'a'}))) == 'ok': n += 1
      print(n, code(lambda: sagas[1].step('one', undo=('unmake', {'name': 'a'}))))
      for s in sagas[:3]: s.commit()
      """
    ).with { $0.timeoutSeconds = 120 }.run()
    #expect(run.out == "busy\nok\n1024 busy\n", "\(run.summary)")
  }

  /// Only the process that began it is gone.
  @Test func itsConnectionCloses() {
    let place = AgentPlace(.ordinary)
    let run = place.run(
      """
      b = agt.Broker()
      s = b.saga('lost').begin()
      s.step('own', undo=('unmake', {'name': 'b'}))
      open('b', 'w').close()
      b.close()
      for _ in range(200):
          if not os.path.exists('b'): break
          time.sleep(0.05)
      print(os.path.exists('b'))
      """)
    #expect(run.out == "False\n", "\(run.summary)")
    #expect(place.log == "undo b own\n")
  }
}
