import Testing

@testable import Programs

@Suite struct ProgramsPythonTests {
  private let base = "/home/me/.local/share/uv/python/cpython-3.12.1-linux"

  /// A uv-managed Python, a virtual environment in the workspace and one outside.
  private func machine(_ build: (inout MemoryFiles) -> Void = { _ in }) -> MemoryFiles {
    debian { files in
      files.elf(
        Path("\(base)/bin/python3.12"), needed: ["libpython3.12.so.1.0"], runpath: "$ORIGIN/../lib")
      files.elf(Path("\(base)/lib/libpython3.12.so.1.0"), loader: nil)
      files.link(Path("\(base)/bin/python3"), "python3.12")
      files.file(Path("\(base)/lib/python3.12/os.py"))
      files.link(
        "/home/me/.local/share/uv/python/cpython-3.12-linux", "cpython-3.12.1-linux")
      for root in ["/home/me/work/.venv", "/home/me/.venvs/tools"] {
        files.file(
          Path("\(root)/pyvenv.cfg"),
          "home = /home/me/.local/share/uv/python/cpython-3.12-linux/bin\n"
            + "include-system-site-packages = false\n")
        files.link(
          Path("\(root)/bin/python"),
          "/home/me/.local/share/uv/python/cpython-3.12-linux/bin/python3.12")
        files.link(Path("\(root)/bin/python3"), "python")
        files.directory(Path("\(root)/lib/python3.12/site-packages"))
      }
      build(&files)
    }
  }

  @Test func theEnvironmentKeepsItsPath() throws {
    let program = try resolve(
      machine(), "python", ["agent.py"], path: "/home/me/work/.venv/bin:\(systemPath)",
      ["VIRTUAL_ENV": "/home/me/work/.venv"])
    #expect(program.executable == "/home/me/work/.venv/bin/python")
    #expect(program.mounted == [base])
    #expect(
      program.linked
        == ["/home/me/.local/share/uv/python/cpython-3.12-linux -> cpython-3.12.1-linux"])
    #expect(program.variable("VIRTUAL_ENV") == "/home/me/work/.venv")
    #expect(program.searchPath.first == "/home/me/work/.venv/bin")
    let byPath = try resolve(machine(), ".venv/bin/python3", ["agent.py"])
    #expect(byPath.executable == "/home/me/work/.venv/bin/python3")
    #expect(byPath.words == [".venv/bin/python3", "agent.py"])
    #expect(byPath.mounted == [base])
  }

  @Test func anEnvironmentOutsideIsMountedWithItsBase() throws {
    let program = try resolve(machine(), "/home/me/.venvs/tools/bin/python3", ["-m", "x"])
    #expect(program.executable == "/home/me/.venvs/tools/bin/python3")
    #expect(program.mounted == [base, "/home/me/.venvs/tools"])
  }

  @Test func aConsoleScriptRunsInItsEnvironment() throws {
    let files = machine {
      $0.script("/home/me/.venvs/tools/bin/black", "#!/home/me/.venvs/tools/bin/python\nimport x\n")
      $0.link("/home/me/.local/bin/black", "/home/me/.venvs/tools/bin/black")
    }
    let program = try resolve(files, "black", ["a.py"], path: "/home/me/.local/bin")
    #expect(program.executable == "/home/me/.venvs/tools/bin/python")
    #expect(
      program.words
        == ["/home/me/.venvs/tools/bin/python", "/home/me/.local/bin/black", "a.py"])
    #expect(program.mounted == [base, "/home/me/.venvs/tools"])
    #expect(program.linked.contains("/home/me/.local/bin/black -> /home/me/.venvs/tools/bin/black"))
  }

  @Test func anEnvironmentInTheHomeDirectoryIsMountedInParts() throws {
    let files = debian {
      $0.file("/home/me/pyvenv.cfg", "home = /usr/bin\n")
      $0.link("/home/me/bin/python", "/usr/bin/python3.11")
      $0.directory("/home/me/lib/python3.11/site-packages")
      $0.link("/home/me/lib64", "lib")
    }
    let program = try resolve(files, "/home/me/bin/python")
    #expect(program.executable == "/home/me/bin/python")
    #expect(program.mounted == ["/home/me/lib", "/home/me/pyvenv.cfg"])
    #expect(
      program.linked == ["/home/me/bin/python -> /usr/bin/python3.11", "/home/me/lib64 -> lib"])
  }

  @Test func copiesFollowHome() throws {
    let files = machine {
      $0.elf("/home/me/.venvs/copied/bin/python")
      $0.file("/home/me/.venvs/copied/pyvenv.cfg", "home=\(base)/bin\r\nversion = 3.12.1\r\n")
    }
    let program = try resolve(files, "/home/me/.venvs/copied/bin/python")
    #expect(program.mounted == [base, "/home/me/.venvs/copied"])
  }

  @Test func anEnvironmentOfAnEnvironment() throws {
    let files = machine {
      $0.file("/home/me/.venvs/inner/pyvenv.cfg", "home = /home/me/.venvs/tools/bin\n")
      $0.link("/home/me/.venvs/inner/bin/python", "/home/me/.venvs/tools/bin/python")
    }
    let program = try resolve(files, "/home/me/.venvs/inner/bin/python")
    #expect(program.executable == "/home/me/.venvs/inner/bin/python")
    #expect(program.mounted == [base, "/home/me/.venvs/inner", "/home/me/.venvs/tools"])
  }

  @Test func aLinkToAnEnvironmentIsNotTheEnvironment() throws {
    let files = machine { $0.link("/home/me/bin/py", "/home/me/.venvs/tools/bin/python") }
    let program = try resolve(files, "/home/me/bin/py")
    #expect(program.executable == Path("\(base)/bin/python3.12"))
    #expect(program.mounted == [base])
  }

  @Test func theUsersPackagesAreMounted() throws {
    let site = "/home/me/.local/lib/python3.11/site-packages"
    let files = machine {
      $0.directory(Path(site))
      $0.file(
        "/home/me/work/system/pyvenv.cfg", "home = /usr/bin\ninclude-system-site-packages = True\n")
      $0.link("/home/me/work/system/bin/python", "/usr/bin/python3.11")
      $0.file("/home/me/work/closed/pyvenv.cfg", "home = /usr/bin\n")
      $0.link("/home/me/work/closed/bin/python", "/usr/bin/python3.11")
    }
    #expect(try resolve(files, "python3", ["a.py"]).mounted == [site])
    #expect(try resolve(files, "system/bin/python", ["a.py"]).mounted == [site])
    #expect(try resolve(files, "closed/bin/python", ["a.py"]).mounted == [])
    #expect(try resolve(files, "python3", ["-I", "a.py"]).mounted == [])
    #expect(try resolve(files, "python3", ["-us", "a.py"]).mounted == [])
    #expect(try resolve(files, "python3", ["a.py"], ["PYTHONNOUSERSITE": "1"]).mounted == [])
  }

  @Test func pythonHomeNeedsALibrary() throws {
    let files = machine { $0.file("/opt/py/lib/python3.11/os.py") }
    let program = try resolve(
      files, "python3", ["a.py"],
      ["PYTHONHOME": "/opt/py"])
    #expect(program.mounted == ["/opt/py"])
    #expect(program.variable("PYTHONHOME") == "/opt/py")
    let bad = try resolve(files, "python3", [], ["PYTHONHOME": "/home/me/.ssh"])
    #expect(bad.mounted == [])
    #expect(bad.variable("PYTHONHOME") == nil)
  }
}
