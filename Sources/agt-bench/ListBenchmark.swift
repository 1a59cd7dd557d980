internal import Glibc
internal import Kernel

/// `agt ps` while many runs are there, beside what starting `agt` alone takes.
enum ListBenchmark {
  private static let runs = 100
  private static let rounds = 20

  static func run() throws(SyscallError) {
    let directory = try Bench.ownDirectory()
    var supervisors: [Int32] = []
    defer {
      for pid in supervisors { _ = try? Processes.signal(pid, SIGKILL) }
      for pid in supervisors { _ = try? Processes.wait(pid, blocking: true) }
      _ = try? Bench.measure(["\(directory)/agt", "gc"])
    }
    for _ in 0..<runs { supervisors.append(try start(directory)) }
    let spreads = try Bench.compare(
      [
        Bench.Command(name: "agt ps", words: ["\(directory)/agt", "ps"]),
        Bench.Command(name: "agt --version", words: ["\(directory)/agt", "--version"]),
      ], runs: rounds)
    Bench.say(
      "agt ps with \(runs) runs: median " + Bench.fixed(spreads[0].median / 1e6, 1) + " ms, p90 "
        + Bench.fixed(spreads[0].ninetieth / 1e6, 1) + " ms; agt --version: "
        + Bench.fixed(spreads[1].median / 1e6, 1) + " ms")
  }

  /// - Returns: the supervisor's pid, once the program runs.
  private static func start(_ directory: String) throws(SyscallError) -> Int32 {
    let ready = try Descriptors.pipe()
    let nothing = try Files.open(ByteString("/dev/null"), O_RDWR)
    let words = [
      "\(directory)/agt-run", "--quiet", "--ring", "3", "--workspace", directory, "--",
      "\(directory)/agt-bench", "kill-inside", "1",
    ]
    let pid = try Processes.spawn(
      ByteString(words[0]), arguments: words.map { ByteString($0) },
      environment: Bench.environment,
      descriptors: [(nothing.raw, 0), (ready.writer.raw, 1), (nothing.raw, 2)])
    guard Descriptors.isReadable(ready.reader.raw, withinMilliseconds: 20_000),
      try !Descriptors.read(ready.reader.raw, upTo: 1).isEmpty
    else { throw SyscallError(call: "read", object: "the word of the program", errno: ETIMEDOUT) }
    return pid
  }
}
