internal import Glibc
internal import JSON
internal import Kernel

/// From the decision to end a run to its confirmed end, beside SIGKILL to PID 1 of a namespace and waiting for it, in
/// turn in the same run: of a bare process namespace whose PID 1 is the program, and of one as containers have
/// them, with all kinds of namespaces and a PID 1 that waits for the program. All have the same processes in them.
enum KillBenchmark {
  private static let bombProcesses = 500
  /// Nobody else has it; RLIMIT_NPROC does not bound uid 0.
  private static let uid: UInt32 = 64321

  /// - Parameter arguments: `idle` leaves out whatever needs a fork bomb, and what is not compared.
  static func run(_ arguments: [String]) throws(SyscallError) {
    let isIdle = arguments.first == "idle"
    guard arguments.isEmpty || isIdle && arguments.count == 1 else {
      AgtBench.fail("agt-bench kill [idle]")
    }
    Bench.say(
      "kill to confirmed end, ms, medians; agt-run in ring 2, in turn with a bare process namespace "
        + "and a container's")
    Bench.say(
      Bench.left("", 22) + Bench.padded("decided", 9) + Bench.padded("asked", 8)
        + Bench.padded("bare", 8) + Bench.padded("ratio", 7) + Bench.padded("container", 11)
        + Bench.padded("ratio", 7) + Bench.padded("worst", 8) + Bench.padded("bare worst", 12))
    try compare("1 process", "kill-inside", 1, rounds: 60)
    try compare("100 processes", "kill-inside", 100, rounds: 20)
    if isIdle { return }
    try compare("fork bomb of \(bombProcesses)", "kill-bomb", bombProcesses, rounds: 10)
    try violations(rounds: 30)
    try lostSupervisors(rounds: 30)
  }

  private static func compare(
    _ title: String, _ verb: String, _ count: Int, rounds: Int
  ) throws(SyscallError) {
    var decided: [UInt64] = []
    var asked: [UInt64] = []
    var bare: [UInt64] = []
    var contained: [UInt64] = []
    for round in 0..<(rounds + 2) {
      // In an order that is drawn anew: what one leaves to be taken down is not always the same one's.
      for kind in [0, 1, 2].shuffled() {
        let isCounted = round >= 2
        if kind == 0 {
          let ours = try endRun(verb, count)
          if isCounted { (decided, asked) = (decided + [ours.decided], asked + [ours.asked]) }
        } else {
          let took = try endNamespace(verb, count, isContainer: kind == 2)
          if isCounted, kind == 1 { bare.append(took) }
          if isCounted, kind == 2 { contained.append(took) }
        }
      }
    }
    let ours = Bench.Spread(decided)
    let plain = Bench.Spread(bare)
    let container = Bench.Spread(contained)
    let milliseconds = { (value: Double) in Bench.fixed(value / 1e6, 2) }
    Bench.say(
      Bench.left(title, 22) + Bench.padded(milliseconds(ours.median), 9)
        + Bench.padded(milliseconds(Bench.Spread(asked).median), 8)
        + Bench.padded(milliseconds(plain.median), 8)
        + Bench.padded(Bench.fixed(ours.median / plain.median, 2), 7)
        + Bench.padded(milliseconds(container.median), 11)
        + Bench.padded(Bench.fixed(ours.median / container.median, 2), 7)
        + Bench.padded(milliseconds(Double(ours.sorted.last!)), 8)
        + Bench.padded(milliseconds(Double(plain.sorted.last!)), 12))
  }

  // MARK: ours

  /// - Returns: nanoseconds from the supervisor's decision, and from our request, to the confirmed end.
  private static func endRun(
    _ verb: String, _ count: Int
  ) throws(SyscallError) -> (decided: UInt64, asked: UInt64) {
    let pid = try startRun(verb, count)
    let place = try place()
    let socket = try UnixSockets.connect("operator.sock", in: place.raw)
    let began = Clock.monotonicNanoseconds()
    try Messages.send(socket.raw, JSONWriter.compact(.object(["method": "kill"])))
    var decided: UInt64 = 0
    while decided == 0 {
      guard Descriptors.isReadable(socket.raw, withinMilliseconds: 20_000),
        let message = try Messages.receive(socket.raw, capacity: 1 << 17, blocking: false),
        let answer = try? JSONParser.parse(message.bytes)
      else { throw SyscallError(call: "agt kill", object: verb, errno: EPROTO) }
      if let time = answer["kill"]?["microseconds"]?.integerValue {
        decided = UInt64(time) * 1000
      }
    }
    let asked = Clock.monotonicNanoseconds() - began
    _ = try Processes.wait(pid, blocking: true)
    return (decided, asked)
  }

