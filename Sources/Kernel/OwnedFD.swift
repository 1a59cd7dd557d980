internal import Glibc

/// A file descriptor with one owner: closed when the value ends, never twice, never forgotten.
public struct OwnedFD: ~Copyable, Sendable {
  /// The number, for calls that borrow the descriptor.
  public let raw: Int32

  /// Takes over an open descriptor.
  public init(_ raw: Int32) {
    precondition(raw >= 0, "a descriptor is never negative")
    self.raw = raw
  }

  deinit { Glibc.close(raw) }

  /// Gives up the ownership: the caller closes the number, or the process image ends.
  public consuming func release() -> Int32 {
    let number = raw
    discard self
    return number
  }

  /// A second descriptor for the same open file, close-on-exec (fcntl(2), F_DUPFD_CLOEXEC).
  public func duplicate(atLeast lowest: Int32 = 3) throws(SyscallError) -> OwnedFD {
    try Descriptors.duplicate(raw, atLeast: lowest)
  }
}

extension Optional where Wrapped == OwnedFD {
  /// The number, when there is a descriptor.
  public var raw: Int32? {
    switch self {
    case .some(let descriptor): descriptor.raw
    case .none: nil
    }
  }
}
