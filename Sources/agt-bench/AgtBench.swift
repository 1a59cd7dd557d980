internal import Glibc
internal import Kernel

/// Timings beside what people would use instead, in one run, because machines are shared and noisy:
/// the ratios are the result, the milliseconds are not.
@main
struct AgtBench {
  static func main() {
    let arguments = Array(CommandLine.arguments.dropFirst())
    do {
      switch arguments.first {
      case "spawn": try SpawnBenchmark.run(Array(arguments.dropFirst()))
      case "calls": try CallBenchmark.run()
      case "calls-inside": CallBenchmark.inside()
      case "work": try WorkBenchmark.run()
      case "memory": try MemoryBenchmark.run()
      case "txn": try TransactionBenchmark.run()
      case "audit": try AuditBenchmark.run(Array(arguments.dropFirst()))
      case "saga": try SagaBenchmark.run()
      case "policy": PolicyBenchmark.run(Array(arguments.dropFirst()))
      case "broker": try BrokerBenchmark.run()
      case "broker-client": try BrokerBenchmark.client(Array(arguments.dropFirst()))
      case "tool": try ToolBenchmark.run()
      case "tool-client": try ToolBenchmark.client()
      case "net": try NetworkBenchmark.run()
      case "net-client": try NetworkBenchmark.client(Array(arguments.dropFirst()))
      case "net-idle": try NetworkBenchmark.idleClient(Array(arguments.dropFirst()))
      case "kill": try KillBenchmark.run(Array(arguments.dropFirst()))
      case "ps": try ListBenchmark.run()
      case "txn-inside": TransactionBenchmark.inside()
      case "kill-inside": try KillBenchmark.inside(Array(arguments.dropFirst()))
      case "kill-bomb": try KillBenchmark.bomb(Array(arguments.dropFirst()))
      case "kill-violate": try KillBenchmark.violate()
      case nil, "all":
        try SpawnBenchmark.run([])
        try CallBenchmark.run()
        try WorkBenchmark.run()
        try MemoryBenchmark.run()
        PolicyBenchmark.run([])
        try NetworkBenchmark.run()
        try KillBenchmark.run([])
        try ListBenchmark.run()
        try BrokerBenchmark.run()
        try ToolBenchmark.run()
      default: fail(usage)
      }
    } catch {
      fail("agt-bench: \(error)")
    }
  }

  static let usage = """
    usage: agt-bench [all|spawn [RUNS]|calls|work|memory|txn|saga|audit [ENTRIES]|policy|net|kill [idle]|ps|broker|tool]

      spawn   a cold start of /bin/true: plain, bubblewrap, crun, firejail, agt-run
      calls   system calls inside ring 3 beside bare ones
      work    python -m compileall and git status inside a ring beside bare ones
      memory  resident memory of the supervisor and of PID 1
      txn     start of a transaction; commit and discard of 10,000 files beside cp -a
      saga    a plan of 1,000 steps; each step beside the same command under agt-run alone
      audit   one durable entry beside write and fdatasync, 256 that wait together, verifying
      policy  decisions with 100 and 1,000 rules and with 1,500 patterns; loading
      net     1 GiB, round trips and 1,000 connections through ring 2's relay beside direct TCP
      kill    a run to its confirmed end beside SIGKILL to a bare process namespace; idle: no bomb
      ps      agt ps while 100 runs are there
      broker  policy.decide from inside ring 3 beside an echo over a Unix socket
      tool    tool.call of /bin/true from inside ring 3 beside a cold agt-run of ring 3
    """

  static func fail(_ text: String) -> Never {
    Bench.say(text, to: 2)
    exit(2)
  }
}

/// What the benchmarks share.
enum Bench {
  static func say(_ text: String, to descriptor: Int32 = 1) {
    try? Descriptors.write(descriptor, Array((text + "\n").utf8))
  }

  /// The directory of this executable, where agt-run is too.
  static func ownDirectory() throws(SyscallError) -> String {
    let own = try Files.readLink(ByteString("/proc/self/exe")).text
    return String(own[..<own.lastIndex(of: "/")!])
  }

  /// The path of a program in the usual directories; nil when it is not installed.
  static func find(_ name: String) -> String? {
    for directory in ["/usr/bin", "/bin", "/usr/local/bin", "/usr/sbin"] {
      let path = "\(directory)/\(name)"
      if Files.mayAccess(ByteString(path), 1) { return path }
    }
    return nil
  }

