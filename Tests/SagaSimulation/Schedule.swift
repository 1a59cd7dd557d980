internal import Saga

/// One saga from its beginning to an end, with crashes of the runner, lost outcomes, clocks that jump,
/// people who cancel, approve, deny and resolve, and compensations that fail.
struct Schedule {
  private let graph: SagaGraph
  private var machine: SagaMachine
  private var world: World
  private var checker: Checker
  private var random: SagaRandom
  /// What a crash leaves.
  private var durable: [SagaRecord] = []
  private var now: UInt64 = 1_000_000
  private var wake: UInt64?
  private let mutant: Mutant?
  /// The second half goes well, so that it must come to an end.
  private var isCalm = false
  /// How often it rested for a person.
  private(set) var rests: [SagaPhase: Int] = [:]
  private(set) var crashes = 0
  private(set) var fault: String?

  /// Ways in which a runner or a machine could be wrong; the checker must find each.
  enum Mutant: String, CaseIterable {
    case early, twice, unrecorded, forgetful, order, key, blind
  }

  /// Many times what a saga of 7 steps takes.
  private static let eventsMax = 2000

  init(seed: UInt64, mutant: Mutant?) {
    random = SagaRandom(seed: seed)
    self.mutant = mutant
    graph = RandomPlan.make(using: &random)
    let trouble = [2, 4, 10].randomElement(using: &random)!
    world = World(steps: graph.plan.steps.count, trouble: trouble)
    checker = Checker(graph: graph)
    machine = SagaMachine(
      graph: graph, sagaID: "01SIM", parameters: [:], begunAt: now, seed: seed)
  }

  mutating func run() {
    deliver(.runner(boot: world.boot, pid: 1))
    for number in 0..<Self.eventsMax where fault == nil {
      isCalm = number > Self.eventsMax / 2
      if isCalm { world.trouble = nil }
      if machine.phase.isResting {
        fault = checker.rest(machine, world)
        rests[machine.phase, default: 0] += 1
        if fault != nil || machine.phase.isFinal { return }
        if machine.phase == .halted && !RandomPlan.chance(2, &random) { return }
        person()
        continue
      }
      step()
    }
    if fault == nil { fault = "no end after \(Self.eventsMax) events in \(machine.phase)" }
  }

  /// The plan, the records and the state, for whoever looks for the cause of a fault.
  var story: String {
    let steps = graph.plan.steps.map { step in
      "\(step.id.text) \(step.kind) needs \(step.needs.map(\.text)) key \(step.idempotency != nil) "
        + "probe \(step.idempotency?.probe != nil) undo \(String(describing: step.compensation?.condition))"
    }
    let fanOuts = graph.plan.fanOuts.map { "\($0.policy) of \($0.steps.map(\.text))" }
    let records = durable.suffix(60).map { "\($0.at) \($0.body)" }
    let states = machine.steps.map { "\($0)" }
    return (steps + fanOuts + records + states + ["effects \(world.effects)"]).joined(
      separator: "\n")
  }

  private mutating func step() {
    if !isCalm, RandomPlan.chance(25, &random) { return crash() }
    if RandomPlan.chance(150, &random) { deliver(.cancel(uid: 0, reason: "enough")) }
    if RandomPlan.chance(15, &random) { now = now &+ .random(in: 0...2000, using: &random) }
    if RandomPlan.chance(30, &random) { now -= min(now, .random(in: 0...5000, using: &random)) }
    for index in machine.awaitingApproval where isCalm || RandomPlan.chance(3, &random) {
      if isCalm {
        for uid in UInt32(1)...3 { deliver(.approve(step: index, uid: uid)) }
        continue
      }
      let uid = UInt32.random(in: 1...3, using: &random)
      deliver(
        RandomPlan.chance(12, &random)
          ? .deny(step: index, uid: uid, reason: "no") : .approve(step: index, uid: uid))
    }
    if world.filesAsked != nil, RandomPlan.chance(2, &random) { return finishFiles() }
    // The next end, in any order of those that run; or the time passes.
    let next = world.running.indices.randomElement(using: &random)
    if let next, !RandomPlan.chance(4, &random) {
      now = max(now, world.running[next].endsAt)
      finish(next)
    } else {
      if let wake { now = max(now, wake) }
      deliver(.tick)
      // A report of an attempt that is over, or never was.
      deliver(.ended(step: 0, .run, attempt: 99, .exited(1)))
    }
  }

