public import Audit
internal import Kernel

/// Proofs from a log on this machine, for somebody who does not have it.
extension LogVerifier {
  /// That entry `index` is in the log, with the entry itself (C2SP tlog-proof).
  /// - Throws: when the log is not what was signed, or its checkpoint does not cover the entry.
  public func prove(_ index: UInt64, key: VerifierKey) throws(LogError) -> LogProof {
    let finding = try verify(key: key)
    let size = finding.checkpoint.size
    guard index < size else {
      throw .audit(.malformed("the log has \(size) signed entries; the first is 0"))
    }
    var builder = ProofBuilder.inclusion(of: index, size: size)
    var entry: [UInt8]?
    _ = try verify(key: key) { (number, line) throws(LogError) in
      guard number < size else { return }
      builder.take(MerkleTree.leaf(line))
      if number == index { entry = LogLines.copy(line) }
    }
    guard let hashes = builder.finish(), let entry else {
      throw .audit(.tampered("the log changed while it was read"))
    }
    return LogProof(index: index, hashes: hashes, checkpoint: finding.note, extra: entry)
  }

  /// That the log still begins with its first `size` entries, and what it is now.
  public func proveGrowth(
    from size: UInt64, key: VerifierKey
  ) throws(LogError) -> (hashes: [Digest], note: SignedNote) {
    let finding = try verify(key: key)
    let now = finding.checkpoint.size
    guard size <= now else {
      throw .audit(.tampered("\(size) entries were there once, and \(now) are signed for now"))
    }
    guard size > 0 else { return ([], finding.note) }
    var builder = ProofBuilder.consistency(from: size, to: now)
    _ = try verify(key: key) { (number, line) throws(LogError) in
      if number < now { builder.take(MerkleTree.leaf(line)) }
    }
    guard let hashes = builder.finish() else {
      throw .audit(.tampered("the log changed while it was read"))
    }
    return (hashes, finding.note)
  }
}
