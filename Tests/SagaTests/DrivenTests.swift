import Saga
import Testing

/// Sagas that an agent drives, as the machine sees them: cut off anywhere, with compensations that fail.
@Suite struct DrivenSagaTests {
  private static func header() -> SagaJournal.Header {
    SagaJournal.Header(
      id: "01J00000000000000000000000", name: "driven", begunAt: 1, uid: 0, workspace: "/w",
      planDigest: "", planFile: "", parameters: [:], seed: 7,
      trace: String(repeating: "a", count: 32),
      driver: SagaDriver(run: "R", agent: nil, ringInit: 9, boot: "b", directory: "/w"))
  }

  private static func call(_ name: String) -> SagaDeclaration.Call {
    SagaDeclaration.Call(
      tool: SagaTool(name: name, options: ["--workspace", "/w"], input: "${x}"),
      words: [name, "${params.none}", "-x"], ring: 3, timeoutMilliseconds: 1000)
  }

  private struct Plot {
    var records: [SagaRecord] = []

    init(_ random: inout SagaRandom) {
      add(.runner(boot: "b", pid: 1))
      for number in 0..<Int.random(in: 0...6, using: &random) {
        let step = "s\(number)"
        let isReadOnly = Int.random(in: 0..<5, using: &random) == 0
        add(
          .declared(
            SagaDeclaration(
              step: step, call: Bool.random(using: &random) ? DrivenSagaTests.call("do") : nil,
              undo: isReadOnly ? nil : DrivenSagaTests.call("undo"))))
        add(.started(step: step, .run, attempt: 1, arguments: ["do"], key: "k/\(step)"))
        let end = Int.random(in: 0..<5, using: &random)
        let outcome: SagaOutcome? =
          switch end {
          case 0: nil
          case 1: .exited(3)
          case 2: .notStarted("no")
          case 3: .violation("mount")
          default: .succeeded(outputs: [:])
          }
        if let outcome { add(.ended(step: step, .run, attempt: 1, outcome)) }
      }
      switch Int.random(in: 0..<4, using: &random) {
      case 0: add(.phase(.completed, nil, reason: ""))
      case 1: add(.phase(.compensating, .failure, reason: "aborted"))
      default: break
      }
    }

    private mutating func add(_ body: SagaRecord.Body) {
      records.append(SagaRecord(at: UInt64(records.count + 1), body))
    }
  }

  @Test func undoneFromAnywhere() throws {
    for seed in UInt64(0)..<2000 {
      var random = SagaRandom(seed: seed)
      let plot = Plot(&random)
      var bytes = SagaJournal.line(Self.header())
      let head = bytes.count
      for (index, record) in plot.records.enumerated() {
        bytes += SagaJournal.line(record, number: index + 1)
      }
      let cut = Int.random(in: head...bytes.count, using: &random)
      let contents = try SagaJournal.read(Array(bytes.prefix(cut)))
      #expect(contents.header == Self.header())
      #expect(contents.records == Array(plot.records.prefix(contents.records.count)))
      var machine = SagaMachine(
        graph: .driven(name: "driven"), sagaID: "X", parameters: [:], begunAt: 1, seed: seed,
        isDriven: true)
      for record in contents.records { try machine.replay(record) }
      if machine.phase == .completed { continue }
      try play(&machine, expected(contents.records), &random, seed)
    }
  }

  /// What may have happened and has not been shown not to have.
  private func expected(_ records: [SagaRecord]) -> [String] {
    var undo: Set<String> = []
    var begun: [String] = []
    for record in records {
      switch record.body {
      case .declared(let declaration): if declaration.undo != nil { undo.insert(declaration.step) }
      case .started(let step, .run, _, _, _): begun.append(step)
      case .ended(let step, .run, _, .notStarted): begun.removeAll { $0 == step }
      default: break
      }
    }
    return begun.filter(undo.contains).reversed()
  }

