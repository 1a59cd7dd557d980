/// What one form's documents say: the strictest over the forms is the decision.
private struct Outcome {
  var verdict: Verdict
  /// Deciding rule first.
  var deciding: [Int32]
  var obligations: [Obligation] = []
  /// Why, when no rule decides.
  var fallback = ""
}

extension PolicySet {
  func resolve(_ matches: Matches, _ request: Request) -> Decision {
    var outcomes: [Outcome] = []
    if !index.hasNative && !index.hasToolkit && !index.hasDocument {
      outcomes = [Outcome(verdict: .deny, deciding: [], fallback: "no policy has any rules")]
    }
    if index.hasNative { outcomes.append(native(matches)) }
    if index.hasToolkit {
      outcomes.append(foreign(.toolkit, .denyOverrides, matches, request))
    }
    if index.hasDocument {
      outcomes.append(foreign(.document, .priorityFirstMatch, matches, request))
    }
    let verdict = outcomes.map(\.verdict).max() ?? .deny
    let deciding = outcomes.first { $0.verdict == verdict }!
    var obligations: [Obligation] = []
    var limited: [Rule] = []
    for outcome in outcomes where outcome.verdict == verdict || verdict != .deny {
      for rule in outcome.deciding {
        if rules[Int(rule)].limit != nil { limited.append(rules[Int(rule)]) }
        for obligation in rules[Int(rule)].obligations where !obligations.contains(obligation) {
          obligations.append(obligation)
        }
      }
      for obligation in outcome.obligations where !obligations.contains(obligation) {
        obligations.append(obligation)
      }
    }
    if verdict != .requireApproval {
      obligations.removeAll { if case .approval = $0 { true } else { false } }
    }
    let first = deciding.deciding.first
    let all =
      (first.map { [$0] } ?? [])
      + (matches.certain + matches.uncertain).sorted().filter { $0 != first }
    return Decision(
      verdict: verdict,
      rules: all.map {
        Decision.Match(rule: rules[Int($0)], isUncertain: matches.uncertain.contains($0))
      },
      decidingRule: first.map { rules[Int($0)] },
      reason: first.map { rules[Int($0)].say } ?? "Nothing allows this; the default is to deny it.",
      fallback: deciding.fallback, obligations: obligations, limited: limited,
      policyDigest: digest)
  }

  // MARK: The native form

  /// Strictest verdict, whatever the order; an unknown restriction restricts and permits nothing.
  private func native(_ matches: Matches) -> Outcome {
    var (certain, uncertain) = (matches.certain, matches.uncertain)
    if index.hasToolkit || index.hasDocument {
      certain.removeAll { form($0) != .native }
      uncertain.removeAll { form($0) != .native }
    }
    let denies = (certain + uncertain).filter { rules[Int($0)].verdict == .deny }
    if !denies.isEmpty { return Outcome(verdict: .deny, deciding: denies) }
    let approvals = certain.filter { rules[Int($0)].verdict == .requireApproval }
    let allows = certain.filter { rules[Int($0)].verdict == .allow }
    if !approvals.isEmpty {
      return Outcome(verdict: .requireApproval, deciding: approvals + uncertain + allows)
    }
    if allows.isEmpty {
      return Outcome(verdict: .deny, deciding: [], fallback: "no rule allows it: default deny")
    }
    if !uncertain.isEmpty {
      return Outcome(verdict: .requireApproval, deciding: uncertain + allows)
    }
    return Outcome(verdict: .allow, deciding: allows)
  }

  private func form(_ rule: Int32) -> DocumentForm { documents[rules[Int(rule)].document].form }

  // MARK: The toolkit's forms

  private func foreign(
    _ form: DocumentForm, _ usual: ConflictStrategy, _ matches: Matches, _ request: Request
  ) -> Outcome {
    let matched = (matches.certain + matches.uncertain).sorted().filter { self.form($0) == form }
    let named = documents.first { $0.form == form && $0.strategy != nil }?.strategy
    let applicable = documents.filter { document in
      guard document.form == form && document.isJudging else { return false }
      guard let agents = document.agents else { return true }
      return request.agent.map(agents.contains) ?? true
    }
    if matched.isEmpty {
      guard let first = applicable.first else {
        return Outcome(verdict: .deny, deciding: [], fallback: "no policy is for this agent")
      }
      return Outcome(
        verdict: first.defaultVerdict, deciding: [], obligations: first.defaultObligations,
        fallback: "no rule matched: default of \(first.file)")
    }
    let winner = winner(strategy ?? named ?? usual, matched)
    let uncertain = Set(matches.uncertain)
    // An unknown approval must not open what nothing opens.
    if rules[Int(winner)].verdict == .requireApproval, uncertain.contains(winner),
      applicable.first?.defaultVerdict == .deny,
      !matched.contains(where: {
        rules[Int($0)].verdict != .deny && !uncertain.contains($0)
      })
    {
      return Outcome(
        verdict: .deny, deciding: [winner],
        fallback: "a field that the approval needs is missing")
    }
    return Outcome(verdict: rules[Int(winner)].verdict, deciding: [winner])
  }

  private func winner(_ strategy: ConflictStrategy, _ matched: [Int32]) -> Int32 {
    let levels = Set(matched.map { rules[Int($0)].level }).sorted()
    for level in levels {
      let winner = self.winner(
        strategy, among: matched.filter { rules[Int($0)].level <= level })
      if level == levels.last || rules[Int(winner)].verdict == .deny { return winner }
    }
    preconditionFailure("no rule matched")
  }

  private func winner(_ strategy: ConflictStrategy, among matched: [Int32]) -> Int32 {
    switch strategy {
    case .denyOverrides:
      // Approval before allow: a higher priority does not skip the person.
      let strictest = matched.map { rules[Int($0)].verdict }.max()!
      return first(matched.filter { rules[Int($0)].verdict == strictest })
    case .allowOverrides:
      let allows = matched.filter { rules[Int($0)].action == "allow" }
      return first(allows.isEmpty ? matched : allows)
    case .priorityFirstMatch:
      return first(matched)
    case .mostSpecificWins:
      let specificity = { (rule: Int32) in
        documents[rules[Int(rule)].document].scope.specificity
      }
      let most = matched.map(specificity).max()!
      return first(matched.filter { specificity($0) == most })
    }
  }

  /// The first in order of priority; among equals the first that was read.
  private func first(_ matched: [Int32]) -> Int32 {
    matched.reduce(matched[0]) { best, next in
      let isAscending = documents[rules[Int(best)].document].isAscending
      let priorities = (rules[Int(best)].priority, rules[Int(next)].priority)
      return (isAscending ? priorities.1 < priorities.0 : priorities.1 > priorities.0) ? next : best
    }
  }
}
