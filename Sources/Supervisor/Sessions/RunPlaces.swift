internal import Glibc
internal import Kernel

/// Where the runs of a user register: /run/agt for root; for everybody else `agt` in XDG_RUNTIME_DIR,
/// else in /run/user/UID, else /tmp/agt-UID.
///
/// Whoever could make such a directory before us could hide runs from the kill switch or feign some, so one
/// that is not ours alone is never used: a launch is refused, and a listing ends with an error.
struct RunPlaces {
  let uid: UInt32
  /// XDG_RUNTIME_DIR, when it is set.
  let runtimeDirectory: String?

  init(uid: UInt32, runtimeDirectory: String?) {
    self.uid = uid
    self.runtimeDirectory = runtimeDirectory
  }

  init(_ caller: Caller) {
    self.init(uid: caller.uid, runtimeDirectory: caller.value("XDG_RUNTIME_DIR"))
  }

  /// Every directory in which runs of this user can be, the best first. Another user's runtime directory
  /// (XDG_RUNTIME_DIR survives sudo -u) says nothing of ours.
  var paths: [String] {
    if uid == 0 { return ["/run/agt"] }
    var all: [String] = []
    if let directory = runtimeDirectory, directory.hasPrefix("/"), isOurs(directory) {
      all.append(directory + "/agt")
    }
    let usual = "/run/user/\(uid)"
    if runtimeDirectory != usual, isOurs(usual) { all.append(usual + "/agt") }
    return all + ["/tmp/agt-\(uid)"]
  }

  private func isOurs(_ path: String) -> Bool {
    guard let status = try? Files.status(of: ByteString(path)) else { return false }
    return status.kind == .directory && status.uid == uid
  }

  /// The directory for new runs, made when it is missing.
  func openForNewRun() throws(RunError) -> OwnedFD {
    let path = paths[0]
    if let there = try openExisting(path) { return there }
    do throws(SyscallError) {
      try Files.makeDirectory(ByteString(path), mode: uid == 0 ? 0o755 : 0o700)
    } catch {
      // Another launch of ours may have been first.
      if error.errno != EEXIST { throw failure(path, error) }
    }
    guard let made = try openExisting(path) else {
      throw failure(path, SyscallError(call: "openat", object: path, errno: ENOENT))
    }
    return made
  }

  /// - Returns: nil when there is none.
  /// - Throws: when it is not ours alone.
  func openExisting(_ path: String) throws(RunError) -> OwnedFD? {
    do throws(SyscallError) {
      let directory = try Files.open(ByteString(path), O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
      let status = try Files.status(directory.raw)
      if status.uid == uid, status.mode & 0o022 == 0 { return directory }
    } catch {
      switch error.errno {
      case ENOENT: return nil
      case ELOOP, ENOTDIR, EACCES: break
      default: throw failure(path, error)
      }
    }
    throw RunError(
      .internalFailure,
      "\(path): a link, somebody else's, or writable for others; runs register there",
      hint: uid == 0
        ? "see who made it, and move it away: ls -ld \(path)"
        : "set XDG_RUNTIME_DIR to a directory of your own, and see who made it: ls -ld \(path)")
  }

  private func failure(_ path: String, _ error: SyscallError) -> RunError {
    RunError(
      .internalFailure, "registering runs in \(path): \(error.description)",
      hint: uid == 0
        ? "check that /run is writable and not full"
        : "set XDG_RUNTIME_DIR to a directory of your own")
  }
}

/// The directory of one run, below one of `RunPlaces`. It vanishes with the value; what a supervisor leaves
/// that was killed, `agt gc` clears.
struct RunDirectory: ~Copyable {
  static let socketName = "operator.sock"
  static let statusName = "status.json"
  /// How it is, for listings.
  static let liveName = "live.json"
  /// How a detached run ended; only such a run leaves its directory behind.
  static let endingName = "ended.json"
  /// On its way to become that.
  static let endingFreshName = "ended.json.new"
  /// Prefix of the links that lead from a name to a run.
  static let namePrefix = "@"

