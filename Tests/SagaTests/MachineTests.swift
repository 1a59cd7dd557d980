import JSON
import Saga
import Testing

@Suite struct SagaMachineTests {
  private static let two = """
    steps:
    - id: a
      kind: compensatable
      run: [do, "${params.p}"]
      idempotency: {key: "${saga.id}/a", probe: [ask]}
      compensate: {run: [undo]}
    - {id: b, kind: compensatable, needs: [a], run: [do, b], compensate: {run: [undo, b]}}
    """
  private static let head = "params: {p: {type: string, default: \"x\"}}"

  /// What is substituted stays one argument, whatever it holds.
  @Test(arguments: ["a b", "$(reboot)", "${saga.id}", "';&|", "*", "ü\n\t", ""])
  func neverSplit(_ value: String) throws {
    var machine = machine(try graph(Self.two, head: Self.head), parameters: ["p": value])
    let action = try #require(machine.handle(.tick, at: 1000).started.first)
    #expect(action.arguments == ["do", value])
    #expect(action.key == "01S/a")
    #expect(action.environment["AGT_SAGA_ID"] == "01S")
    #expect(action.environment["AGT_STEP_ID"] == "a")
    #expect(action.environment["AGT_ATTEMPT"] == "1")
    #expect(action.environment["AGT_IDEMPOTENCY_KEY"] == "01S/a")
  }

  @Test func dataIsNoOption() throws {
    var first = machine(try graph(Self.two, head: Self.head), parameters: ["p": "--force"])
    #expect(first.handle(.tick, at: 1000).started == [])
    #expect(first.phase == .compensated)
    let guarded = Self.two.replacing("do, \"$", with: "do, --, \"$")
    var second = machine(try graph(guarded, head: Self.head), parameters: ["p": "--force"])
    #expect(second.handle(.tick, at: 1000).started.first?.arguments == ["do", "--", "--force"])
  }

  @Test func completes() throws {
    var machine = machine(try graph(Self.two, head: Self.head), parameters: ["p": "x"])
    _ = machine.handle(.tick, at: 1000)
    let effects = machine.handle(
      .ended(step: 0, .run, attempt: 1, .succeeded(outputs: [:])), at: 1001)
    // The record of the end and the intent of the next step come before the next step starts.
    guard case .append = effects[0], case .append = effects[1], case .start = effects[2] else {
      Issue.record("\(effects)")
      return
    }
    _ = machine.handle(.ended(step: 1, .run, attempt: 1, .succeeded(outputs: [:])), at: 1002)
    #expect(machine.phase == .completed)
  }

  /// Unknown: probe, then the same key, then the compensation.
  @Test func unknownOutcome() throws {
    var machine = machine(try graph(Self.two, head: Self.head), parameters: ["p": "x"])
    var now: UInt64 = 1000
    _ = machine.handle(.tick, at: now)
    var actions = machine.handle(.ended(step: 0, .run, attempt: 1, .timedOut), at: now).started
    for _ in 0..<3 {
      #expect(actions.map(\.kind) == [.probe])
      _ = machine.handle(
        .ended(step: 0, .probe, attempt: actions[0].attempt, .exited(2)), at: now)
      now += 60_000
      actions = machine.handle(.tick, at: now).started
    }
    #expect(actions.map(\.kind) == [.run])
    #expect(actions[0].key == "01S/a" && actions[0].attempt == 2)
    actions = machine.handle(.ended(step: 0, .run, attempt: 2, .lost("x")), at: now).started
    // It did not happen, says the probe, and the attempts are not used up.
    #expect(actions.map(\.kind) == [.probe])
    _ = machine.handle(.ended(step: 0, .probe, attempt: 4, .exited(1)), at: now)
    actions = machine.handle(.tick, at: now + 60_000).started
    #expect(actions.map(\.kind) == [.run])
    actions = machine.handle(.ended(step: 0, .run, attempt: 3, .exited(1)), at: now).started
    #expect(actions.map(\.kind) == [.compensate])
    #expect(machine.phase == .compensating)
    _ = machine.handle(.ended(step: 0, .compensate, attempt: 1, .succeeded(outputs: [:])), at: now)
    #expect(machine.phase == .compensated)
    #expect(machine.steps[1].status == .skipped)
  }

