import JSON
import TestSupport
import Testing

/// `net.connect`: what the ring's network may reach, and nothing else (docs/broker-protocol.md).
@Suite struct NetConnectTests {
  private static let policy = """
    apiVersion: agt-run/v1
    kind: Policy
    metadata: {name: test}
    rules:
      - {id: not-there, when: kind == 'net.connect' and host == 'taken.example', then: deny, say: Not there.}
      - {id: ask, when: kind == 'net.connect' and host == 'asked.example', then: require_approval}

    """

  private static let helpers = """
    def reach(host, port):
        p.s.sendall(p.line('net.connect', host=host, port=port))
        data, fds = b'', array.array('i')
        while not data.endswith(b'\\n'):
            part, anc, _, _ = p.s.recvmsg(65536, socket.CMSG_SPACE(64))
            for _, _, raw in anc: fds.frombytes(raw)
            data += part
        reply = json.loads(data)
        if 'error' in reply:
            assert not fds
            return reply['error']['data']['code'] + ': ' + reply['error']['message']
        assert reply['result'] == {'host': host, 'port': port, 'descriptor': True} and len(fds) == 1, reply
        return socket.socket(fileno=fds[0])
    def echo(s, data):
        s.sendall(data); s.shutdown(socket.SHUT_WR)
        got = b''
        while True:
            part = s.recv(65536)
            if not part: return got
            got += part
    p = Peer()

    """

  /// Answers each connection with what it got, turned around.
  private static func server(_ body: (Int) throws -> Void) rethrows {
    let script = """
      import socket, threading
      def serve(c):
          data = b''
          while True:
              part = c.recv(65536)
              if not part: break
              data += part
          c.sendall(data[::-1]); c.close()
      s = socket.create_server(("127.0.0.1", 0), backlog=64)
      print("port", s.getsockname()[1], "end", flush=True)
      while True: threading.Thread(target=serve, args=(s.accept()[0],), daemon=True).start()
      """
    let running = Command(["/usr/bin/python3", "-c", script]).start()
    #expect(running.waitForOutput("end"))
    let words = String(decoding: running.output, as: UTF8.self).split(separator: " ")
    try body(Int(words[1]) ?? 0)
    running.signal(9)
    _ = running.wait()
  }

