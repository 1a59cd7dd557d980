import Glibc
import JSON
import TestSupport
import Testing

/// `agt attach`, driven by tmux as by a person.
@Suite struct AttachTests {
  @Test(arguments: Starter.all) func attachesDetachesAndComesBack(_ starter: Starter) {
    let site = SessionSite(starter)
    site.scratch.give(to: starter)
    let attach = site.session(["bash", "--norc", "--noprofile", "-i"])
    let tmux = Tmux(site)
    tmux.open("a", attach)
    tmux.type("a", "echo $((40+2)); tty; stty size", "Enter")
    #expect(tmux.shows("a", "\n42\n"), "\(tmux.screen("a"))")
    #expect(tmux.shows("a", "/dev/pts/0\n24 80"), "\(tmux.screen("a"))")
    // Resize.
    tmux.run("resize-window", "-t", "a", "-x", "100", "-y", "30")
    #expect(
      Clock.eventually(10) {
        tmux.type("a", "stty size", "Enter")
        Clock.sleep(0.2)
        return tmux.screen("a").contains("30 100")
      }, "\(tmux.screen("a"))")
    // Job control and signals are the program's.
    tmux.type("a", "sleep 100", "Enter")
    Clock.sleep(0.3)
    tmux.type("a", "C-c")
    tmux.type("a", "echo status $?", "Enter")
    #expect(tmux.shows("a", "status 130"), "\(tmux.screen("a"))")
    tmux.type("a", "x=kept", "Enter", "C-]", "d")
    #expect(tmux.shows("a", "left with 0"), "\(tmux.screen("a"))")
    #expect(site.line(site.mark)?["state"]?.stringValue == "running")
    tmux.open("b", attach)
    tmux.type("b", "echo it is $x", "Enter")
    #expect(tmux.shows("b", "it is kept"), "\(tmux.screen("b"))")
    tmux.type("b", "exit 9", "Enter")
    #expect(tmux.shows("b", "[ended with status 9]"), "\(tmux.screen("b"))")
    #expect(tmux.shows("b", "left with 9"), "\(tmux.screen("b"))")
  }

  /// Whoever is attached sees the end and has the terminal back.
  @Test(arguments: Starter.all) func aKilledRunGivesTheTerminalBack(_ starter: Starter) {
    let site = SessionSite(starter)
    site.scratch.give(to: starter)
    let tmux = Tmux(site)
    tmux.open("a", site.session(["bash", "--norc", "--noprofile", "-i"]))
    tmux.type("a", "stty -echo; echo $((40+2))", "Enter")
    #expect(tmux.shows("a", "\n42\n"), "\(tmux.screen("a"))")
    let killed = site.agt("kill", site.mark)
    #expect(killed.status == 0 && killed.out.contains("nothing is left"), "\(killed.summary)")
    #expect(tmux.shows("a", "[ended with status 137"), "\(tmux.screen("a"))")
    #expect(tmux.shows("a", "left with 137"), "\(tmux.screen("a"))")
  }

  @Test func twoViewersAndAKilledOne() {
    let site = SessionSite(.ordinary)
    let attach = site.session(["sh", "-i"])
    let tmux = Tmux(site)
    tmux.open("a", attach)
    #expect(tmux.shows("a", "$"))
    tmux.open("b", attach, columns: 60, rows: 20)
    // What was written before comes first.
    #expect(tmux.shows("b", "$"))
    tmux.type("b", "echo to $((1+1)) viewers; stty size", "Enter")
    #expect(tmux.shows("a", "to 2 viewers") && tmux.shows("b", "to 2 viewers"))
    #expect(tmux.shows("b", "20 60"), "\(tmux.screen("b"))")
    // A window is closed, a client is killed: the run goes on.
    tmux.run("kill-session", "-t", "a")
    kill(tmux.child("b"), SIGKILL)
    #expect(tmux.shows("b", "left with 137"), "\(tmux.screen("b"))")
    #expect(site.line(site.mark)?["state"]?.stringValue == "running")
    tmux.open("c", attach)
    tmux.type("c", "echo still here", "Enter")
    #expect(tmux.shows("c", "\nstill here\n"), "\(tmux.screen("c"))")
    tmux.type("c", "exit", "Enter")
    #expect(tmux.shows("c", "left with 0"), "\(tmux.screen("c"))")
  }

  @Test func aFullScreenProgramIsDrawnAgain() {
    let site = SessionSite(.ordinary)
    site.scratch.write("text", (1...200).map { "row number \($0)\n" }.joined())
    let attach = site.session(["less", "text"])
    let tmux = Tmux(site)
    tmux.open("a", attach)
    #expect(tmux.shows("a", "row number 5\n"), "\(tmux.screen("a"))")
    #expect(tmux.shows("a", "row number 200", typing: "G"), "\(tmux.screen("a"))")
    tmux.run("kill-session", "-t", "a")
    tmux.open("b", attach, columns: 70, rows: 10)
    // For its new size, from where it was.
    #expect(tmux.shows("b", "row number 178\n"), "\(tmux.screen("b"))")
    #expect(tmux.shows("b", "row number 186\n:"), "\(tmux.screen("b"))")
    // Stopping what nobody could continue.
    tmux.type("b", "C-z")
    #expect(tmux.shows("b", "row number 1\n", typing: "g"), "\(tmux.screen("b"))")
    tmux.type("b", "q")
    #expect(tmux.shows("b", "left with 0"), "\(tmux.screen("b"))")
  }

  @Test func withoutATerminalNothingIsAttached() {
    let site = SessionSite(.ordinary)
    _ = site.detach("sleep 3", ["--name", site.mark])
    let tmux = Tmux(site)
    tmux.open("a", "\(Binaries.agt) attach \(site.mark); sleep 100")
    #expect(tmux.shows("a", "it has no terminal to attach to"), "\(tmux.screen("a"))")
    #expect(
      site.agt("attach", site.mark).err.contains("standard input and output are to be a terminal"))
    #expect(site.agt("wait", site.mark).status == 0)
  }

  @Test func topIsALiveScreen() {
    let site = SessionSite(.ordinary)
    _ = site.detach("while :; do :; done", ["--name", site.mark])
    let tmux = Tmux(site)
    tmux.open("a", "\(Binaries.agt) top; echo over; sleep 100", columns: 150)
    #expect(tmux.shows("a", site.mark) && tmux.shows("a", "CPU%"), "\(tmux.screen("a"))")
    #expect(
      Clock.eventually(10) {
        tmux.screen("a").split(separator: "\n").contains {
          $0.contains(site.mark)
            && ($0.split(separator: " ").dropFirst(8).first.flatMap { Int($0) } ?? 0) > 5
        }
      }, "\(tmux.screen("a"))")
    tmux.type("a", "q")
    #expect(tmux.shows("a", "over") && !tmux.screen("a").contains("CPU%"))
    #expect(site.agt("top").out.contains(site.mark))
    kill(site.supervisor(site.mark), SIGKILL)
    #expect(Clock.eventually { site.line(site.mark)?["state"]?.stringValue == "lost" })
  }
}
