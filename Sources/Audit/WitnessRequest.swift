internal import Hashing

/// What a log asks a witness: to cosign a checkpoint that follows from one that the witness has seen (the
/// body of `add-checkpoint`, C2SP tlog-witness).
public struct WitnessRequest: Equatable, Sendable {
  public let oldSize: UInt64
  public let proof: [Digest]
  public let checkpoint: SignedNote

  public static let sizeMaxBytes = 1 << 17

  public init(oldSize: UInt64, proof: [Digest], checkpoint: SignedNote) {
    self.oldSize = oldSize
    self.proof = proof
    self.checkpoint = checkpoint
  }

  public init(parsing bytes: [UInt8]) throws(AuditError) {
    let wrong = AuditError.malformed("not a request to a witness (C2SP tlog-witness)")
    guard bytes.count <= Self.sizeMaxBytes, let text = String(validating: bytes, as: UTF8.self)
    else { throw wrong }
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
    guard let blank = lines.firstIndex(of: ""), blank >= 1, lines[0].hasPrefix("old "),
      let size = UInt64(lines[0].dropFirst(4)), lines[0] == "old \(size)",
      blank - 1 <= MerkleProof.digestsMax
    else { throw wrong }
    oldSize = size
    var proof: [Digest] = []
    for line in lines[1..<blank] {
      guard let bytes = Base64.decode(line), let digest = Digest(bytes: bytes) else { throw wrong }
      proof.append(digest)
    }
    self.proof = proof
    checkpoint = try SignedNote(
      parsing: Array(lines[(blank + 1)...].joined(separator: "\n").utf8))
  }

  public var bytes: [UInt8] {
    var text = "old \(oldSize)\n"
    for digest in proof { text += digest.base64 + "\n" }
    return Array((text + "\n").utf8) + checkpoint.bytes
  }

  /// Cosigns when the log, of which the witness has seen `seen`, has only grown.
  /// - Returns: the checkpoint to be seen next, and its note with the cosignature.
  public func cosigned(
    seen: Checkpoint?, log: VerifierKey, by key: SigningKey, name: String, timeSeconds: UInt64
  ) throws(AuditError) -> (checkpoint: Checkpoint, note: SignedNote) {
    let head = try Checkpoint.open(checkpoint, key: log)
    let size = seen?.size ?? 0
    guard oldSize == size else {
      throw .malformed("the request starts from \(oldSize) entries; \(size) were seen")
    }
    guard
      MerkleProof.isConsistent(
        first: size, firstRoot: seen?.root ?? MerkleTree().root, size: head.size, root: head.root,
        proof: proof)
    else { throw .tampered("the log does not begin with the \(size) entries that were seen") }
    var note = checkpoint
    note.cosign(key, name: name, timeSeconds: timeSeconds)
    return (head, note)
  }
}
