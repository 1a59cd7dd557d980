import Testing

@testable import Programs

/// A shim as `pyenv rehash` writes it.
func pyenvShim(_ root: String, _ manager: String = "pyenv") -> String {
  """
  #!/usr/bin/env bash
  set -e
  [ -n "$PYENV_DEBUG" ] && set -x

  program="${0##*/}"

  export PYENV_ROOT="\(root)"
  exec "\(root)/libexec/\(manager)" exec "$program" "$@"
  """
}

func addPython(_ files: inout MemoryFiles, _ prefix: String, _ version: String) {
  files.elf(Path("\(prefix)/bin/python\(version)"))
  files.link(Path("\(prefix)/bin/python3"), "python\(version)")
  files.link(Path("\(prefix)/bin/python"), "python3")
  files.file(Path("\(prefix)/lib/python\(version)/os.py"))
}

@Suite struct ProgramsPyenvTests {
  private let root = "/home/me/.pyenv"
  private var path: String { "\(root)/shims:\(root)/bin:\(systemPath)" }

  private func machine(_ build: (inout MemoryFiles) -> Void = { _ in }) -> MemoryFiles {
    debian { files in
      for name in ["python", "python3", "pip", "tox"] {
        files.script(Path("\(root)/shims/\(name)"), pyenvShim(root))
      }
      for (version, minor) in [
        ("3.9.18", "3.9"), ("3.11.7", "3.11"), ("3.11.10", "3.11"), ("3.11.12rc1", "3.11"),
        ("3.11-dev", "3.11"), ("3.12.1", "3.12"),
      ] {
        addPython(&files, "\(root)/versions/\(version)", minor)
        files.script(
          Path("\(root)/versions/\(version)/bin/pip"), "#!\(root)/versions/\(version)/bin/python3\n"
        )
      }
      files.script(
        Path("\(root)/versions/3.9.18/bin/tox"), "#!\(root)/versions/3.9.18/bin/python3\n")
      files.file(Path("\(root)/version"), "3.11.7\n")
      build(&files)
    }
  }

