/// Argument values on which two policies, or a policy and its filter, can differ.
///
/// Conditions ask whether a masked argument is one of some values, so it is enough to look at each
/// value, at one beside it, and at the value with bits turned: of the mask, outside the mask, and
/// of the upper half.
struct ArgumentProbes: Sequence {
  private var values: [[UInt64]]

  /// More combinations than this are sampled evenly. The shipped rings stay far below; only a
  /// profile that compares many arguments of one call with many values each gets there.
  static let combinationsMax = 1 << 14

  /// - Parameter conditions: every condition that any of the policies puts on the call.
  init(_ conditions: some Sequence<SyscallPolicy.Condition>) {
    values = Array(repeating: [], count: 6)
    for condition in conditions {
      let index = Int(condition.argument)
      switch condition.comparison {
      case .isIn(let named), .isNotIn(let named):
        for value in named { values[index] += Self.around(value, condition) }
      }
    }
    for index in values.indices {
      if !values[index].isEmpty { values[index] += [0, 0xffff_ffff, .max] }
      values[index] = Array(Set(values[index])).sorted()
      if values[index].isEmpty { values[index] = [0] }
    }
  }

  private static func around(
    _ value: UInt64, _ condition: SyscallPolicy.Condition
  ) -> [UInt64] {
    var all = [value, value &+ 1, value | 1 << 32, value | ~condition.significantBits]
    if condition.significantBits.nonzeroBitCount < 32 {
      for bit in 0..<64 as Range<UInt64> where condition.significantBits & 1 << bit != 0 {
        all.append(value ^ 1 << bit)
      }
    }
    return all
  }

  func makeIterator() -> AnyIterator<[UInt64]> {
    var total = 1
    for list in values {
      let (product, isOverflow) = total.multipliedReportingOverflow(by: list.count)
      total = isOverflow ? .max : product
    }
    let step = Swift.max(1, total / Self.combinationsMax)
    var next = 0
    return AnyIterator {
      guard next < total else { return nil }
      var rest = next
      let (sum, isOverflow) = next.addingReportingOverflow(step)
      next = isOverflow ? .max : sum
      return values.map { list in
        defer { rest /= list.count }
        return list[rest % list.count]
      }
    }
  }
}
