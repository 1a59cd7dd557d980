internal import Glibc
internal import JSON
internal import Kernel
public import Saga
public import Supervisor

/// Where a runner tells how it goes.
public protocol SagaProgress: AnyObject {
  func begin(_ machine: SagaMachine, _ directory: SagaDirectory)
  /// After the record is durable.
  func record(_ record: SagaRecord, _ machine: SagaMachine)
  /// The time passed.
  func show(_ machine: SagaMachine, now: UInt64)
  func say(_ text: String)
  func end(_ machine: SagaMachine, _ syncCount: Int, _ syncNanoseconds: UInt64)
}

/// One JSON object a line on standard output: the records, then a summary.
public final class SagaEvents: SagaProgress {
  private var id = ""
  public init() {}

  public func begin(_ machine: SagaMachine, _ directory: SagaDirectory) {
    id = directory.id
    write(["saga": .string(id), "kind": "saga.begin", "name": .string(machine.graph.plan.name)])
  }

  public func record(_ record: SagaRecord, _ machine: SagaMachine) {
    var object: JSONObject = ["saga": .string(id)]
    for member in record.json.members { object[member.name] = member.value }
    write(object)
  }

  public func show(_ machine: SagaMachine, now: UInt64) {}

  public func say(_ text: String) {
    write(["saga": .string(id), "kind": "saga.note", "text": .string(text)])
  }

  public func end(_ machine: SagaMachine, _ syncCount: Int, _ syncNanoseconds: UInt64) {
    write([
      "saga": .string(id), "kind": "saga.end", "phase": .string(machine.phase.rawValue),
      "reason": .string(machine.reason), "journalSyncs": JSONValue(syncCount),
      "journalSyncMicroseconds": JSONValue(syncNanoseconds / 1000),
    ])
  }

  private func write(_ object: JSONObject) {
    try? Descriptors.write(1, JSONWriter.compact(.object(object)) + [0x0A])
  }
}

/// Lines for people: on a terminal one a step, kept up to date; elsewhere one a change.
public final class SagaLines: SagaProgress {
  private let isLive: Bool
  private let isQuiet: Bool
  private var drawn = 0
  private var since: [Int: UInt64] = [:]
  private var id = ""

  public init(quiet: Bool) {
    isQuiet = quiet
    isLive = !quiet && Descriptors.isTerminal(1) && Self.size != nil
  }

  /// Nil when the terminal does not know its size, or has no room (0 by 0 of ioctl_tty(2)).
  private static var size: (columns: Int, rows: Int)? {
    guard let size = Terminals.windowSize(1), size.columns > 1, size.rows > 3 else { return nil }
    return (Int(size.columns), Int(size.rows))
  }

  public func begin(_ machine: SagaMachine, _ directory: SagaDirectory) {
    id = directory.id
    if !isQuiet { write("saga \(id) (\(machine.graph.plan.name))\n") }
  }

  public func record(_ record: SagaRecord, _ machine: SagaMachine) {
    if let step = Self.step(record).flatMap(machine.graph.index) { since[step] = record.at }
    guard !isLive, !isQuiet, let line = Self.line(record) else { return }
    write(line + "\n")
  }

  public func say(_ text: String) {
    guard !isQuiet else { return }
    erase()
    write(text + "\n")
  }

  public func show(_ machine: SagaMachine, now: UInt64) {
    guard isLive, let size = Self.size else { return }
    var lines: [String] = []
    let width = machine.graph.plan.steps.map(\.id.text.count).max() ?? 0
    for step in machine.graph.order {
      let state = machine.steps[step]
      let name = machine.graph.plan.steps[step].id.text
      var line = name + String(repeating: " ", count: width - name.count) + "  "
      line += Self.padded(state.status.rawValue, 19)
      if let kind = state.action {
        line +=
          "attempt \(state.attempt[kind] ?? 0)  \(Self.seconds(from: state.startedAt, to: now))"
        if kind == .probe { line += "  probe" }
      } else if !state.reason.isEmpty {
        line += SagaText.plain(state.reason)
      }
      lines.append(String(line.prefix(size.columns - 1)))
    }
    // What does not fit: those that are at work or have gone wrong.
    let rows = size.rows - 2
    if lines.count > rows {
      let quiet: Set<SagaStepStatus> = [.pending, .succeeded, .skipped, .compensated]
      lines = zip(machine.graph.order, lines).filter { !quiet.contains(machine.steps[$0.0].status) }
        .map(\.1)
      let done = machine.steps.count { $0.status == .succeeded }
      lines =
        Array(lines.prefix(rows - 1)) + ["\(done) of \(machine.steps.count) succeeded"]
    }
    erase()
    drawn = lines.count
    write(lines.map { $0 + "\n" }.joined())
  }

