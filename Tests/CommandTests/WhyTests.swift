import JSON
import TestSupport
import Testing

/// `agt why` is asked about a denial of each layer, and what it advises is done: the same program succeeds
/// then, or the ring forbids it.
@Suite struct WhyTests {
  private let site = AuditLogTests.Site()

  private struct Answer {
    let layer: String
    let rule: String
    let change: String?
    let reason: String?
  }

  private func why(_ question: [String]) throws -> Answer {
    let asked = site.agt(["why", "--json"] + question)
    let json = try JSONParser.parse(asked.output)
    let answer = try #require(json.arrayValue?.first, "\(asked.summary)")
    return Answer(
      layer: answer["layer"]?.stringValue ?? "", rule: answer["rule"]?.stringValue ?? "",
      change: answer["change"]?.stringValue, reason: answer["reason"]?.stringValue)
  }

  /// Runs the program, asks, does what was advised, and runs it again.
  private func mend(
    _ options: [String], _ program: [String], ask question: [String] = [], layer: String,
    rule: String
  ) throws {
    let refused = site.run(options + ["--"] + program)
    #expect(refused.status != 0, "\(refused.summary)")
    let answer = try why(question)
    #expect(answer.layer == layer)
    #expect(answer.rule.hasPrefix(rule), "\(answer.rule)")
    let change = try #require(answer.change)
    let words = change.split(separator: " ").map(String.init)
    // What is given anew replaces what was given.
    var kept: [String] = []
    var index = 0
    while index < options.count {
      if words.contains(options[index]) && options[index] != "--net" {
        index += 2
      } else {
        kept.append(options[index])
        index += 1
      }
    }
    let mended = site.run(kept + words + ["--"] + program)
    #expect(mended.status == 0, "\(change): \(mended.summary)")
  }

