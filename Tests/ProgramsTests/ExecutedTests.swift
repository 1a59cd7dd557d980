import Testing

@testable import Programs

/// Which files a command runs, and what else decides that.
@Suite struct ExecutedFilesTests {
  private func executed(
    _ files: MemoryFiles, _ command: String, _ arguments: [String] = [], path: String = systemPath
  ) throws -> ExecutedFiles {
    try ProgramResolver(
      files: files, environment: CallerEnvironment(["HOME": "/home/me", "PATH": path]),
      workingDirectory: "/home/me/work", visible: [], workspace: "/home/me/work", machine: .amd64
    ).executed(command: command, arguments: arguments)
  }

  private let files = debian {
    $0.directory("/home/me/work")
    $0.file("/home/me/work/tool.py")
    $0.script("/home/me/work/tool.sh", "#!/bin/dash -e\n")
    $0.script("/home/me/work/env.sh", "#!/usr/bin/env dash\n")
    $0.link("/home/me/work/link.sh", "tool.sh")
  }

  @Test func scripts() throws {
    let dash: Path = "/usr/bin/dash"
    for (words, script) in [
      (["./tool.sh", "x"], "tool.sh"), (["./env.sh"], "env.sh"),
      (["dash", "-e", "tool.sh"], "tool.sh"),
    ] {
      let found = try executed(files, words[0], Array(words.dropFirst()))
      #expect(found.files == [Path("/home/me/work/\(script)"), dash], "\(words) \(found)")
    }
    #expect(try executed(files, "dash", ["-c", "./tool.sh"]).files == [dash])
    #expect(try executed(files, "dash", ["absent.sh"]).files == [dash])
    let python = try executed(files, "python3", ["tool.py"])
    #expect(python.files.first == "/home/me/work/tool.py" && python.files.count == 2)
  }

  @Test func whatDecides() throws {
    #expect(try executed(files, "./link.sh").deciding.contains("/home/me/work/link.sh"))
    #expect(try executed(files, "./link.sh").files.first == "/home/me/work/tool.sh")
    // Folders of PATH, as far as the one in which the name is found; empty is the current one.
    let found = try executed(files, "dash", path: ":/usr/bin:/home/me/late")
    #expect(found.deciding.contains("/home/me/work"))
    #expect(!found.deciding.contains("/home/me/late"))
    #expect(try executed(files, "/usr/bin/dash", path: ":/usr/bin").deciding == [])
  }
}
