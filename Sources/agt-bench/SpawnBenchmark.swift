internal import Glibc
internal import JSON
internal import Kernel
internal import Rings

/// A cold start of /bin/true. bubblewrap gets the very mounts that ring 3 has (read from `--explain
/// --json`) and ring 3's own seccomp program; a second line shows it with the few mounts of its manual.
enum SpawnBenchmark {
  static func run(_ arguments: [String]) throws {
    let runs = arguments.first.flatMap { Int($0) } ?? 40
    guard (1...1000).contains(runs) else { AgtBench.fail("agt-bench spawn RUNS: 1 to 1000") }
    let directory = try Bench.ownDirectory()
    try useMemoryForRun()
    let workspace = "/tmp/agt-bench-\(getpid())"
    try Files.makeDirectory(ByteString(workspace), mode: 0o755)
    defer { try? Files.remove(ByteString(workspace), directory: true) }
    var commands = [Bench.Command(name: "plain exec", words: ["/bin/true"])]
    let filter = try filterFile()
    defer { try? Files.remove(ByteString(filter)) }
    if let bubblewrap = Bench.find("bwrap") {
      let options = ["--unshare-all", "--new-session", "--die-with-parent", "--seccomp", "9"]
      commands.append(
        Bench.Command(
          name: "bubblewrap, same mounts, seccomp",
          words: [bubblewrap] + options + (try sameMounts(directory, workspace)) + ["/bin/true"],
          file: (filter, 9)))
      commands.append(
        Bench.Command(
          name: "bubblewrap, 5 mounts, seccomp",
          words: [bubblewrap] + options
            + [
              "--ro-bind", "/usr", "/usr", "--symlink", "usr/bin", "/bin", "--symlink", "usr/lib",
              "/lib", "--symlink", "usr/lib64", "/lib64", "--proc", "/proc", "--dev", "/dev",
              "--tmpfs", "/tmp", "--ro-bind", workspace, workspace, "/bin/true",
            ], file: (filter, 9)))
    }
    if let firejail = Bench.find("firejail") {
      commands.append(
        Bench.Command(
          name: "firejail",
          words: [
            firejail, "--quiet", "--noprofile", "--net=none", "--caps.drop=all", "--seccomp",
            "--private-tmp", "--private-dev", "/bin/true",
          ]))
    }
    if let crun = Bench.find("crun") { commands.append(try bundle(crun, workspace)) }
    for ring in [3, 2, 1] {
      commands.append(
        Bench.Command(
          name: "agt-run --ring \(ring)",
          words: [
            "\(directory)/agt-run", "--ring", "\(ring)", "--workspace", workspace, "--",
            "/bin/true",
          ]))
    }
    // What cannot run here is said and left out.
    commands = commands.filter { command in
      do throws(SyscallError) {
        _ = try Bench.time(command)
        return true
      } catch {
        Bench.say("left out: \(command.name): it does not run here")
        return false
      }
    }
    report(commands, try Bench.compare(commands, runs: runs), runs: runs)
  }

  /// /run is memory on a machine that was started by an init system. Where a container has it on a disk,
  /// all commands get one here: a disk that is told of each freed block costs a run directory 0.7 ms.
  private static func useMemoryForRun() throws(SyscallError) {
    guard geteuid() == 0 else { return }
    try Namespaces.unshare(.mount)
    try Mounts.makePrivate(ByteString("/"))
    let memory = try Mounts.create("tmpfs", options: [("mode", "0755")], [])
    let place = try Files.open(ByteString("/run"), O_DIRECTORY)
    try Mounts.attach(memory.raw, on: place.raw, object: "/run")
  }

  private static func report(_ commands: [Bench.Command], _ spreads: [Bench.Spread], runs: Int) {
    let reference = commands.firstIndex { $0.name.hasPrefix("bubblewrap, same") }
    Bench.say("cold start of /bin/true, \(runs) runs each in turn")
    Bench.say(
      Bench.left("", 34) + Bench.padded("median ms", 11) + Bench.padded("min", 8)
        + Bench.padded("p90", 8) + Bench.padded("× plain", 9) + Bench.padded("× bubblewrap", 14))
    for (command, spread) in zip(commands, spreads) {
      Bench.say(
        Bench.left(command.name, 34)
          + Bench.padded(Bench.fixed(spread.median / 1e6, 2), 11)
          + Bench.padded(Bench.fixed(spread.lowest / 1e6, 2), 8)
          + Bench.padded(Bench.fixed(spread.ninetieth / 1e6, 2), 8)
          + Bench.padded(Bench.fixed(spread.median / spreads[0].median, 2), 9)
          + Bench.padded(
            reference.map { Bench.fixed(spread.median / spreads[$0].median, 2) } ?? "-", 14))
    }
    Bench.say("")
  }

