internal import Audit
internal import AuditStore
internal import Broker
internal import Glibc
internal import Hashing
internal import JSON
internal import Kernel
internal import Policy
internal import Rings

/// The tools of a run while they work: as many at once as the ring may have.
///
/// A tool that hangs, floods or dies costs its caller an answer that says so, and nobody else anything. None
/// outlives the connection that called it, nor the run.
final class ToolRunner: RunService {
  let tools: [Tool]
  let programs: ToolPrograms
  private let ring: UInt8
  /// Of `--profile`; nil for a shipped one.
  private let profileFile: String?
  private let concurrentMax: Int
  /// Of agt-run, the same for every tool.
  let options: [String]
  /// The same from wherever they are given.
  let lastingOptions: [String]
  private let environment: [ByteString]
  /// What every call has besides its words, for those who approve one.
  private let workingDirectory: String
  private let environmentDigest: String
  private var running: [ObjectIdentifier: Running] = [:]
  /// Whose a descriptor in the loop is.
  private var owners: [Int32: ToolProcess] = [:]
  /// Leases that are over, until none of the calls that they let run is left.
  private var endings: [String: (left: Int, count: Int, done: (Int) -> Void)] = [:]
  /// Calls whose beginning is not on the disk yet.
  private var announced: [Announced] = []
  private let clock: AlarmClock
  private let audit: RunAudit
  private var loop: RunLoop?

  private struct Running {
    let process: ToolProcess
    var done: (JSONValue) -> Void
    /// Nil when its caller does not look on.
    var progress: Progress?
  }

  private struct Progress {
    let tell: (JSONObject) -> Bool
    var lastMilliseconds: UInt64
    var nextMilliseconds: UInt64
  }

  private struct Announced {
    /// Two calls can have the same id, one after the other.
    let number: UInt64
    let id: JSONValue
    let client: UInt64
  }
  private var lastNumber: UInt64 = 0

  /// How long the end of a run waits for its tools, which are told to end.
  private static let farewellMilliseconds: Int32 = 3000
  /// To whoever looks on, when there is nothing new, and when there is.
  private static let progressMilliseconds: UInt64 = 1000
  private static let newsMilliseconds: UInt64 = 100
  /// Two streams, the end, the record and the tie.
  static let descriptorsPerTool = 5

  init(
    _ tools: [Tool], _ run: borrowing PreparedRun, _ options: RunOptions, environment: [[UInt8]],
    _ audit: RunAudit
  ) throws(SyscallError) {
    self.audit = audit
    self.tools = tools
    ring = run.profile.ring
    profileFile = options.profileFile
    concurrentMax = Int(min(run.profile.requests.concurrentTools, 1024))
    guard let programs = run.toolPrograms else { preconditionFailure("tools without programs") }
    self.programs = programs
    let workspace = run.request.workspace.path
    self.options =
      Self.options(options, programs, workspace: workspace)
      + (options.onViolation == .deny ? [] : ["--on-violation", "kill"])
    let here = (try? Files.workingDirectory().text) ?? "/"
    lastingOptions = Self.options(options, programs, workspace: workspace) {
      $0.hasPrefix("/") ? $0 : here + "/" + $0
    }
    self.environment = environment
    workingDirectory = here
    environmentDigest = SHA256.text(Array(environment.joined(separator: [0])))
    clock = try AlarmClock()
  }

  /// In its caller's ring a tool has the caller's own profile, which may be narrower than the shipped one.
  private func place(_ toolRing: UInt8) -> [String] {
    if let profileFile, toolRing == ring { return ["--profile", profileFile] }
    return ["--ring", "\(toolRing)"]
  }

  /// A tool sees what its caller sees, as far as its own ring lets it.
  private static func options(
    _ options: RunOptions, _ programs: ToolPrograms, workspace: String,
    place: (String) -> String = { $0 }
  ) -> [String] {
    var words = [
      // A name may end as a mode does.
      "--workspace", workspace + (options.workspaceAccess.map { ":\($0.rawValue)" } ?? "/"),
    ]
    for path in options.policies { words += ["--policy", place(path)] }
    // Nor does a tool change what its caller obeys.
    let own = [options.profileFile, options.agentFile].compactMap(\.self)
    for path in options.tools + options.protects + own {
      words += ["--protect", place(path)]
    }
    // Nor what another tool executes.
    for path in programs.kept { words += ["--protect", path] }
    for path in options.reads { words += ["--read", place(path)] }
    for path in options.writes { words += ["--write", place(path)] }
    for name in options.degraded.map(\.rawValue).sorted() { words += ["--degrade", name] }
    for (name, value) in options.environment {
      words += ["--env", value.map { "\(name)=\($0.text)" } ?? name]
    }
    if let agent = options.agent { words += ["--agent", agent] }
    if let levels = options.breachLevels { words += ["--breach", levels.text] }
    words += ["--audit-sync", options.auditSync.rawValue]
    return words
  }

