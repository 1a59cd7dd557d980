import TestSupport
import Testing

/// Directories that cannot be a workspace, and paths that cannot be shown.
@Suite struct WorkspaceTests {
  private func run(
    _ words: [String], as starter: Starter = .native, in scratch: Scratch = Scratch()
  )
    -> Completed
  {
    Command.agtRun(words + ["--", "echo", "RAN"], as: starter, in: scratch).run()
  }

  private func refuses(_ run: Completed, _ text: String) {
    #expect(run.err == "agt-run: \(text)\n")
    #expect(run.out == "")
    #expect(run.status == 126)
  }

  @Test func rootDirectory() {
    refuses(
      run(["--workspace", "/"]),
      "--workspace /: the root directory would show the whole machine\n"
        + "  hint: cd into the project, or name it with --workspace DIR")
  }

  @Test func rootDirectoryByDefault() {
    var command = Command.agtRun(["--", "echo", "RAN"], in: Scratch())
    command.directory = "/"
    refuses(
      command.run(),
      "the current directory as workspace: the root directory would show the whole machine\n"
        + "  hint: cd into the project, or name it with --workspace DIR")
  }

  @Test func rootDirectoryByManyNames() {
    for name in ["/..", "//", "/usr/..", "/proc/self/root"] {
      let run = run(["--workspace", name])
      #expect(run.err.contains("the root directory would show the whole machine"), "\(name)")
      #expect(run.status == 126)
    }
  }

  @Test func file() {
    let scratch = Scratch()
    let file = scratch.write("file", "")
    refuses(
      run(["--workspace", file], in: scratch),
      "--workspace \(file): Not a directory (ENOTDIR)\n"
        + "  hint: name a directory; a single file can be shown with --read \(file)")
  }

  @Test func danglingLink() {
    let scratch = Scratch()
    _ = Command(["/bin/ln", "-s", "nowhere", "link"], in: scratch.path).run()
    refuses(
      run(["--workspace", "link"], in: scratch),
      "--workspace link: No such file or directory (ENOENT)\n"
        + "  hint: it is a symbolic link that leads nowhere; mend the link or name another directory"
    )
  }

  @Test func linkToARefusedPlace() {
    let scratch = Scratch()
    _ = Command(["/bin/ln", "-s", "/etc", "link"], in: scratch.path).run()
    let run = run(["--workspace", "link"], in: scratch)
    #expect(run.err.hasPrefix("agt-run: --workspace link: /etc belongs to /etc"), "\(run.err)")
    #expect(run.status == 126)
  }

  @Test func missing() {
    refuses(
      run(["--workspace", "absent"]),
      "--workspace absent: No such file or directory (ENOENT)\n  hint: mkdir -p absent")
  }

  @Test(arguments: [
    "/proc", "/proc/sys", "/sys", "/sys/kernel", "/dev", "/dev/shm", "/etc", "/run",
  ])
  func systemTrees(_ path: String) {
    let run = run(["--workspace", path])
    #expect(
      run.err.contains(
        "\(path) belongs to /\(path.split(separator: "/")[0]), which is the system's"),
      "\(run.err)")
    #expect(run.status == 126)
    #expect(run.out == "")
  }

  @Test(arguments: Starter.all) func homeDirectoryByDefault(_ starter: Starter) {
    let scratch = Scratch()
    var command = Command.agtRun(["--", "echo", "RAN"], as: starter, in: scratch)
    command.directory = scratch.home
    refuses(
      command.run(),
      "the current directory as workspace: \(scratch.home) holds your whole home directory, keys "
        + "and all\n  hint: cd into the project; if you mean it: --workspace \(scratch.home)")
    command.directory = File.parent(scratch.home)
    #expect(command.run().status == 126)
    // Said aloud, it is the operator's choice.
    command.directory = scratch.home
    command.words =
      Command.agtRun(
        ["--workspace", scratch.home, "--", "echo", "RAN"], as: starter, in: scratch
      ).words
    let meant = command.run()
    #expect(meant.out == "RAN\n", "\(meant.summary)")
  }

  @Test func directoryThatMayNotBeEntered() {
    guard Starter.isRoot else { return }
    let scratch = Scratch()
    let run = run(["--workspace", "/root"], as: .ordinary, in: scratch)
    #expect(run.status == 126)
    #expect(run.err.hasPrefix("agt-run: "), "\(run.err)")
    #expect(run.err.contains("EACCES"), "\(run.err)")
    #expect(run.out == "")
  }

  @Test(arguments: ["--read", "--write", "--protect"])
  func sharesThatAreNotThere(_ flag: String) {
    refuses(
      run([flag, "/nonexistent/x"]),
      "\(flag) /nonexistent/x: No such file or directory (ENOENT)\n"
        + "  hint: create it, or leave the flag out")
    if flag == "--protect" { return }
    refuses(
      run([flag, "/"]),
      "\(flag) /: the root directory would show the whole machine\n"
        + "  hint: name the directory that is needed")
  }

  @Test(arguments: Starter.all) func readShowsAndWriteLets(_ starter: Starter) {
    let scratch = Scratch()
    let other = Scratch()
    other.write("seen", "contents\n")
    // Made the starter's: an ordinary user can only give what is its own.
    _ = Command.agtRun([], as: starter, in: other)
    let read = Command.agtRun(
      ["--read", other.path, "--", "cat", other.path + "/seen"], as: starter, in: scratch
    ).run()
    #expect(read.out == "contents\n", "\(read.summary)")
    let write = Command.agtRun(
      ["--ring", "2", "--write", other.path, "--", "sh", "-c", "echo new > \(other.path)/made"],
      as: starter, in: scratch
    ).run()
    #expect(write.status == 0, "\(write.summary)")
    #expect(other.read("made") == "new\n")
    // The twin: without the flag nothing of it is there.
    let hidden = Command.agtRun(["--", "cat", other.path + "/seen"], as: starter, in: scratch).run()
    #expect(hidden.out == "")
    #expect(hidden.status == 1)
    let refused = Command.agtRun(
      ["--ring", "2", "--read", other.path, "--", "sh", "-c", "echo no > \(other.path)/made"],
      as: starter, in: scratch
    ).run()
    #expect(refused.status != 0)
    #expect(other.read("made") == "new\n")
  }

  @Test(arguments: Starter.all) func accessOfTheWorkspace(_ starter: Starter) {
    for (ring, suffix, mayWrite) in [
      ("3", "", false), ("3", ":rw", true), ("2", "", true), ("2", ":ro", false),
    ] {
      let scratch = Scratch()
      let run = Command.agtRun(
        ["--ring", ring, "--workspace", ".\(suffix)", "--", "sh", "-c", "echo x > made"],
        as: starter, in: scratch
      ).run()
      #expect((scratch.read("made") == "x\n") == mayWrite, "ring \(ring)\(suffix): \(run.summary)")
      #expect((run.status == 0) == mayWrite)
      if mayWrite {
        let owner = starter == .root ? 0 : Starter.isRoot ? Starter.ordinaryID : nil
        if let owner { #expect(File.owner(scratch.path + "/made") == owner) }
      }
    }
  }
}