  private mutating func finish(_ index: Int) {
    if !world.running[index].isStopped { world.hasRun[world.running[index].step] = true }
    let attempt = world.end(index, graph)
    let outcome = attempt.isStopped && !attempt.acts ? .killed("stopped") : attempt.outcome
    // What agt-run wrote down stays there, whether or not the runner comes to note it.
    world.results.append((attempt.step, attempt.kind, attempt.number, outcome))
    deliver(.ended(step: attempt.step, attempt.kind, attempt: attempt.number, outcome))
  }

  private mutating func deliver(_ event: SagaEvent) {
    guard fault == nil else { return }
    perform(machine.handle(event, at: now))
  }

  private mutating func perform(_ effects: [SagaEffect]) {
    wake = nil
    let isTorn = !isCalm && RandomPlan.chance(40, &random)
    var kept = isTorn ? Int.random(in: 0...effects.count, using: &random) : Int.max
    for effect in mutate(effects) {
      kept -= 1
      if kept < 0 { return crash() }
      switch effect {
      case .append(let record): durable.append(record)
      case .start(let action):
        fault = fault ?? checker.start(action, machine: machine, durable: durable, world: world)
        if fault != nil { return }
        if mutant == .forgetful, action.kind == .compensate {
          world.start(action, graph.plan.steps[action.step], at: now, using: &random)
          let attempt = world.running.removeLast()
          world.running.append(
            .init(
              step: attempt.step, kind: attempt.kind, number: attempt.number,
              endsAt: attempt.endsAt, outcome: .succeeded(outputs: [:]), acts: false))
        } else {
          world.start(action, graph.plan.steps[action.step], at: now, using: &random)
        }
      case .stop(let step, _, let attempt):
        for index in world.running.indices
        where world.running[index].step == step && world.running[index].number == attempt {
          world.running[index].isStopped = true
        }
      case .commitFiles: askForFiles(.committing)
      case .discardFiles: askForFiles(.discarding)
      case .wake(let time): wake = time
      }
    }
  }

  private mutating func askForFiles(_ what: SagaFilesState) {
    fault = fault ?? checker.files(what, durable: durable, world: world)
    world.filesAsked = what
  }

  /// What was asked for is done, and told, unless the runner dies in between.
  private mutating func finishFiles() {
    guard let asked = world.filesAsked else { return }
    world.filesAsked = nil
    if asked == .committing, !isCalm, RandomPlan.chance(4, &random), world.files == .waiting {
      return deliver(.files(.refused, reason: "a conflict"))
    }
    world.files = asked == .committing ? .committed : .discarded
    if asked == .discarding {
      for step in graph.plan.steps.indices where graph.plan.steps[step].leavesNothing {
        world.effects[step] = 0
      }
    }
    if !isCalm, RandomPlan.chance(4, &random) { return crash() }
    deliver(.files(world.files, reason: ""))
  }

  /// The runner dies. What runs goes on, or ends unseen, or vanishes with the machine.
  private mutating func crash() {
    crashes += 1
    let isPowerLoss = RandomPlan.chance(4, &random)
    if isPowerLoss {
      for attempt in world.running {
        world.hasRun[attempt.step] = true
        // A transaction of which nobody has heard is none.
        if RandomPlan.chance(2, &random), !graph.plan.steps[attempt.step].leavesNothing {
          world.leave(attempt, graph)
        }
      }
      world.running = []
      world.results = []
      world.boot += "+"
    }
    now = now &+ .random(in: 0...30_000, using: &random)
    if RandomPlan.chance(5, &random) { now -= min(now, .random(in: 0...60_000, using: &random)) }
    for index in world.running.indices.reversed()
    where RandomPlan.chance(2, &random) {
      world.hasRun[world.running[index].step] = true
      let attempt = world.end(index, graph)
      world.results.append((attempt.step, attempt.kind, attempt.number, attempt.outcome))
    }
    var fresh = SagaMachine(
      graph: graph, sagaID: "01SIM", parameters: [:], begunAt: 1_000_000, seed: random.next())
    do throws(SagaProblem) {
      for record in durable { try fresh.replay(record) }
    } catch {
      fault = "replay: \(error.description)"
      return
    }
    machine = fresh
    resume()
  }

