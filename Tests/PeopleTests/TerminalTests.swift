import TestSupport
import Testing

/// Programs that take over a terminal.
@Suite("On a terminal") struct OnATerminalTests {
  @Test(.needs("bash"), arguments: Place.ring2) func jobControl(_ place: Place) {
    let person = place.terminal("bash", "--norc", "-i")
    person.type("echo $((6*7)); sleep 300\r")
    #expect(person.expect("42\r\n"), "\(person.screen)")
    // Nothing tells when the shell has given the terminal away.
    Clock.sleep(0.3)
    person.type("\u{1a}")
    #expect(person.expect("Stopped"), "\(person.screen)")
    person.type("bg\r")
    #expect(person.expect("sleep 300 &"), "\(person.screen)")
    person.type("jobs\r")
    #expect(person.expect("Running"), "\(person.screen)")
    person.type("fg\r")
    #expect(person.expect("sleep 300\r\n"), "\(person.screen)")
    Clock.sleep(0.3)
    person.type("\u{3}")
    person.type("echo st=$?\r")
    #expect(person.expect("st=130\r\n"), "\(person.screen)")
    person.type("exit 7\r")
    #expect(person.waitForEnd() == 7, "\(person.screen)")
  }

  @Test(.needs("tmux"), arguments: Place.ring2) func tmux(_ place: Place) {
    let scratch = Scratch()
    let person = place.terminal(
      "tmux", "-f", "/dev/null", "new-session", "PS1=ready exec sh", in: scratch)
    #expect(person.expect("ready"), "\(person.screen)")
    person.type("tmux split-window -d 'exec sleep 300'; tmux list-panes | wc -l > panes\r")
    #expect(Clock.eventually { scratch.read("panes") == "2\n" }, "\(person.screen)")
    person.type("tmux kill-server\r")
    #expect(person.waitForEnd() != nil, "\(person.screen)")
  }

  @Test(.needs("less"), arguments: Place.all) func less(_ place: Place) {
    let scratch = Scratch()
    scratch.write("f", (1...200).map { "line \($0)\n" }.joined())
    let person = place.terminal("less", "f", in: scratch)
    #expect(person.expect("line 23"), "\(person.screen)")
    person.type("G")
    #expect(person.expect("line 200"), "\(person.screen)")
    person.type("q")
    #expect(person.waitForEnd() == 0, "\(person.screen)")
  }

  @Test(.needs("vim"), arguments: Place.ring2) func vim(_ place: Place) {
    let scratch = Scratch()
    scratch.write("f", "one\n")
    let person = place.terminal("vim", "-u", "NONE", "f", in: scratch)
    #expect(person.expect("one"), "\(person.screen)")
    person.type("otwo\u{1b}")
    Clock.sleep(0.3)
    person.type(":x\r")
    #expect(person.waitForEnd() == 0, "\(person.screen)")
    #expect(scratch.read("f") == "one\ntwo\n")
  }

  @Test(.needs("python3"), arguments: Place.all) func pythonPrompt(_ place: Place) {
    let person = place.terminal("python3", "-q")
    #expect(person.expect(">>> "), "\(person.screen)")
    person.type("print(6*7)\r")
    #expect(person.expect("\n42\r\n"), "\(person.screen)")
    person.type("import time; time.sleep(300)\r")
    #expect(person.expect("300)\r\n"), "\(person.screen)")
    Clock.sleep(0.3)
    person.type("\u{3}")
    #expect(person.expect("KeyboardInterrupt"), "\(person.screen)")
    person.type("exit(3)\r")
    #expect(person.waitForEnd() == 3, "\(person.screen)")
  }

  /// git asks for a pager, which ring 3 cannot start; the history comes all the same.
  @Test(.needs("git"), arguments: Place.ring3) func gitWithoutAPager(_ place: Place) {
    let scratch = Scratch()
    let made = Command.shell(
      "git init -q . && git -c user.name=A -c user.email=a@b.c commit -q --allow-empty -m Given",
      in: scratch.path
    ).run()
    #expect(made.status == 0, "\(made.summary)")
    let person = place.terminal("git", "log", "--format=%s", in: scratch)
    #expect(person.expect("Given\r\n"), "\(person.screen)")
    #expect(person.waitForEnd() == 0, "\(person.screen)")
  }
}
