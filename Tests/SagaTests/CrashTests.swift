import Glibc
import TestSupport
import Testing

/// kill -9 of the runner at every write and every sync, and of what it started; then `agt saga resume`.
@Suite struct SagaCrashTests {
  private static let failing = "- {id: bad, kind: readonly, needs: [b], run: [/bin/false]}\n"

  /// - Returns: how many places there were.
  private func crash(
    at call: String, _ starter: Starter, steps: String, ends status: Int32,
    judge: (SagaSite, String) -> Void
  ) -> Int {
    for number in 1...200 {
      let site = SagaSite(starter)
      site.plan("steps:\n" + steps)
      let run = site.agt(
        ["run", "plan.yaml"],
        before: [
          "/usr/bin/strace", "-qqq", "-o", "/dev/null", "-e", "trace=\(call)", "-e",
          "inject=\(call):signal=SIGKILL:when=\(number)",
        ])
      if run.signal != SIGKILL {
        #expect(run.status == status, "\(call) \(number): \(run.summary)")
        return number - 1
      }
      guard let id = site.identifier(run) else {
        // It had not begun.
        #expect(site.scratch.read("log") == nil, "\(call) \(number)")
        continue
      }
      let resumed = site.agt(["resume", id])
      let summary = "\(call) \(number): \(run.out) then \(resumed.summary)"
      #expect(resumed.status == status, "\(summary)")
      judge(site, summary)
    }
    Issue.record("no end")
    return 0
  }

  @Test(arguments: ["write", "fdatasync"], Starter.all)
  func undone(_ call: String, _ starter: Starter) {
    let steps = SagaSite.step("a") + SagaSite.step("b", needs: ["a"]) + Self.failing
    let count = crash(at: call, starter, steps: steps, ends: 1) { site, summary in
      // Nothing ran twice, nothing was undone before what builds on it, nothing is left.
      let log = site.scratch.read("log") ?? ""
      #expect(log == "begin a\nend a\nbegin b\nend b\nundo b\nundo a\n", "\(summary) \(log)")
      #expect(!File.exists(site.scratch.path + "/a") && !File.exists(site.scratch.path + "/b"))
    }
    #expect(count >= (call == "write" ? 15 : 6), "\(count)")
  }

  @Test(arguments: Starter.all) func done(_ starter: Starter) {
    let steps = SagaSite.step("a") + SagaSite.step("b", needs: ["a"])
    let count = crash(at: "fdatasync", starter, steps: steps, ends: 0) { site, summary in
      let log = site.scratch.read("log") ?? ""
      #expect(log == "begin a\nend a\nbegin b\nend b\n", "\(summary) \(log)")
    }
    #expect(count >= 3)
  }

