internal import Glibc
public import Kernel
internal import Paths

/// Where the transactions of one user are: a directory of mode 0700 with one directory a transaction.
///
///     ID/lock          held while its run, a commit or a discard is at work
///     ID/record.json
///     ID/layers/upper  what the run wrote, ID/layers/work beside it for overlayfs
///     ID/manifest      from the point of no return of a commit to its end
///     .new-ID, .gone-ID  on its way in, on its way out
///     .sweep           locked by whoever removes what is on its way out
public struct TransactionStore: Sendable {
  public let path: String
  let sweeper: Sweeper

  public init(path: String, sweeper: Sweeper = .none) {
    self.path = path
    self.sweeper = sweeper
  }

  /// What calls `sweep`, when nobody is to wait for it.
  public struct Sweeper: Sendable {
    /// Its path first; empty when whoever discards waits until all is removed.
    let command: [ByteString]
    let environment: [ByteString]

    public static let none = Sweeper(command: [], environment: [])

    public init(command: [ByteString], environment: [ByteString]) {
      self.command = command
      self.environment = environment
    }
  }

  static let gone = ".gone-"
  private static let fresh = ".new-"
  /// Beginning takes a millisecond; whoever has not ended it after this was killed.
  private static let beginningNanoseconds: Int64 = 60_000_000_000

  // MARK: beginning

  /// Makes the layers for a run. The transaction is locked until the value ends.
  /// - Parameters:
  ///   - workspace: canonical; `status` is that of the directory.
  ///   - marksAreUsers: whether an ordinary user mounts it.
  ///   - base: the transaction that its run sees below it.
  public func begin(
    id: String, workspace: String, status: FileStatus, marksAreUsers: Bool, command: [ByteString],
    base: String? = nil
  ) throws(TransactionError) -> Transaction {
    try refuseInside(workspace)
    let begun = Int64(clamping: Clock.wallNanoseconds())
    let store = try openOrMake()
    guard Files.fileSystemType(store.raw) != Files.overlayType else {
      throw TransactionError(
        .refused,
        "\(path) lies on an overlay file system, which cannot hold the layers of another",
        hint: marksAreUsers
          ? "name a place on a disk: XDG_STATE_HOME=/path/on/a/disk"
          : "mount a disk or a volume there: mount --bind /path/on/a/disk \(path)")
    }
    return try doing("beginning a transaction in \(path)") { () throws(SyscallError) in
      let name = ByteString(Self.fresh + id)
      try Files.makeDirectory(name, mode: 0o700, at: store.raw)
      let directory = try Files.open(name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, at: store.raw)
      guard let lock = try Self.lock(directory.raw) else {
        throw SyscallError(call: "flock", object: id, errno: EWOULDBLOCK)
      }
      var record = TransactionRecord(
        id: id, workspace: workspace, device: status.identity.device,
        inode: status.identity.inode, marksAreUsers: marksAreUsers, begunNanoseconds: begun,
        command: command.map { $0.text })
      record.base = base
      // Not synced: what a loss of power leaves of it is discarded in any case.
      try Files.create(
        ByteString(Transaction.recordName), mode: 0o600, contents: record.encoded,
        at: directory.raw)
      try makeLayers(directory.raw, like: workspace, status)
      try Files.rename(name, to: ByteString(id), at: store.raw)
      return Transaction(
        record: record, store: self, claim: Claim(id, directory, lock), hasManifest: false)
    }
  }

  private func makeLayers(
    _ directory: Int32, like workspace: String, _ status: FileStatus
  ) throws(SyscallError) {
    let isRoot = Identity.effectiveUID == 0
    for (name, mode) in [
      ("layers", UInt32(0o700)), ("layers/upper", 0o700), ("layers/work", 0o700),
    ] {
      try Files.makeDirectory(ByteString(name), mode: mode, at: directory)
      if isRoot {
        try Files.setOwner(
          uid: status.uid, gid: status.gid, of: ByteString(name), at: directory)
      }
    }
    // What the run sees of the workspace's own directory is the upper layer's.
    let upper = ByteString("layers/upper")
    let place = try Files.open(ByteString(workspace), O_RDONLY | O_DIRECTORY)
    try Attributes.set(
      try Attributes.carried(
        of: ByteString("."), at: place.raw, marks: ByteString("user.overlay.")),
      of: upper, at: directory)
    if !isRoot, status.gid != Identity.effectiveGID {
      try? Files.setOwner(uid: status.uid, gid: status.gid, of: upper, at: directory)
    }
    try Files.setMode(status.mode, of: upper, at: directory)
    try Files.setTimes(nanoseconds: status.modifiedNanoseconds, of: upper, at: directory)
  }

  private func refuseInside(_ workspace: String) throws(TransactionError) {
    guard PathText.isInside(path, workspace) else { return }
    throw TransactionError(
      .refused, "the workspace \(workspace) holds \(path), where its own layers would be",
      hint: "name a directory below it, or another place: XDG_STATE_HOME=/path/elsewhere")
  }

