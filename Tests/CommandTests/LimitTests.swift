import JSON
import TestSupport
import Testing

/// What a machine offers root; tests of what it does not have are left out.
private enum Cgroups {
  static let hasLegacy =
    Starter.isRoot
    && ["memory", "pids", "cpu"].allSatisfy { File.exists("/sys/fs/cgroup/\($0)/cgroup.procs") }
  static let unified =
    ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"].first { File.exists("\($0)/cgroup.controllers") }

  static let hasThroughput =
    Starter.isRoot && File.exists("/sys/fs/cgroup/blkio/blkio.throttle.write_bps_device")
    && Command(["/usr/bin/stat", "-f", "-c", "%T", "/tmp"]).run().out == "ext2/ext3\n"

  /// Cgroups of runs that are left.
  static func leftBehind(_ run: String) -> [String] {
    let places =
      ["memory", "pids", "cpu", "blkio"].map { "/sys/fs/cgroup/\($0)/agt" } + [
        (unified ?? "") + "/agt"
      ]
    return places.filter { File.names($0)?.contains(run) == true }
  }
}

@Suite struct LimitTests {
  private func run(
    _ options: [String], _ program: [String], as starter: Starter = .native,
    in scratch: Scratch = Scratch()
  ) throws -> (run: Completed, result: JSONValue) {
    let run = Command.agtRun(
      ["--ring", "2", "--result-json", "result.json"] + options + ["--"] + program, as: starter,
      in: scratch
    ).run()
    let result = try JSONParser.parse(File.bytes(scratch.path + "/result.json") ?? [])
    if let id = result["run"]?.stringValue { #expect(Cgroups.leftBehind(id) == []) }
    return (run, result)
  }

  /// Shared memory is no process's data: only the run as a whole is bounded in it.
  private static let takes200MiB =
    "import mmap; m = mmap.mmap(-1, 200 << 20); [m.__setitem__(i, 1) for i in range(0, 200 << 20, 4096)]"

  @Test(.enabled(if: Cgroups.hasLegacy, "cgroup v1 for root is needed"))
  func memoryOfTheWholeRunHasATypedEnd() throws {
    let (run, result) = try run(
      ["--cgroup", "v1", "--memory", "64MiB"], ["python3", "-c", Self.takes200MiB])
    #expect(run.status == 137, "\(run.summary)")
    #expect(
      run.err == "agt-run: ring 2: memory limit of 64 MiB exceeded, peak 64 MiB\n"
        + "  hint: --memory gives more\n")
    #expect(result["reason"] == "memory_limit" && result["limits"]?["enforcedBy"] == "v1")
    #expect(result["limits"]?["memoryKills"] == 1)
    #expect(result["limits"]?["memoryPeakBytes"]?.integerValue == 64 << 20)
    // Its twin: without the cgroup the same program gets it.
    let free = try self.run(
      ["--cgroup", "none", "--memory", "64MiB"], ["python3", "-c", Self.takes200MiB])
    #expect(free.run.status == 0 && free.result["limits"] == nil, "\(free.run.summary)")
  }

  @Test(.enabled(if: Cgroups.hasLegacy, "cgroup v1 for root is needed"))
  func processorsAreBounded() throws {
    let burn = """
      import time
      end = time.monotonic() + 1.5
      while time.monotonic() < end: pass
      print(time.process_time())
      """
    let (run, result) = try run(["--cpu", "0.2"], ["python3", "-c", burn])
    let seconds = try #require(Double(run.out.split(separator: "\n").first ?? ""))
    #expect(seconds < 0.8, "\(seconds) s of 1.5 s")
    #expect((result["limits"]?["throttledPeriods"]?.integerValue ?? 0) > 3)
    #expect(result["limits"]?["cpus"] == 0.2)
  }

  @Test(.enabled(if: Cgroups.hasLegacy, "cgroup v1 for root is needed"))
  func processesAreBounded() throws {
    let script = "for i in $(seq 40); do sleep 0.3 & done 2>/dev/null; wait"
    let (_, result) = try run(
      ["--cgroup", "v1", "--pids", "10"], ["sh", "-c", script])
    #expect((result["limits"]?["processPeak"]?.integerValue ?? 99) <= 11)
  }

  /// Where the kernel's own namespace does not end the processes, their cgroup does.
  @Test(.enabled(if: Starter.isRoot && Cgroups.unified != nil, "cgroup v2 for root is needed"))
  func aCgroupEndsWhatHasNoNamespace() throws {
    let site = KillSite(.root)
    let running = site.start(
      "for i in 1 2 3; do (setsid sh -c '(sleep 90; : \(site.mark)) &' &); done; sleep 0.1; "
        + "echo ready; while :; do read x; done",
      ["--name", site.mark, "--degrade", "namespaces", "--cgroup", "v2"])
    #expect(running.waitForOutput("ready"))
    let finding = try #require(try site.kills(site.mark).first)
    // A busy machine may not freeze it in time.
    #expect(finding["kill"]?["terminated"] == true)
    #expect(site.isEmpty)
    #expect(running.wait().status == 137)
    #expect(Cgroups.leftBehind(finding["run"]?.stringValue ?? "") == [])
  }

