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
}
