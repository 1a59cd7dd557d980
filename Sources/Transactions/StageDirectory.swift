internal import Glibc
internal import Kernel

/// The directory of staged files in the workspace: flat, ours, and for nobody else.
///
/// Whoever owns the workspace can move it, remove it and put something else under its name at any time. So
/// it is reached by the descriptor from right after it was made, and what has its name later is believed
/// only when nobody else could have written in it.
final class StageDirectory {
  private let place: OwnedFD
  private var name: ByteString
  private let root: Tree
  /// Of a new directory on its way into the workspace.
  static let directoryName = ByteString("directory")
  /// For messages.
  private let path: String

  /// Makes it, empty. What an earlier commit left under the name goes first.
  /// - Throws: `refused` when something else has the name.
  static func make(
    _ name: ByteString, in root: Tree, _ workspace: String
  ) throws(TransactionError) -> StageDirectory {
    if let old = try open(name, in: root, workspace) { try old.remove() }
    try doing("staging in \(workspace)") { () throws(SyscallError) in
      try Files.makeDirectory(name, mode: 0o700, at: root.root.raw)
    }
    guard let made = try open(name, in: root, workspace) else {
      throw TransactionError(
        .refused, "\(workspace)/\(name.text) was removed while it was filled",
        hint: "find out who writes there; then commit again")
    }
    return made
  }

  /// - Returns: nil when nothing has the name.
  /// - Throws: `refused` when it is no directory of ours that is closed to others.
  static func open(
    _ name: ByteString, in root: Tree, _ workspace: String
  ) throws(TransactionError) -> StageDirectory? {
    let path = "\(workspace)/\(name.text)"
    let found: StageDirectory
    let status: FileStatus
    do throws(SyscallError) {
      found = StageDirectory(
        try Files.open(name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, at: root.root.raw), name, root,
        path)
      status = try Files.status(found.raw)
    } catch {
      switch error.errno {
      case ENOENT: return nil
      case ENOTDIR, ELOOP: throw foreign(path, "it is no directory")
      default: throw TransactionError(path, error)
      }
    }
    guard status.uid == Identity.effectiveUID else {
      throw foreign(path, "it belongs to uid \(status.uid)")
    }
    guard status.mode & 0o777 == 0o700 else {
      throw foreign(path, "it has mode \(String(status.mode, radix: 8))")
    }
    return found
  }

  private init(
    _ place: consuming OwnedFD, _ name: ByteString, _ root: Tree, _ path: String
  ) {
    self.place = place
    self.name = name
    self.root = root
    self.path = path
  }

  var raw: Int32 { place.raw }

  func rename(to new: ByteString) throws(TransactionError) {
    try doing("renaming \(path)") { () throws(SyscallError) in
      try Files.rename(name, at: root.root.raw, to: new, at: root.root.raw)
    }
    name = new
  }

  private static func foreign(_ path: String, _ why: String) -> TransactionError {
    TransactionError(
      .refused, "\(path) is not what a commit stages in: \(why); it was left alone",
      hint: "look at it and move it away; then: agt txn recover")
  }

  /// Removes what a commit puts there, numbered files and an empty directory, and then itself. Nothing is
  /// entered.
  /// - Throws: `refused`, with nothing removed, when it holds anything else.
  func remove() throws(TransactionError) {
    let isOurs = try doing(path) { () throws(SyscallError) in
      let names = try Files.names(in: try Files.open(ByteString("."), O_RDONLY, at: place.raw))
      for name in names where name != Self.directoryName {
        let isNumber = name.allSatisfy { $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9") }
        let status = try Files.status(of: name, at: place.raw, followLink: false)
        guard isNumber, status.kind != .directory else { return false }
      }
      for name in names {
        try Files.remove(name, directory: name == Self.directoryName, at: place.raw)
      }
      let named = try? Files.status(of: name, at: root.root.raw, followLink: false)
      if named?.identity == (try Files.status(place.raw).identity) {
        try Files.remove(name, directory: true, at: root.root.raw)
      }
      return true
    }
    guard isOurs else { throw Self.foreign(path, "it holds more than staged files") }
  }
}