  @Test(arguments: Starter.all) func reaches(_ starter: Starter) {
    Self.server { port in
      let scratch = Scratch()
      scratch.write(
        "agt.py", BrokerClientTests.client)
      let run = BrokerSite(ring: 2, starter: starter).command(
        Self.helpers + """
          big = os.urandom(3 << 20)
          for data in (b'abc', big): print(echo(reach('host-loopback', \(port)), data) == data[::-1])
          many = [reach('HOST-loopback'.lower(), \(port)) for _ in range(40)]
          print(all(echo(s, b'%d.' % i) == (b'%d.' % i)[::-1] for i, s in enumerate(many)))
          sys.path.insert(0, os.getcwd())
          import agt
          with agt.connect('host-loopback', \(port)) as s: print(echo(s, b'python'))
          for host in ('evil.example', 'taken.example'):
              try: agt.connect(host, 443)
              except agt.GovernanceDenied as error: print(error)
          """, policy: Self.policy,
        options: ["--net", "host-loopback:\(port)", "--net", "taken.example:443"], in: scratch
      ).run()
      #expect(
        run.out
          == "True\nTrue\nTrue\nb'nohtyp'\nno network rule names it\nNot there.\n",
        "\(run.summary)")
      let network = (try? JSONParser.parse(Array((scratch.read("result.json") ?? "").utf8)))?[
        "network"]?.arrayValue
      let own = network?.first { $0["destination"] == .string("host-loopback:\(port)") }
      #expect(own?["connections"] == 43, "\(network ?? [])")
      #expect(own?["sentBytes"]?.integerValue ?? 0 > 3 << 20)
    }
  }

  /// A person lets one connection through; where the network ends, nobody is asked.
  @Test(arguments: Starter.all) func approved(_ starter: Starter) {
    Self.server { port in
      let scratch = Scratch()
      scratch.write("agt.py", BrokerClientTests.client)
      let policy = Self.policy.replacing("host == 'asked.example'", with: "host == 'host-loopback'")
      let running = BrokerSite(ring: 2, starter: starter).command(
        Self.helpers + """
          def ask(port): return p.ask('net.connect', host='host-loopback', port=port, approval=True)['error']['data']
          print(reach('host-loopback', \(port)).split(':')[0], ask(\(port) - 1)['code'])
          p.s.close()
          sys.path.insert(0, os.getcwd())
          import agt
          for _ in range(2):
              try:
                  with agt.connect('host-loopback', \(port), approval=True) as s: print(echo(s, b'python'), flush=True)
              except agt.GovernanceDenied as error: print('denied', error, flush=True)
          """, policy: policy, options: ["--net", "host-loopback:\(port)"], in: scratch
      ).start()
      for word in ["approve", "deny"] {
        var id: String?
        _ = Clock.eventually(10) {
          let listed = ApprovalTests.agt(["pending", "--json"], as: starter, scratch).run()
          let all = (try? JSONParser.parse(listed.output))?.arrayValue ?? []
          let mine = all.first { ($0["text"]?.stringValue ?? "").contains(scratch.path) }
          #expect(mine == nil || mine?["request"]?["port"] == JSONValue(port))
          id = mine?["id"]?.stringValue
          return id != nil
        }
        #expect(ApprovalTests.agt([word, id ?? "none"], as: starter, scratch).run().status == 0)
      }
      let run = running.wait()
      #expect(
        run.out == "approval_required denied\nb'nohtyp'\ndenied it was denied\n", "\(run.summary)")
    }
  }

  @Test(arguments: Starter.all) func refuses(_ starter: Starter) {
    Self.server { port in
      let run = BrokerSite(ring: 2, starter: starter).command(
        Self.helpers + """
          for host in ('evil.example', '127.0.0.1', '::1', '169.254.169.254', '10.0.0.1', 'localhost', '0.0.0.0', '198.18.0.1'):
              print(reach(host, \(port)).split(':')[0], end=' ')
          print(reach('host-loopback', \(port) + 1).split(':')[0], reach('asked.example', 443).split(':')[0])
          # Named, but nobody answers.
          print(reach('host-loopback', 1))
          for params in ({'host': 1}, {'host': ''}, {'host': 'a b'}, {'host': 'a\\x00b'}, {'host': 'x' * 300}, {'port': '80'}, {'port': 0},
                         {'port': 65536}, {'port': -1}, {'port': 1.5}, {'approval': 1}, {'path': '/x'}):
              print(p.code(p.line('net.connect', **{'host': 'host-loopback', 'port': \(port), **params})), end=' ')
          print(p.code(b'{"jsonrpc":"2.0","id":1,"method":"net.connect","params":{}}\\n'))
          """, policy: Self.policy,
        options: [
          "--net", "host-loopback:\(port)", "--net", "host-loopback:1",
          "--net", "asked.example:443", "--net", "0.0.0.0/0:\(port)",
        ]
      ).run()
      #expect(
        run.out
          == Array(repeating: "denied", count: 8).joined(separator: " ")
          + " denied approval_required\nfailed: connecting: Connection refused\n"
          + Array(repeating: "invalid_params", count: 13).joined(separator: " ") + "\n",
        "\(run.summary)")
    }
  }

  /// A request that no rule can judge, here for its program's name, is not one that no rule speaks of.
  @Test func aProgramWithoutAProperName() {
    let scratch = Scratch()
    scratch.write(
      "client.py",
      BrokerSite.prelude + Self.helpers + "print(reach('taken.example', 443).split(':')[0])\n")
    let policy =
      Self.policy
      + "  - {id: who, when: tool == 'who' and executable glob '/usr/*', then: allow}\n"
    let run = BrokerSite(ring: 2, starter: .native).command(
      """
      import shutil, subprocess
      shutil.copy('/usr/bin/python3', 'py\\x01')
      subprocess.run(['./py\\x01', 'client.py'])
      """, policy: policy, options: ["--net", "taken.example:443"], in: scratch
    ).run()
    #expect(run.out == "denied\n", "\(run.summary)")
  }

  @Test func limitsAreCounted() {
    Self.server { port in
      let policy =
        Self.policy
        + "  - {id: few, when: kind == 'net.connect' and host == 'host-loopback', then: allow, limit: 2/minute}\n"
      let run = BrokerSite(ring: 2, starter: .native).command(
        Self.helpers + """
          for _ in range(3):
              got = reach('host-loopback', \(port))
              print(got if isinstance(got, str) else 'connected')
          """, policy: policy, options: ["--net", "host-loopback:\(port)"]
      ).run()
      let lines = run.out.split(separator: "\n")
      #expect(lines.prefix(2) == ["connected", "connected"], "\(run.summary)")
      #expect(lines.count == 3 && lines.last?.hasPrefix("denied") == true, "\(run.summary)")
    }
  }

  /// A descriptor ends with the run, whoever has got it.
  @Test func notInOtherRingsNorWithoutNetwork() {
    for ring in [3, 1] {
      let run = BrokerSite(ring: ring, starter: .native).command(
        Self.helpers
          + "print(reach('host-loopback', 80), 'net.connect' in p.hello['result']['methods'])",
        policy: Self.policy
      ).run()
      #expect(
        run.out == "not_permitted: net.connect is not for ring \(ring) False\n", "\(run.summary)")
    }
    let run = BrokerSite(ring: 2, starter: .native).command(
      Self.helpers + "print(reach('host-loopback', 80))", policy: Self.policy
    ).run()
    #expect(run.out == "denied: nothing may be reached; --net names it\n", "\(run.summary)")
  }

  @Test func recorded() {
    Self.server { port in
      let site = AuditLogTests.Site()
      site.scratch.write("policy.yaml", Self.policy)
      let run = site.run([
        "--ring", "2", "--policy", "policy.yaml", "--net", "host-loopback:\(port)", "--", "python3",
        "-c",
        BrokerSite.prelude + Self.helpers + """
          print(echo(reach('host-loopback', \(port)), b'ab'), reach('evil.example', 443)[:6])
          """,
      ])
      #expect(run.out == "b'ba' denied\n", "\(run.summary)")
      let entries = site.entries(["last"])
      func data(_ kind: String) -> [JSONValue] {
        entries.filter { $0["kind"]?.stringValue == kind }.compactMap { $0["data"] }
      }
      let place = JSONValue.string("host-loopback:\(port)")
      #expect(data("net.open").map { $0["destination"] } == [place])
      #expect(data("net.close").map { $0["sentBytes"] } == [2])
      #expect(data("net.refused").map { $0["destination"] } == ["evil.example:443"])
      #expect(data("decision").map { $0["subject"] } == ["evil.example"])
    }
  }
}
