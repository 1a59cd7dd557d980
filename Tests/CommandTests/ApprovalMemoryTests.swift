import JSON
import TestSupport
import Testing

/// `approvals.yaml` and remembered approvals (docs/approvals.md), as an ordinary user: root's are the machine's.
@Suite struct ApprovalMemoryTests {
  private static let policy = """
    apiVersion: agt-run/v1
    kind: Policy
    metadata: {name: test}
    rules:
      - {id: script, when: kind == 'tool.call', then: require_approval}
      - {id: mail, when: tool == 'mail', then: require_approval, say: Ask.}
      - {id: two, when: kind == 'ring.elevate', then: require_approval}

    """

  /// Asks, and says how it ended.
  private static let helpers = """
    def ask(method, **params):
        reply = p.ask(method, approval=True, **params)
        return (reply.get('result') or reply['error']['data'])['approval']
    def wait(ticket):
        end = p.ask('approval.wait', approval=ticket)['result']
        return end.get('result', {}).get('stdout', end['state']).strip()
    def call(script): return ask('tool.call', name='sh', arguments={'script': script})
    p = Peer()

    """

  private func command(_ script: String, in scratch: Scratch) -> Command {
    scratch.write("tool.yaml", BrokerSite.shell(ring: 3))
    return BrokerSite(ring: 3, starter: .ordinary).command(
      Self.helpers + script, policy: Self.policy, options: ["--tools", "tool.yaml"], in: scratch)
  }

  private func agt(_ words: [String], _ scratch: Scratch) -> Completed {
    ApprovalTests.agt(words, as: .ordinary, scratch).run()
  }

  private func id(_ running: RunningCommand) -> String {
    _ = running.waitForOutput("\n")
    return String(decoding: running.output, as: UTF8.self).split(separator: "\n").last.map {
      String($0)
    } ?? ""
  }

  private func write(_ scratch: Scratch, _ file: String, _ text: String, mode: String = "644") {
    let made = Command.shell(
      """
      mkdir -p "$1/.config/agt" && printf %s "$3" > "$1/.config/agt/$2" && chmod "$4" "$1/.config/agt/$2" &&
      { [ $(id -u) != 0 ] || chown -R \(Starter.ordinaryID) "$1/.config"; }
      """, [scratch.home, file, text, mode]
    ).run()
    #expect(made.status == 0, "\(made.summary)")
  }

  @Test func remembered() throws {
    let scratch = Scratch()
    let first = command(
      """
      ticket = call('echo "$AGT_RING"')
      print(ticket, flush=True)
      print(wait(ticket), wait(call('echo "$AGT_RING"')))
      other = call('echo other')
      print(p.ask('approval.status', approval=other)['result']['state'])
      """, in: scratch
    ).start()
    let ticket = id(first)
    let watch = ApprovalTests.agt(["pending", "--watch", "--json"], as: .ordinary, scratch).start()
    #expect(watch.waitForOutput("\"id\":\"\(ticket)\""))
    watch.signal(2)
    _ = watch.wait()
    let said = agt(["approve", ticket, "--remember", "2h"], scratch)
    #expect(
      said.out.contains("remembered in ") && said.out.hasSuffix(" is approved\n"), "\(said.summary)"
    )
    #expect(first.wait().out == "\(ticket)\n3 3\npending\n")
    let file = scratch.home + "/.config/agt/remembered/\(ticket).yaml"
    let text = try #require(File.read(file))
    #expect(text.contains("\"tool\": \"sh\"") && text.contains("expires: \""), "\(text)")
    #expect(text.utf8.allSatisfy { $0 < 0x7f })

