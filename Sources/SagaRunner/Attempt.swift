internal import Glibc
internal import JSON
internal import Kernel
internal import Paths
internal import Saga
internal import Supervisor
internal import Transactions

/// One attempt: an agt-run of its own with a ring of its own.
///
/// It holds a lock as long as it lives, which it has from the runner and which outlives the runner. A later
/// runner that finds the lock taken waits for the attempt instead of starting another; one that finds it
/// free reads what agt-run wrote. So no step ever runs twice at once, whoever dies.
final class Attempt {
  let step: Int
  let kind: SagaActionKind
  let number: Int
  let stepName: String
  /// Nil when another runner started it.
  private(set) var pid: Int32?
  private let base: String
  private let command: SagaCommand
  private let outputs: [SagaOutput]
  private let workspace: String
  /// Of a step whose files wait for the end of the saga.
  private let files: WaitingFiles?
  /// What its program cannot change.
  private let protects: [String]
  /// When the program is asked to end, in milliseconds since 1970.
  private let deadline: UInt64
  private var isTimedOut = false
  private var isStopped = false
  private var askedAt: UInt64?
  private var isKilled = false
  /// Its agt-run is gone, with this status when it was our child.
  private(set) var isGone = false
  private var status: WaitStatus?
  /// Until when its ring is waited for, in milliseconds since 1970.
  private var ringDeadline: UInt64?

  init(
    _ action: SagaAction, stepName: String, directory: SagaDirectory, workspace: String,
    files: WaitingFiles, protects: [String], startedAt: UInt64
  ) {
    self.files = action.kind == .run && action.command.commitsWithSaga ? files : nil
    self.protects = action.kind == .run ? protects : []
    step = action.step
    kind = action.kind
    number = action.attempt
    self.stepName = stepName
    base = directory.run(stepName, action.kind, action.attempt)
    command = action.command
    outputs = action.outputs
    self.workspace = workspace
    deadline = startedAt + (action.command.timeoutMilliseconds ?? 0)
  }

  // MARK: start

  /// - Parameters:
  ///   - agtRun: its path.
  ///   - trace: the value of TRACEPARENT.
  func start(_ action: SagaAction, agtRun: String, trace: String) throws(SyscallError) {
    let lock = try file("lock", O_RDWR | O_CREAT | O_EXCL)
    guard try Descriptors.tryLock(lock.raw) else {
      throw SyscallError(call: "flock", object: base + ".lock", errno: EWOULDBLOCK)
    }
    let nothing = try input()
    let output = try file("out", O_WRONLY | O_CREAT | O_TRUNC)
    let errors = try file("err", O_WRONLY | O_CREAT | O_TRUNC | O_APPEND)
    let events = try file("events", O_WRONLY | O_CREAT | O_TRUNC | O_APPEND)
    let child = try Processes.spawn(
      ByteString(agtRun), arguments: try words(action, trace: trace).map { ByteString($0) },
      environment: Vectors.environment,
      descriptors: [
        (nothing.raw, 0), (output.raw, 1), (errors.raw, 2), (events.raw, 3), (lock.raw, 4),
      ], ownGroup: true)
    pid = child
    // For whoever has to end it when this runner is gone.
    try Descriptors.write(lock.raw, Array("\(child)\n".utf8))
  }

  /// What a tool reads; programs of plans read nothing.
  private func input() throws(SyscallError) -> OwnedFD {
    guard let text = command.tool?.input, !text.isEmpty else {
      return try Files.open(ByteString("/dev/null"), O_RDONLY)
    }
    let written = try file("in", O_WRONLY | O_CREAT | O_TRUNC)
    try Descriptors.write(written.raw, Array(text.utf8))
    return try file("in", O_RDONLY)
  }

  private func file(_ suffix: String, _ flags: Int32) throws(SyscallError) -> OwnedFD {
    try Files.open(ByteString("\(base).\(suffix)"), flags | O_NOFOLLOW, mode: 0o600)
  }

  private func words(
    _ action: SagaAction, trace: String
  ) throws(SyscallError) -> [String] {
    let grace = command.graceMilliseconds
    // The runner ends it at its time; this is for when the runner is gone.
    let timeout = (command.timeoutMilliseconds ?? 0) + grace + 1000
    var words = [
      "agt-run", "--quiet", "--result-json", base + ".json", "--status-fd", "3", "--timeout",
      "\(timeout)ms", "--grace", "\(grace)ms", "--on-violation", "kill",
    ]
    if let ring = command.ring { words += ["--ring", "\(ring)"] }
    if let profile = command.profile { words += ["--profile", profile] }
    if let tool = command.tool { words += tool.options } else { words += try views() }
    var environment = action.environment
    environment["TRACEPARENT"] = trace
    for (name, value) in environment.sorted(by: { $0.key < $1.key }) {
      words += ["--env", "\(name)=\(value)"]
    }
    return words + ["--"] + action.arguments
  }

