import TestSupport
import Testing

/// What a ring with --net reaches, and what it does not.
@Suite("Reached network", .aNetwork) struct ReachTests {
  @Test(arguments: Starter.all) func names(_ starter: Starter) {
    let world = World(starter)
    let run = world.python(
      """
      for name in ['', 'www.', 'far.', 'six.', 'mixed.', 'big.', 'known.', 'EXAMPLE.ORG/../', 'private.',
                   'metadata.', 'mapped.', 'nat64.', 'local.', 'myself.', 'text.', 'nope.', 'loop.']:
          url = 'http://' + (name if '/' in name else name + 'example.org') + '/hello'
          print(name, get(url))
      print('other', get('http://elsewhere.example.net/hello'), get('http://internal.example.net/hello'))
      print('dot', get('http://example.org./hello'))
      """, net: "example.org:80", "*.example.org:80")
    let ok = "hello from outside\n"
    #expect(
      run.prints(
        " \(ok)www. \(ok)far. \(ok)six. \(ok)mixed. \(ok)big. \(ok)known. \(ok)"
          + "EXAMPLE.ORG/../ \(ok)private. gaierror\nmetadata. gaierror\nmapped. gaierror\n"
          + "nat64. gaierror\nlocal. gaierror\nmyself. gaierror\ntext. gaierror\nnope. gaierror\n"
          + "loop. gaierror\nother gaierror gaierror\ndot \(ok)"), "\(run.summary)")
    #expect(run.seconds < 10)
    // What no rule names is not even asked for.
    let queries = world.servers.read("queries") ?? ""
    #expect(queries.contains("private.example.org\n"))
    #expect(!queries.contains("example.org.example.com"))
    let asked = Set(queries.split(separator: "\n"))
    #expect(
      asked.subtracting(["elsewhere.example.net", "internal.example.net"]).allSatisfy {
        $0.hasSuffix("example.org") || $0.hasSuffix(".arpa")
      })
  }

  @Test func onlyTheNamedPortOfTheNamedHost() {
    let world = World(.native)
    let run = world.python(
      """
      print(reach('example.org', 7000), reach('example.org', 80), reach('example.org', 22))
      print(reach('other.example.org', 7000), get('http://other.example.org/hello'))
      print(get('http://www.example.org/hello'))
      began = time.time()
      # A port that no rule names, another host's address, a name's address of the next name.
      for host, port in [('93.184.216.34', 7000), ('8.8.8.8', 80), ('2606:2800:220:1::34', 7000),
                         ('198.18.0.200', 7000), ('198.18.0.1', 7000), ('2001:2::9', 7000), ('10.1.2.3', 7000),
                         ('169.254.169.254', 80), ('192.0.2.53', 53), ('127.0.0.1', 7000), ('::1', 7000),
                         ('::ffff:10.1.2.3', 7000), ('0.0.0.0', 7000), ('172.16.0.9', 7000)]:
          assert reach(host, port) in ('ConnectionRefusedError', 'ConnectionResetError', 'OSError'), (host, port)
      print(time.time() - began < 2)
      u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
      u.settimeout(5)
      u.connect(('example.org', 7000))
      u.send(b'x')
      try: u.recv(1)
      except OSError as error: print(type(error).__name__)
      """, net: "example.org:7000", "other.example.org:80")
    #expect(
      run.prints(
        "ping ConnectionResetError ConnectionRefusedError\nConnectionRefusedError hello from outside\ngaierror\n"
          + "True\nConnectionRefusedError\n"), "\(run.summary)")
  }

  /// Nothing else happens in the run that would set the clock: the deadline of a connection is kept all the same.
  @Test func anAddressThatDoesNotAnswer() {
    let scratch = Scratch()
    let script = """
      ip link set lo up && ip link add d0 type veth peer name d1 && ip address add 10.66.0.1/24 dev d0 || exit 90
      ip link set d0 up && ip link set d1 up && ip neigh add 10.66.0.2 lladdr 02:00:00:00:00:02 dev d0 || exit 90
      exec "$1" --ring 2 --net 10.66.0.2:80 -- python3 -c '
      import socket, time
      began = time.monotonic()
      s = socket.create_connection(("10.66.0.2", 80), 30)
      try: s.recv(1)
      except OSError as error: print(type(error).__name__)
      print(time.monotonic() - began < 15)'
      """
    let run = Command(
      ["/usr/bin/unshare", "--net", "/bin/sh", "-c", script, "sh", Binaries.agtRun],
      in: scratch.path
    ).run()
    #expect(run.out == "ConnectionResetError\nTrue\n", "\(run.summary)")
  }

  /// Names are asked of servers outside: each is in the log first, and once.
  @Test func lookupsAreRecorded() {
    let world = World(.ordinary)
    let script = """
      for _ in range(2): print(reach('example.org', 7000), reach('nope.example.org', 7000))
      """
    let run = world.python(script, net: "*.example.org:7000", "example.org:7000")
    #expect(run.prints("ping gaierror\nping gaierror\n"), "\(run.summary)")
    let logged = Command(
      Starter.ordinary.prefix + [Binaries.agt, "log", "--kind", "net.resolve", "last"],
      in: world.work.path
    ).with { $0.environment[1] = "HOME=\(world.work.home)" }.run()
    let names = logged.out.split(separator: "\n").compactMap { $0.split(separator: "=").last }
    #expect(names == ["example.org", "nope.example.org"], "\(logged.summary)")
  }

  /// A policy's section and the command line are one list.
  @Test(arguments: Starter.all) func policies(_ starter: Starter) {
    let world = World(starter)
    world.work.write(
      "policy.yaml",
      """
      apiVersion: agt-run/v1
      kind: Policy
      metadata: {name: reach}
      network:
        - {host: example.org, ports: [7000], why: test}
        - {cidr: 93.184.216.34/32, ports: [7000], why: test}
      """)
    let script = """
      print(reach('example.org', 7000), reach('www.example.org', 7000), reach('93.184.216.34', 7000))
      """
    let run = world.python(script, options: ["--policy", "policy.yaml"])
    #expect(run.prints("ping gaierror ping\n"), "\(run.summary)")
    // A folder, whose content the program cannot add to.
    _ = Command.shell("mkdir rules && mv policy.yaml rules", in: world.work.path).run()
    let both = world.python(
      script, net: "www.example.org:7000", options: ["--policy", world.work.path + "/rules"])
    #expect(both.prints("ping ping ping\n"), "\(both.summary)")
  }

  @Test func ranges() {
    let world = World(.native)
    let run = world.python(
      """
      for host in ['10.1.2.3', '93.184.216.34', '169.254.169.254', '172.16.0.9', '93.184.216.35',
                   '2606:2800:220:1::34', 'private.example.org', 'example.org']:
          print(host, reach(host, 7000))
      """, net: "10.0.0.0/8:7000", "93.184.216.34:7000", "0.0.0.0/1:7000", "172.16.0.9:7000",
      "[2606:2800::/32]:7000", "private.example.org:7000")
    let refused = "ConnectionResetError"
    #expect(
      run.prints(
        "10.1.2.3 ping\n93.184.216.34 ping\n169.254.169.254 \(refused)\n172.16.0.9 ping\n"
          + "93.184.216.35 ping\n2606:2800:220:1::34 ping\nprivate.example.org ping\n"
          + "example.org gaierror\n"), "\(run.summary)")
  }

  @Test(arguments: Starter.all) func loopback(_ starter: Starter) {
    let world = World(starter)
    let run = world.python(
      """
      import threading
      print(reach('127.0.0.1', 7000), reach('127.0.0.1', 7050), reach('::1', 7000), reach('localhost', 7000))
      def serve(host, port):
          s = socket.create_server((host, port), family=socket.AF_INET6 if ':' in host else socket.AF_INET)
          def loop():
              while True:
                  c, _ = s.accept()
                  c.sendall(c.recv(4).upper())
                  c.close()
          threading.Thread(target=loop, daemon=True).start()
      # A port of its own, one that a rule names with a name, and one with a single address.
      for host, port in [('127.0.0.1', 5000), ('127.0.0.1', 7001), ('::1', 7002), ('127.0.0.1', 7003)]:
          serve(host, port)
          print(port, reach(host, port))
      print(reach('host-loopback', 7000), reach('host-loopback', 7001))
      """, net: "host-loopback:7000", "example.org:7001", "example.org:7002", "93.184.216.34:7003")
    #expect(
      run.prints(
        "ConnectionRefusedError ConnectionRefusedError ConnectionRefusedError "
          + "ConnectionRefusedError\n5000 PING\n7001 PING\n7002 PING\n7003 PING\n"
          + "ping ConnectionRefusedError\n"), "\(run.summary)")
  }

  /// Nothing is paced that does not leave the machine, whatever the host does for the rest (docs/decisions/0009).
  @Test func nothingIsPacedInTheRing() {
    let world = World(.native)
    let run = world.python(
      """
      for host, port in [('host-loopback', 7000), ('example.org', 7001)]:
          with socket.create_connection((host, port)) as s:
              print(s.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16).strip(b'\\0'))
      """, net: "host-loopback:7000", "example.org:7001")
    #expect(run.prints("b'reno'\nb'reno'\n"), "\(run.summary)")
  }

  /// Services of the host at its public address, which a name or a range leads to.
  @Test func ownAddress() {
    let world = World(.native)
    let script = """
      print(reach('own.example.org', 7000), reach('93.184.217.2', 7000), reach('other.example.org', 7000))
      """
    let wide = world.python(script, net: "*.example.org:7000", "0.0.0.0/0:7000")
    #expect(wide.prints("ConnectionResetError ConnectionResetError ping\n"), "\(wide.summary)")
    let named = world.python(script, net: "*.example.org:7000", "93.184.217.2:7000")
    #expect(named.prints("ping ping ping\n"), "\(named.summary)")
  }

  @Test func rebinding() {
    let world = World(.native)
    let run = world.python(
      """
      print(reach('rebind.example.org', 7000))
      address = socket.gethostbyname('rebind.example.org')
      time.sleep(1.2)
      # The address of the ring still stands for the name; outside it means another machine by now.
      print(reach(address, 7000), get('http://rebind.example.org/hello'))
      """, net: "*.example.org:7000")
    #expect(run.prints("ping\nConnectionResetError gaierror\n"), "\(run.summary)")
  }

  @Test func reasonsInAnswers() {
    let world = World(.native)
    let run = world.python(
      """
      def reason(name, tcp=False):
          answer = query(name, tcp=tcp)
          return answer[3] & 15, answer[answer.find(b'\\0\\x0f', 12) + 4:][:90]
      for tcp in False, True:
          print(*reason('evil.example', tcp))
          print(*reason('metadata.example.org', tcp))
      print(*reason(b'\\x0cexample\\0.org\\0'))
      long = b'\\x3f' + b'a' * 63 + b'\\x3f' + b'b' * 63 + b'\\x3f' + b'c' * 63 + b'\\x3d' + b'd' * 61 + b'\\0'
      print(len(query(long)) < 1232, query(long)[3] & 15)
      # Several questions over one connection, the last in two parts.
      m = struct.pack('!HHHHHH', 7, 0x100, 1, 0, 0, 0) + b'\\x07example\\x03org\\0\\0\\x01\\0\\x01'
      with socket.create_connection(('127.0.0.53', 53)) as s:
          s.settimeout(9)
          framed = struct.pack('!H', len(m)) + m
          s.sendall(framed * 99 + framed[:9])
          time.sleep(0.1)
          s.sendall(framed[9:])
          s.shutdown(socket.SHUT_WR)
          data = b''
          while part := s.recv(65536): data += part
          print(len(data) // (len(framed) + 16), data.count(socket.inet_aton('198.18.0.2')))
      """, net: "example.org:80", "*.example.org:80")
    let blocked = "3 b'\\x00\\x0fagt-run: no network rule names evil.example'\n"
    let filtered =
      "3 b'\\x00\\x11metadata.example.org: 169.254.169.254 is link-local; a rule for its range has to name it'\n"
    #expect(
      run.prints(
        blocked + filtered + blocked + filtered + "3 b'\\x00\\x0fthis is no host name'\n"
          + "True 3\n100 100\n"), "\(run.summary)")
  }

  @Test(arguments: Starter.all) func tls(_ starter: Starter) {
    let world = World(starter)
    let run = world.command(
      [
        "sh", "-c",
        """
        c="curl -sS -m 9 --cacert cert.pem"
        $c https://example.org/hello
        $c --http1.1 https://other.example.org/hello
        # Another name over the connection to an allowed host.
        $c --connect-to evil.example:443:example.org:443 https://evil.example/hello; echo $?
        $c --connect-to other.example.org:443:example.org:443 https://other.example.org/hello; echo $?
        """,
      ], net: ["example.org:443", "other.example.org:443"],
      options: ["--read", world.servers.path + "/cert.pem"]
    ).with {
      $0.words = $0.words.map {
        String(decoding: $0, as: UTF8.self).contains("--cacert")
          ? Array(
            String(decoding: $0, as: UTF8.self).replacing(
              "cert.pem", with: world.servers.path + "/cert.pem"
            )
            .utf8) : $0
      }
    }.run()
    #expect(
      run.prints("hello from outside\nhello from outside\n35\nhello from outside\n0\n"),
      "\(run.summary)")
  }

  @Test func encryptedHello() {
    let world = World(.native)
    let run = world.python(
      """
      def hello(name, extra=b'', size=9999):
          sni = struct.pack('!HH', 0, len(name) + 5) + struct.pack('!HBH', len(name) + 3, 0, len(name)) + name
          ext = sni + extra
          body = b'\\3\\3' + bytes(32) + b'\\0' + b'\\0\\2\\x13\\1' + b'\\1\\0' + struct.pack('!H', len(ext)) + ext
          message = b'\\1' + struct.pack('!I', len(body))[1:] + body
          return b''.join(b'\\x16\\3\\1' + struct.pack('!H', len(message[i:i+size])) + message[i:i+size]
                          for i in range(0, len(message), size))
      def send(data, pause=0):
          with socket.create_connection(('example.org', 7000)) as s:
              s.settimeout(9)
              try:
                  for i in range(0, len(data), 20) if pause else [0]:
                      s.sendall(data[i:i+20] if pause else data)
                      time.sleep(pause)
                  return s.recv(65536)[:1]
              except OSError as error: return type(error).__name__
      print(send(hello(b'example.org')), send(hello(b'example.org', size=5), 0.01))
      print(send(hello(b'evil.example')), send(hello(b'evil.example', size=3), 0.01))
      print(send(hello(b'example.org', b'\\xfe\\x0d\\0\\1x')), send(hello(b'example.org\\0')))
      print(send(b'\\x16\\3\\1\\0\\0'), send(b'SSH-2.0'))
      """, net: "example.org:7000")
    #expect(
      run.prints(
        "b'\\x16' b'\\x16'\nConnectionResetError ConnectionResetError\n"
          + "ConnectionResetError ConnectionResetError\nConnectionResetError b'S'\n"),
      "\(run.summary)")
  }

  @Test(arguments: Starter.all) func streams(_ starter: Starter) {
    let world = World(starter)
    let run = world.python(
      """
      def connect(port): return socket.create_connection(('example.org', port), timeout=20)
      # The server speaks first.
      with connect(7001) as s: print(s.recv(100))
      # It answers only after our half is closed.
      with connect(7002) as s:
          s.sendall(bytes(3_000_000))
          s.shutdown(socket.SHUT_WR)
          print(s.recv(100))
      with connect(7002) as s:
          s.shutdown(socket.SHUT_WR)
          print(s.recv(100))
      # A reset comes through as one.
      with connect(7003) as s:
          s.sendall(b'x')
          try: print(s.recv(1))
          except OSError as error: print(type(error).__name__)
      # A reader that is slow, and one that goes away.
      with connect(7004) as s:
          s.sendall(b'30000000')
          time.sleep(0.3)
          total = 0
          while part := s.recv(1 << 20): total += len(part)
          print(total)
      with connect(7004) as s:
          s.sendall(b'300000000')
          s.recv(1)
      # Nobody listens there.
      try: s = connect(7005); s.settimeout(9); print(s.recv(1))
      except OSError as error: print(type(error).__name__)
      """,
      net: "example.org:7001", "example.org:7002", "example.org:7003", "example.org:7004",
      "example.org:7005")
    #expect(
      run.prints(
        "b'220 first\\n'\nb'3000000\\n'\nb'0\\n'\nConnectionResetError\n30000000\n"
          + "ConnectionResetError\n"), "\(run.summary)")
  }

  @Test func thousandConnections() {
    let world = World(.native)
    let run = world.python(
      """
      import asyncio, resource
      resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
      async def one(number):
          reader, writer = await asyncio.open_connection('example.org', 7000)
          writer.write(b'%06d' % number)
          assert await reader.readexactly(6) == b'%06d' % number
          return reader, writer
      async def main():
          all = await asyncio.gather(*[one(n) for n in range(1000)])
          # All of them at once, still open.
          for reader, writer in all: writer.write(b'again')
          for reader, writer in all: assert await reader.readexactly(5) == b'again'
          for reader, writer in all: writer.close()
          print(len(all))
          reader, writer = await one(7)
          print('and one more')
      asyncio.run(main())
      """, net: "example.org:7000")
    #expect(run.prints("1000\nand one more\n"), "\(run.summary)")
  }

  /// Clients that come and go in every way at once, so that numbers of descriptors are used again and again:
  /// nobody may get another's bytes.
  @Test func storm() {
    let world = World(.native)
    let run = world.python(
      """
      import random, threading
      end, done, bad = time.time() + 2, [0], []
      def send(s, data):
          try:
              s.sendall(data)
              s.shutdown(socket.SHUT_WR)
          except OSError as error: bad.append(error)
      def client(seed):
          r = random.Random(seed)
          while time.time() < end:
              way = r.randrange(6)
              host = r.choice(['example.org', 'other.example.org'] + ['closed.example.org'] * (way < 4))
              try:
                  s = socket.create_connection((host, 7000), timeout=20)
                  data = bytes([r.randrange(32, 256)]) * r.choice([1, 1000, 70000, 400000])
                  if way in (1, 2): s.send(data[:100])
                  if way in (0, 1): s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
                  if way < 4:
                      s.close()
                      continue
                  sender = threading.Thread(target=send, args=(s, data))
                  sender.start()
                  got = b''
                  while part := s.recv(65536): got += part
                  sender.join()
                  s.close()
                  if got != data: bad.append((len(got), len(data)))
                  done[0] += 1
              except OSError as error:
                  if way >= 4: bad.append(error)
      clients = [threading.Thread(target=client, args=(n,)) for n in range(30)]
      for c in clients: c.start()
      for c in clients: c.join()
      print(done[0] > 50, bad[:5])
      """, net: "example.org:7000", "*.example.org:7000")
    #expect(run.prints("True []\n"), "\(run.summary)")
  }

  /// Whoever has a domain has as many names as they like, so that all of them share what may be sent.
  @Test func namesBelowAWildcardShareWhatMayBeSent() {
    let script = """
      for name in ('far', 'www', 'mixed'):
          s = socket.create_connection((name + '.example.org', 7000), 9)
          s.sendall(bytes(30000)); print(len(s.recv(1)), flush=True)
      """
    let world = World(.native)
    let run = world.python(script, net: "*.example.org:7000", options: ["--egress", "64KiB"])
    #expect(run.status == 124 && run.out.hasPrefix("1\n1\n"), "\(run.summary)")
    #expect(
      run.err.contains("egress limit of 64 KiB to *.example.org:7000 exceeded"), "\(run.err)")
    let free = world.python(script, net: "*.example.org:7000", options: ["--egress", "96KiB"])
    #expect(free.prints("1\n1\n1\n"), "\(free.summary)")
  }

  @Test func recordOfTheRun() throws {
    let world = World(.native)
    let file = world.work.path + "/result.json"
    let run = world.python(
      """
      reach('example.org', 7000), reach('example.org', 7000), reach('other.example.org', 7000), reach('8.8.8.8', 7000)
      """, net: "example.org:7000", "10.0.0.0/8:7000", "other.example.org:22",
      options: ["--result-json", file])
    #expect(run.status == 0, "\(run.summary)")
    let record = try #require(world.work.read("result.json"))
    #expect(
      record.contains(
        """
            {
              "destination": "8.8.8.8:7000",
              "connections": 0,
              "refused": 1,
              "refusal": "no network rule names it",
              "sentBytes": 0,
              "receivedBytes": 0
            },
            {
              "destination": "example.org:7000",
              "connections": 2,
              "refused": 0,
              "refusal": null,
              "sentBytes": 8,
              "receivedBytes": 8
            },
            {
              "destination": "other.example.org:7000",
              "connections": 0,
              "refused": 1,
              "refusal": "no network rule names it",
        """), "\(record)")
  }

  @Test func eventsAndSummary() {
    let world = World(.native)
    let words = ["--ring", "2", "--verbose", "--status-fd", "3", "--net", "example.org:7000"]
    let script =
      World.prelude
      + "reach('example.org', 7000), reach('evil.example', 7000), reach('evil.example', 7000)"
    let run = Command.agtRun(words + ["--", "/usr/bin/python3", "-c", script], in: world.work)
    let outer = run.with {
      $0.words = ["/bin/sh", "-c", "exec \"$@\" 3>events", "sh"].map { Array($0.utf8) } + $0.words
    }
    let ended = world.inside(outer).run()
    #expect(ended.status == 0, "\(ended.summary)")
    #expect(
      ended.err.hasSuffix(
        "agt-run: ring 2 did not reach evil.example: no network rule names it\n"
          + "  hint: --net HOST:PORT names what may be reached\n"), "\(ended.summary)")
    let events = (world.work.read("events") ?? "").split(separator: "\n").filter {
      $0.contains("net.")
    }
    #expect(
      Set(events) == [
        #"{"event":"net.open","destination":"example.org:7000"}"#,
        #"{"event":"net.close","destination":"example.org:7000","sentBytes":4,"receivedBytes":4}"#,
        #"{"event":"net.refused","destination":"evil.example","refusal":"no network rule names it"}"#,
      ])
  }

  @Test func refusedOptions() {
    for (words, text) in [
      (["--ring", "3", "--net", "a.org:1"], "--net: ring 3 has no network"),
      (["--net", "a.org:1"], "--net: ring 3 has no network"),
      (
        ["--ring", "1", "--net", "a.org:1"],
        "--net: ring 1 uses the network of the host, and --net bounds nothing"
      ),
      (
        ["--ring", "2", "--degrade", "namespaces", "--net", "a.org:1"],
        "--net needs the network namespace that --degrade namespaces gives up"
      ),
      (["--ring", "2", "--net", "a.org"], "--net a.org: a host and a port are needed"),
    ] {
      let run = Command.agtRun(words + ["--", "true"], in: Scratch()).run()
      #expect(run.status == 2 && run.err.hasPrefix("agt-run: \(text)\n"), "\(run.summary)")
    }
  }

  @Test func explained() {
    let words = [
      "--ring", "2", "--net", "example.org:443", "--net", "10.0.0.0/8:5432", "--explain",
    ]
    let run = Command.agtRun(words + ["--", "true"], in: Scratch()).run()
    #expect(run.out.contains("network: example.org:443, 10.0.0.0/8:5432"), "\(run.summary)")
    #expect(
      run.out.contains(
        "listened to: udp 127.0.0.53:53, tcp 127.0.0.53:53, tcp *:443, tcp *:443, tcp *:5432"),
      "\(run.summary)")
  }
}