    // Another run has it, for the same and nothing else; and not when it was taken back or is over.
    let again = """
      print(wait(call('echo "$AGT_RING"')), p.ask('approval.status', approval=call('echo 4'))['result']['state'])
      """
    #expect(command(again, in: scratch).run().out == "3 pending\n")
    let asks = """
      print(p.ask('approval.status', approval=call('echo "$AGT_RING"'))['result']['state'])
      """
    for change in [
      "sed -i 's/expires: .*/expires: \"2020-01-01T00:00:00.000Z\"/' \"$1\"", "chmod 666 \"$1\"",
      "sed -i 's/echo/true; echo/' \"$1\"", "echo 'more: x' >> \"$1\"", "rm \"$1\"",
    ] {
      let kept = Command.shell("cp -p $1 $2 && \(change)", [file, scratch.path + "/kept"]).run()
      #expect(kept.status == 0, "\(kept.summary)")
      #expect(command(asks, in: scratch).run().out == "pending\n", "\(change)")
      _ = Command.shell("cp -p $1 $2", [scratch.path + "/kept", file]).run()
      #expect(command(again, in: scratch).run().out == "3 pending\n", "after \(change)")
    }
  }

  @Test func whatIsNotRemembered() throws {
    let scratch = Scratch()
    let running = command(
      """
      print(ask('ring.elevate', tools=['sh'], ring=2), flush=True)
      time.sleep(30)
      """, in: scratch
    ).start()
    let ticket = id(running)
    for (words, why) in [
      (["--remember", "2h"], "an elevation is not remembered"),
      (["--remember", "30s"], "1m to 720h"), (["--remember", "721h"], "1m to 720h"),
      (["--remember", "soon"], "1m to 720h"),
    ] {
      let said = agt(["approve", ticket] + words, scratch)
      #expect(said.status != 0 && said.err.contains(why), "\(said.summary)")
    }
    #expect(agt(["approve", ticket], scratch).out == "\(ticket) is approved\n")
    #expect(!File.exists(scratch.home + "/.config/agt/remembered"))
    running.signal(15)
    _ = running.wait()
  }

  private func settings(_ command: String, _ more: String = "") -> String {
    """
    apiVersion: agt-run/v1
    kind: Approvals
    notify: \(command)
    \(more)
    """
  }

  /// The operator's command reads the request, outside of the ring, and keeps nobody waiting.
  @Test func notifies() throws {
    let scratch = Scratch()
    scratch.write("told", "", mode: 0o666)
    write(
      scratch, "approvals.yaml",
      settings(
        """
        [/bin/sh, -c, 'cat >> "$1"; echo "ring $AGT_RING" >> "$1"', sh, \(scratch.path)/told]
        """))
    let run = command(
      """
      ticket = ask('policy.decide', tool='mail', args={'to': 'a\\u202eb'})
      end = time.monotonic() + 10
      while time.monotonic() < end and 'ring' not in open('told').read(): time.sleep(0.05)
      print(ticket)
      """, in: scratch
    ).run()
    let told = (scratch.read("told") ?? "").split(separator: "\n").map(String.init)
    #expect(told.count == 2 && told.last == "ring ", "\(told) \(run.summary)")
    let request = try JSONParser.parse(Array((told.first ?? "").utf8))
    #expect(run.out == "\(request["id"]?.stringValue ?? "")\n")
    #expect(request["request"]?["ring"] == 3 && request["mayAnswer"] == nil)
    #expect(request["text"]?.stringValue?.contains("(untrusted)") == true)
  }

  /// One that hangs, fails, floods or is not there costs a record, and nobody any time.
  @Test func aCommandThatDoesNotWork() throws {
    for (command, more, outcome) in [
      ("[/bin/sleep, '60']", "notifyTimeout: 300ms", "timed_out"),
      ("[/bin/sh, -c, 'exit 3']", "", "exited"), ("[/bin/sh, -c, 'kill -9 $$']", "", "signaled"),
      ("[/no/such/program]", "", "not_started"), ("[page]", "", "not_started"),
      ("[/bin/cat, /dev/zero]", "notifyTimeout: 300ms", "timed_out"),
    ] {
      let scratch = Scratch()
      write(scratch, "approvals.yaml", settings(command, more))
      scratch.write("events", "", mode: 0o666)
      var agtRun = self.command(
        """
        began = time.monotonic()
        ticket = ask('policy.decide', tool='mail')
        print(p.ask('approval.status', approval=ticket)['result']['state'], time.monotonic() - began < 0.25)
        end = time.monotonic() + 10
        while time.monotonic() < end and 'approval.notified' not in open('events').read(): time.sleep(0.05)
        """, in: scratch)
      let at = agtRun.words.firstIndex(of: Array("--quiet".utf8))!
      agtRun.words.insert(contentsOf: ["--status-fd", "9"].map { Array($0.utf8) }, at: at)
      agtRun.words =
        ["/bin/sh", "-c", "exec \"$@\" 9>>events", "sh"].map { Array($0.utf8) } + agtRun.words
      let run = agtRun.run()
      #expect(run.out == "pending True\n", "\(run.summary)")
      let events = (scratch.read("events") ?? "").split(separator: "\n")
      let event = events.first { $0.contains("approval.notified") } ?? ""
      #expect(event.contains("\"outcome\":\"\(outcome)\""), "\(command): \(events)")
    }
  }

  /// What others could have written is not executed.
  @Test func settingsOfOthers() throws {
    let scratch = Scratch()
    scratch.write("told", "", mode: 0o666)
    write(
      scratch, "approvals.yaml", settings("[/bin/sh, -c, 'echo told > \(scratch.path)/told']"),
      mode: "666")
    let run = command("print(len(ask('policy.decide', tool='mail'))); time.sleep(0.7)", in: scratch)
      .run()
    #expect(run.out == "12\n" && scratch.read("told") == "", "\(run.summary)")
    // The twin.
    _ = Command.shell("chmod 644 \(scratch.home)/.config/agt/approvals.yaml").run()
    _ = command("print(len(ask('policy.decide', tool='mail'))); time.sleep(0.7)", in: scratch).run()
    #expect(scratch.read("told") == "told\n")
  }
}
