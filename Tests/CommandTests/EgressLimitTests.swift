import JSON
import TestSupport
import Testing

/// `--egress`: what a run sends to each destination.
@Suite struct EgressLimitTests {
  /// Counts what all connections bring, and says so to whoever connects and sends nothing.
  private static func server(_ body: (_ port: Int, _ received: () -> Int) throws -> Void) rethrows {
    let script = """
      import socket, threading
      total = 0; lock = threading.Lock()
      def serve(c):
          global total
          try:
              while True:
                  part = c.recv(65536)
                  if not part: break
                  with lock: total += len(part)
              c.sendall(b"%d" % total)
          except OSError: pass
          c.close()
      s = socket.create_server(("127.0.0.1", 0), backlog=64)
      print("port", s.getsockname()[1], "end", flush=True)
      while True: threading.Thread(target=serve, args=(s.accept()[0],), daemon=True).start()
      """
    let running = Command(["/usr/bin/python3", "-c", script]).start()
    #expect(running.waitForOutput("end"))
    let words = String(decoding: running.output, as: UTF8.self).split(separator: " ")
    let port = Int(words[1]) ?? 0
    try body(port) {
      let ask = """
        import socket
        s = socket.create_connection(("127.0.0.1", \(port))); s.shutdown(1); print(s.recv(99).decode())
        """
      let answer = Command(["/usr/bin/python3", "-c", ask]).run().out
      return Int(answer.prefix { $0 != "\n" }) ?? -1
    }
    running.signal(9)
    _ = running.wait()
  }

  private func run(
    _ options: [String], _ script: String, as starter: Starter = .native, in scratch: Scratch
  ) throws -> (run: Completed, result: JSONValue) {
    scratch.write("result.json", "", mode: 0o666)
    let run = Command.agtRun(
      ["--ring", "2", "--result-json", "result.json"] + options
        + ["--", "/usr/bin/python3", "-c", "import socket, time, os\n" + script], as: starter,
      in: scratch
    ).run()
    return (run, try JSONParser.parse(File.bytes(scratch.path + "/result.json") ?? []))
  }

  /// Bytes over open connections, one after the other, none of which comes to its end.
  private static func sends(_ port: Int, _ count: Int) -> String {
    """
    a, b = (socket.create_connection(('host-loopback', \(port))) for _ in range(2))
    left = \(count)
    while left:
        for s in (a, b):
            part = min(left, 30011)
            s.sendall(bytes(part)); left -= part
    for s in (a, b): s.shutdown(1)
    for s in (a, b):
        while s.recv(100): pass
    print('sent', flush=True)

    """
  }

  @Test(arguments: Starter.all) func nothingBeyondIsSent(_ starter: Starter) throws {
    try Self.server { port, received in
      let (run, result) = try run(
        ["--net", "host-loopback:\(port)", "--egress", "2MiB"],
        Self.sends(port, 8 << 20) + "time.sleep(20)", as: starter, in: Scratch())
      #expect(run.status == 124 && !run.out.contains("sent"), "\(run.summary)")
      #expect(
        run.err == "agt-run: killed: egress limit of 2 MiB to host-loopback:\(port) exceeded, "
          + "2 MiB sent\n  hint: --egress gives more\n", "\(run.err)")
      #expect(result["reason"] == "budget_exceeded")
      #expect(
        result["kill"]?["rule"]?.stringValue == "egress limit of 2 MiB to host-loopback:\(port)")
      #expect(result["limits"]?["egressBytes"] == 2_097_152)
      #expect(result["limits"]?["egressSentBytes"] == 2_097_152)
      #expect(
        result["limits"]?["egressDestination"]?.stringValue == "host-loopback:\(port)")
      let there = result["network"]?.arrayValue?.first
      #expect((1...2).contains(there?["refused"]?.integerValue ?? 0))
      #expect(there?["sentBytes"]?.integerValue ?? 0 <= 2 << 20)
      #expect(
        there?["refusal"]?.stringValue
          == "the egress limit of the run to host-loopback:\(port) is used up")
      let total = received()
      #expect((1...2 << 20).contains(total), "\(total)")
    }
  }

  /// The very last byte that may be sent is, and ends nothing.
  @Test func allThatMayBeIsSent() throws {
    try Self.server { port, received in
      let (run, result) = try run(
        ["--net", "host-loopback:\(port)", "--egress", "2MiB"], Self.sends(port, 2 << 20),
        in: Scratch())
      #expect(run.status == 0 && run.out == "sent\n", "\(run.summary)")
      #expect(result["limits"]?["egressSentBytes"] == 2_097_152 && result["kill"] == nil)
      #expect(received() == 2 << 20)
      let free = try self.run(
        ["--net", "host-loopback:\(port)"], Self.sends(port, 8 << 20), in: Scratch())
      #expect(free.run.status == 0 && received() == 10 << 20, "\(free.run.summary)")
    }
  }

  /// What the broker gives a program is the same destination.
  @Test func streamsOfTheBroker() throws {
    Self.server { port, received in
      let scratch = Scratch()
      let script = """
        a = socket.create_connection(('host-loopback', \(port)))
        a.sendall(bytes(60000)); a.shutdown(1)
        while a.recv(100): pass
        p = Peer()
        p.s.sendall(p.line('net.connect', host='host-loopback', port=\(port)))
        data, anc, _, _ = p.s.recvmsg(65536, socket.CMSG_SPACE(64))
        s = socket.socket(fileno=array.array('i', anc[0][2])[0])
        s.sendall(bytes(5000)); print('first', flush=True)
        s.sendall(bytes(5000)); s.shutdown(1); s.recv(10); time.sleep(20)
        """
      let run = BrokerSite(ring: 2, starter: .native).command(
        script, options: ["--net", "host-loopback:\(port)", "--egress", "64KiB"], in: scratch
      ).run()
      #expect(run.status == 124 && run.out == "first\n", "\(run.summary)")
      #expect(
        run.err.contains("egress limit of 64 KiB to host-loopback:\(port) exceeded, "),
        "\(run.err)")
      #expect((60_000...65_536).contains(received()))
    }
  }

  @Test func whereNobodyCounts() {
    let scratch = Scratch()
    scratch.write(
      "few.yaml",
      """
      apiVersion: agt-run/v1
      kind: RingProfile
      metadata: {name: few}
      extends: ring1
      limits: {egress: 1MiB}
      """)
    for (options, status, line) in [
      (["--ring", "1", "--egress", "1MiB"], 2, "--egress: this run uses the network of the host"),
      (["--ring", "3", "--egress", "1MiB"], 2, "--egress: the run may reach nothing"),
      (["--ring", "2", "--egress", "1MiB"], 2, "--egress: the run may reach nothing"),
      (["--egress", "0"], 2, "--egress 0: nothing can run in no space"),
      (["--profile", "few.yaml"], 126, "limits.egress: this run uses the network of the host"),
    ] as [([String], Int32, String)] {
      let run = Command.agtRun(options + ["--", "true"], in: scratch).run()
      #expect(run.status == status && run.err.contains(line), "\(run.summary)")
    }
    let plan = Command.agtRun(
      ["--ring", "2", "--net", "example.org:443", "--egress", "1MiB", "--explain", "--", "true"],
      in: scratch
    ).run()
    #expect(plan.out.contains("budgets: 1 MiB sent to each destination\n"), "\(plan.out)")
  }
}
