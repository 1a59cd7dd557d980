public import Audit
public import Kernel

/// Why a log cannot be written or read.
public enum LogError: Error, Equatable, Sendable {
  case system(SyscallError)
  /// It contradicts its signatures, or is not what a log is.
  case audit(AuditError)
  /// The disk is full, or the log of a run has its largest size, but for what is set aside for kills and ends.
  case full
  /// Somebody else has had the log's lock for so many milliseconds.
  case busy(UInt64)
  /// So many entries wait for a disk that does not answer.
  case behind(Int)
  /// An earlier write failed: what is on the disk is not known any more.
  case failed(String)

  public var description: String {
    switch self {
    case .system(let error): error.description
    case .audit(let error): error.description
    case .full:
      "the disk is full or the log of the run has its largest size; the rest is set aside for kills and ends"
    case .busy(let milliseconds):
      "another process has held it for \(milliseconds) ms"
    case .behind(let count): "\(count) entries wait for the disk"
    case .failed(let why): "an earlier write failed: \(why)"
    }
  }
}

/// Runs what fails with errno.
func calling<R: ~Copyable>(_ body: () throws(SyscallError) -> R) throws(LogError) -> R {
  do throws(SyscallError) { return try body() } catch { throw .system(error) }
}

/// Runs what judges texts.
func judging<R>(_ body: () throws(AuditError) -> R) throws(LogError) -> R {
  do throws(AuditError) { return try body() } catch { throw .audit(error) }
}
