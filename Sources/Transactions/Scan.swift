internal import Glibc
internal import Hashing
internal import Kernel

/// Compares the upper layer with the workspace below it.
///
/// Everything in the upper layer was written by the agent: names, contents, depths and numbers. What
/// overlayfs itself means by it is told by marks that the agent cannot make: extended attributes of a
/// name that the kernel keeps to itself, and device nodes, which no ring below 0 can create.
struct Scan {
  private let upper: Tree
  private let lower: Tree
  private let record: TransactionRecord
  private var changes = ChangeSet()
  /// Of files with several names: the first path.
  private var firstNames: [UInt64: ByteString] = [:]
  /// Directories of the upper layer, parents before children.
  private var visited: [ByteString] = []

  /// A run has an inode limit of the file system, and nobody reads more than this; it also bounds memory.
  static let maximumChanges = 2_000_000
  /// PATH_MAX of limits.h; deeper trees can be discarded, not committed.
  static let maximumPathBytes = 4095

  static func run(
    upper: Tree, lower: Tree, record: TransactionRecord
  ) throws(TransactionError) -> ChangeSet {
    var scan = Scan(upper: upper, lower: lower, record: record)
    do throws(SyscallError) {
      try scan.directory([], lower: try lower.status(of: []), isNew: false)
    } catch {
      throw TransactionError("reading the transaction", error, hint: scan.hint(error))
    }
    scan.finish()
    return scan.changes
  }

  private init(upper: Tree, lower: Tree, record: TransactionRecord) {
    self.upper = upper
    self.lower = lower
    self.record = record
  }

  private func hint(_ error: SyscallError) -> String? {
    switch error.errno {
    case ENAMETOOLONG: "it is deeper than a path can name: it can only be discarded"
    case ENODEV: "it holds a device node, which is never committed: discard it"
    case E2BIG: "more than \(Self.maximumChanges) changes: it can only be discarded"
    default: nil
    }
  }

  /// One directory of the upper layer.
  /// - Parameters:
  ///   - lower: what the workspace has there; nil when nothing of it shows through.
  ///   - isNew: whether what the workspace has there is gone in the transaction, below a mark or by none.
  private mutating func directory(
    _ path: ByteString, lower below: FileStatus?, isNew: Bool
  ) throws(SyscallError) {
    visited.append(path)
    let marks = record.marks
    var isOpaque = isNew
    if !isOpaque {
      let mark = try upper.extendedAttribute(marks + ByteString("opaque"), of: path)
      isOpaque = mark == ByteString("y")
    }
    let names = try Files.names(in: try upper.openDirectory(path)).sorted {
      $0.lexicographicallyPrecedes($1)
    }
    var subdirectories: [(path: ByteString, lower: FileStatus?)] = []
    let mergesBelow = below?.kind == .directory
    for name in names {
      let inner = Self.join(path, name)
      guard inner.count <= Self.maximumPathBytes else {
        throw SyscallError(call: "openat2", object: path.text, errno: ENAMETOOLONG)
      }
      guard changes.count < Self.maximumChanges else {
        throw SyscallError(call: "readdir", object: path.text, errno: E2BIG)
      }
      guard let status = try upper.status(of: inner) else { continue }
      let there = mergesBelow ? try lower.status(of: inner) : nil
      // After a partial commit both sides may have the very file.
      if let there, there.identity == status.identity { continue }
      if let there { checkUnchanged(inner, there, isDirectory: status.kind == .directory) }
      if try isWhiteout(inner, status) {
        if let there {
          try remove(inner, there)
        } else if mergesBelow, !isOpaque {
          changes.conflicts.append(Conflict(path: inner, what: "was removed"))
        }
        continue
      }
      if there == nil, mergesBelow, !isOpaque { try checkNotRemoved(inner, path) }
      if status.kind == .directory {
        subdirectories.append((inner, there))
      } else {
        try file(inner, status, there)
      }
    }
    if isOpaque, mergesBelow { try removeUnshown(path, names) }
    for (inner, there) in subdirectories {
      try enter(inner, there, isHidden: isOpaque)
    }
  }

  /// - Parameter isHidden: below an opaque directory, which alone bears the mark.
  private mutating func enter(
    _ path: ByteString, _ there: FileStatus?, isHidden: Bool
  ) throws(SyscallError) {
    guard let status = try upper.status(of: path) else { return }
    let after = Entry(status)
    if let there, there.kind == .directory {
      let attributesDiffer = try differ(path, status, there)
      if attributesDiffer {
        if isChanged(path, there) {
          changes.conflicts.append(Conflict(path: path, what: "was changed"))
        }
        changes.additions.append(Change(path, before: Entry(there), after: after))
      }
      return try directory(path, lower: there, isNew: isHidden)
    }
    if let there { try remove(path, there) }
    changes.additions.append(Change(path, before: nil, after: after))
    try directory(path, lower: nil, isNew: true)
  }

  private mutating func file(
    _ path: ByteString, _ status: FileStatus, _ there: FileStatus?
  ) throws(SyscallError) {
    guard status.kind != .characterDevice, status.kind != .blockDevice else {
      throw SyscallError(call: "fstatat", object: path.text, errno: ENODEV)
    }
    if let there, there.kind == .directory { try remove(path, there) }
    let before = there.flatMap { $0.kind == .directory ? nil : Entry($0) }
    if let there, there.kind == status.kind, try isSame(path, status, there) { return }
    var first: ByteString?
    if status.links > 1 {
      first = firstNames[status.identity.inode]
      if first == nil { firstNames[status.identity.inode] = path }
    }
    changes.additions.append(
      Change(
        path, before: before, after: Entry(status), linkedTo: first, links: status.links))
  }