  /// The same for each call, for those who approve one.
  var facts: JSONObject {
    [
      "options": JSONValue(options), "workingDirectory": .string(workingDirectory),
      "environmentDigest": .string("sha256:" + environmentDigest),
    ]
  }

  // MARK: calls

  /// What may be called here.
  /// - Parameter bound: the caller's own ring, or that of a lease: nothing above it.
  func tool(_ name: String, in bound: UInt8) throws(BrokerError) -> Tool {
    guard let tool = tools.first(where: { $0.name == name }) else {
      throw BrokerError(.invalidParams, "there is no such tool; tool.list names them")
    }
    guard tool.ring >= bound else {
      throw BrokerError(
        .notPermitted, "\(name) runs in ring \(tool.ring), which is above ring \(bound)")
    }
    return tool
  }

  /// Begins the tool as soon as the log holds that it does.
  /// - Parameters:
  ///   - why: what the log says of the decision.
  ///   - mayBegin: asked again when the log has it.
  ///   - progress: is told while it works, and says whether that was taken; nil when nobody looks on.
  ///   - done: gets the result when the tool has ended; not called when its client is dropped.
  func call(
    _ invocation: ToolInvocation, id: JSONValue, client: UInt64, why: JSONObject,
    mayBegin: @escaping () throws(BrokerError) -> Void,
    progress: ((JSONObject) -> Bool)? = nil, done: @escaping (JSONValue) -> Void
  ) throws(BrokerError) {
    guard running.count + announced.count < concurrentMax else {
      throw BrokerError(
        .busy, "\(concurrentMax) tools are running, as many as ring \(ring) may have")
    }
    // All that begins passes here: what an agent calls, what was approved, and steps of sagas.
    if let meter = loop?.meter, !meter.countToolCall() { throw BrokerMethods.ending }
    lastNumber += 1
    let number = lastNumber
    announced.append(Announced(number: number, id: id, client: client))
    audit.intend(.toolStart, entry(invocation, why)) { [weak self] refusal in
      guard let self, loop != nil else { return }
      guard let place = announced.firstIndex(where: { $0.number == number }) else {
        invocation.saga?.close()
        record(["outcome": "cancelled"])
        return done(["outcome": "cancelled"])
      }
      announced.remove(at: place)
      do throws(BrokerError) {
        if let refusal { throw BrokerError(.failed, refusal) }
        try mayBegin()
        try begin(invocation, id: id, client: client, progress: progress, done: done)
      } catch {
        invocation.saga?.close()
        let result: JSONValue = ["outcome": "not_started", "message": .string(error.message)]
        record(result)
        done(result)
      }
    }
  }

  private func entry(_ invocation: ToolInvocation, _ why: JSONObject) -> JSONObject {
    var entry = why
    entry["tool"] = .string(invocation.tool.name)
    entry["declared"] = .string(invocation.tool.place)
    entry["ring"] = JSONValue(invocation.ring)
    if let lease = invocation.lease { entry["lease"] = .string(lease) }
    entry["commandDigest"] = .string(
      AuditEntries.digest(
        audit.salt,
        ["command": JSONValue(invocation.words), "input": .string(invocation.input)]))
    return entry
  }

  private func begin(
    _ invocation: ToolInvocation, id: JSONValue, client: UInt64,
    progress: ((JSONObject) -> Bool)?, done: @escaping (JSONValue) -> Void
  ) throws(BrokerError) {
    do throws(SyscallError) {
      let process = try ToolProcess(
        invocation, options: options + place(invocation.ring), environment: environment, id: id,
        client: client,
        now: AlarmClock.nowMilliseconds)
      do throws(SyscallError) { try follow(process) } catch {
        // Nobody would hear of its end.
        for number in process.descriptors { try? forget(number) }
        process.kill()
        process.reap()
        throw error
      }
      let now = AlarmClock.nowMilliseconds
      running[ObjectIdentifier(process)] = Running(
        process: process, done: done,
        progress: progress.map {
          Progress(
            tell: $0, lastMilliseconds: now, nextMilliseconds: now + Self.progressMilliseconds)
        })
      if progress != nil { try? clock.arm(now + Self.progressMilliseconds) }
    } catch {
      throw BrokerError(.failed, "starting the tool: \(error.description)")
    }
  }

  private func follow(_ process: ToolProcess) throws(SyscallError) {
    for number in process.descriptors {
      try loop!.watch(number, .input, for: self)
      owners[number] = process
    }
    try clock.arm(process.deadlineMilliseconds)
  }

  /// - Returns: false when no such call is under way.
  func cancel(_ id: JSONValue, client: UInt64) -> Bool {
    let found = running.values.filter { $0.process.client == client && $0.process.id == id }
    for one in found { stop(one.process, .cancelled) }
    let waiting = announced.count
    announced.removeAll { $0.client == client && $0.id == id }
    return !found.isEmpty || announced.count < waiting
  }