  /// In a transaction what lies deeper cannot be protected (`OwnPlaces`).
  private func isAtTop(_ path: String) -> Bool {
    !(PathText.below(path, workspace) ?? "").utf8.contains(UInt8(ascii: "/"))
  }

  /// What a plan shows its program.
  private func views() throws(SyscallError) -> [String] {
    var words: [String] = []
    switch command.workspace {
    case .readOnly: words += ["--workspace", workspace + ":ro"]
    case .readWrite: words += ["--workspace", workspace + ":rw"]
    // A name may end as a mode does.
    case .transaction:
      words += ["--workspace", workspace + "/"]
      words += try files?.options() ?? ["--txn=commit-on-success"]
    case nil: words += ["--workspace", workspace + "/"]
    }
    for path in command.reads { words += ["--read", path] }
    for path in protects where command.workspace != .transaction || isAtTop(path) {
      words += ["--protect", path]
    }
    for path in command.writes { words += ["--write", path] }
    for host in command.network { words += ["--net", host.text] }
    if let bytes = command.memoryBytes { words += ["--memory", "\(bytes)"] }
    if let count = command.processes { words += ["--pids", "\(count)"] }
    return words
  }

  // MARK: after a crash

  enum Trace { case none, running, over }

  /// What is left of an attempt that an earlier runner may have started.
  func look() throws(SyscallError) -> Trace {
    let lock: OwnedFD
    do throws(SyscallError) {
      lock = try file("lock", O_RDWR)
    } catch {
      if error.errno == ENOENT { return .none }
      throw error
    }
    return try Descriptors.tryLock(lock.raw) ? .over : .running
  }

  // MARK: end

  func stop() { isStopped = true }

  /// Asks, and after the grace forces, what has to end; when to look again, in milliseconds since 1970.
  func press(now: UInt64) throws(SyscallError) -> UInt64? {
    if isGone { return nil }
    if now >= deadline { isTimedOut = isTimedOut || !isStopped }
    guard isTimedOut || isStopped else { return deadline }
    guard let askedAt else {
      self.askedAt = now
      try signal()
      return now + command.graceMilliseconds
    }
    // A second signal does not wait.
    if now >= askedAt + command.graceMilliseconds, !isKilled {
      isKilled = true
      try signal()
    }
    return isKilled ? nil : askedAt + command.graceMilliseconds
  }

  private func signal() throws(SyscallError) {
    if let pid = pid ?? holder { _ = try Processes.signal(pid, SIGTERM) }
  }

  /// The agt-run that holds the lock: as written down, or, when the runner died before it could, whoever has
  /// the file open.
  private var holder: Int32? {
    let path = base + ".lock"
    if let text = try? Files.read(ByteString(path), limit: 32).text,
      let pid = Int32(text.prefix { $0 != "\n" })
    {
      return pid
    }
    guard let names = try? Files.names(in: ByteString("/proc")) else { return nil }
    return names.compactMap { Int32($0.text) }.first { pid in
      let link = try? Files.readLink(ByteString("/proc/\(pid)/fd/4"))
      return link?.text == path
    }
  }

  /// Its agt-run is gone.
  /// - Parameter status: nil when it was somebody else's child.
  func leave(_ status: WaitStatus?) {
    isGone = true
    self.status = status
  }

  /// How it ended, once its agt-run is gone; nil while its ring may still be there.
  func outcome(now: UInt64) -> SagaOutcome? {
    guard let bytes = try? Files.read(ByteString(base + ".json"), limit: 1 << 22),
      let result = try? JSONParser.parse(bytes), let state = result["state"]?.stringValue
    else { return withoutResult(now) }
    let message = result["message"]?.stringValue
    let reason = result["reason"]?.stringValue ?? ""
    switch state {
    case "exited":
      let number = Int(result["status"]?.integerValue ?? 125)
      if number == 0 { return succeeded(result) }
      return cut ?? .exited(number, message: message)
    case "signaled":
      return cut ?? .signaled(reason.split(separator: " ").last.flatMap { Int($0) } ?? 0)
    case "not_started": return .notStarted(message ?? reason)
    case "killed":
      if reason == "policy_violation" { return .violation(message ?? reason) }
      if reason == "session_timeout" { return .timedOut }
      return cut ?? .killed(message ?? reason)
    default: return .lost(message ?? reason)
    }
  }

