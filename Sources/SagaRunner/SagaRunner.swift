internal import Glibc
internal import Hashing
internal import JSON
internal import Kernel
internal import Paths
public import Saga
public import Supervisor

/// Runs one saga: the machine decides, this performs.
///
/// One loop and one thread. Records are on the disk before what follows from them is done; whatever dies, a
/// later runner goes on from the journal and from what each attempt's agt-run wrote down. When the journal
/// cannot be written, nothing more is started.
public final class SagaRunner {
  /// How the runner ended, with the exit status of `agt saga run`.
  public enum Ending: Equatable, Sendable {
    case resting(SagaPhase)
    /// It was asked to end; the saga can be resumed.
    case left

    public var status: Int32 {
      switch self {
      case .resting(.completed): 0
      case .resting(.compensated): 1
      case .resting(.halted): 4
      case .resting(.cancelled): 5
      case .resting: 3
      case .left: 75
      }
    }
  }

  public let directory: SagaDirectory
  public private(set) var machine: SagaMachine
  private let header: SagaJournal.Header
  private let journal: JournalFile
  private let lock: OwnedFD
  private let agtRun: String
  private let progress: any SagaProgress
  private var poller: Poller
  private let signals: OwnedFD
  private let clock = RunnerClock()
  private var attempts: [Attempt] = []
  private var wakeAt: UInt64?
  private var hasLeft = false
  /// Files that were refused are to be committed again.
  private var hasAskedAgain = false
  /// When it leaves, in milliseconds since 1970, and ends what runs.
  private var limit: UInt64?
  private let withinMilliseconds: UInt64?
  private var requests: [Int: UInt64] = [:]

  /// Attempts of an earlier runner and answers of people are looked for this often.
  private static let lookMilliseconds: UInt64 = 50
  private static let displayMilliseconds: UInt64 = 500

  /// Begins a new saga.
  public static func begin(
    plan bytes: [UInt8], file: String, graph: SagaGraph, parameters: [String: String],
    workspace: String, store: SagaStore, progress: any SagaProgress
  ) throws(RunError) -> SagaRunner {
    var random = SystemRandomNumberGenerator()
    let now = Clock.wallNanoseconds() / 1_000_000
    let id = RunIdentifier.make(wallMilliseconds: now, using: &random)
    let header = SagaJournal.Header(
      id: id, name: graph.plan.name, begunAt: now, uid: Identity.effectiveUID,
      workspace: workspace, planDigest: SHA256.text(bytes),
      planFile: (try? Files.canonical(ByteString(file)).text) ?? file,
      parameters: parameters, seed: random.next() >> 11, trace: Trace.identifier(&random))
    let directory = try store.create(header, plan: bytes)
    return try SagaRunner(directory, progress: progress)
  }

  /// Goes on with a saga that is there.
  /// - Parameter withinMilliseconds: after which it ends what runs and leaves; nil for as long as it takes.
  public init(
    _ directory: SagaDirectory, progress: any SagaProgress, withinMilliseconds: UInt64? = nil
  ) throws(RunError) {
    self.directory = directory
    self.progress = progress
    self.withinMilliseconds = withinMilliseconds
    do throws(SyscallError) {
      // Before anybody can read our pid: a signal that is not expected ends the process.
      signals = try Signals.descriptor(for: [SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGCHLD, SIGPIPE])
      guard let lock = try directory.lock() else {
        throw SyscallError(call: "flock", object: directory.path, errno: EWOULDBLOCK)
      }
      self.lock = lock
    } catch {
      if error.errno == EWOULDBLOCK {
        throw RunError(
          .usage, "saga \(directory.id) is run by process \(directory.runnerPid ?? 0)",
          hint: "agt saga show \(directory.id)")
      }
      throw RunError(.internalFailure, "taking saga \(directory.id): \(error.description)")
    }
    let loaded = try directory.load()
    header = loaded.header
    machine = loaded.machine
    do throws(SyscallError) {
      journal = try JournalFile(
        directory, recordCount: loaded.recordCount, validBytes: loaded.validBytes)
      let own = try Files.readLink(ByteString("/proc/self/exe")).text
      agtRun = String(own[..<own.lastIndex(of: "/")!]) + "/agt-run"
      poller = try Poller()
      try poller.add(signals.raw, .input)
    } catch { throw RunError(.internalFailure, "saga \(directory.id): \(error.description)") }
    try Self.enter(header)
    limit = withinMilliseconds.map { clock.now + $0 }
  }

