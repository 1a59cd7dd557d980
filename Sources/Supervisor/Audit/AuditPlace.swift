internal import Glibc
internal import Kernel
internal import Paths

/// Where the audit logs of a user are: `audit` in /var/lib/agt of root, in $XDG_STATE_HOME/agt or
/// ~/.local/state/agt of everybody else. A user without a home directory of its own has them beside the
/// registry of its runs (`RunPlaces`). No ring above 0 sees any of them (`OwnPlaces`).
///
///     host/         the log of all runs, and its key
///     runs/RUN/     the log of one run
struct AuditPlace: Sendable {
  let path: String

  var host: String { path + "/host" }
  func run(_ id: String) -> String { "\(path)/runs/\(id)" }

  /// In the order in which they are tried. One that the user named is the only one.
  static func candidates(_ caller: Caller) -> [AuditPlace] {
    let usual = AuditPlace(path: StateDirectory(caller).path("audit"))
    if caller.isRoot || caller.value("XDG_STATE_HOME")?.hasPrefix("/") == true { return [usual] }
    let status = try? Files.status(of: ByteString(caller.home))
    return (status?.uid == caller.uid ? [usual] : [])
      + RunPlaces(caller).paths.map { AuditPlace(path: $0 + "/audit") }
  }

  /// The first that can be. One that is there and not its user's alone, or full, is no reason to begin another
  /// log somewhere else.
  static func make(_ caller: Caller) throws(RunError) -> AuditPlace {
    var failure = SyscallError(call: "mkdir", errno: ENOENT)
    for place in candidates(caller) {
      do throws(SyscallError) {
        try place.make(caller)
        return place
      } catch {
        failure = error
        if place.isThere || ![EACCES, EPERM, EROFS, ENOENT, ENOTDIR].contains(error.errno) {
          break
        }
      }
    }
    throw RunError(
      .notConfined, "audit log: \(failure.description)",
      hint: caller.isRoot
        ? "runs are recorded in /var/lib/agt/audit: make it writable for root, and for nobody else"
        : "runs are recorded in a directory that is yours alone (chmod 700); XDG_STATE_HOME=DIR names another place"
    )
  }

  /// The one that is there; nil when nothing was ever recorded.
  static func existing(_ caller: Caller) -> AuditPlace? {
    candidates(caller).first(where: \.isThere)
  }

  private var isThere: Bool { (try? Files.status(of: ByteString(path))) != nil }

  private func make(_ caller: Caller) throws(SyscallError) {
    let isThere = try isOurs(caller)
    if !isThere {
      // Root's other state is beside it and has modes of its own.
      let parent = PathText.parent(path)
      try Files.makeDirectories(ByteString(parent), mode: caller.isRoot ? 0o755 : 0o700)
      for directory in [path, path + "/runs"] {
        do throws(SyscallError) {
          try Files.makeDirectory(ByteString(directory), mode: 0o700)
        } catch {
          if error.errno != EEXIST { throw error }
        }
      }
      guard try isOurs(caller) else {
        throw SyscallError(call: "openat", object: path, errno: ENOENT)
      }
    }
  }

  /// - Throws: when it is there and somebody else could write it.
  private func isOurs(_ caller: Caller) throws(SyscallError) -> Bool {
    do throws(SyscallError) {
      let status = try Files.status(of: ByteString(path + "/runs"), followLink: false)
      let above = try Files.status(of: ByteString(path), followLink: false)
      for one in [status, above] {
        guard one.kind == .directory, one.uid == caller.uid, one.mode & 0o077 == 0 else {
          throw SyscallError(call: "openat", object: path, errno: EACCES)
        }
      }
      return true
    } catch {
      if error.errno == ENOENT { return false }
      throw error
    }
  }
}
