import Testing

@testable import Programs

/// What an agent that could write the workspace may try, so that the next start shows it more.
@Suite struct ProgramsUntrustedTests {
  /// Secrets beside things that a mount could be excused with.
  private func machine(_ build: (inout MemoryFiles) -> Void = { _ in }) -> MemoryFiles {
    debian { files in
      files.elf("/home/me/project/bin/tool")
      files.file("/home/me/project/secret")
      files.file("/home/me/project/lib/secret")
      files.script("/home/me/project/run.sh", "#!/bin/sh\n# SECRET\n")
      addPython(&files, "/home/me/.pyenv/versions/3.12.1", "3.12")
      files.script("/home/me/.pyenv/shims/python", pyenvShim("/home/me/.pyenv"))
      files.file("/home/me/.pyenv/version", "3.12.1")
      build(&files)
    }
  }

  @Test(arguments: [
    "/home/me/.ssh", "/home/me", "/", "/home/me/project/bin", "/home/me/.ssh/../.ssh", "/etc",
    "../../.ssh", "/home/me/.ssh/id_ed25519",
  ]) func homeInAnEnvironmentIsNotBelieved(_ home: String) throws {
    let files = machine {
      $0.file("/etc/shadow", "SECRET")
      $0.file("/home/me/work/.venv/pyvenv.cfg", "home = \(home)\n")
      $0.link("/home/me/work/.venv/bin/python", "/usr/bin/python3.11")
    }
    let program = try resolve(files, ".venv/bin/python", ["agent.py"])
    #expect(program.mounted == [])
    #expect(program.executable == "/home/me/work/.venv/bin/python")
  }

