internal import Audit
internal import AuditStore
internal import Glibc
internal import JSON
internal import Kernel

/// What the audit log costs: waiting for one entry, many that wait together, and reading all of it.
enum AuditBenchmark {
  private static let waiters = 256
  private static let rounds = 1500
  private static let seconds: UInt64 = 3

  /// - Parameter arguments: how many entries are verified.
  static func run(_ arguments: [String]) throws {
    let count = arguments.first.flatMap { Int($0) } ?? 1_000_000
    let place = "/var/tmp/agt-bench-audit-\(getpid())"
    try Files.makeDirectory(ByteString(place), mode: 0o700)
    defer { _ = try? Bench.time(Bench.Command(name: "", words: ["/bin/rm", "-rf", place])) }
    try single(place)
    try many(place)
    try verify(place, count)
  }

  /// A decision with its request.
  private static func entry(_ number: Int) -> JSONObject {
    [
      "request": JSONValue(number), "tool": "git", "arguments": ["push", "origin", "main"],
      "verdict": "allow", "rule": "coding-agent.yaml:41", "policy": "coding-agent",
    ]
  }

  private static let key = SigningKey(seed: SigningKey.randomSeed())
  private static let origin = "agt-run/bench"

  private static func directory(_ path: String) throws(SyscallError) -> OwnedFD {
    try Files.makeDirectory(ByteString(path), mode: 0o700)
    return try Files.open(ByteString(path), O_RDONLY | O_DIRECTORY)
  }

  /// As a run's own.
  private static func create(_ path: String) throws(LogError) -> LogWriter {
    let made: OwnedFD
    do throws(SyscallError) { made = try directory(path) } catch { throw .system(error) }
    return try LogWriter.create(
      in: made, origin: origin, key: key, runMaxBytes: .max, isContinued: false)
  }

  private static func milliseconds() -> UInt64 { Clock.wallNanoseconds() / 1_000_000 }

  // MARK: one waiter

  /// In turn with a bare write and fdatasync of as many bytes.
  private static func single(_ place: String) throws {
    let writer = try create(place + "/single")
    let queue = try GroupCommitter(mode: .group, wakesLoop: false)
    queue.begin(try create(place + "/queue"))
    let file = try Files.open(
      ByteString(place + "/bare"), O_WRONLY | O_CREAT | O_APPEND, mode: 0o600)
    let line =
      try Entry.encode(
        index: 0, kind: .note, timeMilliseconds: milliseconds(), data: entry(0)) + [10]
    var bare: [UInt64] = []
    var inline: [UInt64] = []
    var queued: [UInt64] = []
    for number in 0..<rounds {
      bare.append(
        try timed {
          try Descriptors.write(file.raw, line)
          try Files.syncData(file.raw)
        })
      inline.append(
        try timed {
          try writer.append(.note, timeMilliseconds: milliseconds(), data: entry(number))
          try writer.commit()
        })
      queued.append(
        try timed {
          try queue.wait(
            for: queue.intend(.note, timeMilliseconds: milliseconds(), entry(number)))
        })
    }
    _ = queue.finish()
    let base = Bench.Spread(bare).median
    Bench.say("one entry of \(line.count) bytes at a time, \(rounds) rounds, median µs")
    for (name, times) in [
      ("write and fdatasync", bare), ("an entry, durable and signed", inline),
      ("the same through the thread", queued),
    ] {
      let median = Bench.Spread(times).median
      Bench.say(
        "  \(Bench.left(name, 30)) \(Bench.padded(Bench.fixed(median / 1000, 1), 9))"
          + "  × \(Bench.fixed(median / base, 2))")
    }
    Bench.say("")
  }

  private static func timed(_ body: () throws -> Void) throws -> UInt64 {
    let began = Clock.monotonicNanoseconds()
    try body()
    return Clock.monotonicNanoseconds() - began
  }

  // MARK: many waiters

  /// Each waits for its entry and has the next one as soon as the answer is there, as connections to one
  /// supervisor do.
  private static func many(_ place: String) throws {
    let queue = try GroupCommitter(mode: .group, wakesLoop: true)
    queue.begin(try create(place + "/many"))
    var poller = try Poller()
    try poller.add(queue.descriptor!, .input)
    let began = Clock.monotonicNanoseconds()
    for number in 0..<waiters {
      _ = queue.intend(.note, timeMilliseconds: milliseconds(), entry(number))
    }
    var count = 0
    while Clock.monotonicNanoseconds() - began < seconds * 1_000_000_000 {
      _ = try poller.wait(milliseconds: 1000)
      let now = milliseconds()
      for (_, refusal) in queue.takeAnswers() {
        if let refusal { throw refusal }
        count += 1
        _ = queue.intend(.note, timeMilliseconds: now, entry(count))
      }
    }
    let took = Clock.monotonicNanoseconds() - began
    let counts = queue.counts
    _ = queue.finish()
    Bench.say("\(waiters) that wait at the same time, \(seconds) s")
    Bench.say("  durable entries a second       \(count * 1_000_000_000 / Int(took))")
    Bench.say(
      "  groups \(counts.groups), fdatasync \(counts.syncs), entries a group "
        + "\(count / max(1, Int(counts.groups)))")
    Bench.say("")
  }

  // MARK: verifying

  private static func verify(_ place: String, _ count: Int) throws {
    let path = place + "/long"
    let writer = try create(path)
    for number in 0..<count {
      try writer.append(.note, timeMilliseconds: 1_764_000_000_000, data: entry(number))
      if number % 1000 == 999 { try writer.flush() }
    }
    try writer.commit()
    let verifier = key.verifier(name: origin)
    let before = residentKiB()
    let began = Clock.monotonicNanoseconds()
    let finding = try LogVerifier(path).verify(key: verifier)
    let took = Clock.monotonicNanoseconds() - began
    guard finding.checkpoint.size == UInt64(count) else { AgtBench.fail("entries are missing") }
    Bench.say("verifying \(count) entries")
    Bench.say("  entries a second               \(count * 1_000_000_000 / Int(took))")
    Bench.say("  resident before and after, KiB \(before) \(residentKiB())")
    Bench.say("")
  }

  private static func residentKiB() -> Int {
    let text = (try? Files.read(ByteString("/proc/self/status"), limit: 1 << 16))?.text ?? ""
    let line = text.split(separator: "\n").first { $0.hasPrefix("VmRSS:") }
    return line.flatMap { Int($0.filter(\.isNumber)) } ?? 0
  }
}