  @Test func theShimIsResolvedWithoutRunningIt() throws {
    let program = try resolve(machine(), "python3", ["agent.py"], path: path)
    #expect(program.executable == Path("\(root)/versions/3.11.7/bin/python3.11"))
    #expect(program.words == ["\(root)/versions/3.11.7/bin/python3", "agent.py"])
    #expect(program.mounted == ["\(root)/versions/3.11.7"])
    #expect(program.variable("PYENV_VERSION") == "3.11.7")
    #expect(
      program.searchPath
        == [Path("\(root)/versions/3.11.7/bin"), "/usr/local/bin", "/usr/bin"])
    #expect(
      program.trail.first
        == "python3 is a pyenv shim (version from \(root)/version) -> "
        + "\(root)/versions/3.11.7/bin/python3")
  }

  @Test(arguments: [
    ("3.12.1\n", "3.12.1"), ("3.12", "3.12.1"), ("3.11", "3.11.10"), ("3", "3.12.1"),
    ("python-3.9.18", "3.9.18"), ("# comment\n\n 3.9.18 ignored words\r\n", "3.9.18"),
    ("3.11-dev", "3.11-dev"), ("3.11.12rc1", "3.11.12rc1"), ("", "3.11.7"), ("\n#x\n", "3.11.7"),
  ]) func versionFilesAreRead(_ text: String, _ expected: String) throws {
    let files = machine { $0.file("/home/me/work/.python-version", text) }
    let program = try resolve(files, "python", path: path)
    #expect(program.mounted == ["\(root)/versions/\(expected)"])
  }

  @Test func theNearestFileAndTheVariableCount() throws {
    let files = machine {
      $0.file("/home/me/work/.python-version", "3.9.18")
      $0.file("/home/me/work/a/b/.python-version", "3.12.1")
      $0.directory("/home/me/work/a/b/c")
      $0.directory("/home/me/work/d")
    }
    func version(_ directory: Path, _ variables: [String: String] = [:]) throws -> String? {
      try resolve(
        files, "python", path: path, variables, workingDirectory: directory,
        workspace: "/home/me/work"
      ).variable("PYENV_VERSION")
    }
    #expect(try version("/home/me/work/a/b/c") == "3.12.1")
    #expect(try version("/home/me/work/d") == "3.9.18")
    #expect(try version("/home/me/work/d", ["PYENV_VERSION": "3.11.7:3.9.18"]) == "3.11.7")
    #expect(try version("/home/me") == "3.11.7")
  }

  @Test func theFirstVersionWithTheCommandCounts() throws {
    let files = machine { $0.file("/home/me/work/.python-version", "3.12.1\n3.9.18\n") }
    let program = try resolve(files, "tox", path: path)
    #expect(program.executable == Path("\(root)/versions/3.9.18/bin/python3.9"))
    #expect(program.words.last == "\(root)/versions/3.9.18/bin/tox")
    #expect(program.mounted == ["\(root)/versions/3.9.18"])
  }

  @Test func systemIsThePathWithoutShims() throws {
    let files = machine { $0.file("/home/me/work/.python-version", "system") }
    let program = try resolve(files, "python3", path: path)
    #expect(program.executable == "/usr/bin/python3.11")
    #expect(program.mounted == [])
    #expect(!program.searchPath.contains(Path("\(root)/shims")))
    let none = machine { $0.remove(Path("\(root)/version")) }
    #expect(try resolve(none, "python3", path: path).executable == "/usr/bin/python3.11")
    #expect(
      reason { () throws(ProgramError) in try resolve(files, "tox", path: path) }
        == .commandNotInVersion)
  }

  @Test func aMissingVersionIsNamed() {
    let files = machine { $0.file("/home/me/work/.python-version", "3.8.1") }
    do {
      _ = try resolve(files, "python", path: path)
      Issue.record("3.8.1 is not installed")
    } catch {
      #expect(error.reason == .versionMissing)
      #expect(
        error.description
          == "pyenv: version 3.8.1 is not in \(root)/versions (from /home/me/work/.python-version)")
      #expect(error.hint == "pyenv install 3.8.1")
    }
  }

  @Test func virtualEnvironmentsOfPyenvAreFollowed() throws {
    let files = machine {
      $0.file(
        Path("\(root)/versions/3.12.1/envs/web/pyvenv.cfg"), "home = \(root)/versions/3.12.1/bin\n")
      $0.link(
        Path("\(root)/versions/3.12.1/envs/web/bin/python"),
        "\(root)/versions/3.12.1/bin/python3.12")
      $0.link(Path("\(root)/versions/web"), "\(root)/versions/3.12.1/envs/web")
      $0.file("/home/me/work/.python-version", "web")
    }
    let program = try resolve(files, "python", path: path)
    #expect(program.executable == Path("\(root)/versions/3.12.1/envs/web/bin/python"))
    #expect(program.mounted == ["\(root)/versions/3.12.1"])
    #expect(program.variable("PYENV_VERSION") == "web")
  }

  @Test func rbenvAndNodenvWorkAlike() throws {
    let files = debian {
      $0.script("/home/me/.rbenv/shims/ruby", pyenvShim("/home/me/.rbenv", "rbenv"))
      $0.elf("/home/me/.rbenv/versions/3.3.0/bin/ruby")
      $0.directory("/home/me/.rbenv/versions/3.3.0/lib/ruby")
      $0.file("/home/me/work/.ruby-version", "ruby-3.3.0\n")
      $0.script("/opt/nodenv/shims/node", pyenvShim("/opt/nodenv", "nodenv"))
      $0.elf("/opt/nodenv/versions/20.1.0/bin/node")
      $0.file("/opt/nodenv/version", "20.1.0\n")
    }
    let ruby = try resolve(files, "ruby", path: "/home/me/.rbenv/shims")
    #expect(ruby.mounted == ["/home/me/.rbenv/versions/3.3.0"])
    let node = try resolve(files, "node", path: "/opt/nodenv/shims")
    #expect(node.executable == "/opt/nodenv/versions/20.1.0/bin/node")
  }

  @Test func latestVersionsCompareByNumber() {
    func later(_ a: String, _ b: String) -> Bool {
      isLaterVersion(Array(a.utf8), than: Array(b.utf8))
    }
    #expect(later("3.11.10", "3.11.9"))
    #expect(!later("3.11.9", "3.11.10"))
    #expect(!later("3.11", "3.11"))
    #expect(later("3.11.0", "3.11"))
    #expect(later("20.0", "9.9"))
    #expect(!later("3.010", "3.10") && !later("3.10", "3.010"))
  }
}

