/// The part of a filter that looks at a call's arguments: the rules of one call, tried in order.
struct ArgumentBlock {
  private(set) var code: [BPFInstruction] = []
  /// Jumps that wait for the place where the next rule starts.
  private var pending: [Int] = []

  /// - Parameters:
  ///   - rules: in the order in which they are tried.
  ///   - otherwise: what a call gets that no rule matches.
  init(
    _ rules: [SyscallPolicy.Rule], otherwise: SeccompAction,
    action: (SyscallPolicy.Action) -> SeccompAction
  ) {
    for rule in rules {
      for condition in rule.when { append(condition) }
      append(action(rule.action))
      for jump in pending { code[jump].operand = UInt32(code.count - jump - 1) }
      pending = []
      if rule.when.isEmpty { return }
    }
    append(otherwise)
  }

  /// A block for calls without a name: what exists runs, what is newer than our tables does not.
  init(allowing ranges: [ClosedRange<UInt32>], otherwise: SeccompAction) {
    code.append(BPFInstruction(BPFInstruction.loadWord, Self.numberOffset))
    for range in ranges {
      code.append(
        BPFInstruction(BPFInstruction.jumpGreaterOrEqual, range.lowerBound, jumpFalse: 2))
      code.append(BPFInstruction(BPFInstruction.jumpGreater, range.upperBound, jumpTrue: 1))
      append(SeccompAction.allow)
    }
    append(otherwise)
  }

  /// Bytes of `seccomp_data.nr` and `.arch`; the arguments follow after the instruction pointer.
  static let numberOffset: UInt32 = 0
  static let architectureOffset: UInt32 = 4

  /// Where a half of an argument is in struct seccomp_data on a little-endian machine.
  static func offset(argument: UInt8, high: Bool) -> UInt32 {
    16 + UInt32(argument) * 8 + (high ? 4 : 0)
  }

  private mutating func append(_ action: SeccompAction) {
    code.append(BPFInstruction(BPFInstruction.returnConstant, action.returnValue))
  }

  /// Code that goes on when the condition holds and jumps to the next rule when it does not.
  private mutating func append(_ condition: SyscallPolicy.Condition) {
    let (values, isMember) =
      switch condition.comparison {
      case .isIn(let values): (values, true)
      case .isNotIn(let values): (values, false)
      }
    var found: [Int] = []
    if condition.wide {
      for value in values { found.append(compare(condition, value)) }
    } else {
      load(condition, high: false)
      for value in values {
        // A jump over one jump, because conditional jumps reach only 255 instructions.
        code.append(
          BPFInstruction(
            BPFInstruction.jumpEqual, UInt32(truncatingIfNeeded: value), jumpFalse: 1))
        found.append(code.count)
        code.append(BPFInstruction(BPFInstruction.jumpAlways, 0))
      }
    }
    // Here no value was equal.
    if isMember {
      pending.append(code.count)
      code.append(BPFInstruction(BPFInstruction.jumpAlways, 0))
      for jump in found { code[jump].operand = UInt32(code.count - jump - 1) }
    } else {
      pending += found
    }
  }

  /// Compares all 64 bits with one value.
  /// - Returns: the index of the jump that is taken when they are equal.
  private mutating func compare(_ condition: SyscallPolicy.Condition, _ value: UInt64) -> Int {
    let low = UInt32(truncatingIfNeeded: value)
    let high = UInt32(truncatingIfNeeded: value >> 32)
    load(condition, high: false)
    let first = code.count
    code.append(BPFInstruction(BPFInstruction.jumpEqual, low))
    load(condition, high: true)
    code.append(BPFInstruction(BPFInstruction.jumpEqual, high, jumpFalse: 1))
    code.append(BPFInstruction(BPFInstruction.jumpAlways, 0))
    code[first].jumpFalse = UInt8(code.count - first - 1)
    return code.count - 1
  }

  private mutating func load(_ condition: SyscallPolicy.Condition, high: Bool) {
    let mask = UInt32(truncatingIfNeeded: high ? condition.mask >> 32 : condition.mask)
    let offset = Self.offset(argument: condition.argument, high: high)
    code.append(BPFInstruction(BPFInstruction.loadWord, offset))
    if mask != .max { code.append(BPFInstruction(BPFInstruction.andConstant, mask)) }
  }
}