  /// What changes nothing is tried again when its outcome is lost: later, and not for ever.
  @Test func lostReadOnly() throws {
    let steps = "steps: [{id: a, kind: readonly, run: [x], retry: {maxAttempts: 3, initial: 1s}}]"
    var machine = machine(try graph(steps))
    var now: UInt64 = 1000
    #expect(machine.handle(.tick, at: now).started.map(\.attempt) == [1])
    for attempt in 1...2 {
      let end = SagaEvent.ended(step: 0, .run, attempt: attempt, .lost("x"))
      #expect(machine.handle(end, at: now).started == [])
      now += 60_000
      #expect(machine.handle(.tick, at: now).started.map(\.attempt) == [attempt + 1])
    }
    _ = machine.handle(.ended(step: 0, .run, attempt: 3, .lost("x")), at: now)
    #expect(machine.phase == .compensated)
  }

  /// A run that is under way when another fails is ended, and nothing is undone before it is gone.
  @Test func stopsFirst() throws {
    var machine = machine(
      try graph(
        """
        steps:
        - {id: a, kind: compensatable, run: [x], compensate: {run: [y]}}
        - {id: b, kind: compensatable, run: [x], compensate: {run: [y]}}
        """))
    #expect(machine.handle(.tick, at: 1000).started.count == 2)
    let effects = machine.handle(.ended(step: 0, .run, attempt: 1, .violation("mount")), at: 1001)
    #expect(effects.contains(.stop(step: 1, .run, attempt: 1)))
    #expect(effects.started == [])
    #expect(machine.cause == .violation)
    let undone = machine.handle(.ended(step: 1, .run, attempt: 1, .killed("asked")), at: 1002)
    #expect(undone.started.map(\.kind) == [.compensate, .compensate])
  }

  @Test func stuckCompensationDoesNotStopOthers() throws {
    var machine = machine(
      try graph(
        """
        steps:
        - {id: a, kind: compensatable, run: [x], compensate: {run: [y], retry: {maxAttempts: 1}}}
        - {id: b, kind: compensatable, needs: [a], run: [x], compensate: {run: [y], retry: {maxAttempts: 1}}}
        - {id: c, kind: readonly, needs: [b], run: [x]}
        """))
    _ = machine.handle(.tick, at: 1000)
    for step in 0...1 {
      _ = machine.handle(.ended(step: step, .run, attempt: 1, .succeeded(outputs: [:])), at: 1000)
    }
    var actions = machine.handle(.ended(step: 2, .run, attempt: 1, .exited(1)), at: 1000).started
    #expect(actions.map(\.step) == [1])
    actions = machine.handle(.ended(step: 1, .compensate, attempt: 1, .exited(1)), at: 1000).started
    #expect(actions.map(\.step) == [0])
    _ = machine.handle(.ended(step: 0, .compensate, attempt: 1, .succeeded(outputs: [:])), at: 1000)
    #expect(machine.phase == .partiallyCompensated)
    #expect(machine.stuckSteps == [1])
    #expect(machine.reason.contains("b: its compensation failed 1 times"))
    _ = machine.handle(
      .resolve(step: 1, happened: false, evidence: "undone by hand", uid: 7, outputs: [:]), at: 1000
    )
    #expect(machine.phase == .compensated)
  }

