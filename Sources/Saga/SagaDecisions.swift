/// What follows from the state: one record at a time, until nothing follows any more. Each decision can be
/// made again from the records before it, so a crash between two records of one write loses nothing.
extension SagaMachine {
  mutating func decision() -> SagaRecord.Body? {
    switch phase {
    case .running: isDriven ? abandoned() : forward()
    case .halting:
      inFlight.isEmpty ? .phase(.halted, nil, reason: reason) : nil
    case .compensating: backward()
    default: nil
    }
  }

  // MARK: forward

  private mutating func forward() -> SagaRecord.Body? {
    // Everything is done, and there is no way back.
    if files == .committing { return nil }
    if files == .committed { return .phase(.completed, nil, reason: "") }
    // Once for all steps: it looks at each.
    let hasCapacity = hasCapacity
    let abort = abortCause
    let isAborting = abort != nil && !pivotHappened
    for step in steps.indices where steps[step].action == nil && !steps[step].isSettled {
      if let body = settle(step, isForward: !isAborting, hasCapacity) { return body }
    }
    if let abort, isAborting, !isPivotUndetermined {
      let reaction: SagaPlan.Reaction =
        switch abort.cause {
        case .cancel: .compensate
        case .violation: graph.plan.onViolation
        case .failure, .deadline: graph.plan.onFailure
        }
      return .phase(
        reaction == .compensate ? .compensating : .halting, abort.cause, reason: abort.reason)
    }
    if !isAborting, let body = start(hasCapacity) { return body }
    guard inFlight.isEmpty else { return nil }
    if steps.indices.allSatisfy(isDone) {
      guard graph.plan.commitsFiles else { return .phase(.completed, nil, reason: "") }
      return files == .refused
        ? .phase(.needsOperator, nil, reason: "its files are not committed: \(filesReason)")
        : .files(.committing, reason: "")
    }
    let waits = steps.indices.contains { step in
      let isTimed = steps[step].notBefore.map { $0 > clock } ?? false
      let isPending = steps[step].status == .pending
      return isTimed && !(isAborting && isPending) || isPending && !isAborting && isAsked(step)
    }
    return waits ? nil : .phase(.needsOperator, nil, reason: restReason)
  }

  private func isAsked(_ step: Int) -> Bool { steps[step].approval != nil && !isApproved(step) }

  private var restReason: String {
    let names = steps.indices.filter { steps[$0].isStuck || isForwardFailure($0) }.map {
      "\(id($0)): \(steps[$0].reason)"
    }
    return names.joined(separator: "; ")
  }

  /// Why the saga has to turn round.
  private var abortCause: (cause: SagaCause, reason: String)? {
    // What a person says outweighs what the plan says of failures: halting, for one.
    if isCancelled { return (.cancel, reason) }
    for step in steps.indices {
      let state = steps[step]
      let isBroken = state.isViolation && state.status == .unknown && plan(step).kind != .pivot
      guard isForwardFailure(step) || isBroken else { continue }
      return (state.isViolation ? .violation : .failure, "\(id(step)): \(state.reason)")
    }
    if let deadline, clock >= deadline { return (.deadline, "the deadline passed") }
    return nil
  }

  private var deadline: UInt64? { graph.plan.deadlineMilliseconds.map { begunAt + $0 } }

  var pivotHappened: Bool { graph.pivot.map { steps[$0].happened == true } ?? false }

  /// Whether the pivot runs or may have happened, so that nothing before it may be undone.
  private var isPivotUndetermined: Bool {
    guard let pivot = graph.pivot else { return false }
    return steps[pivot].action != nil || steps[pivot].isUnclear
  }

  /// Goes on with a step that failed or whose outcome is unknown.
  private mutating func settle(
    _ step: Int, isForward: Bool, _ hasCapacity: Bool
  ) -> SagaRecord.Body? {
    let state = steps[step]
    switch state.status {
    case .failed:
      if isForward && state.mayRetry && hasAttempts(step) { return retry(step) }
      return .gaveUp(step: id(step), reason: state.reason)
    case .unknown: return settleUnknown(step, isForward: isForward, hasCapacity)
    // Waits for another attempt, which does not come any more.
    case .pending where state.isUnclear && !isForward:
      return settleUnknown(step, isForward: false, hasCapacity)
    default: return nil
    }
  }

