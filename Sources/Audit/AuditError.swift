/// Why something of a log cannot be read or believed.
public enum AuditError: Error, Equatable, Sendable, CustomStringConvertible {
  /// The log contradicts its own signed checkpoints.
  case tampered(String)
  /// A text is not what its format says.
  case malformed(String)
  /// A value has no canonical form, or is too large for one entry.
  case entry(String)

  public var description: String {
    switch self {
    case .tampered(let what): "the log does not match its signed checkpoint: \(what)"
    case .malformed(let what): what
    case .entry(let what): what
    }
  }
}