  /// Halting leaves everything as it is, until a person wants it undone.
  @Test(arguments: [false, true]) func cancelsWhatIsHalted(_ isHalting: Bool) throws {
    let steps = """
      steps:
      - {id: a, kind: compensatable, run: [x], compensate: {run: [y]}}
      - {id: b, kind: readonly, needs: [a], run: [x]}
      - {id: c, kind: readonly, needs: [a], run: [x]}
      """
    var machine = machine(try graph(steps, head: "onFailure: halt"))
    _ = machine.handle(.tick, at: 1000)
    _ = machine.handle(.ended(step: 0, .run, attempt: 1, .succeeded(outputs: [:])), at: 1000)
    _ = machine.handle(.ended(step: 1, .run, attempt: 1, .exited(1)), at: 1000)
    #expect(machine.phase == .halting)
    let end = SagaEvent.ended(step: 2, .run, attempt: 1, .killed("asked"))
    if !isHalting { _ = machine.handle(end, at: 1000) }
    #expect(machine.phase == (isHalting ? .halting : .halted))
    var effects = machine.handle(.cancel(uid: 7, reason: "undo it"), at: 1000)
    if isHalting {
      #expect(effects.contains(.stop(step: 2, .run, attempt: 1)))
      effects = machine.handle(end, at: 1000)
    }
    #expect(effects.started.map(\.kind) == [.compensate])
    _ = machine.handle(.ended(step: 0, .compensate, attempt: 1, .succeeded(outputs: [:])), at: 1000)
    #expect(machine.phase == .cancelled)
    #expect(machine.reason == "undo it")
  }

  /// What the kernel would not pass is refused before anything starts, and said.
  @Test func argumentsInAll() throws {
    let words = Array(repeating: "\"${params.p}\"", count: 17).joined(separator: ", ")
    let steps = "steps: [{id: a, kind: readonly, run: [x, \(words)]}]"
    let long = String(repeating: "x", count: 65_536)
    var machine = machine(try graph(steps, head: Self.head), parameters: ["p": long])
    #expect(machine.handle(.tick, at: 1000).started == [])
    #expect(machine.reason.contains("at most 1048576 are passed"), "\(machine.reason)")
  }

  private static let voted = """
    steps:
    - {id: a, kind: pivot, run: [x], irreversible: gone, approval: {group: ops, quorum: 2, expires: 1m}}
    """

  @Test func quorumCountsDifferentUsers() throws {
    var machine = machine(try graph(Self.voted))
    #expect(machine.handle(.tick, at: 1000).started == [])
    #expect(machine.handle(.approve(step: 0, uid: 5), at: 1001).started == [])
    #expect(machine.handle(.approve(step: 0, uid: 5), at: 1001).started == [])
    #expect(machine.handle(.approve(step: 0, uid: 6), at: 1002).started.count == 1)
  }

  @Test func approvalsExpire() throws {
    var machine = machine(try graph(Self.voted))
    #expect(machine.handle(.tick, at: 1000).contains(.wake(at: 61_000)))
    _ = machine.handle(.approve(step: 0, uid: 5), at: 1001)
    #expect(machine.handle(.approve(step: 0, uid: 6), at: 61_000).started == [])
    #expect(machine.phase == .compensated)
    #expect(machine.steps[0].reason == "1 of 2 approvals came in time")
  }

  @Test func denied() throws {
    var machine = machine(try graph(Self.voted))
    _ = machine.handle(.tick, at: 1000)
    _ = machine.handle(.deny(step: 0, uid: 5, reason: "not today"), at: 1001)
    #expect(machine.phase == .compensated)
    #expect(machine.reason.contains("denied by user 5: not today"))
  }

  /// The deadline counts from the beginning, also for a runner that begins later.
  @Test func deadlineAcrossRestarts() throws {
    let graph = try graph(Self.two, head: Self.head + "\ndeadline: 10s")
    var first = machine(graph, parameters: ["p": "x"])
    let records = first.handle(.tick, at: 1000).records
    var second = machine(graph, parameters: ["p": "x"])
    for record in records { try second.replay(record) }
    let effects = second.handle(.tick, at: 11_000)
    #expect(second.cause == .deadline)
    #expect(effects.contains(.stop(step: 0, .run, attempt: 1)))
  }

