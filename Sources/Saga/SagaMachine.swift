/// The saga as a machine without clock, files or processes.
///
/// `handle` takes one event and returns what is to be done, in order. Records among the effects must be
/// durable before the effects behind them are performed. After a crash, `replay` of the records that
/// survived, `handle(.ended(…))` for each attempt of `inFlight` whose fate the runner found out, and
/// `handle(.tick)` go on from there: nothing that matters is anywhere but in the records.
public struct SagaMachine: Sendable {
  /// Of a saga that an agent drives it grows with each step.
  public internal(set) var graph: SagaGraph
  public let sagaID: String
  public let parameters: [String: String]
  /// Whether an agent says what comes next, and not the plan.
  public let isDriven: Bool
  public internal(set) var phase = SagaPhase.running
  public internal(set) var cause: SagaCause?
  /// Why the saga is in this phase.
  public internal(set) var reason = ""
  public internal(set) var steps: [SagaStepState]
  public internal(set) var files = SagaFilesState.waiting
  /// Why they were refused.
  public internal(set) var filesReason = ""
  /// When the saga began, in milliseconds since 1970.
  public let begunAt: UInt64
  /// The latest time that was seen; it never runs backwards.
  public internal(set) var clock: UInt64
  /// The boot of the machine in which the runner works, as the kernel names it (boot_id, random(4)).
  var boot = ""
  var isCancelled = false
  /// Attempts that were told to end; not a fact, so it is told again after a crash.
  var stopping: Set<Int> = []
  var random: SagaRandom

  /// - Parameters:
  ///   - parameters: checked by `resolveParameters`.
  ///   - seed: of the jitter.
  public init(
    graph: SagaGraph, sagaID: String, parameters: [String: String], begunAt: UInt64, seed: UInt64,
    isDriven: Bool = false
  ) {
    self.isDriven = isDriven
    self.graph = graph
    self.sagaID = sagaID
    self.parameters = parameters
    self.begunAt = begunAt
    clock = begunAt
    random = SagaRandom(seed: seed)
    steps = Array(repeating: SagaStepState(), count: graph.plan.steps.count)
  }

  /// What runs outside.
  public var inFlight: [(step: Int, kind: SagaActionKind, attempt: Int)] {
    steps.indices.compactMap { index in
      steps[index].action.map { (index, $0, steps[index].attempt[$0] ?? 0) }
    }
  }

  /// Steps that wait for people.
  public var awaitingApproval: [Int] {
    steps.indices.filter {
      steps[$0].status == .pending && steps[$0].approval != nil && !isApproved($0)
        && !phase.isResting
    }
  }

  /// What keeps a resting saga from its end, for people.
  public var stuckSteps: [Int] {
    steps.indices.filter { steps[$0].isStuck || isForwardFailure($0) && phase == .needsOperator }
  }

  public mutating func handle(_ event: SagaEvent, at now: UInt64) -> [SagaEffect] {
    clock = max(clock, now)
    var effects: [SagaEffect] = []
    if let body = fact(event) { commit(body, &effects) }
    while let body = decision() { commit(body, &effects) }
    for index in steps.indices where mustStop(index) && stopping.insert(index).inserted {
      let state = steps[index]
      effects.append(
        .stop(step: index, state.action!, attempt: state.attempt[state.action!] ?? 0))
    }
    if let time = wakeTime { effects.append(.wake(at: time)) }
    return effects
  }

  /// The runner has no more time: whatever undoes waits for another one.
  /// - Precondition: the saga is being undone.
  public mutating func leave(_ why: String, at now: UInt64) -> SagaRecord {
    precondition(phase == .compensating, "nothing is being undone")
    clock = max(clock, now)
    let said = reason.isEmpty ? why : "\(reason); \(why)"
    let body = SagaRecord.Body.phase(.compensating, nil, reason: said)
    apply(body)
    return SagaRecord(at: clock, body)
  }

  /// Takes a record of the journal as it is.
  public mutating func replay(_ record: SagaRecord) throws(SagaProblem) {
    clock = max(clock, record.at)
    try check(record.body)
    apply(record.body)
  }

  private mutating func commit(_ body: SagaRecord.Body, _ effects: inout [SagaEffect]) {
    effects.append(.append(SagaRecord(at: clock, body)))
    apply(body)
    if case .files(.committing, _) = body { effects.append(.commitFiles) }
    if case .files(.discarding, _) = body { effects.append(.discardFiles) }
    if case .started(let id, let kind, let attempt, let arguments, let key) = body {
      let step = graph.index(of: id)!
      stopping.remove(step)
      effects.append(.start(action(step, kind, attempt, arguments, key)))
    }
  }