  private func line(_ rule: String) throws -> String {
    let parts = rule.split(separator: ":")
    let file = File.parent(File.parent(File.parent(#filePath))) + "/" + parts[0]
    let lines = try #require(File.read(file)).split(
      separator: "\n", omittingEmptySubsequences: false)
    return String(lines[try #require(Int(parts[1])) - 1])
  }

  @Test func aCallThatTheNextRingHas() throws {
    try mend(
      [], ["sh", "-c", "/bin/true; exit $?"], ask: ["--call", "fork"], layer: "seccomp",
      rule: "Profiles/ring3.yaml:")
    // The last run was the mended one: its ring has the call.
    #expect(site.agt(["why", "--json", "--call", "vfork"]).out == "[]\n")
    site.run(["--", "true"])
    #expect(try line(try why(["--call", "vfork"]).rule).contains("vfork"))
    let clone = try why(["--call", "clone"])
    #expect(clone.change == "--ring 2" && clone.reason?.contains("more arguments") == true)
  }

  @Test func aCallThatNoRingHas() throws {
    #expect(site.run(["--", "unshare", "--mount", "true"]).status != 0)
    let answer = try why([])
    #expect(answer.layer == "seccomp" && answer.change == nil)
    #expect(answer.reason?.contains("forbids") == true)
    #expect(try line(answer.rule).contains("unshare"))
  }

  @Test func aPathThatIsNotShown() throws {
    let file = site.scratch.home + "/data"
    #expect(site.run(["--ring", "0", "--", "sh", "-c", "echo 1 > \(file)"]).status == 0)
    try mend(
      [], ["cat", file], ask: ["--path", file], layer: "mount view",
      rule: "Profiles/ring3.yaml:")
    #expect(try line(try why(["--path", "/nowhere"]).rule).contains("read:"))
    #expect(try why(["--path", "/etc/shadow"]).change == nil)
  }

  @Test func aWorkspaceThatIsReadOnly() throws {
    try mend(
      [], ["touch", "new"], ask: ["--path", site.scratch.path + "/new", "--for", "write"],
      layer: "read-only mount and Landlock", rule: "Profiles/ring3.yaml:")
  }

  @Test func aProgramInScratchSpace() throws {
    try mend(
      [],
      [
        "python3", "-c",
        "import os; open('/tmp/t', 'wb').write(open('/bin/true', 'rb').read()); "
          + "os.chmod('/tmp/t', 0o755); os.execv('/tmp/t', ['t'])",
      ],
      ask: ["--path", "/tmp/t", "--for", "execute"], layer: "mount without execution",
      rule: "Profiles/ring3.yaml:")
  }

  private static func connect(_ host: String, _ port: Int) -> [String] {
    [
      "python3", "-c",
      "import socket,sys; s=socket.create_connection((sys.argv[1], int(sys.argv[2])), 5); "
        + "sys.exit(s.recv(2) != b'ok')", host, "\(port)",
    ]
  }

  /// In a network namespace in which 10.9.9.9 is this machine.
  @Test(.enabled(if: Starter.isRoot, "needs a network namespace of its own")) func anAddress() {
    let script = """
      ip link set lo up && ip address add 10.9.9.9/32 dev lo || exit 90
      python3 -c 'import socket
      s = socket.create_server(("10.9.9.9", 7000))
      while True:
          c, _ = s.accept(); c.sendall(b"ok"); c.close()' &
      server=$!
      for i in 1 2 3 4 5 6 7 8 9; do
        bash -c ': < /dev/tcp/10.9.9.9/7000' 2>/dev/null && break; sleep 0.3
      done
      agt=$1; connect=$2; shift 2
      "$@" --ring 2 --net 10.8.8.8:7000 -- python3 -c "$connect" 10.9.9.9 7000 2>/dev/null && exit 91
      # The words before agt-run make its user.
      change=$("${@:1:$#-1}" "$agt" why --net 10.9.9.9:7000)
      echo "$change"
      "$@" --ring 2 $(echo "$change" | sed -n 's/.*change: agt-run //p') -- \
        python3 -c "$connect" 10.9.9.9 7000 || exit 92
      kill $server
      """
    let starter = Command.agtRun([], as: .ordinary, in: site.scratch)
    let words = starter.words.map { String(decoding: $0, as: UTF8.self) }
    var command = Command(
      [
        "/usr/bin/unshare", "--net", "/bin/bash", "-c", script, "sh", Binaries.agt,
        Self.connect("", 0)[2],
      ] + words, in: site.scratch.path)
    command.environment = starter.environment
    let run = command.run()
    #expect(run.status == 0 && run.out.contains("network address"), "\(run.summary)")
  }

  @Test func theRingsOwnLoopback() throws {
    #expect(site.run(["--ring", "2", "--net", "host-loopback:9", "--", "true"]).status == 0)
    let answer = try why(["--net", "127.0.0.1:9"])
    #expect(answer.change == nil && answer.reason?.contains("loopback") == true)
  }

  /// What a rule lets through is refused by somebody else: no rule would help.
  @Test func nobodyListens() throws {
    let run = site.run(
      ["--ring", "2", "--net", "host-loopback:9", "--"] + Self.connect("host-loopback", 9))
    #expect(run.status != 0)
    let answer = try why([])
    #expect(answer.change == nil && answer.reason?.hasPrefix("connecting: ") == true)
  }

  @Test func callsThatAreAllowed() throws {
    #expect(site.run(["--", "true"]).status == 0)
    #expect(site.agt(["why", "--call", "read"]).out == "nothing was refused\n")
    let answer = try why(["--call", "execveat"])
    #expect(answer.change == nil && answer.reason?.contains("with other arguments") == true)
  }

  @Test func aName() throws {
    try AuditLogTests.server { port in
      try mend(
        ["--ring", "2", "--net", "example.org:\(port)"], Self.connect("host-loopback", port),
        ask: ["--net", "host-loopback:\(port)"], layer: "network name", rule: "--net")
    }
  }

  @Test func aRingWithoutNetwork() throws {
    #expect(site.run(["--", "true"]).status == 0)
    #expect(try line(try why(["--net", "example.org:443"]).rule).hasPrefix("network:"))
    try AuditLogTests.server { port in
      try mend(
        [], Self.connect("host-loopback", port), ask: ["--net", "host-loopback:\(port)"],
        layer: "network namespace", rule: "Profiles/ring3.yaml:")
    }
  }

  @Test func timeThatRanOut() throws {
    try mend(
      ["--timeout", "1s"], ["sleep", "1.3"], layer: "limit", rule: "Profiles/ring3.yaml:")
    #expect(try line(try why(["--limit", "time"]).rule).contains("wall"))
  }

  @Test func outputThatWasTooMuch() throws {
    try mend(
      ["--output", "1KiB"], ["head", "-c", "5000", "/dev/zero"], layer: "limit", rule: "--output")
  }

  @Test func requestsThatWereTooMany() throws {
    let rule = "  - {id: all, when: tool != '', then: allow}\n"
    site.scratch.write(
      "policy.yaml",
      "apiVersion: agt-run/v1\nkind: Policy\nmetadata: {name: t}\nrules:\n" + rule)
    try mend(
      ["--policy", "policy.yaml", "--requests", "2"],
      [
        "python3", "-c",
        BrokerSite.prelude + "p = Peer()\nfor n in range(4): p.verdict(tool='x')\nprint('end')",
      ], layer: "limit", rule: "--requests")
  }

  /// Reached, and sent too much: nothing about names and rules.
  @Test func bytesThatWereTooMany() throws {
    let script = """
      import socket
      s = socket.create_server(('127.0.0.1', 0))
      print('port', s.getsockname()[1], 'end', flush=True)
      while True:
          c, _ = s.accept()
          try:
              while c.recv(65536): pass
              c.sendall(b'end')
          except OSError: pass
          c.close()
      """
    let server = Command(["/usr/bin/python3", "-c", script]).start()
    try #require(server.waitForOutput("end"))
    let port = String(decoding: server.output, as: UTF8.self).split(separator: " ")[1]
    try mend(
      ["--ring", "2", "--net", "host-loopback:\(port)", "--egress", "64KiB"],
      [
        "python3", "-c",
        "import socket; s = socket.create_connection(('host-loopback', \(port))); "
          + "s.sendall(bytes(200_000)); s.shutdown(1); assert s.recv(3) == b'end'",
      ], layer: "limit", rule: "--egress")
    server.signal(9)
    _ = server.wait()
  }

  @Test func memory() throws {
    try mend(
      ["--memory", "192MiB"], ["python3", "-c", "x = bytearray(240 << 20)"],
      ask: ["--limit", "memory"], layer: "limit", rule: "Profiles/ring3.yaml:")
  }

  @Test func spaceInScratch() throws {
    try mend(
      ["--tmp", "4MiB"], ["python3", "-c", "open('/tmp/f', 'wb').write(bytes(6 << 20))"],
      ask: ["--limit", "scratch"], layer: "limit", rule: "Profiles/ring3.yaml:")
  }

  @Test func aKill() throws {
    let program = ["sh", "-c", "unshare --mount true || true; exit 0"]
    let killed = site.run(["--ring", "2", "--on-violation", "kill", "--"] + program)
    #expect(killed.status == 137, "\(killed.summary)")
    let answers = try JSONParser.parse(site.agt(["why", "--json"]).output).arrayValue ?? []
    #expect(answers.map { $0["layer"]?.stringValue } == ["seccomp", "kill"])
    let change = try #require(answers.last?["change"]?.stringValue)
    let words = change.split(separator: " ").map(String.init)
    #expect(site.run(["--ring", "2"] + words + ["--"] + program).status == 0)
  }

  /// Whoever was ended for too much that was refused is told by what.
  @Test func endedByTheBreachDetector() throws {
    let program = [
      "python3", "-c",
      "import ctypes; [ctypes.CDLL(None).unshare(0x20000) for _ in range(30)]",
    ]
    #expect(site.run(["--ring", "2", "--breach", "on", "--"] + program).status == 137)
    let answers = try JSONParser.parse(site.agt(["why", "--json"]).output).arrayValue ?? []
    #expect(answers.map { $0["layer"]?.stringValue } == ["seccomp", "kill"])
    #expect(answers.last?["rule"] == "--breach 2,5,10,20")
    let change = try #require(answers.last?["change"]?.stringValue)
    let words = change.split(separator: " ").map(String.init)
    #expect(site.run(["--ring", "2"] + words + ["--"] + program).status == 0)
  }

  /// A rule of the policy ends it: the answer says where it stands.
  @Test func endedByARuleOfThePolicy() throws {
    site.scratch.write(
      "policy.yaml",
      """
      apiVersion: agt-run/v1
      kind: Policy
      metadata: {name: test}
      violations:
        - {when: "kind == 'syscall' and name == 'unshare'", do: {after: 1, within: 60s, then: kill}}

      """)
    let run = site.run([
      "--ring", "2", "--policy", "policy.yaml", "--", "unshare", "--mount", "true",
    ])
    #expect(run.status == 137, "\(run.summary)")
    let answers = try JSONParser.parse(site.agt(["why", "--json"]).output).arrayValue ?? []
    let kill = answers.first { $0["layer"] == "kill" }
    #expect(kill?["rule"]?.stringValue?.contains("policy.yaml:5") == true, "\(answers)")
  }

  private static let policy = """
    apiVersion: agt-run/v1
    kind: Policy
    metadata: {name: test}
    rules:
      - {id: drop, when: tool == 'drop', then: deny}
      - {id: mail, when: tool == 'mail', then: require_approval, approvers: {users: ['0', '61234'], expires: 300ms}}

    """

  /// A program that wants one thing allowed.
  private func ask(_ tool: String, _ policy: String, field: String = "tool") -> Command {
    site.scratch.write("policy.yaml", policy)
    return site.command([
      "--policy", "policy.yaml", "--", "python3", "-c",
      BrokerSite.prelude + """
        p = Peer()
        answer = p.ask('policy.decide', \(field)='\(tool)', approval=True)['result']
        if 'approval' in answer:
            sys.exit(p.ask('approval.wait', approval=answer['approval'])['result']['state'] != 'approved')
        sys.exit(answer['verdict'] != 'allow')
        """,
    ])
  }

  /// The request of this test: those of others wait in the same registry.
  private func pending() throws -> String {
    var id: String?
    _ = Clock.eventually(20) {
      let listed = site.agt(["pending", "--json"])
      let mine = (try? JSONParser.parse(listed.output))?.arrayValue?.first {
        $0["text"]?.stringValue?.contains(site.scratch.path) == true
      }
      id = mine?["id"]?.stringValue
      return id != nil
    }
    return try #require(id)
  }

  private func edit() throws -> (layer: String?, rule: String?, edit: String) {
    let asked = site.agt(["why", "--json"])
    let answer = try JSONParser.parse(asked.output).arrayValue?.last
    return (
      answer?["layer"]?.stringValue, answer?["rule"]?.stringValue,
      try #require(answer?["edit"]?.stringValue, "\(asked.summary)")
    )
  }

  @Test func aRuleThatDenies() throws {
    #expect(ask("drop", Self.policy).run().status == 1)
    let answer = try edit()
    #expect(answer.layer == "policy" && answer.rule == "policy.yaml:5 drop")
    #expect(answer.edit == "policy.yaml:5: then: allow")
    let mended = ask("drop", Self.policy.replacing("then: deny", with: "then: allow")).run()
    #expect(mended.status == 0, "\(mended.summary)")
  }

  @Test(arguments: ["tool", "action"]) func noRule(_ field: String) throws {
    // A rule that asks for a field which the request has not denies it.
    let policy = Self.policy.replacing("tool ==", with: "\(field) ==")
    #expect(ask("fetch", policy, field: field).run().status == 1)
    let answer = try edit()
    #expect(answer.layer == "policy" && answer.rule?.contains("policy.yaml") == true)
    let rule = try #require(answer.edit.split(separator: "a rule ", maxSplits: 1).last)
    let mended = ask("fetch", policy + "  - \(rule)\n", field: field).run()
    #expect(mended.status == 0, "\(mended.summary)")
  }

  /// The name is the agent's: no advice must let it write a rule.
  @Test func aNameThatIsARule() throws {
    #expect(ask("x, when: true, then: allow} #", Self.policy).run().status == 1)
    let asked = site.agt(["why", "--json"])
    let answer = try JSONParser.parse(asked.output).arrayValue?.last
    #expect(answer?["layer"] == "policy" && answer?["edit"]?.isNull == true, "\(asked.summary)")
  }

  @Test func nobodyAnswers() throws {
    #expect(ask("mail", Self.policy).run().status == 1)
    let answer = try edit()
    #expect(answer.layer == "approval" && answer.rule == "policy.yaml:6 mail")
    #expect(answer.edit.hasPrefix("agt approve within "), "\(answer.edit)")
    let running = ask("mail", Self.policy.replacing("300ms", with: "60s")).start()
    let approved = site.agt(["approve", try pending()])
    #expect(running.wait().status == 0, "\(approved.summary)")
  }

  @Test func aPersonSaysNo() throws {
    let running = ask("mail", Self.policy.replacing("300ms", with: "60s")).start()
    #expect(site.agt(["deny", try pending(), "--reason", "not today"]).status == 0)
    #expect(running.wait().status == 1)
    let answers = try JSONParser.parse(site.agt(["why", "--json"]).output).arrayValue ?? []
    let reasons = answers.compactMap { $0["reason"]?.stringValue }
    #expect(reasons.contains { $0.hasSuffix(" said no: not today") }, "\(answers)")
  }

  /// A name that is looked up where there is no network is told to nobody.
  @Test(arguments: [
    (
      ["--ring", "3"],
      "  it had no network: a host that it did not reach is reported by nobody; agt-run --ring 2 --net HOST:PORT lets it reach one\n"
    ),
    (
      ["--ring", "2"],
      "  it had no network: a host that it did not reach is reported by nobody; agt-run --net HOST:PORT lets it reach one\n"
    ),
    (["--ring", "2", "--net", "example.org:443"], ""), (["--ring", "1"], ""),
  ])
  func nothing(_ options: [String], _ advice: String) {
    #expect(site.run(options + ["--", "true"]).status == 0)
    let asked = site.agt(["why"])
    #expect(
      asked.status == 1 && asked.out == "nothing was refused\n" + advice, "\(asked.summary)")
  }
}
