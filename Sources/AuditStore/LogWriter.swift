public import Audit
internal import Glibc
public import JSON
public import Kernel

/// The one writer of a log: entries go into a buffer, from there to the file, from there onto the disk, and
/// only then under a signature. Not for several threads; `GroupCommitter` is.
///
/// What can go wrong: the disk is full (then only urgent kinds are taken, into space set aside before), or a
/// write or sync fails (then nothing more is taken, because what the disk holds is unknown: fsync(2) reports a
/// lost page once). It must never sign what could be lost before it was signed for good, and never go on
/// in a log that contradicts its last signature.
public final class LogWriter {
  public let origin: String
  let directory: OwnedFD
  private var keys: [SigningKey]
  private let calls: LogCalls
  private let boot: String
  private let segmentMaxBytes: Int64
  /// An agent that does what is allowed for ever must not fill the disk, without which no other run starts.
  private let runMaxBytes: Int64
  /// Whether somebody may go on with the log.
  private let isContinued: Bool
  /// Whether space is set aside.
  private var isReserving: Bool

  private var file: OwnedFD
  private var segments: [LogTreeFile.Segment]
  /// Of what is in the file.
  private(set) var tree: MerkleTree
  private var signedSize: UInt64
  /// Entries in the file that no sync has covered.
  private(set) var hasUnsynced = false
  /// The slot with the last checkpoint whose entries were on the disk: never overwritten by a lesser one.
  private var safeSlot: Int
  private var slots: [SlotFiles?] = [nil, nil]
  private var reservedTo: Int64 = 0

  private var lines: [UInt8] = []
  /// Most entries of a group have the same.
  private var lastTime: (milliseconds: UInt64, text: String) = (.max, "")
  private var leaves: [Digest] = []
  private var isUrgent = false
  private var isBounded = true
  private var failure: LogError?
  /// The key that an entry names which recovery kept.
  var recoveredKey: String?

  /// For kills and ends of runs on a full disk: some hundred of them.
  public static let reserveBytes: Int64 = 64 << 10
  /// Set aside beyond it at once, so that not every commit asks the file system.
  private static let reserveAheadBytes: Int64 = 64 << 10
  /// Of the log of one run: some hundred thousand entries.
  public static let runMaxBytesUsual: Int64 = 128 << 20
  /// A file that tools can still open.
  public static let segmentMaxBytesUsual: Int64 = 256 << 20

  init(
    origin: String, keys: [SigningKey], directory: consuming OwnedFD, file: consuming OwnedFD,
    segments: [LogTreeFile.Segment], tree: MerkleTree, signedSize: UInt64, safeSlot: Int,
    boot: String, segmentMaxBytes: Int64, runMaxBytes: Int64 = runMaxBytesUsual,
    isContinued: Bool = true, calls: LogCalls
  ) {
    self.runMaxBytes = runMaxBytes
    self.origin = origin
    self.keys = keys
    self.directory = directory
    self.file = file
    self.segments = segments
    self.tree = tree
    self.signedSize = signedSize
    self.safeSlot = safeSlot
    self.boot = boot
    self.segmentMaxBytes = segmentMaxBytes
    self.isContinued = isContinued
    isReserving = isContinued
    self.calls = calls
  }

  /// An empty log in an empty directory. Nothing is signed before the first commit.
  /// - Parameters:
  ///   - runMaxBytes: of a log that nobody goes on with; then only bounded kinds are taken.
  ///   - isContinued: whether another writer may go on with it. One that ends with this writer keeps
  ///     nothing for that, and sets space aside from its first sync on: most runs are over before.
  public static func create(
    in directory: consuming OwnedFD, origin: String, key: SigningKey, calls: LogCalls = .kernel,
    segmentMaxBytes: Int64 = segmentMaxBytesUsual, runMaxBytes: Int64 = runMaxBytesUsual,
    isContinued: Bool = true
  ) throws(LogError) -> LogWriter {
    let place = directory.raw
    let file = try calling { () throws(SyscallError) in
      try Files.open(
        LogNames.segment(0), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o600, at: place)
    }
    return LogWriter(
      origin: origin, keys: [key], directory: directory, file: file,
      segments: [LogTreeFile.Segment(first: 0, bytes: 0, inode: 0, changedNanoseconds: 0)],
      tree: MerkleTree(), signedSize: 0, safeSlot: 1, boot: LogTreeFile.thisBoot,
      segmentMaxBytes: segmentMaxBytes, runMaxBytes: runMaxBytes, isContinued: isContinued,
      calls: calls)
  }

