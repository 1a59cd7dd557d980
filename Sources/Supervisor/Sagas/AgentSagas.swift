internal import Audit
internal import Broker
internal import Glibc
internal import JSON
internal import Kernel
internal import Rings
internal import Saga

/// The sagas that a run's agent drives through its broker (docs/sagas.md): each step is in a journal on the disk,
/// with what undoes it, before the agent hears that it may do it. What the agent does not commit is undone by a
/// runner of its own, `agt saga resume`, outside of the ring and after the agent's end.
///
/// What can go wrong: the agent asks for more than it may (bounds), dies (its connection closes, or its ring
/// ends), or the supervisor dies (the journal is complete, and `agt saga list` shows the saga). It must never
/// answer before the disk has the step, nor undo what an agent that still runs is about to do.
final class AgentSagas: RunService {
  typealias Answer = (Result<JSONValue, BrokerError>) -> Void

  private let run: String
  private let agent: String?
  private let workspace: String
  private let environment: [[UInt8]]
  private let tools: ToolRunner?
  private let audit: RunAudit
  private var queue: DiskQueue?
  private var sagas: [AgentSaga] = []
  private var stepCount = 0
  private var runners: [UndoRunner] = []
  private var undoneAtEnd: [AgentSaga] = []
  /// When sagas are undone whose connections are closed, should the run not end first.
  private var orphans: [(saga: AgentSaga, atMilliseconds: UInt64)] = []
  private var clock: AlarmClock?
  private weak var loop: RunLoop?
  private var isOver = false

  /// Each holds a lock, a journal and a directory of the host.
  static let openMax = 4
  static let sagasMax = 256
  /// All sagas of the run together; each is a line of the host's disk as long as a request.
  static let stepsMax = 1024
  /// A connection that closes may be the first that is seen of the end of the run.
  private static let orphanMilliseconds: UInt64 = 500
  private static let reasonMaxCharacters = 500

  init(
    _ run: borrowing PreparedRun, _ options: RunOptions, environment: [[UInt8]],
    _ tools: ToolRunner?, _ audit: RunAudit
  ) {
    self.run = run.id
    agent = options.agent
    workspace = run.request.workspace.path
    self.environment = environment
    self.tools = tools
    self.audit = audit
  }

  // MARK: what the agent asks

  func begin(name: String, client: UInt64, answer: @escaping Answer) throws(BrokerError) {
    guard SagaName.isValid(name) else {
      throw BrokerError(.invalidParams, "name: \(Self.nameRule)")
    }
    guard sagas.count(where: { !$0.isOver }) < Self.openMax else {
      throw BrokerError(.busy, "\(Self.openMax) sagas are open, as many as a run may have")
    }
    guard sagas.count < Self.sagasMax else {
      throw BrokerError(.busy, "the run has had \(Self.sagasMax) sagas, as many as it may")
    }
    let queue: DiskQueue
    let store: SagaStore
    do { (queue, store) = (try disk(), try SagaStore.standard(environment: environment)) } catch {
      throw BrokerError(.failed, "\(error)")
    }
    var random = SystemRandomNumberGenerator()
    let now = Clock.wallNanoseconds() / 1_000_000
    let id = RunIdentifier.make(wallMilliseconds: now, using: &random)
    let book = SagaBook(
      SagaJournal.Header(
        id: id, name: name, begunAt: now, uid: Identity.effectiveUID, workspace: workspace,
        planDigest: "", planFile: "", parameters: [:], seed: random.next() >> 11,
        trace: Self.trace(&random),
        driver: SagaDriver(
          run: run, agent: agent, ringInit: loop?.ringInit ?? 0, boot: Boot.identifier,
          directory: (try? Files.workingDirectory().text) ?? workspace)), store)
    let saga = AgentSaga(id: id, name: name, client: client, book)
    sagas.append(saga)
    audit.intend(.sagaStart, ["saga": .string(id), "name": .string(name)]) { [weak self] refusal in
      guard let self else { return }
      if let refusal { return fail(saga, refusal, answer) }
      queue.perform(
        { Self.attempt { () throws(RunError) in try saga.book.open() } },
        then: { [weak self] error in
          if let error {
            self?.fail(saga, error.message, answer)
          } else {
            self?.began(saga, answer)
          }
        })
    }
  }

  private func began(_ saga: AgentSaga, _ answer: Answer) {
    if saga.state == .beginning { saga.state = .open }
    answer(.success(["saga": .string(saga.id)]))
    continueOrphans()
  }

  /// Before there was a journal: nothing can have been done in it.
  private func fail(_ saga: AgentSaga, _ why: String, _ answer: Answer) {
    saga.book.close()
    conclude(saga, "failed", why)
    answer(.failure(BrokerError(.failed, why)))
  }