  public func end(_ machine: SagaMachine, _ syncCount: Int, _ syncNanoseconds: UInt64) {
    if isQuiet && machine.phase == .completed { return }
    let why = machine.reason.isEmpty ? "" : ": \(SagaText.plain(machine.reason))"
    write("saga \(id) \(machine.phase.rawValue)\(why)\n")
    for step in machine.stuckSteps {
      let name = machine.graph.plan.steps[step].id.text
      write(
        "  \(name) needs you: find out whether it has happened, then: agt saga resolve \(id) \(name) "
          + "--outcome happened|not --evidence TEXT\n")
    }
  }

  /// CSI n A and CSI J of ECMA-48.
  private func erase() {
    if drawn > 0 { write("\u{1B}[\(drawn)A\u{1B}[J") }
    drawn = 0
  }

  private func write(_ text: String) { try? Descriptors.write(1, Array(text.utf8)) }

  static func padded(_ text: String, _ width: Int) -> String {
    text + String(repeating: " ", count: max(1, width - text.count))
  }

  private static func seconds(from: UInt64, to: UInt64) -> String {
    let tenths = to > from ? (to - from) / 100 : 0
    return "\(tenths / 10).\(tenths % 10) s"
  }

  private static func step(_ record: SagaRecord) -> String? {
    switch record.body {
    case .started(let step, _, _, _, _), .ended(let step, _, _, _), .scheduled(let step, _, _, _),
      .gaveUp(let step, _), .stuck(let step, _), .skipped(let step, _):
      step
    default: nil
    }
  }

  /// What a change is called; nil for what says nothing to a person.
  private static func line(_ record: SagaRecord) -> String? {
    switch record.body {
    case .runner, .approvalRequested, .declared: nil
    case .files(let state, let reason):
      "its files: \(state.rawValue)" + (reason.isEmpty ? "" : ": \(SagaText.plain(reason))")
    case .started(let step, .run, let attempt, _, _):
      attempt == 1 ? "\(step): running" : "\(step): running, attempt \(attempt)"
    case .started(let step, .probe, _, _, _): "\(step): asking whether it has happened"
    case .started(let step, .compensate, let attempt, _, _):
      attempt == 1 ? "\(step): compensating" : "\(step): compensating, attempt \(attempt)"
    case .ended(let step, .run, _, let outcome): "\(step): \(SagaText.plain(outcome.description))"
    case .ended(let step, .probe, _, let outcome):
      "\(step): probe: \(SagaText.plain(outcome.description))"
    case .ended(let step, .compensate, _, let outcome):
      "\(step): compensation: \(SagaText.plain(outcome.description))"
    case .scheduled(let step, _, let notBefore, _):
      "\(step): again in \(seconds(from: record.at, to: notBefore))"
    case .gaveUp(let step, let reason): "\(step): failed: \(SagaText.plain(reason))"
    case .stuck(let step, let reason): "\(step): needs an operator: \(SagaText.plain(reason))"
    case .skipped(let step, let reason): "\(step): skipped: \(reason)"
    case .phase(let phase, _, _): phase.isResting ? nil : "\(phase.rawValue)"
    case .approved(let step, let uid): "\(step): approved by user \(uid)"
    case .denied(let step, let uid, let reason): "\(step): denied by user \(uid): \(reason)"
    case .cancelled(let uid, let reason): "cancelled by user \(uid): \(reason)"
    case .resolved(let step, let happened, let evidence, let uid, _):
      "\(step): user \(uid) found that it \(happened ? "has happened" : "has not happened"): "
        + SagaText.plain(evidence)
    }
  }
}
