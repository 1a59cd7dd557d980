internal import Saga

/// What must hold in every schedule, judged from the plan, the durable records and the world, not from the
/// machine's own reasoning.
struct Checker {
  let graph: SagaGraph
  private var keys: [Int: String] = [:]
  private var hasTurned = false
  private let ancestors: [Set<Int>]

  init(graph: SagaGraph) {
    self.graph = graph
    // Computed anew: needs, and for a need in a fan-out all of its members.
    var ancestors = [Set<Int>](repeating: [], count: graph.plan.steps.count)
    var isChanged = true
    while isChanged {
      isChanged = false
      for step in ancestors.indices {
        var all = ancestors[step]
        for need in graph.plan.steps[step].needs {
          let index = graph.index(of: need.text)!
          for member in Self.together(index, graph) {
            all.formUnion(ancestors[member].union([member]))
          }
        }
        if all != ancestors[step] {
          ancestors[step] = all
          isChanged = true
        }
      }
    }
    self.ancestors = ancestors
  }

  private static func together(_ step: Int, _ graph: SagaGraph) -> [Int] {
    let name = graph.plan.steps[step].id.text
    let group = graph.plan.fanOuts.first { $0.steps.contains { $0.text == name } }
    return group?.steps.map { graph.index(of: $0.text)! } ?? [step]
  }

  /// - Returns: what is wrong with starting this now; nil when nothing is.
  mutating func start(
    _ action: SagaAction, machine: SagaMachine, durable: [SagaRecord], world: World
  ) -> String? {
    let name = graph.plan.steps[action.step].id.text
    let isRecorded = durable.contains {
      if case .started(name, action.kind, action.attempt, _, _) = $0.body { true } else { false }
    }
    if !isRecorded { return "\(name) starts without an intent record" }
    if world.running.contains(where: { $0.step == action.step }) {
      return "\(name) runs twice at once"
    }
    if world.running.count >= graph.plan.parallelism { return "more runs than the plan allows" }
    if keys[action.step].map({ $0 != action.key }) ?? false, action.kind != .compensate {
      return "\(name) changed its key"
    }
    switch action.kind {
    case .run:
      keys[action.step] = action.key
      return run(action.step, name, durable, world)
    case .compensate: return compensation(action.step, name, machine, durable, world)
    case .probe: return graph.plan.steps[action.step].idempotency?.probe == nil ? "no probe" : nil
    }
  }

  /// Files are committed only when every step that counts is there, and never after they were discarded.
  func files(_ what: SagaFilesState, durable: [SagaRecord], world: World) -> String? {
    let isRecorded = durable.contains {
      if case .files(what, _) = $0.body { true } else { false }
    }
    if !isRecorded { return "the files are \(what) without a record" }
    if !world.running.isEmpty { return "the files are \(what) while something runs" }
    if what == .discarding {
      return world.files == .committed ? "committed files are discarded" : nil
    }
    if world.files == .discarded { return "discarded files are committed" }
    for step in graph.plan.steps.indices where graph.plan.steps[step].command.commitsWithSaga {
      if Self.together(step, graph).count == 1, graph.plan.steps[step].kind != .readonly,
        world.effects[step] == 0
      {
        return "the files are committed without \(graph.plan.steps[step].id.text)"
      }
    }
    return nil
  }

  private func run(_ step: Int, _ name: String, _ durable: [SagaRecord], _ world: World) -> String?
  {
    for case .phase(.compensating, _, _) in durable.map(\.body) {
      return "\(name) starts after the saga has turned round"
    }
    for need in graph.plan.steps[step].needs {
      let index = graph.index(of: need.text)!
      let members = Self.together(index, graph)
      let there = members.count {
        world.effects[$0] > 0 || graph.plan.steps[$0].kind == .readonly && world.hasRun[$0]
      }
      let policy = graph.plan.fanOuts.first { $0.steps.contains { $0.text == need.text } }?.policy
      let wanted = policy.map { $0.quorum(of: members.count) } ?? 1
      if there < wanted { return "\(name) starts before \(need.text) is there" }
    }
    if let approval = graph.plan.steps[step].approval {
      var users: Set<UInt32> = []
      for case .approved(name, let uid) in durable.map(\.body) { users.insert(uid) }
      if users.count < approval.quorum { return "\(name) starts without its approvals" }
    }
    return nil
  }

  private func compensation(
    _ step: Int, _ name: String, _ machine: SagaMachine, _ durable: [SagaRecord], _ world: World
  ) -> String? {
    let isRegistered = durable.contains {
      if case .started(name, .run, _, _, _) = $0.body { true } else { false }
    }
    if !isRegistered { return "\(name) is compensated without having started" }
    if let pivot = graph.pivot, world.effects[pivot] > 0, ancestors[pivot].contains(step),
      Self.together(step, graph).count == 1
    {
      return "\(name) is undone after the pivot"
    }
    if machine.phase == .running {
      return Self.together(step, graph).count > 1 ? nil : "\(name) is undone while the saga goes on"
    }
    if let running = world.running.first(where: { $0.kind == .run }) {
      return "\(name) is undone while step \(running.step) runs"
    }
    for later in ancestors.indices where ancestors[later].contains(step) {
      guard graph.plan.steps[later].compensation != nil, world.effects[later] > 0 else { continue }
      let state = machine.steps[later]
      if state.status != .compensationFailed && !state.isStuck {
        return "\(name) is undone before \(graph.plan.steps[later].id.text), which builds on it"
      }
    }
    return nil
  }

  /// Whether a resting phase says what is true of the world.
  func rest(_ machine: SagaMachine, _ world: World) -> String? {
    if !world.running.isEmpty { return "\(machine.phase) while something runs" }
    let steps = graph.plan.steps
    if graph.plan.commitsFiles {
      let expected: SagaFilesState? =
        switch machine.phase {
        case .completed: .committed
        case .compensated, .cancelled, .partiallyCompensated: .discarded
        default: nil
        }
      if let expected, world.files != expected {
        return "\(machine.phase), and its files are \(world.files)"
      }
    }
    switch machine.phase {
    case .completed:
      for step in steps.indices {
        let members = Self.together(step, graph)
        if members.count == 1, steps[step].kind != .readonly, world.effects[step] == 0 {
          return "completed without \(steps[step].id.text)"
        }
        if machine.steps[step].status != .succeeded, steps[step].compensation != nil,
          world.effects[step] > 0
        {
          return "completed with remains of \(steps[step].id.text)"
        }
      }
      for fanOut in graph.plan.fanOuts {
        let members = fanOut.steps.map { graph.index(of: $0.text)! }
        let there = members.count { world.effects[$0] > 0 || steps[$0].kind == .readonly }
        if there < fanOut.policy.quorum(of: members.count) { return "completed without a fan-out" }
      }
    case .compensated, .cancelled, .partiallyCompensated:
      for step in steps.indices where world.effects[step] > 0 && steps[step].kind != .readonly {
        let state = machine.steps[step]
        let isKnown =
          machine.phase == .partiallyCompensated
          && (state.isStuck || state.status == .compensationFailed)
        if !isKnown { return "\(machine.phase) with \(steps[step].id.text) in effect" }
      }
      if machine.phase == .partiallyCompensated && machine.stuckSteps.isEmpty {
        return "partially compensated, and nothing to resolve"
      }
    case .needsOperator:
      if machine.stuckSteps.isEmpty && !machine.mayCancel && machine.files != .refused {
        return "waits for nobody knows what"
      }
      if machine.reason.isEmpty { return "needs an operator without a reason" }
    default: break
    }
    return nil
  }
}