  /// - Parameters:
  ///   - request: its identifier.
  ///   - mayBegin: asked when the disk has it.
  func step(
    _ saga: AgentSaga, _ step: String, call: SagaCall?, undo: SagaCall?, request: JSONValue,
    mayBegin: @escaping () throws(BrokerError) -> Void, answer: @escaping Answer
  ) throws(BrokerError) {
    guard stepCount < Self.stepsMax else {
      throw BrokerError(.busy, "the run has had \(Self.stepsMax) steps, as many as it may")
    }
    guard let queue, saga.add(step) else {
      throw BrokerError(.invalidParams, "step: the saga has had a step \(step)")
    }
    stepCount += 1
    let calls = Box((call: call, undo: undo))
    let programs = tools?.programs
    let refused = { [saga] (error: BrokerError) in
      saga.forget(step)
      answer(.failure(error))
    }
    queue.perform(
      {
        calls.refusal = Self.refusal { () throws(BrokerError) in
          try calls.value.call?.look("tool", programs)
          try calls.value.undo?.look("undo", programs)
        }
        return nil
      },
      then: { [weak self] _ in
        if let refusal = calls.refusal { return refused(refusal) }
        guard let self, saga.state == .open, !isOver else { return refused(Self.over) }
        audit.intend(.sagaStep, Self.entry(saga, step, calls.value.call, calls.value.undo)) {
          [weak self] refusal in
          guard let self, refusal == nil, saga.state == .open, !isOver else {
            return refused(refusal.map { BrokerError(.failed, $0) } ?? Self.over)
          }
          register(
            saga, step, calls.value.call, calls.value.undo, request: request, mayBegin: mayBegin,
            answer: answer)
        }
      })
  }

  private static let over = BrokerError(.failed, "the saga is over")

  private static func entry(
    _ saga: AgentSaga, _ step: String, _ call: SagaCall?, _ undo: SagaCall?
  ) -> JSONObject {
    [
      "saga": .string(saga.id), "step": .string(step), "tool": JSONValue(call?.tool.name),
      "undo": JSONValue(undo?.tool.name), "program": call?.program?.json ?? .null,
      "undoProgram": undo?.program?.json ?? .null,
    ]
  }

  /// The log has it; brings it into the journal, and then begins it.
  private func register(
    _ saga: AgentSaga, _ step: String, _ call: SagaCall?, _ undo: SagaCall?, request: JSONValue,
    mayBegin: @escaping () throws(BrokerError) -> Void, answer: @escaping Answer
  ) {
    guard let queue else { return }
    let options = tools?.lastingOptions ?? []
    let declaration = SagaDeclaration(
      step: step, call: call?.kept(options), undo: undo?.kept(options))
    let files = Box<SagaStepFiles?>(nil)
    queue.perform(
      {
        Self.attempt { () throws(RunError) in
          try saga.book.append([
            .declared(declaration),
            .started(
              step: step, .run, attempt: 1, arguments: call?.words ?? [],
              key: "\(saga.id)/\(step)"),
          ])
          guard call != nil, let directory = saga.book.directory else { return }
          do throws(SyscallError) {
            files.value = try SagaStepFiles(directory, step: step)
          } catch { throw RunError(.internalFailure, error.description) }
        }
      },
      then: { [weak self] error in
        if let error {
          // Whether the disk has it is not known; what it has is undone.
          saga.end(step)
          return answer(.failure(BrokerError(.failed, error.message)))
        }
        saga.begin(step, call == nil ? .own : .tool(request))
        guard let call else {
          self?.letBegin(saga, step, mayBegin: mayBegin, answer: answer)
          return
        }
        self?.start(
          saga, step, call, files.value, request: request, mayBegin: mayBegin, answer: answer)
      })
  }

  /// What the agent does by itself begins with the answer.
  private func letBegin(
    _ saga: AgentSaga, _ step: String, mayBegin: () throws(BrokerError) -> Void,
    answer: @escaping Answer
  ) {
    do throws(BrokerError) {
      guard saga.state == .open, !isOver else { throw Self.over }
      try mayBegin()
      answer(.success(["saga": .string(saga.id), "step": .string(step)]))
    } catch {
      ended(saga, step, .notStarted(error.message)) { answer(.failure(error)) }
    }
  }