  /// Relative paths mean the same whoever goes on from wherever.
  ///
  /// Where the supervisor of an agent stood matters only in the workspace: all paths that it has left are absolute,
  /// and its tools begin there only when that is in the workspace.
  private static func enter(_ header: SagaJournal.Header) throws(RunError) {
    let workspace = header.workspace
    var place = header.driver?.directory ?? workspace
    if !PathText.isInside(place, workspace) { place = workspace }
    do throws(SyscallError) { try Files.changeDirectory(ByteString(place)) } catch {
      throw RunError(
        .usage,
        "saga \(header.id): \(place), where its steps began: \(Errno.message(error.errno)) "
          + "(\(Errno.name(error.errno)))",
        hint: "put the directory back to where it was, then: agt saga resume \(header.id)")
    }
  }

  /// Runs until the saga rests, or until the runner is asked to leave.
  /// - Parameter event: what a person says first.
  public func run(_ event: SagaEvent? = nil) throws(RunError) -> Ending {
    try OperatorAudit.record(.sagaRunning, entry)
    do throws(SyscallError) {
      progress.begin(machine, directory)
      // A person has looked at them: that is what the saga rests for.
      let isCommittedAgain =
        event == nil && !isAskedToCancel && machine.phase == .needsOperator
        && machine.files == .refused
      if !machine.phase.isResting || event != nil || isAskedToCancel || isCommittedAgain {
        try waitForAgent()
        // Those that run are known before anything is decided: they may have to end.
        let found = try adopt()
        try deliver(.runner(boot: Boot.identifier, pid: getpid()))
        for event in found { try deliver(event) }
        try finishFiles()
      }
      if let event { try deliver(event) }
      if isCommittedAgain {
        hasAskedAgain = true
        try deliver(.commitAgain)
      }
      // Whoever asked was told that it will be done, also when the runner then died.
      try readCancellation()
      try deliver(.tick)
      while !hasLeft {
        if machine.phase.isResting && attempts.isEmpty {
          try readCancellation()
          if machine.phase.isResting { break }
        } else {
          try turn()
        }
      }
      if isOutOfTime { try leave() }
    } catch {
      progress.end(machine, journal.syncCount, journal.syncNanoseconds)
      throw RunError(
        .internalFailure, "saga \(directory.id): \(error.description)",
        hint: "what runs goes on in its rings; when that is mended: agt saga resume \(directory.id)"
      )
    }
    progress.end(machine, journal.syncCount, journal.syncNanoseconds)
    if hasLeft { return .left }
    var end = entry
    end["state"] = .string(machine.phase.rawValue)
    try OperatorAudit.record(.sagaResting, end)
    return .resting(machine.phase)
  }

  /// For the audit log; what happens in between is in the journal, and in the logs of the steps' runs.
  private var entry: JSONObject {
    [
      "saga": .string(directory.id), "name": .string(header.name),
      "planDigest": .string(header.planDigest), "workspace": .string(header.workspace),
    ]
  }

  // MARK: the end of its time

  private var isOutOfTime: Bool { limit.map { $0 <= clock.now } ?? false }

  /// Ends what runs, confirmed, and says in the journal why it goes no further. How those attempts ended, the next
  /// runner finds out for itself.
  private func leave() throws(SyscallError) {
    for attempt in attempts { attempt.stop() }
    while !attempts.isEmpty {
      for attempt in attempts { _ = try attempt.press(now: clock.now) }
      _ = try poller.wait(milliseconds: Int32(Self.lookMilliseconds))
      for attempt in attempts where !attempt.isGone { _ = try hasGone(attempt) }
      attempts.removeAll { $0.isGone && $0.outcome(now: clock.now) != nil }
    }
    guard machine.phase == .compensating else { return }
    let seconds = (withinMilliseconds ?? 0) / 1000
    let record = machine.leave(
      "undoing took longer than \(seconds) s; agt saga resume goes on with it", at: clock.now)
    try journal.append([record])
    progress.record(record, machine)
  }

  // MARK: the loop

  private func turn() throws(SyscallError) {
    var next = clock.now + Self.displayMilliseconds
    if let wakeAt { next = min(next, wakeAt) }
    if let limit { next = min(next, limit) }
    for attempt in attempts {
      if let time = try attempt.press(now: clock.now) { next = min(next, time) }
      if attempt.pid == nil || attempt.isGone {
        next = min(next, clock.now + Self.lookMilliseconds)
      }
    }
    if !machine.awaitingApproval.isEmpty { next = min(next, clock.now + Self.lookMilliseconds) }
    let delay = Int32(clamping: next > clock.now ? next - clock.now : 0)
    for _ in try poller.wait(milliseconds: max(1, delay)) {
      for signal in try Signals.pending(signals.raw) { try handle(signal) }
    }
    if isOutOfTime {
      hasLeft = true
      return
    }
    try reap()
    try hearPeople()
    if let wakeAt, wakeAt <= clock.now { try deliver(.tick) }
    progress.show(machine, now: clock.now)
  }

