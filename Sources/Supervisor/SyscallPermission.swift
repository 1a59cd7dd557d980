internal import Rings

/// What a ring's filter makes of a call.
extension SyscallPolicy {
  enum Permission { case always, sometimes, never }

  /// Whether some rule allows the call and none refuses it, or only for some arguments.
  func permission(_ name: String) -> Permission {
    let mentioned = mentions(of: name)
    let isRefused = mentioned.contains { $0.action != .allow && $0.when.isEmpty }
    let isAllowed =
      mentioned.contains { $0.action == .allow && $0.when.isEmpty }
      || defaultAction == .allow && !isRefused
    if isAllowed && mentioned.allSatisfy({ $0.action == .allow }) { return .always }
    let isSometimes = mentioned.contains { $0.action == .allow } || isAllowed
    return isSometimes ? .sometimes : .never
  }

  struct Mention: Equatable {
    let action: Action
    let when: [Condition]
  }

  func mentions(of name: String) -> [Mention] {
    groups.flatMap { group in
      group.calls.filter { $0.name == name }.map { Mention(action: group.action, when: $0.when) }
    }
  }
}
