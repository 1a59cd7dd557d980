import Glibc
import JSON
import TestSupport
import Testing

/// A place of its own for the runs of a starter.
struct KillSite {
  let starter: Starter
  let scratch = Scratch()
  /// Tells the processes and runs of this test from others.
  let mark = "k\(UInt32.random(in: 0...999_999_999))"

  /// Of an ordinary starter.
  private let id: UInt32

  init(_ starter: Starter, id: UInt32 = Starter.ordinaryID) {
    self.starter = starter
    self.id = id
    _ = Command(["/bin/mkdir", "-m", "700", runtime]).run()
    if Starter.isRoot, starter == .ordinary {
      _ = Command(["/bin/chown", "-R", "\(id):\(id)", scratch.home, scratch.path]).run()
    }
  }

  /// The words before a command of this starter's.
  private var prefix: [String] {
    starter.prefix.map { $0.replacing("\(Starter.ordinaryID)", with: "\(id)") }
  }

  var runtime: String { scratch.home + "/run" }
  var registry: String { starter == .root ? "/run/agt" : runtime + "/agt" }

  func command(_ words: [String]) -> Command {
    Command(prefix + words, in: scratch.path).with {
      $0.environment[1] = "HOME=\(scratch.home)"
      $0.environment.append("XDG_RUNTIME_DIR=\(runtime)")
      $0.scratch = scratch
    }
  }

  func start(_ script: String, _ options: [String] = [], ring: String = "2") -> RunningCommand {
    command(
      [Binaries.agtRun, "--ring", ring, "--agent", mark] + options
        + ["--", "sh", "-c", script + "; : \(mark)"]
    ).with { $0.input = .silent }.start()
  }

  func agt(_ words: String...) -> Completed { command([Binaries.agt] + words).run() }

  func line(_ name: String) -> JSONValue? {
    let lines = (try? JSONParser.parse(agt("ps", "--json").output))?.arrayValue
    return lines?.first { $0["name"]?.stringValue == name }
  }

  /// No process with the mark is left on the machine.
  var isEmpty: Bool {
    // The commands themselves have the mark in their words, and so has what starts them.
    let ours = ["agt", "agt-run", "env", "setpriv"]
    return ProcessTable.pids(withWord: mark).allSatisfy { pid in
      File.linkTarget("/proc/\(pid)/exe").map { link in
        link.split(separator: "/").last.map { ours.contains(String($0)) } ?? false
      } ?? true
    }
  }

  func kills(_ words: String...) throws -> [JSONValue] {
    let run = command([Binaries.agt, "kill", "--json"] + words).run()
    #expect(run.status == 0, "\(run.summary)")
    return try #require(try JSONParser.parse(run.output).arrayValue)
  }
}

