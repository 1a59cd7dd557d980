import Rings
import Testing

@testable import Supervisor

/// The table of agt-run's command line: what each flag becomes. What is refused, and with which words, is
/// in CommandTests.
@Suite struct RunOptionsTests {
  private func parse(_ line: String) throws -> RunOptions {
    let words = line.split(separator: " ").map { Array($0.utf8) }
    guard case .run(let options) = try RunOptions.parse(words) else {
      throw RunError(.usage, "not a run: \(line)")
    }
    return options
  }

  private func refusal(_ words: [[UInt8]]) -> RunError? {
    do throws(RunError) {
      _ = try RunOptions.parse(words)
      return nil
    } catch { return error }
  }

  @Test func nothingButAProgram() throws {
    let options = try parse("echo a --ring 9")
    #expect(options.command == ["echo", "a", "--ring", "9"].map { Array($0.utf8) })
    #expect(options.ring == nil && options.profileFile == nil && options.workspace == nil)
    #expect(options.workspaceAccess == nil && options.resultFile == nil)
    #expect(options.statusDescriptor == nil && options.timeoutMilliseconds == nil)
    #expect(options.memoryBytes == nil && options.processes == nil && options.scratchBytes == nil)
    #expect(options.reads == [] && options.writes == [] && options.environment.isEmpty)
    #expect(options.degraded == [])
    #expect(options.onViolation == .deny)
    #expect(!options.explain && !options.json && !options.quiet && !options.verbose)
  }

  @Test func everyFlag() throws {
    let options = try parse(
      "--ring 2 --workspace /w:ro --read /a --read /b --write /c --env A=1 --env B --timeout 90s "
        + "--memory 512MiB --pids 9 --tmp 1k --on-violation kill --result-json r --status-fd 3 "
        + "--degrade landlock --degrade violations --explain --json -q -- p x")
    #expect(options.ring == "2")
    #expect(options.workspace == "/w" && options.workspaceAccess == .readOnly)
    #expect(options.reads == ["/a", "/b"] && options.writes == ["/c"])
    #expect(options.environment.map(\.name) == ["A", "B"])
    #expect(options.environment.map(\.value) == [Array("1".utf8), nil])
    #expect(options.timeoutMilliseconds == 90_000)
    #expect(options.memoryBytes == 512 << 20 && options.processes == 9)
    #expect(options.scratchBytes == 1000)
    #expect(options.onViolation == .kill && options.resultFile == "r")
    #expect(options.statusDescriptor == 3 && options.degraded == [.landlock, .violations])
    #expect(options.explain && options.json && options.quiet && !options.verbose)
    #expect(options.command == ["p", "x"].map { Array($0.utf8) })
  }

  @Test(
    arguments: [
      ("/w", "/w", nil), ("/w:ro", "/w", "ro"), ("/w:rw", "/w", "rw"), ("/w:rx", "/w:rx", nil),
      ("/a:ro:rw", "/a:ro", "rw"), ("w:", "w:", nil),
    ] as [(String, String, String?)])
  func workspaces(_ text: String, _ path: String, _ access: String?) throws {
    for line in ["--workspace \(text) p", "--workspace=\(text) p"] {
      let options = try parse(line)
      #expect(options.workspace == path)
      #expect(options.workspaceAccess?.rawValue == access)
    }
  }

  @Test(
    arguments: [
      ("1ms", 1), ("5s", 5000), ("2m", 120_000), ("1h", 3_600_000),
    ] as [(String, UInt64)]) func times(_ text: String, _ milliseconds: UInt64) throws
  {
    #expect(try parse("--timeout \(text) p").timeoutMilliseconds == milliseconds)
  }

  @Test func valuesMayContainAnything() throws {
    let options = try parse("--env=A=b=c --read=--odd --workspace=-x -- p")
    #expect(options.environment.first?.value == Array("b=c".utf8))
    #expect(options.reads == ["--odd"])
    #expect(options.workspace == "-x")
  }

