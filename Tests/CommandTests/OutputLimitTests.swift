import JSON
import TestSupport
import Testing

/// `--output`: what a run writes to its standard output and error.
@Suite struct OutputLimitTests {
  private func run(
    _ options: [String], _ script: String, as starter: Starter = .native, in scratch: Scratch
  ) throws -> (run: Completed, result: JSONValue) {
    scratch.write("result.json", "", mode: 0o666)
    let run = Command.agtRun(
      ["--result-json", "result.json"] + options + ["--", "/usr/bin/python3", "-c", script],
      as: starter, in: scratch
    ).run()
    return (run, try JSONParser.parse(File.bytes(scratch.path + "/result.json") ?? []))
  }

  private static let line =
    "agt-run: killed: output limit of 256 KiB exceeded\n  hint: --output gives more\n"

  /// Both streams together, a child's too, to the byte.
  private static let floods = """
    import os, sys, time
    os.fork()
    while True:
        os.write(1, b'o' * 1000); os.write(2, b'e' * 500)
    """

  @Test(arguments: Starter.all, ["0", "2"])
  func nothingBeyondIsPassedOn(_ starter: Starter, _ ring: String) throws {
    let (run, result) = try run(
      ["--ring", ring, "--output", "256KiB"], Self.floods, as: starter, in: Scratch())
    #expect(run.status == 124, "\(run.status) \(run.err.suffix(200))")
    #expect(run.err.hasSuffix(Self.line), "\(run.err.suffix(200))")
    let count = run.output.count + run.errors.count - Self.line.utf8.count
    #expect(count == 262_144 && !run.output.isEmpty, "\(count)")
    #expect(result["reason"] == "budget_exceeded")
    #expect(result["kill"]?["rule"] == "output limit of 256 KiB")
    #expect(result["limits"]?["outputBytes"] == 262_144)
    #expect(result["limits"]?["outputWrittenBytes"] == 262_144)
  }

  /// What is within it arrives whole, whoever reads; with one byte less it does not.
  @Test(arguments: Starter.all) func whatMayBeWrittenIs(_ starter: Starter) throws {
    let script = "import os\nfor n in range(4): os.write(1, bytes([65 + n]) * 65536)"
    let whole = try run(
      ["--ring", "2", "--output", "256KiB"], script, as: starter, in: Scratch())
    #expect(whole.run.status == 0 && whole.run.output.count == 262_144, "\(whole.run.err)")
    #expect(whole.run.output.suffix(65536).allSatisfy { $0 == 68 } && whole.run.errors == [])
    #expect(whole.result["limits"]?["outputWrittenBytes"] == 262_144)
    let less = try run(
      ["--ring", "2", "--output", "262143"], script, as: starter, in: Scratch())
    #expect(less.run.status == 124 && less.run.output.count == 262_143, "\(less.run.err)")
    #expect(less.run.err.contains("output limit of 262143 bytes exceeded"))
  }

  /// One that has written and ended before anybody looked has met its limit all the same.
  @Test func itsEndIsNoWayOut() throws {
    for _ in 0..<5 {
      let (run, result) = try run(
        ["--ring", "3", "--output", "1KiB"], "print('x' * 2000)", in: Scratch())
      #expect(run.status == 124 && run.output.count == 1024, "\(run.summary)")
      #expect(run.err.contains("output limit of 1 KiB exceeded"), "\(run.summary)")
      #expect(result["reason"] == "budget_exceeded")
    }
  }