  private func openOrMake() throws(TransactionError) -> OwnedFD {
    if let there = try open() { return there }
    return try doing("making \(path)") { () throws(SyscallError) in
      var here = ""
      let parts = PathText.components(path)
      for (index, part) in parts.enumerated() {
        here += "/" + part
        do throws(SyscallError) {
          // The state of root's other parts is beside it and may be for all to see.
          let isShared = index < parts.count - 1 && Identity.effectiveUID == 0
          try Files.makeDirectory(ByteString(here), mode: isShared ? 0o755 : 0o700)
        } catch {
          if error.errno != EEXIST { throw error }
        }
      }
      return try Files.open(ByteString(path), O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
    }
  }

  /// nil when there is none. A link, somebody else's, or one that others may enter, is refused.
  private func open() throws(TransactionError) -> OwnedFD? {
    let there = try doing(path) { () throws(SyscallError) in
      try Self.openDirectory(ByteString(path), at: Files.here)
    }
    guard let number = there.raw else { return nil }
    let status = try doing(path) { () throws(SyscallError) in try Files.status(number) }
    guard status.uid == Identity.effectiveUID, status.mode & 0o077 == 0 else {
      throw TransactionError(
        .refused, "\(path) belongs to somebody else, or others may enter it",
        hint: "chown \(Identity.effectiveUID) \(path) && chmod 700 \(path)")
    }
    return there
  }

  /// nil when there is none.
  private static func openDirectory(
    _ name: ByteString, at directory: Int32
  ) throws(SyscallError) -> OwnedFD? {
    do throws(SyscallError) {
      return try Files.open(name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, at: directory)
    } catch {
      if error.errno == ENOENT { return nil }
      throw error
    }
  }

  private static func lock(
    _ directory: Int32, withinMilliseconds patience: UInt64 = 0
  ) throws(SyscallError) -> OwnedFD? {
    let lock = try Files.open(
      ByteString("lock"), O_RDWR | O_CREAT | O_NOFOLLOW, mode: 0o600, at: directory)
    guard try Descriptors.lock(lock.raw, withinMilliseconds: patience) else { return nil }
    return lock
  }

  /// Whether the directory still has its name: it may have ended before we got its lock.
  private static func isThere(_ name: ByteString, _ store: Int32, _ directory: Int32) -> Bool {
    guard let named = try? Files.status(of: name, at: store, followLink: false),
      let opened = try? Files.status(directory)
    else { return false }
    return named.identity == opened.identity
  }

  // MARK: those that are there

  /// Identifiers of what is there, oldest first.
  public func identifiers() throws(TransactionError) -> [String] {
    guard let store = try open() else { return [] }
    let names = try doing(path) { () throws(SyscallError) in
      try Files.names(in: try store.duplicate())
    }
    return names.map(\.text).filter { !$0.hasPrefix(".") }.sorted()
  }

  /// What is known of one without taking it.
  public struct Listing: Sendable {
    public enum State: String, Sendable {
      case open, kept
      /// The point of no return is passed: what is missing is done by recovery.
      case committing
      /// Its record cannot be read.
      case damaged
    }
    public var id: String
    public var state: State
    /// nil when it is damaged.
    public var record: TransactionRecord?
    /// Its run, a commit or a discard is at work.
    public var isBusy: Bool
  }

  public func list() throws(TransactionError) -> [Listing] {
    var all: [Listing] = []
    for id in try identifiers() {
      guard let store = try open() else { continue }
      let opened = try doing("\(path)/\(id)") { () throws(SyscallError) in
        try Self.openDirectory(ByteString(id), at: store.raw)
      }
      guard let directory = opened.raw else { continue }
      let record = try? Transaction.readRecord(directory)
      // It may have ended while we looked.
      guard Self.isThere(ByteString(id), store.raw, directory) else { continue }
      let lock = try doing(id) { () throws(SyscallError) in try Self.lock(directory) }
      let state: Listing.State =
        switch record?.state {
        case nil: .damaged
        case _ where Transaction.hasManifest(directory): .committing
        case .open: .open
        case .kept: .kept
        }
      all.append(Listing(id: id, state: state, record: record, isBusy: lock.raw == nil))
    }
    return all
  }

  /// Takes one: nobody else works on it until the value ends.
  /// - Parameter id: whole, or its beginning when only one begins so.
  public func take(_ id: String) throws(TransactionError) -> Transaction {
    let claim = try claim(id)
    do throws(TransactionError) {
      return try transaction(claim)
    } catch {
      throw error.kind == .refused ? damaged(claim) : error
    }
  }

  /// Throws one away, also when its record is damaged: nothing can be committed from it any more.
  /// - Parameter id: whole, or its beginning when only one begins so.
  public func discard(_ id: String) throws(TransactionError) {
    let claim = try claim(id)
    if let transaction = try? transaction(claim) { return try transaction.discard() }
    if Transaction.hasManifest(claim.directory.raw) { throw damaged(claim) }
    try vanish(claim.name, isDurable: true)
  }

  private func transaction(_ claim: Claim) throws(TransactionError) -> Transaction {
    Transaction(
      record: try Transaction.readRecord(claim.directory.raw), store: self, claim: claim,
      hasManifest: Transaction.hasManifest(claim.directory.raw))
  }

  private func damaged(_ claim: Claim) -> TransactionError {
    let place = "\(path)/\(claim.name)"
    let file = "\(place)/\(Transaction.recordName)"
    if Transaction.hasManifest(claim.directory.raw) {
      return TransactionError(
        .refused, "\(file) is damaged, and the commit has begun that it belongs to",
        hint: "put the file back from a copy, then: agt txn recover; or finish by hand what "
          + "\(place)/\(Transaction.manifestName) lists, from \(place)/layers/upper, and remove "
          + place)
    }
    return TransactionError(
      .refused, "\(file) is damaged",
      hint: "what the run wrote is in \(place)/layers/upper; then: agt txn discard \(claim.name)")
  }

  private func claim(_ id: String) throws(TransactionError) -> Claim {
    let matching = try identifiers().filter { $0 == id || (id.count >= 4 && $0.hasPrefix(id)) }
    guard let name = matching.first else {
      throw TransactionError(
        .notFound, "\(Display.path(ByteString(id))): there is no such transaction",
        hint: "agt txn list")
    }
    guard matching.count == 1, let store = try open() else {
      throw TransactionError(
        .notFound, "\(id): several transactions begin so", hint: "agt txn list")
    }
    let directory = try doing(name) { () throws(SyscallError) in
      try Files.open(ByteString(name), O_RDONLY | O_DIRECTORY | O_NOFOLLOW, at: store.raw)
    }
    let lock = try doing(name) { () throws(SyscallError) in
      // The recovery of another start looks at each that waits.
      try Self.lock(directory.raw, withinMilliseconds: 1000)
    }
    guard lock.raw != nil else {
      throw TransactionError(
        .refused, "\(name) is at work: its run, a commit or a discard has not ended",
        hint: "wait for it, or end the run")
    }
    guard Self.isThere(ByteString(name), store.raw, directory.raw) else {
      throw TransactionError(
        .notFound, "\(name): there is no such transaction any more", hint: "agt txn list")
    }
    return Claim(name, directory, lock!)
  }

  // MARK: recovery

  public enum Recovery: Equatable, Sendable {
    /// A commit was finished that had passed its point of no return.
    case committed
    /// Its run was killed together with its supervisor.
    case discarded
    case failed(TransactionError)
  }

  /// Ends what a crash left half done. What runs, and what waits for its operator, is left alone.
  public func recover() throws(TransactionError) -> [(id: String, what: Recovery)] {
    guard let store = try open() else { return [] }
    var all: [(id: String, what: Recovery)] = []
    let names = try doing(path) { () throws(SyscallError) in
      try Files.names(in: try store.duplicate())
    }
    if names.contains(where: { $0.starts(with: ByteString(Self.gone)) }) { resumeSweeping() }
    for name in names.sorted(by: { $0.lexicographicallyPrecedes($1) }) {
      if name.starts(with: ByteString(Self.fresh)),
        let status = try? Files.status(of: name, at: store.raw, followLink: false),
        status.changedNanoseconds + Self.beginningNanoseconds
          < Int64(clamping: Clock.wallNanoseconds())
      {
        try? Files.removeTree(name, at: store.raw)
      }
      guard name.first != UInt8(ascii: ".") else { continue }
      do throws(TransactionError) {
        if let what = try recover(name, store.raw) { all.append((name.text, what)) }
      } catch {
        all.append((name.text, .failed(error)))
      }
    }
    return all
  }

  private func recover(
    _ name: ByteString, _ store: Int32
  ) throws(TransactionError) -> Recovery? {
    guard !Transaction.isAtRest(name, store) else { return nil }
    // Whoever works on it may end it at any moment.
    guard let directory = try? Files.open(name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, at: store)
    else {
      return nil
    }
    let lock: OwnedFD?
    do throws(SyscallError) { lock = try Self.lock(directory.raw) } catch { return nil }
    guard lock.raw != nil, Self.isThere(name, store, directory.raw) else { return nil }
    let claim = Claim(name.text, directory, lock!)
    let transaction: Transaction
    do throws(TransactionError) {
      transaction = try self.transaction(claim)
    } catch {
      let hasManifest = Transaction.hasManifest(claim.directory.raw)
      guard !hasManifest, Transaction.isRecordTorn(claim.directory.raw) else {
        throw error.kind == .refused ? damaged(claim) : error
      }
      try vanish(claim.name, isDurable: true)
      return .discarded
    }
    let hasManifest = transaction.hasManifest
    if !hasManifest, transaction.record.state == .kept {
      if try transaction.removeStage() { transaction.rest() }
      return nil
    }
    if hasManifest {
      try transaction.finishCommit()
      return .committed
    }
    try transaction.discard()
    return .discarded
  }
}

/// The open directory of a transaction, and the lock on it.
final class Claim {
  let name: String
  let directory: OwnedFD
  private let lock: OwnedFD

  init(_ name: String, _ directory: consuming OwnedFD, _ lock: consuming OwnedFD) {
    self.name = name
    self.directory = directory
    self.lock = lock
  }
}
