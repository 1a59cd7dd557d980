internal import Glibc
internal import Kernel

/// A question to the broker from inside ring 3, beside a bare echo over a Unix stream socket from the same
/// program in the same ring, in turn: what is between the two is the broker's own work.
///
/// Where the scheduler puts two processes decides more than what they do: waking somebody who sleeps on another
/// processor takes ten times as long as on the same one. Both are therefore measured in the same two places; and where
/// the scheduler puts them, each with an asker of its own, who has nothing else to do, and in turn from one: there the
/// supervisor, which looks for the next question on the other processor, brings the echo's two ends together.
enum BrokerBenchmark {
  private static let trips = 20_000
  /// One after the other before it is the other's turn: each finds the processors as its own last trip left them.
  private static let tripsAtOnce = 50
  private static let warmUp = 1_000
  private static let pythonTrips = 5_000
  private static let loadTrips = 64_000
  private static let loadDepth = 64
  private static let loadRounds = 9
  private static let aloneRounds = 5

  private static let policy = """
    apiVersion: agt-run/v1
    kind: Policy
    metadata: {name: bench}
    rules:
      - {id: reads, when: "tool in ['read_file', 'list_dir'] and path under '/workspace'", then: allow}
      - {id: no-force, when: "tool == 'git' and '--force' in args", then: deny, say: No force.}
      - {id: mail, when: tool == 'send_email', then: require_approval}

    """
  private static let profile = """
    apiVersion: agt-run/v1
    kind: RingProfile
    metadata: {name: bench, description: ring 3 without its rate}
    extends: ring3
    requests: {perSecond: 1000000, burst: 1000000}
    reasons: {requests: the rate is not what is measured}

    """

  static func run() throws(SyscallError) {
    let directory = try Bench.ownDirectory()
    let place = "/tmp/agt-bench-broker-\(getpid())"
    try Files.makeDirectory(ByteString(place), mode: 0o755)
    defer { _ = try? Bench.time(Bench.Command(name: "rm", words: ["/bin/rm", "-rf", place])) }
    for (name, text) in [("policy.yaml", policy), ("profile.yaml", profile)] {
      try write(Array(text.utf8), to: "\(place)/\(name)")
    }
    let ring = [
      "\(directory)/agt-run", "--profile", "\(place)/profile.yaml", "--quiet", "--policy",
      "\(place)/policy.yaml", "--workspace", place, "--timeout", "20s", "--",
    ]
    let command = ["\(directory)/agt-bench", "broker-client"]
    Bench.say("policy.decide in ring 3 beside an echo over a Unix socket, µs")
    let all = try Processes.processors()
    for place in Place.allCases where place != .apart || all.count > 1 {
      defer { try? Processes.use(processors: all) }
      let (asks, answers) = place.processors(of: all)
      try Processes.use(processors: answers)
      let on = ["on"] + asks.map { "\($0)" }
      let found =
        place == .alone
        ? try alone(ring + command, on) : try measure(ring + command + ["echo,decide"] + on)
      for what in ["p50", "p90"] { Bench.say(line("\(place.rawValue), \(what)", found, what)) }
    }
    try loads(ring, command)
    guard let python = Bench.find("python3"),
      let client = try? Files.read(ByteString("Clients/python/agt.py"), limit: 1 << 20)
    else { return Bench.say("without Python: no python3, or not started in the repository") }
    try write(client, to: "\(place)/agt.py")
    try write(Array(script.utf8), to: "\(place)/client.py")
    let other = try measure(ring + [python, "\(place)/client.py"])
    Bench.say(line("agt.py p50", other, "p50"))
    Bench.say("")
  }

  private enum Place: String, CaseIterable {
    case together = "on one processor"
    case apart = "on two"
    case alone = "as it happens, alone"
    case free = "as it happens, in turn"

    /// Of who asks, and of the supervisor and the echo.
    func processors(of all: [Int]) -> (asks: [Int], answers: [Int]) {
      switch self {
      case .together: ([all[0]], [all[0]])
      case .apart: ([all[0]], [all[1]])
      case .alone, .free: (all, all)
      }
    }
  }

