import TestSupport
import Testing

/// What costs the supervisor, or its record, more than it should.
extension ReachTests {
  /// Prints what the agt-run after it has used of the processor, its ring included, on standard error.
  private static let measured = """
    import resource, subprocess, sys
    status = subprocess.run(sys.argv[1:]).returncode
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(used.ru_utime + used.ru_stime, file=sys.stderr)
    sys.exit(status)
    """

  /// Both sides have ended their half while bytes wait for a server that reads none: nothing is to be done,
  /// and nothing may be done.
  @Test func bothHalvesEndedWhileBytesWait() throws {
    let world = World(.native)
    let script = """
      connections = []
      # The sizes cross what the buffers of the way take.
      for size in range(100_000, 1_800_000, 50_000):
          s = socket.create_connection(('example.org', 7006), timeout=9)
          assert s.recv(1) == b''
          s.setblocking(False)
          until = time.time() + 0.1
          while size > 0 and time.time() < until:
              try: size -= s.send(bytes(min(size, 65536)))
              except BlockingIOError: time.sleep(0.005)
          s.shutdown(socket.SHUT_WR)
          connections.append(s)
      time.sleep(3)
      print(reach('example.org', 7000))
      """
    let words = ["/usr/bin/python3", "-c", World.prelude + script]
    let run = Command.agtRun(
      ["--ring", "2", "--quiet", "--net", "example.org:7000", "--net", "example.org:7006", "--"]
        + words, in: world.work)
    let outer = run.with {
      $0.words = ["/usr/bin/python3", "-c", Self.measured].map { Array($0.utf8) } + $0.words
    }
    let ended = world.inside(outer).run()
    #expect(ended.prints("ping\n"), "\(ended.summary)")
    let seconds = try #require(Double(ended.err.split(separator: "\n").last ?? ""))
    #expect(seconds < 1.2, "\(seconds) s of the processor in 3 s without anything to do")
  }

  /// The name that a client asks for is the ring's text: the record repeats no more than names.
  @Test func namesThatAreNone() throws {
    let world = World(.native)
    let file = world.work.path + "/result.json"
    let script = """
      def hello(name):
          sni = struct.pack('!HH', 0, len(name) + 5) + struct.pack('!HBH', len(name) + 3, 0, len(name)) + name
          body = b'\\3\\3' + bytes(32) + b'\\0' + b'\\0\\2\\x13\\1' + b'\\1\\0' + struct.pack('!H', len(sni)) + sni
          message = b'\\1' + struct.pack('!I', len(body))[1:] + body
          return b''.join(b'\\x16\\3\\1' + struct.pack('!H', len(message[i:i+9999])) + message[i:i+9999]
                          for i in range(0, len(message), 9999))
      for host, name in ('example.org', b'x' * 30_000), ('other.example.org', b'eViL.example.'):
          with socket.create_connection((host, 7000), timeout=9) as s:
              s.sendall(hello(name))
              try: print(s.recv(9))
              except OSError as error: print(type(error).__name__)
      """
    let words = [
      "--ring", "2", "--status-fd", "3", "--result-json", file, "--net", "example.org:7000",
      "--net", "other.example.org:7000", "--", "/usr/bin/python3", "-c", World.prelude + script,
    ]
    let run = Command.agtRun(words, in: world.work).with {
      $0.words = ["/bin/sh", "-c", "exec \"$@\" 3>events", "sh"].map { Array($0.utf8) } + $0.words
    }
    let ended = world.inside(run).run()
    #expect(ended.prints("ConnectionResetError\nConnectionResetError\n"), "\(ended.summary)")
    let none = "TLS: the client asks for a name that is none"
    let other = "TLS: no network rule names evil.example, which the client asks for"
    let record = try #require(world.work.read("result.json"))
    let events = world.work.read("events") ?? ""
    for text in [none, other] {
      #expect(record.contains("\"refusal\": \"\(text)\""), "\(record.prefix(4000))")
      #expect(events.contains("\"refusal\":\"\(text)\""), "\(events.prefix(4000))")
    }
  }

  /// A list of blocked hosts before the line that counts.
  @Test func longHostsFile() {
    let world = World(.native)
    let blocked = (0..<60_000).map { "0.0.0.0 blocked-host-\($0).example.net\n" }
    world.servers.write("more-hosts", blocked.joined())
    let run = world.python(
      "print(get('http://known.example.org/hello'))", net: "*.example.org:80")
    #expect(run.prints("hello from outside\n"), "\(run.summary)")
  }

  /// A name without an address may have one a moment later.
  @Test func absenceIsNotRemembered() {
    let world = World(.native)
    let run = world.python(
      """
      for _ in range(2): print(struct.unpack('!H', query('late.example.org')[6:8])[0])
      """, net: "*.example.org:80")
    #expect(run.prints("0\n1\n"), "\(run.summary)")
  }
}
