internal import Saga

/// What really happens outside: attempts that run, end, hang or vanish, and the effects they leave.
struct World {
  struct Attempt {
    let step: Int
    let kind: SagaActionKind
    let number: Int
    let endsAt: UInt64
    let outcome: SagaOutcome
    /// Whether the effect takes place.
    let acts: Bool
    var isStopped = false
  }

  /// How many times each step's effect is there; with a key at most once.
  var effects: [Int]
  /// Whether each step's program ever ran.
  var hasRun: [Bool]
  /// What was asked for the files that wait, until it is done; and what was done with them.
  var filesAsked: SagaFilesState?
  var files = SagaFilesState.waiting
  /// Another one after each loss of power.
  var boot = "boot"
  var running: [Attempt] = []
  /// Ended while nobody looked; their results wait.
  var results: [(step: Int, kind: SagaActionKind, number: Int, outcome: SagaOutcome)] = []
  /// One attempt in so many goes wrong; nil for none.
  var trouble: Int?

  init(steps: Int, trouble: Int?) {
    effects = Array(repeating: 0, count: steps)
    hasRun = Array(repeating: false, count: steps)
    self.trouble = trouble
  }

  private func goesWrong(_ random: inout SagaRandom) -> Bool {
    trouble.map { RandomPlan.chance($0, &random) } ?? false
  }

  mutating func start(
    _ action: SagaAction, _ step: SagaStep, at now: UInt64, using random: inout SagaRandom
  ) {
    let outcome: SagaOutcome
    var acts = false
    switch action.kind {
    case .run:
      (outcome, acts) = run(step, using: &random)
      // A transaction whose run did not end well is discarded.
      if step.leavesNothing, case .succeeded = outcome {
      } else if step.leavesNothing {
        acts = false
      }
    case .probe:
      let answer = effects[action.step] > 0 ? SagaOutcome.succeeded(outputs: [:]) : .exited(1)
      outcome =
        goesWrong(&random)
        ? [.exited(2), .timedOut, .lost("")].randomElement(using: &random)! : answer
    case .compensate:
      let fails = goesWrong(&random)
      outcome =
        fails
        ? [.exited(1), .timedOut, .signaled(9), .violation("x"), .notStarted("x"), .lost("")]
          .randomElement(using: &random)! : .succeeded(outputs: [:])
      acts = !fails
    }
    running.append(
      Attempt(
        step: action.step, kind: action.kind, number: action.attempt,
        endsAt: now + .random(in: 0...3000, using: &random), outcome: outcome, acts: acts))
  }

  private func run(
    _ step: SagaStep, using random: inout SagaRandom
  ) -> (SagaOutcome, Bool) {
    guard goesWrong(&random) else { return (.succeeded(outputs: [:]), true) }
    // What says "failed" to a compensation that wants to know has done nothing.
    let leaves = step.compensation?.condition == .started && RandomPlan.chance(2, &random)
    let maybe = RandomPlan.chance(2, &random)
    return switch Int.random(in: 0..<9, using: &random) {
    case 0: (.exited(1), leaves)
    case 1: (.exited(75), leaves)
    case 2: (.timedOut, maybe)
    case 3: (.signaled(11), maybe)
    case 4: (.violation("mount"), maybe)
    case 5: (.notStarted("no such program"), false)
    case 6: (.killed("manual"), maybe)
    case 7: (.lost("supervisor"), maybe)
    default: (.outputMissing("no file"), true)
    }
  }

  /// Ends the attempt at `index` and leaves its effect.
  mutating func end(_ index: Int, _ graph: SagaGraph) -> Attempt {
    let attempt = running.remove(at: index)
    leave(attempt, graph)
    return attempt
  }

  mutating func leave(_ attempt: Attempt, _ graph: SagaGraph) {
    guard attempt.acts else { return }
    let step = graph.plan.steps[attempt.step]
    switch attempt.kind {
    case .probe: break
    case .compensate: effects[attempt.step] = 0
    case .run:
      let isOnce = step.idempotency != nil || step.leavesNothing
      effects[attempt.step] = isOnce ? 1 : effects[attempt.step] + 1
    }
  }
}
