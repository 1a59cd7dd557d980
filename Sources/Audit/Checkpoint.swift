internal import Hashing

/// The head of a log: which log, how many entries, and the root over them (C2SP tlog-checkpoint).
public struct Checkpoint: Equatable, Sendable {
  public let origin: String
  public let size: UInt64
  public let root: Digest

  public init(origin: String, size: UInt64, root: Digest) {
    self.origin = origin
    self.size = size
    self.root = root
  }

  /// The text of a note; lines after the third are extensions that we neither write nor take.
  public init(text: String) throws(AuditError) {
    let lines = Array(text.utf8).split(separator: 0x0A, omittingEmptySubsequences: false)
    guard lines.count == 4, lines[3].isEmpty, !lines[0].isEmpty,
      let size = Self.number(lines[1]), let bytes = Base64.decode(lines[2]),
      let root = Digest(bytes: bytes)
    else { throw .malformed("a checkpoint has three lines: origin, size, root") }
    self.init(origin: String(decoding: lines[0], as: UTF8.self), size: size, root: root)
  }

  /// The size that a note claims, whoever has signed it.
  public static func claimedSize(ofNote bytes: [UInt8]) -> UInt64? {
    let lines = bytes.split(separator: 0x0A, maxSplits: 2, omittingEmptySubsequences: false)
    return lines.count == 3 ? number(lines[1]) : nil
  }

  /// In the one form that a checkpoint has it in: digits, none of them a leading zero.
  private static func number(_ digits: ArraySlice<UInt8>) -> UInt64? {
    let text = String(decoding: digits, as: UTF8.self)
    return UInt64(text).flatMap { "\($0)" == text ? $0 : nil }
  }

  public var text: String { "\(origin)\n\(size)\n\(root.base64)\n" }

  /// The note of this checkpoint with the signatures of these keys.
  public func signed(by keys: [SigningKey]) -> SignedNote {
    var note = SignedNote(text: text)
    for key in keys { note.sign(key, name: origin) }
    return note
  }

  /// A checkpoint that `key` has signed.
  /// - Parameter own: as in `SignedNote.isSigned`.
  public static func open(
    _ note: SignedNote, key: VerifierKey, own: SigningKey? = nil
  ) throws(AuditError) -> Checkpoint {
    guard note.isSigned(by: key, own: own) else {
      throw .tampered("a checkpoint is not signed by \(key.text)")
    }
    let checkpoint = try Checkpoint(text: note.text)
    guard checkpoint.origin == key.name else {
      throw .tampered("a checkpoint of \(checkpoint.origin) is signed by \(key.name)")
    }
    return checkpoint
  }
}

/// That an entry is in a log, for somebody who has neither (C2SP tlog-proof).
public struct LogProof: Equatable, Sendable {
  public let index: UInt64
  public let hashes: [Digest]
  public let checkpoint: SignedNote
  /// The entry itself, so that the proof says what it proves.
  public let extra: [UInt8]?

  private static let header = "c2sp.org/tlog-proof@v1"
  /// An entry, its proof and a note.
  public static let sizeMaxBytes = 2 << 20

  public init(index: UInt64, hashes: [Digest], checkpoint: SignedNote, extra: [UInt8]?) {
    self.index = index
    self.hashes = hashes
    self.checkpoint = checkpoint
    self.extra = extra
  }

  public init(parsing bytes: [UInt8]) throws(AuditError) {
    let wrong = AuditError.malformed("not a proof of the form \(Self.header)")
    guard bytes.count <= Self.sizeMaxBytes, let text = String(validating: bytes, as: UTF8.self)
    else { throw wrong }
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
    guard lines.first == Self.header[...], let blank = lines.firstIndex(of: "") else { throw wrong }
    var head = lines[1..<blank]
    if let line = head.first, line.hasPrefix("extra ") {
      guard let decoded = Base64.decode(line.dropFirst(6)) else { throw wrong }
      extra = decoded
      head = head.dropFirst()
    } else {
      extra = nil
    }
    guard let line = head.popFirst(), line.hasPrefix("index "),
      let index = UInt64(line.dropFirst(6)), "index \(index)" == line,
      head.count <= MerkleProof.digestsMax
    else { throw wrong }
    self.index = index
    var hashes: [Digest] = []
    for line in head {
      guard let bytes = Base64.decode(line), let hash = Digest(bytes: bytes) else { throw wrong }
      hashes.append(hash)
    }
    self.hashes = hashes
    checkpoint = try SignedNote(
      parsing: Array(lines[(blank + 1)...].joined(separator: "\n").utf8))
  }

  public var bytes: [UInt8] {
    var text = Self.header + "\n"
    if let extra { text += "extra \(Base64.encode(extra))\n" }
    text += "index \(index)\n"
    for hash in hashes { text += hash.base64 + "\n" }
    return Array((text + "\n").utf8) + checkpoint.bytes
  }

  /// Whether the entry is in the log that `key` signs for.
  /// - Returns: the checkpoint that the proof leads to.
  public func check(_ entry: [UInt8], key: VerifierKey) throws(AuditError) -> Checkpoint {
    let head = try Checkpoint.open(checkpoint, key: key)
    guard
      MerkleProof.includes(
        MerkleTree.leaf(entry), index: index, size: head.size, root: head.root, proof: hashes)
    else { throw .tampered("the proof does not lead from the entry to the root") }
    return head
  }
}
