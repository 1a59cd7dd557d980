public import Kernel

/// A file of one side, as far as a commit carries it.
public struct Entry: Equatable, Sendable {
  public var kind: FileStatus.Kind
  /// Permission bits, with set-user-ID, set-group-ID and sticky.
  public var mode: UInt32
  public var uid: UInt32
  public var gid: UInt32
  public var sizeBytes: Int64
  public var modifiedNanoseconds: Int64

}

extension Entry {
  init(_ status: FileStatus) {
    self.init(
      kind: status.kind, mode: status.mode, uid: status.uid, gid: status.gid,
      sizeBytes: status.kind == .directory ? 0 : status.sizeBytes,
      modifiedNanoseconds: status.modifiedNanoseconds)
  }
}

/// One path that differs between the workspace and the transaction.
public struct Change: Equatable, Sendable {
  /// Relative to the workspace; bytes without NUL, in no particular encoding.
  public var path: ByteString
  /// In the workspace; nil when nothing is there.
  public var before: Entry?
  /// In the transaction; nil when the path is removed.
  public var after: Entry?
  /// The first path, in order, of the same file (hard links), when this is a further one.
  public var linkedTo: ByteString?
  /// How many names the file has in the layers.
  public var links: UInt64

  public enum Kind: String, Sendable {
    case added, modified, removed, attributes
  }

  public var kind: Kind {
    guard let after else { return .removed }
    guard let before else { return .added }
    return after.kind == .directory && before.kind == .directory ? .attributes : .modified
  }

  init(
    _ path: ByteString, before: Entry?, after: Entry?, linkedTo: ByteString? = nil,
    links: UInt64 = 1
  ) {
    self.path = path
    self.before = before
    self.after = after
    self.linkedTo = linkedTo
    self.links = links
  }
}

/// Everything that a transaction would change, in the order in which it can be done: what goes away from
/// the leaves up, then what comes from the root down.
public struct ChangeSet: Equatable, Sendable {
  public var removals: [Change] = []
  public var additions: [Change] = []
  /// Directories of the upper layer with a change in or below them, parents before children.
  var directories: [ByteString] = []
  public var conflicts: [Conflict] = []

  public var isEmpty: Bool { removals.isEmpty && additions.isEmpty }
  public var count: Int { removals.count + additions.count }

  /// By path, for a person.
  public var sorted: [Change] {
    (removals + additions).sorted { $0.path.lexicographicallyPrecedes($1.path) }
  }

  /// Those at or below one of the paths, with the new directories above them that they need.
  /// - Parameter paths: relative to the workspace, without a slash at the end.
  /// - Throws: `notFound` when a path selects nothing.
  public func selecting(_ paths: [ByteString]) throws(TransactionError) -> ChangeSet {
    let isSelected = { (path: ByteString) in paths.contains { Self.isAtOrBelow(path, $0) } }
    for path in paths where !selects(path) {
      throw TransactionError(
        .notFound, "\(Display.path(path)): the transaction does not change it",
        hint: "paths are those that `agt txn diff --stat` prints, relative to the workspace")
    }
    var part = ChangeSet()
    let wanted = additions.filter { isSelected($0.path) }
    let needsRoom = { (path: ByteString) in
      isSelected(path) || wanted.contains { Self.isAtOrBelow($0.path, path) }
    }
    part.additions = additions.filter { change in
      isSelected(change.path)
        || (change.after?.kind == .directory && change.before?.kind != .directory
          && wanted.contains { Self.isAtOrBelow($0.path, change.path) })
    }
    // A file that stands where a directory is needed goes, and a directory where a file is.
    part.removals = removals.filter { removal in
      needsRoom(removal.path)
        || part.additions.contains {
          $0.after?.kind != .directory && Self.isAtOrBelow(removal.path, $0.path)
        }
    }
    // A directory goes only when everything in it goes too.
    let kept = removals.filter { removal in !part.removals.contains { $0.path == removal.path } }
    part.removals.removeAll { removal in
      removal.before?.kind == .directory
        && kept.contains { Self.isAtOrBelow($0.path, removal.path) }
    }
    let touched = part.removals + part.additions
    part.directories = directories.filter { directory in
      touched.contains { Self.isAtOrBelow($0.path, directory) }
    }
    part.conflicts = conflicts.filter { isSelected($0.path) }
    // The first name of a file may stay behind.
    for index in part.additions.indices {
      guard let first = part.additions[index].linkedTo else { continue }
      if !part.additions.contains(where: { $0.path == first }) {
        part.additions[index].linkedTo = nil
      }
    }
    return part
  }

  func selects(_ path: ByteString) -> Bool {
    removals.contains { Self.isAtOrBelow($0.path, path) }
      || additions.contains { Self.isAtOrBelow($0.path, path) }
  }

  static func isAtOrBelow(_ path: ByteString, _ above: ByteString) -> Bool {
    above.isEmpty || path == above
      || (path.count > above.count && path.starts(with: above)
        && path[above.count] == UInt8(ascii: "/"))
  }
}

/// A path that somebody else changed since the transaction began.
public struct Conflict: Equatable, Sendable {
  public var path: ByteString
  /// `was changed` or `was removed`: after the transaction began.
  public var what: String
}
