import Glibc
import JSON
import TestSupport
import Testing

/// Background runs and those who mean harm, or no harm but much output.
@Suite struct SessionSafetyTests {
  /// kill(2) with 0 would reach our own group.
  private func end(_ pid: Int32) {
    #expect(pid > 1)
    if pid > 1 { kill(pid, SIGKILL) }
  }

  /// Whoever is attached has a terminal as before, and is told why it is over.
  @Test(arguments: Starter.all) func aKilledSupervisorGivesTheTerminalBack(_ starter: Starter) {
    let site = SessionSite(starter)
    _ = site.session(["sh", "-c", "printf '\\033[?1049h\\033[?25lfull screen'; exec sleep 100"])
    let tmux = Tmux(site)
    tmux.open(
      "a",
      "stty -g >before; \(Binaries.agt) attach \(site.mark); echo \"left with $?\"; stty -g >after; "
        + "sleep 100")
    #expect(tmux.shows("a", "full screen"), "\(tmux.screen("a"))")
    #expect(tmux.pane("a", "#{alternate_on}#{cursor_flag}") == "10")
    end(site.supervisor(site.mark))
    #expect(tmux.shows("a", "left with 125"), "\(tmux.screen("a"))")
    #expect(tmux.screen("a").contains("its supervisor was killed"))
    #expect(tmux.pane("a", "#{alternate_on}#{cursor_flag}") == "01")
    #expect(Clock.eventually { (File.read(site.scratch.path + "/after") ?? "") != "" })
    #expect(
      File.read(site.scratch.path + "/before") == File.read(site.scratch.path + "/after"))
    #expect(site.agt("gc").out.contains("(\(site.mark)): nothing is left\n"))
  }

  @Test(arguments: Starter.all) func aKillIsToldToWhoeverIsAttached(_ starter: Starter) {
    let site = SessionSite(starter)
    let attach = site.session(["sh", "-c", "echo ready; exec sleep 100"])
    let tmux = Tmux(site)
    tmux.open("a", attach)
    tmux.open("b", attach)
    #expect(tmux.shows("a", "ready") && tmux.shows("b", "ready"))
    #expect(site.agt("kill", site.mark, "--reason", "enough").status == 0)
    for window in ["a", "b"] {
      #expect(tmux.shows(window, "left with 137"), "\(tmux.screen(window))")
      #expect(tmux.screen(window).contains("[ended with status 137: "))
      #expect(tmux.screen(window).contains("enough"))
    }
    #expect(site.agt("wait", site.mark).status == 137)
  }

  /// 100 MB that nobody reads: the program is not held up, and neither log nor memory grows.
  @Test(arguments: Starter.all, [false, true])
  func muchOutputCostsNothing(_ starter: Starter, _ hasTerminal: Bool) {
    let site = SessionSite(starter)
    let started = site.detach(
      "echo begin; sleep 1; head -c 100000000 /dev/zero | tr '\\0' x; echo; echo end; exec sleep 60",
      ["--name", site.mark] + (hasTerminal ? ["--tty"] : []))
    #expect(started.status == 0, "\(started.summary)")
    let supervisor = site.supervisor(site.mark)
    let before = residentKibibytes(supervisor)
    let place = "\(site.registry)/\(started.out.dropLast())"
    #expect(
      Clock.eventually(60) {
        site.agt("logs", site.mark).out.hasSuffix("end\(hasTerminal ? "\r" : "")\n")
      })
    let after = residentKibibytes(supervisor)
    #expect(before > 0 && after > 0 && after < before + 4096, "\(before) KiB, \(after) KiB")
    let sizes = Command.shell("stat -c %s $1/output.*", [place]).run().out
    let total = sizes.split(separator: "\n").compactMap { Int($0) }.reduce(0, +)
    #expect(total > 512 << 10 && total <= 1 << 20)
    #expect(site.agt("kill", site.mark).status == 0)
  }

  private func residentKibibytes(_ pid: Int32) -> Int {
    let lines = (File.read("/proc/\(pid)/status") ?? "").split(separator: "\n")
    let line = lines.first { $0.hasPrefix("VmRSS:") }
    return line?.split(whereSeparator: { $0 == " " || $0 == "\t" }).dropFirst().first
      .flatMap { Int($0) } ?? 0
  }

  /// Somebody attached who does not read for a while costs no memory either, and is left behind.
  @Test func aStoppedViewerIsLeftBehind() {
    let site = SessionSite(.native)
    let attach = site.session([
      "sh", "-c",
      "echo ready; read x; echo typed; sleep 1; head -c 30000000 /dev/zero | tr '\\0' x; echo; echo end; exec sleep 60",
    ])
    let tmux = Tmux(site)
    tmux.open("a", attach)
    #expect(tmux.shows("a", "ready"))
    let supervisor = site.supervisor(site.mark)
    let before = residentKibibytes(supervisor)
    let viewer = tmux.child("a")
    #expect(viewer > 1)
    tmux.type("a", "x", "Enter")
    #expect(tmux.shows("a", "typed"))
    kill(viewer, SIGSTOP)
    #expect(Clock.eventually(60) { site.agt("logs", site.mark).out.hasSuffix("end\r\n") })
    let after = residentKibibytes(supervisor)
    #expect(after < before + 8192, "\(before) KiB, \(after) KiB")
    kill(viewer, SIGCONT)
    #expect(tmux.shows("a", "left behind: "), "\(tmux.screen("a"))")
    #expect(tmux.shows("a", "left with 1\n"))
    #expect(site.line(site.mark)?["state"]?.stringValue == "running")
    #expect(site.agt("kill", site.mark).status == 0)
  }

  /// What an agent writes to fool the terminal of whoever reads its log.
  @Test func logsDoNotControlTheTerminal() {
    let site = SessionSite(.ordinary)
    let id = String(
      site.detach(
        "printf '\\033]0;pwned\\007\\033[31mred\\033[0m\\nsecret\\rpublic\\n\\302\\2332J\\n\\033[6nend\\n'"
      ).out.dropLast())
    #expect(site.agt("wait", id).status == 0)
    let raw = "\u{1b}]0;pwned\u{7}\u{1b}[31mred\u{1b}[0m\nsecret\rpublic\n\u{9b}2J\n\u{1b}[6nend\n"
    #expect(site.agt("logs", id).out == raw)
    for words in [["logs", id], ["logs", "-f", id]] {
      let person = PseudoTerminal(site.agtCommand(words))
      #expect(person.waitForEnd() == 0)
      #expect(person.screen == "?]0;pwned?red\r\nsecret\r\npublic\r\n?2J\r\nend\r\n")
    }
    let asked = PseudoTerminal(site.agtCommand(["logs", "--raw", id]))
    #expect(asked.waitForEnd() == 0)
    #expect(asked.screen == raw.replacing("\n", with: "\r\n"))
  }

  @Test(.enabled(if: Starter.isRoot, "root alone can become two users"))
  func anotherUserNeitherReadsNorAttaches() {
    let site = SessionSite(.ordinary)
    _ = site.session(["sh", "-c", "echo private; exec sleep 60"])
    let id = site.line(site.mark)?["run"]?.stringValue ?? ""
    #expect(Clock.eventually { site.agt("logs", id).out == "private\r\n" })
    _ = Command(["/bin/chmod", "755", site.scratch.home]).run()
    let place = "\(site.registry)/\(id)"
    func other(_ words: [String]) -> Completed {
      Command(
        ["/usr/bin/setpriv", "--reuid=61235", "--regid=61235", "--clear-groups", "--"] + words
      ).with { $0.environment.append("XDG_RUNTIME_DIR=\(site.runtime)") }.run()
    }
    for verb in ["logs", "attach", "inspect", "kill"] {
      let asked = other([Binaries.agt, verb, id])
      #expect(asked.status != 0 && !asked.out.contains("private"), "\(asked.summary)")
    }
    #expect(other(["/bin/cat", place + "/output.log"]).err.contains("Permission denied"))
    // With every directory open to all, the file and the socket still are not.
    _ = Command(["/bin/chmod", "755", site.runtime, site.registry, place]).run()
    #expect(other(["/bin/cat", place + "/output.log"]).err.contains("Permission denied"))
    let asked = other(["/usr/bin/python3", "-c", Self.attacker, place + "/operator.sock"])
    #expect(!asked.out.contains("private"))
    #expect(
      asked.err.contains("PermissionError")
        || asked.out.contains("only the user who started the run and root may command it"),
      "\(asked.summary)")
    #expect(site.agt("kill", id).status == 0)
  }

  /// Asks to attach, with a socket, by hand.
  private static let attacker = """
    import array, socket, sys
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    s.connect(sys.argv[1])
    ours, theirs = socket.socketpair()
    text = b'{"method":"attach","rows":24,"columns":80}'
    try: s.sendmsg([text], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [theirs.fileno()]))])
    except OSError: pass
    theirs.close()
    try: print(s.recv(4096).decode())
    except ConnectionResetError: print(s.recv(4096).decode())
    ours.settimeout(1)
    try: print(ours.recv(4096).decode() or 'nothing')
    except OSError: print('nothing')
    """

  /// In ring 0 an agent sees the socket; in the others there is none (`ringsDoNotSeeTheRegistry`).
  @Test(arguments: Starter.all) func agentsDoNotAttach(_ starter: Starter) {
    let site = SessionSite(starter)
    _ = site.session(["sh", "-c", "echo private; exec sleep 60"])
    let id = site.line(site.mark)?["run"]?.stringValue ?? ""
    let place = "\(site.registry)/\(id)"
    site.scratch.write("attacker.py", Self.attacker)
    let script = "exec /usr/bin/python3 attacker.py \(place)/operator.sock"
    let above = site.start(script, ring: "0").wait()
    #expect(
      above.out.contains("a process of a ring may not command runs")
        && above.out.hasSuffix("nothing\n"), "\(above.summary)")
    for ring in ["1", "2", "3"] {
      let inside = site.start(script, ring: ring).wait()
      #expect(
        inside.out == ""
          && ["FileNotFoundError", "PermissionError"].contains { inside.err.contains($0) },
        "\(inside.summary)")
      let log = site.start("cat \(place)/output.log", ring: ring).wait()
      #expect(log.out == "" && log.status != 0, "\(log.summary)")
    }
    // The twin: outside of any ring, the same user gets everything.
    let outside = Command(
      starter.prefix + ["/usr/bin/python3", "-c", Self.attacker, place + "/operator.sock"]
    ).run()
    #expect(outside.out.contains("private"), "\(outside.summary)")
    #expect(site.agt("kill", id).status == 0)
  }

  @Test(arguments: Starter.all) func theLogIsItsUsersAlone(_ starter: Starter) {
    let site = SessionSite(starter)
    let id = String(
      site.detach("umask 0; head -c 600000 /dev/zero; echo; exec sleep 60").out.dropLast())
    let place = "\(site.registry)/\(id)"
    #expect(Clock.eventually { File.exists(place + "/output.1") })
    let modes = Command.shell("umask 0; stat -c '%a %F' $1 $1/output.log $1/output.1", [place])
      .run()
    #expect(
      modes.out == "700 directory\n600 regular file\n600 regular file\n", "\(modes.summary)")
    // A link at the log's place is not followed.
    _ = Command.shell(
      "rm $1/output.log $1/output.1; ln -s $2 $1/output.log; ln -s $2 $1/output.1",
      [place, "/etc/passwd"]
    ).run()
    let read = site.agt("logs", id)
    #expect(read.status == 127 && read.out == "", "\(read.summary)")
    #expect(site.agt("kill", id).status == 0)
  }

  /// `(agt-run -d …) 9>lock`: the lock is free when the starter is gone.
  @Test func descriptorsOfTheStarterAreClosed() {
    let site = SessionSite(.ordinary)
    let own = Command.agtRun([], as: .ordinary, in: site.scratch)
    let script =
      "exec 7>lock; flock 7; exec 8>events; agt=$1; shift; "
      + "$agt -d --status-fd 8 --ring 2 --name $1 -- sleep 60"
    let done = Command(
      Starter.ordinary.prefix + ["/bin/sh", "-c", script, "sh", Binaries.agtRun, site.mark],
      in: site.scratch.path
    ).with { $0.environment = own.environment + ["XDG_RUNTIME_DIR=\(site.runtime)"] }.run()
    #expect(done.status == 0, "\(done.summary)")
    #expect(
      Command(["/usr/bin/flock", "-n", site.scratch.path + "/lock", "/bin/true"]).run().status == 0)
    #expect((File.read(site.scratch.path + "/events") ?? "").contains("executed"))
    #expect(site.agt("kill", site.mark).status == 0)
    // The last thing that a supervisor says.
    #expect(
      Clock.eventually { File.read(site.scratch.path + "/events")?.contains("ended") == true })
  }

  /// A run that only left its log is nothing to kill, and nothing that ended is killed twice.
  @Test(arguments: Starter.all) func whatHasEndedIsNotKilled(_ starter: Starter) {
    let site = SessionSite(starter)
    let id = String(site.detach("exit 3", ["--agent", site.mark]).out.dropLast())
    #expect(site.agt("wait", id).status == 3)
    let named = site.agt("kill", id)
    #expect(named.status == 0 && named.out.contains("had ended already"), "\(named.summary)")
    let every = site.agt("kill", "--agent", site.mark)
    #expect(!every.out.contains(id), "\(every.summary)")
    #expect(site.agt("wait", id).status == 3)
    #expect(site.agt("logs", id).status == 0)
    for words in [["pause", id], ["resume", id]] {
      #expect(site.agtCommand(words).run().status != 0)
    }
  }

  /// Whoever can write the registry must not hide a living run by saying that it has ended.
  @Test func aPlantedEndHidesNothing() {
    let site = SessionSite(.ordinary)
    let id = String(
      site.detach("exec sleep 60", ["--name", site.mark, "--agent", site.mark]).out.dropLast())
    let place = "\(site.registry)/\(id)"
    let planted = Command.shell(
      "echo '{\"ok\":true,\"event\":\"ended\",\"status\":0}' >$1/ended.json", [place]
    ).run()
    #expect(planted.status == 0)
    #expect(site.line(site.mark)?["state"]?.stringValue == "running")
    #expect(!site.agt("gc", "--ended").out.contains(id))
    // Not --all: it would mean the runs of other tests too.
    let killed = site.agt("kill", "--agent", site.mark)
    #expect(killed.out.contains(id) && killed.out.contains("nothing is left"), "\(killed.summary)")
  }
}