  /// What goes past the page cache, which is what version 1 counts.
  @Test(.enabled(if: Cgroups.hasThroughput, "blkio of cgroup v1 and a disk are needed"))
  func throughputIsBounded() throws {
    let writes = ["dd", "if=/dev/zero", "of=big", "bs=256k", "count=16", "oflag=direct"]
    let (run, result) = try run(["--io-write", "2MiB/s", "--io-read", "100MiB/s"], writes)
    #expect(run.status == 0 && run.seconds > 1.2, "\(run.summary) \(run.seconds)")
    #expect(result["limits"]?["ioWriteBytesPerSecond"] == 2_097_152)
    #expect(result["limits"]?["ioReadBytesPerSecond"] == 104_857_600)
    #expect(result["limits"]?["ioDisks"]?.arrayValue?.count == 1)
    let free = try self.run(["--cgroup", "v1"], writes)
    #expect(free.run.status == 0 && free.run.seconds < 1.2, "\(free.run.summary)")
    #expect(free.result["limits"]?["ioDisks"] == .null)
  }

  /// Named in the plan, or refused: never asked for and not held.
  @Test(arguments: Starter.all) func throughputOrARefusal(_ starter: Starter) {
    let scratch = Scratch()
    let plan = Command.agtRun(
      ["--io-write", "2MiB/s", "--explain", "--", "true"], as: starter, in: scratch
    ).run()
    if plan.status == 0 {
      #expect(plan.out.contains("2 MiB/s written to disk "), "\(plan.out)")
    } else {
      #expect(plan.status == 126, "\(plan.summary)")
      #expect(plan.err.hasPrefix("agt-run: --io-"), "\(plan.summary)")
      #expect(plan.err.contains("limit the throughput") || plan.err.contains("is on no disk"))
    }
    let memory = Command.agtRun(
      ["--io-read", "2MiB/s", "--workspace", "/dev/shm/agt-test", "--", "true"], as: starter,
      in: scratch
    ).run()
    #expect(memory.status == 126, "\(memory.summary)")
    for (words, line) in [
      (["--io-write", "2MiB"], "--io-write 2MiB: a size for each second is needed"),
      (["--io-read", "x/s"], "--io-read x/s: "),
      (["--io-read", "0/s"], "--io-read 0/s: nothing can run without any"),
      (["--io-read", "1MiB/s", "--cgroup", "none"], "--io-read and --cgroup none contradict"),
    ] {
      let run = Command.agtRun(words + ["--", "true"], in: scratch).run()
      #expect(run.status == 2 && run.err.contains(line), "\(run.summary)")
    }
  }

