/// Why a run was ended from outside of its program; the vocabulary is fixed (docs/kill-switch.md).
public enum KillReason: String, CaseIterable, Sendable {
  /// A person: `agt kill`, or a signal to the supervisor.
  case manual
  /// A service of the supervisor found the ring's border crossed.
  case ringBreach = "ring_breach"
  /// A forbidden call, or a rule of the policy's `violations:`.
  case policyViolation = "policy_violation"
  case rateLimit = "rate_limit"
  /// A limit of the whole run: memory, CPU time, output.
  case budgetExceeded = "budget_exceeded"
  /// Too many refusals in too little time.
  case behavioralDrift = "behavioral_drift"
  /// The wall clock.
  case sessionTimeout = "session_timeout"
  /// Paused, and nobody resumed it in time.
  case quarantineTimeout = "quarantine_timeout"
  /// The supervisor was killed.
  case supervisorLost = "supervisor_lost"
  case sagaAbort = "saga_abort"
}

extension KillReason {
  /// The exit status is then 124, not 137.
  var isOutOfTime: Bool { self == .sessionTimeout || self == .budgetExceeded }

  var sentence: String {
    switch self {
    case .manual: "asked to end"
    case .ringBreach: "the ring's border was crossed"
    case .policyViolation: "the policy was broken"
    case .rateLimit: "too many requests"
    case .budgetExceeded: "a budget is used up"
    case .behavioralDrift: "too many refusals"
    case .sessionTimeout: "the wall clock ran out"
    case .quarantineTimeout: "paused, and not resumed in time"
    case .supervisorLost: "its supervisor was killed"
    case .sagaAbort: "its saga was aborted"
    }
  }
}

/// A decision to end a run.
struct KillOrder: Equatable {
  var reason: KillReason
  /// Who or what decided, in words: `a signal`, `uid 0`.
  var by: String
  /// What a person gave as the reason (`Label.problem(ofReason:)`).
  var message: String?
  /// The rule that decided, with file and line.
  var rule: String?

  init(_ reason: KillReason, by: String, message: String? = nil, rule: String? = nil) {
    self.reason = reason
    self.by = by
    self.message = message
    self.rule = rule
  }
}