  /// The median of several rounds, in each of which both have an asker of their own.
  private static func alone(_ command: [String], _ on: [String]) throws(SyscallError) -> [String:
    Double]
  {
    var found: [String: [Double]] = [:]
    for _ in 0..<aloneRounds {
      for kind in ["echo", "decide"] {
        for (name, value) in try measure(command + [kind] + on) {
          found[name, default: []].append(value)
        }
      }
    }
    return found.mapValues { $0.sorted()[$0.count / 2] }
  }

  /// Equal questions share entries of the log, so that it costs next to nothing; those that all differ have one each.
  private static func loads(_ ring: [String], _ command: [String]) throws(SyscallError) {
    var rates: [String: [Double]] = [:]
    // In turn, because machines are shared.
    for _ in 0..<loadRounds {
      for (load, mode) in [("equal", "group"), ("distinct", "group"), ("distinct", "off")] {
        let found = try measure(
          [ring[0], "--audit-sync", mode] + ring.dropFirst() + command + [load])
        rates["\(load) \(mode)", default: []].append(found["rate"] ?? 0)
      }
    }
    let shared = middle(rates["equal group"])
    Bench.say("\(loadDepth) in flight, requests a second, median of \(loadRounds)")
    Bench.say("  equal, which share entries of the log   " + Bench.fixed(shared, 0))
    for mode in ["group", "off"] {
      let rate = middle(rates["distinct \(mode)"])
      let words = "  an entry each, --audit-sync " + Bench.left(mode, 12) + Bench.fixed(rate, 0)
      Bench.say(words + "   takes ×" + Bench.fixed(shared / max(rate, 1), 2))
    }
  }

  private static func middle(_ values: [Double]?) -> Double {
    (values ?? []).sorted()[loadRounds / 2]
  }

  private static func write(_ bytes: [UInt8], to path: String) throws(SyscallError) {
    let file = try Files.open(ByteString(path), O_WRONLY | O_CREAT | O_TRUNC, mode: 0o644)
    try Descriptors.write(file.raw, bytes)
  }

  private static func line(_ title: String, _ found: [String: Double], _ what: String) -> String {
    let (echo, decide) = (found["echo-\(what)"] ?? 0, found["decide-\(what)"] ?? 0)
    return Bench.left(title, 28) + "echo " + Bench.padded(Bench.fixed(echo, 1), 7) + "   decide "
      + Bench.padded(Bench.fixed(decide, 1), 7) + "   ×" + Bench.fixed(decide / max(echo, 0.01), 2)
      + "   +" + Bench.fixed(max(0, decide - echo), 1)
  }

  /// Both ends as plain numbers: what is not used any more would be closed before its time.
  private static func pair() throws(SyscallError) -> (Int32, Int32) {
    let pair = try UnixSockets.streamPair()
    return (
      try pair.first.duplicate(atLeast: 10).release(),
      try pair.second.duplicate(atLeast: 10).release()
    )
  }

  /// Runs a client whose standard input is a socket with an echo at its other end.
  private static func measure(_ words: [String]) throws(SyscallError) -> [String: Double] {
    let (client, server) = try pair()
    let echo = try Processes.fork()
    if echo == 0 {
      for number in Int32(3)...max(client, server) where number != server {
        _ = Glibc.close(number)
      }
      while let bytes = try? Descriptors.read(server, upTo: 4096), !bytes.isEmpty {
        try? Descriptors.write(server, bytes)
      }
      exit(0)
    }
    _ = Glibc.close(server)
    let output = try Descriptors.memory(name: "timings")
    let pid = try Processes.spawn(
      ByteString(words[0]), arguments: words.map { ByteString($0) },
      environment: Bench.environment, descriptors: [(client, 0), (output.raw, 1)])
    _ = Glibc.close(client)
    _ = try Processes.wait(pid, blocking: true)
    _ = try? Processes.signal(echo, SIGKILL)
    _ = try? Processes.wait(echo, blocking: true)
    var found: [String: Double] = [:]
    for line in try Files.readFromStart(output.raw, limit: 1 << 16).text.split(separator: "\n") {
      let parts = line.split(separator: " ")
      if parts.count == 2, let value = Double(String(parts[1])) { found[String(parts[0])] = value }
    }
    return found
  }