  private func handle(_ signal: Int32) throws(SyscallError) {
    switch signal {
    case SIGINT:
      if machine.mayCancel {
        progress.say("cancelling; interrupt again to leave the saga as it is")
        try deliver(.cancel(uid: Identity.effectiveUID, reason: "interrupted"))
      } else {
        hasLeft = true
      }
    case SIGTERM, SIGHUP: hasLeft = true
    case SIGUSR1: try readCancellation()
    default: break
    }
  }

  private func reap() throws(SyscallError) {
    // A list of its own: an end may start others.
    for attempt in attempts {
      guard try hasGone(attempt) else { continue }
      guard let end = end(attempt) else { continue }
      attempts.removeAll { $0 === attempt }
      try deliver(end)
    }
  }

  /// Whether its agt-run is gone.
  private func hasGone(_ attempt: Attempt) throws(SyscallError) -> Bool {
    if attempt.isGone { return true }
    if let pid = attempt.pid {
      guard let ended = try Processes.wait(pid, blocking: false) else { return false }
      attempt.leave(ended.status)
    } else {
      guard try attempt.look() != .running else { return false }
      attempt.leave(nil)
    }
    return true
  }

  /// Of an attempt whose agt-run is gone; nil while its ring may still be there.
  private func end(_ attempt: Attempt) -> SagaEvent? {
    attempt.outcome(now: clock.now).map {
      .ended(step: attempt.step, attempt.kind, attempt: attempt.number, $0)
    }
  }

  private func deliver(_ event: SagaEvent) throws(SyscallError) {
    wakeAt = nil
    var records: [SagaRecord] = []
    var others: [SagaEffect] = []
    for effect in machine.handle(event, at: clock.now) {
      if case .append(let record) = effect { records.append(record) } else { others.append(effect) }
    }
    // All of them first, with one sync: what is started needs its own record, and may have more.
    try journal.append(records)
    for record in records { progress.record(record, machine) }
    var failed: [SagaEvent] = []
    for effect in others {
      switch effect {
      case .append: break
      case .start(let action): if let end = try start(action) { failed.append(end) }
      case .stop(let step, let kind, let number):
        attempts.first { $0.step == step && $0.kind == kind && $0.number == number }?.stop()
      case .commitFiles:
        failed.append(WaitingFiles(directory).commit(isAgain: hasAskedAgain))
      case .discardFiles: failed.append(discardFiles())
      case .wake(let time): wakeAt = time
      }
    }
    // Only now: what follows from one may end another that was to start in this same loop.
    for end in failed { try deliver(end) }
    try publishRequests()
    progress.show(machine, now: clock.now)
  }

  // MARK: files

  private func discardFiles() -> SagaEvent {
    if let problem = WaitingFiles(directory).discard() { progress.say(problem) }
    return .files(.discarded, reason: "")
  }

  /// What a runner before us has begun.
  private func finishFiles() throws(SyscallError) {
    switch machine.files {
    case .committing: try deliver(WaitingFiles(directory).commit(isAgain: true))
    case .discarding: try deliver(discardFiles())
    default: break
    }
  }

  // MARK: attempts

  private func attempt(_ action: SagaAction) -> Attempt {
    Attempt(
      action, stepName: machine.graph.plan.steps[action.step].id.text, directory: directory,
      workspace: header.workspace, files: WaitingFiles(directory),
      protects: ProtectedFiles.of(machine.graph.plan, header),
      startedAt: machine.steps[action.step].startedAt)
  }

  /// - Returns: its end, when it could not be started.
  private func start(_ action: SagaAction) throws(SyscallError) -> SagaEvent? {
    if let tool = action.command.tool,
      let problem = ToolPins.problem(
        action.arguments, tool.program, environment: Vectors.environment,
        workspace: header.workspace)
    {
      return .ended(
        step: action.step, action.kind, attempt: action.attempt, .refused(problem))
    }
    let attempt = attempt(action)
    do throws(SyscallError) {
      try attempt.start(
        action, agtRun: agtRun,
        trace: Trace.parent(header.trace, attempt.stepName, action.kind, action.attempt))
      attempts.append(attempt)
      return nil
    } catch {
      if error.call != "posix_spawn" { throw error }
      return .ended(
        step: action.step, action.kind, attempt: action.attempt, .notStarted(error.description))
    }
  }

