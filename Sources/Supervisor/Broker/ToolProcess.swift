internal import Broker
internal import Glibc
internal import Hashing
internal import JSON
internal import Kernel

/// What a call has the supervisor execute.
struct ToolInvocation {
  let tool: Tool
  let words: [String]
  let input: String
  /// Where it runs: the tool's own ring, or that of a lease.
  let ring: UInt8
  /// The lease that lets it.
  let lease: String?
  /// Of a step of a saga: what a runner finds of it.
  var saga: SagaStepFiles?
}

/// One call of a tool: an agt-run of its own, in the tool's ring, with its own limits, record and place in the
/// registry. It is tied to us by a descriptor, so that it ends when we do, whatever ends us.
final class ToolProcess {
  let id: JSONValue
  let client: UInt64
  private let tool: Tool
  /// That lets it run in the ring in which it runs; nil when it needs none.
  let lease: String?
  private let pid: Int32
  /// Readable when agt-run has ended.
  let pidfd: OwnedFD
  private(set) var output: OwnedFD?
  private(set) var errors: OwnedFD?
  private let record: OwnedFD
  private var lifeline: OwnedFD?
  private var outputBytes: [UInt8] = []
  private var errorBytes: [UInt8] = []
  /// Of both streams, what its caller was told of while it works.
  private var toldCounts = (output: 0, errors: 0)
  private let beganMilliseconds: UInt64
  /// When it is killed that should have ended long ago.
  private(set) var deadlineMilliseconds: UInt64
  /// Why it was ended by us, when it was.
  private(set) var verdict: Verdict?

  enum Verdict: String {
    case outputExceeded = "output_exceeded"
    case cancelled
    /// The lease that it needed is over.
    case leaseEnded = "lease_ended"
    case lost
  }

  /// From the end of a tool's time until agt-run has confirmed it.
  private static let patienceMilliseconds: UInt64 = 15_000
  private static let readBytes = 65_536
  private static let progressMaxBytes = 16_384
  /// A record is some hundred bytes, and violations make it longer.
  private static let recordMaxBytes = 1 << 20

  /// - Parameters:
  ///   - words: of the tool's command.
  ///   - options: of agt-run, which say where it runs, and in which ring.
  init(
    _ invocation: ToolInvocation, options: [String], environment: [ByteString], id: JSONValue,
    client: UInt64, now: UInt64
  ) throws(SyscallError) {
    let tool = invocation.tool
    self.tool = tool
    lease = invocation.lease
    self.id = id
    self.client = client
    beganMilliseconds = now
    deadlineMilliseconds = now + tool.timeoutMilliseconds + Self.patienceMilliseconds
    let out = try Descriptors.pipe()
    let err = try Descriptors.pipe()
    let life = try Descriptors.pipe()
    let saga = invocation.saga
    if let kept = saga?.record.raw {
      record = try Descriptors.duplicate(kept)
    } else {
      record = try Descriptors.memory(name: "record")
    }
    let standardInput = try Self.input(invocation.input)
    let arguments =
      ["agt-run"] + options + [
        "--quiet", "--timeout", "\(tool.timeoutMilliseconds)ms",
        "--result-json", "/proc/self/fd/3", "--tie-fd", "4",
      ] + (saga.map(Self.options) ?? []) + ["--"] + invocation.words
    var descriptors: [(Int32, Int32)] = [
      (standardInput.raw, 0), (out.writer.raw, 1), (err.writer.raw, 2), (record.raw, 3),
      (life.reader.raw, 4),
    ]
    if let saga, let lock = saga.lock.raw, let events = saga.events.raw {
      descriptors += [(lock, 5), (events, 6)]
    }
    pid = try Processes.spawn(
      ByteString("/proc/self/exe"), arguments: arguments.map { ByteString($0) },
      environment: environment,
      descriptors: descriptors, ownGroup: true)
    saga?.release(to: pid)
    pidfd = try Processes.openPidfd(pid)
    let outReader = try out.reader.duplicate()
    let errReader = try err.reader.duplicate()
    try Descriptors.setNonBlocking(outReader.raw, true)
    try Descriptors.setNonBlocking(errReader.raw, true)
    output = consume outReader
    errors = consume errReader
    lifeline = try life.writer.duplicate()
  }

  /// Of agt-run, for a step of a saga.
  private static func options(_ saga: SagaStepFiles) -> [String] {
    ["--status-fd", "6"] + saga.environment.flatMap { ["--env", "\($0.name)=\($0.value)"] }
  }

  /// The whole text in a pipe, which holds more than a request can bring; nothing is waited for.
  private static func input(_ text: String) throws(SyscallError) -> OwnedFD {
    if text.isEmpty { return try Files.open(ByteString("/dev/null"), O_RDONLY) }
    let pipe = try Descriptors.pipe()
    try Descriptors.setNonBlocking(pipe.writer.raw, true)
    let bytes = Array(text.utf8)
    guard try Descriptors.writeSome(pipe.writer.raw, bytes[...]) == bytes.count else {
      throw SyscallError(call: "write", object: "a pipe of the tool's input", errno: EAGAIN)
    }
    return pipe.takeReader()
  }

