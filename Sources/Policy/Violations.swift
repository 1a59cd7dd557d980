internal import YAML

/// What to do when the kernel or the broker reports an event.
public struct ViolationTrigger: Sendable {
  public enum Action: String, Sendable, CaseIterable {
    /// Record only.
    case audit
    /// Deny every further request for the cool-down.
    case hold
    case kill
    case rollback
  }

  public let condition: String
  public let action: Action
  /// Number of matching events that it takes, at least 1.
  public let after: Int
  /// The window in which they are counted; 0 for one event.
  public let withinMilliseconds: UInt64
  public let place: Place
  let root: Int32

  /// A window keeps one time per event.
  static let afterMax = 10_000

  /// `{when: CONDITION, do: kill}` or `{when: …, do: {after: 20, within: 60s, then: kill}}`.
  static func read(
    _ node: YAMLNode, _ file: String, _ compiler: ConditionCompiler, _ builder: inout SetBuilder
  ) throws(YAMLError) -> ViolationTrigger {
    var reader = try YAMLMappingReader(node, file: file)
    let when = try reader.require("when")
    let does = try reader.require("do")
    try reader.finish()
    let condition = try builder.condition(when, file, compiler, agents: nil)
    var after = 1
    var within: UInt64 = 0
    var action = does
    if case .mapping = does.content {
      var inner = try YAMLMappingReader(does, file: file)
      after = try inner.require("after").integer(file, in: 1...afterMax)
      within = try inner.require("within").durationMilliseconds(file)
      action = try inner.require("then")
      try inner.finish()
      if within == 0 { throw does.error(file, "\"within\" is 0; write a window such as 60s") }
    }
    return ViolationTrigger(
      condition: condition.text,
      action: try Reading.choice(
        action, file, "action",
        ["audit": Action.audit, "hold": .hold, "kill": .kill, "rollback": .rollback]),
      after: after, withinMilliseconds: within,
      place: Place(file: file, line: node.line, column: node.column), root: condition.root)
  }
}

extension Decision {
  /// `kill` and `rollback` among the obligations, as triggers of the rules that have them.
  public var triggers: [ViolationTrigger] {
    var triggers: [ViolationTrigger] = []
    for obligation in obligations {
      let action: ViolationTrigger.Action
      switch obligation {
      case .kill: action = .kill
      case .rollback: action = .rollback
      default: continue
      }
      guard let rule = rules.first(where: { $0.rule.obligations.contains(obligation) })?.rule else {
        continue
      }
      triggers.append(
        ViolationTrigger(
          condition: rule.condition, action: action, after: 1, withinMilliseconds: 0,
          place: Place(file: rule.file, line: rule.line, column: rule.column), root: rule.root))
    }
    return triggers
  }

  /// The ring that further requests count as: the least mighty of those that the rules demand; nil for none.
  public var demotion: UInt8? {
    obligations.compactMap { if case .demote(let ring) = $0 { UInt8(ring) } else { nil } }.max()
  }
}

/// When the events of each trigger happened, as far as its window reaches.
public struct ViolationWindows: Sendable {
  fileprivate var times: [Int: [UInt64]] = [:]

  public init() {}
}

extension PolicySet {
  /// The triggers that an event sets off, in the order of the files.
  ///
  /// A trigger whose condition is unknown for the event is not set off: `kill` needs certainty.
  ///
  /// - Parameters:
  ///   - event: `kind`, `name` and what else is known; see `Vocabulary`.
  ///   - nowMilliseconds: Of a clock that never goes back.
  public func violations(
    _ event: Request, windows: inout ViolationWindows, nowMilliseconds: UInt64
  ) -> [ViolationTrigger] {
    var evaluation = Evaluation(program, event)
    var triggered: [ViolationTrigger] = []
    for (index, trigger) in violationTriggers.enumerated()
    where evaluation.truth(trigger.root) == .yes {
      if trigger.after == 1 {
        triggered.append(trigger)
        continue
      }
      let start = nowMilliseconds - min(nowMilliseconds, trigger.withinMilliseconds)
      var times = (windows.times[index] ?? []).filter { $0 >= start }
      times.append(nowMilliseconds)
      if times.count >= trigger.after {
        triggered.append(trigger)
        times = []
      }
      windows.times[index] = times
    }
    return triggered
  }
}