  private func start(
    _ saga: AgentSaga, _ step: String, _ call: SagaCall, _ files: SagaStepFiles?,
    request: JSONValue, mayBegin: @escaping () throws(BrokerError) -> Void,
    answer: @escaping Answer
  ) {
    do throws(BrokerError) {
      guard saga.state == .open, !isOver, let tools else {
        throw Self.over
      }
      try mayBegin()
      try tools.call(
        ToolInvocation(
          tool: call.tool, words: call.words, input: call.input, ring: call.tool.ring, lease: nil,
          saga: files), id: request, client: saga.client, why: call.why, mayBegin: mayBegin
      ) { [weak self] result in
        self?.ended(saga, step, SagaOutcome(ofTool: result)) { answer(.success(result)) }
      }
    } catch {
      files?.close()
      ended(saga, step, .notStarted(error.message)) { answer(.failure(error)) }
    }
  }

  /// A tool of a step has ended; a runner that has the saga by now finds that out for itself.
  private func ended(
    _ saga: AgentSaga, _ step: String, _ outcome: SagaOutcome, then: @escaping () -> Void
  ) {
    saga.end(step)
    guard saga.state == .open, let queue, !isOver else { return then() }
    // An end that cannot be written is one that nobody knows, and is undone as such.
    queue.perform(
      {
        Self.attempt { () throws(RunError) in
          try saga.book.append([.ended(step: step, .run, attempt: 1, outcome)])
        }
      }, then: { _ in then() })
  }

  func commit(_ saga: AgentSaga, answer: @escaping Answer) throws(BrokerError) {
    if let step = saga.underWay {
      throw BrokerError(.busy, "the step \(step) is under way; cancel it or wait for it")
    }
    guard let queue else { return }
    let bodies = saga.commitment
    saga.state = .closing
    queue.perform(
      {
        let problem = Self.attempt { () throws(RunError) in try saga.book.append(bodies) }
        saga.book.close()
        return problem
      },
      then: { [weak self] error in
        if let error {
          // Whatever the disk has of it decides.
          self?.undo(saga) { _ in answer(.failure(BrokerError(.failed, error.message))) }
          return
        }
        self?.conclude(saga, "completed", "")
        answer(.success(saga.json))
      })
  }

  func abort(
    _ saga: AgentSaga, cause: SagaCause = .failure, reason: String, answer: @escaping Answer
  ) {
    guard let queue else { return }
    saga.state = .closing
    for work in saga.toolsAtWork { _ = tools?.cancel(work.request, client: saga.client) }
    queue.perform(
      {
        let problem = Self.attempt { () throws(RunError) in
          try saga.book.append([.phase(.compensating, cause, reason: reason)])
        }
        saga.book.close()
        return problem
      },
      // Without the entry a runner finds a saga that nobody drives, and undoes it too.
      then: { [weak self] _ in self?.undo(saga) { _ in answer(.success(saga.json)) } })
  }

  /// One that may still be changed.
  func find(_ id: JSONValue?, client: UInt64) throws(BrokerError) -> AgentSaga {
    guard let id = id?.stringValue,
      let saga = sagas.first(where: { $0.id == id && $0.client == client })
    else {
      throw BrokerError(.invalidParams, "saga: this connection has begun no such saga")
    }
    guard saga.state == .open else {
      throw BrokerError(
        .invalidParams, "saga: it is over: \(saga.json["state"]?.stringValue ?? "")")
    }
    return saga
  }

  static let nameRule =
    "at most \(SagaLimits.nameMaxBytes) letters, digits, - and _, beginning with a letter"

  // MARK: undoing

  private func undo(_ saga: AgentSaga, done: @escaping (UndoRunner.Ending) -> Void) {
    let runner: UndoRunner
    do throws(SyscallError) {
      guard let directory = saga.book.directory else {
        throw SyscallError(call: "open", object: "saga \(saga.id)", errno: ENOENT)
      }
      runner = try UndoRunner(directory, environment: environment) { [weak self] ending in
        self?.conclude(saga, ending.rawValue, "")
        done(ending)
      }
      if !isOver { try loop?.watch(runner.pidfd.raw, .input, for: self) }
    } catch {
      conclude(saga, UndoRunner.Ending.open.rawValue, error.description)
      return done(.open)
    }
    runners.append(runner)
  }

  private func conclude(_ saga: AgentSaga, _ word: String, _ reason: String) {
    saga.state = .over(word)
    audit.record(
      .sagaEnd,
      ["saga": .string(saga.id), "state": .string(word), "reason": .string(reason)])
  }

  /// The connection that has begun them is gone.
  func drop(client: UInt64) {
    let now = AlarmClock.nowMilliseconds
    for saga in sagas where saga.client == client && saga.isOpen && !isOver {
      orphans.append((saga, now + Self.orphanMilliseconds))
    }
    continueOrphans()
  }

