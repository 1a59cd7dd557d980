import JSON
import TestSupport
import Testing

/// `--requests` and `--tool-calls`: what a run asks for in all.
@Suite struct RequestLimitTests {
  private static let policy = """
    apiVersion: agt-run/v1
    kind: Policy
    metadata: {name: test}
    rules:
      - {id: reads, when: tool == 'read', then: allow}
      - {id: shell, when: "kind == 'tool.call' and args.script != 'never'", then: allow}
      - {id: steps, when: kind == 'saga.step', then: allow}

    """

  private func run(
    _ script: String, _ options: [String], as starter: Starter = .native, rate: Int? = 1_000_000,
    in scratch: Scratch = Scratch()
  ) throws -> (run: Completed, result: JSONValue) {
    scratch.write("sh.yaml", BrokerSite.shell(ring: 2))
    let run = BrokerSite(ring: 2, starter: starter).command(
      script, policy: Self.policy, options: options, in: scratch, rate: rate
    ).run()
    return (run, try JSONParser.parse(File.bytes(scratch.path + "/result.json") ?? []))
  }

  /// Two connections and a child: all of it is one run.
  private static let asks = """
    p, q = Peer(), Peer()
    for n in range(3): print(p.verdict(tool='read'), q.verdict(tool='drop'), flush=True)
    if os.fork() == 0:
        r = Peer()
        print(r.ask('tool.list')['result']['tools'], flush=True)
        print(p.raw(b'nonsense\\n')['error']['data']['code'], flush=True)
        os._exit(0)
    os.wait()
    print(p.verdict(tool='read'), flush=True)
    time.sleep(20)

    """

  @Test(arguments: Starter.all) func requestsAreCounted(_ starter: Starter) throws {
    let (run, result) = try run(Self.asks, ["--requests", "8"], as: starter)
    #expect(run.status == 124, "\(run.summary)")
    #expect(
      run.err == "agt-run: killed: request limit of 8 exceeded\n  hint: --requests gives more\n")
    #expect(run.out.hasPrefix("allow deny\nallow deny\nallow deny\n[]\nmalformed\n"), "\(run.out)")
    // The one beyond is not answered as if nothing were.
    #expect(!run.out.hasSuffix("malformed\nallow\n"), "\(run.out)")
    #expect(result["reason"] == "budget_exceeded")
    #expect(result["kill"]?["rule"] == "request limit of 8")
    #expect(result["limits"]?["requests"] == 8 && result["limits"]?["requestsMade"] == 8)
    #expect(result["limits"]?["toolCalls"] == .null)
    // Its twin: one more, and nothing is exceeded.
    let free = try self.run(
      Self.asks.replacing("time.sleep(20)", with: ""), ["--requests", "9"], as: starter)
    #expect(
      free.run.status == 0 && free.run.out.hasSuffix("malformed\nallow\n"), "\(free.run.summary)")
    #expect(free.result["limits"]?["requestsMade"] == 9)
  }

  /// Greetings, withdrawals and what is to be asked again are free.
  @Test func whatIsNotCounted() throws {
    let (run, result) = try run(
      """
      for n in range(20): Peer()
      time.sleep(2)
      p = Peer()
      print(p.ask('agt.cancel', id=7)['result'])
      print(p.verdict(tool='read'))
      while p.verdict(tool='read') != 'rate_limited': pass
      for n in range(50): p.verdict(tool='read')
      """, ["--requests", "200"], rate: nil)
    #expect(run.status == 0, "\(run.summary)")
    let made = result["limits"]?["requestsMade"]?.integerValue ?? 0
    #expect((2..<60).contains(made), "\(made)")
  }

  private static let calls = """
    p = Peer()
    def call(script): return p.ask('tool.call', name='sh', arguments={'script': script})
    for n in range(2): print(call(f'echo {n}')['result']['stdout'], end='', flush=True)
    print(call('never')['error']['data']['code'], flush=True)
    saga = p.ask('saga.begin', name='s')['result']['saga']
    print(p.ask('saga.step', saga=saga, step='one', tool={'name': 'sh', 'arguments': {'script': 'echo step'}},
      undo={'name': 'sh', 'arguments': {'script': 'touch undone'}}).get('result', {}).get('stdout'), flush=True)
    reply = call('touch beyond; echo beyond')
    print(reply.get('result', reply), flush=True)
    time.sleep(20)

    """

  @Test(arguments: Starter.all) func callsOfToolsAreCounted(_ starter: Starter) throws {
    let scratch = Scratch()
    let (run, result) = try run(
      Self.calls, ["--tools", "sh.yaml", "--tool-calls", "3"], as: starter, in: scratch)
    #expect(run.status == 124, "\(run.summary)")
    #expect(
      run.err.hasPrefix(
        "agt-run: killed: tool call limit of 3 exceeded\n  hint: --tool-calls gives more\n"),
      "\(run.err)")
    #expect(run.out.hasPrefix("0\n1\ndenied\nstep\n"), "\(run.out)")
    #expect(!run.out.contains("beyond\n") && !File.exists(scratch.path + "/beyond"))
    #expect(result["limits"]?["toolCalls"] == 3 && result["limits"]?["toolCallsMade"] == 3)
    #expect(result["broker"]?["tools"]?.integerValue == 3 || result["broker"]?["tools"] == 2)
    // Its twin.
    let other = Scratch()
    let free = try self.run(
      Self.calls.replacing("time.sleep(20)", with: ""),
      ["--tools", "sh.yaml", "--tool-calls", "4"], as: starter, in: other)
    #expect(free.run.status == 0 && File.exists(other.path + "/beyond"), "\(free.run.summary)")
  }

  @Test func ofAProfile() throws {
    let scratch = Scratch()
    scratch.write(
      "few.yaml",
      """
      apiVersion: agt-run/v1
      kind: RingProfile
      metadata: {name: few}
      extends: ring2
      limits: {requests: 2, toolCalls: 5}
      """)
    scratch.write("policy.yaml", Self.policy)
    let command = [
      "python3", "-c", BrokerSite.prelude + "p = Peer()\nwhile True: p.verdict(tool='read')",
    ]
    let run = Command.agtRun(
      ["--profile", "few.yaml", "--policy", "policy.yaml", "--"] + command, in: scratch
    ).run()
    #expect(run.status == 124 && run.err.contains("request limit of 2 exceeded"), "\(run.summary)")
    let plan = Command.agtRun(
      ["--profile", "few.yaml", "--policy", "policy.yaml", "--explain", "--", "true"], in: scratch
    ).run()
    #expect(
      plan.out.contains("budgets: 2 requests to the broker; 5 calls of tools\n"), "\(plan.out)")
  }

  @Test(arguments: [
    (["--requests", "5"], "--requests: without --policy there is no broker to ask"),
    (
      ["--policy", "p", "--tool-calls", "5"], "--tool-calls: without --tools no tool can be called"
    ),
    (["--requests", "0"], "--requests 0: a whole number from 1 to 1000000000 is needed"),
    (["--tool-calls", "x"], "--tool-calls x: a whole number from 1 to 1000000000 is needed"),
  ])
  func whatBoundsNothingIsRefused(_ options: [String], _ line: String) {
    let run = Command.agtRun(options + ["--", "true"], in: Scratch()).run()
    #expect(run.status == 2 && run.err.contains(line), "\(run.summary)")
  }
}