@Suite struct KillTests {
  @Test(arguments: Starter.all, ["0", "1", "2", "3"])
  func killsConfirmsAndRecords(_ starter: Starter, _ ring: String) throws {
    let site = KillSite(starter)
    let running = site.start(
      "trap '' TERM HUP INT; echo ready; while :; do read x; done", ["--name", site.mark],
      ring: ring)
    #expect(running.waitForOutput("ready"))
    let waiting = site.command([Binaries.agt, "wait", "--json", site.mark]).start()
    Clock.sleep(0.2)
    let record = try #require(try site.kills("--reason", "gone wrong", site.mark).first)
    #expect(site.isEmpty)
    #expect(record["terminated"] == true)
    let kill = try #require(record["kill"])
    let uid = starter == .root || !Starter.isRoot ? geteuid() : Starter.ordinaryID
    #expect(kill["reason"] == "manual" && kill["message"] == "gone wrong")
    #expect(kill["by"]?.stringValue == "uid \(uid)" && kill["agent"]?.stringValue == site.mark)
    #expect(kill["terminated"] == true && kill["stored"] == true && kill["processes"] == 1)
    for time in ["decided", "evidenceGathered", "signaled", "confirmed"] {
      #expect(kill[time]?.stringValue?.hasSuffix("Z") == true, "\(time)")
    }
    let ended = running.wait()
    #expect(ended.status == 137)
    #expect(ended.err == "agt-run: killed by uid \(uid): gone wrong\n")
    let seen = waiting.wait()
    #expect(seen.status == 137)
    #expect(try JSONParser.parse(seen.output)["kill"] == kill)
    // Afterwards as well, with what it was.
    let id = try #require(record["run"]?.stringValue)
    let kept = try JSONParser.parse(site.agt("inspect", id).output)
    let processes = kept["kill"]?["evidence"]?["processes"]?.arrayValue
    #expect(processes?.first?["executable"]?.stringValue?.contains("sh") == true)
    #expect(
      processes?.first?["arguments"]?.arrayValue?.last?.stringValue?.contains(site.mark) == true)
    #expect(kept["kill"]?["evidenceDigest"]?.stringValue?.hasPrefix("sha256:") == true)
  }

  /// All are counted in the time that there is for it, and at least one is told of.
  @Test(arguments: Starter.all) func countsAll(_ starter: Starter) throws {
    let site = KillSite(starter)
    let running = site.start(
      "for i in $(seq 400); do sleep 60 & done; echo ready; while :; do read x; done",
      ["--name", site.mark, "--pids", "500"])
    #expect(running.waitForOutput("ready"))
    let record = try #require(try site.kills(site.mark).first)
    let kill = try #require(record["kill"])
    #expect(kill["terminated"] == true)
    #expect(kill["processes"] == 401 || kill["processesComplete"] == false, "\(kill)")
    let id = try #require(record["run"]?.stringValue)
    let kept = try JSONParser.parse(site.agt("inspect", id).output)
    let told = kept["kill"]?["evidence"]?["processes"]?.arrayValue?.count
    #expect((1...64).contains(told ?? 0), "\(told ?? -1)")
    #expect(site.isEmpty)
    #expect(running.wait().status == 137)
  }

  /// What runs is stopped before it is ended. Without root PID 1 may wait too long for its turn to do that.
  @Test(.enabled(if: Starter.isRoot, "needs root")) func stopsWhatRuns() throws {
    let site = KillSite(.root)
    let running = site.start(
      "for i in $(seq 40); do (while :; do :; done) & done; echo ready; while :; do :; done",
      ["--name", site.mark])
    #expect(running.waitForOutput("ready"))
    let record = try #require(try site.kills(site.mark).first)
    #expect(record["kill"]?["frozen"]?.stringValue?.hasSuffix("Z") == true, "\(record)")
    #expect(site.isEmpty)
    #expect(running.wait().status == 137)
  }

  /// Changes the protection of a region with many pages from many threads, each of which then waits for the lock
  /// of the memory: so does whoever reads the command line, for seconds.
  private static let memoryLocker = """
    import ctypes, threading
    c = ctypes.CDLL(None)
    c.mmap.restype = ctypes.c_void_p
    c.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + [ctypes.c_int] * 3 + [ctypes.c_long]
    for f in (c.mprotect, c.madvise):
        f.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    size = 16 << 30
    at = c.mmap(None, size, 1, 0x4022, -1, 0)
    c.madvise(at, size, 15)
    c.madvise(at, size, 22)
    def change():
        while True:
            c.mprotect(at, size, 0)
            c.mprotect(at, size, 1)
    print("ready", flush=True)
    for _ in range(40):
        threading.Thread(target=change, daemon=True).start()
    threading.Event().wait()
    """

  /// What the evidence would wait for does not delay the kill.
  @Test func evidenceThatCannotBeRead() throws {
    let site = KillSite(.native)
    let running = site.command(
      [
        Binaries.agtRun, "--ring", "2", "--name", site.mark, "--pids", "200", "--timeout", "30s",
        "--", "/usr/bin/python3", "-c", Self.memoryLocker,
      ]
    ).start()
    try #require(running.waitForOutput("ready"))
    Clock.sleep(1)
    let kill = try #require(try site.kills(site.mark).first?["kill"])
    let times = ["decided", "signaled"].compactMap { kill[$0]?.stringValue?.suffix(7).dropLast() }
    let seconds = times.compactMap { Double(String($0)) }
    try #require(seconds.count == 2, "\(kill)")
    let spent = (seconds[1] - seconds[0] + 60).truncatingRemainder(dividingBy: 60)
    #expect(spent < 0.15, "\(kill)")
    #expect(kill["terminated"] == true && kill["processes"] == 1)
    #expect(running.wait().status == 137)
  }

  /// Each is something that a kill by signals from outside would miss.
  private static let trees: [(name: String, script: String)] = [
    ("doubleForks", "for i in 1 2 3 4 5; do (setsid sh -c '(sleep 90; : M) & ' &); done"),
    ("stopped", "for i in 1 2 3; do sh -c 'kill -STOP $$; : M' & done; sleep 0.1"),
    ("ignoring", "trap '' 1 2 3 10 12 13 14 15; sh -c 'sleep 90; : M' & :"),
    ("fifo", "mkfifo f; (read x <f; : M) & sleep 0.1"),
  ]

  @Test(arguments: Starter.all, trees.map(\.name))
  func nothingHides(_ starter: Starter, _ name: String) throws {
    let site = KillSite(starter)
    let script = Self.trees.first { $0.name == name }!.script.replacing("M", with: site.mark)
    let running = site.start(
      "\(script); echo ready; while :; do read x; done", ["--name", site.mark])
    #expect(running.waitForOutput("ready"))
    // Those in the background may come later than the word.
    #expect(Clock.eventually { ProcessTable.pids(withWord: site.mark).count > 2 })
    let record = try #require(try site.kills(site.mark).first)
    #expect(record["kill"]?["terminated"] == true)
    #expect(site.isEmpty)
    #expect(running.wait().status == 137)
  }

  @Test(arguments: Starter.all) func aForkBombEnds(_ starter: Starter) throws {
    let site = KillSite(starter)
    let running = site.start(
      "echo ready; f() { sh -c 'sleep 60; : \(site.mark)' & f; }; (f 2>/dev/null) & while :; do read x; done",
      ["--name", site.mark, "--pids", "200"])
    #expect(running.waitForOutput("ready"))
    Clock.sleep(0.3)
    let began = Clock.seconds()
    let record = try #require(try site.kills(site.mark).first)
    #expect(record["terminated"] == true)
    #expect(site.isEmpty)
    #expect(Clock.seconds() - began < 5)
    _ = running.wait()
  }

  @Test(arguments: Starter.all) func aThreadBombEnds(_ starter: Starter) throws {
    let site = KillSite(starter)
    let script = """
      import threading, time
      print("ready", flush=True)
      while True:
        try: threading.Thread(target=time.sleep, args=(90,)).start()
        except RuntimeError: time.sleep(0.01)
      """
    site.scratch.write("bomb.py", script)
    let running = site.start("python3 bomb.py", ["--name", site.mark, "--pids", "300"])
    #expect(running.waitForOutput("ready"))
    Clock.sleep(0.3)
    #expect(try site.kills(site.mark).first?["terminated"] == true)
    #expect(site.isEmpty)
    _ = running.wait()
  }

  @Test(
    .enabled(if: File.exists(Binaries.source + "/agt-bench"), "needs agt-bench"),
    arguments: Starter.all)
  func fiveThousandSleepersEnd(_ starter: Starter) throws {
    let site = KillSite(starter)
    _ = Command(["/bin/cp", Binaries.source + "/agt-bench", site.scratch.path + "/" + site.mark])
      .run()
    let running = site.start(
      "./\(site.mark) kill-inside 5000 | (head -c 1 >/dev/null; echo ready; while :; do read x; done)",
      ["--name", site.mark, "--pids", "6000"])
    #expect(running.waitForOutput("ready", seconds: 60))
    let record = try #require(try site.kills(site.mark).first)
    #expect(record["terminated"] == true)
    #expect(site.isEmpty)
    #expect(running.wait().status == 137)
  }

  /// What a tracer holds stopped cannot run, and is ended all the same.
  @Test(arguments: Starter.all) func tracedProcessesEnd(_ starter: Starter) throws {
    let site = KillSite(starter)
    site.scratch.write(
      "traced.py",
      """
      import ctypes, os, time
      if os.fork() == 0:
        ctypes.CDLL(None).ptrace(0, 0, 0, 0)
        os.kill(os.getpid(), 19)
        os._exit(0)
      time.sleep(0.2)
      print("ready", flush=True)
      time.sleep(90)
      """)
    // Tracing is allowed in ring 0 alone.
    let running = site.start("python3 traced.py", ["--name", site.mark], ring: "0")
    #expect(running.waitForOutput("ready"))
    #expect(try site.kills(site.mark).first?["terminated"] == true)
    #expect(site.isEmpty)
    _ = running.wait()
  }

  @Test(arguments: Starter.all) func twoKillsAtOnce(_ starter: Starter) throws {
    let site = KillSite(starter)
    let running = site.start("echo ready; while :; do read x; done", ["--name", site.mark])
    #expect(running.waitForOutput("ready"))
    let id = try #require(site.line(site.mark)?["run"]?.stringValue)
    let both = (0..<4).map { number in
      site.command([Binaries.agt, "kill", "--json", "--reason", "n\(number)", id]).start()
    }
    var records: [JSONValue] = []
    for run in both {
      let done = run.wait()
      // The last may find that there is no such run any more.
      if done.status == 127 { continue }
      #expect(done.status == 0, "\(done.summary)")
      let finding = try JSONParser.parse(done.output).arrayValue?.first
      #expect(finding?["terminated"] == true)
      if let kill = finding?["kill"], !kill.isNull { records.append(kill) }
    }
    #expect(!records.isEmpty && records.allSatisfy { $0 == records[0] }, "\(records)")
    #expect(site.isEmpty)
    _ = running.wait()
  }

  /// All runs of a user of its own: other tests have the usual one.
  @Test(.enabled(if: Starter.isRoot, "root alone can be another user"))
  func killAllOfManyRuns() throws {
    let site = KillSite(.ordinary, id: 61_777)
    let runs = (0..<50).map { _ in site.start("echo ready; while :; do read x; done", ring: "3") }
    for run in runs { #expect(run.waitForOutput("ready", seconds: 20)) }
    let records = try site.kills("--all")
    #expect(records.count == 50 && records.allSatisfy { $0["terminated"] == true })
    #expect(site.isEmpty)
    for run in runs { #expect(run.wait().status == 137) }
    #expect(site.agt("ps", "--json").out == "[]\n")
  }

  /// Somewhere in the launch: whatever was there ends, and the program does not begin afterwards.
  @Test(arguments: Starter.all) func killsALaunchAtEveryPoint(_ starter: Starter) {
    let site = KillSite(starter)
    for step in 0..<40 {
      let running = site.start("echo began; while :; do read x; done", ring: "3")
      Clock.sleep(Double(step) * 0.0005)
      // agt needs longer to start than a launch takes, so that the signal stands for it here.
      running.signal(step % 2 == 0 ? SIGTERM : SIGKILL)
      if step % 2 == 0 { running.signal(SIGTERM) }
      _ = running.wait()
      #expect(Clock.eventually(2) { site.isEmpty }, "step \(step)")
    }
    _ = site.agt("gc")
  }

  /// 200 points in the life of a run; half of them with several processes.
  @Test(arguments: Starter.all) func nothingOutlivesASupervisorKilledAnywhere(_ starter: Starter) {
    let site = KillSite(starter)
    for round in 0..<100 {
      let running = site.start(
        "(setsid sh -c 'sleep 60; : \(site.mark)' &); while :; do read x; done",
        ring: round % 2 == 0 ? "2" : "3")
      Clock.sleep(Double.random(in: 0...0.03))
      running.signal(SIGKILL)
      _ = running.wait()
      #expect(Clock.eventually(2) { site.isEmpty }, "round \(round)")
    }
    let cleared = site.agt("gc", "--json")
    #expect(cleared.status == 0, "\(cleared.summary)")
    #expect(!cleared.out.contains("\"terminated\": false"))
  }

  @Test(arguments: Starter.all) func aStoppedSupervisorDoesNotProtectItsRun(_ starter: Starter)
    throws
  {
    let site = KillSite(starter)
    let running = site.start("echo ready; while :; do read x; done", ["--name", site.mark])
    #expect(running.waitForOutput("ready"))
    running.signal(SIGSTOP)
    let began = Clock.seconds()
    let finding = try #require(try site.kills("--reason", "stuck", site.mark).first)
    #expect(Clock.seconds() - began < 5)
    #expect(finding["terminated"] == true)
    #expect(
      finding["message"] == "killed although its supervisor does not answer; nothing is left")
    running.signal(SIGCONT)
    let ended = running.wait()
    #expect(ended.status == 137)
    #expect(ended.err.hasPrefix("agt-run: killed by uid ") && ended.err.hasSuffix(": stuck\n"))
  }

  @Test(arguments: Starter.all) func gcRecordsALostRun(_ starter: Starter) throws {
    let site = KillSite(starter)
    let running = site.start("echo ready; while :; do read x; done", ["--name", site.mark])
    #expect(running.waitForOutput("ready"))
    let id = try #require(site.line(site.mark)?["run"]?.stringValue)
    running.signal(SIGKILL)
    _ = running.wait()
    _ = site.agt("gc")
    let kept = try JSONParser.parse(site.agt("inspect", id).output)
    #expect(kept["kill"]?["reason"] == "supervisor_lost" && kept["kill"]?["terminated"] == true)
  }

  @Test func commandsSayWhatIsWrong() {
    let site = KillSite(.native)
    #expect(site.agt("kill").status == 64)
    #expect(site.agt("kill", "--all", "x").status == 64)
    #expect(site.agt("kill", "no-such-run").status == 127)
    #expect(site.agt("kill", "--reason", "a\nb", "x").status == 2)
    #expect(site.agt("kill", "--agent", "nobody\(site.mark)").out == "no runs\n")
  }
}

