/// Counts what a run uses up of what passes through its supervisor, as it passes: requests to the broker, calls of
/// tools, bytes sent to each destination, and bytes of output. What is beyond a limit ends the run (`budget_exceeded`) and is not
/// carried out.
///
/// Its user lets an agent work unattended and wants a loop that asks and asks to have an end. What can go wrong:
/// somebody passes by without being counted; so each kind is counted at the one place where all of it passes. It
/// must never count what comes when the run is ending already, for whatever reason: the record says what ended it.
/// A run without such limits has none of this.
final class BudgetMeter {
  private let limits: RunLimits
  private let isEnding: () -> Bool
  private let end: (KillOrder) -> Void
  private var counted = RunUsage()
  /// Of output.
  private var passedBytes: UInt64 = 0
  /// The program has written more than was passed on.
  private var isOutputLost = false
  /// By destination. There are as many as rules have ports.
  private var allowances: [String: EgressAllowance] = [:]

  /// nil when the run has no such limit.
  /// - Parameters:
  ///   - isEnding: whether the run is.
  ///   - end: ends it.
  init?(
    _ limits: RunLimits, isEnding: @escaping () -> Bool, end: @escaping (KillOrder) -> Void
  ) {
    guard
      limits.requests != nil || limits.toolCalls != nil || limits.egressBytes != nil
        || limits.outputBytes != nil
    else { return nil }
    self.limits = limits
    self.isEnding = isEnding
    self.end = end
  }

  /// A request to the broker that is to be answered.
  func countRequest() { _ = count { $0.requests += 1 } }

  /// A call of a tool that is to begin.
  /// - Returns: false when it may not.
  func countToolCall() -> Bool { count { $0.toolCalls += 1 } }

  /// What the program has written to its output. What was written before the end of a run is passed on after it.
  /// - Returns: the first of these bytes, which may be passed on.
  func passed(_ output: [UInt8]) -> ArraySlice<UInt8> {
    guard let limit = limits.outputBytes else { return output[...] }
    let part = output.prefix(Int(min(limit - passedBytes, UInt64(output.count))))
    passedBytes += UInt64(part.count)
    if part.count == output.count {
      counted.outputBytes = passedBytes
    } else if !count({ $0.outputBytes = limit + 1 }) {
      isOutputLost = true
    }
    return part
  }

  /// A run that ended by itself before all that it had written was seen has met its limit all the same.
  /// - Returns: what it was ended for; nil when it was not.
  func settleOutput() -> KillOrder? {
    guard isOutputLost, let limit = limits.outputBytes else { return nil }
    counted.outputBytes = limit + 1
    return order(.output)
  }

  private func order(_ budget: RunLimits.Budget) -> KillOrder {
    KillOrder(.budgetExceeded, by: "the limits", rule: limits.rule(of: budget, counted))
  }

  /// What may still be sent to a destination, the same for all connections to it; nil when that is not limited.
  func allowance(to destination: String) -> EgressAllowance? {
    guard let limit = limits.egressBytes else { return nil }
    if let known = allowances[destination] { return known }
    let made = EgressAllowance(destination, leftBytes: limit)
    allowances[destination] = made
    return made
  }

  /// More is to be sent than is left.
  func exceed(_ allowance: EgressAllowance) {
    _ = count {
      $0.egress = RunUsage.Egress(
        destination: allowance.destination, sentBytes: allowance.sentBytes, isExceeded: true)
    }
  }

  private func count(_ change: (inout RunUsage) -> Void) -> Bool {
    guard !isEnding() else { return false }
    change(&counted)
    guard let budget = limits.exceeded(by: counted) else { return true }
    end(order(budget))
    return false
  }

  /// So far.
  var usage: RunUsage {
    var all = counted
    if all.egress == nil,
      let most = allowances.values.max(by: {
        ($0.sentBytes, $1.destination) < ($1.sentBytes, $0.destination)
      })
    {
      all.egress = RunUsage.Egress(
        destination: most.destination, sentBytes: most.sentBytes)
    }
    return all
  }
}
