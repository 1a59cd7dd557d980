internal import Glibc
internal import Kernel

/// The staged files of one commit, and the steps that put them into place.
final class Stage {
  private let place: StageDirectory
  private let workspace: Tree
  private let upper: Tree
  private let record: TransactionRecord

  private init(
    _ place: StageDirectory, _ workspace: Tree, _ upper: Tree, _ record: TransactionRecord
  ) {
    self.place = place
    self.workspace = workspace
    self.upper = upper
    self.record = record
  }

  private static func name(_ record: TransactionRecord) -> ByteString {
    ByteString(Transaction.stagePrefix + record.id)
  }

  /// An empty one.
  static func make(
    _ record: TransactionRecord, workspace: Tree, upper: Tree
  ) throws(TransactionError) -> Stage {
    // Of a commit that was killed before its point of no return.
    let place = try StageDirectory.make(name(record), in: workspace, record.workspace)
    return Stage(place, workspace, upper, record)
  }

  /// Of a commit that was interrupted after its point of no return. A stage that is there has every file
  /// that is not in its place yet. When somebody has cleared it away (`git clean`), the layers still have
  /// what it had.
  static func resume(
    _ record: TransactionRecord, _ manifest: Manifest, workspace: Tree, upper: Tree
  ) throws(TransactionError) -> Stage {
    let name = name(record)
    if let place = try StageDirectory.open(name, in: workspace, record.workspace) {
      return Stage(place, workspace, upper, record)
    }
    let fresh = name + ByteString("-again")
    let place = try StageDirectory.make(fresh, in: workspace, record.workspace)
    let stage = Stage(place, workspace, upper, record)
    try doing("staging again in \(record.workspace)") { () throws(SyscallError) in
      try stage.refill(manifest)
      try Files.syncFileSystem(workspace.root.raw)
    }
    try place.rename(to: name)
    return stage
  }

  /// What a commit that ended, or was killed before its point of no return, left in the workspace.
  /// - Returns: whether there was one.
  /// - Throws: `refused` when something else has the name; it is left alone.
  static func remove(
    _ record: TransactionRecord, workspace: Tree
  ) throws(TransactionError) -> Bool {
    var isFound = false
    for name in [name(record), name(record) + ByteString("-again")] {
      guard let stage = try StageDirectory.open(name, in: workspace, record.workspace) else {
        continue
      }
      isFound = true
      try stage.remove()
    }
    return isFound
  }

  func remove() { try? place.remove() }

  // MARK: before the point of no return

  /// - Returns: the digests of the regular files, by number.
  func fill(_ changes: ChangeSet) throws(TransactionError) -> [Int: [UInt8]] {
    do throws(SyscallError) {
      var digests: [Int: [UInt8]] = [:]
      let stage = place.raw
      var names: [ByteString: UInt64] = [:]
      for change in changes.additions where change.links > 1 {
        names[change.linkedTo ?? change.path, default: 0] += 1
      }
      var numbers: [ByteString: Int] = [:]
      var number = 0
      for change in changes.additions where change.after?.kind != .directory {
        let target = ByteString("\(number)")
        if let first = change.linkedTo, let there = numbers[first] {
          digests[number] = digests[there]
          try Files.link(ByteString("\(there)"), at: stage, to: target, at: stage)
        } else {
          numbers[change.path] = number
          if let after = change.after, after.kind == .regular {
            digests[number] = try Digest.file(
              try upper.openForReading(change.path, mode: after.mode))
          }
          // A file that keeps a name in the layers must not be shared with the workspace.
          let isWhole = change.links == 1 || names[change.path] == change.links
          try take(change, as: target, stage, mayShare: isWhole)
        }
        number += 1
      }
      return digests
    } catch {
      throw TransactionError(
        "staging in \(record.workspace)", error,
        hint: error.errno == ENOSPC || error.errno == EDQUOT
          ? "free some space there; nothing was committed" : nil)
    }
  }

  /// The file of the upper layer itself where that is on the same file system, else a copy.
  private func take(
    _ change: Change, as target: ByteString, _ stage: Int32, mayShare: Bool
  ) throws(SyscallError) {
    let source = try upper.parent(of: change.path)
    let entry = change.after!
    // The operator's rights must not come with the agent's content (no set-user-ID from a ring).
    let mode = entry.kind == .regular ? policy(change) : entry.mode
    if mayShare, mode == entry.mode, try isShareable(source, entry) {
      do throws(SyscallError) {
        try Files.link(source.name, at: source.directory, to: target, at: stage)
        return
      } catch {
        guard [EXDEV, EPERM, EMLINK, EOPNOTSUPP].contains(error.errno) else { throw error }
        try? Files.remove(target, at: stage)
      }
    }
    switch entry.kind {
    case .regular:
      let content = try upper.openForReading(change.path, mode: entry.mode)
      let copy = try Files.open(
        target, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o600, at: stage)
      try Files.copyContents(from: content.raw, to: copy.raw, sizeBytes: entry.sizeBytes)
    case .symbolicLink:
      let link = try Files.readLink(source.name, at: source.directory)
      try Files.makeSymbolicLink(target, to: link, at: stage)
    case .fifo, .socket: try Files.makeNode(target, entry.kind, mode: 0o600, at: stage)
    default: throw SyscallError(call: "mknodat", object: change.path.text, errno: ENODEV)
    }
    let attributes = try Attributes.carried(
      of: source.name, at: source.directory, marks: record.marks)
    try own(target, at: stage, entry, mode, attributes)
  }

