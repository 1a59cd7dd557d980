import Glibc
import JSON
import TestSupport
import Testing

/// Runs that go on without whoever started them.
@Suite struct DetachTests {
  @Test(arguments: Starter.all) func goesOnAndIsWaitedFor(_ starter: Starter) throws {
    let site = SessionSite(starter)
    let started = site.detach(
      "echo to out; echo to err >&2; read x || echo no input; sleep 2; exit 7",
      ["--name", site.mark])
    #expect(started.status == 0 && started.err == "", "\(started.summary)")
    // Nothing of the starter's is held: both streams are at their end.
    #expect(started.seconds < 1.5)
    let id = String(started.out.dropLast())
    #expect(started.out == "\(id)\n" && id.count == 26)
    #expect(site.line(site.mark)?["state"]?.stringValue == "running")
    #expect(
      Clock.eventually { site.agt("logs", site.mark).out == "to out\nto err\nno input\n" },
      "\(site.agt("logs", site.mark).summary)")
    #expect(site.agt("wait", site.mark).status == 7)
    // It has ended and is still known.
    #expect(site.agt("logs", id).out == "to out\nto err\nno input\n")
    #expect(site.agt("wait", id).status == 7)
    #expect(site.line(site.mark) == nil)
    let all = site.agt("ps", "--all").out
    #expect(all.contains(id) && all.contains("ended 7"), "\(all)")
    let seen = try JSONParser.parse(site.agt("inspect", id).output)
    #expect(seen["ended"]?["status"]?.integerValue == 7)
    #expect(site.agt("attach", id).status == 2)
    #expect(site.agt("gc").out.contains(id) == false)
    guard starter == .ordinary else { return }
    // Those of other tests can be among them.
    let removed = site.agt("gc", "--ended").out
    #expect(
      removed.contains("\(id) (\(site.mark)): had ended; its log is removed\n"), "\(removed)")
    #expect(!File.exists("\(site.registry)/\(id)"))
    #expect(site.agt("logs", id).status == 127)
  }

  @Test(arguments: Starter.all) func failedStartsAreReported(_ starter: Starter) {
    let site = SessionSite(starter)
    let missing = Command.agtRun(["-d", "--", "no-such-program"], as: starter, in: site.scratch)
      .with { $0.environment.append("XDG_RUNTIME_DIR=\(site.runtime)") }.run()
    #expect(missing.status == 127 && missing.out == "", "\(missing.summary)")
    #expect(missing.err.hasPrefix("agt-run: no-such-program: "))
    site.scratch.write("broken", "#!/nonexistent\n", mode: 0o755)
    let broken = Command.agtRun(
      ["-d", "--ring", "2", "--", "./broken"], as: starter, in: site.scratch
    ).with { $0.environment.append("XDG_RUNTIME_DIR=\(site.runtime)") }.run()
    #expect((126...127).contains(broken.status) && broken.out == "" && broken.err != "")
    for words in [["--tty", "--", "true"], ["-d", "--explain", "--", "true"]] {
      #expect(Command.agtRun(words, in: site.scratch).run().status == 2)
    }
    // Whoever cannot be told is told so.
    let closed = Command.shell(
      "exec \"$@\" >&-",
      site.starter.prefix + [Binaries.agtRun, "-d", "--ring", "2", "--", "true"],
      in: site.scratch.path
    ).with { $0.environment.append("XDG_RUNTIME_DIR=\(site.runtime)") }.run()
    #expect(
      closed.status == 125 && closed.err.contains("goes on, but its id cannot be printed"),
      "\(closed.summary)")
    let zero = Command.agtRun(["-d", "-t", "--ring", "0", "--", "true"], in: site.scratch).run()
    #expect(zero.status == 2 && zero.err.contains("ring 0 has no terminal of its own"))
  }

  @Test func theOutputIsBounded() {
    let site = SessionSite(.ordinary)
    let id = site.detach(
      "i=0; while [ $i -lt 40000 ]; do echo line $i of a program that never stops talking, never; "
        + "i=$((i+1)); done; echo the end"
    ).out.dropLast()
    #expect(site.agt("wait", String(id)).status == 0)
    let log = site.agt("logs", String(id))
    #expect(log.out.hasSuffix("line 39999 of a program that never stops talking, never\nthe end\n"))
    #expect(log.output.count > 512 << 10 && log.output.count <= 1 << 20)
    #expect(!log.out.contains("line 0 of"))
  }

  @Test(arguments: Starter.all) func followersGetEverything(_ starter: Starter) {
    let site = SessionSite(starter)
    let id = String(
      site.detach(
        "echo first; read x < go; i=0; while [ $i -lt 3000 ]; do echo $i; i=$((i+1)); done; exit 3",
        prepare(site)
      ).out.dropLast())
    let followers = (0..<3).map { _ in site.agtCommand(["logs", "-f", id]).start() }
    for follower in followers { #expect(follower.waitForOutput("first\n")) }
    site.scratch.write("go", "now\n")
    let wanted = "first\n" + (0..<3000).map { "\($0)\n" }.joined()
    for follower in followers {
      let done = follower.wait()
      #expect(done.out == wanted && done.status == 0, "\(done.out.suffix(50)) \(done.err)")
    }
    #expect(site.agtCommand(["logs", "-f", id]).run().out == wanted)
  }

  /// A fifo to wait at.
  private func prepare(_ site: SessionSite) -> [String] {
    _ = Command(["/usr/bin/mkfifo", site.scratch.path + "/go"]).run()
    return ["--workspace", site.scratch.path]
  }

  /// A person who stopped reading holds up nobody for long.
  @Test func aFollowerThatDoesNotReadIsLeftBehind() {
    let site = SessionSite(.ordinary)
    let id = String(
      site.detach("sleep 1; head -c 4000000 /dev/zero | tr '\\0' x; echo; echo end").out.dropLast())
    let stuck = site.agtCommand(["logs", "-f", id]).start()
    Clock.sleep(0.5)
    stuck.signal(SIGSTOP)
    let began = Clock.seconds()
    #expect(site.agt("wait", id).status == 0)
    #expect(Clock.seconds() - began < 15)
    stuck.signal(SIGKILL)
    _ = stuck.wait()
    #expect(site.agt("logs", id).out.hasSuffix("\nend\n"))
  }

  @Test func aKilledSupervisorLeavesTheLog() {
    let site = SessionSite(.ordinary)
    let id = String(site.detach("echo before; sleep 100", ["--name", site.mark]).out.dropLast())
    #expect(Clock.eventually { site.agt("logs", id).out == "before\n" })
    kill(site.supervisor(id), SIGKILL)
    #expect(Clock.eventually { site.line(site.mark)?["state"]?.stringValue == "lost" })
    #expect(site.agt("logs", id).out == "before\n")
    #expect(site.agt("gc").out.contains("\(id) (\(site.mark)): nothing is left\n"))
  }

  @Test func theStartersSessionMayEnd() {
    let site = SessionSite(.ordinary)
    let done = Command.agtRun(
      ["-d", "--ring", "2", "--name", site.mark, "--", "sh", "-c", "sleep 1; echo alive"],
      as: .ordinary, in: site.scratch
    ).with { $0.environment.append("XDG_RUNTIME_DIR=\(site.runtime)") }
    let terminal = PseudoTerminal(done)
    #expect(terminal.waitForEnd() == 0, "\(terminal.screen)")
    terminal.hangUp()
    #expect(site.agt("wait", site.mark).status == 0)
    #expect(site.agt("logs", site.mark).out == "alive\n")
  }

  @Test func logsOfOthersAreRefused() {
    let site = SessionSite(.ordinary)
    let running = site.start("echo ready; read x", ["--name", site.mark])
    #expect(running.waitForOutput("ready"))
    for words in [["logs", site.mark], ["logs", "-f", site.mark]] {
      let done = site.agtCommand(words).run()
      #expect(done.status == 127 && done.err.contains("its output went to whoever started it"))
    }
    running.signal(SIGTERM)
    _ = running.wait()
  }
}
