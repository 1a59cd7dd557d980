/// Limits that a toolkit document puts on a whole run, for the supervisor. nil is no limit.
public struct Budgets: Equatable, Sendable {
  /// Counted by `decide(_:buckets:nowMilliseconds:)` over requests that name a tool.
  public var toolCallsMax: Int?
  /// In processors, 0.01 to 1000.
  public var processorsMax: Double?
  public var memoryMaxMiB: Int?
  public var timeoutSeconds: Int?

  public init() {}

  /// Takes the stricter of each.
  mutating func tighten(_ other: Budgets) {
    toolCallsMax = Self.least(toolCallsMax, other.toolCallsMax)
    processorsMax = Self.least(processorsMax, other.processorsMax)
    memoryMaxMiB = Self.least(memoryMaxMiB, other.memoryMaxMiB)
    timeoutSeconds = Self.least(timeoutSeconds, other.timeoutSeconds)
  }

  private static func least<Value: Comparable>(_ first: Value?, _ second: Value?) -> Value? {
    guard let first, let second else { return first ?? second }
    return min(first, second)
  }
}

/// How much of each rate limit is left: state that goes into a decision and comes out of it.
public struct TokenBuckets: Sendable {
  struct Key: Hashable, Sendable {
    /// Identity of the rule, which survives a reload.
    let rule: String
    let agent: String
  }

  private struct Bucket {
    /// In thousandths of a request, so that refilling by the millisecond loses nothing.
    var thousandths: UInt64
    var updatedMilliseconds: UInt64
    var periodMilliseconds: UInt64?
  }

  private var buckets: [Key: Bucket] = [:]

  /// An agent that changes its name with each request must not fill the memory; full buckets are
  /// dropped first, and with this many that are not full, new ones are refused.
  public static let countMax = 16_384

  public init() {}

  /// Whether a request would be within the limit; takes nothing.
  func isAvailable(_ key: Key, _ limit: RateLimit, nowMilliseconds: UInt64) -> Bool {
    guard limit.count > 0 else { return false }
    guard let bucket = buckets[key] else { return buckets.count < Self.countMax }
    return Self.refilled(bucket, limit, nowMilliseconds).thousandths >= 1_000
  }

  /// Takes one request. Only after `isAvailable` was true.
  mutating func take(_ key: Key, _ limit: RateLimit, nowMilliseconds: UInt64) {
    if buckets.count >= Self.countMax / 2 && buckets[key] == nil {
      dropFull(nowMilliseconds)
    }
    let full = Bucket(
      thousandths: UInt64(limit.count) * 1_000, updatedMilliseconds: nowMilliseconds,
      periodMilliseconds: limit.periodMilliseconds)
    var bucket = Self.refilled(buckets[key] ?? full, limit, nowMilliseconds)
    bucket.thousandths -= min(1_000, bucket.thousandths)
    buckets[key] = bucket
  }

  private static func refilled(
    _ bucket: Bucket, _ limit: RateLimit, _ nowMilliseconds: UInt64
  ) -> Bucket {
    guard let period = limit.periodMilliseconds, nowMilliseconds > bucket.updatedMilliseconds else {
      return bucket
    }
    let capacity = UInt64(limit.count) * 1_000
    let elapsed = min(nowMilliseconds - bucket.updatedMilliseconds, period)
    // At most 10^12 times 3.2 × 10^10: 128 bits hold it.
    let product = capacity.multipliedFullWidth(by: elapsed)
    let gained = period.dividingFullWidth(product).quotient
    if gained == 0 { return bucket }
    // Time that gained less than a thousandth stays for the next call.
    return Bucket(
      thousandths: min(capacity, bucket.thousandths + gained),
      updatedMilliseconds: nowMilliseconds, periodMilliseconds: period)
  }

  /// Buckets that are as good as new.
  private mutating func dropFull(_ nowMilliseconds: UInt64) {
    buckets = buckets.filter { _, bucket in
      guard let period = bucket.periodMilliseconds else { return true }
      return bucket.updatedMilliseconds + period > nowMilliseconds
    }
  }
}