  @Test func journalRoundTrip() throws {
    var machine = machine(try graph(Self.two, head: Self.head), parameters: ["p": "ü\n\u{202E}"])
    var records = machine.handle(.runner(boot: "b", pid: 3), at: 1000).records
    records += machine.handle(.tick, at: 1000).records
    let outcomes: [SagaOutcome] = [
      .succeeded(outputs: ["o": "v"]), .outputMissing("no"), .exited(3), .exited(125, message: "m"),
      .timedOut, .signaled(9),
      .killed("k"), .violation("v"), .notStarted("n"), .neverBegun, .lost("l"), .refused("f"),
    ]
    let step = "a"
    records += outcomes.map { SagaRecord(at: 5, .ended(step: step, .run, attempt: 1, $0)) }
    records += [
      .scheduled(step: step, .probe, notBefore: 9, reason: "r"), .gaveUp(step: step, reason: "r"),
      .stuck(step: step, reason: "r"), .skipped(step: step, reason: "r"),
      .files(.committing, reason: ""), .files(.refused, reason: "r"),
      .phase(.compensating, .deadline, reason: "r"), .phase(.halted, nil, reason: ""),
      .approvalRequested(step: step, expiresAt: 4), .approved(step: step, uid: 1),
      .denied(step: step, uid: 1, reason: "r"), .cancelled(uid: 2, reason: "r"),
      .resolved(step: step, happened: true, evidence: "e", uid: 0, outputs: ["o": "v"]),
    ].map { SagaRecord(at: 6, $0) }
    let header = SagaJournal.Header(
      id: "01S", name: "n", begunAt: 1, uid: 0, workspace: "/w", planDigest: "d",
      planFile: "p.yaml", parameters: ["p": "v"], seed: 4, trace: "00")
    var bytes = SagaJournal.line(header)
    for (index, record) in records.enumerated() {
      bytes += SagaJournal.line(record, number: index + 1)
    }
    let contents = try SagaJournal.read(bytes)
    #expect(contents.header == header)
    #expect(contents.records == records)
    #expect(contents.validBytes == bytes.count)
    // Any torn tail leaves the whole lines before it.
    let lines = bytes.split(separator: 0x0A, omittingEmptySubsequences: false)
    for cut in stride(from: lines[0].count + 1, to: bytes.count, by: 7) {
      let torn = try SagaJournal.read(Array(bytes[..<cut]))
      #expect(torn.records == Array(records[..<torn.records.count]))
      #expect(torn.validBytes <= cut)
    }
    let zeros = try SagaJournal.read(bytes + [UInt8](repeating: 0, count: 4096))
    #expect(zeros.validBytes == bytes.count)
    // Damage before the end is no torn tail.
    var damaged = bytes
    damaged[lines[0].count + 1 + lines[1].count / 2] = 0
    #expect(throws: SagaProblem.self) { try SagaJournal.read(damaged) }
    #expect(throws: SagaProblem.self) { try SagaJournal.read([]) }
  }

  @Test func drawing() throws {
    let graph = try graph(
      """
      steps:
      - {id: build, kind: readonly, run: [x]}
      - {id: unit, kind: readonly, needs: [build], run: [x]}
      - {id: e2e, kind: readonly, needs: [build], run: [x]}
      - {id: ship, kind: readonly, needs: [unit, e2e], run: [x]}
      """)
    #expect(
      SagaDrawing.terminal(graph) { graph.plan.steps[$0].id.text } == """
        ●   build
        ├─● unit
        ● │ e2e
        ●─┘ ship

        """)
    let dot = SagaDrawing.dot(graph) { _ in nil }
    #expect(dot.contains("\"build\" -> \"unit\";") && dot.hasPrefix("digraph \"test\" {"))
  }
}