  private func continueOrphans() {
    guard !orphans.isEmpty, !isOver, let loop else { return }
    let now = AlarmClock.nowMilliseconds
    // What ends is undone after its end.
    if loop.isEnding { return }
    for (saga, time) in orphans where time <= now && saga.state == .open {
      abort(saga, reason: "the connection that began it was closed") { _ in }
    }
    orphans.removeAll { !$0.saga.isOpen }
    guard let next = orphans.map(\.atMilliseconds).filter({ $0 > now }).min() else { return }
    do throws(SyscallError) {
      if clock == nil {
        let made = try AlarmClock()
        try loop.watch(made.descriptor, .input, for: self)
        clock = made
      }
      try clock?.arm(next)
    } catch {
      // Without a clock they are undone when the run ends.
    }
  }

  /// The ring is gone: undoes what was not committed, and waits for it.
  /// - Returns: what became of each saga of the run.
  func conclude(_ end: RunOutcome.End, in loop: RunLoop) -> [JSONValue] {
    isOver = true
    queue?.finish()
    let (cause, reason) = Self.cause(of: end)
    for saga in sagas where saga.isOpen {
      guard saga.book.directory != nil else {
        conclude(saga, "failed", "the run ended before it began")
        continue
      }
      saga.state = .closing
      undoneAtEnd.append(saga)
      // As above.
      try? saga.book.append([.phase(.compensating, cause, reason: reason)])
      saga.book.close()
      undo(saga) { _ in }
    }
    for runner in runners {
      guard (try? loop.linger(until: runner.pidfd.raw)) == true, let status = runner.reap() else {
        break
      }
      runner.conclude(status)
    }
    return sagas.map(\.json)
  }

  var uncommitted: [JSONValue] { sagas.filter(\.isOpen).map(\.json) }

  /// What has become of the steps of those that were open at the end.
  var compensations: [JSONValue] {
    undoneAtEnd.map { saga in
      var object = saga.json.objectValue ?? [:]
      guard let machine = try? saga.book.directory?.load().machine else { return .object(object) }
      func names(_ isMeant: (SagaStepState) -> Bool) -> JSONValue {
        JSONValue(
          machine.steps.indices.filter {
            machine.graph.plan.steps[$0].compensation != nil && isMeant(machine.steps[$0])
          }.map { machine.graph.plan.steps[$0].id.text })
      }
      object["undone"] = names { $0.status == .compensated }
      object["left"] = names {
        $0.status != .compensated && $0.status != .skipped && $0.happened != false
      }
      return .object(object)
    }
  }

  private static func cause(of end: RunOutcome.End) -> (SagaCause, String) {
    switch end {
    case .exited(let status): (.failure, "its agent ended with status \(status) and did not commit")
    case .signaled(let number): (.failure, "its agent was ended by signal \(number)")
    case .notStarted: (.failure, "its agent was not started")
    case .killed(let reason):
      (
        reason == .policyViolation || reason == .ringBreach ? .violation : .failure,
        "its agent was killed: \(reason.rawValue)"
      )
    case .lost: (.failure, "its agent is gone")
    }
  }

  // MARK: RunService

  func start(in loop: RunLoop) { self.loop = loop }

  func handle(_ event: Poller.Event, in loop: RunLoop) throws(SyscallError) {
    if event.descriptor == queue?.descriptor { return queue!.deliver() }
    if let clock, event.descriptor == clock.descriptor {
      clock.silence()
      return continueOrphans()
    }
    guard let runner = runners.first(where: { $0.pidfd.raw == event.descriptor }),
      let status = runner.reap()
    else { return }
    try loop.unwatch(event.descriptor)
    runners.removeAll { $0 === runner }
    runner.conclude(status)
  }

  func finish() {}

  private func disk() throws(SyscallError) -> DiskQueue {
    if let queue { return queue }
    let made = try DiskQueue()
    try loop?.watch(made.descriptor, .input, for: self)
    queue = made
    return made
  }

  private static func attempt(_ body: () throws(RunError) -> Void) -> RunError? {
    do throws(RunError) {
      try body()
      return nil
    } catch { return error }
  }

  private static func trace(_ random: inout some RandomNumberGenerator) -> String {
    func digits(_ value: UInt64) -> String {
      let text = String(value, radix: 16)
      return String(repeating: "0", count: 16 - text.count) + text
    }
    return digits(random.next() | 1) + digits(random.next())
  }

  private static func refusal(_ body: () throws(BrokerError) -> Void) -> BrokerError? {
    do throws(BrokerError) {
      try body()
      return nil
    } catch { return error }
  }

  /// What the thread leaves for the loop.
  private final class Box<Value> {
    var value: Value
    var refusal: BrokerError?
    init(_ value: Value) { self.value = value }
  }
}