  private func play(
    _ machine: inout SagaMachine, _ expected: [String], _ random: inout SagaRandom, _ seed: UInt64
  ) throws {
    var now: UInt64 = 1000
    var undone: [String] = []
    var waiting: [SagaEvent] = [.runner(boot: "b", pid: 2)]
    for (step, kind, attempt) in machine.inFlight {
      waiting.append(.ended(step: step, kind, attempt: attempt, .lost("nobody knows")))
    }
    let isBroken = Int.random(in: 0..<3, using: &random) == 0
    var turns = 0
    while !machine.phase.isResting {
      turns += 1
      try #require(turns < 1000, "seed \(seed)")
      let event = waiting.isEmpty ? .tick : waiting.removeFirst()
      var wake: UInt64?
      for effect in machine.handle(event, at: now) {
        switch effect {
        case .start(let action):
          try #require(action.kind == .compensate, "seed \(seed)")
          #expect(action.arguments == ["undo", "${params.none}", "-x"])
          #expect(action.command.tool?.name == "undo")
          let name = machine.graph.plan.steps[action.step].id.text
          if action.attempt == 1 { undone.append(name) }
          let fails = isBroken && Int.random(in: 0..<2, using: &random) == 0
          waiting.append(
            .ended(
              step: action.step, .compensate, attempt: action.attempt,
              fails ? .exited(1) : .succeeded(outputs: [:])))
        case .wake(let time): wake = time
        default: break
        }
      }
      if waiting.isEmpty, let wake { now = max(now, wake) }
    }
    #expect(undone == expected, "seed \(seed)")
    #expect(
      machine.phase == (machine.stuckSteps.isEmpty ? .compensated : .partiallyCompensated),
      "seed \(seed)")
  }

  /// What a person finds to be there is undone after all, also when the outcome of its step was never known.
  @Test func resolved() throws {
    for outcome in [SagaOutcome?.none, .succeeded(outputs: [:])] {
      var machine = SagaMachine(
        graph: .driven(name: "driven"), sagaID: "X", parameters: [:], begunAt: 1, seed: 1,
        isDriven: true)
      let one = SagaDeclaration(step: "one", call: nil, undo: Self.call("undo"))
      try machine.replay(SagaRecord(at: 1, .declared(one)))
      try machine.replay(
        SagaRecord(at: 1, .started(step: "one", .run, attempt: 1, arguments: [], key: "k")))
      if let outcome {
        try machine.replay(SagaRecord(at: 1, .ended(step: "one", .run, attempt: 1, outcome)))
      }
      var now: UInt64 = 10
      func finish(_ first: SagaEvent, _ result: SagaOutcome) {
        var waiting = [first]
        for (step, kind, attempt) in machine.inFlight {
          waiting.append(.ended(step: step, kind, attempt: attempt, .lost("nobody knows")))
        }
        while !waiting.isEmpty || !machine.phase.isResting {
          for effect in machine.handle(waiting.isEmpty ? .tick : waiting.removeFirst(), at: now) {
            if case .start(let action) = effect {
              waiting.append(
                .ended(step: action.step, .compensate, attempt: action.attempt, result))
            }
          }
          now += 100_000
        }
      }
      finish(.runner(boot: "b", pid: 2), .exited(1))
      #expect(machine.phase == .partiallyCompensated)
      finish(
        .resolve(step: 0, happened: true, evidence: "seen", uid: 0, outputs: [:]),
        .succeeded(outputs: [:]))
      #expect(machine.phase == .compensated, "\(machine.steps[0])")
    }
  }

  @Test func journalsThatCannotBe() throws {
    var machine = SagaMachine(
      graph: .driven(name: "driven"), sagaID: "X", parameters: [:], begunAt: 1, seed: 1,
      isDriven: true)
    let one = SagaDeclaration(step: "one", call: nil, undo: Self.call("undo"))
    try machine.replay(SagaRecord(at: 1, .declared(one)))
    #expect(throws: SagaProblem.self) { try machine.replay(SagaRecord(at: 2, .declared(one))) }
    let other = SagaDeclaration(step: "../x", call: nil, undo: nil)
    #expect(throws: SagaProblem.self) { try machine.replay(SagaRecord(at: 2, .declared(other))) }
    var planned = SagaMachine(
      graph: .driven(name: "planned"), sagaID: "X", parameters: [:], begunAt: 1, seed: 1)
    #expect(throws: SagaProblem.self) { try planned.replay(SagaRecord(at: 1, .declared(one))) }
  }
}
