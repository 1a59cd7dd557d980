internal import Glibc
public import Kernel

/// One transaction on top of another: a run sees what an earlier one has left uncommitted, and afterwards both are
/// one.
///
/// The run's overlay has the base's upper layer between its own and the workspace, and never changes it. Taking the
/// run's layer over into the base moves each file by a rename, so it can be done again from wherever it was cut off:
/// what has been moved is no longer there to be moved.
extension Transaction {
  /// Why this one cannot lie above the other; nil when it can.
  public func problem(above base: Transaction) -> TransactionError? {
    let other = base.record
    guard record.base == base.id, other.workspace == record.workspace,
      other.device == record.device,
      other.inode == record.inode, other.marksAreUsers == record.marksAreUsers
    else {
      return TransactionError(
        .refused, "\(id) does not lie on top of \(base.id): another directory, or another user",
        hint: "agt txn list")
    }
    guard other.state == .kept, !base.hasManifest else {
      return TransactionError(
        .refused, "\(base.id) is not waiting: it is being committed, or its run has not ended",
        hint: "agt txn recover")
    }
    return nil
  }

  /// Takes over everything that `other`, whose base this is, has changed; there is no such transaction afterwards.
  public func absorb(_ other: Transaction) throws(TransactionError) {
    if let problem = other.problem(above: self) { throw problem }
    let merge = Merge(
      from: try other.upper(), to: try upper(), workspace: try workspace(), marks: record.marks)
    if let path = try doing(
      "joining \(other.id) with \(id)",
      { () throws(SyscallError) in
        try merge.tooLong(below: [])
      })
    {
      throw TransactionError(.refused, "\(Display.path(path)): the path is too long")
    }
    try doing("joining \(other.id) with \(id)") { () throws(SyscallError) in
      try merge.directory([], isHidden: false)
      try Files.syncFileSystem(merge.to.root.raw)
    }
    try other.vanish()
  }
}

private struct Merge {
  let from: Tree
  let to: Tree
  let workspace: Tree
  let marks: ByteString

  /// Looked for before anything is moved.
  func tooLong(below path: ByteString) throws(SyscallError) -> ByteString? {
    for name in try Files.names(in: try from.openDirectory(path)) {
      let inner = Scan.join(path, name)
      if inner.count > Scan.maximumPathBytes { return inner }
      guard try from.status(of: inner)?.kind == .directory else { continue }
      if let found = try tooLong(below: inner) { return found }
    }
    return nil
  }

  /// - Parameter isHidden: whether nothing of the workspace shows through there.
  func directory(_ path: ByteString, isHidden: Bool) throws(SyscallError) {
    try open(path, from)
    try open(path, to)
    let hidesItself = try isOpaque(path, to)
    let isHidden = isHidden || hidesItself
    for name in try Files.names(in: try from.openDirectory(path)) {
      let inner = Scan.join(path, name)
      guard let status = try from.status(of: inner) else { continue }
      try entry(inner, status, try to.status(of: inner), isHidden: isHidden)
    }
  }

  private func entry(
    _ path: ByteString, _ status: FileStatus, _ there: FileStatus?, isHidden: Bool
  ) throws(SyscallError) {
    // What is only in the base leaves nothing to cover when it goes.
    let below = try workspace.status(of: path)
    let isBelow = !isHidden && below != nil
    if try isWhiteout(path, status) {
      if there != nil { try remove(path, at: to) }
      return isBelow ? try move(path) : try remove(path, at: from)
    }
    guard status.kind == .directory else {
      if there?.kind == .directory { try remove(path, at: to) }
      if !isBelow { try forgetOrigin(path) }
      return try move(path)
    }
    guard there?.kind == .directory, try !isOpaque(path, from) else {
      if there != nil, there?.kind != .directory, isBelow { try hideWorkspace(path, status) }
      if there != nil { try remove(path, at: to) }
      return try move(path)
    }
    try directory(path, isHidden: isHidden)
    try settle(path, status)
    let place = try from.parent(of: path)
    try Files.remove(place.name, directory: true, at: place.directory)
    from.forget()
  }

  private func move(_ path: ByteString) throws(SyscallError) {
    let source = try from.parent(of: path)
    let target = try to.parent(of: path)
    try Files.rename(source.name, at: source.directory, to: target.name, at: target.directory)
    to.forget()
  }

  private func remove(_ path: ByteString, at tree: Tree) throws(SyscallError) {
    let place = try tree.parent(of: path)
    try Files.removeTree(place.name, at: place.directory)
    tree.forget()
  }