  /// Finds out what became of each attempt that the journal says has started.
  private mutating func resume() {
    deliver(.runner(boot: world.boot, pid: 1))
    // It may have been done already, which doing it again finds out.
    world.filesAsked =
      machine.files == .committing || machine.files == .discarding ? machine.files : nil
    for (step, kind, attempt) in machine.inFlight {
      let isRunning = world.running.contains {
        $0.step == step && $0.kind == kind && $0.number == attempt
      }
      if isRunning { continue }
      let found = world.results.firstIndex {
        $0.step == step && $0.kind == kind && $0.number == attempt
      }
      let outcome: SagaOutcome =
        if let found { world.results[found].outcome } else if machine.steps[step].boot == world.boot
        {
          .neverBegun
        } else { .lost("power") }
      deliver(.ended(step: step, kind, attempt: attempt, outcome))
      // Another crash on the way has resumed in its own right.
      if fault != nil || machine.steps[step].action == kind { continue }
    }
    deliver(.tick)
  }

  /// Somebody looks at a saga that rests, and says what is true.
  private mutating func person() {
    now += 1000
    if machine.files == .refused, machine.stuckSteps.isEmpty, !RandomPlan.chance(4, &random) {
      return deliver(.commitAgain)
    }
    if machine.mayCancel, machine.stuckSteps.isEmpty || RandomPlan.chance(4, &random) {
      return deliver(.cancel(uid: 0, reason: "given up"))
    }
    guard let step = machine.stuckSteps.randomElement(using: &random) else { return }
    // By hand, now and then.
    if machine.steps[step].status == .compensationFailed, RandomPlan.chance(2, &random) {
      world.effects[step] = 0
    }
    var happened = world.effects[step] > 0
    if mutant == .blind { happened.toggle() }
    deliver(.resolve(step: step, happened: happened, evidence: "seen", uid: 0, outputs: [:]))
  }

  // MARK: mutants

  private mutating func mutate(_ effects: [SagaEffect]) -> [SagaEffect] {
    guard let mutant else { return effects }
    return effects.flatMap { effect -> [SagaEffect] in
      switch (mutant, effect) {
      case (.twice, .start(let action)) where action.kind == .run: return [effect, effect]
      case (.unrecorded, .append(let record)):
        if case .started = record.body { return [] }
        return [effect]
      case (.early, .start(let action)) where action.kind == .run:
        let later = graph.dependents[action.step].first ?? action.step
        return forged(changed(action, step: later))
      case (.order, .start(let action)) where action.kind == .compensate:
        let need = graph.needs[action.step].first { graph.plan.steps[$0].compensation != nil }
        return forged(changed(action, step: need ?? action.step))
      case (.key, .start(let action)) where action.kind == .run:
        return [.start(changed(action, key: action.key + "\(action.attempt)"))]
      default: return [effect]
      }
    }
  }

  /// With an intent, so that another check has to find it.
  private func forged(_ action: SagaAction) -> [SagaEffect] {
    let record = SagaRecord(
      at: now,
      .started(
        step: graph.plan.steps[action.step].id.text, action.kind, attempt: action.attempt,
        arguments: [], key: action.key))
    return [.append(record), .start(action)]
  }

  private func changed(_ action: SagaAction, step: Int? = nil, key: String? = nil) -> SagaAction {
    SagaAction(
      step: step ?? action.step, kind: action.kind, attempt: action.attempt,
      arguments: action.arguments, environment: action.environment, command: action.command,
      key: key ?? action.key, outputs: action.outputs)
  }
}
