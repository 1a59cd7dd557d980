import TestSupport
import Testing

/// A person at a terminal: the program gets one of its own, and the person's is as it was afterwards.
@Suite struct TerminalTests {
  private func terminal(
    _ words: [String], as starter: Starter = .native, rows: UInt16 = 24, columns: UInt16 = 80,
    quiet: Bool = true, in scratch: Scratch = Scratch()
  ) -> PseudoTerminal {
    PseudoTerminal(
      Command.agtRun((quiet ? ["--quiet"] : []) + words, as: starter, in: scratch), rows: rows,
      columns: columns)
  }

  @Test(arguments: Starter.all, ["1", "2", "3"])
  func theTerminalIsItsOwn(_ starter: Starter, _ ring: String) {
    let person = terminal(
      [
        "--ring", ring, "--", "/usr/bin/python3", "-c",
        """
        import os, sys
        print(os.ttyname(0), os.ttyname(1) == os.ttyname(2), os.tcgetpgrp(0) == os.getpgrp())
        os.close(os.open('/dev/tty', os.O_RDWR))
        print('opened /dev/tty')
        """,
      ], as: starter)
    let settings = person.settingsAtFirst
    #expect(person.waitForEnd() == 0, "\(person.screen)")
    #expect(person.screen.contains("/dev/pts/0 True True\r\n"), "\(person.screen)")
    #expect(person.screen.contains("opened /dev/tty\r\n"))
    #expect(person.settings == settings)
  }

  /// Without a mount namespace, as where a host lets nobody make one, it is one of the host's.
  @Test(arguments: Starter.all, ["1", "2", "3"])
  func theTerminalIsOfTheHost(_ starter: Starter, _ ring: String) {
    let person = terminal(
      [
        "--ring", ring, "--degrade", "namespaces", "--", "/usr/bin/python3", "-c",
        """
        import os, sys
        print(os.isatty(0), os.isatty(1), os.fstat(0).st_rdev == os.fstat(2).st_rdev, os.tcgetpgrp(0) == os.getpgrp())
        print(os.get_terminal_size())
        sys.stdin.readline()
        """,
      ], as: starter, rows: 33, columns: 101)
    let settings = person.settingsAtFirst
    #expect(person.expect("lines=33"), "\(person.screen)")
    #expect(person.screen.contains("True True True True\r\n"), "\(person.screen)")
    person.type("\u{3}")
    #expect(person.waitForEnd() == 130, "\(person.screen)")
    #expect(person.settings == settings)
  }

