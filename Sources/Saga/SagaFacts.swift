/// What each record means for the state. Nothing here looks at the clock or decides anything.
extension SagaMachine {
  mutating func apply(_ body: SagaRecord.Body) {
    switch body {
    case .declared(let declaration): declared(declaration)
    case .started(let name, let kind, let attempt, _, _):
      started(graph.index(of: name)!, kind, attempt)
    case .ended(let name, let kind, _, let outcome):
      let step = graph.index(of: name)!
      steps[step].action = nil
      steps[step].reason = outcome.description
      switch kind {
      case .run: runEnded(step, outcome)
      case .probe: probeEnded(step, outcome)
      case .compensate: compensationEnded(step, outcome)
      }
    case .scheduled(let name, let kind, let notBefore, _):
      let step = graph.index(of: name)!
      steps[step].notBefore = notBefore
      if kind == .run { steps[step].status = .pending }
    case .gaveUp(let name, let reason):
      let step = graph.index(of: name)!
      steps[step].status = .failed
      steps[step].isSettled = true
      steps[step].reason = reason
    case .stuck(let name, let reason):
      let step = graph.index(of: name)!
      // What is not unclear is stuck only in being undone.
      steps[step].status = steps[step].isUnclear ? .unknown : .compensationFailed
      steps[step].isStuck = true
      steps[step].isSettled = true
      steps[step].reason = reason
    case .skipped(let name, let reason):
      let step = graph.index(of: name)!
      steps[step].status = .skipped
      steps[step].reason = reason
    case .phase(let next, let cause, let reason): enter(next, cause, reason)
    case .runner(let boot, _): self.boot = boot
    case .files(let state, let reason):
      files = state
      filesReason = reason
      if state == .committing { phase = .running }
      guard state == .discarded else { break }
      // Nothing else is left of those that only write files.
      for step in steps.indices where plan(step).kind == .compensatable {
        if plan(step).compensation == nil, steps[step].status == .succeeded {
          steps[step].status = .compensated
          steps[step].happened = false
        }
      }
    case .approvalRequested(let name, let expiresAt):
      steps[graph.index(of: name)!].approval = SagaApprovalState(expiresAt: expiresAt)
    case .approved(let name, let uid):
      steps[graph.index(of: name)!].approval?.approvers.insert(uid)
    case .denied(let name, let uid, let reason):
      steps[graph.index(of: name)!].approval?.deniedBy = uid
      steps[graph.index(of: name)!].reason = "denied by user \(uid): \(reason)"
    case .cancelled(_, let reason):
      isCancelled = true
      self.reason = reason
      if phase.isResting || phase == .halting { phase = .running }
    case .resolved(let name, let happened, let evidence, _, let outputs):
      resolved(graph.index(of: name)!, happened, evidence, outputs)
    }
  }

  private mutating func started(_ step: Int, _ kind: SagaActionKind, _ attempt: Int) {
    steps[step].action = kind
    steps[step].attempt[kind] = attempt
    steps[step].counted[kind, default: 0] += 1
    steps[step].notBefore = nil
    steps[step].boot = boot
    steps[step].startedAt = clock
    switch kind {
    case .run:
      steps[step].status = .running
      steps[step].isSettled = false
      steps[step].happened = nil
      steps[step].counted[.probe] = 0
    case .probe: break
    case .compensate:
      steps[step].status = .compensating
      steps[step].isRefused = false
    }
  }

  private mutating func runEnded(_ step: Int, _ outcome: SagaOutcome) {
    let retry = plan(step).retry
    let isReadOnly = plan(step).leavesNothing
    steps[step].mayRetry = false
    // Whether it happened is not known; what changes nothing has just failed.
    func unclear(mayRetry: Bool) {
      steps[step].isTouched = true
      steps[step].status = isReadOnly ? .failed : .unknown
      if isReadOnly { steps[step].happened = false }
      steps[step].isUnclear = !isReadOnly
      steps[step].mayRetry = mayRetry
    }
    // This attempt did nothing, but an earlier one may have.
    func failed(mayRetry: Bool) {
      steps[step].status = steps[step].isUnclear ? .unknown : .failed
      steps[step].happened = steps[step].isUnclear ? nil : false
      steps[step].mayRetry = mayRetry
    }
    switch outcome {
    case .succeeded(let outputs):
      steps[step].isTouched = true
      steps[step].status = .succeeded
      steps[step].happened = true
      steps[step].isUnclear = false
      steps[step].outputs.merge(outputs) { $1 }
    case .outputMissing:
      steps[step].isTouched = true
      steps[step].status = .failed
      steps[step].happened = true
      steps[step].isUnclear = false
    case .exited(let status, _):
      steps[step].isTouched = true
      failed(mayRetry: retry.statuses?.contains(status) ?? true)
    case .timedOut: unclear(mayRetry: retry.onTimeout)
    case .signaled(let number):
      unclear(mayRetry: retry.statuses?.contains(128 + number) ?? true)
    case .killed: unclear(mayRetry: false)
    case .violation:
      unclear(mayRetry: false)
      steps[step].isViolation = true
      // A compensation that tolerates everything needs no answer, nor does what a person looks at.
      if plan(step).compensation?.condition == .started || plan(step).kind == .retriable {
        steps[step].status = .failed
        steps[step].isUnclear = false
      }
    case .notStarted, .refused: failed(mayRetry: false)
    case .lost: unclear(mayRetry: true)
    case .neverBegun: startAgain(step)
    }
  }

