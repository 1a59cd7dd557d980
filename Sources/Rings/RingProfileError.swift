/// Why a profile was refused.
public enum RingProfileError: Error, Equatable, Sendable {
  /// The text of a profile is at fault; `line` and `column` are 1-based.
  case text(file: String, line: Int, column: Int, message: String)
  /// The system calls cannot become a filter.
  case filter(message: String)
  /// Bytes that are no compiled profile, with the offset of the first that is wrong.
  case encoding(offset: Int, reason: String)

  /// `Profiles/ring2.yaml:14:7: message`, ready to be printed after the program's name.
  public var description: String {
    switch self {
    case .text(let file, let line, let column, let message): "\(file):\(line):\(column): \(message)"
    case .filter(let message): "seccomp filter: \(message)"
    case .encoding(let offset, let reason): "compiled profile: byte \(offset): \(reason)"
    }
  }
}