  /// What an event says, when it still means something: a report of another attempt, or a word about a
  /// step that asks for none, is no fact.
  private func fact(_ event: SagaEvent) -> SagaRecord.Body? {
    switch event {
    case .tick: return nil
    case .runner(let boot, let pid): return .runner(boot: boot, pid: pid)
    case .ended(let step, let kind, let attempt, let outcome):
      let state = steps[step]
      guard state.action == kind, state.attempt[kind] == attempt else { return nil }
      return .ended(step: id(step), kind, attempt: attempt, outcome)
    case .files(let state, let reason):
      let mayFollow: Set<SagaFilesState> =
        switch files {
        case .committing: [.committed, .refused]
        case .discarding: [.discarded]
        default: []
        }
      return mayFollow.contains(state) ? .files(state, reason: reason) : nil
    case .commitAgain:
      return phase == .needsOperator && files == .refused && steps.indices.allSatisfy(isDone)
        ? .files(.committing, reason: "") : nil
    case .cancel(let uid, let reason):
      return mayCancel ? .cancelled(uid: uid, reason: reason) : nil
    case .approve(let step, let uid):
      guard awaitingApproval.contains(step), !steps[step].approval!.approvers.contains(uid),
        clock < steps[step].approval!.expiresAt
      else { return nil }
      return .approved(step: id(step), uid: uid)
    case .deny(let step, let uid, let reason):
      guard awaitingApproval.contains(step) else { return nil }
      return .denied(step: id(step), uid: uid, reason: reason)
    case .resolve(let step, let happened, let evidence, let uid, let outputs):
      guard resolutionProblem(step, happened: happened, outputs: outputs) == nil else { return nil }
      return .resolved(
        step: id(step), happened: happened, evidence: evidence, uid: uid, outputs: outputs)
    }
  }

  /// Whether there is still something that a cancellation could undo or stop.
  public var mayCancel: Bool {
    guard !isCancelled, !pivotHappened, files != .committing, files != .committed else {
      return false
    }
    return phase == .running || phase == .needsOperator || phase == .halted || phase == .halting
  }

  /// Why a person's word about a step is refused; nil when it is taken.
  public func resolutionProblem(
    _ step: Int, happened: Bool, outputs: [String: String]
  ) -> SagaProblem? {
    guard stuckSteps.contains(step) else {
      return SagaProblem(
        "step \(id(step)) is \(steps[step].status.rawValue) and asks for no decision")
    }
    let declared = graph.plan.steps[step].outputs.map(\.name.text)
    if let unknown = outputs.keys.sorted().first(where: { !declared.contains($0) }) {
      return SagaProblem("step \(id(step)) has no output \(unknown)")
    }
    let isForward = steps[step].status != .compensationFailed && happened
    let missing = declared.first { outputs[$0] == nil && steps[step].outputs[$0] == nil }
    if isForward, let missing {
      return SagaProblem(
        "later steps need the output \(missing) of step \(id(step)); add --output \(missing)=VALUE")
    }
    return nil
  }

  func id(_ step: Int) -> String { graph.plan.steps[step].id.text }
  func plan(_ step: Int) -> SagaStep { graph.plan.steps[step] }

  private func check(_ body: SagaRecord.Body) throws(SagaProblem) {
    let name: String
    switch body {
    case .started(let step, _, _, _, _), .ended(let step, _, _, _), .scheduled(let step, _, _, _),
      .gaveUp(let step, _), .stuck(let step, _), .skipped(let step, _),
      .approvalRequested(let step, _), .approved(let step, _), .denied(let step, _, _),
      .resolved(let step, _, _, _, _):
      name = step
    case .declared(let declaration): return try check(declaration)
    case .phase, .cancelled, .runner, .files: return
    }
    if graph.index(of: name) == nil {
      throw SagaProblem(
        "the journal speaks of a step \(SagaText.quote(name)) that the plan has not")
    }
  }

  // MARK: what is given to the runner

  /// The actions that the journal says have begun and not ended.
  public var actionsInFlight: [SagaAction] {
    inFlight.map { step, kind, attempt in action(step, kind, attempt, [], "") }
  }

  /// What would be executed for a step that waits for approval: its arguments and the environment of the
  /// plan.
  public func commandToApprove(
    _ step: Int
  ) -> (arguments: [String], environment: [String: String]) {
    let command = plan(step).command
    guard case .success(let arguments) = values.arguments(command.arguments) else {
      return ([], [:])
    }
    return (arguments, environment(command))
  }