@Suite struct PauseTests {
  @Test(arguments: Starter.all) func pausesAndResumes(_ starter: Starter) throws {
    let site = KillSite(starter)
    let running = site.start(
      "(while :; do echo x; sleep 0.02; done) & echo ready; wait", ["--name", site.mark])
    #expect(running.waitForOutput("ready"))
    let paused = site.agt("pause", site.mark)
    #expect(paused.status == 0, "\(paused.summary)")
    #expect(paused.out.contains(": paused, "))
    #expect(site.line(site.mark)?["state"] == "paused")
    _ = running.waitForOutput("never", seconds: 0.2)
    let before = running.output.count
    _ = running.waitForOutput("never", seconds: 0.3)
    #expect(running.output.count == before)
    #expect(site.agt("resume", site.mark).status == 0)
    #expect(site.line(site.mark)?["state"] == "running")
    #expect(site.agt("resume", site.mark).status == 1)
    _ = running.waitForOutput("never", seconds: 0.3)
    #expect(running.output.count > before)
    // Killed while it is paused.
    #expect(site.agt("pause", site.mark).status == 0)
    #expect(try site.kills(site.mark).first?["terminated"] == true)
    #expect(site.isEmpty)
    _ = running.wait()
  }

  @Test func aPauseCanEndTheRun() {
    let site = KillSite(.native)
    let running = site.start("echo ready; while :; do read x; done", ["--name", site.mark])
    #expect(running.waitForOutput("ready"))
    #expect(site.agt("pause", "--for", "300ms", site.mark).status == 0)
    let ended = running.wait()
    #expect(ended.status == 137)
    #expect(ended.err == "agt-run: killed: paused, and not resumed in time\n")
  }