  /// A person who has stopped the screen (^S), or a window that takes nothing, does not keep the clock from running.
  @Test(arguments: Starter.all) func aStalledScreenStopsNothing(_ starter: Starter) {
    let scratch = Scratch()
    scratch.write("result.json", "", mode: 0o666)
    let person = terminal(
      [
        "--ring", "2", "--timeout", "1s", "--result-json", "result.json", "--", "sh", "-c", "yes",
      ], as: starter, in: scratch)
    // Nothing is read from the screen before the run is over.
    #expect(
      Clock.eventually(15) { scratch.read("result.json")?.contains("session_timeout") == true })
    #expect(person.waitForEnd() == 124, "\(person.screen.suffix(300))")
    #expect(person.screen.hasPrefix("y\r\ny\r\n"))
  }

  @Test(arguments: Starter.all) func windowSizeIsPassedAndFollowed(_ starter: Starter) {
    let person = terminal(
      [
        "--ring", "2", "--", "sh", "-c",
        "trap 'stty size' WINCH; stty size; while :; do sleep 0.05; done",
      ], as: starter, rows: 33, columns: 101)
    #expect(person.expect("33 101\r\n"), "\(person.screen)")
    person.resize(rows: 40, columns: 121)
    #expect(person.expect("40 121\r\n"), "\(person.screen)")
    person.type("\u{3}")
    #expect(person.waitForEnd() == 130)
  }

  @Test(arguments: Starter.all, ["2", "3"])
  func controlCInterruptsTheProgram(_ starter: Starter, _ ring: String) {
    let person = terminal(
      [
        "--ring", ring, "--", "sh", "-c",
        "trap 'echo interrupted; exit 3' INT; echo ready; while :; do :; done",
      ], as: starter)
    #expect(person.expect("ready"), "\(person.screen)")
    person.type("\u{3}")
    #expect(person.expect("interrupted\r\n"), "\(person.screen)")
    #expect(person.waitForEnd() == 3)
  }

  @Test func controlCEndsAProgramThatDoesNotCatchIt() {
    let person = terminal(["--ring", "2", "--", "sh", "-c", "echo ready; exec sleep 30"])
    let settings = person.settingsAtFirst
    #expect(person.expect("ready"))
    person.type("\u{3}")
    #expect(person.waitForEnd() == 130, "\(person.screen)")
    #expect(person.settings == settings)
  }

  @Test func controlDIsEndOfFile() {
    let person = terminal(["--", "cat"])
    person.type("line\r")
    #expect(person.expect("line\r\nline\r\n"), "\(person.screen)")
    person.type("\u{4}")
    #expect(person.waitForEnd() == 0)
  }

  /// A shell that agt-run is a job of.
  private func shell(as starter: Starter) -> (PseudoTerminal, String) {
    let scratch = Scratch()
    let own = Command.agtRun([], as: starter, in: scratch)
    let agtRun = own.words.map { String(decoding: $0, as: UTF8.self) }.joined(separator: " ")
    let person = PseudoTerminal(
      Command(["/bin/bash", "--norc", "--noprofile", "-i"], in: scratch.path).with {
        $0.scratch = scratch
        $0.environment = own.environment + ["PS1=$ ", "HISTFILE="]
      })
    return (person, agtRun + " --quiet")
  }

  @Test(arguments: Starter.all) func controlZAndForeground(_ starter: Starter) {
    let (person, agtRun) = shell(as: starter)
    #expect(person.expect("$ "))
    person.type("\(agtRun) --ring 2 -- sh -c 'echo ready; while read x; do echo got:$x; done'\r")
    #expect(person.expect("ready\r\n"), "\(person.screen)")
    person.type("one\r")
    #expect(person.expect("got:one\r\n"), "\(person.screen)")
    person.type("\u{1a}")
    #expect(person.expect("Stopped"), "\(person.screen)")
    #expect(person.expect("$ "))
    // The shell has its terminal: it answers, and the stopped program does not.
    person.type("echo $((6*7))\r")
    #expect(person.expect("42\r\n"), "\(person.screen)")
    for word in ["two", "three"] {
      person.type("fg\r")
      #expect(person.expect("done'\r\n"), "\(person.screen)")
      // The answer says that the program itself goes on: two terminals echo what is typed.
      person.type("\(word)\r")
      #expect(person.expect("got:\(word)\r\n"), "\(person.screen)")
      if word == "two" {
        person.type("\u{1a}")
        #expect(person.expect("Stopped"), "\(person.screen)")
      }
    }
    person.type("\u{4}")
    #expect(person.expect("$ "))
    person.type("echo status=$?\r")
    #expect(person.expect("status=0\r\n"), "\(person.screen)")
    person.type("exit\r")
    #expect(person.waitForEnd() == 0)
  }

  @Test(arguments: Starter.all) func jobControlInside(_ starter: Starter) {
    let person = terminal(
      [
        "--ring", "2", "--env", "PS1=in> ", "--env", "HISTFILE=", "--", "bash", "--norc",
        "--noprofile", "-i",
      ], as: starter)
    let settings = person.settingsAtFirst
    #expect(person.expect("in> "), "\(person.screen)")
    #expect(!person.screen.contains("no job control"), "\(person.screen)")
    person.type("sleep 55\r")
    Clock.sleep(0.3)
    person.type("\u{1a}")
    #expect(person.expect("Stopped"), "\(person.screen)")
    person.type("jobs\r")
    #expect(person.expect("sleep 55"), "\(person.screen)")
    person.type("kill %1; wait; echo killed=$?\r")
    #expect(person.expect("killed="), "\(person.screen)")
    person.type("sleep 56\r")
    Clock.sleep(0.3)
    person.type("\u{3}")
    #expect(person.expect("in> "), "\(person.screen)")
    person.type("exit 5\r")
    #expect(person.waitForEnd() == 5, "\(person.screen)")
    #expect(person.settings == settings)
  }

  /// Everything that is written before the end comes out, in order, however fast it was written.
  @Test(arguments: Starter.all) func outputIsComplete(_ starter: Starter) {
    let person = terminal(["--ring", "3", "--", "seq", "1", "20000"], as: starter)
    #expect(person.waitForEnd(seconds: 20) == 0)
    let expected = (1...20000).map { "\($0)\r\n" }.joined()
    let same = person.screen == expected
    #expect(same, "\(person.screen.utf8.count) of \(expected.utf8.count) bytes")
  }

  @Test(arguments: Starter.all) func pythonAsksAndAnswers(_ starter: Starter) {
    let person = terminal(["--ring", "3", "--", "/usr/bin/python3", "-q"], as: starter)
    let settings = person.settingsAtFirst
    #expect(person.expect(">>> "), "\(person.screen)")
    person.type("6*7\r")
    #expect(person.expect("42\r\n>>> "), "\(person.screen)")
    person.type("import sys; sys.exit(4)\r")
    #expect(person.waitForEnd() == 4)
    #expect(person.settings == settings)
  }

  // MARK: the settings come back

  @Test func settingsAfterTheProgramKilledItself() {
    let person = terminal(["--ring", "2", "--", "sh", "-c", "stty raw -echo; kill -9 $$"])
    let settings = person.settingsAtFirst
    #expect(person.waitForEnd() == 137)
    #expect(person.settings == settings)
  }

  @Test(arguments: [15, 1] as [Int32]) func settingsAfterASignalToAgtRun(_ number: Int32) {
    let person = terminal(["--ring", "2", "--", "sh", "-c", "echo ready; sleep 30"])
    let settings = person.settingsAtFirst
    #expect(person.expect("ready"), "\(person.screen)")
    #expect(person.settings != settings)
    person.signal(number)
    #expect(person.waitForEnd() == 128 + number, "\(person.screen)")
    #expect(person.settings == settings)
  }

  @Test func settingsAfterTheTimeIsOver() {
    let person = terminal([
      "--timeout", "300ms", "--", "sh", "-c", "echo ready; while :; do :; done",
    ])
    let settings = person.settingsAtFirst
    #expect(person.waitForEnd() == 124, "\(person.screen)")
    #expect(person.settings == settings)
    // Whole lines at the left margin, as in a terminal that is not raw.
    #expect(
      person.screen.hasSuffix(
        "ready\r\nagt-run: killed: wall clock of 300 ms ran out\r\n"
          + "  hint: --timeout gives more time\r\n"), "\(person.screen.debugDescription)")
  }

  @Test func settingsAfterAFailedLaunch() {
    for words in [
      ["--", "no-such-program"], ["--ring", "9", "--", "true"], ["--workspace", "/", "--", "true"],
    ] {
      let person = terminal(words)
      let settings = person.settingsAtFirst
      #expect((person.waitForEnd() ?? 0) > 1)
      #expect(person.settings == settings)
    }
  }

  /// The terminal goes away: SIGHUP, and everything inside ends.
  @Test func hangUp() {
    let mark = "agt-mark-\(UInt32.random(in: 0...9_999_999))"
    var person: PseudoTerminal? = terminal([
      "--ring", "2", "--", "sh", "-c", "echo ready; while :; do sleep 0.1; done; : \(mark)",
    ])
    #expect(person!.expect("ready"))
    person!.hangUp()
    #expect(Clock.eventually(3) { ProcessTable.pids(withWord: mark).isEmpty })
    person = nil
  }

  // MARK: half a terminal

  @Test(arguments: Starter.all) func pipeBehindATerminal(_ starter: Starter) {
    let scratch = Scratch()
    let own = Command.agtRun([], as: starter, in: scratch)
    let words = own.words.map { String(decoding: $0, as: UTF8.self) }.joined(separator: " ")
    let person = PseudoTerminal(
      Command.shell(
        "\(words) --quiet --ring 2 -- sh -c 'tty; printf \"a\\nb\\n\"' > out; echo end=$?",
        in: scratch.path
      ).with {
        $0.scratch = scratch
        $0.environment = own.environment
      })
    let settings = person.settingsAtFirst
    #expect(person.expect("end=0\r\n"), "\(person.screen)")
    #expect(person.waitForEnd() == 0)
    // Standard input is the terminal; what goes into the file has no carriage returns.
    #expect(scratch.read("out") == "/dev/pts/0\na\nb\n")
    #expect(person.settings == settings)
  }

  @Test func inputFromAFileAtATerminal() {
    let scratch = Scratch()
    scratch.write("in", "one\ntwo\n")
    let person = PseudoTerminal(
      Command.shell("\"$1\" --quiet -- cat <in", [Binaries.agtRun], in: scratch.path).with {
        $0.scratch = scratch
      })
    #expect(person.waitForEnd() == 0)
    #expect(person.screen == "one\r\ntwo\r\n")
  }

  // MARK: what is said

  @Test func oneLineBeforeTheStart() {
    let scratch = Scratch()
    let person = terminal(["--ring", "3", "--", "true"], quiet: false, in: scratch)
    #expect(person.waitForEnd() == 0)
    #expect(
      person.screen.wholeMatch(
        of: /agt-run: ring 3 \(\w+\): workspace [^ ]+ read-only, no network, [^\r\n]+\r\n/) != nil,
      "\(person.screen)")
  }

  @Test func summaryOfWhatWasRefused() {
    let person = terminal(
      ["--ring", "2", "--", "sh", "-c", "mount -t tmpfs x /tmp 2>/dev/null; true"], quiet: false)
    #expect(person.waitForEnd() == 0)
    #expect(
      person.screen.hasSuffix(
        "agt-run: ring 2 refused 1 forbidden call: mount by /usr/bin/mount\r\n"),
      "\(person.screen)")
  }

  @Test func quietSaysNothing() {
    let person = terminal([
      "--ring", "2", "--", "sh", "-c", "mount -t tmpfs x /tmp 2>/dev/null; true",
    ])
    #expect(person.waitForEnd() == 0)
    #expect(person.screen == "")
  }
}