  /// - Returns: the supervisor's pid, once the program has said its word.
  private static func startRun(
    _ verb: String, _ count: Int
  ) throws(SyscallError) -> Int32 {
    let directory = try Bench.ownDirectory()
    let ready = try Descriptors.pipe()
    let nothing = try Files.open(ByteString("/dev/null"), O_RDWR)
    let words = [
      "\(directory)/agt-run", "--quiet", "--ring", "2", "--workspace", directory, "--name", name,
      "--pids", "\(bombProcesses)", "--", "\(directory)/agt-bench", verb, "\(count)",
    ]
    let pid = try Processes.spawn(
      ByteString(words[0]), arguments: words.map { ByteString($0) },
      environment: Bench.environment,
      descriptors: [(nothing.raw, 0), (ready.writer.raw, 1), (nothing.raw, 2)])
    try waitForWord(ready.reader.raw, "ours")
    // A run that is ended has run for a while, and its supervisor has given memory back (`RunLoop`).
    usleep(pauseMicroseconds)
    return pid
  }

  private static var name: String { "bench-\(getpid())" }

  private static func place() throws(SyscallError) -> OwnedFD {
    try Files.open(ByteString("\(registry)/@\(name)"), O_RDONLY | O_DIRECTORY)
  }

  private static var registry: String {
    let uid = Identity.effectiveUID
    return uid == 0 ? "/run/agt" : "/tmp/agt-\(uid)"
  }

  // MARK: others' namespaces

  /// - Parameter isContainer: with all kinds of namespaces and a PID 1 of its own.
  private static func endNamespace(
    _ verb: String, _ count: Int, isContainer: Bool
  ) throws(SyscallError) -> UInt64 {
    let directory = try Bench.ownDirectory()
    let ready = try Descriptors.pipe()
    var namespaces: NamespaceSet = isContainer ? [.pid, .mount, .ipc, .uts, .network] : .pid
    if Identity.effectiveUID != 0 { namespaces.insert(.user) }
    let pid = try Processes.clone(namespaces, asSibling: false, cgroup: nil)
    if pid == 0 {
      do throws(SyscallError) {
        if isContainer {
          try Processes.setParentDeathSignal(SIGKILL)
          if try Processes.fork() != 0 { while true { pause() } }
        }
        try Descriptors.duplicate(ready.writer.raw, onto: 1)
        if Identity.effectiveUID == 0 {
          try Limits.lower(.processes, to: UInt64(bombProcesses))
          try Identity.become(uid: uid, gid: uid)
        }
        // After the change of user, which clears it.
        try Processes.setParentDeathSignal(SIGKILL)
        throw Processes.execute(
          ByteString("\(directory)/agt-bench"),
          arguments: ["agt-bench", verb, "\(count)"].map { ByteString($0) },
          environment: Bench.environment)
      } catch { _exit(1) }
    }
    try waitForWord(ready.reader.raw, isContainer ? "container" : "bare")
    usleep(pauseMicroseconds)
    let began = Clock.monotonicNanoseconds()
    try Processes.signal(pid, SIGKILL)
    _ = try Processes.wait(pid, blocking: true)
    return Clock.monotonicNanoseconds() - began
  }

  private static let pauseMicroseconds: UInt32 = 300_000

  private static func waitForWord(_ reader: Int32, _ what: String) throws(SyscallError) {
    guard Descriptors.isReadable(reader, withinMilliseconds: 60_000),
      try !Descriptors.read(reader, upTo: 1).isEmpty
    else { throw SyscallError(call: "read", object: "the word of \(what)", errno: ETIMEDOUT) }
  }

  // MARK: a violation