  @Test func aPythonWithoutItsLibraryExcusesNoPrefix() throws {
    let files = machine {
      $0.elf("/home/me/project/bin/python3")
      $0.file("/home/me/work/.venv/pyvenv.cfg", "home = /home/me/project/bin\n")
      $0.link("/home/me/work/.venv/bin/python", "/home/me/project/bin/python3")
    }
    #expect(
      try resolve(files, ".venv/bin/python").mounted == ["/home/me/project/bin/python3"])
  }

  @Test func aScriptIsNoBase() throws {
    let files = machine {
      $0.script("/home/me/project/bin/python3", "#!/bin/sh\n# SECRET\n")
      $0.file("/home/me/work/.venv/pyvenv.cfg", "home = /home/me/project/bin\n")
      $0.link("/home/me/work/.venv/bin/python", "/usr/bin/python3.11")
    }
    #expect(try resolve(files, ".venv/bin/python").mounted == [])
  }

  @Test func anotherRuntimesLibraryExcusesNoPrefix() throws {
    let files = machine {
      $0.directory("/home/me/project/lib/perl5")
      $0.directory("/home/me/project/conda-meta")
      $0.link("/home/me/work/tool", "/home/me/project/bin/tool")
    }
    #expect(try resolve(files, "./tool").mounted == ["/home/me/project/bin/tool"])
  }

  @Test func aBroadBaseIsNotMounted() throws {
    let files = machine {
      $0.elf("/home/me/bin/python3.12")
      $0.file("/home/me/lib/python3.12/os.py")
      $0.file("/home/me/work/.venv/pyvenv.cfg", "home = /home/me/bin\n")
      $0.link("/home/me/work/.venv/bin/python", "/home/me/bin/python3.12")
    }
    #expect(
      try resolve(files, ".venv/bin/python").mounted
        == ["/home/me/bin/python3.12", "/home/me/lib/python3.12"])
  }

  @Test func anEnvironmentThatIsALinkIsMountedInParts() throws {
    let files = machine {
      $0.file("/home/me/project/pyvenv.cfg", "home = /usr/bin\n")
      $0.link("/home/me/project/bin/python", "/usr/bin/python3.11")
      $0.link("/home/me/work/.venv", "/home/me/project")
    }
    let program = try resolve(files, ".venv/bin/python")
    #expect(
      program.mounted
        == ["/home/me/project/bin", "/home/me/project/lib", "/home/me/project/pyvenv.cfg"])
  }

  @Test func linksToProgramsShowThatOneFile() throws {
    let files = machine {
      $0.link("/home/me/work/tool", "/home/me/project/bin/tool")
      $0.script("/home/me/work/script", "#!/home/me/project/bin/tool\n")
    }
    #expect(try resolve(files, "./tool").mounted == ["/home/me/project/bin/tool"])
    #expect(try resolve(files, "./script").mounted == ["/home/me/project/bin/tool"])
    let direct = try resolve(files, "/home/me/project/bin/tool")
    #expect(direct.mounted == ["/home/me/project/bin/tool", "/home/me/project/lib"])
  }

  @Test func linksToScriptsAreRefused() {
    let files = machine {
      $0.link("/home/me/work/run", "/home/me/project/run.sh")
      $0.link("/home/me/work/agent.py", "/home/me/.ssh/id_ed25519")
      $0.link("/home/me/work/dir", "/home/me/project")
      $0.script("/home/me/work/nested", "#!/home/me/project/run.sh\n")
      $0.link("/opt/through", "/home/me/work/agent.py")
    }
    for (command, arguments) in [
      ("./run", []), ("./nested", []), ("dash", ["./run"]), ("python3", ["agent.py"]),
      ("node", ["agent.py"]), ("python3", ["dir"]), ("python3", ["dir/secret"]),
      ("python3", ["/opt/through"]), ("env", ["python3", "agent.py"]),
    ] {
      #expect(
        reason { () throws(ProgramError) in try resolve(files, command, arguments) }
          == .leavesWorkspace, "\(command) \(arguments)")
    }
  }

  @Test func interpreterLinesMountNoArguments() throws {
    let files = machine {
      $0.script("/home/me/work/a", "#!/usr/bin/python3 /home/me/project/secret\n")
      $0.script("/home/me/work/b", "#!/usr/bin/env -S python3 /home/me/project/secret\n")
      $0.script(
        "/home/me/work/c",
        "#!/bin/sh\n'''exec' /usr/bin/python3 /home/me/project/secret \"$0\" \"$@\"\nx")
    }
    for name in ["./a", "./b", "./c"] {
      let program = try resolve(files, name)
      #expect(program.executable == "/usr/bin/python3.11")
      #expect(program.mounted == [])
    }
  }

  @Test(arguments: [
    "../../.ssh", "/home/me/.ssh", "..", ".", "3.12.1/../../../.ssh", "-x", "3.12\u{1b}[2J",
    "$(id)", "a b;c", String(repeating: "3", count: 500), "é",
  ]) func versionFilesNameVersionsOnly(_ text: String) {
    let files = machine {
      $0.file("/home/me/work/.python-version", text)
      $0.directory("/home/me/.pyenv/versions/a")
    }
    let found = reason { () throws(ProgramError) in
      try resolve(files, "python", path: "/home/me/.pyenv/shims:/usr/bin")
    }
    // "a b;c" is the version "a", which has no Python: the system's then.
    #expect(found == .versionMalformed || text == "a b;c" && found == .commandNotInVersion)
  }

  @Test func versionFilesAreNotALensOnSecrets() throws {
    let files = machine {
      $0.link("/home/me/work/.python-version", "/home/me/.ssh/id_ed25519")
    }
    let program = try resolve(files, "python", path: "/home/me/.pyenv/shims:/usr/bin")
    #expect(program.mounted == ["/home/me/.pyenv/versions/3.12.1"])
    #expect(!program.trail.joined().contains("SECRET"))
    #expect(
      program.trail.contains { $0.contains("is not read: it is a link out of the workspace") })
  }

  @Test func aVersionChosenByTheWorkspaceStaysInTheStore() throws {
    let files = machine {
      addPython(&$0, "/opt/python-own", "3.13")
      $0.link("/home/me/.pyenv/versions/own", "/opt/python-own")
      $0.file("/home/me/work/.python-version", "own")
    }
    let path = "/home/me/.pyenv/shims:/usr/bin"
    #expect(
      reason { () throws(ProgramError) in try resolve(files, "python", path: path) }
        == .leavesWorkspace)
    let chosen = try resolve(files, "python", path: path, ["PYENV_VERSION": "own"])
    #expect(chosen.mounted == ["/opt/python-own"])
  }

  @Test func aShimInTheWorkspaceNamesNoStore() throws {
    let files = machine {
      $0.script("/home/me/work/shims/tool", pyenvShim("/home/me/project"))
      $0.file("/home/me/work/version", "3.12.1")
      $0.link("/home/me/work/versions/3.12.1", "/home/me/project")
    }
    // The user's own pyenv decides, and it has no such command.
    #expect(
      reason { () throws(ProgramError) in
        try resolve(files, "shims/tool", ["x"], path: "/usr/bin")
      } == .commandNotInVersion)
  }

  @Test func toolNamesAreNoPaths() throws {
    let data = "/home/me/.local/share/mise"
    let files = machine {
      $0.elf("/home/me/.local/bin/mise")
      $0.link(Path("\(data)/shims/tool"), "/home/me/.local/bin/mise")
      $0.directory(Path("\(data)/installs/x"))
      $0.elf("/home/me/.volta/bin/volta-shim")
      $0.link("/home/me/.volta/bin/node", "volta-shim")
      $0.directory("/home/me/.volta/tools/image/node")
      $0.file(
        "/home/me/work/mise.toml",
        """
        [tools]
        "../../../../project" = "bin"
        ".." = ".."
        x = "../../../../../project"
        """
      )
      $0.file("/home/me/work/package.json", #"{"volta": {"node": "../../../../project"}}"#)
    }
    #expect(
      reason { () throws(ProgramError) in try resolve(files, "tool", path: "\(data)/shims") }
        == .versionMalformed)
    #expect(
      reason { () throws(ProgramError) in try resolve(files, "node", path: "/home/me/.volta/bin") }
        == .versionMalformed)
  }

  @Test func imagesInTheWorkspaceShowLibrariesOnly() throws {
    let files = machine {
      $0.elf(
        "/home/me/work/tool",
        needed: ["id_ed25519", "secret", "tool", "/home/me/.ssh/id_ed25519", "../x", ""],
        runpath: "/home/me/.ssh:/home/me/project:/home/me/project/bin:/home/me:$ORIGIN/../.ssh")
      $0.elf("/home/me/work/peek", loader: "/home/me/.ssh/id_ed25519")
    }
    #expect(try resolve(files, "./tool").mounted == ["/home/me/project/bin/tool"])
    #expect(reason { () throws(ProgramError) in try resolve(files, "./peek") } == .loaderMissing)
  }

  @Test func writableDirectoriesAreNotBelievedEither() throws {
    let files = machine { $0.link("/srv/out/agent.py", "/home/me/.ssh/id_ed25519") }
    let resolver = ProgramResolver(
      files: files, environment: CallerEnvironment(["HOME": "/home/me", "PATH": systemPath]),
      workingDirectory: "/home/me/work", visible: ["/usr", "/bin", "/lib", "/lib64"],
      workspace: "/home/me/work", writable: ["/srv/out"], machine: .amd64)
    #expect(
      reason { () throws(ProgramError) in
        try resolver.resolve(command: "python3", arguments: ["/srv/out/agent.py"])
      } == .leavesWorkspace)
  }
}