  /// The attempt does not count: there was none.
  private mutating func startAgain(_ step: Int) {
    steps[step].counted[.run]! -= 1
    steps[step].status = .pending
    steps[step].happened = steps[step].isUnclear ? nil : false
    if phase == .compensating { withdraw(step) }
  }

  private mutating func probeEnded(_ step: Int, _ outcome: SagaOutcome) {
    switch outcome {
    case .succeeded(let outputs):
      steps[step].happened = true
      steps[step].isUnclear = false
      steps[step].outputs.merge(outputs) { $1 }
      let missing = plan(step).outputs.first { steps[step].outputs[$0.name.text] == nil }
      if steps[step].isViolation || missing != nil {
        steps[step].status = .failed
        steps[step].mayRetry = false
        if let missing { steps[step].reason = "the output \(missing.name.text) is lost" }
      } else {
        steps[step].status = .succeeded
      }
    case .outputMissing:
      steps[step].happened = true
      steps[step].isUnclear = false
      steps[step].status = .failed
      steps[step].mayRetry = false
    case .exited(1, _):
      steps[step].happened = false
      steps[step].isUnclear = false
      steps[step].status = .failed
      steps[step].reason = "the probe says that it did not happen"
    case .neverBegun: steps[step].counted[.probe]! -= 1
    default: break
    }
  }

  private mutating func compensationEnded(_ step: Int, _ outcome: SagaOutcome) {
    switch outcome {
    case .succeeded:
      steps[step].status = .compensated
      steps[step].happened = false
    case .refused: steps[step].isRefused = true
    case .neverBegun: steps[step].counted[.compensate]! -= 1
    default: break
    }
  }

  private mutating func enter(_ next: SagaPhase, _ cause: SagaCause?, _ reason: String) {
    phase = next
    if let cause { self.cause = cause }
    self.reason = reason
    guard next == .compensating else { return }
    for step in steps.indices where steps[step].status == .pending { withdraw(step) }
  }

  /// The attempt that was to come does not come.
  private mutating func withdraw(_ step: Int) {
    steps[step].notBefore = nil
    steps[step].isSettled = !steps[step].isUnclear
    steps[step].status =
      steps[step].isUnclear ? .unknown : steps[step].isTouched ? .failed : .skipped
  }

  private mutating func resolved(
    _ step: Int, _ happened: Bool, _ evidence: String, _ outputs: [String: String]
  ) {
    steps[step].isStuck = false
    steps[step].isRefused = false
    steps[step].isSettled = false
    steps[step].isViolation = false
    steps[step].isUnclear = false
    steps[step].notBefore = nil
    steps[step].reason = evidence
    if steps[step].status == .compensationFailed {
      steps[step].status = happened ? .compensating : .compensated
      steps[step].counted[.compensate] = 0
    } else if happened {
      steps[step].status = .succeeded
      steps[step].happened = true
      steps[step].isTouched = true
      // One whose outcome was not known may have been undone in vain.
      steps[step].counted[.compensate] = 0
      steps[step].outputs.merge(outputs) { $1 }
    } else {
      steps[step].happened = false
      steps[step].isTouched = false
      steps[step].counted = [:]
      // What lapsed or was denied is asked anew.
      if !isApproved(step) { steps[step].approval = nil }
      let isRepeated = plan(step).kind == .retriable || plan(step).kind == .readonly
      let isForward = phase == .needsOperator
      steps[step].status = isRepeated && isForward ? .pending : .failed
      steps[step].isSettled = !(isRepeated && isForward)
    }
    if phase == .needsOperator { phase = .running }
    if phase == .partiallyCompensated { phase = .compensating }
  }
}