  /// Copied up, but as it was: opened for writing and not written, for instance.
  private func isSame(
    _ path: ByteString, _ status: FileStatus, _ there: FileStatus
  ) throws(SyscallError) -> Bool {
    guard Entry(status) == Entry(there), status.links == 1, try !differ(path, status, there) else {
      return false
    }
    switch status.kind {
    case .regular:
      let below: [UInt8]
      do throws(SyscallError) { below = try digest(lower, path, there) } catch {
        // Its owner may not read it: nobody can tell, and looking must not change it.
        if error.errno == EACCES { return false }
        throw error
      }
      return try digest(upper, path, status) == below
    case .symbolicLink:
      let one = try upper.parent(of: path)
      let other = try lower.parent(of: path)
      return try Files.readLink(one.name, at: one.directory)
        == Files.readLink(other.name, at: other.directory)
    default: return true
    }
  }

  private func differ(
    _ path: ByteString, _ status: FileStatus, _ there: FileStatus
  ) throws(SyscallError) -> Bool {
    if status.mode != there.mode || status.uid != there.uid || status.gid != there.gid {
      return true
    }
    let one = try upper.parent(of: path)
    let attributes = try Attributes.carried(of: one.name, at: one.directory, marks: record.marks)
    let other = try lower.parent(of: path)
    return try attributes
      != Attributes.carried(of: other.name, at: other.directory, marks: record.marks)
  }

  private func isWhiteout(_ path: ByteString, _ status: FileStatus) throws(SyscallError) -> Bool {
    if status.kind == .characterDevice { return status.deviceNumber == 0 }
    guard status.kind == .regular, status.sizeBytes == 0 else { return false }
    return try upper.hasExtendedAttribute(record.marks + ByteString("whiteout"), of: path)
  }

  // MARK: the workspace

  /// A tree of the workspace that goes away, leaves first.
  private mutating func remove(_ path: ByteString, _ status: FileStatus) throws(SyscallError) {
    if status.kind == .directory {
      for name in try Files.names(in: try lower.openDirectory(path)).sorted(by: {
        $0.lexicographicallyPrecedes($1)
      }) {
        let inner = Self.join(path, name)
        guard let there = try lower.status(of: inner) else { continue }
        checkUnchanged(inner, there, isDirectory: false)
        try remove(inner, there)
      }
    }
    changes.removals.append(Change(path, before: Entry(status), after: nil))
  }

  private mutating func removeUnshown(
    _ path: ByteString, _ shown: [ByteString]
  ) throws(SyscallError) {
    let names = Set(shown)
    for name in try Files.names(in: try lower.openDirectory(path)).sorted(by: {
      $0.lexicographicallyPrecedes($1)
    }) where !names.contains(name) {
      let inner = Self.join(path, name)
      guard let there = try lower.status(of: inner) else { continue }
      checkUnchanged(inner, there, isDirectory: false)
      try remove(inner, there)
    }
  }

  private func isChanged(_ path: ByteString, _ there: FileStatus) -> Bool {
    there.changedNanoseconds > record.begunNanoseconds
      && record.settled[Hexadecimal.encode(path)] != there.changedNanoseconds
  }

  /// - Parameter isDirectory: on both sides, where others may add and remove what we do not touch.
  private mutating func checkUnchanged(
    _ path: ByteString, _ there: FileStatus, isDirectory: Bool
  ) {
    guard !(isDirectory && there.kind == .directory), isChanged(path, there) else { return }
    changes.conflicts.append(Conflict(path: path, what: "was changed"))
  }

  /// A file that was copied up from one that is no longer there, in a directory that others changed.
  private mutating func checkNotRemoved(
    _ path: ByteString, _ above: ByteString
  ) throws(SyscallError) {
    guard let parent = try lower.status(of: above), isChanged(above, parent),
      try upper.hasExtendedAttribute(record.marks + ByteString("origin"), of: path)
    else { return }
    changes.conflicts.append(Conflict(path: path, what: "was removed"))
  }

  private mutating func finish() {
    // What is below a touched directory touches it: parents come before children.
    var touched: Set<ByteString> = []
    for change in changes.removals + changes.additions {
      var path = change.path
      if change.after?.kind == .directory { touched.insert(path) }
      while let slash = path.lastIndex(of: UInt8(ascii: "/")) {
        path = Array(path[..<slash])
        if !touched.insert(path).inserted { break }
      }
    }
    if !changes.isEmpty { touched.insert([]) }
    changes.directories = visited.filter { touched.contains($0) }
  }

  // MARK: small things

  static func join(_ path: ByteString, _ name: ByteString) -> ByteString {
    path.isEmpty ? name : path + [UInt8(ascii: "/")] + name
  }

  private func digest(
    _ tree: Tree, _ path: ByteString, _ status: FileStatus
  ) throws(SyscallError) -> [UInt8] {
    try Digest.file(try tree.openForReading(path, mode: status.mode))
  }
}

/// The digest by which a manifest knows the content of a file.
enum Digest {
  static func file(_ file: consuming OwnedFD) throws(SyscallError) -> [UInt8] {
    var hash = SHA256()
    while true {
      let part = try Descriptors.read(file.raw, upTo: 65536)
      if part.isEmpty { return hash.finish() }
      hash.update(part)
    }
  }
}
