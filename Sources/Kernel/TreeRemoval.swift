internal import Glibc

extension Files {
  /// Removes a tree that nobody else can reach, whatever its modes are: only for what agt-run keeps. It goes
  /// up by "..", so depth costs neither descriptors nor stack; a directory that is not where it was when it
  /// was entered ends it with ESTALE.
  public static func removeTree(_ name: ByteString, at directory: Int32 = here)
    throws(SyscallError)
  {
    do throws(SyscallError) {
      return try remove(name, at: directory)
    } catch {
      if error.errno == ENOENT { return }
      guard error.errno == EISDIR || error.errno == EPERM else { throw error }
    }
    var here = try enter(name, at: directory)
    var path = [(name: name, identity: try status(here.raw).identity)]
    var pending = [try names(in: try here.duplicate())]
    while !path.isEmpty {
      guard let next = pending[pending.count - 1].popLast() else {
        pending.removeLast()
        let done = path.removeLast().name
        guard let above = path.last?.identity else {
          return try remove(done, directory: true, at: directory)
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
        guard error.errno == EISDIR || error.errno == EPERM else { throw error }
        here = try enter(next, at: here.raw)
        path.append((next, try status(here.raw).identity))
        pending.append(try names(in: try here.duplicate()))
      }
    }
  }

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