  /// Nobody is there for the answers any more.
  func drop(client: UInt64) {
    announced.removeAll { $0.client == client }
    for (key, value) in running where value.process.client == client {
      stop(value.process, .cancelled)
      running[key]?.done = { _ in }
      running[key]?.progress = nil
    }
  }

  /// Ends the calls that a lease has let run.
  /// - Parameter done: called when none of them is left, with how many there were; at once when there are none.
  func end(lease: String, done: @escaping (Int) -> Void) {
    let found = running.values.filter { $0.process.lease == lease }
    if found.isEmpty { return done(0) }
    endings[lease] = (found.count, found.count, done)
    for one in found { stop(one.process, .leaseEnded) }
  }

  /// Whoever does not end in time is killed.
  private func stop(_ process: ToolProcess, _ why: ToolProcess.Verdict) {
    process.stop(why)
    try? clock.arm(process.deadlineMilliseconds)
  }

  func isRunning(_ id: JSONValue, client: UInt64) -> Bool {
    running.values.contains { $0.process.client == client && $0.process.id == id }
      || announced.contains { $0.client == client && $0.id == id }
  }

  // MARK: RunService

  func start(in loop: RunLoop) throws(SyscallError) {
    self.loop = loop
    try loop.watch(clock.descriptor, .input, for: self)
  }

  func handle(_ event: Poller.Event, in loop: RunLoop) throws(SyscallError) {
    if event.descriptor == clock.descriptor {
      clock.silence()
      return try expire()
    }
    guard let process = owners[event.descriptor] else { return }
    if event.descriptor == process.pidfd.raw {
      try conclude(process)
    } else {
      if !process.read(event.descriptor) {
        try forget(event.descriptor)
        process.close(event.descriptor)
      }
      try expectNews(of: process)
    }
  }

  /// Soon, and not with each byte.
  private func expectNews(of process: ToolProcess) throws(SyscallError) {
    guard let progress = running[ObjectIdentifier(process)]?.progress, process.hasNews else {
      return
    }
    let time = min(
      progress.nextMilliseconds, progress.lastMilliseconds + Self.newsMilliseconds)
    running[ObjectIdentifier(process)]?.progress?.nextMilliseconds = time
    try clock.arm(time)
  }

  private func tellProgress(_ now: UInt64) throws(SyscallError) {
    for (key, one) in running {
      guard var progress = one.progress else { continue }
      if progress.nextMilliseconds <= now {
        one.process.progress(nowMilliseconds: now, tell: progress.tell)
        progress.lastMilliseconds = now
        progress.nextMilliseconds =
          now + (one.process.hasNews ? Self.newsMilliseconds : Self.progressMilliseconds)
        running[key]?.progress = progress
      }
      try clock.arm(progress.nextMilliseconds)
    }
  }

  func finish() {
    loop = nil
    for one in running.values { one.process.stop(.cancelled) }
    for process in running.values.map(\.process) {
      if !Descriptors.isReadable(
        process.pidfd.raw, withinMilliseconds: Self.farewellMilliseconds)
      {
        process.kill()
      }
      process.reap()
      record(process.result(nowMilliseconds: AlarmClock.nowMilliseconds))
    }
    for _ in announced { record(["outcome": "cancelled"]) }
    announced = []
    running = [:]
    for ending in endings.values { ending.done(ending.count) }
    endings = [:]
    owners = [:]
  }

  private func conclude(_ process: ToolProcess) throws(SyscallError) {
    guard process.reapIfEnded() else { return }
    let result = process.result(nowMilliseconds: AlarmClock.nowMilliseconds)
    for number in process.descriptors { try forget(number) }
    record(result)
    running.removeValue(forKey: ObjectIdentifier(process))?.done(result)
    if let lease = process.lease, let ending = endings[lease] {
      endings[lease]!.left -= 1
      if ending.left == 1 { endings.removeValue(forKey: lease)?.done(ending.count) }
    }
  }

  /// Everything of a result but what the tool itself has said.
  private func record(_ result: JSONValue) {
    var entry = JSONObject()
    for name in ["outcome", "status", "signal", "reason", "message", "run", "wallMilliseconds"] {
      if let value = result[name] { entry[name] = value }
    }
    audit.record(.toolEnd, entry)
  }

  /// Before it is closed.
  private func forget(_ descriptor: Int32) throws(SyscallError) {
    if owners.removeValue(forKey: descriptor) != nil { try loop?.unwatch(descriptor) }
  }

  private func expire() throws(SyscallError) {
    let now = AlarmClock.nowMilliseconds
    try tellProgress(now)
    for process in running.values.map(\.process) {
      if process.deadlineMilliseconds <= now {
        process.kill()
      } else {
        try clock.arm(process.deadlineMilliseconds)
      }
    }
  }
}