  /// Index of the next entry, and number of those that were appended.
  public var nextIndex: UInt64 { tree.size + UInt64(leaves.count) }

  /// What the checkpoint of everything written would say.
  public var head: Checkpoint { Checkpoint(origin: origin, size: tree.size, root: tree.root) }

  /// Puts an entry into the buffer.
  /// - Returns: its index.
  /// - Throws: when the log has failed, or the entry is none.
  @discardableResult
  public func append(
    _ kind: EntryKind, timeMilliseconds: UInt64, data: JSONObject
  ) throws(LogError) -> UInt64 {
    try append(kind, timeMilliseconds: timeMilliseconds) { output throws(JSONError) in
      try JSONWriter.appendCanonical(.object(data), to: &output)
    }
  }

  /// The same.
  /// - Parameter data: appends it in canonical form.
  @discardableResult
  func append(
    _ kind: EntryKind, timeMilliseconds: UInt64,
    data: (inout [UInt8]) throws(JSONError) -> Void
  ) throws(LogError) -> UInt64 {
    if let failure { throw failure }
    let index = nextIndex
    if timeMilliseconds != lastTime.milliseconds {
      lastTime = (timeMilliseconds, Timestamp.text(milliseconds: timeMilliseconds))
    }
    let start = lines.count
    try judging { () throws(AuditError) in
      try Entry.append(index: index, kind: kind, time: lastTime.text, to: &lines, data: data)
    }
    leaves.append(MerkleTree.leaf(lines.span.extracting(start...)))
    lines.append(0x0A)
    if kind.isUrgent { isUrgent = true }
    if !kind.isBounded { isBounded = false }
    return index
  }

  /// The buffer is in the file afterwards: it outlives this process, not the machine.
  /// - Throws: `.full`, with the buffer thrown away and the log as it was; others for good.
  public func flush() throws(LogError) {
    if let failure { throw failure }
    guard !lines.isEmpty else { return }
    defer {
      lines.removeAll(keepingCapacity: true)
      leaves.removeAll(keepingCapacity: true)
      isUrgent = false
      isBounded = true
    }
    let last = segments.count - 1
    if segments[last].bytes > segmentMaxBytes { try beginSegment() }
    let place = segments[segments.count - 1].bytes
    do throws(LogError) {
      let isTooLong = !isContinued && place + Int64(lines.count) > runMaxBytes
      if isTooLong, !isUrgent, !isBounded { throw LogError.full }
      try reserve(place + Int64(lines.count))
      try calls.writeAll(file.raw, lines, at: place)
    } catch {
      try undo(error, place)
    }
    segments[segments.count - 1].bytes = place + Int64(lines.count)
    for leaf in leaves { tree.append(leaf) }
    hasUnsynced = true
  }

  /// Nothing of a write that failed stays, or nothing more is written.
  private func undo(_ error: LogError, _ place: Int64) throws(LogError) -> Never {
    do throws(SyscallError) {
      if try Files.status(file.raw).sizeBytes > place {
        try Files.truncate(file.raw, toBytes: place)
        reservedTo = 0
      }
    } catch let second {
      throw fail(.system(second))
    }
    if case .system(let cause) = error, cause.errno == ENOSPC || cause.errno == EDQUOT {
      throw .full
    }
    throw error == .full ? error : fail(error)
  }

  private func fail(_ error: LogError) -> LogError {
    failure = .failed(error.description)
    return error
  }

  private func reserve(_ end: Int64) throws(LogError) {
    guard isReserving, end + Self.reserveBytes > reservedTo else { return }
    let wanted = end + Self.reserveBytes + Self.reserveAheadBytes
    do throws(SyscallError) {
      // Where there is no such call nothing is set aside.
      // What lies before is there already, and the file system would look at each block of it.
      let start = max(0, segments[segments.count - 1].bytes)
      _ = try calls.reserve(file.raw, start, wanted - start)
      reservedTo = wanted
    } catch {
      guard error.errno == ENOSPC || error.errno == EDQUOT else { throw .system(error) }
      if !isUrgent { throw .full }
    }
  }

  /// Everything in the files is on the disk afterwards.
  public func sync() throws(LogError) {
    if let failure { throw failure }
    guard hasUnsynced else { return }
    if !isReserving {
      isReserving = true
      // What is to be synced has its space already; the next that has none is refused.
      do throws(LogError) { try reserve(segments[segments.count - 1].bytes) } catch {
        if error != .full { throw fail(error) }
      }
    }
    do throws(SyscallError) {
      try calls.sync(file.raw)
    } catch {
      throw fail(.system(error))
    }
    hasUnsynced = false
  }