  /// Takes what waits at one of its streams.
  /// - Returns: false when the stream has ended.
  func read(_ descriptor: Int32) -> Bool {
    let isOutput = descriptor == output.raw
    while true {
      guard let bytes = try? Descriptors.read(descriptor, upTo: Self.readBytes) else { return true }
      if bytes.isEmpty { return false }
      let room = tool.outputMaxBytes - outputBytes.count - errorBytes.count
      if isOutput { outputBytes += bytes.prefix(room) } else { errorBytes += bytes.prefix(room) }
      if bytes.count > room {
        stop(.outputExceeded)
        return false
      }
    }
  }

  /// What is new since the last time, for a caller who wants to look on: whole characters, a part at a time.
  /// - Parameter tell: false when the caller does not take it now; then it is told the next time.
  func progress(nowMilliseconds: UInt64, tell: (JSONObject) -> Bool) {
    var told: JSONObject = [
      "id": id,
      "elapsedMilliseconds": JSONValue(nowMilliseconds - min(nowMilliseconds, beganMilliseconds)),
    ]
    let output = Self.part(outputBytes[toldCounts.output...])
    let errors = Self.part(errorBytes[toldCounts.errors...])
    if !output.isEmpty { Self.put(output, "stdout", in: &told) }
    if !errors.isEmpty { Self.put(errors, "stderr", in: &told) }
    guard tell(told) else { return }
    toldCounts = (toldCounts.output + output.count, toldCounts.errors + errors.count)
  }

  /// Whether there is output that its caller was not told of.
  var hasNews: Bool {
    outputBytes.count > toldCounts.output || errorBytes.count > toldCounts.errors
  }

  /// At most a line's worth, without the beginning of a character (RFC 3629, section 3).
  private static func part(_ bytes: ArraySlice<UInt8>) -> [UInt8] {
    let part = Array(bytes.prefix(progressMaxBytes))
    for length in 1..<4 where part.count >= length {
      let byte = part[part.count - length]
      if byte & 0xc0 == 0x80 { continue }
      let needed = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1
      return needed > length ? Array(part.dropLast(length)) : part
    }
    return part
  }

  /// What its end and its output are read from, as long as they are open.
  var descriptors: [Int32] { [pidfd.raw, output.raw, errors.raw].compactMap { $0 } }

  func close(_ descriptor: Int32) {
    if descriptor == output.raw { output = nil } else { errors = nil }
  }

  /// Ends it: agt-run kills the ring and confirms.
  func stop(_ why: Verdict) {
    if verdict == nil { verdict = why }
    lifeline = nil
    deadlineMilliseconds = min(
      deadlineMilliseconds, AlarmClock.nowMilliseconds + Self.patienceMilliseconds)
  }

  /// For one that did not end; its ring ends with it.
  func kill() {
    stop(.lost)
    _ = try? Processes.signal(pidfd: pidfd.raw, SIGKILL)
  }

  /// After its end: nothing of it is left.
  func reap() { _ = try? Processes.wait(pid, blocking: true) }

  /// - Returns: whether it has ended. An event can be about the descriptor that had this number before.
  func reapIfEnded() -> Bool { (try? Processes.wait(pid, blocking: false)) != nil }

  /// What became of it.
  func result(nowMilliseconds: UInt64) -> JSONValue {
    for number in [output.raw, errors.raw] { if let number { _ = read(number) } }
    let bytes = (try? Files.readFromStart(record.raw, limit: Self.recordMaxBytes)) ?? []
    let record = (try? JSONParser.parse(bytes)) ?? .null
    let state = record["state"]?.stringValue
    let outcome: String
    switch (verdict, state, record["reason"]?.stringValue) {
    case (let verdict?, _, _): outcome = verdict.rawValue
    case (nil, "killed", "session_timeout"): outcome = "timed_out"
    case (nil, let state?, _): outcome = state
    // It was refused before there was anything to record.
    case (nil, nil, _): outcome = "not_started"
    }
    var object: JSONObject = ["outcome": .string(outcome)]
    if outcome == "exited" { object["status"] = record["status"] ?? .null }
    if outcome == "signaled" {
      object["signal"] = JSONValue((record["status"]?.integerValue ?? 128) - 128)
    }
    if let reason = record["reason"], outcome == "killed" { object["reason"] = reason }
    if let message = record["message"], message != .null { object["message"] = message }
    Self.put(outputBytes, "stdout", in: &object)
    Self.put(errorBytes, "stderr", in: &object)
    object["run"] = record["run"] ?? .null
    object["wallMilliseconds"] = JSONValue(
      nowMilliseconds - min(nowMilliseconds, beganMilliseconds))
    return .object(object)
  }

  /// Text as it is; other bytes as base64 under another name, so that nobody takes one for the other.
  static func put(_ bytes: [UInt8], _ name: String, in object: inout JSONObject) {
    if let text = String(validating: bytes, as: UTF8.self) {
      object[name] = .string(text)
    } else {
      object[name + "Base64"] = .string(Base64.encode(bytes))
    }
  }
}
