internal import Glibc

extension Files {
  /// As below, and takes what it takes.
  public static func removeTree(
    _ name: ByteString, at directory: Int32 = here
  ) throws(SyscallError) {
    _ = try removeTree(name, at: directory, until: nil)
  }

  /// Removes a tree that nobody else can reach, whatever its modes are: only for what agt-run keeps. It goes
  /// up by "..", so depth costs neither descriptors nor stack; a directory that is not where it was when it
  /// was entered ends it with ESTALE.
  /// - Parameter deadline: of the monotonic clock, in nanoseconds; then it stops. nil: it takes what it takes.
  /// - Returns: whether all of it is gone.
  public static func removeTree(
    _ name: ByteString, at directory: Int32 = here, until deadline: UInt64?
  ) throws(SyscallError) -> Bool {
    do throws(SyscallError) {
      try remove(name, at: directory)
      return true
    } catch {
      if error.errno == ENOENT { return true }
      guard error.errno == EISDIR || error.errno == EPERM else { throw error }
    }
    var here = try enter(name, at: directory)
    var path = [(name: name, identity: try status(here.raw).identity)]
    var pending = [try names(in: try here.duplicate())]
    var count = 0
    while !path.isEmpty {
      count += 1
      if let deadline, count % lookInterval == 0, Clock.monotonicNanoseconds() >= deadline {
        return false
      }
      guard let next = pending[pending.count - 1].popLast() else {
        pending.removeLast()
        let done = path.removeLast().name
        guard let above = path.last?.identity else {
          try remove(done, directory: true, at: directory)
          return true
        }
        here = try open(ByteString(".."), O_RDONLY | O_DIRECTORY, at: here.raw)
        guard try status(here.raw).identity == above else {
          throw SyscallError(call: "openat", object: done.text, errno: ESTALE)
        }
        try remove(done, directory: true, at: here.raw)
        continue
      }
      do throws(SyscallError) {
        try remove(next, at: here.raw)
      } catch {
        // Another remover of the same tree was first.
        if error.errno == ENOENT { continue }
        guard error.errno == EISDIR || error.errno == EPERM else { throw error }
        here = try enter(next, at: here.raw)
        path.append((next, try status(here.raw).identity))
        pending.append(try names(in: try here.duplicate()))
      }
    }
    return true
  }

  /// Names between two looks at the clock.
  private static let lookInterval = 32

  private static func enter(
    _ name: ByteString, at directory: Int32
  ) throws(SyscallError) -> OwnedFD {
    let flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW
    if Identity.effectiveUID != 0 {
      // Its owner may have taken the rights from himself.
      try? setMode(0o700, of: name, at: directory)
    }
    return try open(name, flags, at: directory)
  }
}
