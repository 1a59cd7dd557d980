public import Audit
internal import Glibc
internal import Hashing
internal import JSON
public import Kernel

/// Opening a log again, after its last writer ended in whatever way.
///
/// Complete entries behind the last checkpoint are kept, a torn one is cut, and both are recorded by
/// `log.recovered`. Whatever a checkpoint covers must be there: a log that lacks it, or holds something else,
/// was tampered with, and nothing is added to it.
public enum LogRecovery {
  /// - Parameters:
  ///   - directory: nobody else writes; the caller holds its lock.
  ///   - keys: all that sign from now on; the last checkpoint is signed by `verifier`.
  ///   - timeMilliseconds: of the entry, when one is needed.
  public static func open(
    in directory: consuming OwnedFD, keys: [SigningKey], verifier: VerifierKey,
    timeMilliseconds: UInt64, calls: LogCalls = .kernel,
    segmentMaxBytes: Int64 = LogWriter.segmentMaxBytesUsual
  ) throws(LogError) -> LogWriter {
    let place = directory.raw
    let boot = LogTreeFile.thisBoot
    let own = keys.first { $0.publicKey == verifier.publicKey }
    var found = try LogSlots.read(in: place, key: verifier, own: own, onlyBest: true)
    guard !found.isEmpty else {
      throw .audit(.tampered("no checkpoint in it is signed by \(verifier.text)"))
    }
    var isOlder = false
    while true {
      let slot = found.removeFirst()
      do throws(LogError) {
        return try open(
          slot, isOlder: isOlder, directory, place, keys, verifier, timeMilliseconds, calls, boot,
          segmentMaxBytes)
      } catch {
        // Only entries that were never synced, in an earlier boot of the machine, may be gone.
        guard case .audit(.tampered) = error, let state = slot.state, !state.isSynced,
          state.boot != boot, !isOlder
        else { throw error }
        found = try LogSlots.read(in: place, key: verifier)
        if found.count < 2 { throw error }
        found.removeFirst()
        isOlder = true
      }
    }
  }

  private static func open(
    _ slot: LogSlots.Slot, isOlder: Bool, _ directory: borrowing OwnedFD, _ place: Int32,
    _ keys: [SigningKey], _ verifier: VerifierKey, _ timeMilliseconds: UInt64, _ calls: LogCalls,
    _ boot: String, _ segmentMaxBytes: Int64
  ) throws(LogError) -> LogWriter {
    var resumed = try LogResumption.atCheckpoint(slot, place)
    let tail = try resumed.takeTail(place)
    let file = try calling { () throws(SyscallError) in
      try LogNames.openSegment(resumed.segments.last!.first, forWriting: true, in: place)
    }
    if tail.cutBytes > 0 {
      try calling { () throws(SyscallError) in
        try Files.truncate(file.raw, toBytes: resumed.segments.last!.bytes)
      }
    }
    let writer = LogWriter(
      origin: verifier.name, keys: keys,
      directory: try calling { () throws(SyscallError) in try directory.duplicate() }, file: file,
      segments: resumed.segments, tree: resumed.tree, signedSize: slot.checkpoint.size,
      safeSlot: slot.state?.isSynced == false && !isOlder ? 1 - slot.number : slot.number,
      boot: boot, segmentMaxBytes: segmentMaxBytes, calls: calls)
    writer.recoveredKey = tail.rotatedTo
    guard tail.kept > 0 || tail.cutBytes > 0 || isOlder else { return writer }
    try writer.append(
      .logRecovered, timeMilliseconds: timeMilliseconds,
      data: [
        "checkpoint": JSONValue(slot.checkpoint.size), "keptEntries": JSONValue(tail.kept),
        "cutBytes": JSONValue(tail.cutBytes), "cutDigest": JSONValue(tail.cutDigest),
        "lostUnsynced": .bool(isOlder),
      ])
    try writer.commit()
    return writer
  }
}

/// The two places of the last checkpoint.
enum LogSlots {
  struct Slot {
    var number: Int
    var note: SignedNote
    var checkpoint: Checkpoint
    /// nil when it does not belong to the checkpoint.
    var state: LogTreeFile?
  }

  private static let stateMaxBytes = 1 << 20

  /// Those that `key` has signed, the longer log first.
  /// - Parameters:
  ///   - own: the key itself, when the caller has it.
  ///   - onlyBest: the first of them alone: each signature costs a while.
  static func read(
    in directory: Int32, key: VerifierKey, own: SigningKey? = nil, onlyBest: Bool = false
  ) throws(LogError) -> [Slot] {
    var notes: [(number: Int, bytes: [UInt8], claimed: UInt64)] = []
    for number in 0...1 {
      guard let bytes = try contents(LogNames.checkpoint(number), directory),
        let claimed = Checkpoint.claimedSize(ofNote: bytes)
      else { continue }
      notes.append((number, bytes, claimed))
    }
    if notes.count == 2, notes[1].claimed > notes[0].claimed { notes.swapAt(0, 1) }
    var slots: [Slot] = []
    for (number, bytes, _) in notes {
      guard let note = try? SignedNote(parsing: bytes),
        let checkpoint = try? Checkpoint.open(note, key: key, own: own)
      else { continue }
      let state = try contents(LogNames.tree(number), directory).flatMap {
        LogTreeFile(parsing: $0)
      }
      let belongs = state.map {
        $0.tree.size == checkpoint.size && $0.tree.root == checkpoint.root
      }
      slots.append(
        Slot(
          number: number, note: note, checkpoint: checkpoint, state: belongs == true ? state : nil))
      if onlyBest { break }
    }
    return slots
  }