  /// Probe, then the same key again, then the compensation, then a person. Never a guess.
  private mutating func settleUnknown(
    _ step: Int, isForward: Bool, _ hasCapacity: Bool
  ) -> SagaRecord.Body? {
    let state = steps[step]
    let compensates = plan(step).compensation?.condition == .started
    if state.isViolation && plan(step).kind == .pivot {
      return .stuck(step: id(step), reason: "\(state.reason); whether it happened is not known")
    }
    // Turned round already, and the compensation takes either answer.
    if !isForward && compensates { return .gaveUp(step: id(step), reason: state.reason) }
    if state.isViolation && isForward { return nil }
    let probes = state.counted[.probe] ?? 0
    if plan(step).idempotency?.probe != nil && probes < SagaLimits.probesMax {
      if probes > 0 && state.notBefore == nil {
        let delay = SagaRetry.never.delayMilliseconds(after: probes, fraction: random.fraction())
        return .scheduled(
          step: id(step), .probe, notBefore: clock + delay, reason: state.reason)
      }
      guard isDue(step), hasCapacity else { return nil }
      switch intent(step, .probe) {
      case .success(let body): return body
      case .failure(let problem): return .stuck(step: id(step), reason: problem.description)
      }
    }
    let isRepeatable = plan(step).idempotency != nil && state.mayRetry
    if isForward && isRepeatable && hasAttempts(step) { return retry(step) }
    if compensates { return .gaveUp(step: id(step), reason: "unknown outcome: \(state.reason)") }
    return .stuck(step: id(step), reason: "whether it happened is not known: \(state.reason)")
  }

  private func hasAttempts(_ step: Int) -> Bool {
    steps[step].counted[.run] ?? 0 < plan(step).retry.attemptsMax
  }

  private mutating func retry(_ step: Int) -> SagaRecord.Body {
    let delay = plan(step).retry.delayMilliseconds(
      after: steps[step].counted[.run] ?? 1, fraction: random.fraction())
    return .scheduled(
      step: id(step), .run, notBefore: clock + delay, reason: steps[step].reason)
  }

  private func isDue(_ step: Int) -> Bool { steps[step].notBefore.map { $0 <= clock } ?? true }
  private var hasCapacity: Bool { inFlight.count < graph.plan.parallelism }

  private mutating func start(_ hasCapacity: Bool) -> SagaRecord.Body? {
    for step in steps.indices where steps[step].action == nil {
      switch steps[step].status {
      case .pending:
        if let body = startPending(step, hasCapacity) { return body }
      case .failed, .compensating:
        // Left behind by a fan-out that goes on without it.
        guard isTolerated(step), needsCompensation(step) else { continue }
        if let body = compensate(step, hasCapacity) { return body }
      default: break
      }
    }
    return nil
  }

  private func startPending(_ step: Int, _ hasCapacity: Bool) -> SagaRecord.Body? {
    if let group = graph.group[step], !steps[step].isTouched, isSatisfied(group) {
      return .skipped(step: id(step), reason: "its fan-out has succeeded")
    }
    guard isDue(step), isReady(step) else { return nil }
    if let approval = plan(step).approval, !isApproved(step) {
      guard let asked = steps[step].approval else {
        return .approvalRequested(
          step: id(step), expiresAt: clock + approval.expiresMilliseconds)
      }
      if asked.deniedBy != nil { return .gaveUp(step: id(step), reason: steps[step].reason) }
      if clock >= asked.expiresAt {
        return .gaveUp(
          step: id(step),
          reason: "\(asked.approvers.count) of \(approval.quorum) approvals came in time")
      }
      return nil
    }
    guard hasCapacity else { return nil }
    switch intent(step, .run) {
    case .success(let body): return body
    case .failure(let problem): return .gaveUp(step: id(step), reason: problem.description)
    }
  }

  func isApproved(_ step: Int) -> Bool {
    guard let approval = plan(step).approval else { return true }
    guard let state = steps[step].approval, state.deniedBy == nil else { return false }
    return state.approvers.count >= approval.quorum
  }

  private func isReady(_ step: Int) -> Bool {
    graph.needs[step].allSatisfy { need in
      guard let group = graph.group[need] else { return steps[need].status == .succeeded }
      // What failed members left is gone before anybody builds on the others.
      return isSatisfied(group)
        && !graph.groups[group].contains { hasFailed($0) && needsCompensation($0) }
    }
  }

  // MARK: fan-out

  private func isSatisfied(_ group: Int) -> Bool {
    let members = graph.groups[group]
    let succeeded = members.count { steps[$0].status == .succeeded }
    return succeeded >= graph.policy(of: group).quorum(of: members.count)
  }

  private func hasFailed(_ step: Int) -> Bool {
    switch steps[step].status {
    case .failed: steps[step].isSettled
    case .compensating, .compensated, .compensationFailed: true
    default: false
    }
  }

