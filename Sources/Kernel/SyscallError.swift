public import Glibc

/// A system call that failed: what was called, on what, and why (errno(3)).
public struct SyscallError: Error, Equatable, Sendable {
  /// The name of the call, `move_mount`.
  public let call: String
  /// What it was called on, as a person would write it; empty when the call has no object.
  public let object: String
  /// The positive errno value.
  public let errno: Int32

  public init(call: String, object: String = "", errno: Int32) {
    self.call = call
    self.object = object
    self.errno = errno
  }

  /// `move_mount("/usr"): Invalid argument (EINVAL)`
  public var description: String {
    "\(call)(\(object.isEmpty ? "" : "\"\(object)\"")): \(Errno.message(errno)) (\(Errno.name(errno)))"
  }
}

/// Names and texts of errno values (errno(3)).
public enum Errno {
  /// `EPERM`; `errno 4242` for a value without a name here.
  public static func name(_ value: Int32) -> String {
    for (name, number) in names where number == value { return name }
    return "errno \(value)"
  }

  /// The text of strerror(3) in the C locale.
  public static func message(_ value: Int32) -> String {
    // SAFETY: strerror returns a NUL-terminated string that lives at least until the next call,
    // and String copies it at once; our processes are single-threaded where this is used.
    guard let text = unsafe strerror(value) else { return "Unknown error \(value)" }
    return unsafe String(cString: text)
  }

  private static let names: [(String, Int32)] = [
    ("EPERM", EPERM), ("ENOENT", ENOENT), ("ESRCH", ESRCH), ("EINTR", EINTR), ("EIO", EIO),
    ("ENXIO", ENXIO), ("E2BIG", E2BIG), ("ENOEXEC", ENOEXEC), ("EBADF", EBADF),
    ("ECHILD", ECHILD), ("EAGAIN", EAGAIN), ("ENOMEM", ENOMEM), ("EACCES", EACCES),
    ("EFAULT", EFAULT), ("ENOTBLK", ENOTBLK), ("EBUSY", EBUSY), ("EEXIST", EEXIST),
    ("EXDEV", EXDEV), ("ENODEV", ENODEV), ("ENOTDIR", ENOTDIR), ("EISDIR", EISDIR),
    ("EINVAL", EINVAL), ("ENFILE", ENFILE), ("EMFILE", EMFILE), ("ENOTTY", ENOTTY),
    ("ETXTBSY", ETXTBSY), ("EFBIG", EFBIG), ("ENOSPC", ENOSPC), ("ESPIPE", ESPIPE),
    ("EROFS", EROFS), ("EMLINK", EMLINK), ("EPIPE", EPIPE), ("ERANGE", ERANGE),
    ("ENAMETOOLONG", ENAMETOOLONG), ("ENOSYS", ENOSYS), ("ENOTEMPTY", ENOTEMPTY),
    ("ELOOP", ELOOP), ("ENODATA", ENODATA), ("EOVERFLOW", EOVERFLOW), ("EUSERS", EUSERS),
    ("EMSGSIZE", EMSGSIZE), ("EOPNOTSUPP", EOPNOTSUPP), ("EADDRINUSE", EADDRINUSE),
    ("EADDRNOTAVAIL", EADDRNOTAVAIL), ("ENOBUFS", ENOBUFS), ("ECONNREFUSED", ECONNREFUSED),
    ("ETIMEDOUT", ETIMEDOUT), ("ESTALE", ESTALE), ("EDQUOT", EDQUOT), ("ECANCELED", ECANCELED),
    ("ELIBBAD", ELIBBAD), ("EPROTONOSUPPORT", EPROTONOSUPPORT),
    ("EAFNOSUPPORT", EAFNOSUPPORT), ("ENOTCONN", ENOTCONN), ("ECONNRESET", ECONNRESET),
    ("EKEYREJECTED", EKEYREJECTED), ("EPROTO", EPROTO),
  ]
}

/// The result of a call that returns -1 and sets errno on failure.
@inlinable
func check<T: SignedInteger>(
  _ result: T, _ call: @autoclosure () -> String, _ object: @autoclosure () -> String = ""
) throws(SyscallError) -> T {
  if result >= 0 { return result }
  let value = Glibc.errno
  throw SyscallError(call: call(), object: object(), errno: value)
}

/// `check`, begun again when a signal interrupted the call.
@inlinable
func retrying<T: SignedInteger>(
  _ call: @autoclosure () -> String, _ object: @autoclosure () -> String = "",
  _ body: () -> T
) throws(SyscallError) -> T {
  while true {
    let result = body()
    if result >= 0 { return result }
    let value = Glibc.errno
    if value != EINTR { throw SyscallError(call: call(), object: object(), errno: value) }
  }
}
