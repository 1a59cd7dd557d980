internal import Glibc
public import Kernel

/// A transaction that this process has taken: its layers, and what can be done with them.
public final class Transaction {
  static let recordName = "record.json"
  static let manifestName = "manifest"
  /// An empty file: it is kept, and recovery has found nothing to do. It goes before a commit begins, and spares
  /// each start of a transaction the records of all that wait.
  private static let restName = ByteString("at-rest")
  /// Of staged files, in the workspace itself: renaming needs the same file system.
  static let stagePrefix = ".agt-txn-"
  /// A manifest of `Scan.maximumChanges` paths in hexadecimal.
  static let maximumManifestBytes = 1 << 30

  public private(set) var record: TransactionRecord
  let store: TransactionStore
  private let claim: Claim
  /// The point of no return of a commit is passed.
  public internal(set) var hasManifest: Bool

  init(
    record: TransactionRecord, store: TransactionStore, claim: Claim, hasManifest: Bool
  ) {
    self.record = record
    self.store = store
    self.claim = claim
    self.hasManifest = hasManifest
  }

  public var id: String { record.id }
  var directory: Int32 { claim.directory.raw }
  /// Holds `upper` and `work`, on one file system.
  public var layersPath: String { "\(store.path)/\(id)/layers" }

  /// Of `layersPath`, for whoever mounts it.
  public func layersIdentity() throws(TransactionError) -> FileIdentity {
    try doing(layersPath) { () throws(SyscallError) in
      try Files.status(of: ByteString("layers"), at: directory, followLink: false).identity
    }
  }

  static func readRecord(_ directory: Int32) throws(TransactionError) -> TransactionRecord {
    let bytes = try doing(recordName) { () throws(SyscallError) in
      try Files.read(
        ByteString(recordName), limit: TransactionRecord.maximumBytes, at: directory)
    }
    return try TransactionRecord(decoding: bytes)
  }

  /// Whether the record is what a loss of power makes of a file that did not reach the disk: none, an empty
  /// one, or zeros.
  static func isRecordTorn(_ directory: Int32) -> Bool {
    do throws(SyscallError) {
      let bytes = try Files.read(
        ByteString(recordName), limit: TransactionRecord.maximumBytes, at: directory)
      return bytes.isEmpty || bytes.contains(0)
    } catch { return error.errno == ENOENT }
  }

  static func hasManifest(_ directory: Int32) -> Bool {
    (try? Files.status(of: ByteString(manifestName), at: directory, followLink: false)) != nil
  }

  // MARK: looking

  /// What a commit would change now, and what stands against it.
  public func changes() throws(TransactionError) -> ChangeSet {
    try refuseWithBase()
    return try Scan.run(upper: try upper(), lower: try workspace(), record: record)
  }

  /// What differs from the workspace is not what its run did.
  func refuseWithBase() throws(TransactionError) {
    guard let base = record.base else { return }
    throw TransactionError(
      .refused, "\(id) lies on top of \(base), and is nothing without it",
      hint: "agt txn discard \(id)")
  }

  /// What of the changes needs to be allowed by name.
  public func gated(_ changes: ChangeSet) throws(TransactionError) -> [Gate.Finding] {
    let upper = try upper()
    let workspace = try workspace()
    return Gate.findings(changes.removals + changes.additions) { path in
      guard let place = try? upper.parent(of: path) else { return nil }
      return try? Files.readLink(place.name, at: place.directory)
    } isInWorkspace: { path in
      // What cannot be looked at may be there.
      do throws(SyscallError) { return try workspace.status(of: path) != nil } catch {
        return true
      }
    }
  }

  /// The content of a path on one side, up to a limit; nil when it is longer, or no regular file.
  public func content(
    of path: ByteString, in side: Side, _ entry: Entry, limit: Int
  ) -> [UInt8]? {
    guard let tree = side == .workspace ? try? workspace() : try? upper() else { return nil }
    switch entry.kind {
    case .regular:
      guard entry.sizeBytes <= Int64(limit),
        let file = try? tree.openForReading(path, mode: entry.mode)
      else { return nil }
      return try? Descriptors.readAll(file.raw, limit: limit)
    case .symbolicLink:
      guard let place = try? tree.parent(of: path) else { return nil }
      return try? Files.readLink(place.name, at: place.directory)
    default: return nil
    }
  }

  /// SHA-256 of a regular file; nil when it is none, or cannot be read.
  func digest(of path: ByteString, in side: Side, _ entry: Entry?) -> [UInt8]? {
    guard let entry, entry.kind == .regular,
      let tree = side == .workspace ? try? workspace() : try? upper(),
      let file = try? tree.openForReading(path, mode: entry.mode)
    else { return nil }
    return try? Digest.file(file)
  }

