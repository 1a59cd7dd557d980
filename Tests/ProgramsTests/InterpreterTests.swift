import Testing

@testable import Programs

@Suite struct ProgramsInterpreterTests {
  @Test func aScriptBecomesItsInterpreter() throws {
    let files = debian { $0.script("/home/me/work/run.sh", "#! /bin/bash  -e -u \nexit\n") }
    let program = try resolve(files, "./run.sh", ["a", "b"])
    #expect(program.executable == "/usr/bin/bash")
    #expect(program.words == ["/bin/bash", "-e -u", "./run.sh", "a", "b"])
    #expect(program.reads == [])
  }

  @Test(arguments: [
    ("#!/usr/bin/env bash\n", ["bash", "./s", "x"]),
    ("#!/usr/bin/env -S bash -e  -o 'a b'\n", ["bash", "-e", "-o", "a b", "./s", "x"]),
    ("#!/usr/bin/env -Sbash \"${NAME}-$\\_\"\n", nil),
    ("#!/usr/bin/env -S bash ${NAME}\\_\\c ignored\n", ["bash", "value", "./s", "x"]),
    ("#!/usr/bin/env -S A=1 B=2 bash # comment\n", ["bash", "./s", "x"]),
    ("#!/usr/bin/env bash -e\n", nil), ("#!/usr/bin/env\n", nil), ("#!/usr/bin/env -i bash\n", nil),
    ("#!/usr/bin/env -S 'bash\n", nil), ("#!/usr/bin/env -S\n", nil),
    ("#!/usr/bin/env -S PATH=/x bash\n", nil),
  ]) func envIsResolved(_ line: String, _ words: [String]?) throws {
    let files = debian { $0.script("/home/me/work/s", line) }
    if let words {
      let program = try resolve(files, "./s", ["x"], ["NAME": "value"])
      #expect(program.executable == "/usr/bin/bash")
      #expect(program.words == words)
      #expect(program.variable("B") == (line.contains("B=2") ? "2" : nil))
    } else {
      #expect(reason { () throws(ProgramError) in try resolve(files, "./s") } == .interpreterLine)
    }
  }

  @Test func envOfTheUserIsResolvedToo() throws {
    let program = try resolve(debian(), "env", ["A=1", "bash", "-c", "x"])
    #expect(program.executable == "/usr/bin/bash")
    #expect(program.words == ["bash", "-c", "x"])
    #expect(program.variable("A") == "1")
    let plain = try resolve(debian(), "env", ["-i", "bash"])
    #expect(plain.executable == "/usr/bin/env")
    #expect(plain.words == ["env", "-i", "bash"])
    #expect(try resolve(debian(), "env").executable == "/usr/bin/env")
  }

  @Test func anEnvInTheWorkspaceIsAProgram() throws {
    let files = debian {
      $0.elf("/home/me/work/env")
      $0.script("/home/me/work/s", "#!./env bash\n")
    }
    #expect(try resolve(files, "./s").executable == "/home/me/work/env")
  }