  @Test func whatCannotBeHeldIsRefused() throws {
    let scratch = Scratch()
    for (words, line) in [
      (["--cpu", "x"], "--cpu x: a number of processors from 0.01 to 1000 is needed"),
      (["--cpu", "0.001"], "--cpu 0.001: a number of processors from 0.01 to 1000 is needed"),
      (["--cpu", "1", "--cgroup", "none"], "--cpu and --cgroup none"),
      (["--cgroup", "v3"], "--cgroup v3: one of auto, none, v2, v1 is needed"),
    ] {
      let run = Command.agtRun(words + ["--", "true"], in: scratch).run()
      #expect(run.status == 2 && run.err.contains(line), "\(run.summary)")
    }
    let run = Command.agtRun(["--cpu", "0.5", "--", "true"], as: .ordinary, in: scratch).run()
    // Where systemd has delegated something to the tests, it runs.
    #expect(
      run.status == 0
        || run.status == 126 && run.err.contains("no cgroup that this user may make"),
      "\(run.summary)")
  }

  /// Short-lived children, and daemons whose parent is gone: all of them count.
  private static let burns = """
    import os
    def burn():
      import time
      end = time.process_time() + 0.2
      while time.process_time() < end: pass
    while True:
      pid = os.fork()
      if pid == 0:
        if os.fork() == 0:
          burn()
        os._exit(0)
      os.waitpid(pid, 0)
      burn()
    """

  @Test(arguments: Starter.all, ["auto", "none", "v1", "v2"])
  func cpuTimeIsBounded(_ starter: Starter, _ cgroup: String) throws {
    if cgroup.hasPrefix("v"), starter != .root || !Cgroups.hasLegacy { return }
    if cgroup == "v2", Cgroups.unified == nil { return }
    let (run, result) = try run(
      ["--cpu-time", "1500ms", "--cgroup", cgroup], ["python3", "-c", Self.burns], as: starter)
    #expect(run.status == 124, "\(run.summary)")
    #expect(
      run.err.hasPrefix("agt-run: killed: CPU time limit of 1500 ms exceeded, used ")
        && run.err.hasSuffix("  hint: --cpu-time gives more\n"), "\(run.err)")
    #expect(result["reason"] == "budget_exceeded")
    #expect(result["kill"]?["rule"] == "CPU time limit of 1500 ms")
    let used = result["limits"]?["cpuTimeUsedMilliseconds"]?.integerValue ?? 0
    #expect((1500..<4000).contains(used), "\(used) ms")
    if cgroup != "auto" {
      let flavour = cgroup == "none" ? "rlimit" : cgroup
      #expect(result["limits"]?["enforcedBy"]?.stringValue == flavour)
    }
  }

  /// Not stopped before it is ended when nobody waits for a processor; what watched the budget is not asked any more.
  @Test(arguments: ["none", "auto"])
  func twoProcessesOfWhichOneWorks(_ cgroup: String) throws {
    let (run, result) = try run(
      ["--cpu-time", "300ms", "--timeout", "20s", "--cgroup", cgroup],
      ["sh", "-c", "python3 -c 'while True: pass'; true"])
    #expect(run.status == 124 && result["reason"] == "budget_exceeded", "\(run.summary)")
    #expect(run.seconds < 15)
  }

  /// Whoever dies before the next look counts as well: PID 1 has reaped it.
  private static let writes = """
    import os
    for n in range(400):
      if os.fork() == 0:
        if os.fork() == 0:
          with open(f"f{n % 20}", "wb") as file: file.write(bytes(1 << 20))
          os._exit(0)
        os._exit(0)
      os.wait()
    while True: pass
    """

  private static let isOnDisk =
    Command(["/usr/bin/stat", "-f", "-c", "%T", "/tmp"]).run().out != "tmpfs\n"

  @Test(.enabled(if: isOnDisk, "/tmp is in memory"), arguments: Starter.all)
  func whatIsWrittenIsBounded(_ starter: Starter) throws {
    let (run, result) = try run(
      ["--disk", "64MiB"], ["python3", "-c", Self.writes], as: starter)
    #expect(run.status == 124, "\(run.summary)")
    #expect(
      run.err.hasPrefix("agt-run: killed: disk limit of 64 MiB exceeded, "), "\(run.err)")
    #expect(result["reason"] == "budget_exceeded" && result["limits"]?["diskBytes"] == 67_108_864)
    let written = result["limits"]?["diskWrittenBytes"]?.integerValue ?? 0
    #expect(written > 64 << 20 && written < 400 << 20, "\(written)")
    // Its twin: what is written to memory fills no disk.
    let free = try self.run(
      ["--disk", "64MiB", "--tmp", "300MiB"],
      ["sh", "-c", "dd if=/dev/zero of=/tmp/x bs=1M count=200 status=none"], as: starter)
    #expect(free.run.status == 0, "\(free.run.summary)")
  }

  /// Bounded by the size of what it fills.
  @Test(arguments: Starter.all) func aBombInScratchSpaceMeetsItsEnd(_ starter: Starter) throws {
    let (run, _) = try run(
      ["--tmp", "16MiB"],
      ["sh", "-c", "dd if=/dev/zero of=/tmp/x bs=1M count=64 2>&1 | grep -c 'No space left'"],
      as: starter)
    #expect(run.status == 0 && run.out == "1\n", "\(run.summary)")
  }

  /// Each process is bounded where no cgroup is.
  @Test(arguments: Starter.all) func aMemoryBombMeetsItsEnd(_ starter: Starter) throws {
    let (run, _) = try run(
      ["--memory", "64MiB", "--cgroup", "none"],
      ["python3", "-c", "try: bytearray(256 << 20)\nexcept MemoryError: print('none left')"],
      as: starter)
    #expect(run.status == 0 && run.out == "none left\n", "\(run.summary)")
  }

  @Test func theKernelsOwnLimitHasAReason() throws {
    let (run, result) = try run(
      ["--cpu-time", "1s", "--cgroup", "none"],
      ["sh", "-c", "kill -XCPU $$"])
    #expect(run.status == 124 && result["reason"] == "budget_exceeded", "\(run.summary)")
    #expect(
      run.err == "agt-run: ring 2: CPU time limit of 1 s of one process exceeded\n", "\(run.err)")
  }

  @Test func aFileThatGrowsTooLarge() throws {
    let scratch = Scratch()
    scratch.write(
      "small.yaml",
      """
      apiVersion: agt-run/v1
      kind: RingProfile
      metadata: {name: small}
      extends: ring2
      limits: {fileSize: 1MiB}
      """)
    let run = Command.agtRun(
      ["--profile", "small.yaml", "--", "dd", "if=/dev/zero", "of=big", "bs=1M", "count=3"],
      in: scratch
    ).run()
    #expect(run.status == 153, "\(run.summary)")
    #expect(run.err.contains("agt-run: ring 2: file size limit of 1 MiB exceeded (SIGXFSZ)"))
  }
}
