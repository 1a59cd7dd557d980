import Glibc
import JSON
import TestSupport
import Testing

/// What a run leaves in the audit log, through the built commands.
@Suite struct AuditLogTests {
  /// Everything belongs to an ordinary user with a home of its own: root's log is the machine's.
  final class Site {
    let scratch = Scratch()
    var state: String { scratch.home + "/.local/state/agt/audit" }

    @discardableResult
    func run(_ words: [String]) -> Completed { command(words).run() }

    func command(_ words: [String]) -> Command {
      Command.agtRun(words, as: .ordinary, in: scratch)
    }

    func agt(_ words: [String], input: [UInt8]? = nil) -> Completed {
      var command = Command(Starter.ordinary.prefix + [Binaries.agt] + words, in: scratch.path)
      command.environment[1] = "HOME=\(scratch.home)"
      if let input { command.input = .bytes(input) }
      return command.run()
    }

    func entries(_ words: [String] = []) -> [JSONValue] {
      agt(["log", "--json"] + words).out.split(separator: "\n").compactMap {
        try? JSONParser.parse(Array($0.utf8))
      }
    }

    func kinds(_ words: [String] = []) -> [String] {
      entries(words).compactMap { $0["kind"]?.stringValue }
    }

    /// The only file of the host's entries.
    var hostFile: String { state + "/host/entries.00000000000000000000.jsonl" }
  }

  @Test func aRunIsRecordedInBothLogs() throws {
    let site = Site()
    let run = site.run(
      [
        "--agent", "tester", "--env", "TOKEN=s3cret-value", "--", "sh", "-c",
        "exit 3 # s3cret-word",
      ])
    #expect(run.status == 3, "\(run.summary)")
    #expect(site.kinds() == ["log.created", "run.start", "run.end"])
    #expect(site.kinds(["last"]) == ["run.start", "plan.enforced", "run.program", "run.end"])
    let start = try #require(site.entries()[1]["data"])
    #expect(start["agent"] == "tester" && start["program"] == "sh" && start["ring"] == 3)
    #expect(start["argumentCount"] == 2 && start["variables"] == ["TOKEN"])
    let end = try #require(site.entries()[2]["data"])
    #expect(end["status"] == 3 && end["state"] == "exited" && end["size"] == 4)
    let everything = Command.shell("cat $1/*/*.jsonl $1/*/*/*.jsonl", [site.state]).run().out
    #expect(everything.contains("argumentsDigest") && !everything.contains("s3cret"))
    let verified = site.agt(["log", "verify"])
    #expect(verified.status == 0 && verified.out.hasSuffix("sound\n"), "\(verified.summary)")
  }

