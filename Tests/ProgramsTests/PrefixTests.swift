import Testing

@testable import Programs

@Suite struct ProgramsPrefixTests {
  @Test func anInterpretersPrefixIsMounted() throws {
    let files = debian {
      $0.elf("/home/me/miniconda3/bin/python3.12")
      $0.link("/home/me/miniconda3/bin/python", "python3.12")
      $0.file("/home/me/miniconda3/lib/python3.12/os.py")
      $0.directory("/home/me/miniconda3/conda-meta")
      $0.elf("/home/me/node-v20/bin/node")
      $0.file("/home/me/node-v20/include/node/node.h")
      $0.elf("/home/me/.sdkman/candidates/java/21/bin/java")
      $0.file("/home/me/.sdkman/candidates/java/21/lib/modules")
      $0.link("/home/me/.sdkman/candidates/java/current", "21")
    }
    let conda = try resolve(
      files, "python", path: "/home/me/miniconda3/bin:/usr/bin",
      ["CONDA_PREFIX": "/home/me/miniconda3", "VIRTUAL_ENV": "/home/me/other"])
    #expect(conda.executable == "/home/me/miniconda3/bin/python3.12")
    #expect(conda.words == ["/home/me/miniconda3/bin/python"])
    #expect(conda.mounted == ["/home/me/miniconda3"])
    #expect(conda.variable("CONDA_PREFIX") == "/home/me/miniconda3")
    #expect(conda.variable("VIRTUAL_ENV") == nil)
    #expect(conda.searchPath == ["/home/me/miniconda3/bin", "/usr/bin", "/usr/local/bin"])
    #expect(try resolve(files, "/home/me/node-v20/bin/node").mounted == ["/home/me/node-v20"])
    let java = try resolve(files, "/home/me/.sdkman/candidates/java/current/bin/java")
    #expect(java.mounted == ["/home/me/.sdkman/candidates/java/21"])
    #expect(java.linked == ["/home/me/.sdkman/candidates/java/current -> 21"])
  }