@Suite struct ProgramsToolManagerTests {
  @Test func asdfReadsToolVersions() throws {
    let shim = """
      #!/usr/bin/env bash
      # asdf-plugin: python 3.11.7
      # asdf-plugin: python 3.12.1
      exec /home/me/.asdf/bin/asdf exec "python" "$@" # asdf_allow: ' asdf '
      """
    let files = debian {
      $0.script("/home/me/.asdf/shims/python", shim)
      for (version, minor) in [("3.11.7", "3.11"), ("3.12.1", "3.12")] {
        addPython(&$0, "/home/me/.asdf/installs/python/\(version)", minor)
      }
      $0.file("/home/me/.tool-versions", "nodejs 20\npython 3.11.7 # default\n")
      $0.file("/home/me/work/sub/.tool-versions", "python 9.9.9 3.12.1\n")
      $0.file("/home/me/work/sys/.tool-versions", "python system\n")
      $0.file("/home/me/work/path/.tool-versions", "python path:/home/me/.ssh\n")
    }
    func run(_ directory: Path, _ variables: [String: String] = [:]) throws(ProgramError)
      -> ResolvedProgram
    {
      try resolve(
        files, "python", path: "/home/me/.asdf/shims:\(systemPath)", variables,
        workingDirectory: directory)
    }
    #expect(try run("/home/me/work").mounted == ["/home/me/.asdf/installs/python/3.11.7"])
    #expect(try run("/home/me/work/sub").mounted == ["/home/me/.asdf/installs/python/3.12.1"])
    #expect(
      try run("/home/me/work", ["ASDF_PYTHON_VERSION": "3.12.1"]).mounted
        == ["/home/me/.asdf/installs/python/3.12.1"])
    #expect(
      reason { () throws(ProgramError) in try run("/home/me/work/path") } == .versionMalformed)
    #expect(
      reason { () throws(ProgramError) in try run("/home/me/work/sys") } == .commandNotInVersion)
    #expect(
      reason { () throws(ProgramError) in
        try run("/home/me/work", ["ASDF_PYTHON_VERSION": "1.0"])
      } == .versionMissing)
    #expect(
      reason { () throws(ProgramError) in try run("/opt") } == nil, "the home's file is the last")
  }

  @Test func miseReadsItsConfiguration() throws {
    let data = "/home/me/.local/share/mise"
    let files = debian {
      $0.elf("/home/me/.local/bin/mise")
      for name in ["python", "python3", "node", "rg", "prettier", "go", "none"] {
        $0.link(Path("\(data)/shims/\(name)"), "/home/me/.local/bin/mise")
      }
      addPython(&$0, "\(data)/installs/python/3.11.7", "3.11")
      addPython(&$0, "\(data)/installs/python/3.12.1", "3.12")
      $0.link(Path("\(data)/installs/python/3.12"), "./3.12.1")
      $0.elf(Path("\(data)/installs/node/20.1.0/bin/node"))
      $0.file(Path("\(data)/installs/node/20.1.0/include/node/node.h"))
      $0.elf(Path("\(data)/installs/ripgrep/14.0/ripgrep-14/rg"))
      $0.elf(Path("\(data)/installs/go/1.22/bin/go"))
      $0.script(
        Path("\(data)/installs/npm-prettier/3.0/bin/prettier"), "#!/usr/bin/env node\nx\n")
      $0.file(
        "/home/me/.config/mise/config.toml",
        """
        [settings]
        python = "1.0"
        [tools] # tools
        python = "3.11"   # prefix
        "npm:prettier" = "latest"
        ripgrep = ["14.0"]
        golang = { version = "1.22", postinstall = "x" }
        """)
      $0.file(
        "/home/me/work/mise.toml", "[tools]\npython = '3.12'\n[tools.node]\nversion = \"20\"\n")
    }
    func run(
      _ name: String, _ directory: Path = "/home/me/work", _ variables: [String: String] = [:]
    )
      throws(ProgramError) -> ResolvedProgram
    {
      try resolve(
        files, name, path: "\(data)/shims:\(systemPath)", variables, workingDirectory: directory)
    }
    let python = try run("python3")
    #expect(python.executable == Path("\(data)/installs/python/3.12.1/bin/python3.12"))
    #expect(python.mounted == ["\(data)/installs/python/3.12.1"])
    #expect(try run("python", "/opt").mounted == ["\(data)/installs/python/3.11.7"])
    #expect(
      try run("python", "/opt", ["MISE_PYTHON_VERSION": "3.12.1"]).mounted
        == ["\(data)/installs/python/3.12.1"])
    #expect(try run("node").mounted == ["\(data)/installs/node/20.1.0"])
    #expect(try run("rg").executable == Path("\(data)/installs/ripgrep/14.0/ripgrep-14/rg"))
    #expect(try run("go").executable == Path("\(data)/installs/go/1.22/bin/go"))
    let prettier = try run("prettier")
    #expect(prettier.executable == Path("\(data)/installs/node/20.1.0/bin/node"))
    #expect(prettier.words.last == "\(data)/installs/npm-prettier/3.0/bin/prettier")
    #expect(
      prettier.mounted
        == ["\(data)/installs/node/20.1.0", "\(data)/installs/npm-prettier/3.0/bin"])
    #expect(reason { () throws(ProgramError) in try run("none") } == .commandNotInVersion)
    let itself = try resolve(files, "/home/me/.local/bin/mise")
    #expect(itself.mounted == ["/home/me/.local/bin/mise"])
  }

  @Test func voltaReadsPackageFiles() throws {
    let home = "/home/me/.volta"
    let files = debian {
      $0.elf(Path("\(home)/bin/volta-shim"))
      for name in ["node", "npm", "yarn", "tsc"] {
        $0.link(Path("\(home)/bin/\(name)"), "volta-shim")
      }
      for version in ["18.2.0", "20.1.0"] {
        let image = "\(home)/tools/image/node/\(version)"
        $0.elf(Path("\(image)/bin/node"))
        $0.file(Path("\(image)/include/node/node.h"))
        $0.link(Path("\(image)/bin/npm"), "../lib/node_modules/npm/bin/npm-cli.js")
        $0.script(Path("\(image)/lib/node_modules/npm/bin/npm-cli.js"), "#!/usr/bin/env node\n")
      }
      $0.file(
        Path("\(home)/tools/user/platform.json"),
        #"{"node": {"runtime": "18.2.0", "npm": null}, "yarn": null}"#)
      $0.file(
        Path("\(home)/tools/user/bins/tsc.json"),
        #"{"name": "tsc", "package": "typescript", "platform": {"node": "20.1.0"}}"#)
      $0.script(
        Path("\(home)/tools/image/packages/typescript/bin/tsc"), "#!/usr/bin/env node\n")
      $0.file("/home/me/work/package.json", #"{"name": "x", "volta": {"node": "20.1.0"}}"#)
    }
    let path = "\(home)/bin:\(systemPath)"
    let node = try resolve(files, "node", ["a.js"], path: path)
    #expect(node.mounted == ["\(home)/tools/image/node/20.1.0"])
    #expect(!node.searchPath.contains(Path("\(home)/bin")))
    let outside = try resolve(files, "node", path: path, workingDirectory: "/opt")
    #expect(outside.mounted == ["\(home)/tools/image/node/18.2.0"])
    let npm = try resolve(files, "npm", ["ci"], path: path)
    #expect(npm.executable == Path("\(home)/tools/image/node/20.1.0/bin/node"))
    #expect(npm.words == ["node", "\(home)/tools/image/node/20.1.0/bin/npm", "ci"])
    let tsc = try resolve(files, "tsc", path: path)
    #expect(tsc.executable == Path("\(home)/tools/image/node/20.1.0/bin/node"))
    #expect(
      reason { () throws(ProgramError) in try resolve(files, "yarn", path: path) } == .versionUnset)
  }

  @Test func fnmAndNvmAreOrdinaryPrefixes() throws {
    let files = debian {
      let install = "/home/me/.local/share/fnm/node-versions/v20.1.0/installation"
      $0.elf(Path("\(install)/bin/node"))
      $0.file(Path("\(install)/include/node/node.h"))
      $0.link("/home/me/.local/state/fnm_multishells/12_34", install)
    }
    let program = try resolve(
      files, "node", path: "/home/me/.local/state/fnm_multishells/12_34/bin")
    #expect(
      program.mounted == ["/home/me/.local/share/fnm/node-versions/v20.1.0/installation"])
    #expect(
      program.searchPath.first
        == "/home/me/.local/share/fnm/node-versions/v20.1.0/installation/bin")
  }

  @Test func rustupToolchainsAreResolved() throws {
    let files = debian {
      $0.elf("/home/me/.cargo/bin/rustup")
      $0.link("/home/me/.cargo/bin/cargo", "rustup")
      for toolchain in ["stable-x86_64-unknown-linux-gnu", "1.80.0-x86_64-unknown-linux-gnu"] {
        $0.elf(Path("/home/me/.rustup/toolchains/\(toolchain)/bin/cargo"))
        $0.directory(Path("/home/me/.rustup/toolchains/\(toolchain)/lib/rustlib"))
      }
      $0.file(
        "/home/me/.rustup/settings.toml",
        "default_toolchain = \"stable-x86_64-unknown-linux-gnu\"\n[overrides]\n")
      $0.file("/home/me/work/rust-toolchain.toml", "[toolchain]\nchannel = \"1.80.0\"\n")
    }
    let path = "/home/me/.cargo/bin:\(systemPath)"
    let pinned = try resolve(files, "cargo", ["build"], path: path)
    #expect(
      pinned.mounted == ["/home/me/.rustup/toolchains/1.80.0-x86_64-unknown-linux-gnu"])
    #expect(pinned.variable("RUSTUP_TOOLCHAIN") == "1.80.0-x86_64-unknown-linux-gnu")
    let usual = try resolve(files, "cargo", path: path, workingDirectory: "/opt")
    #expect(
      usual.mounted == ["/home/me/.rustup/toolchains/stable-x86_64-unknown-linux-gnu"])
  }
}
