internal import YAML

/// What is wrong with a plan as a whole. A plan with errors is not run; warnings are printed.
public enum SagaLint {
  public struct Finding: Equatable, Sendable {
    public let isError: Bool
    /// A stable name of the rule.
    public let rule: String
    public let place: SagaPlace
    /// The cause and how to mend it.
    public let message: String

    /// `plan.yaml:14:7: error: message [rule]`
    public func description(file: String) -> String {
      "\(file):\(place.line):\(place.column): \(isError ? "error" : "warning"): \(message) [\(rule)]"
    }
  }

  /// - Parameter hostProblem: why `--net` would refuse a host; nil when it takes it.
  /// - Returns: the findings in the order of the plan; the graph when none is an error.
  public static func check(
    _ plan: SagaPlan, hostProblem: @escaping (String) -> String? = { _ in nil }
  ) -> (findings: [Finding], graph: SagaGraph?) {
    var linter = SagaLinter(plan: plan, hostProblem: hostProblem)
    let graph = linter.run()
    let findings = linter.findings.sorted {
      ($0.place.line, $0.place.column) < ($1.place.line, $1.place.column)
    }
    return (findings, findings.contains(where: \.isError) ? nil : graph)
  }
}

private struct SagaLinter {
  let plan: SagaPlan
  var findings: [SagaLint.Finding] = []
  private var indices: [String: Int] = [:]
  private var used: Set<String> = []

  private let hostProblem: (String) -> String?

  init(plan: SagaPlan, hostProblem: @escaping (String) -> String?) {
    self.plan = plan
    self.hostProblem = hostProblem
  }

  mutating func run() -> SagaGraph? {
    for (index, step) in plan.steps.enumerated() {
      if let first = indices[step.id.text] {
        error(
          "duplicate-step", step.id.place,
          "a step \(step.id.text) is already at line \(plan.steps[first].id.place.line); rename one"
        )
      }
      indices[step.id.text] = indices[step.id.text] ?? index
    }
    let needs = plan.steps.map { step in step.needs.compactMap { resolve($0) } }
    let groups = fanOuts()
    var order: [Int]?
    if !findings.contains(where: \.isError) { order = topological(needs, groups) }
    for step in plan.steps { check(step) }
    guard let order else { return nil }
    let graph = SagaGraph(
      plan: plan, needs: needs, groups: groups, order: order, indices: indices)
    checkGroups(graph)
    checkPivot(graph)
    checkFiles(graph)
    for (index, step) in plan.steps.enumerated() { checkReferences(step, index, graph) }
    checkUse()
    return graph
  }

  private mutating func error(_ rule: String, _ place: SagaPlace, _ message: String) {
    findings.append(.init(isError: true, rule: rule, place: place, message: message))
  }

  private mutating func warn(_ rule: String, _ place: SagaPlace, _ message: String) {
    findings.append(.init(isError: false, rule: rule, place: place, message: message))
  }

  private mutating func resolve(_ name: SagaName) -> Int? {
    if let index = indices[name.text] { return index }
    let near = NearestName.find(name.text, among: plan.steps.map(\.id.text))
    error(
      "unknown-step", name.place,
      "there is no step \(name.text)"
        + (near.map { "; did you mean \($0)?" } ?? "; add it, or leave the name out"))
    return nil
  }

  // MARK: order

  private mutating func fanOuts() -> [[Int]] {
    var seen: [Int: SagaPlace] = [:]
    return plan.fanOuts.map { fanOut in
      if fanOut.steps.count < 2 {
        error(
          "fan-out-small", fanOut.place, "a fan-out has at least two steps; add one, or remove it")
      }
      var members: [Int] = []
      for name in fanOut.steps {
        guard let index = resolve(name) else { continue }
        if seen[index] != nil {
          error("fan-out-twice", name.place, "\(name.text) is in a fan-out already; name it once")
        }
        seen[index] = name.place
        members.append(index)
      }
      return members
    }
  }

