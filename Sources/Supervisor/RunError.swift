/// Why a run did not start or could not go on: one line, a hint, and the status to exit with.
public struct RunError: Error, Equatable, Sendable {
  public let status: ExitStatus
  /// `<operation> <object>: <reason> (ERRNO)`
  public let message: String
  /// What would mend it, a command where there is one.
  public let hint: String?

  public init(_ status: ExitStatus, _ message: String, hint: String? = nil) {
    self.status = status
    self.message = message
    self.hint = hint
  }
}

/// Exit statuses that are agt-run's own (README.md, "Exit status"); the program's 0–123 and 128+n pass through.
public enum ExitStatus: UInt8, Sendable {
  case success = 0
  /// A flag that cannot be obeyed.
  case usage = 2
  /// The wall clock or a budget ran out.
  case timeout = 124
  /// The supervisor failed.
  case internalFailure = 125
  /// Denied, or could not be confined; nothing ran.
  case notConfined = 126
  /// No such program.
  case notFound = 127
  /// Killed by the switch.
  case killed = 137
}