  /// Until the point of no return nothing of the layers changes: a commit that is refused or killed leaves
  /// them as they were. So what would have to be changed for the workspace is copied, but for marks, which
  /// go when the file does.
  private func isShareable(
    _ source: (directory: Int32, name: ByteString), _ entry: Entry
  ) throws(SyscallError) -> Bool {
    let marks = try Attributes.marksToRemove(
      of: source.name, at: source.directory, marks: record.marks)
    guard let marks else { return false }
    // Its owner may have taken the right to write from himself, which attributes need.
    let isLocked =
      Identity.effectiveUID != 0 && entry.kind == .regular && entry.mode & 0o200 == 0
    return marks.isEmpty || !isLocked
  }

  private func policy(_ change: Change) -> UInt32 {
    let special: UInt32 = 0o6000
    guard let after = change.after, after.mode & special != 0 else { return change.after!.mode }
    let had = change.before.map { $0.kind == .regular ? $0.mode & special : 0 } ?? 0
    return after.mode & (~special | had)
  }

  /// Owner first: changing it takes set-user-ID away. Attributes before the mode: a list of access rights
  /// is one, and may be set only by who may write.
  private func own(
    _ name: ByteString, at directory: Int32, _ entry: Entry, _ mode: UInt32,
    _ attributes: [Attributes.Attribute]
  ) throws(SyscallError) {
    let now = try Files.status(of: name, at: directory, followLink: false)
    if now.uid != entry.uid || now.gid != entry.gid {
      try Files.setOwner(uid: entry.uid, gid: entry.gid, of: name, at: directory)
    }
    if entry.kind == .regular {
      try Attributes.set(attributes, of: name, at: directory)
    }
    if entry.kind != .symbolicLink { try Files.setMode(mode, of: name, at: directory) }
    try Files.setTimes(nanoseconds: entry.modifiedNanoseconds, of: name, at: directory)
  }

  // MARK: after it

  private func refill(_ manifest: Manifest) throws(SyscallError) {
    let stage = place.raw
    var staged: [FileIdentity: ByteString] = [:]
    for case .place(let path, let number, let digest) in manifest.steps {
      guard let kept = try upper.status(of: path) else {
        throw SyscallError(call: "openat", object: path.text, errno: ENOENT)
      }
      let there = try workspace.status(of: path)
      if let there, try isPlaced(path, there, kept, digest) { continue }
      let target = ByteString("\(number)")
      if let first = staged[kept.identity] {
        try Files.link(first, at: stage, to: target, at: stage)
      } else {
        staged[kept.identity] = target
        let change = Change(path, before: there.map { Entry($0) }, after: Entry(kept))
        try take(change, as: target, stage, mayShare: !manifest.isPartial)
      }
    }
  }

  /// Whether the commit has put it there already: the file of the layer itself, or its copy.
  private func isPlaced(
    _ path: ByteString, _ there: FileStatus, _ kept: FileStatus, _ digest: [UInt8]?
  ) throws(SyscallError) -> Bool {
    if there.identity == kept.identity { return true }
    guard let digest, there.kind == .regular else { return false }
    do throws(SyscallError) {
      return try Digest.file(try workspace.openForReading(path, mode: there.mode)) == digest
    } catch {
      // Putting it there a second time does no harm.
      if error.errno == EACCES { return false }
      throw error
    }
  }

  func perform(_ step: Manifest.Step, again: Bool) throws(SyscallError) {
    do throws(SyscallError) {
      try attempt(step, again: again)
    } catch {
      // An ordinary user's own directories without the right to write: as the run could have, we take it
      // and give it back when the directory is settled.
      guard error.errno == EACCES, Identity.effectiveUID != 0 else { throw error }
      try openUp(step)
      try attempt(step, again: again)
    }
  }

  private func attempt(_ step: Manifest.Step, again: Bool) throws(SyscallError) {
    switch step {
    case .removeFile(let path): try removal(path, isDirectory: false)
    case .removeDirectory(let path): try removal(path, isDirectory: true)
    case .makeDirectory(let path): try makeDirectory(path)
    case .place(let path, let number, let digest):
      try put(path, number, digest, again: again)
    case .settle(let path): try settle(path)
    }
  }

