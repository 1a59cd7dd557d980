import TestSupport
import Testing

/// How a run ends and what status it gives: docs/results.md.
@Suite struct EndingTests {
  private func shell(
    _ script: String, _ options: [String] = [], ring: String = "2", as starter: Starter = .native,
    in scratch: Scratch = Scratch()
  ) -> Command {
    Command.agtRun(
      ["--ring", ring] + options + ["--", "sh", "-c", script], as: starter, in: scratch)
  }

  @Test(arguments: Starter.all) func exitStatusPassesThrough(_ starter: Starter) {
    let script = "for n in $(seq 0 123); do \"$@\" \"exit $n\"; [ $? = $n ] || echo $n; done"
    let scratch = Scratch()
    let words = shell("", ring: "3", as: starter, in: scratch).words.dropLast()
    let run = Command.shell(
      script, words.map { String(decoding: $0, as: UTF8.self) }, in: scratch.path
    ).run()
    #expect(run.out == "", "\(run.summary)")
    #expect(run.err == "")
  }

  @Test(arguments: ["0", "1", "2", "3"]) func signalsAre128AndMore(_ ring: String) {
    for number in [1, 2, 3, 6, 8, 9, 11, 13, 15] {
      let run = shell("kill -\(number) $$", ring: ring).run()
      #expect(run.status == 128 + Int32(number), "ring \(ring): \(run.summary)")
      #expect(run.signal == nil)
    }
  }

  /// What makes a launch quicker ends with it: neither the program nor PID 1 is bound to a processor or waits for
  /// others.
  @Test(arguments: Starter.all, ["1", "2"]) func ordinaryTurns(_ starter: Starter, _ ring: String) {
    let all = File.read("/proc/self/status")!.split(separator: "\n")
      .first { $0.hasPrefix("Cpus_allowed_list:") }!
    let run = shell(
      "grep -h Cpus_allowed_list: /proc/self/status /proc/1/status; "
        + "for p in self 1; do sed 's/.*) //' /proc/$p/stat | cut -d ' ' -f 39; done",
      ring: ring, as: starter
    ).run()
    #expect(run.out == "\(all)\n\(all)\n0\n0\n", "\(run.summary)")
  }