  /// From before the forbidden call to the last process gone: the program says when, on the clock that all
  /// share.
  private static func violations(rounds: Int) throws(SyscallError) {
    let directory = try Bench.ownDirectory()
    var times: [UInt64] = []
    for _ in 0..<rounds {
      let told = try Descriptors.pipe()
      let nothing = try Files.open(ByteString("/dev/null"), O_RDWR)
      let words = [
        "\(directory)/agt-run", "--quiet", "--ring", "2", "--workspace", directory,
        "--on-violation", "kill", "--", "\(directory)/agt-bench", "kill-violate",
      ]
      let pid = try Processes.spawn(
        ByteString(words[0]), arguments: words.map { ByteString($0) },
        environment: Bench.environment,
        descriptors: [(nothing.raw, 0), (told.writer.raw, 1), (nothing.raw, 2)])
      _ = try Processes.wait(pid, blocking: true)
      let ended = Clock.monotonicNanoseconds()
      let text = String(decoding: try Descriptors.read(told.reader.raw, upTo: 64), as: UTF8.self)
      guard let began = UInt64(text) else {
        throw SyscallError(call: "agt-bench kill-violate", object: text, errno: EPROTO)
      }
      times.append(ended - began)
    }
    let spread = Bench.Spread(times)
    Bench.say(
      "forbidden call to agt-run's own end, with 10 processes inside: median "
        + Bench.fixed(spread.median / 1e6, 2) + " ms, p90 "
        + Bench.fixed(spread.ninetieth / 1e6, 2) + " ms")
  }

  // MARK: a supervisor that dies

  /// From SIGKILL to the supervisor to the end of PID 1 of its ring, and so of everything in it.
  private static func lostSupervisors(rounds: Int) throws(SyscallError) {
    var times: [UInt64] = []
    for _ in 0..<rounds {
      let pid = try startRun("kill-inside", 10)
      let place = try place()
      let status = try? JSONParser.parse(
        try Files.read(ByteString("status.json"), limit: 65536, at: place.raw))
      guard let ringInit = status?["initPid"]?.integerValue else {
        throw SyscallError(call: "open", object: "status.json", errno: EPROTO)
      }
      let pidfd = try Processes.openPidfd(Int32(ringInit))
      let began = Clock.monotonicNanoseconds()
      try Processes.signal(pid, SIGKILL)
      guard Descriptors.isReadable(pidfd.raw, withinMilliseconds: 20_000) else {
        throw SyscallError(call: "poll", object: "PID 1", errno: ETIMEDOUT)
      }
      times.append(Clock.monotonicNanoseconds() - began)
      _ = try Processes.wait(pid, blocking: true)
    }
    let spread = Bench.Spread(times)
    Bench.say(
      "supervisor killed to last of 10 processes gone: median "
        + Bench.fixed(spread.median / 1e6, 2) + " ms, worst "
        + Bench.fixed(Double(spread.sorted.last!) / 1e6, 2) + " ms")
    _ = try Bench.measure(["\(try Bench.ownDirectory())/agt", "gc"])
  }

  // MARK: inside

  /// So many processes that sleep, this one included.
  static func inside(_ arguments: [String]) throws(SyscallError) -> Never {
    let count = arguments.first.flatMap { Int($0) } ?? 1
    for _ in 1..<max(count, 1) where try Processes.fork() == 0 {
      while true { pause() }
    }
    try Descriptors.write(1, [1])
    while true { pause() }
  }

  /// Forks wherever it can; what cannot fork tries again. Says a word when the limit is reached.
  static func bomb(_ arguments: [String]) throws(SyscallError) -> Never {
    let first = getpid()
    var told = false
    while true {
      do throws(SyscallError) { _ = try Processes.fork() } catch {
        if getpid() == first, !told {
          told = true
          try Descriptors.write(1, [1])
        }
      }
    }
  }

  /// Ten processes, one of which makes a forbidden call.
  static func violate() throws(SyscallError) -> Never {
    for _ in 1..<10 where try Processes.fork() == 0 {
      while true { pause() }
    }
    try Descriptors.write(1, Array("\(Clock.monotonicNanoseconds())".utf8))
    try? Mounts.makePrivate(ByteString("/"))
    while true { pause() }
  }
}
