extension ProfileComparison {
  /// Compares what calls get, not how it is written.
  static func syscalls(
    _ base: SyscallPolicy, _ derived: SyscallPolicy, _ found: inout [Difference]
  ) {
    if base.defaultAction != derived.defaultAction {
      let (before, after) = (base.defaultAction.action, derived.defaultAction.action)
      let direction: Direction =
        after == .allow ? .widened : before == .allow ? .narrowed : .changed
      found.append(Difference("syscalls.default", direction, before.text, after.text))
    }
    let old = Dictionary(uniqueKeysWithValues: base.rulesByCall())
    let new = Dictionary(uniqueKeysWithValues: derived.rulesByCall())
    for name in Set(old.keys).union(new.keys).sorted() {
      let before = CallAnswer(rules: old[name] ?? [], otherwise: base.defaultAction.action)
      let after = CallAnswer(rules: new[name] ?? [], otherwise: derived.defaultAction.action)
      if before == after { continue }
      if let direction = direction(before, after) {
        found.append(Difference("syscalls \(name)", direction, before.text, after.text))
      }
    }
  }

  /// nil when every combination of arguments gets the same.
  private static func direction(_ before: CallAnswer, _ after: CallAnswer) -> Direction? {
    let conditions = (before.rules + after.rules).flatMap(\.when)
    var isNarrowed = false
    var isChanged = false
    for arguments in ArgumentProbes(conditions) {
      let (old, new) = (before.action(arguments), after.action(arguments))
      if old == new { continue }
      if new == .allow { return .widened }
      if old == .allow { isNarrowed = true }
      isChanged = true
    }
    return isNarrowed ? .narrowed : isChanged ? .changed : nil
  }

  /// Everything that a policy says of one call.
  private struct CallAnswer: Equatable {
    let rules: [SyscallPolicy.Rule]
    let otherwise: SyscallPolicy.Action

    func action(_ arguments: [UInt64]) -> SyscallPolicy.Action {
      rules.first { $0.when.allSatisfy { $0.holds(arguments) } }?.action ?? otherwise
    }

    /// For lines of a diff: what is answered, with "some" where it depends on arguments.
    var text: String {
      var parts: [String] = []
      for rule in rules {
        let part = rule.when.isEmpty ? rule.action.text : "some \(rule.action.text)"
        if !parts.contains(part) { parts.append(part) }
      }
      if rules.last?.when.isEmpty != true { parts.append(otherwise.text) }
      return parts.joined(separator: ", ")
    }
  }
}

extension SyscallPolicy.Action {
  /// `allowed`, `violation` or the name of the errno.
  var text: String {
    switch self {
    case .allow: "allowed"
    case .violation: "violation"
    case .fail(let errno): SyscallConstants.errnoName(errno) ?? "errno \(errno)"
    }
  }
}
