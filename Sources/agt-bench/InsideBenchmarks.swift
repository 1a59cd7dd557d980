internal import Glibc
internal import Kernel

/// System calls inside ring 3 beside bare ones.
enum CallBenchmark {
  private static let rounds = 200_000

  static func run() throws(SyscallError) {
    let own = "\(try Bench.ownDirectory())/agt-bench"
    let ring = ["\(try Bench.ownDirectory())/agt-run", "--ring", "3", "--quiet", "--"]
    var bare: [String: [Double]] = [:]
    var inside: [String: [Double]] = [:]
    // In turn, so that both see the same machine.
    for _ in 0..<5 {
      for (name, value) in try Bench.measure([own, "calls-inside"]) {
        bare[name, default: []].append(value)
      }
      for (name, value) in try Bench.measure(ring + [own, "calls-inside"]) {
        inside[name, default: []].append(value)
      }
    }
    Bench.say("system calls, nanoseconds, median of 5 runs of \(rounds)")
    for name in bare.keys.sorted() {
      let outside = bare[name]!.sorted()[2]
      let within = inside[name]!.sorted()[2]
      Bench.say(
        Bench.left(name, 34) + "bare " + Bench.padded(Bench.fixed(outside, 1), 8) + "   ring 3 "
          + Bench.padded(Bench.fixed(within, 1), 8) + "   ×" + Bench.fixed(within / outside, 2))
    }
    Bench.say("")
  }

  /// Prints `name nanoseconds` lines.
  static func inside() {
    let getppidNanoseconds = perRound { _ = getppid() }
    let open = perRound {
      // SAFETY: the path is a literal.
      let number = unsafe Glibc.open("/usr/bin/env", O_RDONLY | O_CLOEXEC)
      if number >= 0 { close(number) }
    }
    Bench.say("getppid \(getppidNanoseconds)")
    Bench.say("open+close \(open)")
  }

  private static func perRound(_ body: () -> Void) -> Double {
    let began = Clock.monotonicNanoseconds()
    for _ in 0..<rounds { body() }
    return Double(Clock.monotonicNanoseconds() - began) / Double(rounds)
  }
}

/// Real work inside a ring beside the same work bare.
enum WorkBenchmark {
  static func run() throws(SyscallError) {
    let directory = try Bench.ownDirectory()
    let place = "/tmp/agt-bench-work-\(getpid())"
    guard let shell = Bench.find("sh"), let git = Bench.find("git"),
      let python = Bench.find("python3")
    else { return Bench.say("left out: work needs sh, git and python3") }
    let prepare = """
      set -e; mkdir -p \(place)/tree; cd \(place)/tree; cp -r /usr/lib/python3.11/email .
      for d in $(seq 100); do mkdir d$d; for f in $(seq 50); do echo $f > d$d/$f.txt; done; done
      \(git) init -q .; \(git) -c user.name=x -c user.email=x@x add . ; \(git) -c user.name=x -c user.email=x@x commit -qm x
      """
    _ = try Bench.time(Bench.Command(name: "prepare", words: [shell, "-c", prepare]))
    defer {
      _ = try? Bench.time(Bench.Command(name: "clean", words: [shell, "-c", "rm -rf \(place)"]))
    }
    let compile = "for i in 1 2 3 4; do \(python) -m compileall -qf \(place)/tree/email; done"
    let status =
      "cd \(place)/tree; for i in $(seq 40); do \(git) -c safe.directory='*' status -s; done"
    let ring = ["\(directory)/agt-run", "--ring", "2", "--quiet", "--workspace", place, "--"]
    let commands = [
      Bench.Command(name: "python -m compileall", words: [shell, "-c", compile]),
      Bench.Command(name: "python -m compileall", words: ring + [shell, "-c", compile]),
      Bench.Command(name: "git status of 5,000 files", words: [shell, "-c", status]),
      Bench.Command(name: "git status of 5,000 files", words: ring + [shell, "-c", status]),
      Bench.Command(name: "the start of the ring", words: ring + [shell, "-c", ":"]),
    ]
    let spreads = try Bench.compare(commands, runs: 7)
    let start = spreads[commands.count - 1].median
    Bench.say(
      "work inside of ring 2, milliseconds, median of 7 runs in turn, less the start and end of the ring ("
        + Bench.fixed(start / 1e6, 1) + ")")
    for index in stride(from: 0, to: commands.count - 1, by: 2) {
      let bare = spreads[index].median
      let inside = spreads[index + 1].median - start
      Bench.say(
        Bench.left(commands[index].name, 34) + "bare " + Bench.padded(Bench.fixed(bare / 1e6, 1), 8)
          + "   ring 2 " + Bench.padded(Bench.fixed(inside / 1e6, 1), 8) + "   ×"
          + Bench.fixed(inside / bare, 2))
    }
    Bench.say("")
  }
}

/// Resident memory of a run that waits.
enum MemoryBenchmark {
  static func run() throws(SyscallError) {
    let directory = try Bench.ownDirectory()
    let nothing = try Files.open(ByteString("/dev/null"), O_RDWR)
    let pid = try Processes.spawn(
      ByteString("\(directory)/agt-run"),
      arguments: ["agt-run", "--ring", "3", "--workspace", "/tmp", "--", "/bin/sleep", "2"].map {
        ByteString($0)
      }, environment: Bench.environment,
      descriptors: [(nothing.raw, 0), (nothing.raw, 1), (nothing.raw, 2)])
    usleep(400_000)
    let early = resident(pid)
    usleep(1_200_000)
    Bench.say("resident memory, KiB")
    Bench.say(Bench.left("supervisor, 0.4 s after the start", 34) + "\(early)")
    Bench.say(Bench.left("supervisor, at rest", 34) + "\(resident(pid))")
    for child in try children(of: pid) {
      Bench.say(Bench.left("PID 1 of the ring", 34) + "\(resident(child))")
    }
    _ = try Processes.wait(pid, blocking: true)
  }

  static func resident(_ pid: Int32) -> Int {
    guard let text = try? Files.read(ByteString("/proc/\(pid)/status"), limit: 1 << 16).text,
      let line = text.split(separator: "\n").first(where: { $0.hasPrefix("VmRSS:") })
    else { return 0 }
    return Int(line.split(separator: " ").dropLast().last.map { String($0) } ?? "")
      ?? Int(line.filter { $0.isNumber }) ?? 0
  }

  private static func children(of pid: Int32) throws(SyscallError) -> [Int32] {
    let text = try Files.read(ByteString("/proc/\(pid)/task/\(pid)/children"), limit: 4096).text
    return text.split(separator: " ").compactMap { Int32($0) }
  }
}