  @Test func interpretersOfInterpretersAreBounded() throws {
    let files = debian {
      $0.script("/home/me/work/a", "#!/home/me/work/b x\n")
      $0.script("/home/me/work/b", "#!/bin/bash\n")
      $0.script("/home/me/work/self", "#!/home/me/work/self\n")
      $0.script("/home/me/work/env-self", "#!/usr/bin/env ./env-self\n")
      for index in 0..<5 {
        $0.script(Path("/home/me/work/n\(index)"), "#!/home/me/work/n\(index + 1)\n")
      }
      $0.script("/home/me/work/n5", "#!/bin/bash\n")
    }
    #expect(
      try resolve(files, "./a", ["y"]).words
        == ["/bin/bash", "/home/me/work/b", "x", "./a", "y"])
    #expect(reason { () throws(ProgramError) in try resolve(files, "./self") } == .tooManySteps)
    #expect(reason { () throws(ProgramError) in try resolve(files, "./env-self") } == .tooManySteps)
    #expect(try resolve(files, "./n3").executable == "/usr/bin/bash")
    #expect(reason { () throws(ProgramError) in try resolve(files, "./n0") } == .tooManySteps)
  }

  @Test func aFileWithoutALineIsGivenToTheShell() throws {
    let files = debian {
      $0.script("/home/me/work/s", "echo hello\n")
      $0.script("/home/me/work/empty", "")
    }
    let program = try resolve(files, "./s", ["x"])
    #expect(program.executable == "/usr/bin/dash")
    #expect(program.words == ["/bin/sh", "./s", "x"])
    #expect(try resolve(files, "./empty").words == ["/bin/sh", "./empty"])
  }

  @Test func brokenLinesAreRefusedWithTheCause() throws {
    let files = debian {
      $0.script("/home/me/work/crlf", "#!/bin/bash\r\nx\r\n")
      $0.script("/home/me/work/missing", "#!/opt/none/python\n")
      $0.script("/home/me/work/blank", "#!  \n")
      $0.script("/home/me/work/nul", "#!/bin/bash\0\n")
      $0.script("/home/me/work/long", "#!/" + String(repeating: "a", count: 300) + "\n")
    }
    func failure(_ command: String) -> ProgramError? {
      do {
        _ = try resolve(files, command)
        return nil
      } catch { return error }
    }
    #expect(failure("./crlf")?.reason == .interpreterMissing)
    #expect(failure("./crlf")?.hint?.contains("carriage return") == true)
    #expect(failure("./missing")?.reason == .interpreterMissing)
    for name in ["blank", "nul", "long"] {
      #expect(failure("./\(name)")?.reason == .interpreterLine, "\(name)")
    }
  }

  @Test(arguments: [
    "'''exec' \"/opt/long path/bin/python3\" \"$0\" \"$@\"",
    "'''exec' '/opt/long path/bin/python3' \"$0\" \"$@\"",
  ]) func trampolinesLeadToThePython(_ line: String) throws {
    let files = debian {
      $0.elf("/opt/long path/bin/python3")
      $0.file("/opt/long path/lib/python3.11/os.py")
      $0.script("/opt/long path/bin/black", "#!/bin/sh\n\(line)\n' '''\nimport sys\n")
    }
    let program = try resolve(files, "/opt/long path/bin/black", ["-q"])
    #expect(program.executable == "/opt/long path/bin/python3")
    #expect(
      program.words == ["/opt/long path/bin/python3", "/opt/long path/bin/black", "-q"])
    #expect(program.mounted == ["/opt/long path"])
  }

  @Test func relocatableTrampolinesOfUvLeadToTheirNeighbour() throws {
    let line = "'''exec' \"$(dirname -- \"$(realpath -- \"$0\")\")\"/'python' \"$0\" \"$@\""
    let files = debian {
      $0.elf("/opt/uv/py/bin/python3.12")
      $0.file("/opt/uv/py/lib/python3.12/os.py")
      $0.link("/home/me/work/.venv/bin/python", "/opt/uv/py/bin/python3.12")
      $0.file("/home/me/work/.venv/pyvenv.cfg", "home = /opt/uv/py/bin\n")
      $0.script("/home/me/work/.venv/bin/ruff", "#!/bin/sh\n\(line)\n' '''\nimport sys\n")
    }
    let program = try resolve(files, ".venv/bin/ruff")
    #expect(program.executable == "/home/me/work/.venv/bin/python")
    #expect(program.words == ["/home/me/work/.venv/bin/python", ".venv/bin/ruff"])
    #expect(program.mounted == ["/opt/uv/py"])
  }

  @Test func otherShellScriptsStayShellScripts() throws {
    for line in [
      "'''exec' \"$HOME/python\" \"$0\" \"$@\"", "'''exec' `x` \"$0\" \"$@\"", "exec python \"$0\"",
    ] {
      let files = debian { $0.script("/home/me/work/s", "#!/bin/sh\n\(line)\nx\n") }
      #expect(try resolve(files, "./s").executable == "/usr/bin/dash")
    }
  }

  @Test func npmProgramsRunTheNodeOfThePath() throws {
    let files = debian {
      $0.link("/home/me/work/node_modules/.bin/tsc", "../typescript/bin/tsc")
      $0.script("/home/me/work/node_modules/typescript/bin/tsc", "#!/usr/bin/env node\n")
      $0.elf("/home/me/.nvm/versions/node/v20.1.0/bin/node")
      $0.file("/home/me/.nvm/versions/node/v20.1.0/include/node/node.h")
    }
    let bin = "/home/me/.nvm/versions/node/v20.1.0/bin"
    let program = try resolve(files, "node_modules/.bin/tsc", ["-w"], path: "\(bin):\(systemPath)")
    #expect(program.executable == Path("\(bin)/node"))
    #expect(program.words == ["node", "node_modules/.bin/tsc", "-w"])
    #expect(program.mounted == ["/home/me/.nvm/versions/node/v20.1.0"])
    #expect(program.searchPath.first == Path(bin))
  }
}
