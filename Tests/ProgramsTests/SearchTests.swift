import Testing

@testable import Programs

@Suite struct ProgramsSearchTests {
  @Test func aNameIsFoundInPath() throws {
    let program = try resolve(debian(), "bash", ["-c", "true"])
    #expect(program.executable == "/usr/bin/bash")
    #expect(program.words == ["bash", "-c", "true"])
    #expect(program.reads == [])
    #expect(program.links == [])
    #expect(program.searchPath == ["/usr/local/bin", "/usr/bin"])
  }

  @Test func theFirstExecutableCounts() throws {
    let files = debian {
      $0.file("/opt/a/bin/tool", "not executable")
      $0.directory("/opt/b/bin/tool")
      $0.elf("/opt/c/bin/tool")
    }
    let program = try resolve(files, "tool", path: "/opt/a/bin:/opt/b/bin:/opt/c/bin")
    #expect(program.executable == "/opt/c/bin/tool")
    #expect(program.mounted == ["/opt/c"])
    #expect(program.searchPath == ["/opt/c/bin", "/usr/local/bin", "/usr/bin"])
  }

  @Test func anEmptyEntryIsTheWorkingDirectory() throws {
    let files = debian { $0.elf("/home/me/work/tool") }
    #expect(try resolve(files, "tool", path: "/usr/bin:").executable == "/home/me/work/tool")
    #expect(reason { () throws(ProgramError) in try resolve(files, "tool") } == .notFound)
  }

  @Test func aPathIsNotSearched() throws {
    let files = debian {
      $0.elf("/home/me/work/bin/bash")
      $0.link("/home/me/work/up", "../work/bin")
    }
    let program = try resolve(files, "./up/bash")
    #expect(program.executable == "/home/me/work/bin/bash")
    #expect(program.words == ["./up/bash"])
  }

  @Test func failuresSayWhereAndHow() throws {
    let files = debian {
      $0.directory("/home/me/work/dir")
      $0.file("/home/me/work/data", "x")
      $0.file("/usr/bin/plain", "x")
      $0.other("/home/me/work/fifo")
      $0.link("/home/me/work/loop", "loop")
      $0.script("/home/me/work/run", "#!/bin/sh\n")
      $0.bytes("/home/me/work/junk", [1, 2, 0, 3])
    }
    func failure(_ command: String) -> ProgramError? {
      do {
        _ = try resolve(files, command)
        return nil
      } catch { return error }
    }
    #expect(
      failure("bsah")
        == ProgramError(
          .notFound, "bsah: not found in PATH (/usr/local/bin:/usr/bin:/bin)",
          hint: "did you mean bash?"))
    #expect(failure("mesh")?.hint == nil)
    #expect(failure("sb")?.hint == nil)
    #expect(failure("run")?.hint == "the current directory is not searched; write ./run")
    #expect(failure("./nothing")?.reason == .notFound)
    #expect(failure("./dir")?.reason == .isDirectory)
    #expect(failure("./data")?.reason == .notExecutable)
    #expect(failure("plain")?.reason == .notExecutable)
    #expect(failure("./fifo")?.reason == .notAFile)
    #expect(failure("./loop")?.reason == .linkLoop)
    #expect(failure("./junk")?.reason == .notRunnable)
    #expect(failure("")?.reason == .notFound)
    #expect(failure(String(repeating: "x", count: 300))?.reason == .tooLong)
  }

  @Test func namesFromOutsideCannotSteerATerminal() {
    #expect(shown(Array("a\u{1b}[31m\n\u{202e}b".utf8)) == #"a\u{1B}[31m\n\u{202E}b"#)
    #expect(shown([UInt8](repeating: 65, count: 1000)).count == 241)
  }

  @Test func pathsAreComparedByBytes() {
    let composed = Path("/caf\u{e9}")
    let decomposed = Path("/cafe\u{301}")
    #expect("\(composed)" == "\(decomposed)")
    #expect(composed != decomposed)
    #expect(!decomposed.appending("x").isWithin(composed))
    #expect(!Path("/usrx").isWithin("/usr"))
    #expect(Path("/usr").isWithin("/usr"))
    #expect(Path("/usr").isWithin("/"))
  }

  @Test func walkingFollowsLinksLikeTheKernel() throws {
    let files = MemoryFiles {
      $0.file("/a/b/file")
      $0.link("/a/rel", "b/../b")
      $0.link("/x", "/a/rel")
      $0.link("/y/up", "../x/./file")
      for index in 0..<41 { $0.link(Path("/n\(index)"), "/n\(index + 1)") }
      $0.file("/n41")
    }
    let walked = try files.walk("/y/up")
    #expect(walked.real == "/a/b/file")
    #expect(walked.links.map(\.path) == ["/y/up", "/x", "/a/rel"])
    #expect(try files.walk("/n1").real == "/n41")
    #expect(throws: WalkFailure.loop("/n0")) { try files.walk("/n0") }
    #expect(throws: WalkFailure.missing("/a/b/file")) { try files.walk("/a/b/file/x") }
    #expect(try files.walk("/../../a/b/..").real == "/a")
  }

  @Test func theFirstOfTwoVariablesCounts() {
    let entries = ["A=1", "A=2", "B=", "C", "D=x=y"].map { Array($0.utf8) }
    let environment = CallerEnvironment(entries: entries)
    #expect(environment["A"] == Array("1".utf8))
    #expect(environment["B"] == nil)
    #expect(environment["C"] == nil)
    #expect(environment["D"] == Array("x=y".utf8))
  }
}
