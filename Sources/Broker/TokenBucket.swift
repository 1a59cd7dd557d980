/// How often something may happen: `perSecond` on average, `burst` at once.
///
/// Whoever asks says what time it is; a clock that goes back gives nothing.
public struct TokenBucket: Equatable, Sendable {
  public let perSecond: UInt64
  public let burst: UInt64
  /// In thousandths, so that refilling by the millisecond loses nothing.
  private var thousandths: UInt64
  private var updatedMilliseconds: UInt64

  /// Full. Both at most 2^40, so that nothing here overflows.
  public init(perSecond: UInt64, burst: UInt64, nowMilliseconds: UInt64) {
    precondition(perSecond > 0 && burst > 0 && perSecond <= 1 << 40 && burst <= 1 << 40)
    self.perSecond = perSecond
    self.burst = burst
    thousandths = burst * 1000
    updatedMilliseconds = nowMilliseconds
  }

  /// Takes `cost` tokens, or nothing when there are fewer; what costs more than a burst needs a full bucket.
  public mutating func take(_ cost: UInt64 = 1, nowMilliseconds: UInt64) -> Bool {
    refill(nowMilliseconds)
    let needed = min(cost, burst) * 1000
    guard thousandths >= needed else { return false }
    thousandths -= needed
    return true
  }

  /// How long from the last `take` until `cost` tokens are there; 0 when they are.
  public func waitMilliseconds(for cost: UInt64 = 1) -> UInt64 {
    let needed = min(cost, burst) * 1000
    guard needed > thousandths else { return 0 }
    return (needed - thousandths + perSecond - 1) / perSecond
  }

  private mutating func refill(_ now: UInt64) {
    guard now > updatedMilliseconds else { return }
    let (gained, overflows) = (now - updatedMilliseconds).multipliedReportingOverflow(by: perSecond)
    let full = burst * 1000
    thousandths = overflows || gained >= full - thousandths ? full : thousandths + gained
    updatedMilliseconds = now
  }
}