  @Test func aForbiddenCallAndAKillAreRecorded() throws {
    let site = Site()
    #expect(
      site.run(["--on-violation", "kill", "--", "unshare", "--mount", "true"]).status == 137)
    // That the program was executed can be known before or after its first call was refused.
    let kinds = site.kinds(["last"]).filter { $0 != "run.program" }
    #expect(kinds.suffix(3) == ["violation", "kill", "run.end"], "\(kinds)")
    let violation = try #require(
      site.entries(["last", "--kind", "violation"]).first?["data"])
    #expect(violation["call"] == "unshare")
    #expect(site.agt(["log", "verify"]).status == 0)
  }

  /// At the limit of threads there is none for the log: it is written all the same, before its end, and counts as before.
  @Test(.enabled(if: File.exists("/usr/bin/strace"), "needs strace")) func noThread() throws {
    let site = Site()
    var command = site.command(
      ["--ring", "2", "--", "sh", "-c", "unshare --mount true; echo told; read x; exit 4"])
    let traced = [
      "/usr/bin/strace", "-qqq", "-o", "/dev/null", "-e", "trace=clone3", "-e",
      // The first is the stage's.
      "inject=clone3:error=EAGAIN:when=2+", "--",
    ]
    let at = try #require(
      command.words.firstIndex { String(decoding: $0, as: UTF8.self).hasSuffix("/agt-run") })
    command.words.insert(contentsOf: traced.map { Array($0.utf8) }, at: at)
    command.input = .silent
    let running = command.start()
    #expect(running.waitForOutput("told"))
    #expect(Clock.eventually { site.kinds(["last"]).contains("violation") })
    running.closeInput()
    let run = running.wait()
    #expect(run.status == 4, "\(run.summary)")
    #expect(
      site.kinds(["last"]) == ["run.start", "plan.enforced", "run.program", "violation", "run.end"])
    #expect(site.agt(["log", "verify"]).status == 0)
  }

  @Test func aLaunchThatFailsIsRecorded() {
    let site = Site()
    #expect(site.run(["--", "no-such-program"]).status == 127)
    let end = site.entries().last
    #expect(end?["kind"] == "run.end" && end?["data"]?["state"] == "not_started")
    #expect(site.agt(["log", "verify"]).status == 0)
  }

  /// The entry has no member that docs/audit.md does not name.
  static func expectDocumented(_ entry: JSONValue) {
    let kind = entry["kind"]?.stringValue ?? ""
    let names = Set(entry["data"]?.objectValue?.members.map(\.name) ?? [])
    let known = documented[kind] ?? []
    #expect(names.isSubset(of: known), "\(kind): \(names.subtracting(known))")
  }

  /// The table of docs/audit.md: names of members by kind.
  private static let documented: [String: Set<String>] = {
    let file = File.parent(File.parent(File.parent(#filePath))) + "/docs/audit.md"
    var kinds: [String: Set<String>] = [:]
    for line in (File.read(file) ?? "").split(separator: "\n") where line.hasPrefix("| `") {
      let cells = line.split(separator: "|").map { String($0) }
      guard cells.count == 3, cells[1].contains("host") || cells[1].contains("run") else {
        continue
      }
      let words = cells[2].split(separator: "`", omittingEmptySubsequences: false)
      let kind = cells[0].filter { $0 != "`" && $0 != " " }
      kinds[kind] = Set(stride(from: 1, to: words.count, by: 2).map { String(words[$0]) })
    }
    return kinds
  }()

  /// A run whose program has the broker decide, call a tool, take a note and wait for a person.
  private static func askBroker(_ site: Site, _ more: String = "") -> Completed {
    site.scratch.write(
      "policy.yaml",
      """
      apiVersion: agt-run/v1
      kind: Policy
      metadata: {name: test}
      rules:
        - {id: drop, when: tool == 'drop', then: deny}
        - {id: mail, when: tool == 'mail', then: require_approval, approvers: {users: ['0', '61234'], expires: 200ms}}
        - {id: sh, when: tool == 'sh', then: allow}

      """)
    site.scratch.write("tool.yaml", BrokerSite.shell(ring: 3))
    return site.run([
      "--policy", "policy.yaml", "--tools", "tool.yaml", "--", "python3", "-c",
      BrokerSite.prelude + """
        p = Peer()
        print(p.verdict(tool='drop', path='s3cret-path'))
        print(p.ask('tool.call', name='sh', arguments={'script': 'exit 4 # s3cret-word'})['result']['status'])
        p.ask('log.note', text='hello\\x1b')
        asked = p.ask('policy.decide', tool='mail', approval=True)['result']
        print(p.ask('approval.wait', approval=asked['approval'])['result']['state'])
        """ + more,
    ])
  }

  @Test func theBrokerIsRecorded() throws {
    let site = Site()
    let run = Self.askBroker(site)
    #expect(run.out == "deny\n4\nexpired\n", "\(run.summary)")
    // The tool's run began last.
    let id = try #require(
      site.entries(["--kind", "run.start"]).first?["data"]?["run"]?.stringValue)
    let kinds = site.kinds([id])
    #expect(
      kinds == [
        "run.start", "plan.enforced", "policy.loaded", "run.program", "decision", "decision",
        "tool.start", "tool.end", "note", "decision", "approval.pending", "approval.expired",
        "run.end",
      ], "\(kinds)")
    let data = site.entries([id]).map { $0["data"] }
    try #require(data.count == 13)
    #expect(data[4]?["rule"] == "policy.yaml:5 drop" && data[4]?["verdict"] == "deny")
    #expect(data[6]?["decision"] == 2 && data[6]?["tool"] == "sh" && data[6]?["ring"] == 3)
    #expect(data[7]?["outcome"] == "exited" && data[7]?["status"] == 4)
    let tool = data[7]?["run"]?.stringValue
    #expect(site.entries(["--kind", "run.start"]).last?["data"]?["run"]?.stringValue == tool)
    #expect(data[8]?["text"]?.stringValue?.contains("\u{1B}") == false)
    let everything = Command.shell("cat $1/*/*.jsonl $1/*/*/*.jsonl", [site.state]).run().out
    #expect(everything.contains("requestDigest") && !everything.contains("s3cret"))
    #expect(site.agt(["log", "verify"]).status == 0)
  }

  /// A supervisor that is killed cannot say so; whoever finds out does.
  @Test func aLostRunHasAnEnd() throws {
    let site = Site()
    let running = site.command(["--ring", "3", "--", "sleep", "60"]).start()
    try #require(Clock.eventually { site.kinds(["last"]).contains("run.program") })
    running.signal(SIGKILL)
    _ = running.wait()
    #expect(site.agt(["gc"]).status == 0)
    #expect(site.kinds().suffix(2) == ["kill", "run.end"], "\(site.kinds())")
    #expect(site.entries().last?["data"]?["reason"] == "supervisor_lost")
    #expect(site.agt(["log", "verify"]).status == 0)
  }

  /// What an operator does to a run, and to those that have not begun.
  @Test func operatorsAreRecorded() throws {
    let site = Site()
    let running = site.command(["--ring", "3", "--agent", "clerk", "--", "sleep", "60"]).start()
    try #require(Clock.eventually { site.kinds(["last"]).contains("run.program") })
    let id = try #require(site.entries(["last"]).first?["data"]?["run"]?.stringValue)
    #expect(site.agt(["pause", id]).status == 0)
    #expect(site.agt(["resume", id]).status == 0)
    running.signal(SIGTERM)
    _ = running.wait()
    let kinds = site.kinds([id])
    #expect(kinds.suffix(4) == ["pause", "resume", "run.asked", "run.end"], "\(kinds)")
    #expect(site.entries([id, "--kind", "pause"]).first?["data"]?["uid"] == 61234)
    let agent = "held\(getpid())"
    #expect(site.agt(["hold", "--agent", agent, "--reason", "mail"]).status == 0)
    #expect(site.agt(["release", "--agent", agent]).status == 0)
    #expect(site.agt(["release", "--agent", agent]).status == 1)
    #expect(site.kinds().suffix(2) == ["hold", "release"], "\(site.kinds())")
    #expect(site.agt(["log", "verify"]).status == 0)
  }

  @Test func everyMemberIsDocumented() {
    let site = Site()
    _ = Self.askBroker(
      site,
      """

      saga = p.ask('saga.begin', name='s')['result']['saga']
      undo = {'name': 'sh', 'arguments': {'script': 'true'}}
      p.ask('saga.step', saga=saga, step='one', tool=undo, undo=undo)
      p.ask('saga.abort', saga=saga)
      """)
    site.run(["--ring", "2", "--", "unshare", "--mount", "true"])
    site.run(["--ring", "2", "--txn", "--", "touch", "new"])
    #expect(site.agt(["log", "note", "a remark"]).status == 0)
    #expect(site.agt(["log", "rotate-key"]).status == 0)
    var seen: Set<String> = []
    for run in [nil] + (File.names(site.state + "/runs") ?? []).map(Optional.init) {
      for entry in site.entries(run.map { [$0] } ?? []) {
        seen.insert(entry["kind"]?.stringValue ?? "")
        Self.expectDocumented(entry)
      }
    }
    #expect(seen.isSuperset(of: ["violation", "txn.start", "txn.end", "note", "key.rotated"]))
    #expect(seen.isSuperset(of: ["decision", "tool.start", "tool.end", "approval.expired"]))
    #expect(seen.isSuperset(of: ["saga.start", "saga.step", "saga.end"]))
  }

  @Test func anExplanationIsNoRun() {
    let site = Site()
    #expect(site.run(["--explain", "--", "true"]).status == 0)
    #expect(!File.exists(site.state))
    #expect(!site.agt(["log"]).out.contains(site.scratch.path))
  }

  @Test func aTamperedLogRefusesTheNextRun() throws {
    let site = Site()
    for _ in 0..<2 { #expect(site.run(["--", "true"]).status == 0) }
    let good = try #require(File.bytes(site.hostFile))
    let changed = String(decoding: good, as: UTF8.self).replacing("\"ring\":3", with: "\"ring\":2")
    write(changed, to: site.hostFile)
    let run = site.run(["--", "sh", "-c", "echo RAN"])
    #expect(run.status == 126 && run.out == "", "\(run.summary)")
    #expect(run.err.contains("audit log") && run.err.contains("hint:"), "\(run.summary)")
    let verified = site.agt(["log", "verify"])
    #expect(verified.status == 1 && verified.err.contains("root"), "\(verified.summary)")
    // The twin: as it was, it goes on.
    write(String(decoding: good, as: UTF8.self), to: site.hostFile)
    #expect(site.run(["--", "true"]).status == 0)
    #expect(site.agt(["log", "verify"]).status == 0)
  }

  private func write(_ text: String, to file: String) {
    _ = Command.shell("cat > $1", [file]).with { $0.input = .bytes(Array(text.utf8)) }.run()
  }

  @Test func aChangedLogOfARunIsFound() throws {
    let site = Site()
    #expect(site.run(["--", "true"]).status == 0)
    let run = try #require(File.names(site.state + "/runs")?.first)
    let file = "\(site.state)/runs/\(run)/entries.00000000000000000000.jsonl"
    let good = try #require(File.read(file))
    write(good.replacing("\"exited\"", with: "\"killed\""), to: file)
    #expect(site.agt(["log", "verify"]).status == 1)
    // Cut at an entry that an older checkpoint may have covered: the host's log knows the end.
    let lines = good.split(separator: "\n").dropLast()
    write(lines.joined(separator: "\n") + "\n", to: file)
    #expect(site.agt(["log", "verify"]).status == 1)
    write(good, to: file)
    #expect(site.agt(["log", "verify"]).status == 0)
    // A whole run that is gone is told of.
    _ = Command(["/bin/rm", "-r", "\(site.state)/runs/\(run)"]).run()
    #expect(site.agt(["log", "verify"]).out.contains("1 logs of runs were removed"))
  }

  @Test func withoutALogNothingRuns() {
    let site = Site()
    #expect(site.run(["--", "true"]).status == 0)
    _ = Command(["/bin/chmod", "755", site.state + "/host"]).run()
    let run = site.run(["--", "sh", "-c", "echo RAN"])
    #expect(run.status == 126 && run.out == "", "\(run.summary)")
  }

  /// The host's log can be written, that of the run cannot.
  @Test func withoutALogOfItsOwnARunDoesNotStart() {
    let site = Site()
    #expect(site.run(["--", "true"]).status == 0)
    _ = Command(["/bin/chmod", "500", site.state + "/runs"]).run()
    for _ in 0..<5 {
      let run = site.run(["--", "sh", "-c", "echo RAN"])
      #expect(run.status == 126 && run.out == "", "\(run.summary)")
    }
    _ = Command(["/bin/chmod", "700", site.state + "/runs"]).run()
    #expect(site.run(["--", "true"]).status == 0)
    #expect(site.agt(["log", "verify"]).status == 0)
  }

  /// What others could read or write is refused, and no reason to begin another log elsewhere.
  @Test(arguments: ["755", "770"]) func aLogThatIsNotOnesOwnIsRefused(_ mode: String) {
    let site = Site()
    #expect(site.run(["--", "true"]).status == 0)
    _ = Command(["/bin/chmod", mode, site.state]).run()
    let run = site.run(["--", "sh", "-c", "echo RAN"])
    #expect(run.status == 126 && run.out == "", "\(run.summary)")
    #expect(run.err.contains("chmod 700"), "\(run.summary)")
    _ = Command(["/bin/chmod", "700", site.state]).run()
    #expect(site.run(["--", "true"]).status == 0)
    #expect(site.kinds(["--kind", "run.start"]).count == 2)
  }

  /// Somebody who was stopped in the middle has the lock: nothing waits for ever.
  @Test func aHeldLogRefusesLaunches() throws {
    let site = Site()
    #expect(site.run(["--", "true"]).status == 0)
    let holder = Command(
      Starter.ordinary.prefix + [
        "/bin/sh", "-c", "exec 9<\(site.state)/host; flock 9; echo held; exec sleep 60",
      ], in: site.scratch.path
    ).start()
    try #require(holder.waitForOutput("held"))
    let run = site.command(["--", "sh", "-c", "echo RAN"]).with { $0.timeoutSeconds = 90 }.run()
    #expect(run.status == 126 && run.out == "", "\(run.summary)")
    #expect(run.err.contains("another process has held it") && run.err.contains("lslocks"))
    #expect(run.seconds < 70)
    holder.signal(SIGKILL)
    _ = holder.wait()
    #expect(site.run(["--", "true"]).status == 0)
  }

  /// A lost run has no end that would tell, so that its log must not be believed without a signature.
  @Test func aLogWithoutSignaturesIsNotSound() throws {
    let site = Site()
    let running = site.command(["--", "sh", "-c", "echo up; exec sleep 60"]).start()
    #expect(running.waitForOutput("up"))
    running.signal(SIGKILL)
    _ = running.wait()
    #expect(site.agt(["log", "verify"]).status == 0)
    let run = try #require(File.names(site.state + "/runs")?.first)
    let place = "\(site.state)/runs/\(run)"
    _ = Command.shell("rm $1/checkpoint.*", [place]).run()
    let verified = site.agt(["log", "verify"])
    #expect(verified.status == 1 && verified.out.hasSuffix("NOT SOUND\n"), "\(verified.summary)")
  }

  /// A program that has refused more names than are remembered does not hide the next.
  @Test func manyRefusalsHideNothing() throws {
    let site = Site()
    let script = """
      import socket
      for number in range(1200):
          try: socket.getaddrinfo(f'n{number}.invalid', 80)
          except OSError: pass
      """
    let run = site.run(["--ring", "2", "--net", "example.org:80", "--", "python3", "-c", script])
    #expect(run.status == 0, "\(run.summary)")
    let refused = site.kinds(["last", "--kind", "net.refused"]).count
    // Those with a count of their own, and each that doubled the number of the others.
    #expect(refused > 1024 && refused < 1040, "\(refused)")
  }

  /// An id that is used again, before the log has the first call: what was cancelled does not run.
  @Test func aCancelledToolDoesNotRun() throws {
    let site = Site()
    let place = site.scratch.path
    site.scratch.write(
      "policy.yaml",
      """
      apiVersion: agt-run/v1
      kind: Policy
      metadata: {name: test}
      rules:
        - {id: sh, when: tool == 'sh', then: allow}

      """)
    site.scratch.write("tool.yaml", BrokerSite.shell(ring: 2))
    let run = site.run([
      "--ring", "2", "--policy", "policy.yaml", "--tools", "tool.yaml", "--", "python3", "-c",
      BrokerSite.prelude + """
        p = Peer()
        p.id = 10
        first = p.line('tool.call', name='sh', arguments={'script': 'touch first'})
        cancel = p.line('agt.cancel', id=11)
        p.id = 10
        second = p.line('tool.call', name='sh', arguments={'script': 'touch second'})
        p.s.sendall(first + cancel + second)
        answers = [p.read() for _ in range(3)]
        print(sorted(a['result'].get('outcome', '') for a in answers if 'result' in a))
        """,
    ])
    #expect(run.status == 0, "\(run.summary)")
    #expect(run.out == "['', 'cancelled', 'exited']\n", "\(run.summary)")
    #expect(!File.exists(place + "/first") && File.exists(place + "/second"))
    let id = try #require(
      site.entries(["--kind", "run.start"]).first?["data"]?["run"]?.stringValue)
    let kinds = site.kinds([id])
    #expect(kinds.filter { $0 == "tool.start" }.count == 2)
    #expect(kinds.filter { $0 == "tool.end" }.count == 2, "\(kinds)")
  }

  @Test func killedSupervisorsLeaveASoundLog() {
    let site = Site()
    for _ in 0..<3 {
      let running = site.command(["--", "sh", "-c", "echo up; exec sleep 60"]).start()
      #expect(running.waitForOutput("up"))
      running.signal(9)
      _ = running.wait()
    }
    #expect(site.run(["--", "true"]).status == 0)
    let verified = site.agt(["log", "verify"])
    #expect(
      verified.status == 0 && verified.out.contains("3 of them have no end"), "\(verified.summary)")
  }

  @Test func manyAtTheSameTimeShareTheHostsLog() {
    let site = Site()
    let running = (0..<12).map { _ in site.command(["--", "true"]).start() }
    for one in running {
      let run = one.wait()
      #expect(run.status == 0, "\(run.summary)")
    }
    #expect(site.kinds(["--kind", "run.end"]).count == 12)
    #expect(site.agt(["log", "verify"]).status == 0)
  }

  /// A server on this machine that says ok.
  static func server(_ body: (Int) throws -> Void) throws {
    let script = """
      import socket
      s = socket.create_server(("127.0.0.1", 0))
      print("port", s.getsockname()[1], "end", flush=True)
      while True:
          c, _ = s.accept(); c.sendall(b"ok"); c.close()
      """
    let running = Command(["/usr/bin/python3", "-c", script]).start()
    #expect(running.waitForOutput("end"))
    let words = String(decoding: running.output, as: UTF8.self).split(separator: " ")
    try body(try #require(Int(words[1])))
    running.signal(9)
  }

  @Test func connectionsAndRefusalsAreRecorded() throws {
    let site = Site()
    let script = """
      import socket, sys
      s = socket.create_connection(("host-loopback", int(sys.argv[1])), 5)
      assert s.recv(2) == b"ok"; s.close()
      try: socket.getaddrinfo("evil.example", 443)
      except OSError: pass
      """
    try Self.server { port in
      let run = site.run(
        ["--ring", "2", "--net", "host-loopback:\(port)", "--", "python3", "-c", script, "\(port)"])
      #expect(run.status == 0, "\(run.summary)")
      let entries = site.entries(["last"])
      func destinations(_ kind: String) -> [String] {
        entries.filter { $0["kind"]?.stringValue == kind }.compactMap {
          $0["data"]?["destination"]?.stringValue
        }
      }
      #expect(destinations("net.open") == ["host-loopback:\(port)"], "\(entries)")
      #expect(destinations("net.close") == ["host-loopback:\(port)"])
      #expect(destinations("net.refused") == ["evil.example"])
    }
    #expect(site.agt(["log", "verify"]).status == 0)
  }

  @Test(arguments: ["always", "group", "off"]) func everyWayOfSyncing(_ mode: String) {
    let site = Site()
    #expect(site.run(["--audit-sync", mode, "--", "true"]).status == 0)
    #expect(site.kinds(["last"]).last == "run.end")
    #expect(site.agt(["log", "verify"]).status == 0)
  }

  // MARK: proofs, keys, witnesses

  @Test func anEntryIsProvenToAStranger() throws {
    let site = Site()
    for _ in 0..<3 { site.run(["--", "true"]) }
    let key = try #require(File.read(site.state + "/host/key.pub")?.split(separator: "\n").first)
    #expect(site.agt(["log", "prove", "3", "-o", "proof"]).status == 0)
    let checked = site.agt(["log", "check-proof", "proof", "--key", String(key)])
    #expect(checked.status == 0 && checked.out.contains("\"index\":3"), "\(checked.summary)")
    let text = try #require(site.scratch.read("proof"))
    site.scratch.write("forged", text.replacing("index 3", with: "index 2"))
    #expect(site.agt(["log", "check-proof", "forged", "--key", String(key)]).status == 1)
  }

  @Test func aKeyFollowsAnother() throws {
    let site = Site()
    site.run(["--", "true"])
    let first = try #require(File.read(site.state + "/host/key.pub")?.split(separator: "\n").first)
    let rotated = site.agt(["log", "rotate-key"])
    #expect(rotated.status == 0 && !rotated.out.contains(first), "\(rotated.summary)")
    #expect(site.run(["--", "true"]).status == 0)
    let verified = site.agt(["log", "verify", "--key", String(first)])
    #expect(verified.status == 0 && verified.out.contains("changed 1 times"), "\(verified.summary)")
    // The new key alone is not the beginning of the log.
    let new = rotated.out.split(separator: "\n").first.map(String.init) ?? ""
    #expect(site.agt(["log", "verify", "--key", new]).status == 1)
  }

  @Test func aWitnessSeesWhatWasCut() throws {
    let site = Site()
    site.run(["--", "true"])
    let key = try #require(
      File.read(site.state + "/host/key.pub")?.split(separator: "\n").first.map(String.init))
    let witness = site.agt(["witness", "init", "witness", "--name", "witness.example"])
    #expect(witness.status == 0, "\(witness.summary)")
    site.scratch.write("witnesses", witness.out)
    _ = Command(["/bin/cp", "-a", site.state + "/host", site.scratch.path + "/early"]).run()
    func request(_ old: Int) -> [UInt8] {
      site.agt(["log", "export", "--format", "witness-request", "--old", "\(old)"]).output
    }
    let cosign = ["witness", "cosign", "witness", "--log", key]
    #expect(site.agt(cosign, input: request(0)).status == 0)
    site.run(["--", "true"])
    let second = site.agt(cosign, input: request(3))
    #expect(second.status == 0, "\(second.summary)")
    site.scratch.write("kept", bytes: second.output)
    let check = ["log", "verify", "--from", "kept", "--witness", "witnesses"]
    #expect(site.agt(check).status == 0)
    // Whoever has the files and the key goes back: the log is sound in itself, and was longer once.
    _ = Command.shell(
      "rm -r $1 && cp -a $2 $1", [site.state + "/host", site.scratch.path + "/early"]
    ).run()
    _ = Command.shell("rm -r $1/runs/*", [site.state]).run()
    #expect(site.agt(["log", "verify"]).status == 0)
    let cut = site.agt(check)
    #expect(cut.status == 1, "\(cut.summary)")
    // And the witness does not go back either.
    #expect(site.agt(cosign, input: request(0)).status == 1)
  }

  /// What other programs take: one entry each, all of its data.
  @Test func otherFormats() throws {
    let site = Site()
    #expect(site.run(["--ring", "2", "--", "unshare", "--mount", "true"]).status != 0)
    let entries = site.entries(["last"])
    for format in ["cloudevents", "ocsf", "otlp-json"] {
      let lines = site.agt(["log", "export", "--format", format, "last"]).out.split(separator: "\n")
      try #require(lines.count == entries.count, "\(format)")
      for (line, entry) in zip(lines, entries) {
        let event = try JSONParser.parse(Array(line.utf8))
        let record =
          event["resourceLogs"]?.arrayValue?[0]["scopeLogs"]?.arrayValue?[0]["logRecords"]?
          .arrayValue?[0]
        let body = try record?["body"]?["stringValue"]?.stringValue.map {
          try JSONParser.parse(Array($0.utf8))
        }
        #expect((event["data"] ?? event["unmapped"] ?? body) == entry["data"], "\(line)")
        if format == "ocsf" {
          let kind = try #require(event["class_uid"]?.integerValue)
          let activity = try #require(event["activity_id"]?.integerValue)
          #expect(event["type_uid"] == JSONValue(kind * 100 + activity))
          #expect(try #require(event["time"]?.integerValue) > 1_700_000_000_000)
        }
      }
    }
    let journal = site.agt(["log", "export", "--format", "journal", "last"]).out
    let blocks = journal.split(separator: "\n\n")
    #expect(blocks.count == entries.count)
    for (block, entry) in zip(blocks, entries) {
      let fields = block.split(separator: "\n")
      #expect(fields.count == 8 && fields.allSatisfy { $0.contains("=") }, "\(block)")
      let kind = entry["kind"]?.stringValue ?? ""
      #expect(fields.contains("AGT_KIND=\(kind)"))
    }
  }

  @Test func tilesAreExportedOnce() {
    let site = Site()
    site.run(["--", "true"])
    let words = ["log", "export", "--format", "tlog-tiles", "last", "-o", site.scratch.path + "/t"]
    #expect(site.agt(words).status == 0)
    #expect(site.scratch.read("t/checkpoint")?.hasPrefix("agt-run/run/") == true)
    #expect(site.scratch.read("t/tile/entries/000.p/4")?.contains("run.start") == true)
    let again = site.agt(words)
    #expect(again.status == 2 && again.err.contains("is there already"), "\(again.summary)")
  }
}