  @Test func anotherProgramOfTheHomeIsOneFileWithItsLibraries() throws {
    let files = debian {
      $0.elf("/home/me/project/bin/tool")
      $0.file("/home/me/project/secret")
      $0.file("/home/me/project/lib/data")
      $0.elf("/home/me/.local/bin/tool")
      $0.file("/home/me/.local/share/keyrings/login")
      $0.elf("/home/me/.cargo/bin/rg")
      $0.file("/home/me/.cargo/credentials.toml", "SECRET")
      $0.elf("/home/me/tool")
      $0.elf("/home/me/bin/tool")
    }
    #expect(
      try resolve(files, "/home/me/project/bin/tool").mounted
        == ["/home/me/project/bin/tool", "/home/me/project/lib"])
    for path in ["/.local/bin/tool", "/.cargo/bin/rg", "/tool", "/bin/tool"] {
      #expect(try resolve(files, "/home/me" + path).mounted == ["/home/me" + path])
    }
  }

  @Test func outsideTheHomeThePrefixIsMounted() throws {
    let files = debian {
      $0.elf("/opt/swift/usr/bin/swift-driver")
      $0.link("/opt/swift/usr/bin/swift", "swift-driver")
      $0.elf("/opt/app/tool")
      $0.elf("/opt/tool")
      $0.elf("/tmp/bin/tool")
      $0.elf("/home/other/bin/tool")
      $0.link("/usr/local/bin/app", "/opt/app/tool")
    }
    let swift = try resolve(files, "swift", path: "/opt/swift/usr/bin")
    #expect(swift.executable == "/opt/swift/usr/bin/swift-driver")
    #expect(swift.words == ["swift"])
    #expect(swift.mounted == ["/opt/swift/usr"])
    #expect(try resolve(files, "app").mounted == ["/opt/app"])
    #expect(try resolve(files, "/opt/tool").mounted == ["/opt/tool"])
    #expect(try resolve(files, "/tmp/bin/tool").mounted == ["/tmp/bin/tool"])
    #expect(try resolve(files, "/home/other/bin/tool").mounted == ["/home/other/bin/tool"])
  }

  @Test func aPythonInABroadPrefixBringsItsLibraryOnly() throws {
    let files = debian {
      $0.elf("/home/me/.local/bin/python3.13")
      $0.file("/home/me/.local/lib/python3.13/os.py")
      $0.file("/home/me/.local/share/secret")
    }
    #expect(
      try resolve(files, "/home/me/.local/bin/python3.13").mounted
        == ["/home/me/.local/bin/python3.13", "/home/me/.local/lib/python3.13"])
  }

  @Test func aWorkspaceInsideThePrefixKeepsItsNeighboursHidden() throws {
    let files = debian {
      $0.elf("/srv/app/bin/python3.12")
      $0.file("/srv/app/lib/python3.12/os.py")
      $0.file("/srv/app/other-agent/secret")
      $0.directory("/srv/app/work")
    }
    let program = try resolve(
      files, "/srv/app/bin/python3.12", workingDirectory: "/srv/app/work",
      workspace: "/srv/app/work")
    #expect(program.mounted == ["/srv/app/bin/python3.12", "/srv/app/lib/python3.12"])
  }

  @Test func storesAreMountedWhole() throws {
    let files = debian {
      $0.elf(
        "/nix/store/aaa-hello/bin/hello", loader: "/nix/store/bbb-glibc/lib/ld.so",
        needed: ["libc.so.6"], runpath: "/nix/store/bbb-glibc/lib")
      $0.elf("/nix/store/bbb-glibc/lib/ld.so", loader: nil)
      $0.elf("/nix/store/bbb-glibc/lib/libc.so.6", loader: nil)
      $0.link("/home/me/.nix-profile", "/nix/var/profile")
      $0.link("/nix/var/profile", "/nix/store/ccc-env")
      $0.link("/nix/store/ccc-env/bin/hello", "/nix/store/aaa-hello/bin/hello")
      $0.elf("/home/linuxbrew/.linuxbrew/Cellar/jq/1.7/bin/jq")
      $0.link("/home/linuxbrew/.linuxbrew/bin/jq", "../Cellar/jq/1.7/bin/jq")
    }
    let hello = try resolve(files, "hello", path: "/home/me/.nix-profile/bin")
    #expect(hello.executable == "/nix/store/aaa-hello/bin/hello")
    #expect(hello.mounted == ["/nix/store"])
    #expect(
      hello.linked == [
        "/home/me/.nix-profile -> /nix/var/profile", "/nix/var/profile -> /nix/store/ccc-env",
      ])
    let jq = try resolve(files, "/home/linuxbrew/.linuxbrew/bin/jq")
    #expect(jq.mounted == ["/home/linuxbrew/.linuxbrew"])
  }

  @Test func librariesAreFoundByTheirRunpath() throws {
    let files = debian {
      $0.elf(
        "/home/me/apps/tool", needed: ["libone.so", "libc.so.6", "/opt/exact/lib.so"],
        runpath: "$ORIGIN/../lib/tool:/opt/none:/opt/libs")
      $0.elf("/home/me/lib/tool/libone.so", loader: nil, needed: ["libtwo.so"], runpath: "/opt/two")
      $0.elf("/opt/two/libtwo.so.2", loader: nil, needed: ["libone.so"], runpath: "/opt/two")
      $0.link("/opt/two/libtwo.so", "libtwo.so.2")
      $0.elf("/opt/exact/lib.so", loader: nil)
    }
    let program = try resolve(files, "/home/me/apps/tool")
    #expect(
      program.mounted
        == ["/home/me/apps/tool", "/home/me/lib/tool", "/opt/exact", "/opt/two"])
  }

  @Test func aForeignLoaderIsNamed() throws {
    let files = debian {
      $0.elf("/usr/bin/musl", loader: "/lib/ld-musl-x86_64.so.1")
      $0.elf("/usr/bin/fake", loader: "/etc/passwd")
      $0.file("/etc/passwd", "root")
      $0.elf("/usr/bin/own", loader: "/opt/glibc/lib/ld.so")
      $0.elf("/opt/glibc/lib/ld.so", loader: nil)
      $0.bytes("/usr/bin/arm", elfBytes(loader: nil, machine: 183))
      var small = elfBytes(loader: nil)
      small[4] = 1
      $0.bytes("/usr/bin/i386", small)
      $0.bytes("/usr/bin/cut", Array(elfBytes(loader: nil).prefix(30)))
    }
    #expect(reason { () throws(ProgramError) in try resolve(files, "musl") } == .loaderMissing)
    #expect(reason { () throws(ProgramError) in try resolve(files, "fake") } == .loaderMissing)
    #expect(reason { () throws(ProgramError) in try resolve(files, "arm") } == .wrongMachine)
    #expect(reason { () throws(ProgramError) in try resolve(files, "i386") } == .wrongMachine)
    #expect(reason { () throws(ProgramError) in try resolve(files, "cut") } == .notRunnable)
    #expect(try resolve(files, "own").mounted == ["/opt/glibc/lib/ld.so"])
  }

  @Test func aLinkOnTheWayToTheLoaderIsMadeInside() throws {
    let resolver = ProgramResolver(
      files: debian(), environment: CallerEnvironment(["PATH": "/usr/bin"]),
      workingDirectory: "/home/me/work", visible: ["/usr"], workspace: "/home/me/work",
      machine: .amd64)
    #expect(try resolver.resolve(command: "bash", arguments: []).linked == ["/lib64 -> usr/lib64"])
  }

  @Test func anythingIsVisibleWhenTheRootIs() throws {
    let files = debian { $0.elf("/home/me/.cargo/bin/rg") }
    let resolver = ProgramResolver(
      files: files, environment: CallerEnvironment(["PATH": "/home/me/.cargo/bin"]),
      workingDirectory: "/home/me", visible: ["/"], workspace: "/home/me/work", machine: .amd64)
    let program = try resolver.resolve(command: "rg", arguments: [])
    #expect(program.reads == [])
    #expect(program.links == [])
  }

  @Test func multiplexersSeeTheNameTheyWereCalledBy() throws {
    let files = debian {
      $0.elf("/opt/busybox/bin/busybox")
      $0.link("/opt/busybox/bin/ls", "busybox")
    }
    let program = try resolve(files, "ls", path: "/opt/busybox/bin")
    #expect(program.executable == "/opt/busybox/bin/busybox")
    #expect(program.words == ["ls"])
  }
}
