internal import JSON
internal import Kernel
internal import Policy

/// The `violations:` of a run's policies: what to do when the kernel or the broker reports something.
///
/// An event that no trigger concerns does nothing here. It must never set a trigger off whose condition is
/// unknown for the event, and never forget an event that lies inside a window.
final class PolicyWatch {
  private let policies: PolicySet
  private var windows = ViolationWindows()
  /// What every event has: who it was.
  private let common: JSONObject

  init(_ policies: PolicySet, common: JSONObject) {
    self.policies = policies
    self.common = common
  }

  var isEmpty: Bool { policies.violationTriggers.isEmpty }

  /// What an event sets off.
  func judge(_ event: JSONObject) -> [ViolationTrigger] {
    guard !isEmpty else { return [] }
    var fields = common
    for member in event.members { fields[member.name] = member.value }
    let now = Clock.monotonicNanoseconds() / 1_000_000
    return policies.violations(Request(fields), windows: &windows, nowMilliseconds: now)
  }

  /// A call that the kernel refused and reported.
  func judge(_ violation: Violation) -> [ViolationTrigger] {
    var event: JSONObject = [
      "kind": "syscall", "name": .string(violation.call), "pid": JSONValue(violation.pid),
      // EPERM, which every reported call gets.
      "errno": 1,
    ]
    if !violation.executable.isEmpty { event["executable"] = .string(violation.executable) }
    return judge(event)
  }
}

extension ViolationTrigger.Action {
  var severity: Int {
    switch self {
    case .audit: 0
    case .hold: 1
    case .kill: 2
    case .rollback: 3
    }
  }
}