  /// Finds out what became of each attempt that the journal says was about to start.
  /// - Returns: the ends of those that are over.
  private func adopt() throws(SyscallError) -> [SagaEvent] {
    var ends: [SagaEvent] = []
    for action in machine.actionsInFlight {
      let attempt = attempt(action)
      switch try attempt.look() {
      case .running:
        progress.say("\(attempt.stepName): waiting for the attempt of the runner before")
        attempts.append(attempt)
      case .over:
        attempt.leave(nil)
        if let end = end(attempt) { ends.append(end) } else { attempts.append(attempt) }
      case .none where machine.isDriven && action.kind == .run:
        // What an agent does by itself leaves no trace here.
        ends.append(
          .ended(
            step: action.step, .run, attempt: action.attempt, .lost("nobody said how it ended")))
      case .none:
        // Its lock is made before it is started; only a machine that was started anew may have lost it.
        let isSameBoot = machine.steps[action.step].boot == Boot.identifier
        ends.append(
          .ended(
            step: action.step, action.kind, attempt: action.attempt,
            isSameBoot ? .neverBegun : .lost("the machine was started anew")))
      }
    }
    return ends
  }

  /// The agent of a saga whose supervisor died without a word: its ring ends a moment later.
  private func waitForAgent() throws(SyscallError) {
    guard let driver = header.driver, machine.phase == .running, driver.boot == Boot.identifier
    else {
      return
    }
    let deadline = clock.now + Attempt.ringWaitMaxMilliseconds
    let status = ByteString("/proc/\(driver.ringInit)/status")
    while clock.now < deadline, let text = try? Files.read(status, limit: 1 << 16).text,
      Attempt.isRing(text)
    {
      for signal in try Signals.pending(signals.raw) { try handle(signal) }
      usleep(useconds_t(Self.lookMilliseconds * 1000))
    }
  }

  // MARK: people

  private var isAskedToCancel: Bool { Files.mayAccess(ByteString(directory.cancellation), F_OK) }

  private func readCancellation() throws(SyscallError) {
    let file = directory.cancellation
    guard let text = try? Files.read(ByteString(file), limit: 4096).text else { return }
    let uid = try Files.status(of: ByteString(file), followLink: false).uid
    if machine.mayCancel {
      try deliver(.cancel(uid: uid, reason: SagaText.plain(text)))
    } else {
      progress.say("asked to cancel, but nothing can be undone any more")
    }
    try Files.remove(ByteString(file))
  }

  private func publishRequests() throws(SyscallError) {
    for step in machine.awaitingApproval {
      guard let state = machine.steps[step].approval, requests[step] != state.expiresAt else {
        continue
      }
      requests[step] = state.expiresAt
      try Approvals(directory).publish(request(step))
      progress.say(
        "\(machine.graph.plan.steps[step].id.text): waits for approval: agt saga approve "
          + "\(directory.id) \(machine.graph.plan.steps[step].id.text)")
    }
  }

  private func request(_ step: Int) -> ApprovalRequest {
    ApprovalRequest(
      saga: directory.id, machine: machine, step: step, requester: header.uid,
      workspace: header.workspace, planDigest: header.planDigest)
  }

  private func hearPeople() throws(SyscallError) {
    for step in machine.awaitingApproval {
      for answer in try Approvals(directory).answers(request(step)) {
        switch answer.verdict {
        case .approve: try deliver(.approve(step: step, uid: answer.uid))
        case .deny: try deliver(.deny(step: step, uid: answer.uid, reason: answer.reason))
        }
      }
    }
  }
}

/// The wall clock at the beginning and the time since: a clock that is set meanwhile moves no deadline.
struct RunnerClock {
  private let wall = Clock.wallNanoseconds()
  private let since = Clock.monotonicNanoseconds()

  /// Milliseconds since 1970.
  var now: UInt64 { (wall + Clock.monotonicNanoseconds() - since) / 1_000_000 }
}

/// W3C Trace Context: the saga is a trace, each attempt a span of it.
enum Trace {
  /// The caller's, when it gives one in TRACEPARENT.
  static func identifier(_ random: inout some RandomNumberGenerator) -> String {
    if let parent = Environment.value("TRACEPARENT") {
      let parts = parent.split(separator: "-")
      if parts.count == 4, parts[0] == "00", parts[1].utf8.count == 32,
        parts[1].allSatisfy({ $0.isHexDigit && !$0.isUppercase }),
        parts[1].contains(where: { $0 != "0" })
      {
        return String(parts[1])
      }
    }
    return hexadecimal(random.next() | 1) + hexadecimal(random.next())
  }

  static func parent(
    _ trace: String, _ step: String, _ kind: SagaActionKind, _ attempt: Int
  ) -> String {
    // FNV-1a: spans differ, and the same attempt has the same after a crash.
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    for byte in "\(trace)/\(step)/\(kind.rawValue)/\(attempt)".utf8 {
      hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3
    }
    return "00-\(trace)-\(hexadecimal(hash | 1))-01"
  }

  private static func hexadecimal(_ value: UInt64) -> String {
    let text = String(value, radix: 16)
    return String(repeating: "0", count: 16 - text.count) + text
  }
}