  /// Files, pipes and sockets with a slow reader, and with none; the order of what goes to one place stays.
  @Test func whereverItGoes() {
    let scratch = Scratch()
    func shell(_ script: String) -> String {
      Command.shell(script, [Binaries.agtRun], in: scratch.path).run().out
    }
    let order = "for i in 1 2 3 4 5 6 7 8 9; do echo o$i; echo e$i >&2; done"
    let wanted = (1...9).map { "o\($0)\ne\($0)\n" }.joined()
    #expect(
      shell("\"$1\" --ring 2 --output 1MiB -- sh -c '\(order)' >file 2>&1; cat file") == wanted)
    #expect(shell("\"$1\" --ring 2 --output 1MiB -- sh -c '\(order)' 2>&1 | cat") == wanted)
    let more = "head -c 200000 /dev/zero"
    #expect(
      shell(
        "\"$1\" --ring 2 --output 1MiB -- \(more) | (sleep 1; wc -c); "
          + "\"$1\" --ring 2 --output 1MiB -- \(more) >>file; wc -c <file; "
          + "\"$1\" --ring 2 --output 1MiB -- \(more) >/dev/null; echo $?")
        == "200000\n\(200_000 + wanted.utf8.count)\n0\n")
    // Nobody reads any more: the program hears of it as it would without us.
    #expect(
      shell(
        "{ \"$1\" --ring 2 --output 1GiB -- sh -c 'yes; echo $? >ended'; } | head -c 2; cat ended")
        == "y\n141\n")
    #expect(
      shell("\"$1\" --ring 2 --output 1MiB -- sh -c '\(more)' >/dev/full 2>err; echo $?; cat err")
        .contains("No space left on device (ENOSPC)"))
    // Its clock goes on while a reader takes nothing.
    #expect(
      shell(
        "{ \"$1\" --ring 2 --output 1GiB --timeout 1s -- yes; echo $? >status; } | (sleep 2; wc -c >/dev/null)"
          + "; cat status") == "124\n")
  }

  /// By a signal of its own: what it wrote was too much all the same.
  @Test func aSignalIsNoWayOut() throws {
    let (run, result) = try run(
      ["--ring", "3", "--output", "1KiB"],
      "import os; os.write(1, b'x' * 2000); os.kill(os.getpid(), 9)", in: Scratch())
    #expect(run.status == 124 && result["reason"] == "budget_exceeded", "\(run.summary)")
  }

  /// The program has ended, and whoever reads takes nothing: the wall clock goes on, and the person's terminal is theirs.
  @Test func aReaderThatTakesNothing() throws {
    let scratch = Scratch()
    let run = Command.shell(
      "{ \"$1\" --ring 2 --output 1GiB --timeout 2s -- head -c 120000 /dev/zero; date +%s >ended; }"
        + " | (sleep 8; wc -c >/dev/null); expr $(date +%s) - $(cat ended)",
      [Binaries.agtRun], in: scratch.path
    ).run()
    #expect((Int(run.out.dropLast()) ?? 0) >= 4, "\(run.summary)")
    let person = PseudoTerminal(
      Command(
        [
          "/bin/sh", "-c",
          "\"$1\" --quiet --ring 2 --output 1GiB -- sh -c 'head -c 120000 /dev/zero; echo over >&2' | sleep 60",
          "sh", Binaries.agtRun,
        ], in: scratch.path), rows: 24, columns: 80)
    try #require(person.expect("over"))
    Clock.sleep(0.5)
    person.type("\u{3}")
    #expect(person.waitForEnd() != nil)
  }

  /// A program that leaves its output to somebody outside does not keep its supervisor.
  @Test func somebodyElseWritesForEver() {
    let scratch = Scratch()
    let outside = """
      import array, os, socket, subprocess, sys, time
      s = socket.socket(socket.AF_UNIX)
      s.bind('outside.sock'); os.chmod('outside.sock', 0o777); s.listen()
      run = subprocess.Popen([sys.argv[1], '--ring', '2', '--output', '1GiB', '--timeout', '30s', '--',
                              '/usr/bin/python3', '-c', sys.argv[2]], stdout=subprocess.PIPE)
      c, _ = s.accept()
      _, data, _, _ = c.recvmsg(1, socket.CMSG_SPACE(4))
      fd = array.array('i', data[0][2])[0]
      c.send(b'1')
      writer = os.fork()
      if writer == 0:
          while True: os.write(fd, b'w' * 65536)
      os.close(fd)
      reader = os.fork()
      if reader == 0:
          while run.stdout.read(65536): pass
          os._exit(0)
      began = time.time()
      run.wait()
      print('ended', time.time() - began < 8)
      os.kill(writer, 9); os.kill(reader, 9)
      """
    let inside = """
      import array, socket
      s = socket.socket(socket.AF_UNIX); s.connect('outside.sock')
      s.sendmsg([b'1'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [1]))])
      s.recv(1)
      """
    let run = Command(
      ["/usr/bin/python3", "-c", outside, Binaries.agtRun, inside], in: scratch.path
    ).run()
    #expect(run.out == "ended True\n", "\(run.summary)")
  }

  /// What could be written to without being counted is refused.
  @Test func anInputThatIsTheOutput() {
    let scratch = Scratch()
    let run = Command.shell(
      ": >file; \"$1\" --ring 2 --output 1KiB -- true <>file >&0; echo $? >&2",
      [Binaries.agtRun], in: scratch.path
    ).run()
    #expect(run.err.contains("--output: standard input can be written to"), "\(run.summary)")
    #expect(run.err.hasSuffix("\n2\n"))
  }

  @Test func aTerminal() {
    let scratch = Scratch()
    let person = PseudoTerminal(
      Command.agtRun(
        ["--quiet", "--ring", "2", "--output", "10KiB", "--", "sh", "-c", "yes; sleep 20"],
        in: scratch), rows: 24, columns: 80)
    #expect(person.waitForEnd() == 124, "\(person.screen.suffix(300))")
    let line = "agt-run: killed: output limit of 10 KiB exceeded\r\n"
    #expect(person.screen.contains(line))
    let shown = person.screen.utf8.count { $0 == UInt8(ascii: "y") }
    #expect((3000...3415).contains(shown), "\(shown)")
    let system = PseudoTerminal(
      Command.agtRun(["--ring", "0", "--output", "10KiB", "--", "true"], in: scratch), rows: 24,
      columns: 80)
    #expect(system.waitForEnd() == 2 && system.screen.contains("--ring 1, agt-run … | cat"))
  }

  @Test(arguments: Starter.all) func detached(_ starter: Starter) {
    let site = SessionSite(starter)
    let started = site.detach("yes; sleep 20", ["--name", site.mark, "--output", "10KiB"])
    #expect(started.status == 0, "\(started.summary)")
    #expect(site.agt("wait", site.mark).status == 124)
    let log = site.agt("logs", String(started.out.dropLast()))
    #expect(log.output.count == 10240, "\(log.output.count)")
  }
}