  /// A checkpoint of everything in the file goes into a slot. One that says more than the disk holds says so
  /// (`LogTreeFile.isSynced`), and leaves the last that does not alone.
  public func sign() throws(LogError) {
    if let failure { throw failure }
    guard tree.size > signedSize || tree.size == 0 else { return }
    let slot = 1 - safeSlot
    do throws(LogError) {
      let status = try calling { () throws(SyscallError) in try Files.status(file.raw) }
      segments[segments.count - 1].inode = status.identity.inode
      segments[segments.count - 1].changedNanoseconds = status.changedNanoseconds
      let state = LogTreeFile(tree: tree, segments: segments, isSynced: !hasUnsynced, boot: boot)
      let files = try openSlot(slot)
      // In this order: a tree that the checkpoint beside it does not confirm is no worse than none.
      if let tree = files.tree.raw { try calls.writeAll(tree, state.bytes, at: 0) }
      try calls.writeAll(files.checkpoint.raw, head.signed(by: keys).bytes, at: 0)
    } catch {
      throw fail(error)
    }
    signedSize = tree.size
    // What signs nothing need not be kept from what comes next.
    if !hasUnsynced && tree.size > 0 { safeSlot = slot }
  }

  private func openSlot(_ slot: Int) throws(LogError) -> SlotFiles {
    if let files = slots[slot] { return files }
    let flags = O_RDWR | O_CREAT | O_NOFOLLOW
    let place = directory.raw
    let files = try calling { () throws(SyscallError) in
      SlotFiles(
        checkpoint: try Files.open(LogNames.checkpoint(slot), flags, mode: 0o600, at: place),
        tree: isContinued
          ? try Files.open(LogNames.tree(slot), flags, mode: 0o600, at: place) : nil)
    }
    slots[slot] = files
    return files
  }

  /// Everything appended is on the disk and signed for.
  public func commit() throws(LogError) {
    try flush()
    try sync()
    try sign()
  }

  private func beginSegment() throws(LogError) {
    try sync()
    do throws(SyscallError) {
      let status = try Files.status(file.raw)
      segments[segments.count - 1].inode = status.identity.inode
      segments[segments.count - 1].changedNanoseconds = status.changedNanoseconds
      let next = try Files.open(
        LogNames.segment(tree.size), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o600,
        at: directory.raw)
      try Files.sync(directory.raw)
      file = next
    } catch {
      throw fail(.system(error))
    }
    segments.append(
      LogTreeFile.Segment(first: tree.size, bytes: 0, inode: 0, changedNanoseconds: 0))
    reservedTo = 0
  }

  /// From now on these sign.
  func use(_ keys: [SigningKey]) { self.keys = keys }

  /// The last checkpoint is on the disk.
  func syncSlots() throws(LogError) {
    for files in slots {
      guard let files else { continue }
      try calling { () throws(SyscallError) in
        try Files.sync(files.checkpoint.raw)
        if let tree = files.tree.raw { try Files.sync(tree) }
      }
    }
    try calling { () throws(SyscallError) in try Files.sync(directory.raw) }
  }

  /// Whether the file holds entries that no checkpoint covers.
  var isUnsigned: Bool { failure == nil && tree.size > signedSize }

  /// Whether nobody else has written since this writer signed.
  var isCurrent: Bool {
    guard failure == nil, lines.isEmpty, let status = try? Files.status(file.raw) else {
      return false
    }
    let last = segments[segments.count - 1]
    return status.sizeBytes == last.bytes && status.changedNanoseconds == last.changedNanoseconds
      && status.links > 0 && signedSize == tree.size
      && (try? Files.status(of: LogNames.segment(last.first), at: directory.raw))?.identity
        == status.identity
      // Whoever adds to one that is full begins the next.
      && (last.bytes <= segmentMaxBytes
        || (try? Files.status(of: LogNames.segment(tree.size), at: directory.raw)) == nil)
  }

  /// The end of a log that nobody will continue: what was set aside is given back. `sign` follows.
  public func giveBackReserve() {
    guard reservedTo > 0, failure == nil else { return }
    try? Files.truncate(file.raw, toBytes: segments[segments.count - 1].bytes)
    reservedTo = 0
  }
}

private final class SlotFiles {
  let checkpoint: OwnedFD
  let tree: OwnedFD?
  init(checkpoint: consuming OwnedFD, tree: consuming OwnedFD?) {
    self.checkpoint = checkpoint
    self.tree = tree
  }
}