  let id: String
  let directory: OwnedFD
  private let parent: OwnedFD
  private let name: String?
  /// The directory stays when the value goes.
  var isKept = false

  /// - Parameter name: the alias of --name, which no living run of this user may have.
  static func create(_ id: String, name: String?, _ places: RunPlaces) throws(RunError)
    -> RunDirectory
  {
    let parent = try places.openForNewRun()
    do throws(SyscallError) {
      try Files.makeDirectory(ByteString(id), mode: 0o700, at: parent.raw)
      let directory = try Files.open(
        ByteString(id), O_RDONLY | O_DIRECTORY | O_NOFOLLOW, at: parent.raw)
      // Tells a launch that has no socket yet from one that was killed (`RegisteredRun.isHeld`).
      _ = try Descriptors.tryLock(directory.raw)
      if let name { try claim(name, id, parent.raw) }
      return RunDirectory(id: id, directory: directory, parent: parent, name: name)
    } catch {
      try? Files.remove(ByteString(id), directory: true, at: parent.raw)
      if error.errno == EEXIST, let name {
        throw RunError(
          .usage, "--name \(name): a run has this name already",
          hint: "agt inspect \(name) shows it")
      }
      throw RunError(
        .internalFailure, "registering the run in \(places.paths[0])/\(id): \(error.description)",
        hint: "check that the file system is writable and not full")
    }
  }

  /// Takes a name over from a run that is gone.
  private static func claim(_ name: String, _ id: String, _ parent: Int32) throws(SyscallError) {
    let link = ByteString(namePrefix + name)
    // Two that take over the same name take turns, or the second would remove the link of the first.
    let turn = try Files.open(ByteString("."), O_RDONLY | O_DIRECTORY, at: parent)
    try Descriptors.lock(turn.raw)
    do throws(SyscallError) {
      try Files.makeSymbolicLink(link, to: ByteString(id), at: parent)
    } catch {
      guard error.errno == EEXIST else { throw error }
      let holder = try Files.readLink(link, at: parent)
      if isAlive(holder, parent) { throw error }
      try Files.remove(link, at: parent)
      try Files.makeSymbolicLink(link, to: ByteString(id), at: parent)
    }
  }

  /// Whether somebody listens; a run that has just begun and does not yet is taken for alive.
  private static func isAlive(_ id: ByteString, _ parent: Int32) -> Bool {
    guard !id.contains(UInt8(ascii: "/")),
      let directory = try? Files.open(id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, at: parent)
    else { return false }
    do throws(SyscallError) {
      _ = try UnixSockets.connect(socketName, in: directory.raw)
      return true
    } catch {
      return error.errno != ECONNREFUSED
    }
  }

  private init(
    id: String, directory: consuming OwnedFD, parent: consuming OwnedFD, name: String?
  ) {
    self.id = id
    self.directory = directory
    self.parent = parent
    self.name = name
  }

  deinit { if !isKept { Self.remove(id, name: name, directory.raw, parent: parent.raw) } }

  static func remove(_ id: String, name: String?, _ directory: Int32, parent: Int32) {
    if let name {
      let link = ByteString(namePrefix + name)
      // Somebody may have taken the name over.
      if (try? Files.readLink(link, at: parent)) == ByteString(id) {
        try? Files.remove(link, at: parent)
      }
    }
    for file in [socketName, statusName, liveName, KillMark.fileName] {
      try? Files.remove(ByteString(file), at: directory)
    }
    do throws(SyscallError) {
      try Files.remove(ByteString(id), directory: true, at: parent)
    } catch {
      guard error.errno == ENOTEMPTY else { return }
      for file in [endingName, endingFreshName, OutputLog.current, OutputLog.previous] {
        try? Files.remove(ByteString(file), at: directory)
      }
      try? Files.remove(ByteString(id), directory: true, at: parent)
    }
  }
}

extension Optional where Wrapped == RunDirectory {
  /// The number of the directory's descriptor, when there is one.
  var raw: Int32? {
    switch self {
    case .some(let run): run.directory.raw
    case .none: nil
    }
  }
}
