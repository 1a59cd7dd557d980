internal import Saga

/// Plans that pass the lint, of every shape: chains, diamonds, fan-outs, pivots, approvals.
enum RandomPlan {
  static func make(using random: inout SagaRandom) -> SagaGraph {
    while true {
      let plan = plan(using: &random)
      if let graph = SagaLint.check(plan).graph { return graph }
    }
  }

  private static let place = SagaPlace(line: 1, column: 1)

  private static func plan(using random: inout SagaRandom) -> SagaPlan {
    let count = Int.random(in: 1...7, using: &random)
    let pivot = count > 2 && chance(2, &random) ? Int.random(in: 1..<count, using: &random) : nil
    var plan = SagaPlan(name: "random")
    plan.parallelism = Int.random(in: 1...4, using: &random)
    if chance(3, &random) {
      plan.deadlineMilliseconds = .random(in: 2_000...60_000, using: &random)
    }
    if chance(8, &random) { plan.onFailure = .halt }
    if chance(8, &random) { plan.onViolation = .halt }
    for index in 0..<count { plan.steps.append(step(index, pivot: pivot, using: &random)) }
    shareFiles(&plan, using: &random)
    if count > 3, chance(2, &random) {
      // Members of a fan-out are parallel: those between may not need each other.
      let first = Int.random(in: 0..<(count - 2), using: &random)
      let size = Int.random(in: 2...min(3, count - first - 1), using: &random)
      let members = first..<(first + size)
      let names = members.map { plan.steps[$0].id.text }
      for member in members {
        plan.steps[member].needs.removeAll { names.contains($0.text) }
      }
      plan.fanOuts = [
        SagaFanOut(
          steps: members.map { plan.steps[$0].id },
          policy: SagaFanOut.Policy.allCases.randomElement(using: &random)!, place: place)
      ]
    }
    return plan
  }

  /// Steps in a row whose files wait for the end; the lint refuses the plan when a fan-out tears them apart.
  private static func shareFiles(_ plan: inout SagaPlan, using random: inout SagaRandom) {
    guard chance(3, &random) else { return }
    var last: SagaName?
    for index in plan.steps.indices where chance(2, &random) {
      plan.steps[index].command.workspace = .transaction
      plan.steps[index].command.commitsWithSaga = true
      // Nothing but files: there is nothing else to undo.
      if plan.steps[index].kind == .compensatable, chance(2, &random) {
        plan.steps[index].compensation = nil
      }
      if let last, !plan.steps[index].needs.contains(last) { plan.steps[index].needs.append(last) }
      last = plan.steps[index].id
    }
  }

  private static func step(
    _ index: Int, pivot: Int?, using random: inout SagaRandom
  ) -> SagaStep {
    let kind: SagaStep.Kind =
      if chance(6, &random) { .readonly } else if index == pivot {
        .pivot
      } else if let pivot,
        index > pivot
      { .retriable } else { .compensatable }
    var needs = (0..<index).filter { _ in chance(3, &random) }
    // What comes before the pivot, it needs; what comes after, needs it.
    if let pivot, index == pivot { needs = Array(0..<index) }
    if let pivot, index > pivot, !needs.contains(pivot) { needs.append(pivot) }
    var retry = SagaRetry.never
    retry.attemptsMax = Int.random(in: 1...3, using: &random)
    if chance(3, &random) { retry.statuses = [75] }
    retry.onTimeout = chance(2, &random)
    var step = SagaStep(
      id: SagaName("s\(index)", place), kind: kind, needs: needs.map { SagaName("s\($0)", place) },
      command: command("run"), retry: retry, outputs: [], idempotency: nil, approval: nil,
      compensation: nil, irreversible: "no way back", approvalWaived: "simulated")
    if kind == .retriable || chance(2, &random) {
      step.idempotency = SagaIdempotency(
        key: SagaTemplate(literal: "key-\(index)", place: place),
        probe: chance(2, &random) ? command("probe") : nil)
    }
    if kind == .compensatable {
      let when: SagaCompensation.Condition =
        step.idempotency?.probe != nil && chance(2, &random) ? .succeeded : .started
      var retry = SagaRetry.compensation
      retry.attemptsMax = Int.random(in: 1...3, using: &random)
      step.compensation = SagaCompensation(
        command: command("undo"), condition: when, retry: retry, elevates: nil)
    }
    if chance(6, &random) {
      step.approval = SagaApproval(
        group: "ops", quorum: Int.random(in: 1...2, using: &random), expiresMilliseconds: 20_000,
        countsRequester: true)
    }
    return step
  }

  private static func command(_ word: String) -> SagaCommand {
    SagaCommand(
      arguments: [SagaTemplate(literal: word, place: place)], ring: 3, profile: nil,
      timeoutMilliseconds: 1000, graceMilliseconds: 100, workspace: nil, reads: [], writes: [],
      network: [], environment: [], memoryBytes: nil, processes: nil, place: place)
  }

  /// One in `n`.
  static func chance(_ n: Int, _ random: inout SagaRandom) -> Bool {
    Int.random(in: 0..<n, using: &random) == 0
  }
}