  /// Making the saga, and between the intent and the start of an attempt: it cannot be told then whether
  /// the attempt began, so it is undone.
  @Test(arguments: ["fsync", "renameat", "clone,clone3,vfork"], Starter.all)
  func undoneFromElsewhere(_ call: String, _ starter: Starter) {
    let steps = SagaSite.step("a") + SagaSite.step("b", needs: ["a"]) + Self.failing
    let count = crash(at: call, starter, steps: steps, ends: 1) { site, summary in
      #expect(
        !File.exists(site.scratch.path + "/a") && !File.exists(site.scratch.path + "/b"),
        "\(summary)")
      let begins = (site.scratch.read("log") ?? "").split(separator: "\n").filter {
        $0.hasPrefix("b")
      }
      #expect(Set(begins).count == begins.count, "\(summary)")
    }
    #expect(count >= (call == "renameat" ? 1 : 4), "\(count)")
  }

  /// A step goes on when its runner dies; the next runner waits for it and takes its outcome.
  @Test(arguments: Starter.all) func adoption(_ starter: Starter) throws {
    let site = SagaSite(starter)
    site.plan("steps:\n" + SagaSite.step("a", script: "sleep 1") + SagaSite.step("b", needs: ["a"]))
    let running = site.command(["run", "plan.yaml"]).start()
    #expect(Clock.eventually(10) { site.scratch.read("log") == "begin a\n" })
    #expect(running.waitForOutput("a: running"))
    let id = try #require(site.identifier(String(decoding: running.output, as: UTF8.self)))
    running.signal(SIGKILL)
    _ = running.wait()
    let resumed = site.agt(["resume", id])
    #expect(resumed.status == 0, "\(resumed.summary)")
    #expect(resumed.out.contains("a: waiting for the attempt of the runner before"))
    #expect(site.scratch.read("log") == "begin a\nend a\nbegin b\nend b\n")
  }

  /// Cancelling ends an attempt that an earlier runner started.
  @Test(arguments: Starter.all) func cancelsWhatIsLeft(_ starter: Starter) throws {
    let site = SagaSite(starter)
    site.plan("steps:\n" + SagaSite.step("a", script: "sleep 30"))
    let running = site.command(["run", "plan.yaml"]).start()
    #expect(Clock.eventually(10) { site.scratch.read("log") == "begin a\n" })
    #expect(running.waitForOutput("a: running"))
    let id = try #require(site.identifier(String(decoding: running.output, as: UTF8.self)))
    running.signal(SIGKILL)
    _ = running.wait()
    let cancelled = site.agt(["cancel", id])
    #expect(cancelled.status == 5, "\(cancelled.summary)")
    #expect(cancelled.seconds < 10)
    #expect(site.scratch.read("log") == "begin a\nundo a\n")
  }

  /// The supervisor of a step is killed: its outcome is lost, so the compensation runs, after the ring is
  /// gone.
  @Test(arguments: Starter.all) func lostSupervisor(_ starter: Starter) throws {
    let site = SagaSite(starter)
    site.plan(
      "steps:\n" + SagaSite.step("a", script: "while :; do echo tick >> ticks; sleep 0.01; done"))
    let running = site.command(["run", "plan.yaml"]).start()
    #expect(Clock.eventually(10) { site.scratch.read("ticks") != nil })
    #expect(running.waitForOutput("a: running"))
    let id = try #require(site.identifier(String(decoding: running.output, as: UTF8.self)))
    let pid = File.read(site.directory(id) + "/runs/a.run.1.lock").flatMap { Int32($0.dropLast()) }
    kill(try #require(pid), SIGKILL)
    let run = running.wait()
    #expect(run.status == 1, "\(run.summary)")
    #expect(run.out.contains("its outcome is lost"))
    #expect(site.scratch.read("log") == "begin a\nundo a\n")
    let ticks = site.scratch.read("ticks")
    Clock.sleep(0.1)
    #expect(site.scratch.read("ticks") == ticks)
  }

  /// Where nobody waits for orphans, as in many containers, the first process of a ring stays as a zombie; and
  /// meanwhile the others are not kept waiting.
  @Test(.enabled(if: File.exists("/usr/bin/python3"))) func zombieRing() throws {
    let site = SagaSite(.native)
    site.plan("steps:\n" + SagaSite.step("a", script: "sleep 30"))
    // PR_SET_CHILD_SUBREAPER of prctl(2).
    let reaper = """
      import ctypes, os, sys
      ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
      pid = os.fork()
      if pid == 0: os.execv(sys.argv[1], sys.argv[1:])
      sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
      """
    let running = site.command(
      ["run", "plan.yaml"], before: ["/usr/bin/python3", "-c", reaper]
    ).start()
    #expect(Clock.eventually(10) { site.scratch.read("log") == "begin a\n" })
    #expect(running.waitForOutput("a: running"))
    let id = try #require(site.identifier(String(decoding: running.output, as: UTF8.self)))
    let pid = File.read(site.directory(id) + "/runs/a.run.1.lock").flatMap { Int32($0.dropLast()) }
    kill(try #require(pid), SIGKILL)
    let run = running.wait()
    #expect(run.status == 1, "\(run.summary)")
    #expect(run.seconds < 8)
    #expect(site.scratch.read("log") == "begin a\nundo a\n")
  }

  /// A journal whose last write was torn is cut; one that is damaged before its end is refused.
  @Test func tornJournal() throws {
    let site = SagaSite(.native)
    site.plan("steps:\n" + SagaSite.step("a", script: "sleep 0.3"))
    let running = site.command(["run", "plan.yaml"]).start()
    #expect(Clock.eventually(10) { site.scratch.read("log") == "begin a\n" })
    #expect(running.waitForOutput("a: running"))
    let id = try #require(site.identifier(String(decoding: running.output, as: UTF8.self)))
    running.signal(SIGKILL)
    _ = running.wait()
    let journal = site.directory(id) + "/journal.jsonl"
    _ = Command.shell("printf '{\"at\":1,\"kind\":\"saga.st' >> \"$1\"", [journal]).run()
    #expect(site.agt(["resume", id]).status == 0)
    _ = Command.shell("sed -i '2s/./x/' \"$1\"", [journal]).run()
    let refused = site.agt(["resume", id])
    #expect(refused.status == 125)
    #expect(refused.err.contains("damaged in line 2"), "\(refused.err)")
  }
}