  private func environment(_ command: SagaCommand) -> [String: String] {
    var environment: [String: String] = [:]
    for variable in command.environment {
      if case .success(let text) = values.render(variable.value) {
        environment[variable.name] = text
      }
    }
    return environment
  }

  private func action(
    _ step: Int, _ kind: SagaActionKind, _ attempt: Int, _ arguments: [String], _ key: String
  ) -> SagaAction {
    let command = command(step, kind)
    var environment = environment(command)
    environment["AGT_SAGA_ID"] = sagaID
    environment["AGT_STEP_ID"] = id(step)
    environment["AGT_ATTEMPT"] = "\(attempt)"
    environment["AGT_IDEMPOTENCY_KEY"] = key
    var outputs = kind == .compensate ? [] : plan(step).outputs
    // A probe tells only that it happened; what was printed then is gone.
    if kind == .probe { outputs.removeAll { $0.source == .standardOutput } }
    return SagaAction(
      step: step, kind: kind, attempt: attempt, arguments: arguments, environment: environment,
      command: command, key: key, outputs: outputs)
  }

  func command(_ step: Int, _ kind: SagaActionKind) -> SagaCommand {
    switch kind {
    case .run: plan(step).command
    case .probe: plan(step).idempotency!.probe!
    case .compensate: plan(step).compensation!.command
    }
  }

  var values: SagaValues {
    SagaValues(sagaID: sagaID, sagaName: graph.plan.name, parameters: parameters) { name, output in
      graph.index(of: name).flatMap { steps[$0].outputs[output] }
    }
  }

  /// The intent record of an attempt, or why it cannot be made.
  func intent(_ step: Int, _ kind: SagaActionKind) -> Result<SagaRecord.Body, SagaProblem> {
    let command = command(step, kind)
    let values = values
    let arguments: [String]
    switch values.arguments(command.arguments) {
    case .success(let rendered): arguments = rendered
    case .failure(let problem): return .failure(problem)
    }
    // With the pointers to them and their NULs.
    var bytes = arguments.reduce(0) { $0 + $1.utf8.count + 9 }
    for variable in command.environment {
      switch values.render(variable.value) {
      case .success(let text): bytes += variable.name.utf8.count + text.utf8.count + 10
      case .failure(let problem): return .failure(problem)
      }
    }
    if bytes > SagaLimits.actionMaxBytes {
      return .failure(
        SagaProblem(
          "its arguments and its environment would have \(bytes) bytes; at most "
            + "\(SagaLimits.actionMaxBytes) are passed; put the rest into a file"))
    }
    var key = "\(sagaID)/\(id(step))"
    if let template = plan(step).idempotency?.key {
      switch values.render(template) {
      case .success(let rendered): key = rendered
      case .failure(let problem): return .failure(problem)
      }
    }
    if kind == .compensate { key += "/undo" }
    return .success(
      .started(
        step: id(step), kind, attempt: (steps[step].attempt[kind] ?? 0) + 1, arguments: arguments,
        key: key))
  }
}

extension SagaPlan {
  /// Every parameter with its value: the given ones, then defaults.
  public func resolveParameters(_ given: [String: String]) throws(SagaProblem) -> [String: String] {
    var values: [String: String] = [:]
    for parameter in parameters {
      let name = parameter.name.text
      guard let value = given[name] ?? parameter.fallback else {
        throw SagaProblem("the parameter \(name) has no value; add --param \(name)=VALUE")
      }
      if let problem = parameter.problem(with: value) {
        throw SagaProblem("--param \(name): \(problem.description)")
      }
      values[name] = value
    }
    let known = parameters.map(\.name.text)
    if let unknown = given.keys.sorted().first(where: { !known.contains($0) }) {
      throw SagaProblem(
        "the saga has no parameter \(SagaText.quote(unknown)); it has "
          + (known.isEmpty ? "none" : known.joined(separator: ", ")))
    }
    return values
  }
}

/// SplitMix64 (Steele, Lea, Flood 2014): the jitter need not be secret, only reproducible.
public struct SagaRandom: RandomNumberGenerator, Sendable {
  private var state: UInt64

  public init(seed: UInt64) { state = seed }

  public mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }

  /// From 0 up to 1.
  public mutating func fraction() -> Double { Double(next() >> 11) / Double(1 << 53) }
}