  /// The same for everybody, but for the home directory, where an ordinary user's logs and transactions are.
  static let environment: [ByteString] = {
    // SAFETY: it is NUL-terminated and copied at once, and nothing here changes the environment.
    let home = unsafe getenv("HOME").map { unsafe String(cString: $0) } ?? "/root"
    return ["PATH=/usr/bin:/bin", "HOME=\(home)", "LANG=C"].map { ByteString($0) }
  }()

  /// Runs a command to its end and gives its wall clock in nanoseconds.
  static func time(_ command: Command) throws(SyscallError) -> UInt64 {
    let nothing = try Files.open(ByteString("/dev/null"), O_RDWR)
    // Opened anew each time: whoever reads it reads from the start.
    let file = try command.file.map { file throws(SyscallError) in
      try Files.open(ByteString(file.path), O_RDONLY).release()
    }
    defer { if let file { _ = OwnedFD(file) } }
    let extra = file.map { [($0, command.file!.number)] } ?? []
    let began = Clock.monotonicNanoseconds()
    let pid = try Processes.spawn(
      ByteString(command.words[0]), arguments: command.words.map { ByteString($0) },
      environment: environment,
      descriptors: [(nothing.raw, 0), (nothing.raw, 1), (nothing.raw, 2)] + extra)
    let ended = try Processes.wait(pid, blocking: true)
    let took = Clock.monotonicNanoseconds() - began
    guard let ended, ended.status == .exited(0) else {
      throw SyscallError(
        call: command.words.joined(separator: " "), object: "\(String(describing: ended))",
        errno: ECHILD)
    }
    return took
  }

  /// Runs a command that prints `name value` lines.
  static func measure(_ words: [String]) throws(SyscallError) -> [String: Double] {
    let output = try Descriptors.memory(name: "timings")
    let pid = try Processes.spawn(
      ByteString(words[0]), arguments: words.map { ByteString($0) },
      environment: Bench.environment, descriptors: [(output.raw, 1)])
    _ = try Processes.wait(pid, blocking: true)
    var found: [String: Double] = [:]
    for line in try Files.readFromStart(output.raw, limit: 1 << 16).text.split(separator: "\n") {
      let parts = line.split(separator: " ")
      if parts.count == 2, let value = Double(String(parts[1])) { found[String(parts[0])] = value }
    }
    return found
  }

  struct Command {
    var name: String
    var words: [String]
    /// A file that the command reads as this descriptor.
    var file: (path: String, number: Int32)?
  }

  struct Spread {
    let sorted: [UInt64]
    init(_ values: [UInt64]) { sorted = values.sorted() }
    var median: Double { Double(sorted[sorted.count / 2]) }
    var lowest: Double { Double(sorted[0]) }
    var ninetieth: Double { Double(sorted[sorted.count * 9 / 10]) }
  }

  /// Runs all commands once each round, so that a change of the machine's speed hits all alike, in an order
  /// that is drawn for each round: the kernel takes down what one has left (a network namespace) during the
  /// next, and that shall not always be the same one.
  static func compare(_ commands: [Command], runs: Int) throws(SyscallError) -> [Spread] {
    var times = [[UInt64]](repeating: [], count: commands.count)
    for run in 0..<(runs + 3) {
      for index in commands.indices.shuffled() {
        let took = try time(commands[index])
        // The first rounds fill caches.
        if run >= 3 { times[index].append(took) }
      }
    }
    return times.map { Spread($0) }
  }

  static func fixed(_ value: Double, _ decimals: Int) -> String {
    let scale = decimals == 1 ? 10.0 : 100.0
    let whole = Int((value * scale).rounded())
    let rest = whole % Int(scale)
    let digits = decimals == 2 && rest < 10 ? "0\(rest)" : "\(rest)"
    return "\(whole / Int(scale)).\(digits)"
  }

  static func padded(_ text: String, _ width: Int) -> String {
    text.count >= width ? text : String(repeating: " ", count: width - text.count) + text
  }

  static func left(_ text: String, _ width: Int) -> String {
    text.count >= width ? text : text + String(repeating: " ", count: width - text.count)
  }
}
