extension SyscallPolicy {
  /// What one call gets.
  ///
  /// This is the meaning of a policy; the compiled filter is held against it. Of the rules that
  /// name the call, those with conditions are tried before those without, because an exception is
  /// written to hold; within each of the two, `violation` comes before `fail` before `allow`,
  /// so that where two exceptions meet the refusal wins; equal ones keep the file's order. The
  /// first rule whose conditions all hold decides, and the default when none does.
  ///
  /// - Parameter arguments: the six arguments of seccomp_data.
  public func action(_ name: String, arguments: [UInt64]) -> Action {
    for rule in rules(for: name) where rule.when.allSatisfy({ $0.holds(arguments) }) {
      return rule.action
    }
    return defaultAction.action
  }

  /// A group's verdict on one call.
  struct Rule: Equatable {
    var action: Action
    var when: [Condition]
  }

  /// The rules of a call in the order in which they are tried. Those behind the first without
  /// conditions are left out: they are never reached.
  func rules(for name: String) -> [Rule] {
    Self.ordered(
      groups.flatMap { group in
        group.calls.lazy.filter { $0.name == name }.map {
          Rule(action: group.action, when: $0.when)
        }
      })
  }

  /// The rules of every call that a group names, in the order of the first mention.
  func rulesByCall() -> [(name: String, rules: [Rule])] {
    var index: [String: Int] = [:]
    var calls: [(name: String, rules: [Rule])] = []
    for group in groups {
      for call in group.calls {
        let rule = Rule(action: group.action, when: call.when)
        if let known = index[call.name] {
          calls[known].rules.append(rule)
        } else {
          index[call.name] = calls.count
          calls.append((call.name, [rule]))
        }
      }
    }
    return calls.map { ($0.name, Self.ordered($0.rules)) }
  }

  private static func ordered(_ rules: [Rule]) -> [Rule] {
    let ranked = rules.enumerated().sorted {
      (rank($0.element), $0.offset) < (rank($1.element), $1.offset)
    }.map(\.element)
    guard let last = ranked.firstIndex(where: \.when.isEmpty) else { return ranked }
    return Array(ranked[...last])
  }

  private static func rank(_ rule: Rule) -> Int {
    let action =
      switch rule.action {
      case .violation: 0
      case .fail: 1
      case .allow: 2
      }
    return (rule.when.isEmpty ? 3 : 0) + action
  }
}

extension SyscallPolicy.Default {
  var action: SyscallPolicy.Action {
    switch self {
    case .allow: .allow
    case .fail(let errno): .fail(errno: errno)
    }
  }
}

extension SyscallPolicy.Condition {
  /// The bits of the argument that are compared.
  var significantBits: UInt64 { wide ? mask : mask & 0xffff_ffff }

  /// - Parameter arguments: the six arguments of seccomp_data.
  func holds(_ arguments: [UInt64]) -> Bool {
    let value = arguments[Int(argument)] & significantBits
    return switch comparison {
    case .isIn(let values): values.contains(value)
    case .isNotIn(let values): !values.contains(value)
    }
  }
}
