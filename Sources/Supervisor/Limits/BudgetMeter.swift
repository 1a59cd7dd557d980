/// Counts what a run uses up of what passes through its supervisor, as it passes: requests to the broker and calls
/// of tools. The first one beyond a limit ends the run (`budget_exceeded`) and is not carried out.
///
/// Its user lets an agent work unattended and wants a loop that asks and asks to have an end. What can go wrong:
/// somebody passes by without being counted; so each kind is counted at the one place where all of it passes. It
/// must never count what comes when the run is ending already, for whatever reason: the record says what ended it.
/// A run without such limits has none of this.
final class BudgetMeter {
  private let limits: RunLimits
  private let isEnding: () -> Bool
  private let end: (KillOrder) -> Void
  private(set) var usage = RunUsage()

  /// nil when the run has no such limit.
  /// - Parameters:
  ///   - isEnding: whether the run is.
  ///   - end: ends it.
  init?(
    _ limits: RunLimits, isEnding: @escaping () -> Bool, end: @escaping (KillOrder) -> Void
  ) {
    guard limits.requests != nil || limits.toolCalls != nil else { return nil }
    self.limits = limits
    self.isEnding = isEnding
    self.end = end
  }

  /// A request to the broker that is to be answered.
  func countRequest() { _ = count { $0.requests += 1 } }

  /// A call of a tool that is to begin.
  /// - Returns: false when it may not.
  func countToolCall() -> Bool { count { $0.toolCalls += 1 } }

  private func count(_ change: (inout RunUsage) -> Void) -> Bool {
    guard !isEnding() else { return false }
    change(&usage)
    guard let budget = limits.exceeded(by: usage) else { return true }
    end(KillOrder(.budgetExceeded, by: "the limits", rule: limits.rule(of: budget)))
    return false
  }
}