  /// What is gone already is gone. A directory into which somebody else has put something stays.
  private func removal(_ path: ByteString, isDirectory: Bool) throws(SyscallError) {
    do throws(SyscallError) {
      let place = try workspace.parent(of: path)
      try Files.remove(place.name, directory: isDirectory, at: place.directory)
    } catch {
      guard [ENOENT, ENOTDIR, ELOOP, EISDIR, ENOTEMPTY, EEXIST].contains(error.errno) else {
        throw error
      }
    }
    workspace.forget()
  }

  private func put(
    _ path: ByteString, _ number: Int, _ digest: [UInt8]?, again: Bool
  ) throws(SyscallError) {
    let staged = ByteString("\(number)")
    let status: FileStatus
    do throws(SyscallError) {
      status = try Files.status(of: staged, at: place.raw, followLink: false)
    } catch {
      // It is in its place already.
      if again, error.errno == ENOENT { return }
      throw error
    }
    if again, let digest {
      let stage = Tree(try Descriptors.duplicate(place.raw), mayChangeModes: true)
      guard try Digest.file(try stage.openForReading(staged, mode: status.mode)) == digest else {
        throw SyscallError(call: "read", object: "staged file \(number)", errno: EIO)
      }
    }
    if try upper.status(of: path)?.identity == status.identity {
      let marks = try Attributes.marksToRemove(of: staged, at: place.raw, marks: record.marks)
      for mark in marks ?? [] {
        try Files.removeExtendedAttribute(mark, of: staged, at: place.raw)
      }
    }
    let target = try workspace.parent(of: path)
    try Files.rename(staged, at: place.raw, to: target.name, at: target.directory)
  }

  /// What is there is judged and changed by one descriptor: whoever owns the workspace can put something
  /// else under the name meanwhile. A directory that belongs to neither side of the commit stays as it is.
  private func settle(_ path: ByteString) throws(SyscallError) {
    guard let wanted = try upper.status(of: path), wanted.kind == .directory else { return }
    let from = try upper.parent(of: path.isEmpty ? ByteString(".") : path)
    let attributes = try Attributes.carried(
      of: from.name, at: from.directory, marks: record.marks)
    do throws(SyscallError) {
      let there = try workspace.openDirectory(path)
      let status = try Files.status(there.raw)
      guard status.uid == wanted.uid else { return }
      if status.gid != wanted.gid {
        try Files.setOwner(uid: wanted.uid, gid: wanted.gid, of: there.raw)
      }
      try Attributes.set(attributes, of: [], at: there.raw)
      try Files.setMode(wanted.mode, of: there.raw)
      try Files.setTimes(nanoseconds: wanted.modifiedNanoseconds, of: there.raw)
    } catch {
      guard [ENOENT, ENOTDIR, ELOOP].contains(error.errno) else { throw error }
    }
  }

  /// It gets its owner inside the stage, where nobody can put another directory under its name.
  private func makeDirectory(_ path: ByteString) throws(SyscallError) {
    guard let wanted = try upper.status(of: path) else {
      throw SyscallError(call: "openat", object: path.text, errno: ENOENT)
    }
    let target = try workspace.parent(of: path)
    let fresh = StageDirectory.directoryName
    // Of a commit that was killed here.
    try? Files.remove(fresh, directory: true, at: place.raw)
    try Files.makeDirectory(fresh, mode: 0o700, at: place.raw)
    if wanted.uid != Identity.effectiveUID {
      try Files.setOwner(uid: wanted.uid, gid: wanted.gid, of: fresh, at: place.raw)
    }
    do throws(SyscallError) {
      try Files.rename(fresh, at: place.raw, to: target.name, at: target.directory)
    } catch {
      try? Files.remove(fresh, directory: true, at: place.raw)
      // It is there already.
      guard [EEXIST, ENOTEMPTY, ENOTDIR].contains(error.errno) else { throw error }
    }
  }

  private func openUp(_ step: Manifest.Step) throws(SyscallError) {
    var parts = step.path.split(separator: UInt8(ascii: "/"))
    // Settling opens the directory itself.
    if case .settle = step {} else { _ = parts.popLast() }
    workspace.forget()
    var here: ByteString = []
    for part in parts {
      let next = Scan.join(here, Array(part))
      guard let status = try workspace.status(of: next), status.kind == .directory else { return }
      if status.mode & 0o700 != 0o700 {
        let place = try workspace.parent(of: next)
        try Files.setMode(status.mode | 0o700, of: place.name, at: place.directory)
      }
      here = next
    }
    workspace.forget()
  }
}