  @Test func aPausedRunIsEndedByASignal() {
    let site = KillSite(.native)
    let running = site.start(
      "trap 'echo cleaned; exit 3' TERM; echo ready; while :; do sleep 0.05; done",
      ["--name", site.mark])
    #expect(running.waitForOutput("ready"))
    #expect(site.agt("pause", site.mark).status == 0)
    running.signal(SIGTERM)
    let ended = running.wait()
    #expect(ended.status == 3 && ended.out == "ready\ncleaned\n", "\(ended.summary)")
  }

  /// PID 1's stand-in sees no more than its children: what stops all is their cgroup.
  @Test(.enabled(if: Starter.isRoot, "root alone may make cgroups here"), arguments: ["v2", "v1"])
  func aCgroupFreezesWhatHasNoNamespace(_ flavour: String) throws {
    guard File.exists("/sys/fs/cgroup/\(flavour == "v1" ? "freezer" : "unified")") else { return }
    let site = KillSite(.native)
    let running = site.start(
      "(setsid sh -c 'while :; do echo x; sleep 0.02; done; : \(site.mark)' &); echo ready; wait; "
        + "while :; do sleep 1; done",
      ["--name", site.mark, "--degrade", "namespaces", "--cgroup", flavour])
    #expect(running.waitForOutput("ready"))
    let paused = site.agt("pause", site.mark)
    #expect(paused.status == 0 && paused.out.contains(": paused, "), "\(paused.summary)")
    _ = running.waitForOutput("never", seconds: 0.2)
    let before = running.output.count
    _ = running.waitForOutput("never", seconds: 0.3)
    #expect(running.output.count == before)
    #expect(site.agt("resume", site.mark).status == 0)
    _ = running.waitForOutput("never", seconds: 0.3)
    #expect(running.output.count > before)
    #expect(site.agt("pause", site.mark).status == 0)
    #expect(try site.kills(site.mark).first?["terminated"] == true)
    #expect(site.isEmpty)
    #expect(running.wait().status == 137)
  }

