import Glibc
import JSON
import TestSupport
import Testing

/// What an agent's sagas run is what was judged, for no longer than they may, and nobody loses sight of it.
@Suite struct AgentSagaSafetyTests {
  private static let own = """
    s = agt.saga('mine').begin()
    s.step('own', undo=('unmake', {'name': 'b'}))
    open('b', 'w').close()
    print(s.id, flush=True)

    """

  @Test func aStepIsJudgedAsOne() {
    let place = AgentPlace(.ordinary)
    let run = place.run(
      """
      def code(call):
          try: call(); return 'ok'
          except agt.ApprovalRequired as error: return 'approval_required'
          except agt.GovernanceDenied as error: return 'denied: %s' % error
      s = agt.saga('judged').begin()
      undo = ('unmake', {'name': 'a'})
      print(code(lambda: s.step('forbidden', undo=undo)))
      print(code(lambda: s.tool('make', step='forbidden', name='x')), os.path.exists('x'))
      print(code(lambda: s.step('asked', undo=undo)))
      print(code(lambda: s.tool('make', name='never')), os.path.exists('never'))
      print(code(lambda: s.step('fine', undo=undo)))
      s.commit()
      """)
    #expect(
      run.out == """
        denied: Not this step.
        denied: Not this step. False
        approval_required
        denied: Not that. False
        ok

        """, "\(run.summary)")
  }

  /// That tools may be called says nothing of steps.
  @Test func stepsNeedARuleOfTheirOwn() {
    let place = AgentPlace(.native)
    place.scratch.write(
      "policy.yaml",
      AgentPlace.policy.split(separator: "\n").filter { !$0.contains("saga.step") }
        .joined(separator: "\n") + "\n")
    let run = place.run(
      """
      s = agt.saga('judged').begin()
      try: s.tool('make', name='x')
      except agt.GovernanceDenied as error: print('denied', os.path.exists('x'))
      """)
    #expect(run.out == "denied False\n", "\(run.summary)")
  }

  private static func script(_ command: String, name: String = "script") -> String {
    """
    apiVersion: agt-run/v1
    kind: Tool
    metadata: {name: \(name), description: for tests}
    ring: 2
    arguments: {type: object, properties: {name: {type: string}}, required: [name]}
    command: [\(command), "{name}"]
    """
  }

  /// A script in the workspace that undoes is read-only for the agent and for its tools.
  @Test(arguments: Starter.all) func aScriptInTheWorkspaceStays(_ starter: Starter) throws {
    let place = AgentPlace(starter)
    place.scratch.write("undo.sh", "#!/bin/sh\necho undid $1 >> log\n", mode: 0o777)
    place.scratch.write(place.toolFile("script"), Self.script("./undo.sh"))
    place.scratch.write(place.toolFile("sh"), BrokerText.shell)
    let run = place.run(
      """
      s = agt.saga('mine').begin()
      s.step('own', undo=('script', {'name': 'b'}))
      def code(call):
          try: call(); return 'changed'
          except OSError as error: return error.strerror
      print(code(lambda: open('undo.sh', 'w')))
      print(code(lambda: os.rename('undo.sh', 'other.sh')))
      script = 'echo true > undo.sh; mv undo.sh x.sh; rm -f undo.sh; ls undo.sh'
      print(agt.broker().call('tool.call', {'name': 'sh', 'arguments': {'name': script}})['stdout'])
      s.abort()
      """)
    #expect(
      run.out == "Read-only file system\nDevice or resource busy\nundo.sh\n\n", "\(run.summary)")
    #expect(place.log == "undid b\n")
  }

  /// What the run could change before it is executed is not registered.
  @Test func whatCouldBeChangedIsRefused() {
    let place = AgentPlace(.ordinary)
    place.scratch.write("real.sh", "#!/bin/sh\ntrue\n", mode: 0o777)
    _ = Command.shell("ln -s real.sh link.sh; ln -s /bin/sh mysh", in: place.scratch.path).run()
    for (name, command) in [
      ("linked", "./link.sh"), ("shelled", "./mysh, -c, 'true'"), ("absent", "./none.sh"),
      ("given", "python3"),
    ] {
      place.scratch.write(place.toolFile(name), Self.script(command, name: name))
    }
    let run = place.run(
      """
      s = agt.saga('mine').begin()
      open('made.py', 'w').write('print(1)')
      for name, value in ('linked', 'x'), ('shelled', 'x'), ('absent', 'x'), ('given', 'made.py'):
          try: s.step(name, undo=(name, {'name': value})); print('ok')
          except agt.RequestError as error: print(error)
      s.step('given', undo=('given', {'name': '/usr/lib/python3/none.py'}))
      s.commit()
      """)
    let lines = run.out.split(separator: "\n").map(String.init)
    #expect(lines.count == 4, "\(run.summary)")
    for (line, start) in zip(
      lines, ["not_permitted", "not_permitted", "failed", "not_permitted"])
    {
      #expect(line.hasPrefix(start + ": undo: "), "\(run.summary)")
    }
  }

  /// Somebody else changes it: it is not run, and a person hears why; put back, it is.
  @Test func anotherProgramIsNotRun() throws {
    let place = AgentPlace(.ordinary)
    let script = "#!/bin/sh\necho undid $1 >> log\n"
    place.scratch.write("undo.sh", script, mode: 0o777)
    place.scratch.write(place.toolFile("script"), Self.script("./undo.sh"))
    let running = place.command(
      """
      s = agt.saga('mine').begin()
      s.step('own', undo=('script', {'name': 'b'}))
      print(s.id, flush=True)
      while not os.path.exists('go'): time.sleep(0.01)
      print(s.abort('enough'))
      """
    ).start()
    #expect(running.waitForOutput("\n"))
    place.scratch.write("undo.sh", "#!/bin/sh\necho evil >> log\n", mode: 0o777)
    place.scratch.write("go", "")
    let run = running.wait()
    #expect(run.out.hasSuffix("needs-operator\n"), "\(run.summary)")
    #expect(place.log == "")
    let saga = try place.saga()
    let id = try #require(saga["saga"]?.stringValue)
    let reason = saga["steps"]?.arrayValue?.first?["reason"]?.stringValue ?? ""
    #expect(reason.contains("undo.sh was changed since it was registered"), "\(saga)")
    place.scratch.write("undo.sh", script, mode: 0o777)
    let resolved = place.site.agt(
      ["resolve", id, "own", "--outcome", "happened", "--evidence", "it is there"])
    #expect(resolved.status == 1, "\(resolved.summary)")
    #expect(place.log == "undid b\n")
  }

  /// The bound of a dying run's undoing: what runs is ended, and the rest waits for a runner with more time.
  @Test func undoingHasAnEnd() throws {
    let place = AgentPlace(.ordinary)
    place.scratch.write(
      place.toolFile("slow"),
      AgentPlace.tool("slow", "[ -e fast ] || sleep 30; echo slow $1 >> log"))
    let running = place.command(
      """
      s = agt.saga('mine').begin()
      for name in 'a', 'b': s.step(name, undo=('slow', {'name': name}))
      print(s.id, flush=True)
      time.sleep(60)
      """
    ).start()
    #expect(running.waitForOutput("\n"))
    let id = String(String(decoding: running.output, as: UTF8.self).prefix(26))
    running.signal(SIGKILL)
    _ = running.wait()
    let left = place.site.agt(["resume", id, "--within", "500ms"])
    #expect(left.status == 75 && left.err.contains("agt saga resume"), "\(left.summary)")
    #expect(place.log == "")
    let saga = try place.saga()
    #expect(saga["phase"] == "compensating" && saga["runner"] == .null, "\(saga)")
    #expect(saga["reason"]?.stringValue?.contains("undoing took longer than 0 s") == true)
    place.scratch.write("fast", "")
    let resumed = place.site.agt(["resume", id, "--within", "1m"])
    #expect(resumed.status == 1, "\(resumed.summary)")
    #expect(place.log == "slow b\nslow a\n")
    #expect(place.site.agt(["resume", id, "--within", "soon"]).status == 2)
  }

  /// Where the supervisor stood may be gone: outside of the workspace it does not matter, inside it is said.
  @Test func itsPlaceIsGone() throws {
    for isInside in [false, true] {
      let place = AgentPlace(.ordinary)
      let stand = isInside ? place.scratch.path + "/sub" : place.scratch.home + "/stand"
      #expect(Command(["/bin/mkdir", "-m", "777", stand]).run().status == 0)
      let running = place.command(
        "os.chdir('\(place.scratch.path)')\n" + Self.own + "time.sleep(60)",
        options: ["--workspace", place.scratch.path], in: stand
      ).start()
      #expect(running.waitForOutput("\n"))
      let id = String(String(decoding: running.output, as: UTF8.self).prefix(26))
      #expect(Command(["/bin/mv", stand, stand + "-moved"]).run().status == 0)
      running.signal(SIGKILL)
      _ = running.wait()
      let resumed = place.site.agt(["resume", id])
      if isInside {
        #expect(resumed.status == 2, "\(resumed.summary)")
        #expect(resumed.err.contains("put the directory back"), "\(resumed.summary)")
        #expect(Command(["/bin/mv", stand + "-moved", stand]).run().status == 0)
        #expect(place.site.agt(["resume", id]).status == 1)
        #expect(File.read(stand + "/log") == "undo b own\n")
      } else {
        #expect(resumed.status == 1, "\(resumed.summary)")
        #expect(place.log == "undo b own\n")
      }
    }
  }

  @Test func theRecordOfAKillNamesWhatIsUndone() throws {
    let place = AgentPlace(.ordinary)
    let name = "saga-\(UInt32.random(in: 0 ... .max))"
    let running = place.command(
      Self.own + "s.tool('make', name='c')\nprint('made', flush=True)\ntime.sleep(60)",
      options: ["--name", name, "--result-json", place.scratch.home + "/r"]
    ).start()
    #expect(running.waitForOutput("made\n"))
    let kill = place.site.program("agt", ["kill", name, "--json"]).run()
    #expect(kill.status == 0, "\(kill.summary)")
    #expect(kill.out.contains("\"compensations\""), "\(kill.summary)")
    let run = running.wait()
    let result = try JSONParser.parse(Array((File.read(place.scratch.home + "/r") ?? "").utf8))
    let undone = result["kill"]?["compensations"]?.arrayValue?.first
    #expect(undone?["state"] == "compensated", "\(run.summary) \(result)")
    #expect(undone?["undone"] == ["own", "make-1"] && undone?["left"] == [], "\(result)")
  }
}

private enum BrokerText {
  static let shell = """
    apiVersion: agt-run/v1
    kind: Tool
    metadata: {name: sh, description: a shell}
    ring: 2
    arguments: {type: object, properties: {name: {type: string}}, required: [name]}
    command: [sh, -c, "{name}"]
    """
}
