import TestSupport
import Testing

/// Standard streams, arguments and environment: byte-exact, and nothing of the caller's beyond them.
@Suite struct StreamTests {
  /// The same bytes on every run (SplitMix64).
  private static func bytes(_ count: Int) -> [UInt8] {
    var state: UInt64 = 42
    return (0..<count).map { _ in
      state &+= 0x9e37_79b9_7f4a_7c15
      var value = state
      value = (value ^ value >> 30) &* 0xbf58_476d_1ce4_e5b9
      value = (value ^ value >> 27) &* 0x94d0_49bb_1331_11eb
      return UInt8(truncatingIfNeeded: value ^ value >> 31)
    }
  }

  @Test(arguments: Starter.all, ["0", "1", "2", "3"])
  func pipesAreByteExact(_ starter: Starter, _ ring: String) {
    let bytes = Self.bytes(1 << 20)
    #expect(bytes.contains(0) && bytes.contains(10) && bytes.contains(4))
    let run = Command.agtRun(["--ring", ring, "--", "cat"], as: starter, in: Scratch())
      .with { $0.input = .bytes(bytes) }.run()
    // Not inside the macro: it would describe the difference of two megabytes.
    let same = run.output == bytes
    #expect(same, "\(run.output.count) bytes")
    #expect(run.errors == [])
    #expect(run.status == 0)
  }

  @Test func outputThatNobodyReadsAnyMore() {
    let scratch = Scratch()
    let run = Command.shell(
      "\"$1\" --ring 3 -- yes | head -c 4; echo", [Binaries.agtRun], in: scratch.path
    ).run()
    #expect(run.out == "y\ny\n\n", "\(run.summary)")
  }

  @Test func errorsStayApart() {
    let run = Command.agtRun(
      ["--ring", "2", "--", "sh", "-c", "echo out; echo err >&2"], in: Scratch()
    ).run()
    #expect(run.out == "out\n")
    #expect(run.err == "err\n")
  }

  @Test func directoryAsInput() {
    for number in 0...2 {
      let run = Command.shell(
        "exec \"$1\" -- echo RAN \(number)<.", [Binaries.agtRun], in: Scratch().path
      ).with { $0.directory = "/tmp" }.run()
      // What it says about descriptor 2 cannot be read.
      if number != 2 {
        #expect(
          run.err == "agt-run: descriptor \(number) is a directory of the host\n"
            + "  hint: redirect it from a file, a pipe or /dev/null\n")
      }
      #expect(run.status == 126)
      #expect(run.out == "")
    }
  }

  /// A closed standard descriptor must not become one of ours, in the supervisor or inside.
  @Test(arguments: ["<&-", ">&-", "2>&-", "<&- >&-", "<&- >&- 2>&-"])
  func closedDescriptors(_ closing: String) {
    let scratch = Scratch()
    let script = "ls -l /proc/self/fd > seen; exit 7"
    let run = Command.shell(
      "exec \"$1\" --ring 2 -- sh -c \"$2\" \(closing)", [Binaries.agtRun, script],
      in: scratch.path
    ).run()
    #expect(run.status == 7, "\(run.summary)")
    let seen = scratch.read("seen") ?? ""
    #expect(!seen.contains("socket"), "\(seen)")
    #expect(!seen.contains("memfd"), "\(seen)")
    #expect(!seen.contains("anon_inode"), "\(seen)")
  }

  @Test(arguments: Starter.all) func onlyStandardDescriptorsInside(_ starter: Starter) {
    let scratch = Scratch()
    for ring in ["1", "2", "3"] {
      let run = Command.shell(
        "exec 5</etc 6</etc/hostname 9>/dev/null; exec \"$@\"",
        Command.agtRun(
          ["--ring", ring, "--", "ls", "/proc/self/fd"], as: starter, in: scratch
        ).words.map { String(decoding: $0, as: UTF8.self) }, in: scratch.path
      ).run()
      // 3 is the directory that ls reads.
      #expect(run.out == "0\n1\n2\n3\n", "ring \(ring): \(run.summary)")
    }
  }

  @Test func argumentsThatAreNoUTF8() {
    let odd: [UInt8] = Array("a".utf8) + [0xff, 0xfe, 0x0a, 0x20, 0xc3] + Array("z".utf8)
    var command = Command.agtRun(["--", "printf", "%s|%s|%s"], in: Scratch())
    command.words += [odd, [], Array("*".utf8)]
    let run = command.run()
    #expect(run.output == odd + Array("||*".utf8))
  }

  @Test func manyArguments() {
    let words = (0..<5000).map { "argument-\($0)" }
    let run = Command.agtRun(["--", "echo"] + words, in: Scratch()).run()
    #expect(run.out == words.joined(separator: " ") + "\n", "\(run.status) \(run.err)")
  }
}

