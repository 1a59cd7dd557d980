/// What the engine says about one request.
public struct Decision: Sendable {
  public let verdict: Verdict
  /// Every rule that matched, in the order of the files; the deciding one first.
  public let rules: [Match]
  /// The rule that decided, or nil when a default did.
  public let decidingRule: Rule?
  /// For the agent: the text of the deciding rule.
  public let reason: String
  /// For the operator, when no rule decided or more is to be said than which one did.
  let fallback: String
  /// Of the rules that the verdict follows from, without repetition.
  public let obligations: [Obligation]
  /// Rules with a limit that the verdict follows from.
  let limited: [Rule]
  /// Of the set that decided; see `PolicySet.digest`.
  public let policyDigest: String
  /// Nothing was compared with any rule: the request itself is at fault.
  var isMalformed = false

  /// Whether no rule says anything about the request, so that a default decided.
  public var isByDefault: Bool { rules.isEmpty && decidingRule == nil && !isMalformed }

  /// A rule that matched.
  public struct Match: Sendable {
    public let rule: Rule
    /// Whether a field that the rule needs was missing; such a rule only restricts.
    public let isUncertain: Bool

    public var id: String { rule.id }
  }

  /// For the operator: where the decision comes from. Made on demand, as allowed requests are many.
  public var operatorReason: String {
    guard fallback.isEmpty, let rule = decidingRule else { return fallback }
    var text = "\(rule.file):\(rule.line):\(rule.column): \(rule.id) (\(rule.action))"
    if rules.first?.isUncertain == true { text += ", because a field that it needs is missing" }
    if !rule.why.isEmpty { text += ": \(rule.why)" }
    return text
  }

  /// Whether the request goes ahead without a person.
  public var isAllowed: Bool { verdict == .allow }
}

extension PolicySet {
  /// Judges a request without counting it; `obligations` names the limits that apply.
  ///
  /// Total: whatever cannot be judged is denied.
  public func decide(_ request: Request) -> Decision {
    var evaluation = Evaluation(program, request)
    if let problem = request.problem ?? evaluation.problem { return refused(problem) }
    let matches: Matches
    switch self.matches(&evaluation, request) {
    case .success(let found): matches = found
    case .failure(let failure):
      let rule = rules[failure.rule]
      return Decision(
        verdict: .deny, rules: [Decision.Match(rule: rule, isUncertain: false)],
        decidingRule: rule,
        reason: "The request could not be judged, and is denied.",
        fallback: "\(place(rule)): the condition of \(rule.id) could not be computed: a "
          + "match took too many steps, or values of different types are compared",
        obligations: [.audit], limited: [], policyDigest: digest)
    }
    if matches.uncertain.isEmpty, matches.certain.count == 1, index.isNativeOnly,
      let decision = decision(by: rules[Int(matches.certain[0])])
    {
      return decision
    }
    return resolve(matches, request)
  }

  /// What `resolve` says when nothing but one rule of the native form matched, as with most requests; nil when that
  /// takes more than naming it.
  private func decision(by rule: Rule) -> Decision? {
    guard rule.obligations.isEmpty, rule.limit == nil else { return nil }
    return Decision(
      verdict: rule.verdict, rules: [Decision.Match(rule: rule, isUncertain: false)],
      decidingRule: rule, reason: rule.say, fallback: "", obligations: [], limited: [],
      policyDigest: digest)
  }

  /// Numbers of the rules that matched.
  struct Matches {
    var certain: [Int32] = []
    /// Restrictions of the native and string forms whose condition is unknown.
    var uncertain: [Int32] = []
  }

  struct EvaluationFailure: Error {
    let rule: Int
  }

  func matches(
    _ evaluation: inout Evaluation, _ request: Request
  ) -> Result<Matches, EvaluationFailure> {
    var matches = Matches()
    let candidates = index.candidates(evaluation)
    for (word, bits) in candidates.enumerated() {
      var bits = bits
      while bits != 0 {
        let number = word << 6 + bits.trailingZeroBitCount
        bits &= bits - 1
        if let stage = rules[number].stage, stage != request.stage { continue }
        switch evaluation.truth(of: rules[number]) {
        case .no: break
        case .yes: matches.certain.append(Int32(number))
        case .unknown:
          if rules[number].isRestriction { matches.uncertain.append(Int32(number)) }
        case .error: return .failure(EvaluationFailure(rule: number))
        }
      }
    }
    return .success(matches)
  }

  func refused(_ problem: String) -> Decision {
    Decision(
      verdict: .deny, rules: [], decidingRule: nil,
      reason: "The request is malformed: \(problem).",
      fallback: "malformed request: \(problem)", obligations: [.audit],
      limited: [], policyDigest: digest, isMalformed: true)
  }

  func place(_ rule: Rule) -> String { "\(rule.file):\(rule.line):\(rule.column)" }
}
