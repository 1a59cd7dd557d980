import Glibc
import JSON
import TestSupport
import Testing

/// Runs as an operator sees them: agt ps, inspect, wait, and who may ask.
@Suite struct SessionCommandTests {
  @Test(arguments: Starter.all) func listsInspectsAndWaits(_ starter: Starter) throws {
    let site = SessionSite(starter)
    let name = site.mark
    let running = site.start(
      "mount -t tmpfs x /tmp 2>/dev/null; echo ready; read x; exit 7",
      ["--name", name, "--agent", "clerk"]
    )
    #expect(running.waitForOutput("ready"))
    let line = try #require(site.line(name))
    #expect(line["agent"]?.stringValue == "clerk" && line["ring"]?.integerValue == 2)
    #expect(line["state"]?.stringValue == "running")
    #expect(line["processes"]?.integerValue == 1)
    #expect((line["memoryBytes"]?.integerValue ?? 0) > 100_000)
    #expect(line["violations"]?.integerValue == 1)
    #expect(line["lastViolation"]?.stringValue == "mount")
    let id = try #require(line["run"]?.stringValue)
    let table = site.agt("ps").out
    #expect(table.contains(id) && table.contains("1 (mount)"), "\(table)")
    for reference in [id, String(id.dropLast(2)), name] {
      let seen = try JSONParser.parse(site.agt("inspect", reference).output)
      #expect(seen["run"]?.stringValue == id)
      #expect(seen["processes"]?.arrayValue?.count == 2)
    }
    let waiting = Command(
      starter.prefix + [Binaries.agt, "wait", "--json", name], in: site.scratch.path
    ).with { $0.environment.append("XDG_RUNTIME_DIR=\(site.runtime)") }.start()
    // Until it waits for its answer.
    _ = Clock.eventually {
      (File.read("/proc/\(waiting.pid)/wchan") ?? "").contains("poll")
    }
    running.signal(15)
    let ended = waiting.wait()
    #expect(ended.status == 143, "\(ended.summary)")
    #expect(try JSONParser.parse(ended.output)["state"]?.stringValue == "signaled")
    #expect(running.wait().status == 143)
    #expect(
      !File.exists("\(site.registry)/\(id)") && File.linkTarget("\(site.registry)/@\(name)") == nil)
    #expect(site.line(name) == nil)
  }

  @Test(arguments: Starter.all) func twoRunsHaveTwoNames(_ starter: Starter) {
    let site = SessionSite(starter)
    let first = site.start("echo ready; read x", ["--name", site.mark])
    #expect(first.waitForOutput("ready"))
    let second = site.start("echo second", ["--name", site.mark]).wait()
    #expect(second.status == 2)
    #expect(
      second.err == "agt-run: --name \(site.mark): a run has this name already\n"
        + "  hint: agt inspect \(site.mark) shows it\n")
    first.signal(15)
    _ = first.wait()
    #expect(site.start("echo third", ["--name", site.mark]).wait().out == "third\n")
  }

  @Test(arguments: Starter.all) func aKilledSupervisorLeavesALostRun(_ starter: Starter) throws {
    let site = SessionSite(starter)
    let running = site.start("echo ready; read x", ["--name", site.mark])
    #expect(running.waitForOutput("ready"))
    let id = try #require(site.line(site.mark)?["run"]?.stringValue)
    let waiting = Command(
      starter.prefix + [Binaries.agt, "wait", site.mark], in: site.scratch.path
    ).with { $0.environment.append("XDG_RUNTIME_DIR=\(site.runtime)") }.start()
    Clock.sleep(0.2)
    running.signal(9)
    _ = running.wait()
    #expect(waiting.wait().status == 125)
    #expect(site.line(site.mark)?["state"]?.stringValue == "lost")
    #expect(site.line(site.mark)?["processes"]?.integerValue == 0)
    // The name is free again.
    #expect(site.start("echo next", ["--name", site.mark]).wait().out == "next\n")
    let other = site.start("echo ready; read x", ["--name", "o" + site.mark])
    #expect(other.waitForOutput("ready"))
    let cleared = site.agt("gc")
    #expect(cleared.out.contains("\(id) (\(site.mark)): nothing is left\n"), "\(cleared.summary)")
    #expect(cleared.status == 0)
    #expect(!File.exists("\(site.registry)/\(id)"))
    #expect(site.line("o" + site.mark)?["state"]?.stringValue == "running")
    other.signal(15)
    _ = other.wait()
  }

  /// With a stopped supervisor a listing must neither wait for ever nor take the run for gone.
  @Test func aStoppedSupervisorIsSilent() {
    let site = SessionSite(.native)
    let running = site.start("echo ready; read x", ["--name", site.mark])
    #expect(running.waitForOutput("ready"))
    running.signal(19)
    let began = Clock.seconds()
    #expect(site.line(site.mark)?["state"]?.stringValue == "silent")
    #expect(Clock.seconds() - began < 3)
    running.signal(18)
    running.signal(15)
    _ = running.wait()
  }

  /// In ring 0 the agent sees the socket, and has the uid of its operator.
  @Test(arguments: Starter.all) func agentsAreNotListenedTo(_ starter: Starter) throws {
    let site = SessionSite(starter)
    let other = site.start("echo ready; read x", ["--name", site.mark])
    #expect(other.waitForOutput("ready"))
    let id = try #require(site.line(site.mark)?["run"]?.stringValue)
    let place = "\(site.registry)/\(id)/operator.sock"
    let script = """
      python3 - <<'EOF'
      import socket
      s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
      s.connect("\(place)")
      try: s.send(b'{"method":"status"}')
      except OSError: pass
      try: answer = s.recv(4096)
      # What was sent was not read any more; the answer comes after that (unix(7)).
      except ConnectionResetError: answer = s.recv(4096)
      print(answer.decode())
      EOF
      """
    let inside = site.start(script, ring: "0").wait()
    #expect(
      inside.out == "{\"ok\":false,\"error\":\"a process of a ring may not command runs "
        + "(another pid namespace)\"}\n", "\(inside.summary)")
    let outside = Command.shell(script).run()
    #expect(outside.out.contains("\"state\":\"running\""), "\(outside.summary)")
    other.signal(15)
    _ = other.wait()
  }

  @Test(arguments: Starter.all, ["1", "2", "3"])
  func ringsDoNotSeeTheRegistry(_ starter: Starter, _ ring: String) {
    let site = SessionSite(starter)
    let script = "for f in \(site.registry)/*/operator.sock; do echo $f; done"
    let nothing = "\(site.registry)/*/operator.sock\n"
    // The program may be faster than its supervisor's socket.
    #expect(site.start("sleep 0.3; " + script, ring: "0").wait().out != nothing)
    let run = site.start(script, ring: ring).wait()
    #expect(run.out == nothing, "ring \(ring): \(run.summary)")
  }

  @Test func nonsenseIsRefused() throws {
    let site = SessionSite(.native)
    let other = site.start("echo ready; read x", ["--name", site.mark])
    #expect(other.waitForOutput("ready"))
    let id = try #require(site.line(site.mark)?["run"]?.stringValue)
    let script = """
      python3 - <<'EOF'
      import socket
      for text in [b'x', b'[]', b'{"method":1}', b'{"method":"fly"}', b'{"a":' * 500, b'y' * 70000]:
        s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        s.connect("\(site.registry)/\(id)/operator.sock")
        s.send(text)
        print(s.recv(4096).decode()[:11])
      many = []
      for i in range(200):
        try:
          s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
          s.settimeout(1)
          s.connect("\(site.registry)/\(id)/operator.sock")
          many.append(s)
        except OSError: pass
      EOF
      """
    let asked = Command.shell(script).run()
    #expect(asked.out == String(repeating: "{\"ok\":false\n", count: 6), "\(asked.summary)")
    #expect(site.line(site.mark)?["state"]?.stringValue == "running")
    other.signal(15)
    #expect(other.wait().status == 143)
  }

  @Test(.enabled(if: Starter.isRoot, "root alone can give files away"))
  func aRegistryOfSomebodyElseIsNotUsed() {
    let site = SessionSite(.ordinary)
    // Makes the directories the user's.
    #expect(site.start("echo on").wait().out == "on\n")
    _ = Command(["/bin/chown", "0:0", site.registry]).run()
    let run = site.start("echo on").wait()
    #expect(run.status == 125 && run.out == "")
    #expect(
      run.err.hasPrefix(
        "agt-run: \(site.registry): a link, somebody else's, or writable for others; runs register "
          + "there\n  hint: set XDG_RUNTIME_DIR to a directory of your own"), "\(run.err)")
    #expect(site.agt("ps").status == 125)
  }

  /// What an agent of the same uid could put there, if it reached the registry after all.
  @Test func whatIsPlantedIsNotObeyed() throws {
    let site = SessionSite(.ordinary)
    #expect(site.start("echo on").wait().out == "on\n")
    let victim = Command(Starter.ordinary.prefix + ["/bin/sleep", "60"]).start()
    let id = "01K00000000000000000000000"
    let status = """
      {"version":1,"run":"\(id)","name":"deploy","agent":null,"ring":3,"profile":"ring3","command":[],
      "workspace":"/w","network":"none","startedNanoseconds":1,"supervisorPid":4194303,
      "initPid":\(victim.pid),"observedNanoseconds":TIME}
      """
    for time in ["9000000000000000000", "$(($(cut -d. -f1 /proc/uptime) * 1000000000))"] {
      let text = status.replacing("TIME", with: time).replacing("\n", with: "")
      let planted = Command.shell(
        "mkdir -p $1/\(id) && cat > $1/\(id)/status.json <<EOF\n\(text)\nEOF", [site.registry]
      ).with { $0.words = (Starter.ordinary.prefix.map { Array($0.utf8) }) + $0.words }.run()
      #expect(planted.status == 0, "\(planted.summary)")
      let cleared = site.agt("gc")
      #expect(cleared.out.contains(id) && !cleared.out.contains("killed"), "\(cleared.summary)")
      #expect(kill(victim.pid, 0) == 0, "the victim is dead")
    }
    // A pipe would keep a reader waiting.
    let pipe = Command(
      Starter.ordinary.prefix + [
        "/bin/sh", "-c", "mkdir -p $0/\(id) && mkfifo $0/\(id)/status.json", site.registry,
      ]
    ).run()
    #expect(pipe.status == 0, "\(pipe.summary)")
    let listing = site.agt("ps")
    #expect(listing.status == 0 && !listing.timedOut, "\(listing.summary)")
    #expect(site.agt("gc").status == 0)
    victim.signal(9)
    _ = victim.wait()
  }

  @Test func aNameIsThatOfTheLivingRun() throws {
    let site = SessionSite(.native)
    let first = site.start("echo ready; read x", ["--name", site.mark])
    #expect(first.waitForOutput("ready"))
    first.signal(9)
    _ = first.wait()
    let second = site.start("echo ready; read x", ["--name", site.mark])
    #expect(second.waitForOutput("ready"))
    let seen = try JSONParser.parse(site.agt("inspect", site.mark).output)
    #expect(seen["supervised"]?.boolValue == true)
    second.signal(15)
    _ = second.wait()
    _ = site.agt("gc")
  }

  @Test func aRunWithoutDescriptorsGoesOn() throws {
    let site = SessionSite(.native)
    let running = site.start("echo ready; read x; exit 7", ["--name", site.mark])
    #expect(running.waitForOutput("ready"))
    let supervisor = try #require(
      try JSONParser.parse(site.agt("inspect", site.mark).output)["supervisorPid"]?.integerValue)
    // The next number that is free is above the limit; what is open stays open.
    let lowered = Command.shell(
      "n=0; while [ -e /proc/$1/fd/$n ]; do n=$((n + 1)); done; prlimit --pid $1 --nofile=$n:",
      ["\(supervisor)"]
    ).run()
    #expect(lowered.status == 0, "\(lowered.summary)")
    for _ in 0..<3 {
      let asked = site.agt("inspect", site.mark)
      #expect(asked.status == 0, "\(asked.summary)")
    }
    running.signal(15)
    // No descriptor for the clock of the grace either: it ends at once.
    #expect(running.wait().status == 137)
  }

  @Test func noSuchRun() {
    let site = SessionSite(.native)
    for verb in ["inspect", "wait"] {
      let asked = site.agt(verb, "no-\(site.mark)")
      #expect(asked.status == 127)
      #expect(asked.err.hasPrefix("agt: no-\(site.mark): there is no such run\n"))
    }
  }
}
