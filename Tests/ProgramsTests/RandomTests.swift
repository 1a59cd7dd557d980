import Testing

@testable import Programs

/// SplitMix64 (Steele, Lea, Flood 2014): the same trees for the same seed everywhere.
private struct Seeded: RandomNumberGenerator {
  var state: UInt64
  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }
}

@Suite struct ProgramsRandomTests {
  /// Whatever an agent writes into its workspace: no trap, and no secret becomes visible.
  @Test(arguments: 0..<4) func noWorkspaceShowsASecret(_ seed: UInt64) throws {
    var random = Seeded(state: seed)
    var resolved = 0
    var outside = 0
    for _ in 0..<40 {
      var files = base()
      fill(&files, &random)
      for command in ["./a", "b", "python", "node", "x/bin/python"] {
        let operand = names.randomElement(using: &random) ?? "a"
        guard
          let program = try? resolve(
            files, command, [operand], path: "/home/me/work:/home/me/.pyenv/shims:\(systemPath)")
        else { continue }
        resolved += 1
        outside += program.reads.count
        check(program, files)
      }
    }
    // The generator must reach the interesting paths, or the test proves nothing.
    #expect(resolved > 30 && outside > 5, "\(resolved) resolved, \(outside) mounts")
  }

  private let names = [
    "a", "b", "x/bin/python", "x/pyvenv.cfg", ".python-version", "x", "y/a", "c",
  ]

  private let targets = [
    "/home/me/.ssh", "/home/me/.ssh/id_ed25519", "/home/me", "/", "a", "b", "x", "../..", "y",
    "/usr/bin/python3.11", "/home/me/.pyenv/versions/3.12.1/bin/python3.12", "/opt/x/bin/tool",
    "/home/me/project", "/home/me/project/bin/tool", "/home/me/project/run.sh", "/usr/bin/dash",
    "/home/me/.pyenv/shims/python", "/home/me/.pyenv/versions/3.12.1", "/bin/sh", "/usr/bin/env",
    "/home/me/.aws", "/etc",
  ]

  private func base() -> MemoryFiles {
    debian { files in
      addPython(&files, "/home/me/.pyenv/versions/3.12.1", "3.12")
      files.script("/home/me/.pyenv/shims/python", pyenvShim("/home/me/.pyenv"))
      files.file("/home/me/.pyenv/version", "3.12.1")
      files.elf("/opt/x/bin/tool")
      files.elf("/home/me/project/bin/tool")
      files.file("/home/me/project/secret", "SECRET")
      files.script("/home/me/project/run.sh", "#!/bin/sh\n")
    }
  }

  private func fill(_ files: inout MemoryFiles, _ random: inout Seeded) {
    for name in names {
      let path = Path("/home/me/work/\(name)")
      if files.nodes[path.parent].map({ $0 != .directory }) == true { continue }
      let target = targets.randomElement(using: &random) ?? "a"
      let other = targets.randomElement(using: &random) ?? "b"
      switch Int.random(in: 0..<10, using: &random) {
      case 0...3: files.link(path, target)
      case 4: files.script(path, "#!\(target) \(other)\n")
      case 5: files.script(path, "#!/usr/bin/env -S \(target) \(other)\n")
      case 6: files.file(path, "home = \(target)\n3.12.1\n\(target)\n")
      case 7:
        files.elf(
          path, loader: Bool.random(using: &random) ? target : nil,
          needed: ["id_ed25519", target, "tool"], runpath: "\(target):\(other)")
      case 8: files.script(path, "#!/bin/sh\n'''exec' \"\(target)\" \"$0\" \"$@\"\n")
      default: files.directory(path)
      }
    }
  }

  private func check(_ program: ResolvedProgram, _ files: MemoryFiles) {
    for read in program.reads {
      for secret: Path in [
        "/home/me/.ssh/id_ed25519", "/home/me/.aws/credentials", "/home/me/project/secret",
        "/home/me/project/run.sh", "/home/me/work",
      ] {
        #expect(!secret.isWithin(read.path), "\(read.path) shows \(secret): \(program.trail)")
      }
      #expect(files.walkIfAny(read.path)?.real == read.path)
      #expect(!program.links.contains { $0.path.isWithin(read.path) })
    }
    let seen: [Path] = ["/usr", "/home/me/work"] + program.reads.map(\.path)
    let real = files.walkIfAny(program.executable)?.real
    #expect(real.map { real in seen.contains { real.isWithin($0) } } == true)
    for directory in program.searchPath {
      #expect(seen.contains { directory.isWithin($0) })
    }
  }

  @Test func damagedImagesNeitherTrapNorHang() {
    var random = Seeded(state: 7)
    let image = elfBytes(
      loader: "/lib64/ld-linux-x86-64.so.2", needed: ["libc.so.6"], runpath: "/opt/x")
    var parsed = 0
    for _ in 0..<3_000 {
      var bytes = image
      for _ in 0..<Int.random(in: 1...8, using: &random) {
        bytes[Int.random(in: 16..<bytes.count, using: &random)] = UInt8.random(
          in: 0...255, using: &random)
      }
      bytes = Array(bytes.prefix(Int.random(in: 0...bytes.count * 2, using: &random)))
      let result = try? ELFImage(machine: .amd64) { offset, count in
        guard offset < UInt64(bytes.count) else { return [] }
        return Array(bytes[Int(offset)...].prefix(count))
      }
      if result != nil { parsed += 1 }
    }
    #expect(parsed > 50)
  }

  @Test func garbageIsReadWithoutTraps() {
    var random = Seeded(state: 11)
    let alphabet = Array("#!/bin env -S'\"\\$ {}[]=:,\n\r\t\0toolsvlapyh.123é".utf8)
    for _ in 0..<3_000 {
      let count = Int.random(in: 0...80, using: &random)
      var bytes = (0..<count).map { _ in alphabet.randomElement(using: &random) ?? 0 }
      if Bool.random(using: &random) { bytes = Array("#!/usr/bin/env -S ".utf8) + bytes }
      _ = try? Shebang(head: bytes)
      _ = Shebang.trampoline(head: Array("#!/bin/sh\n'''exec' ".utf8) + bytes, directory: "/x")
      _ = try? EnvCommand(arguments: [Array("-S".utf8) + bytes]) { _ in [0x41] }
      _ = miseVersions(Array("[tools]\n".utf8) + bytes)
      _ = toolVersions(bytes)
      _ = jsonString(at: ["a", "b"], in: bytes)
      _ = Runtime(bytes)
      _ = Path(bytes).parent
      if let name = VersionName(bytes) {
        #expect(!name.text.contains("/") && name.text != ".." && name.text != ".")
      }
      let words = bytes.split(separator: 32).map {
        Resolution.Argument(bytes: Array($0), origin: .user)
      }
      for runtime: Runtime in [.python, .node, .shell, .perl, .ruby, .deno, .bun, .java] {
        _ = Operands(runtime: runtime, arguments: words)
      }
    }
  }
}