  /// Why we ended it, when we did.
  private var cut: SagaOutcome? {
    isTimedOut ? .timedOut : isStopped ? .killed("the saga turned round") : nil
  }

  private func withoutResult(_ now: UInt64) -> SagaOutcome? {
    let events = (try? Files.read(ByteString(base + ".events"), limit: 1 << 22).text) ?? ""
    let began = events.split(separator: "\n").contains { $0.hasPrefix("{\"event\":\"executed\"") }
    if case .exited(let code) = status, !began, [2, 125, 126, 127].contains(code) {
      return .notStarted(complaint ?? "agt-run ended with \(code)")
    }
    let deadline = ringDeadline ?? now + Self.ringWaitMaxMilliseconds
    ringDeadline = deadline
    if now < deadline, isRingThere(events) { return nil }
    return .lost("agt-run ended without a word")
  }

  /// agt-run did not live to confirm that the ring is empty: its PID 1 ends with it, a moment later.
  private func isRingThere(_ events: String) -> Bool {
    let line = events.split(separator: "\n").first { $0.hasPrefix("{\"event\":\"started\"") }
    guard let line, let json = try? JSONParser.parse(Array(line.utf8)),
      let pid = json["pid"]?.integerValue.flatMap({ Int32(exactly: $0) }),
      let text = try? Files.read(ByteString("/proc/\(pid)/status"), limit: 1 << 16).text
    else { return false }
    return Self.isRing(text)
  }

  /// Whether a status of /proc is of a PID 1 of a ring that lives: in a pid namespace of its own it has a
  /// second pid, 1; a zombie only waits for whoever inherited it (proc_pid_status(5)).
  static func isRing(_ status: String) -> Bool {
    let lines = status.split(separator: "\n")
    guard let pids = lines.first(where: { $0.hasPrefix("NSpid:") }),
      let state = lines.first(where: { $0.hasPrefix("State:") })
    else { return false }
    return pids.split(separator: "\t").count > 2 && !state.hasPrefix("State:\tZ")
  }

  /// A process that takes longer to die waits for a device.
  static let ringWaitMaxMilliseconds: UInt64 = 10_000

  /// The last line that agt-run wrote about itself.
  private var complaint: String? {
    guard let text = try? Files.read(ByteString(base + ".err"), limit: 1 << 20).text else {
      return nil
    }
    let line = text.split(separator: "\n").last { $0.hasPrefix("agt-run: ") }
    return line.map { SagaText.plain(String($0.dropFirst(9))) }
  }

  // MARK: outputs

  private func succeeded(_ result: JSONValue) -> SagaOutcome {
    do throws(TransactionError) { try files?.take(result) } catch {
      let message = "what it has changed: \(error.message)"
      // Else a part of it may be with the files of other steps now, and another attempt would go on from that.
      return error.kind == .refused ? .exited(125, message: message) : .lost(message)
    }
    var values: [String: String] = [:]
    for output in outputs {
      let bytes: [UInt8]
      do throws(SyscallError) {
        switch output.source {
        case .standardOutput:
          bytes = try Files.read(ByteString(base + ".out"), limit: output.sizeMaxBytes)
        case .file(let path): bytes = try read(path, limit: output.sizeMaxBytes)
        }
      } catch {
        return .outputMissing("the output \(output.name.text): \(error.description)")
      }
      guard var text = String(validating: bytes, as: UTF8.self), !text.utf8.contains(0) else {
        return .outputMissing("the output \(output.name.text) is not text in UTF-8")
      }
      // As $(…) of a shell, but only one.
      if text.hasSuffix("\n") { text.removeLast() }
      values[output.name.text] = text
    }
    return .succeeded(outputs: values)
  }

  /// The step chose what is there: no link is followed, nothing but a regular file is read.
  private func read(_ path: String, limit: Int) throws(SyscallError) -> [UInt8] {
    do throws(TransactionError) {
      if let bytes = try files?.read(path, limit: limit) { return bytes }
    } catch {
      throw SyscallError(call: "open", object: "\(path): \(error.message)", errno: ENOENT)
    }
    let root = try Files.open(ByteString(workspace), O_RDONLY | O_DIRECTORY)
    let file = try Files.open(
      ByteString(path), O_RDONLY | O_NONBLOCK, at: root.raw, resolve: [.beneath, .noSymlinks])
    guard try Files.status(file.raw).kind == .regular else {
      throw SyscallError(call: "open", object: path, errno: EINVAL)
    }
    return try Descriptors.readAll(file.raw, limit: limit)
  }
}