  @Test(arguments: Starter.all) func timeout(_ starter: Starter) {
    let run = shell("echo begun; sleep 60", ["--timeout", "300ms"], as: starter).run()
    #expect(run.status == 124, "\(run.summary)")
    #expect(run.out == "begun\n")
    #expect(
      run.err == "agt-run: killed: wall clock of 300 ms ran out\n"
        + "  hint: --timeout gives more time\n")
    #expect((0.3..<3).contains(run.seconds), "\(run.seconds) s")
  }

  @Test(arguments: Starter.all) func timeoutOfWhatIgnoresEverything(_ starter: Starter) {
    let mark = "agt-mark-\(UInt32.random(in: 0...9_999_999))"
    let run = shell(
      "trap '' TERM INT HUP; (setsid sh -c 'trap \"\" TERM HUP; sleep 60; : \(mark)' &) ; "
        + "sh -c 'kill -STOP $$; : \(mark)' & while :; do sleep 60; done; : \(mark)",
      ["--timeout", "400ms"], as: starter
    ).run()
    #expect(run.status == 124, "\(run.summary)")
    #expect(ProcessTable.pids(withWord: mark) == [])
  }

  @Test func timeoutOfAForkBomb() {
    let mark = "agt-mark-\(UInt32.random(in: 0...9_999_999))"
    let run = shell(
      "f() { sh -c 'sleep 30; : \(mark)' & f; }; f 2>/dev/null",
      ["--timeout", "500ms", "--pids", "50"]
    ).with { $0.timeoutSeconds = 15 }.run()
    #expect(!run.timedOut)
    #expect(run.status != 0)
    #expect(ProcessTable.pids(withWord: mark) == [])
  }

  @Test(arguments: Starter.all) func descendantsEndWithTheProgram(_ starter: Starter) {
    let mark = "agt-mark-\(UInt32.random(in: 0...9_999_999))"
    let run = shell(
      "(setsid sh -c 'trap \"\" TERM HUP; sleep 60; : \(mark)' >/dev/null 2>&1 </dev/null &); "
        + "sleep 0.1; exit 5", as: starter
    ).run()
    #expect(run.status == 5, "\(run.summary)")
    #expect(ProcessTable.pids(withWord: mark) == [])
  }

  @Test(arguments: Starter.all) func termIsPassedOn(_ starter: Starter) {
    let command = shell(
      "trap 'echo cleaned; exit 3' TERM; echo ready; while :; do sleep 0.05; done", as: starter)
    let running = command.start()
    #expect(running.waitForOutput("ready"))
    running.signal(15)
    let run = running.wait()
    #expect(run.out == "ready\ncleaned\n")
    #expect(run.status == 3, "\(run.summary)")
  }

  @Test func everyForwardedSignalArrives() {
    for (number, name) in [(1, "HUP"), (2, "INT"), (3, "QUIT"), (10, "USR1"), (12, "USR2")] {
      let running = shell(
        "trap 'echo got \(name); exit 4' \(name); echo ready; while :; do sleep 0.05; done"
      ).start()
      #expect(running.waitForOutput("ready"))
      running.signal(Int32(number))
      let run = running.wait()
      #expect(run.out == "ready\ngot \(name)\n")
      #expect(run.status == 4, "\(name): \(run.summary)")
    }
  }

  /// The grace time is 5 s.
  @Test func termThatIsIgnoredEndsAfterTheGraceTime() {
    let running = shell("trap '' TERM; echo ready; while :; do sleep 0.1; done").start()
    #expect(running.waitForOutput("ready"))
    running.signal(15)
    let began = Clock.seconds()
    let run = running.wait()
    #expect((4.5..<7).contains(Clock.seconds() - began))
    #expect(run.status == 137, "\(run.summary)")
    #expect(run.err == "agt-run: killed: asked to end by a signal\n")
  }

  @Test func graceIsAnOption() {
    let running = shell(
      "trap '' TERM; echo ready; while :; do sleep 0.1; done", ["--grace", "300ms"]
    ).start()
    #expect(running.waitForOutput("ready"))
    running.signal(15)
    let began = Clock.seconds()
    #expect(running.wait().status == 137)
    #expect((0.25..<2).contains(Clock.seconds() - began))
  }

  @Test func secondTermKills() {
    let running = shell("trap '' TERM; echo ready; while :; do sleep 0.1; done").start()
    #expect(running.waitForOutput("ready"))
    running.signal(15)
    Clock.sleep(0.1)
    let began = Clock.seconds()
    running.signal(15)
    let run = running.wait()
    #expect(Clock.seconds() - began < 1)
    #expect(run.status == 137, "\(run.summary)")
  }

  /// Two before the loop reads its signals are one: a pending signal is not counted.
  @Test func termReachesAStoppedProgram() {
    let running = shell("echo ready; kill -STOP $$; sleep 30").start()
    #expect(running.waitForOutput("ready"))
    Clock.sleep(0.1)
    running.signal(15)
    let run = running.wait()
    #expect(run.status == 143, "\(run.summary)")
  }

  @Test(arguments: Starter.all, ["0", "1", "2", "3"])
  func nothingOutlivesTheSupervisor(_ starter: Starter, _ ring: String) {
    let mark = "agt-mark-\(UInt32.random(in: 0...9_999_999))"
    let several = ring == "3" ? "" : "(setsid sh -c 'sleep 60; : \(mark)' &); "
    let running = shell(
      "\(several)echo ready; trap '' TERM HUP INT; while :; do read x; done; : \(mark)",
      ring: ring, as: starter
    ).with { $0.input = .silent }.start()
    #expect(running.waitForOutput("ready"))
    #expect(ProcessTable.pids(withWord: mark).count > 1)
    running.signal(9)
    let gone = Clock.eventually(1) { ProcessTable.pids(withWord: mark).isEmpty }
    #expect(gone, "\(ProcessTable.pids(withWord: mark))")
    #expect(running.wait().signal == 9)
  }

  @Test func nothingOutlivesTheSupervisorWithoutNamespaces() {
    let mark = "agt-mark-\(UInt32.random(in: 0...9_999_999))"
    let running = shell(
      "(setsid sh -c 'trap \"\" TERM HUP; sleep 60; : \(mark)' &); echo ready; read x; : \(mark)",
      ["--degrade", "namespaces"]
    ).with { $0.input = .silent }.start()
    #expect(running.waitForOutput("ready"), "\(running.wait().summary)")
    running.signal(9)
    #expect(Clock.eventually(1) { ProcessTable.pids(withWord: mark).isEmpty })
  }
}

/// What agt-run reports beside the program's own output.
@Suite struct ViolationTests {
  @Test(arguments: Starter.all) func deniesAndGoesOn(_ starter: Starter) {
    let run = Command.agtRun(
      ["--ring", "2", "-v", "--", "sh", "-c", "mount -t tmpfs x /tmp 2>/dev/null; echo on"],
      as: starter, in: Scratch()
    ).run()
    #expect(run.out == "on\n")
    #expect(run.status == 0)
    #expect(
      run.err.hasSuffix("agt-run: ring 2 refused 1 forbidden call: mount by /usr/bin/mount\n"),
      "\(run.err)")
  }

  @Test(arguments: Starter.all) func kills(_ starter: Starter) {
    let run = Command.agtRun(
      [
        "--ring", "2", "--on-violation", "kill", "--", "sh", "-c",
        "mount -t tmpfs x /tmp 2>/dev/null; sleep 5; echo on",
      ], as: starter, in: Scratch()
    ).run()
    #expect(run.out == "")
    #expect(run.status == 137, "\(run.summary)")
    #expect(run.err == "agt-run: killed: forbidden call mount by /usr/bin/mount\n")
    #expect(run.seconds < 3)
  }

  /// One that has nothing to forbid is not killed.
  @Test func killsNobodyElse() {
    let run = Command.agtRun(
      ["--ring", "2", "--on-violation", "kill", "--", "sh", "-c", "ls / >/dev/null; echo on"],
      in: Scratch()
    ).run()
    #expect(run.out == "on\n")
    #expect(run.status == 0)
  }

  @Test func withoutReportsTheCallIsRefusedAllTheSame() {
    let run = Command.agtRun(
      [
        "--ring", "2", "--degrade", "violations", "--", "sh", "-c",
        "mount -t tmpfs x /tmp 2>/dev/null || echo refused",
      ], in: Scratch()
    ).run()
    #expect(run.out == "refused\n", "\(run.summary)")
    #expect(
      run.err == "agt-run: not enforced: violations: forbidden calls are refused but not reported\n"
    )
  }
}
