internal import Glibc
internal import Kernel

/// A tool of a ring beside a cold agt-run of the same ring, in turn: what the broker adds to a launch is reading the
/// request, judging it, the entry in the log and the answer. And what the supervisor holds after many of them.
enum ToolBenchmark {
  private static let rounds = 60
  private static let growthCalls = 200

  private static let policy = """
    apiVersion: agt-run/v1
    kind: Policy
    metadata: {name: bench}
    rules:
      - {id: tools, when: kind == 'tool.call', then: allow}

    """
  private static let profile = """
    apiVersion: agt-run/v1
    kind: RingProfile
    metadata: {name: bench, description: ring 3 without its rate}
    extends: ring3
    requests: {perSecond: 1000000, burst: 1000000}
    reasons: {requests: the rate is not what is measured}

    """
  private static let tool = """
    apiVersion: agt-run/v1
    kind: Tool
    metadata: {name: nothing, description: does nothing}
    ring: 3
    command: [/bin/true]

    """

  static func run() throws(SyscallError) {
    let directory = try Bench.ownDirectory()
    let place = "/tmp/agt-bench-tool-\(getpid())"
    try Files.makeDirectory(ByteString(place), mode: 0o755)
    defer { _ = try? Bench.time(Bench.Command(name: "rm", words: ["/bin/rm", "-rf", place])) }
    for (name, text) in [("policy.yaml", policy), ("profile.yaml", profile), ("tool.yaml", tool)] {
      let file = try Files.open(
        ByteString("\(place)/\(name)"), O_WRONLY | O_CREAT | O_TRUNC, mode: 0o644)
      try Descriptors.write(file.raw, Array(text.utf8))
    }
    let run = "\(directory)/agt-run"
    let pair = try UnixSockets.streamPair()
    let ours = try pair.first.duplicate()
    let caller = try Processes.spawn(
      ByteString(run),
      arguments: [
        run, "--profile", "\(place)/profile.yaml", "--quiet", "--policy", "\(place)/policy.yaml",
        "--tools", "\(place)/tool.yaml", "--workspace", place, "--timeout", "5m", "--",
        "\(directory)/agt-bench", "tool-client",
      ].map { ByteString($0) }, environment: Bench.environment,
      descriptors: [(pair.second.raw, 0), (pair.second.raw, 1)])
    _ = pair.takeSecond()
    let command = { (more: [String]) in
      Bench.Command(
        name: "", words: [run] + more + ["--quiet", "--workspace", place, "--", "/bin/true"])
    }
    let alone = command(["--ring", "3"])
    // As the broker starts it.
    let alike = command(["--ring", "3", "--policy", "\(place)/policy.yaml", "--timeout", "60s"])
    var times: [[UInt64]] = [[], [], []]
    for round in 0..<(rounds + 3) {
      let found = [try call(ours.raw, 1), try Bench.time(alone), try Bench.time(alike)]
      // The first rounds fill caches.
      if round >= 3 { for (index, time) in found.enumerated() { times[index].append(time) } }
    }
    let spreads = times.map { Bench.Spread($0) }
    Bench.say("a tool that does nothing, in ring 3, ms, median of \(rounds) in turn")
    for (title, index) in [("agt-run --ring 3", 1), ("with --policy and --timeout", 2)] {
      Bench.say(
        Bench.left(title, 28) + Bench.fixed(spreads[index].median / 1e6, 2) + "   tool.call "
          + Bench.fixed(spreads[0].median / 1e6, 2) + "   ×"
          + Bench.fixed(spreads[0].median / spreads[index].median, 2))
    }
    let before = MemoryBenchmark.resident(caller)
    _ = try call(ours.raw, growthCalls)
    let after = MemoryBenchmark.resident(caller)
    Bench.say(
      Bench.left("\(growthCalls) more calls, KiB", 28) + "supervisor \(before) → \(after)")
    Bench.say("")
    Sockets.endWriting(ours.raw)
    _ = try Processes.wait(caller, blocking: true)
  }

  /// - Returns: nanoseconds of the last call.
  private static func call(_ socket: Int32, _ count: Int) throws(SyscallError) -> UInt64 {
    var last: UInt64 = 0
    for _ in 0..<count {
      try Descriptors.write(socket, [1])
      let answer = try Descriptors.read(socket, upTo: 64)
      guard let time = UInt64(answer.text.filter { !$0.isNewline }) else {
        throw SyscallError(call: "tool.call", object: answer.text, errno: EPROTO)
      }
      last = time
    }
    return last
  }

  // MARK: inside the ring

  /// `agt-bench tool-client`: for each byte on standard input one call, and a line with its nanoseconds.
  static func client() throws(SyscallError) {
    let broker: Int32 = 3
    _ = try ask(
      broker,
      "{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"agt.hello\",\"params\":{\"protocol\":1}}\n")
    while try !Descriptors.read(0, upTo: 1).isEmpty {
      let began = Clock.monotonicNanoseconds()
      let answer = try ask(
        broker,
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tool.call\",\"params\":{\"name\":\"nothing\"}}\n"
      )
      let took = Clock.monotonicNanoseconds() - began
      guard answer.contains("\"outcome\":\"exited\",\"status\":0") else { AgtBench.fail(answer) }
      Bench.say("\(took)")
    }
  }

  private static func ask(_ broker: Int32, _ line: String) throws(SyscallError) -> String {
    try Descriptors.write(broker, Array(line.utf8))
    var answer: [UInt8] = []
    while answer.last != 10 {
      let part = try Descriptors.read(broker, upTo: 65536)
      if part.isEmpty { throw SyscallError(call: "read", object: "\(broker)", errno: EPIPE) }
      answer += part
    }
    return answer.text
  }
}