  @Test func commandIsBytes() throws {
    let words = [Array("--".utf8), [0xff, 0xfe], [], [0x80]] as [[UInt8]]
    guard case .run(let options) = try RunOptions.parse(words) else {
      Issue.record()
      return
    }
    #expect(options.command == Array(words.dropFirst()))
  }

  @Test func helpAndVersion() throws {
    for (word, isHelp) in [("--help", true), ("-h", true), ("--version", false), ("-V", false)] {
      switch try RunOptions.parse([Array(word.utf8)]) {
      case .help: #expect(isHelp)
      case .version: #expect(!isHelp)
      case .run: Issue.record("\(word) runs something")
      }
    }
  }

  /// Each flag of the help is one that the parser knows, and the other way round.
  @Test func flagsOfTheHelp() {
    for flag in RunHelp.flags {
      #expect(RunHelp.text.contains(flag), "\(flag)")
      let error = refusal([Array(flag.utf8), Array("--".utf8)])
      #expect(error?.message.hasPrefix("unknown option") != true, "\(flag)")
    }
    for word in RunHelp.text.split(whereSeparator: { !$0.isLetter && $0 != "-" })
    where word.hasPrefix("--") && word.count > 2 {
      #expect(RunHelp.flags.contains(String(word)), "\(word)")
    }
  }

  @Test(arguments: ["--", "-", "--ring", "--x=", "=", "-qv", "---", "--ring=", "--env", "\u{0}"])
  func neverRunsWithoutAProgram(_ word: String) {
    #expect(
      refusal([Array(word.utf8)])?.status == .usage || word == "-" || word == "=" || word == "\0")
  }
}

@Suite struct RunIdentifierTests {
  private struct Sequence: RandomNumberGenerator {
    var next64: UInt64
    mutating func next() -> UInt64 {
      defer { next64 &+= 1 }
      return next64
    }
  }

  /// The example of the specification: 2016-07-30T22:36:16.385Z is 01ARYZ6S41.
  @Test func timeAndRandomness() {
    var generator = Sequence(next64: 0)
    let id = RunIdentifier.make(wallMilliseconds: 1_469_918_176_385, using: &generator)
    #expect(id == "01ARYZ6S410123456789ABCDEF")
    #expect(RunIdentifier.make(wallMilliseconds: 0, using: &generator).hasPrefix("0000000000"))
    #expect(
      RunIdentifier.make(wallMilliseconds: (1 << 48) - 1, using: &generator)
        .hasPrefix("7ZZZZZZZZZ"))
  }

  @Test func sortsByTime() {
    var generator = SystemRandomNumberGenerator()
    let ids = (0..<200).map {
      RunIdentifier.make(wallMilliseconds: 1_700_000_000_000 + $0 * 7, using: &generator)
    }
    #expect(ids == ids.sorted())
    #expect(Set(ids).count == ids.count)
  }
}

@Suite struct ViolationSummaryTests {
  private func recorder(_ calls: [(String, String)]) -> ViolationRecorder {
    var recorder = ViolationRecorder()
    for (call, executable) in calls {
      recorder.record(
        Violation(pid: 7, executable: executable, call: call, arguments: [1, 0xff], count: 1))
    }
    return recorder
  }

  @Test func equalOnesAreCounted() {
    let some = recorder([("mount", "/bin/a"), ("ptrace", ""), ("mount", "/bin/a"), ("mount", "/b")])
    #expect(some.total == 4)
    #expect(some.kinds.map(\.count) == [2, 1, 1])
    #expect(some.summary == "mount ×2 by /bin/a, ptrace, mount by /b")
  }

  @Test func manyKindsAreCutShort() {
    let many = recorder((0..<7).map { ("call\($0)", "") })
    #expect(many.summary == "call0, call1, call2, call3, call4, and 2 more kinds")
    #expect(recorder([]).summary == "")
  }

  /// An agent cannot fill the supervisor's memory.
  @Test func kindsAreBounded() {
    let many = recorder((0..<2000).map { ("call\($0)", "") })
    #expect(many.kinds.count == ViolationRecorder.maximumKinds)
    #expect(many.total == 2000)
  }
}