  /// The base's directory becomes as the run left it; whether it hides the workspace stays its own.
  private func settle(_ path: ByteString, _ status: FileStatus) throws(SyscallError) {
    let source = try from.parent(of: path)
    let target = try to.parent(of: path)
    let now = try Files.status(of: target.name, at: target.directory, followLink: false)
    if now.uid != status.uid || now.gid != status.gid {
      try Files.setOwner(
        uid: status.uid, gid: status.gid, of: target.name, at: target.directory)
    }
    let names = try Files.extendedAttributeNames(of: source.name, at: source.directory).filter {
      Attributes.isOfFile($0, marks: marks)
    }
    for name in try Files.extendedAttributeNames(of: target.name, at: target.directory)
    where Attributes.isOfFile(name, marks: marks) && !names.contains(name) {
      try Files.removeExtendedAttribute(name, of: target.name, at: target.directory)
    }
    for name in names {
      guard
        let value = try Files.extendedAttribute(name, of: source.name, at: source.directory)
      else { continue }
      try Files.setExtendedAttribute(name, value, of: target.name, at: target.directory)
    }
    try Files.setMode(status.mode, of: target.name, at: target.directory)
    try Files.setTimes(
      nanoseconds: status.modifiedNanoseconds, of: target.name, at: target.directory)
  }

  /// Its owner may have taken the rights to it from himself; `settle` gives it the mode that it had.
  private func open(_ path: ByteString, _ tree: Tree) throws(SyscallError) {
    guard Identity.effectiveUID != 0, !path.isEmpty, let status = try tree.status(of: path),
      status.mode & 0o700 != 0o700
    else { return }
    let place = try tree.parent(of: path)
    try Files.setMode(status.mode | 0o700, of: place.name, at: place.directory)
    tree.forget()
  }

  /// What the base has in its place hid the workspace's directory; overlayfs need not say so of the new one.
  private func hideWorkspace(_ path: ByteString, _ status: FileStatus) throws(SyscallError) {
    try open(path, from)
    let place = try from.parent(of: path)
    try Files.setExtendedAttribute(
      marks + ByteString("opaque"), ByteString("y"), of: place.name, at: place.directory)
    try Files.setMode(status.mode, of: place.name, at: place.directory)
  }

  private func isOpaque(_ path: ByteString, _ tree: Tree) throws(SyscallError) -> Bool {
    try tree.extendedAttribute(marks + ByteString("opaque"), of: path) == ByteString("y")
  }

  private func isWhiteout(_ path: ByteString, _ status: FileStatus) throws(SyscallError) -> Bool {
    if status.kind == .characterDevice { return status.deviceNumber == 0 }
    guard status.kind == .regular, status.sizeBytes == 0 else { return false }
    return try from.hasExtendedAttribute(marks + ByteString("whiteout"), of: path)
  }

  /// The mark says that the file was in the workspace, and it was in the base.
  private func forgetOrigin(_ path: ByteString) throws(SyscallError) {
    let origin = marks + ByteString("origin")
    guard try from.hasExtendedAttribute(origin, of: path) else { return }
    let place = try from.parent(of: path)
    try Files.removeExtendedAttribute(origin, of: place.name, at: place.directory)
  }
}

extension Transaction {
  /// A regular file as a run in this transaction, or above it, would read it.
  /// - Parameter path: relative to the workspace, without `.` and `..`.
  public func read(_ path: ByteString, limit: Int) throws(TransactionError) -> [UInt8] {
    let upper = try upper()
    let workspace = try workspace()
    return try doing("reading \(Display.path(path)) of \(id)") { () throws(SyscallError) in
      let tree = try holder(of: path, upper) ? upper : workspace
      guard let status = try tree.status(of: path), status.kind == .regular else {
        throw SyscallError(call: "open", object: path.text, errno: ENOENT)
      }
      let file = try tree.openForReading(path, mode: status.mode)
      return try Descriptors.readAll(file.raw, limit: limit)
    }
  }

  /// - Returns: whether the upper layer decides what is there.
  private func holder(of path: ByteString, _ upper: Tree) throws(SyscallError) -> Bool {
    var here: ByteString = []
    var isHidden = false
    for part in path.split(separator: UInt8(ascii: "/")) {
      if try upper.extendedAttribute(record.marks + ByteString("opaque"), of: here)
        == ByteString("y")
      {
        isHidden = true
      }
      here = Scan.join(here, Array(part))
      guard let status = try upper.status(of: here) else { return isHidden }
      if status.kind != .directory { return true }
    }
    return true
  }
}
