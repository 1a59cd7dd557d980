internal import Glibc
internal import Kernel

/// The caller's own state that outlives runs: transactions, records of kills, hold marks. It survives a reboot
/// and lies where no ring above 0 sees it (`OwnPlaces`).
///
/// /var/lib/agt for root; for everybody else `agt` in XDG_STATE_HOME, else in ~/.local/state.
struct StateDirectory {
  private let top: String
  private let uid: UInt32

  init(_ caller: Caller) {
    uid = caller.uid
    if caller.isRoot {
      top = "/var/lib/agt"
    } else if let given = caller.value("XDG_STATE_HOME"), given.hasPrefix("/") {
      // XDG base directory specification; a relative path is invalid and ignored.
      top = given + "/agt"
    } else {
      top = caller.home + "/.local/state/agt"
    }
  }

  func path(_ part: String) -> String { "\(top)/\(part)" }

  /// - Returns: nil when there is none.
  /// - Throws: EPERM when it is not ours alone.
  func openExisting(_ part: String) throws(SyscallError) -> OwnedFD? {
    do throws(SyscallError) {
      let place = try Files.open(ByteString(path(part)), O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
      let status = try Files.status(place.raw)
      guard status.uid == uid, status.mode & 0o022 == 0 else {
        throw SyscallError(
          call: "open", object: "\(path(part)), which others can change", errno: EPERM)
      }
      return place
    } catch {
      if error.errno == ENOENT || isOutOfReach(error.errno) { return nil }
      throw error
    }
  }

  /// Without a home directory of one's own there is nowhere to keep anything, and nothing was kept.
  private func isOutOfReach(_ errno: Int32) -> Bool {
    guard errno == EACCES || errno == ENOTDIR else { return false }
    do throws(SyscallError) {
      return try Files.status(of: ByteString(top)).kind != .directory
    } catch { return true }
  }

  /// Makes what is missing.
  func openOrMake(_ part: String) throws(SyscallError) -> OwnedFD {
    if let there = try openExisting(part) { return there }
    try Files.makeDirectories(ByteString(path(part)), mode: 0o700)
    guard let made = try openExisting(part) else {
      throw SyscallError(call: "open", object: path(part), errno: ENOENT)
    }
    return made
  }

  /// Replaces a file whole; on the disk when this returns.
  func write(_ bytes: [UInt8], to name: String, in part: String) throws(SyscallError) {
    let place = try openOrMake(part)
    try Files.replace(
      ByteString(name), with: bytes, mode: 0o600, through: ByteString(".new-\(getpid())-\(name)"),
      at: place.raw)
  }
}
