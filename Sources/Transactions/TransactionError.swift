internal import Kernel

/// Why a transaction could not be begun, read, committed or discarded.
public struct TransactionError: Error, Equatable, Sendable {
  public enum Kind: Equatable, Sendable {
    /// No such transaction, or a path that it does not change.
    case notFound
    /// It cannot be done now or here: it runs, the file system cannot hold it, a record is damaged.
    case refused
    /// Paths changed underneath since it began; nothing was committed.
    case conflict
    /// Files that something outside would execute or trust, and nobody allowed it; nothing was committed.
    case gated
    /// A call failed.
    case failed
  }

  public let kind: Kind
  public let message: String
  /// What would mend it.
  public let hint: String?

  public init(_ kind: Kind, _ message: String, hint: String? = nil) {
    self.kind = kind
    self.message = message
    self.hint = hint
  }

  init(_ what: String, _ error: SyscallError, hint: String? = nil) {
    self.init(.failed, "\(what): \(error.description)", hint: hint)
  }
}

/// Runs calls and says what they were for when one fails.
func doing<R: ~Copyable>(
  _ what: @autoclosure () -> String, _ body: () throws(SyscallError) -> R
) throws(TransactionError) -> R {
  do throws(SyscallError) { return try body() } catch { throw TransactionError(what(), error) }
}