  @Test func withoutAProcessNamespaceItIsRefused() {
    let site = KillSite(.native)
    let running = site.start(
      "echo ready; while :; do read x; done",
      ["--name", site.mark, "--degrade", "namespaces", "--cgroup", "none"])
    #expect(running.waitForOutput("ready"))
    let paused = site.agt("pause", site.mark)
    #expect(paused.status == 1 && paused.err.contains("--degrade namespaces"), "\(paused.summary)")
    #expect(site.agt("kill", site.mark).status == 0)
    #expect(site.isEmpty)
    #expect(running.wait().status == 137)
  }
}

/// As an ordinary user alone: root's holds are the machine's, and other tests start runs as root.
@Suite struct HoldTests {
  @Test func heldAgentsDoNotStart() {
    let site = KillSite(.ordinary)
    let before = site.start("echo ready; read x")
    #expect(before.waitForOutput("ready"))
    #expect(site.agt("hold", "--agent", site.mark, "--reason", "under review").status == 0)
    let refused = site.start("echo began").wait()
    #expect(refused.status == 126 && refused.out == "", "\(refused.summary)")
    #expect(refused.err.hasPrefix("agt-run: agent \(site.mark) is on hold since 20"))
    #expect(
      refused.err.hasSuffix(": under review\n  hint: agt release --agent \(site.mark)\n"),
      "\(refused.err)")
    // What runs goes on, and others start.
    #expect(!site.isEmpty)
    let other = Command.agtRun(
      ["--agent", "other", "--", "echo", "on"], as: .ordinary, in: site.scratch
    )
    .with { $0.environment.append("XDG_RUNTIME_DIR=\(site.runtime)") }.run()
    #expect(other.out == "on\n")
    #expect(site.agt("hold", "--list").out.contains("under review"))
    #expect(site.agt("release", "--agent", site.mark).status == 0)
    #expect(site.agt("release", "--agent", site.mark).status == 1)
    #expect(site.start("echo began").wait().out == "began\n")
    before.signal(SIGTERM)
    _ = before.wait()
  }

  @Test func killWithHold() throws {
    let site = KillSite(.ordinary)
    let running = site.start("echo ready; while :; do read x; done")
    #expect(running.waitForOutput("ready"))
    let records = try site.kills("--agent", site.mark, "--hold", "--reason", "incident 7")
    #expect(records.count == 1 && records[0]["terminated"] == true)
    #expect(running.wait().status == 137)
    let refused = site.start("echo began").wait()
    #expect(refused.status == 126)
    #expect(
      refused.err.contains("agent \(site.mark) is on hold") && refused.err.contains("incident 7"))
    #expect(site.agt("release", "--agent", site.mark).status == 0)
    #expect(site.agt("hold", "--reason", "everybody").status == 0)
    let all = site.start("echo began").wait()
    #expect(all.status == 126 && all.err.contains("every launch is on hold"), "\(all.summary)")
    #expect(site.agt("release").status == 0)
  }

  /// Supervisors that are stopped, one of which may be what holds the log: every ring ends, and at once.
  @Test func aHeldLogKeepsNobodyAlive() throws {
    let site = KillSite(.ordinary)
    let running = (0..<2).map { _ in site.start("echo ready; exec sleep 60") }
    for one in running { #expect(one.waitForOutput("ready")) }
    let holder = site.command([
      "/bin/sh", "-c",
      "exec 9<\(site.scratch.home)/.local/state/agt/audit/host; flock 9; echo held; exec sleep 60",
    ]).start()
    try #require(holder.waitForOutput("held"))
    for one in running { one.signal(SIGSTOP) }
    let killed = site.agt("kill", "--agent", site.mark)
    #expect(
      killed.out.split(separator: "\n").filter { $0.contains("nothing is left") }.count == 2,
      "\(killed.summary)")
    #expect(killed.seconds < 10, "\(killed.summary)")
    holder.signal(SIGKILL)
    for one in running { one.signal(SIGKILL) }
    #expect(Clock.eventually { site.isEmpty })
  }

  /// What cannot be read holds.
  @Test func aBrokenMarkHolds() {
    let site = KillSite(.ordinary)
    // Makes the home directory the user's.
    #expect(site.start("echo on").wait().out == "on\n")
    #expect(site.agt("hold", "--agent", site.mark, "--reason", "x").status == 0)
    let holds = site.scratch.home + "/.local/state/agt/holds"
    let mark = "\(holds)/\(site.mark).json"
    for text in ["", "nonsense", "{}"] {
      _ = Command.shell("printf %s \"$1\" >\"$2\"", [text, mark]).run()
      #expect(site.start("echo began").wait().status == 126, "\(text)")
    }
    _ = Command(["/bin/rm", mark]).run()
    #expect(site.start("echo began").wait().status == 0)
    _ = Command(["/bin/chmod", "777", holds]).run()
    let open = site.start("echo began").wait()
    #expect(open.status == 126 && open.err.contains("others can change"), "\(open.summary)")
  }
}