  /// Kahn's algorithm; a fan-out counts as one for those that need a member of it.
  private mutating func topological(_ needs: [[Int]], _ groups: [[Int]]) -> [Int]? {
    var group: [Int: Int] = [:]
    for (number, members) in groups.enumerated() { for step in members { group[step] = number } }
    var waiting = [Int](repeating: 0, count: needs.count)
    var followers = [[Int]](repeating: [], count: needs.count)
    for (step, names) in needs.enumerated() {
      for need in names {
        for member in group[need].map({ groups[$0] }) ?? [need] {
          followers[member].append(step)
          waiting[step] += 1
        }
      }
    }
    var order: [Int] = []
    var ready = needs.indices.filter { waiting[$0] == 0 }
    var next = 0
    while next < ready.count {
      let step = ready[next]
      next += 1
      order.append(step)
      for follower in followers[step] {
        waiting[follower] -= 1
        if waiting[follower] == 0 { ready.append(follower) }
      }
    }
    if order.count == needs.count { return order }
    report(cycleIn: needs.indices.filter { waiting[$0] > 0 }, followers)
    return nil
  }

  private mutating func report(cycleIn steps: [Int], _ followers: [[Int]]) {
    let left = Set(steps)
    // Backwards along the needs that are left, every walk comes to a step that it has seen.
    var predecessor: [Int: Int] = [:]
    for step in steps {
      for follower in followers[step] where left.contains(follower) {
        predecessor[follower] = step
      }
    }
    var path: [Int] = []
    var step = steps[0]
    while !path.contains(step) {
      path.append(step)
      step = predecessor[step]!
    }
    let cycle = path[path.firstIndex(of: step)!...].reversed() + []
    let names = (cycle + [cycle[0]]).map { plan.steps[$0].id.text }.joined(separator: " → ")
    error(
      "cycle", plan.steps[cycle[0]].id.place,
      "these steps wait for each other: \(names); remove one of the needs")
  }

  // MARK: one step

  private mutating func check(_ step: SagaStep) {
    check(step.command, "step \(step.id.text)")
    if let probe = step.idempotency?.probe { check(probe, "the probe of \(step.id.text)") }
    if let compensation = step.compensation {
      check(compensation.command, "the compensation of \(step.id.text)")
      checkCompensation(compensation, step)
    }
    if step.kind == .compensatable && step.compensation == nil && !step.command.commitsWithSaga {
      error(
        "no-compensation", step.id.place,
        "\(step.id.text) is compensatable and has no compensation; add compensate, or call it readonly"
      )
    }
    if step.kind != .compensatable && step.compensation != nil {
      error(
        "compensation-unused", step.id.place,
        "\(step.id.text) is \(step.kind.rawValue), so its compensation would never run; call it "
          + "compensatable, or remove compensate")
    }
    if step.kind == .retriable && step.idempotency == nil {
      error(
        "retriable-without-key", step.id.place,
        "\(step.id.text) is retriable and has no key; add idempotency: {key: "
          + "\"${saga.id}/\(step.id.text)\"}")
    }
    if step.irreversible != nil && step.approval == nil && step.approvalWaived == nil {
      error(
        "irreversible-without-approval", step.id.place,
        "\(step.id.text) is irreversible and nobody approves it; add approval, or approvalWaived "
          + "with the reason")
    }
    if step.kind == .pivot && step.irreversible == nil {
      warn(
        "pivot-without-reason", step.id.place,
        "say with irreversible why \(step.id.text) cannot be undone")
    }
    if let key = step.idempotency?.key, !key.references.contains(.sagaID) {
      warn(
        "key-not-unique", key.place,
        "the key is the same in every saga, so the second one does nothing; put ${saga.id} into it")
    }
    if let deadline = plan.deadlineMilliseconds, let timeout = step.command.timeoutMilliseconds,
      timeout > deadline
    {
      warn(
        "deadline-shorter", step.command.place,
        "\(step.id.text) may take longer than the deadline of the saga")
    }
  }