  // MARK: inside the ring

  private static let hello =
    "{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"agt.hello\",\"params\":{\"protocol\":1}}\n"
  private static func question(_ number: Int? = nil) -> [UInt8] {
    Array(
      ("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"policy.decide\",\"params\":{\"tool\":\"read_file\","
        + "\"path\":\"/workspace/notes\(number.map { "-\($0)" } ?? "").txt\"}}\n").utf8)
  }

  /// `agt-bench broker-client equal|distinct`, or `echo|decide|echo,decide on PROCESSOR…`: prints `name value` lines.
  static func client(_ words: [String]) throws(SyscallError) {
    let broker: Int32 = 3
    try trip(broker, Array(hello.utf8))
    guard words.dropFirst().first == "on" else {
      return try load(broker, isDistinct: words.first == "distinct")
    }
    try Processes.use(processors: words.dropFirst(2).compactMap { Int($0) })
    let kinds = words[0].split(separator: ",").map { String($0) }
    let sockets = kinds.map { $0 == "echo" ? 0 : broker }
    let bytes = question()
    var times: [[UInt64]] = kinds.map { _ in [] }
    for round in 0..<((trips + warmUp) / tripsAtOnce) {
      for (index, socket) in sockets.enumerated() {
        for _ in 0..<tripsAtOnce {
          let began = Clock.monotonicNanoseconds()
          try trip(socket, bytes)
          if round * tripsAtOnce >= warmUp {
            times[index].append(Clock.monotonicNanoseconds() - began)
          }
        }
      }
    }
    for (name, values) in zip(kinds, times) {
      let spread = Bench.Spread(values)
      Bench.say("\(name)-p50 \(spread.median / 1000)")
      Bench.say("\(name)-p90 \(spread.ninetieth / 1000)")
    }
  }

  /// As many at a time as a busy agent with many threads has.
  private static func load(_ broker: Int32, isDistinct: Bool) throws(SyscallError) {
    // Made before the clock runs: what asks is not what is measured.
    let batches = (0..<(isDistinct ? loadTrips / loadDepth : 1)).map { batch in
      Array(
        (0..<loadDepth).map { question(isDistinct ? batch * loadDepth + $0 : nil) }.joined())
    }
    let began = Clock.monotonicNanoseconds()
    for round in 0..<loadTrips / loadDepth {
      try Descriptors.write(broker, batches[round % batches.count])
      var answers = 0
      while answers < loadDepth {
        let part = try Descriptors.read(broker, upTo: 65536)
        if part.isEmpty { throw SyscallError(call: "read", object: "\(broker)", errno: EPIPE) }
        answers += part.count { $0 == 10 }
      }
    }
    let seconds = Double(Clock.monotonicNanoseconds() - began) / 1e9
    Bench.say("rate \(Double(loadTrips) / seconds)")
  }

  /// One line there and one back.
  private static func trip(_ socket: Int32, _ bytes: [UInt8]) throws(SyscallError) {
    try Descriptors.write(socket, bytes)
    while true {
      let answer = try Descriptors.read(socket, upTo: 4096)
      if answer.isEmpty { throw SyscallError(call: "read", object: "\(socket)", errno: EPIPE) }
      if answer.last == 10 { return }
    }
  }

  private static let script = """
    import os, socket, sys, time
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    import agt
    echo = socket.socket(fileno=0)
    line = b'{"jsonrpc":"2.0","id":1,"method":"policy.decide","params":{"tool":"read_file",' \\
        b'"path":"/workspace/notes.txt"}}\\n'
    def bare():
        echo.sendall(line)
        echo.recv(4096)
    def ask():
        assert agt.decide(tool='read_file', path='/workspace/notes.txt').allowed
    times = {'echo': [], 'decide': []}
    for turn in range(\(pythonTrips / tripsAtOnce)):
        for name, call in (('echo', bare), ('decide', ask)):
            for trip in range(\(tripsAtOnce)):
                began = time.perf_counter_ns()
                call()
                times[name].append(time.perf_counter_ns() - began)
    for name, values in times.items():
        print(f'{name}-p50', sorted(values)[len(values) // 2] / 1000)

    """
}