  /// Ring 3's program, the one that refuses without reporting, in a file.
  private static func filterFile() throws -> String {
    let compiled = try CompiledProfile(compiling: .shipped(3))
    let path = "/tmp/agt-bench-filter-\(getpid())"
    try Files.create(
      ByteString(path), mode: 0o600, contents: compiled.filter(violations: false))
    return path
  }

  private static func sameMounts(_ directory: String, _ workspace: String) throws -> [String] {
    let output = try Descriptors.memory(name: "explanation")
    let pid = try Processes.spawn(
      ByteString("\(directory)/agt-run"),
      arguments: [
        "agt-run", "--explain", "--json", "--workspace", workspace, "--", "/bin/true",
      ].map { ByteString($0) }, environment: Bench.environment, descriptors: [(output.raw, 1)])
    _ = try Processes.wait(pid, blocking: true)
    let plan = try JSONParser.parse(try Files.readFromStart(output.raw, limit: 1 << 20))
    let mounts = plan["steps"]?.arrayValue?.first { $0["step"]?.stringValue == "mounts" }
    var words: [String] = []
    for detail in mounts?["details"]?.arrayValue ?? [] {
      guard let text = detail.stringValue, !text.hasPrefix("/dev"), !text.hasPrefix("/proc/") else {
        continue
      }
      if let arrow = text.range(of: " -> ") {
        words += [
          "--symlink", String(text[arrow.upperBound...]), String(text[..<arrow.lowerBound]),
        ]
        continue
      }
      guard let colon = text.range(of: ": ") else { continue }
      let path = String(text[..<colon.lowerBound])
      if text.contains("private, empty") {
        words += ["--tmpfs", path]
      } else if text.contains("read-only") {
        words += ["--ro-bind", path, path]
      } else if path == "/proc" {
        words += ["--proc", "/proc"]
      }
    }
    return words + ["--dev", "/dev", "--remount-ro", "/", "--chdir", workspace]
  }

  /// An OCI bundle with the namespaces of ring 3 and the host's /usr.
  private static func bundle(_ crun: String, _ workspace: String) throws -> Bench.Command {
    let mount = { (source: String, type: String, target: String, options: [String]) -> JSONValue in
      .object([
        "destination": .string(target), "type": .string(type), "source": .string(source),
        "options": JSONValue(options),
      ])
    }
    let config: JSONValue = .object([
      "ociVersion": "1.0.2",
      "process": .object([
        "terminal": false, "cwd": "/", "args": .array(["/usr/bin/true"]),
        "user": .object(["uid": 65534, "gid": 65534]), "noNewPrivileges": true,
        "env": .array(["PATH=/usr/bin"]),
      ]),
      "root": .object(["path": "rootfs", "readonly": true]),
      "mounts": .array([
        mount("proc", "proc", "/proc", []), mount("tmpfs", "tmpfs", "/tmp", ["nosuid", "nodev"]),
        mount("tmpfs", "tmpfs", "/dev", ["nosuid"]),
        mount("/usr", "bind", "/usr", ["rbind", "ro"]),
        mount("/lib", "bind", "/lib", ["rbind", "ro"]),
        mount("/lib64", "bind", "/lib64", ["rbind", "ro"]),
      ]),
      "linux": .object([
        "namespaces": .array(
          ["pid", "mount", "ipc", "uts", "network", "cgroup"].map {
            .object(["type": .string($0)])
          })
      ]),
    ])
    let bundle = "/tmp/agt-bench-crun"
    for path in ["", "/rootfs"] {
      do throws(SyscallError) {
        try Files.makeDirectory(ByteString(bundle + path), mode: 0o755)
      } catch {
        if error.errno != EEXIST { throw error }
      }
    }
    try? Files.remove(ByteString("\(bundle)/config.json"))
    try Files.create(
      ByteString("\(bundle)/config.json"), mode: 0o644, contents: JSONWriter.pretty(config))
    return Bench.Command(
      name: "crun", words: [crun, "run", "--bundle", bundle, "agt-bench-\(getpid())"])
  }
}

extension String {
  /// The first place of a short text; the standard library alone has no search.
  fileprivate func range(of text: String) -> Range<String.Index>? {
    var start = startIndex
    while start < endIndex {
      if self[start...].hasPrefix(text) { return start..<index(start, offsetBy: text.count) }
      start = index(after: start)
    }
    return nil
  }
}
