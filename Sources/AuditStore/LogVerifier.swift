public import Audit
internal import Glibc
internal import JSON
internal import Kernel

/// What a log was found to be.
public struct LogFinding: Sendable {
  public var checkpoint: Checkpoint
  public var note: SignedNote
  /// Complete entries behind the checkpoint: nothing vouches for them yet.
  public var unsignedEntries: UInt64
  /// Bytes behind the last complete line.
  public var tornBytes: Int64
  /// The key that signs now; another than the first after a rotation.
  public var key: VerifierKey
  public var rotations: Int
}

/// Reads a whole log and believes nothing that its signatures do not say.
///
/// Memory does not grow with the log. A flipped bit, an entry that was removed, swapped, inserted or
/// doubled, gives another root than the signed one; what is missing at the end is found only against
/// something that was kept elsewhere: `from`, or the end of the run in the host's log.
public final class LogVerifier {
  private let directory: OwnedFD
  private let path: String

  public init(_ path: String) throws(LogError) {
    self.path = path
    directory = try calling { () throws(SyscallError) in
      try Files.open(ByteString(path), O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
    }
  }

  /// The first key that the log ever had, as it says itself.
  public func ownKey() throws(LogError) -> VerifierKey {
    let bytes = try calling { () throws(SyscallError) in
      try Files.readRegular(
        HostLog.publicName, limit: HostLog.keyMaxBytes, at: directory.raw)
    }
    guard let key = VerifierKey(bytes.text.filter { !$0.isNewline }) else {
      throw .audit(.malformed("\(path)/key.pub is no key"))
    }
    return key
  }

  /// - Parameters:
  ///   - key: the first key of the log.
  ///   - from: checkpoints that were kept: the log must begin with what they were of.
  ///   - visit: gets every complete entry, in order.
  public func verify(
    key: VerifierKey, from: [Checkpoint] = [],
    visit: ((UInt64, Span<UInt8>) throws(LogError) -> Void)? = nil
  ) throws(LogError) -> LogFinding {
    // A writer may be at work: what is signed is read before the entries, which only grow.
    var heads = try Self.heads(directory.raw, key)
    guard let largest = heads.first?.checkpoint.size else {
      throw .audit(.tampered("it has no checkpoint of \(key.name)"))
    }
    var known = from.sorted { $0.size < $1.size }[...]
    var tree = MerkleTree()
    var signer = key
    var rotations = 0
    try checkKnown(&known, tree)
    Self.note(&heads, tree, signer, rotations)
    let torn = try eachLine { (line) throws(LogError) in
      let index = tree.size
      guard Self.names(line, index) else {
        if index >= largest { return false }
        throw .audit(.tampered("line \(index + 1) is not entry \(index)"))
      }
      if Self.hasKind(line, "key.rotated") {
        guard let next = Self.rotation(line, signer) else {
          throw .audit(
            .tampered("entry \(index) changes the key, and not both keys have signed it"))
        }
        signer = next
        rotations += 1
      }
      tree.append(MerkleTree.leaf(line))
      try visit?(index, line)
      try checkKnown(&known, tree)
      Self.note(&heads, tree, signer, rotations)
      return true
    }
    guard tree.size >= largest else {
      throw .audit(.tampered("\(largest) entries were signed for, \(tree.size) are there"))
    }
    for head in heads {
      guard let signer = head.signer, head.note.isSigned(by: signer) else { continue }
      guard head.root == head.checkpoint.root else {
        throw .audit(
          .tampered(
            "the root of its \(head.checkpoint.size) entries is another than the signed one"))
      }
      if let longest = known.last, longest.size > head.checkpoint.size {
        throw .audit(
          .tampered(
            "\(longest.size) entries were there once, and \(head.checkpoint.size) are signed now"))
      }
      return LogFinding(
        checkpoint: head.checkpoint, note: head.note,
        unsignedEntries: tree.size - head.checkpoint.size, tornBytes: torn, key: signer,
        rotations: head.rotations)
    }
    throw .audit(.tampered("no checkpoint of it is signed by \(signer.text)"))
  }

  /// A checkpoint that is not believed before the entries confirm it.
  private struct Head {
    var note: SignedNote
    var checkpoint: Checkpoint
    // Of its size, as they are read.
    var root: Digest?
    var signer: VerifierKey?
    var rotations = 0
  }

  /// The larger first.
  private static func heads(_ directory: Int32, _ key: VerifierKey) throws(LogError) -> [Head] {
    var heads: [Head] = []
    for number in 0...1 {
      guard
        let bytes = try? Files.readRegular(
          LogNames.checkpoint(number), limit: SignedNote.sizeMaxBytes, at: directory),
        let note = try? SignedNote(parsing: bytes),
        let checkpoint = try? Checkpoint(text: note.text), checkpoint.origin == key.name
      else { continue }
      heads.append(Head(note: note, checkpoint: checkpoint))
    }
    return heads.sorted { $0.checkpoint.size > $1.checkpoint.size }
  }

  private static func note(
    _ heads: inout [Head], _ tree: MerkleTree, _ signer: VerifierKey, _ rotations: Int
  ) {
    for index in heads.indices where heads[index].checkpoint.size == tree.size {
      heads[index].root = tree.root
      heads[index].signer = signer
      heads[index].rotations = rotations
    }
  }

  private func checkKnown(
    _ known: inout ArraySlice<Checkpoint>, _ tree: MerkleTree
  ) throws(LogError) {
    while let next = known.first, next.size <= tree.size {
      guard next.root == tree.root else {
        throw .audit(
          .tampered("its first \(next.size) entries are others than those of the kept checkpoint"))
      }
      known.removeFirst()
    }
  }

  // MARK: lines

  /// - Returns: bytes behind the last line that was taken.
  private func eachLine(
    _ body: (Span<UInt8>) throws(LogError) -> Bool
  ) throws(LogError) -> Int64 {
    var rest: Int64 = 0
    var count: UInt64 = 0
    for first in try calling({ () throws(SyscallError) in
      try LogNames.segments(in: directory.raw)
    }) {
      guard first == count else {
        throw .audit(.tampered("a file of entries begins with \(first) instead of \(count)"))
      }
      guard rest == 0 else {
        throw .audit(.tampered("the file of entries before entry \(first) has a torn end"))
      }
      let file = try calling { () throws(SyscallError) in
        try LogNames.openSegment(first, forWriting: false, in: directory.raw)
      }
      let end = try LogLines.read(file.raw) { (line) throws(LogError) in
        guard try body(line) else { return false }
        count += 1
        return true
      }
      rest = end.rest
    }
    return rest
  }

  /// Whether the line ends as entry `index` does: `,"index":N,"kind":"…","time":"2026-…Z"}`.
  static func names(_ line: Span<UInt8>, _ index: UInt64) -> Bool {
    // `","time":"` and 24 characters and `"}`
    let timeBytes = 36
    guard line.count > timeBytes + 20, line[0] == UInt8(ascii: "{") else { return false }
    var place = line.count - timeBytes
    guard line[place] == UInt8(ascii: "\""), line[line.count - 1] == UInt8(ascii: "}") else {
      return false
    }
    // Back over the kind to the quotation mark that begins it.
    place -= 1
    while place > 0, line[place] != UInt8(ascii: "\"") { place -= 1 }
    // `"index":` is before `N,"kind":`.
    let kindBytes = 8
    var end = place - kindBytes
    guard end > 8, line[end] == UInt8(ascii: ",") else { return false }
    var number = index
    repeat {
      end -= 1
      guard end > 8, line[end] == UInt8(48 + number % 10) else { return false }
      number /= 10
    } while number > 0
    return line[end - 1] == UInt8(ascii: ":") && line[end - 2] == UInt8(ascii: "\"")
      && line[end - 3] == UInt8(ascii: "x")
  }

  // MARK: keys

  /// Every complete line of the log, believed or not.
  public func eachEntry(
    from: UInt64 = 0, _ body: ([UInt8]) throws(LogError) -> Void
  ) throws(LogError) {
    var index: UInt64 = 0
    _ = try eachLine { (line) throws(LogError) in
      defer { index += 1 }
      if index >= from { try body(LogLines.copy(line)) }
      return true
    }
  }

  public static func copy(_ line: Span<UInt8>) -> [UInt8] { LogLines.copy(line) }

  /// Whether the entry is of this kind, by its place at the end of the line.
  public static func hasKind(_ line: Span<UInt8>, _ kind: StaticString) -> Bool {
    // `"kind":"` before it, `","time":"` with 24 characters and `"}` behind it.
    let start = line.count - 36 - kind.utf8CodeUnitCount
    guard start > 8, line[start - 1] == UInt8(ascii: "\""), line[start - 2] == UInt8(ascii: ":")
    else { return false }
    // SAFETY: the offsets are those of the buffer.
    return kind.withUTF8Buffer { name in
      for offset in 0..<name.count where unsafe line[start + offset] != name[offset] {
        return false
      }
      return line[start + name.count] == UInt8(ascii: "\"")
    }
  }

  /// The key that follows `old`, when both have signed that it does.
  private static func rotation(_ line: Span<UInt8>, _ old: VerifierKey) -> VerifierKey? {
    guard let entry = try? Entry(parsing: LogLines.copy(line)),
      let text = entry.data["to"]?.stringValue, let new = VerifierKey(text), new.name == old.name,
      let note = entry.data["note"]?.stringValue,
      let signed = try? SignedNote(parsing: Array(note.utf8)),
      signed.text == HostLog.rotationText(old, new), signed.isSigned(by: old),
      signed.isSigned(by: new)
    else { return nil }
    return new
  }
}