  private static func contents(
    _ name: ByteString, _ directory: Int32
  ) throws(LogError) -> [UInt8]? {
    do throws(SyscallError) {
      return try Files.readRegular(name, limit: stateMaxBytes, at: directory)
    } catch {
      if error.errno == ENOENT { return nil }
      throw .system(error)
    }
  }
}

/// Where a log stands.
struct LogResumption {
  var segments: [LogTreeFile.Segment]
  var tree: MerkleTree

  struct Tail {
    var kept: UInt64 = 0
    var cutBytes: Int64 = 0
    var cutDigest: String?
    /// The key that a kept entry names as the next.
    var rotatedTo: String?
  }

  /// The log up to a checkpoint. When nobody has touched its files since, they are not read.
  /// - Throws: `.tampered` when it is not what was signed.
  static func atCheckpoint(_ slot: LogSlots.Slot, _ directory: Int32) throws(LogError)
    -> LogResumption
  {
    if let state = slot.state, try isUntouched(state.segments, directory) {
      return LogResumption(segments: state.segments, tree: state.tree)
    }
    return try reading(slot.checkpoint, directory)
  }

  private static func isUntouched(
    _ segments: [LogTreeFile.Segment], _ directory: Int32
  ) throws(LogError) -> Bool {
    for segment in segments {
      guard
        let status = try? Files.status(
          of: LogNames.segment(segment.first), at: directory, followLink: false),
        status.kind == .regular, status.identity.inode == segment.inode,
        status.sizeBytes == segment.bytes, status.changedNanoseconds == segment.changedNanoseconds
      else { return false }
    }
    return true
  }

  private static func reading(
    _ checkpoint: Checkpoint, _ directory: Int32
  ) throws(LogError) -> LogResumption {
    var tree = MerkleTree()
    var segments: [LogTreeFile.Segment] = []
    let firsts = try calling { () throws(SyscallError) in try LogNames.segments(in: directory) }
    for first in firsts where tree.size < checkpoint.size || segments.isEmpty {
      guard first == tree.size else {
        throw .audit(.tampered("entry \(tree.size) is missing"))
      }
      let file = try calling { () throws(SyscallError) in
        try LogNames.openSegment(first, forWriting: false, in: directory)
      }
      let end = try LogLines.read(file.raw) { (line) throws(LogError) in
        if tree.size == checkpoint.size { return false }
        tree.append(MerkleTree.leaf(line))
        return true
      }
      segments.append(try describe(file.raw, first, end.offset))
    }
    guard tree.size == checkpoint.size else {
      throw .audit(
        .tampered("\(checkpoint.size) entries were signed for, \(tree.size) are there"))
    }
    guard tree.root == checkpoint.root else {
      throw .audit(.tampered("the root of its first \(tree.size) entries is another"))
    }
    return LogResumption(segments: segments, tree: tree)
  }

  private static func describe(
    _ file: Int32, _ first: UInt64, _ bytes: Int64
  ) throws(LogError) -> LogTreeFile.Segment {
    let status = try calling { () throws(SyscallError) in try Files.status(file) }
    return LogTreeFile.Segment(
      first: first, bytes: bytes, inode: status.identity.inode,
      changedNanoseconds: status.changedNanoseconds)
  }

  /// Complete entries behind it; the first that is none ends the log.
  mutating func takeTail(_ directory: Int32) throws(LogError) -> Tail {
    var tail = Tail()
    try takeTail(of: segments.count - 1, directory, &tail)
    let known = Set(segments.map(\.first))
    let firsts = try calling { () throws(SyscallError) in try LogNames.segments(in: directory) }
    // A segment is begun before anything of it is signed for.
    for first in firsts where !known.contains(first) && first > segments.last!.first {
      guard first == tree.size, tail.cutBytes == 0 else { break }
      segments.append(
        LogTreeFile.Segment(first: first, bytes: 0, inode: 0, changedNanoseconds: 0))
      try takeTail(of: segments.count - 1, directory, &tail)
    }
    return tail
  }

  private static let cutMaxBytes = 16 << 20

  private mutating func takeTail(
    of index: Int, _ directory: Int32, _ tail: inout Tail
  ) throws(LogError) {
    let first = segments[index].first
    let file = try calling { () throws(SyscallError) in
      try LogNames.openSegment(first, forWriting: false, in: directory)
    }
    var tree = self.tree
    var kept: UInt64 = 0
    let end = try LogLines.read(file.raw, from: segments[index].bytes) { (line) throws(LogError) in
      guard let entry = try? Entry(parsing: LogLines.copy(line)), entry.index == tree.size else {
        return false
      }
      if entry.kind == .keyRotated { tail.rotatedTo = entry.data["to"]?.stringValue }
      tree.append(MerkleTree.leaf(line))
      kept += 1
      return true
    }
    self.tree = tree
    tail.kept += kept
    segments[index] = try Self.describe(file.raw, first, end.offset)
    guard end.rest > 0 else { return }
    tail.cutBytes = end.rest
    let cut = try calling { () throws(SyscallError) in
      try Files.read(
        file.raw, upTo: Int(min(end.rest, Int64(Self.cutMaxBytes))), at: end.offset)
    }
    tail.cutDigest = Hexadecimal.encode(Digest.sha256(cut).bytes)
  }
}