/// The environment is built, never inherited.
@Suite struct EnvironmentTests {
  private func environment(
    _ words: [String], ring: String = "3", as starter: Starter = .native, caller: [String]
  ) -> [String] {
    var command = Command.agtRun(
      ["--ring", ring] + words + ["--", "env"], as: starter, in: Scratch())
    command.environment += caller
    return command.run().out.split(separator: "\n").map(String.init).sorted()
  }

  private static let secrets = [
    "AWS_SECRET_ACCESS_KEY=leak", "SSH_AUTH_SOCK=/tmp/leak", "LD_PRELOAD_X=leak",
    "PYTHONPATH=/leak", "DBUS_SESSION_BUS_ADDRESS=leak", "BASH_ENV=/leak", "GIT_DIR=/leak",
    "XDG_RUNTIME_DIR=/leak", "http_proxy=leak",
  ]

  @Test(arguments: Starter.all, ["1", "2", "3"])
  func nothingLeaks(_ starter: Starter, _ ring: String) {
    let seen = environment([], ring: ring, as: starter, caller: Self.secrets)
    let names = seen.map { String($0.prefix { $0 != "=" }) }
    #expect(
      Set(names).isSubset(of: [
        "AGT_RING", "HOME", "LANG", "LOGNAME", "PATH", "TERM", "TMPDIR", "USER",
      ]), "\(seen)")
    #expect(!seen.contains { $0.contains("leak") })
    #expect(seen.contains("AGT_RING=\(ring)"))
    #expect(seen.contains("TMPDIR=/tmp"))
    #expect(seen.contains("LANG=C.UTF-8"))
    #expect(seen.contains("TERM=dumb"))
  }

  @Test func passList() {
    let seen = environment(
      [], caller: ["LC_ALL=C.UTF-8", "TZ=Europe/Berlin", "COLORTERM=truecolor", "NO_COLOR=1"])
    #expect(seen.contains("LC_ALL=C.UTF-8"), "\(seen)")
    #expect(seen.contains("TZ=Europe/Berlin"), "\(seen)")
  }

  @Test func takesOverByName() {
    let seen = environment(["--env", "MINE", "--env", "ABSENT"], caller: ["MINE=a=b c"])
    #expect(seen.contains("MINE=a=b c"))
    #expect(!seen.contains { $0.hasPrefix("ABSENT") })
  }

  @Test func setsAndTheLastWins() {
    let seen = environment(
      ["--env", "A=1", "--env=B=", "--env", "A=x=y", "--env", "HOME=/tmp"], caller: ["A=caller"])
    #expect(seen.contains("A=x=y"))
    #expect(seen.contains("B="))
    #expect(seen.contains("HOME=/tmp"))
    #expect(seen.count { $0.hasPrefix("A=") } == 1)
  }

  @Test func valueThatIsNoUTF8IsTakenOverUnchanged() {
    let scratch = Scratch()
    let run = Command.shell(
      "ODD=$(printf 'x\\377\\001y') exec \"$1\" --env ODD -- printenv ODD", [Binaries.agtRun],
      in: scratch.path
    ).run()
    #expect(run.output == [0x78, 0xff, 0x01, 0x79, 0x0a], "\(run.summary)")
  }
}
