import TestSupport
import Testing

/// A program that is not there, or is none.
@Suite struct MissingProgramTests {
  private func run(_ words: [String], _ prepare: (Scratch) -> Void = { _ in }) -> Completed {
    let scratch = Scratch()
    prepare(scratch)
    return Command.agtRun(["--"] + words, in: scratch).run()
  }

  @Test func notInPath() {
    let run = run(["agt-no-such-program"])
    #expect(
      run.err.hasPrefix(
        "agt-run: agt-no-such-program: not found in PATH "
          + "(/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin)\n"))
    #expect(run.status == 127)
  }

  @Test func misspelt() {
    let run = run(["pyhton3"])
    #expect(run.err.hasSuffix("\n  hint: did you mean python3?\n"), "\(run.err)")
    #expect(run.status == 127)
  }

  @Test func emptyName() {
    let run = run([""])
    #expect(run.err == "agt-run: the name of the program is empty\n")
    #expect(run.status == 127)
  }

  @Test func noSuchPath() {
    let run = run(["./missing"])
    #expect(run.err.hasPrefix("agt-run: "))
    #expect(run.err.contains("missing: no such file or directory (ENOENT)"), "\(run.err)")
    #expect(run.status == 127)
  }

  @Test func directory() {
    let run = run(["/usr"])
    #expect(run.err == "agt-run: /usr: is a directory, not a program\n")
    #expect(run.status == 126)
  }

  @Test func notExecutable() {
    let run = run(["./plain"]) { $0.write("plain", "text\n") }
    #expect(run.err.contains("/plain: permission to execute denied (EACCES)\n  hint: chmod +x "))
    #expect(run.status == 126)
  }

  @Test func neitherProgramNorScript() {
    let run = run(["./data"]) { $0.write("data", "\u{1}\0\u{3}", mode: 0o755) }
    #expect(run.status == 126)
    #expect(
      run.err.contains("/data: neither an ELF program nor a script (ENOEXEC)\n  hint: "),
      "\(run.err)")
  }

  @Test func scriptWithMissingInterpreter() {
    let run = run(["./script"]) { $0.write("script", "#!/nonexistent/perl\n", mode: 0o755) }
    #expect(run.status == 126)
    #expect(run.err.contains("/nonexistent/perl"), "\(run.err)")
  }

  @Test func loopOfScripts() {
    let run = run(["./a"]) {
      $0.write("a", "#!\($0.path)/b\n", mode: 0o755)
      $0.write("b", "#!\($0.path)/a\n", mode: 0o755)
    }
    #expect(run.status == 126)
    #expect(run.err.hasPrefix("agt-run: "), "\(run.err)")
  }
}

/// Profile files that cannot be used: file, line, column and the nearest valid key.
@Suite struct WrongProfileTests {
  private func run(_ text: String, mode: UInt32 = 0o644, as starter: Starter = .native)
    -> Completed
  {
    let scratch = Scratch()
    scratch.write("own.yaml", text, mode: mode)
    return Command.agtRun(
      ["--profile", "own.yaml", "--", "echo", "RAN"], as: starter, in: scratch
    ).run()
  }

  private static let header = """
    apiVersion: agt-run/v1
    kind: RingProfile
    metadata: {name: own, description: test}
    extends: ring3

    """

  @Test func aGoodOneRuns() {
    let run = run(Self.header + "limits: {wall: 1m}\n")
    #expect(run.out == "RAN\n", "\(run.summary)")
    #expect(run.status == 0)
  }

  @Test func missing() {
    let run = Command.agtRun(["--profile", "no.yaml", "--", "true"], in: Scratch()).run()
    #expect(
      run.err == "agt-run: profile no.yaml: No such file or directory (ENOENT)\n"
        + "  hint: --ring 3 needs no file\n")
    #expect(run.status == 2)
  }

  @Test func directory() {
    let run = Command.agtRun(["--profile", ".", "--", "true"], in: Scratch()).run()
    #expect(
      run.err == "agt-run: profile .: not a file\n  hint: --ring 3 needs no file\n")
    #expect(run.status == 2)
  }

  @Test func unreadable() {
    let run = run(Self.header, mode: 0, as: .ordinary)
    #expect(
      run.err == "agt-run: profile own.yaml: Permission denied (EACCES)\n"
        + "  hint: --ring 3 needs no file\n")
    #expect(run.status == 2)
    #expect(run.out == "")
  }

  @Test func emptyFile() {
    let run = run("")
    #expect(run.err.hasPrefix("agt-run: own.yaml:1:1: "), "\(run.err)")
    #expect(run.status == 2)
  }

  @Test func misspeltKey() {
    let run = run(Self.header + "limist: {wall: 1m}\n")
    #expect(run.err.hasPrefix("agt-run: own.yaml:5:1: unknown key \"limist\""), "\(run.err)")
    #expect(run.err.contains("did you mean \"limits\"?"), "\(run.err)")
    #expect(run.status == 2)
    #expect(run.out == "")
  }

  @Test func misspeltNestedKey() {
    let run = run(Self.header + "limits:\n  memroy: 64MiB\n")
    #expect(run.err.hasPrefix("agt-run: own.yaml:6:3: unknown key \"memroy\""), "\(run.err)")
    #expect(run.err.contains("did you mean \"memory\"?"), "\(run.err)")
  }

  @Test func wrongValue() {
    let run = run(Self.header + "limits: {memory: many}\n")
    #expect(run.err.hasPrefix("agt-run: own.yaml:5:18: "), "\(run.err)")
  }

  @Test func noYAML() {
    let run = run(Self.header + "limits: {memory: [1\n")
    #expect(run.err.hasPrefix("agt-run: own.yaml:"), "\(run.err)")
    #expect(run.status == 2)
  }

  @Test func duplicateKey() {
    let run = run(Self.header + "limits: {wall: 1m}\nlimits: {wall: 2m}\n")
    #expect(run.err.hasPrefix("agt-run: own.yaml:6:1: "), "\(run.err)")
  }

  @Test func unknownParent() {
    let run = run(Self.header.replacing("extends: ring3", with: "extends: ring9"))
    #expect(run.err.contains("own.yaml:4:10: "), "\(run.err)")
    #expect(run.status == 2)
  }

  @Test func extendsItself() {
    let run = run(Self.header.replacing("extends: ring3", with: "extends: ./own.yaml"))
    #expect(run.err.hasPrefix("agt-run: "), "\(run.err)")
    #expect(run.status == 2)
  }

  /// A widening needs its reason.
  @Test func wideningWithoutReason() {
    let run = run(
      Self.header.replacing(", description: test", with: "") + "limits: {memory: 900GiB}\n")
    #expect(run.err.hasPrefix("agt-run: own.yaml:5:"), "\(run.err)")
    #expect(run.err.contains("reason"), "\(run.err)")
    #expect(run.status == 2)
  }
}

/// What the caller's shell has set beforehand.
@Suite struct CallersSettingsTests {
  @Test(arguments: ["1", "2", "3"])
  func aNarrowUmaskDoesNotCloseTheRing(_ ring: String) {
    let scratch = Scratch()
    let agt = Command.agtRun(
      ["--quiet", "--ring", ring, "--", "/bin/cat", "/etc/passwd"], in: scratch)
    let words = agt.words.map { String(decoding: $0, as: UTF8.self) }
    var shell = agt
    shell.words = (["/bin/sh", "-c", "umask 077; exec \"$@\"", "sh"] + words).map { Array($0.utf8) }
    let run = shell.run()
    #expect(run.status == 0, "\(run.err)")
    #expect(run.out.contains("root:"), "\(run.out)")
  }
}