  private mutating func check(_ command: SagaCommand, _ what: String) {
    for host in command.network {
      guard let problem = hostProblem(host.text),
        // Those of `defaults` are every step's.
        !findings.contains(where: { $0.rule == "bad-host" && $0.place == host.place })
      else { continue }
      error("bad-host", host.place, problem)
    }
    if command.timeoutMilliseconds == nil {
      error(
        "no-timeout", command.place,
        "\(what) has no timeout; add timeout: {run: 5m}, or set it in defaults")
    }
  }

  private mutating func checkCompensation(_ compensation: SagaCompensation, _ step: SagaStep) {
    let place = compensation.command.place
    let isAbove: Bool =
      if let own = step.command.ring, let its = compensation.command.ring { its < own } else {
        step.command.profile != compensation.command.profile
      }
    if isAbove && compensation.elevates == nil {
      error(
        "compensation-above-ring", place,
        "the compensation of \(step.id.text) may have more rights than the step; use the same ring, "
          + "or say why with elevates")
    }
    if compensation.condition == .succeeded && step.idempotency?.probe == nil {
      error(
        "compensation-needs-probe", place,
        "when a lost outcome of \(step.id.text) cannot be found out, it is not known whether to undo "
          + "it; add idempotency with a probe, or use when: started")
    }
  }

  // MARK: groups and the pivot

  private mutating func checkGroups(_ graph: SagaGraph) {
    for (number, members) in graph.groups.enumerated() {
      let place = plan.fanOuts[number].place
      for member in members {
        let step = plan.steps[member]
        if members.contains(where: { graph.isAncestor($0, of: member) }) {
          error(
            "fan-out-order", place,
            "\(step.id.text) needs another member of its fan-out, so they are not parallel; take it out"
          )
        }
        let mayBeLeft = step.kind == .readonly || step.kind == .compensatable
        if graph.policy(of: number) != .all && !mayBeLeft {
          error(
            "fan-out-kind", place,
            "\(step.id.text) is \(step.kind.rawValue) and may fail in this fan-out, but could not be "
              + "undone; use policy: all, or take it out")
        }
      }
    }
  }

  /// With one point of no return, everything before it can be undone and everything after it is carried
  /// through. A step with effects that has no order with it could fail when it is too late.
  private mutating func checkPivot(_ graph: SagaGraph) {
    let pivots = plan.steps.indices.filter { plan.steps[$0].kind == .pivot }
    for extra in pivots.dropFirst() {
      error(
        "two-pivots", plan.steps[extra].id.place,
        "\(plan.steps[extra].id.text) is a second point of no return: when it fails, "
          + "\(plan.steps[pivots[0]].id.text) cannot be undone; make it retriable after the pivot, or "
          + "split the saga")
    }
    for (index, step) in plan.steps.enumerated() where step.kind != .pivot && step.kind != .readonly
    {
      guard let pivot = pivots.first else {
        if step.kind == .retriable {
          error(
            "retriable-without-pivot", step.id.place,
            "\(step.id.text) cannot be undone and comes after no pivot; make it compensatable, or the "
              + "pivot")
        }
        continue
      }
      let name = plan.steps[pivot].id.text
      let isAfter = graph.isAncestor(pivot, of: index)
      if isAfter && step.kind != .retriable {
        error(
          "not-retriable-after-pivot", step.id.place,
          "\(step.id.text) comes after the pivot \(name), where nothing is undone any more; make it "
            + "retriable with a key")
      } else if !isAfter && step.kind == .retriable {
        error(
          "retriable-before-pivot", step.id.place,
          "\(step.id.text) cannot be undone and does not come after the pivot \(name); let it need "
            + "\(name), or make it compensatable")
      } else if !isAfter && !graph.isAncestor(index, of: pivot) {
        error(
          "unordered-with-pivot", step.id.place,
          "\(step.id.text) may fail after the pivot \(name), when nothing is undone any more; let "
            + "\(name) need it")
      }
    }
  }

  // MARK: files

