import Testing

@testable import Programs

@Suite struct ProgramsScriptTests {
  @Test func theScriptsDirectoryIsMounted() throws {
    let files = debian {
      $0.file("/home/me/proj/agent.py")
      $0.file("/home/me/proj/lib.py")
      $0.file("/opt/x/agent.py")
      $0.file("/home/me/data.csv")
    }
    let program = try resolve(
      files, "python3", ["-u", "/home/me/proj/agent.py", "/home/me/data.csv"])
    #expect(program.mounted == ["/home/me/proj"])
    #expect(program.reads[0].why == "the directory of the script agent.py")
    #expect(try resolve(files, "python3", ["../proj/agent.py"]).mounted == ["/home/me/proj"])
    #expect(try resolve(files, "python3", ["/opt/x/agent.py"]).mounted == ["/opt/x"])
  }

  @Test func aBroadDirectoryIsNot() throws {
    let files = debian {
      for path: Path in [
        "/home/me/agent.py", "/home/me/Downloads/agent.py", "/tmp/agent.py", "/opt/agent.py",
        "/home/me/.config/agent.py", "/home/agent.py", "/home/other/agent.py", "/etc/x/agent.py",
        "/home/me/.ssh/agent.py", "/home/other/.ssh/x/agent.py",
      ] { $0.file(path) }
    }
    for path in files.nodes.keys where path.name == Array("agent.py".utf8) {
      let program = try resolve(files, "python3", ["\(path)"])
      #expect(program.mounted == ["\(path)"])
      #expect(program.reads[0].kind == .file)
      #expect(program.reads[0].why.contains("--read \(path.parent) shows it"))
    }
  }

  @Test func aDirectoryAboveTheWorkspaceIsNot() throws {
    let files = debian { $0.file("/srv/agents/run.py") }
    let program = try resolve(
      files, "python3", ["../run.py"], workingDirectory: "/srv/agents/one",
      workspace: "/srv/agents/one")
    #expect(program.mounted == [])
    var better = files
    better.directory("/srv/agents/one")
    better.directory("/srv/agents/two")
    let mounted = try resolve(
      better, "python3", ["../run.py"], workingDirectory: "/srv/agents/one",
      workspace: "/srv/agents/one")
    #expect(mounted.mounted == ["/srv/agents/run.py"])
  }

  @Test func whatOnlyLooksLikeAPathIsNotMounted() throws {
    let files = debian { $0.file("/home/me/proj/agent.py") }
    for arguments in [
      ["-c", "/home/me/proj/agent.py"], ["-m", "mod", "/home/me/proj/agent.py"],
      ["-", "/home/me/proj/agent.py"], ["agent.py", "/home/me/proj/agent.py"],
    ] {
      #expect(try resolve(files, "python3", arguments).mounted == [], "\(arguments)")
    }
    #expect(try resolve(files, "dash", ["-c", "/home/me/proj/agent.py"]).mounted == [])
  }

  @Test func javaScriptIsMountedWithItsPackage() throws {
    let files = debian {
      $0.file("/home/me/proj/package.json")
      $0.file("/home/me/proj/src/deep/main.js")
      $0.file("/home/me/mono/packages/a/package.json")
      $0.file("/home/me/mono/packages/a/main.js")
      $0.directory("/home/me/mono/node_modules/x")
      $0.file("/home/me/mono/.env")
      $0.file("/home/me/loose/main.js")
      $0.link("/home/me/.npm-global/bin/tool", "../lib/node_modules/tool/bin/cli.js")
      $0.script("/home/me/.npm-global/lib/node_modules/tool/bin/cli.js", "#!/usr/bin/env node\n")
      $0.file("/home/me/.npm-global/lib/node_modules/tool/package.json")
    }
    #expect(
      try resolve(files, "node", ["/home/me/proj/src/deep/main"]).mounted == ["/home/me/proj"])
    #expect(
      try resolve(files, "node", ["/home/me/mono/packages/a/main.js"]).mounted
        == ["/home/me/mono/node_modules", "/home/me/mono/packages/a"])
    #expect(try resolve(files, "node", ["/home/me/loose/main.js"]).mounted == ["/home/me/loose"])
    let tool = try resolve(files, "tool", path: "/home/me/.npm-global/bin:\(systemPath)")
    #expect(tool.words == ["node", "/home/me/.npm-global/bin/tool"])
    #expect(tool.mounted == ["/home/me/.npm-global/lib/node_modules"])
    #expect(
      tool.linked == ["/home/me/.npm-global/bin/tool -> ../lib/node_modules/tool/bin/cli.js"])
  }

  @Test func aScriptFoundInPathIsMountedByItself() throws {
    let files = debian { $0.script("/home/me/bin/report", "#!/bin/bash\n") }
    let program = try resolve(files, "report", ["x"], path: "/home/me/bin")
    #expect(program.executable == "/usr/bin/bash")
    #expect(program.words == ["/bin/bash", "/home/me/bin/report", "x"])
    #expect(program.mounted == ["/home/me/bin/report"])
  }

  @Test func aRelativeScriptOutsideOfWhatIsVisibleBecomesAbsolute() throws {
    let files = debian {
      $0.file("/home/me/proj/agent.py")
      $0.file("/home/me/agent.py")
    }
    let away = try resolve(
      files, "python3", ["agent.py", "agent.py"], workingDirectory: "/home/me")
    #expect(away.words == ["python3", "/home/me/agent.py", "agent.py"])
    #expect(away.mounted == ["/home/me/agent.py"])
    let seen = try resolve(
      files, "python3", ["agent.py"], workingDirectory: "/home/me/proj")
    #expect(seen.words == ["python3", "agent.py"], "the script's directory is mounted")
  }

  @Test func aDirectoryCanBeAProgram() throws {
    let files = debian {
      $0.file("/opt/app/__main__.py")
      $0.file("/home/me/__main__.py")
    }
    #expect(try resolve(files, "python3", ["/opt/app"]).mounted == ["/opt/app"])
    #expect(try resolve(files, "python3", ["/home/me"]).mounted == [])
  }
}
