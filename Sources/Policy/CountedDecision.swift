internal import JSON

extension PolicySet {
  /// Judges a request and counts it against the limits of the rules that the verdict follows from.
  ///
  /// A request that is denied is not counted. When any limit is used up the verdict is deny, and
  /// nothing is taken from the others.
  ///
  /// - Parameter nowMilliseconds: Of a clock that never goes back.
  public func decide(
    _ request: Request, buckets: inout TokenBuckets, nowMilliseconds: UInt64
  ) -> Decision {
    let decision = decide(request)
    guard decision.verdict != .deny else { return decision }
    let agent = request.agent ?? ""
    var counted: [(key: TokenBuckets.Key, limit: RateLimit, rule: Rule?)] = []
    if let most = budgets.toolCallsMax, Self.namesTool(request) {
      let key = TokenBuckets.Key(rule: "max_tool_calls", agent: agent)
      counted.append((key, RateLimit(count: most, periodMilliseconds: nil), nil))
    }
    for rule in decision.limited {
      guard let limit = rule.limit else { continue }
      counted.append((TokenBuckets.Key(rule: "\(rule.file)#\(rule.id)", agent: agent), limit, rule))
    }
    for (key, limit, rule) in counted
    where !buckets.isAvailable(key, limit, nowMilliseconds: nowMilliseconds) {
      return exceeded(limit, rule, decision)
    }
    for (key, limit, _) in counted {
      buckets.take(key, limit, nowMilliseconds: nowMilliseconds)
    }
    return decision
  }

  private static func namesTool(_ request: Request) -> Bool {
    request["tool"] != nil || request["tool_name"] != nil
  }

  private func exceeded(_ limit: RateLimit, _ rule: Rule?, _ decision: Decision) -> Decision {
    let period = limit.periodMilliseconds.map { " in \(Self.duration($0))" } ?? " in this run"
    let what = rule.map { "of the rule \($0.id)" } ?? "on tool calls"
    return Decision(
      verdict: .deny, rules: decision.rules, decidingRule: rule,
      reason: "The limit \(what) is used up: \(limit.count)\(period).",
      fallback: rule.map { "\(place($0)): \($0.id): rate limit used up" }
        ?? "max_tool_calls is used up",
      obligations: [.audit, .rateLimit(limit)], limited: [], policyDigest: digest)
  }

  private static func duration(_ milliseconds: UInt64) -> String {
    for (unit, factor) in [("h", 3_600_000), ("m", 60_000), ("s", 1_000)] as [(String, UInt64)]
    where milliseconds % factor == 0 {
      return "\(milliseconds / factor) \(unit)"
    }
    return "\(milliseconds) ms"
  }
}