  /// The files of several steps are one transaction, which one step at a time goes on with.
  private mutating func checkFiles(_ graph: SagaGraph) {
    let sharing = plan.steps.indices.filter { plan.steps[$0].command.commitsWithSaga }
    for (place, step) in sharing.enumerated() {
      for other in sharing[..<place]
      where !graph.isAncestor(other, of: step) && !graph.isAncestor(step, of: other) {
        error(
          "files-unordered", plan.steps[step].command.place,
          "the files of \(plan.steps[other].id.text) and \(plan.steps[step].id.text) are committed "
            + "together, so one comes after the other; let \(plan.steps[step].id.text) need "
            + "\(plan.steps[other].id.text), or use commit: step")
        break
      }
    }
    for step in plan.steps {
      for command in [step.compensation?.command, step.idempotency?.probe] {
        guard let command, command.commitsWithSaga else { continue }
        error(
          "files-of-undo", command.place,
          "what undoes or probes \(step.id.text) cannot wait for the end of the saga; use commit: step"
        )
      }
    }
  }

  // MARK: references

  private mutating func checkReferences(_ step: SagaStep, _ index: Int, _ graph: SagaGraph) {
    let program = step.command.arguments[0]
    for command in [step.command, step.idempotency?.probe, step.compensation?.command] {
      guard let command else { continue }
      let isProgram = command.arguments[0].references.contains {
        if case .output = $0 { true } else { false }
      }
      if isProgram {
        error(
          "program-from-output", program.place,
          "the program of \(step.id.text) would be chosen by the output of a step; name it")
      }
      let isUndo = command == step.compensation?.command
      for template in command.arguments + command.environment.map(\.value) {
        check(template, of: index, graph, isUndo: isUndo)
      }
    }
    if let key = step.idempotency?.key { check(key, of: index, graph, isUndo: false) }
  }

  private mutating func check(
    _ template: SagaTemplate, of step: Int, _ graph: SagaGraph, isUndo: Bool
  ) {
    for reference in template.references {
      switch reference {
      case .sagaID, .sagaName: break
      case .parameter(let name):
        used.insert("params.\(name)")
        if !plan.parameters.contains(where: { $0.name.text == name }) {
          let near = NearestName.find(name, among: plan.parameters.map(\.name.text))
          error(
            "unknown-parameter", template.place,
            "there is no parameter \(name)"
              + (near.map { "; did you mean \($0)?" } ?? "; add it to params"))
        }
      case .output(let name, let output):
        used.insert("\(name).\(output)")
        checkOutput(name, output, template.place, of: step, graph, isUndo: isUndo)
      }
    }
  }

  private mutating func checkOutput(
    _ name: String, _ output: String, _ place: SagaPlace, of step: Int, _ graph: SagaGraph,
    isUndo: Bool
  ) {
    guard let source = resolve(SagaName(name, place)) else { return }
    let names = plan.steps[source].outputs.map(\.name.text)
    if !names.contains(output) {
      let near = NearestName.find(output, among: names)
      return error(
        "unknown-output", place,
        "step \(name) has no output \(output)"
          + (near.map { "; did you mean \($0)?" } ?? "; add it"))
    }
    if source == step {
      if !isUndo || plan.steps[step].compensation?.condition == .started {
        error(
          "own-output", place,
          "\(output) may not exist when this runs; use when: succeeded with a probe, or another value"
        )
      }
    } else if !graph.isAncestor(source, of: step) {
      error("output-not-needed", place, "add \(name) to the needs of \(plan.steps[step].id.text)")
    } else if let group = graph.group[source], graph.policy(of: group) != .all {
      error(
        "optional-output", place,
        "\(name) may fail or be left out in its fan-out, so its output may not exist; use policy: all"
      )
    }
  }

  private mutating func checkUse() {
    for step in plan.steps {
      for output in step.outputs where !used.contains("\(step.id.text).\(output.name.text)") {
        warn("dead-output", output.name.place, "nothing uses the output \(output.name.text)")
      }
    }
    for parameter in plan.parameters where !used.contains("params.\(parameter.name.text)") {
      warn(
        "unused-parameter", parameter.name.place,
        "nothing uses the parameter \(parameter.name.text)")
    }
  }
}
