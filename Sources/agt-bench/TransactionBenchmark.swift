internal import Glibc
internal import Kernel

/// What a transaction costs: at the start of a ring, and at the end with 10,000 small files.
enum TransactionBenchmark {
  private static let files = 10_000

  static func run() throws(SyscallError) {
    let directory = try Bench.ownDirectory()
    let place = "/var/tmp/agt-bench-\(getpid())"
    let workspace = place + "/work"
    let removal = Bench.Command(name: "", words: ["/bin/rm", "-rf", place])
    for path in [place, workspace] { try Files.makeDirectory(ByteString(path), mode: 0o755) }
    let ring = { (options: [String], program: [String]) in
      [directory + "/agt-run", "--quiet", "--ring", "2", "--workspace", workspace] + options + [
        "--"
      ]
        + program
    }
    do throws(SyscallError) {
      try awaitQuietDisk(at: place)
      try starts(directory, ring)
      try ends(directory, place, workspace, ring)
    } catch {
      _ = try? Bench.time(removal)
      throw error
    }
    _ = try Bench.time(removal)
  }

  /// After 10,000 files were removed, by a run of this benchmark for example, a file system tells the disk about each of
  /// them for some seconds, and every change waits for that.
  private static func awaitQuietDisk(at place: String) throws(SyscallError) {
    let probe = ByteString(place + "/probe")
    var quiet = 0
    for _ in 0..<300 where quiet < 10 {
      let began = Clock.monotonicNanoseconds()
      try Files.makeDirectory(probe, mode: 0o755)
      let made = try Files.open(probe, O_RDONLY | O_DIRECTORY)
      try Files.sync(made.raw)
      try Files.remove(probe, directory: true)
      let took = Clock.monotonicNanoseconds() - began
      quiet = took < 5_000_000 ? quiet + 1 : 0
      usleep(100_000)
    }
    if quiet < 10 { Bench.say("the disk did not come to rest in 30 s: starts take longer") }
  }

  private static func starts(
    _ directory: String, _ ring: ([String], [String]) -> [String]
  ) throws(SyscallError) {
    var starts: [[UInt64]] = [[], []]
    for _ in 0..<40 {
      for (index, options) in [[], ["--txn"]].enumerated() {
        let began = Clock.monotonicNanoseconds()
        let found = try Bench.measure(ring(options, [directory + "/agt-bench", "txn-inside"]))
        guard let now = found["now"] else {
          throw SyscallError(
            call: "agt-run", object: options.joined(separator: " "), errno: ECANCELED)
        }
        starts[index].append(UInt64(now) - began)
      }
    }
    let medians = starts.map { Bench.Spread($0).median / 1e6 }
    Bench.say("start until the program's first words, 40 runs each in turn, median ms")
    Bench.say("  without a transaction " + Bench.fixed(medians[0], 2))
    Bench.say("  with one              " + Bench.fixed(medians[1], 2))
    Bench.say("  more                  " + Bench.fixed(medians[1] - medians[0], 2))
    let spreads = try Bench.compare(
      [
        Bench.Command(name: "ring 2", words: ring([], ["/bin/true"])),
        Bench.Command(name: "ring 2, transaction", words: ring(["--txn"], ["/bin/true"])),
      ], runs: 40)
    Bench.say("start and end of /bin/true, 40 runs each in turn, median ms")
    Bench.say("  without a transaction " + Bench.fixed(spreads[0].median / 1e6, 2))
    Bench.say("  with one, unchanged   " + Bench.fixed(spreads[1].median / 1e6, 2))
    Bench.say(
      "  more                  " + Bench.fixed((spreads[1].median - spreads[0].median) / 1e6, 2))
  }

  /// When the program runs, on the clock that all share.
  static func inside() { Bench.say("now \(Clock.monotonicNanoseconds())") }

  private static func ends(
    _ directory: String, _ place: String, _ workspace: String,
    _ ring: ([String], [String]) -> [String]
  ) throws(SyscallError) {
    // 4 KiB each, in 100 directories; in the transaction each is changed.
    let shell = { (script: String) in ["/bin/sh", "-c", script] }
    let fill =
      "for d in $(seq 100); do mkdir -p $d; for f in $(seq 100); do head -c 4096 /dev/urandom > $d/$f; done; done"
    _ = try Bench.time(
      Bench.Command(name: "", words: shell("cd \(workspace) && " + fill + " && sync")))
    let change = "cd \(workspace); for f in */*; do echo changed >> $f; done"
    var copies: [UInt64] = []
    var commits: [UInt64] = []
    var discards: [UInt64] = []
    for _ in 0..<3 {
      for isCommit in [true, false] {
        let began = try identifiers(directory)
        _ = try Bench.time(Bench.Command(name: "", words: ring(["--txn"], shell(change))))
        guard let id = try identifiers(directory).first(where: { !began.contains($0) }) else {
          throw SyscallError(call: "agt-run --txn", errno: ENOENT)
        }
        let verb = isCommit ? "commit" : "discard"
        _ = try Bench.time(Bench.Command(name: "", words: ["/bin/sync"]))
        let took = try Bench.time(
          Bench.Command(name: "", words: [directory + "/agt", "txn", verb, id]))
        if isCommit { commits.append(took) } else { discards.append(took) }
      }
      _ = try Bench.time(Bench.Command(name: "", words: ["/bin/rm", "-rf", place + "/copy"]))
      _ = try Bench.time(Bench.Command(name: "", words: ["/bin/sync"]))
      copies.append(
        try Bench.time(
          Bench.Command(
            name: "", words: shell("cp -a \(workspace) \(place)/copy && sync -f \(place)/copy"))))
    }
    let copy = Bench.Spread(copies).median
    let commit = Bench.Spread(commits).median
    Bench.say("\(files) changed files of 4 KiB, median ms of 3")
    Bench.say("  cp -a and sync  " + Bench.fixed(copy / 1e6, 1))
    Bench.say(
      "  commit          " + Bench.fixed(commit / 1e6, 1) + "   ×" + Bench.fixed(commit / copy, 2))
    Bench.say("  discard         " + Bench.fixed(Bench.Spread(discards).median / 1e6, 1))
    Bench.say("")
  }

  private static func identifiers(_ directory: String) throws(SyscallError) -> [String] {
    let output = try Descriptors.memory(name: "list")
    let pid = try Processes.spawn(
      ByteString(directory + "/agt"),
      arguments: ["agt", "txn", "list"].map { ByteString($0) }, environment: Bench.environment,
      descriptors: [(output.raw, 1)])
    _ = try Processes.wait(pid, blocking: true)
    return try Files.readFromStart(output.raw, limit: 1 << 20).text.split(separator: "\n").map {
      String($0.prefix { $0 != " " })
    }
  }
}