  public enum Side: Sendable { case workspace, transaction }

  func upper() throws(TransactionError) -> Tree {
    do throws(SyscallError) {
      let place = try Files.open(
        ByteString("layers/upper"), O_RDONLY | O_DIRECTORY, at: directory,
        resolve: [.beneath, .noSymlinks])
      return Tree(place, mayChangeModes: true)
    } catch { throw TransactionError(layersPath, error) }
  }

  /// The very directory that the run began with.
  func workspace() throws(TransactionError) -> Tree {
    let what = "the workspace \(record.workspace)"
    let gone = TransactionError(
      .refused, "\(what) is not the directory that the transaction began with",
      hint: "put it back to where it was, or: agt txn discard \(id)")
    do throws(SyscallError) {
      let place = try Files.open(
        ByteString(record.workspace), O_RDONLY | O_DIRECTORY,
        resolve: [.noSymlinks, .noMagicLinks])
      let identity = try Files.status(place.raw).identity
      if identity == FileIdentity(device: record.device, inode: record.inode) { return Tree(place) }
    } catch {
      guard [ENOENT, ELOOP, ENOTDIR].contains(error.errno) else {
        throw TransactionError(what, error)
      }
    }
    throw gone
  }

  // MARK: ending

  /// Its run is over: it waits for its operator, also across a loss of power.
  public func keep() throws(TransactionError) {
    let upper = try upper()
    record.state = .kept
    // The ring's mount does not sync (`volatile`).
    try doing("keeping the transaction") { () throws(SyscallError) in
      try Files.syncFileSystem(upper.root.raw)
    }
    try writeRecord()
  }

  /// Throws the layers away; the workspace was never touched.
  public func discard() throws(TransactionError) {
    guard !hasManifest else {
      throw TransactionError(
        .refused, "\(id): its commit has begun and is finished first", hint: "agt txn recover")
    }
    let stage = Result { () throws(TransactionError) in _ = try removeStage() }
    try vanish()
    // It is discarded; what has the name of a stage and is none is for its owner to see.
    try stage.get()
  }

  /// What a commit that was killed before its point of no return left in the workspace.
  /// - Returns: whether it was looked for, and is gone for good: the workspace may be elsewhere for a while.
  /// - Throws: `refused` when something else has its name.
  func removeStage() throws(TransactionError) -> Bool {
    guard let workspace = try? workspace() else { return false }
    guard try Stage.remove(record, workspace: workspace) else { return true }
    return (try? Files.sync(workspace.root.raw)) != nil
  }

  /// - Parameter store: the directory that has the transaction's.
  static func isAtRest(_ name: ByteString, _ store: Int32) -> Bool {
    func has(_ file: ByteString) -> Bool {
      (try? Files.status(of: name + [UInt8(ascii: "/")] + file, at: store, followLink: false))
        != nil
    }
    // The second: the commit of a version that knows nothing of the first.
    return has(restName) && !has(ByteString(manifestName))
  }

  /// Recovery need not look at it again before a commit begins.
  func rest() { try? Files.makeNode(Self.restName, .regular, mode: 0o600, at: directory) }

  /// Before anything is put into the workspace, for good: a crash must not leave it unseen.
  func stir() throws(TransactionError) {
    guard record.state == .kept else { return }
    try doing("beginning the commit") { () throws(SyscallError) in
      do throws(SyscallError) { try Files.remove(Self.restName, at: directory) } catch {
        if error.errno != ENOENT { throw error }
      }
      // Also when it is gone: who removed it may have been killed before this.
      try Files.sync(directory)
    }
  }

  func vanish() throws(TransactionError) {
    try store.vanish(id, isDurable: record.state == .kept || hasManifest)
  }

  func settle(_ times: [String: Int64]) throws(TransactionError) {
    record.settled.merge(times) { $1 }
    record.state = .kept
    try writeRecord()
  }

  private func writeRecord() throws(TransactionError) {
    try replace(Self.recordName, record.encoded)
  }

  func replace(_ name: String, _ contents: [UInt8]) throws(TransactionError) {
    try doing("writing \(name)") { () throws(SyscallError) in
      try Self.replace(name, contents, at: directory)
    }
  }

  /// A file that is there whole or not at all, also after a loss of power.
  static func replace(
    _ name: String, _ contents: [UInt8], at directory: Int32
  ) throws(SyscallError) {
    try Files.replace(
      ByteString(name), with: contents, mode: 0o600, through: ByteString(name + ".new"),
      at: directory)
  }
}
