internal import JSON
internal import Kernel
internal import Policy

/// What a run was refused by the kernel and the broker, and what follows from it: records, triggers of the policy,
/// the breach detector, `--on-violation`.
///
/// Whoever starts an agent finds in the result what it tried, and may have said that it ends with that. What is
/// refused stays refused whatever happens here: this only counts and ends runs, and never lets anything pass.
final class Refusals {
  private(set) var violations = ViolationRecorder()
  /// Of the run's policies; nil without any.
  var policyWatch: PolicyWatch?
  private(set) var lastTrigger: ViolationTrigger?
  private let endsRun: Bool
  private var breach: BreachDetector?
  private var breachPoints: BreachPoints
  /// Until then every request is denied.
  private var deniesUntilMilliseconds: UInt64 = 0

  init(_ options: RunOptions, ring: UInt8) {
    endsRun = options.onViolation != .deny
    breach = options.breachLevels.map { BreachDetector($0) }
    breachPoints = BreachPoints(ring: ring)
  }

  /// Answers one of the kernel's reports and does what the run's rules say.
  /// - Parameter listener: for seccomp notifications.
  func read(_ listener: Int32, in loop: RunLoop) throws(SyscallError) {
    guard let violation = try violations.take(listener) else { return }
    loop.events.emit("violation", ["violation": violation.json])
    carryOut(policyWatch?.judge(violation) ?? [], in: loop)
    try loop.tellServices(.violation(violation))
    if breach != nil { count(breachPoints.of(violation.call), violation.call, in: loop) }
    if endsRun { loop.kill(KillOrder(.policyViolation, by: "the kernel", rule: "--on-violation")) }
  }

  /// Counts what was refused, where the run has a detector.
  /// - Parameter cause: what was refused last.
  func count(_ points: UInt64, _ cause: String, in loop: RunLoop) {
    let now = Clock.monotonicNanoseconds() / 1_000_000
    guard breach != nil else { return }
    let reached = breach!.add(points, nowMilliseconds: now)
    if breach!.isHigh { deniesUntilMilliseconds = now + BreachDetector.coolDownMilliseconds }
    guard let level = reached, let breach else { return }
    let told: JSONObject = [
      "level": .string(level.rawValue), "points": JSONValue(breach.points),
      "levels": .string(breach.levels.text), "cause": .string(cause),
    ]
    loop.events.emit("breach", told)
    try? loop.tellServices(.breach(told))
    switch level {
    case .low, .medium, .high: break
    case .critical:
      loop.kill(
        KillOrder(.ringBreach, by: "the breach detector", rule: "--breach \(breach.levels.text)"))
    }
  }

  /// Whether every request is denied for a while.
  func isDenyingAll(_ nowMilliseconds: UInt64) -> Bool { nowMilliseconds < deniesUntilMilliseconds }

  /// What the triggers of policies demand, the strictest first: rollback, kill, hold, audit.
  func carryOut(_ triggers: [ViolationTrigger], in loop: RunLoop) {
    for trigger in triggers.sorted(by: { $0.action.severity > $1.action.severity }) {
      lastTrigger = trigger
      loop.events.emit(
        "trigger",
        ["action": .string(trigger.action.rawValue), "rule": .string("\(trigger.place)")])
      switch trigger.action {
      case .audit: break
      case .hold: loop.broker?.hold()
      case .kill, .rollback:
        return loop.kill(
          KillOrder(.policyViolation, by: "the policy", rule: "\(trigger.place)"))
      }
    }
  }
}
