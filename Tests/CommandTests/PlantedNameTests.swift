import JSON
import TestSupport
import Testing

/// Names that a program has made, and the supervisor or a later run is asked to use: a link, a pipe or a file in the place
/// of what was meant must not make anybody outside write or show something else.
@Suite struct PlantedNameTests {
  private func shell(
    _ script: String, _ options: [String], as starter: Starter, in scratch: Scratch
  ) -> Completed {
    Command.agtRun(
      ["--ring", "2"] + options + ["--", "sh", "-c", script], as: starter, in: scratch
    ).run()
  }

  private static func state(_ text: String?) -> String? {
    (try? JSONParser.parse(Array((text ?? "").utf8)))?["state"]?.stringValue
  }

  /// What the program does with the name of the result, the result replaces.
  @Test(
    arguments: Starter.all,
    [
      "ln -s $PWD/../home/victim out.json", "ln -s nowhere out.json", "mkfifo out.json",
      "echo '{\"state\": \"forged\"}' > out.json", "ln victim.json out.json",
      "ln -s out.json out.json",
    ])
  func result(_ starter: Starter, _ script: String) {
    let scratch = Scratch()
    scratch.write("victim.json", "kept", mode: 0o666)
    let outside = scratch.home + "/victim"
    #expect(
      Command(["/bin/sh", "-c", "echo kept > \(outside); chmod 666 \(outside)"]).run().status == 0)
    let run = shell(script, ["--result-json", "out.json"], as: starter, in: scratch)
    #expect(run.status == 0, "\(run.summary)")
    #expect(
      Self.state(scratch.read("out.json")) == "exited", "\(scratch.read("out.json") ?? "nothing")")
    #expect(scratch.read("victim.json") == "kept")
    #expect(Command(["/bin/cat", outside]).run().out == "kept\n")
    let kind = Command(["/usr/bin/stat", "-c", "%F", "out.json"], in: scratch.path).run()
    #expect(kind.out == "regular file\n")
  }

  /// A directory on the way is held, wherever its name leads by then.
  @Test(arguments: Starter.all) func directoryOfTheResult(_ starter: Starter) {
    let scratch = Scratch()
    let made = Command(
      ["/bin/sh", "-c", "mkdir -m 777 out; mkdir -m 777 \(scratch.home)/other"], in: scratch.path)
    #expect(made.run().status == 0)
    let first = shell(
      "mv out gone; ln -s \(scratch.home)/other out", ["--result-json", "out/r.json"], as: starter,
      in: scratch)
    #expect(
      first.status == 125 && first.err.contains("could have made this link"), "\(first.summary)")
    #expect(Command(["/bin/ls", scratch.home + "/other"]).run().out.isEmpty)
    // The link is there now, and the next run does not follow it.
    let second = shell("true", ["--result-json", "out/r.json"], as: starter, in: scratch)
    #expect(second.status == 125 && second.out.isEmpty, "\(second.summary)")
    #expect(second.err.contains("name the file by a way without it"), "\(second.err)")
    #expect(Command(["/bin/ls", scratch.home + "/other"]).run().out.isEmpty)
  }

  /// A directory of the program's own in its place gets the true one all the same.
  @Test(arguments: Starter.all) func directoryExchanged(_ starter: Starter) {
    let scratch = Scratch()
    #expect(Command(["/bin/mkdir", "-m", "777", "out"], in: scratch.path).run().status == 0)
    let run = shell(
      "mv out gone; mkdir -m 777 out; echo '{\"state\": \"forged\"}' > out/r.json",
      ["--result-json", "out/r.json"], as: starter, in: scratch)
    #expect(run.status == 0, "\(run.summary)")
    #expect(Self.state(scratch.read("out/r.json")) == "exited")
    let slash = shell("true", ["--result-json", "out/"], as: starter, in: scratch)
    #expect(slash.status == 125 && slash.err.contains("EISDIR"), "\(slash.summary)")
  }

  /// Where no program writes, whatever the user has put there is used as it is.
  @Test func ownLinks() {
    let scratch = Scratch()
    let place = scratch.home + "/results"
    #expect(
      Command([
        "/bin/sh", "-c", "mkdir -p \(place)/real; ln -s real/r.json \(place)/r.json",
      ]).run().status == 0)
    let run = shell("true", ["--result-json", place + "/r.json"], as: .native, in: scratch)
    #expect(run.status == 0, "\(run.summary)")
    #expect(Self.state(Command(["/bin/cat", place + "/real/r.json"]).run().out) == "exited")
    let stream = shell("true", ["--result-json", "/dev/stdout"], as: .native, in: scratch)
    #expect(Self.state(stream.out) == "exited", "\(stream.summary)")
  }

  @Test(arguments: Starter.all, ["--write", "--read"])
  func share(_ starter: Starter, _ flag: String) {
    let scratch = Scratch()
    let other = scratch.home + "/other"
    #expect(Command(["/bin/mkdir", "-m", "777", other]).run().status == 0)
    let first = shell("ln -s \(other) build", [], as: starter, in: scratch)
    #expect(first.status == 0, "\(first.summary)")
    let second = shell("echo planted > build/x", [flag, "build"], as: starter, in: scratch)
    #expect(second.status == 126, "\(second.summary)")
    #expect(
      second.err.contains("build is a link that a program could have made"), "\(second.err)")
    #expect(second.err.contains("name \(other) itself"), "\(second.err)")
    let third = shell("test -d \(other)", [flag, other], as: starter, in: scratch)
    #expect(third.status == 0, "\(third.summary)")
  }
}
