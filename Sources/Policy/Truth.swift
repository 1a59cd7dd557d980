/// The outcome of a condition: Kleene's three values, and an error that no other operand hides
/// unless it decides alone.
enum Truth: UInt8, Sendable {
  case no, yes
  /// A field that the condition needs is missing or of another type.
  case unknown
  /// The condition could not be computed, for example because a match took too many steps.
  case error

  /// `no` decides alone, whatever the order of the operands: an index that skips a rule because
  /// one operand is false is then exact.
  func and(_ other: Truth) -> Truth {
    if self == .no || other == .no { return .no }
    if self == .error || other == .error { return .error }
    if self == .unknown || other == .unknown { return .unknown }
    return .yes
  }

  func or(_ other: Truth) -> Truth {
    if self == .yes || other == .yes { return .yes }
    if self == .error || other == .error { return .error }
    if self == .unknown || other == .unknown { return .unknown }
    return .no
  }

  var negated: Truth {
    switch self {
    case .no: .yes
    case .yes: .no
    case .unknown: .unknown
    case .error: .error
    }
  }

  init(_ value: Bool) { self = value ? .yes : .no }
}