  /// Whether its fan-out can succeed, or has, without it.
  private func isTolerated(_ step: Int) -> Bool {
    guard hasFailed(step), let group = graph.group[step] else { return false }
    let members = graph.groups[group]
    let left = members.count { !hasFailed($0) }
    return left >= graph.policy(of: group).quorum(of: members.count)
  }

  /// A failure that the saga cannot go on without.
  func isForwardFailure(_ step: Int) -> Bool { hasFailed(step) && !isTolerated(step) }

  func isDone(_ step: Int) -> Bool {
    switch steps[step].status {
    case .succeeded, .skipped, .compensated: true
    case .failed: isTolerated(step) && !needsCompensation(step)
    default: false
    }
  }

  // MARK: backward

  private mutating func backward() -> SagaRecord.Body? {
    // First every tree is gone.
    let inFlight = inFlight
    if inFlight.contains(where: { $0.kind == .run }) { return nil }
    let hasCapacity = inFlight.count < graph.plan.parallelism
    var isUnsettled = false
    for step in steps.indices where !steps[step].isSettled {
      guard steps[step].status == .failed || steps[step].status == .unknown else { continue }
      isUnsettled = true
      guard steps[step].action == nil else { continue }
      if let body = settle(step, isForward: false, hasCapacity) { return body }
    }
    if isUnsettled { return nil }
    var isWaiting = !inFlight.isEmpty
    // Whether something that comes after a step is still to be undone.
    var isBlocked = [Bool](repeating: false, count: steps.count)
    for step in graph.order.reversed() {
      isBlocked[step] = graph.dependents[step].contains { isBlocked[$0] || needsCompensation($0) }
      guard needsCompensation(step) else { continue }
      isWaiting = true
      guard steps[step].action == nil, !isBlocked[step] else { continue }
      if let body = compensate(step, hasCapacity) { return body }
    }
    if isWaiting { return nil }
    if graph.plan.commitsFiles, files != .discarded {
      return files == .discarding ? nil : .files(.discarding, reason: "")
    }
    let left = steps.indices.filter { steps[$0].isStuck }
    if !left.isEmpty {
      let names = left.map { "\(id($0)): \(steps[$0].reason)" }.joined(separator: "; ")
      return .phase(.partiallyCompensated, nil, reason: names)
    }
    return .phase(cause == .cancel ? .cancelled : .compensated, nil, reason: reason)
  }

  /// Whether its compensation is still to be done.
  private func needsCompensation(_ step: Int) -> Bool {
    let state = steps[step]
    guard let compensation = plan(step).compensation, state.isTouched, !state.isStuck else {
      return false
    }
    if state.status == .compensating { return true }
    if state.status == .compensated || state.status == .skipped { return false }
    return compensation.condition == .started || state.happened == true
  }

  private mutating func compensate(_ step: Int, _ hasCapacity: Bool) -> SagaRecord.Body? {
    // No later attempt would find another program.
    if steps[step].isRefused {
      return .stuck(step: id(step), reason: "its compensation was \(steps[step].reason)")
    }
    let attempts = steps[step].counted[.compensate] ?? 0
    let retry = plan(step).compensation!.retry
    if attempts >= retry.attemptsMax {
      return .stuck(
        step: id(step), reason: "its compensation failed \(attempts) times: \(steps[step].reason)")
    }
    if attempts > 0 && steps[step].notBefore == nil {
      let delay = retry.delayMilliseconds(after: attempts, fraction: random.fraction())
      return .scheduled(
        step: id(step), .compensate, notBefore: clock + delay, reason: steps[step].reason)
    }
    guard isDue(step), hasCapacity else { return nil }
    switch intent(step, .compensate) {
    case .success(let body): return body
    case .failure(let problem): return .stuck(step: id(step), reason: problem.description)
    }
  }

  // MARK: time and ends

  /// Compensations begin when every run is gone.
  func mustStop(_ step: Int) -> Bool { phase == .compensating && steps[step].action == .run }

  /// When something is due without an event.
  public var wakeTime: UInt64? {
    guard !phase.isResting else { return nil }
    var times = steps.compactMap(\.notBefore).filter { $0 > clock }
    if phase == .running {
      for step in steps.indices where steps[step].status == .pending && isAsked(step) {
        times.append(steps[step].approval!.expiresAt)
      }
      if let deadline, deadline > clock, !pivotHappened { times.append(deadline) }
    }
    return times.filter { $0 > clock }.min()
  }
}
