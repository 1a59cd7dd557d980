/// The Merkle tree of RFC 6962, section 2.1, over SHA-256, as a log that only grows sees it: the roots of
/// the complete subtrees from left to right, one per bit that is set in the size. 64 digests hold any log.
public struct MerkleTree: Equatable, Sendable {
  /// Number of leaves.
  public private(set) var size: UInt64
  /// Largest subtree first.
  public private(set) var subtrees: [Digest]

  public init() {
    size = 0
    subtrees = []
  }

  /// A tree that was stored; nil when the number of subtrees does not fit the size.
  public init?(size: UInt64, subtrees: [Digest]) {
    guard subtrees.count == size.nonzeroBitCount else { return nil }
    self.size = size
    self.subtrees = subtrees
  }

  /// MTH({d(0)}) = SHA-256(0x00 || d(0)).
  public static func leaf(_ entry: [UInt8]) -> Digest {
    // SAFETY: the pointer lives for the call.
    unsafe entry.withUnsafeBytes { unsafe Digest.sha256(prefix: 0, $0) }
  }

  public static func leaf(_ entry: Span<UInt8>) -> Digest {
    // SAFETY: the pointer lives for the call.
    unsafe entry.withUnsafeBytes { unsafe Digest.sha256(prefix: 0, $0) }
  }

  public mutating func append(_ leaf: Digest) {
    var node = leaf
    for _ in 0..<size.trailingOneBitCount { node = Digest.node(subtrees.removeLast(), node) }
    subtrees.append(node)
    size += 1
  }

  /// MTH of all leaves; of none, SHA-256 of nothing.
  public var root: Digest {
    guard var node = subtrees.last else { return Digest.sha256([]) }
    for left in subtrees.dropLast().reversed() { node = Digest.node(left, node) }
    return node
  }
}

extension UInt64 {
  fileprivate var trailingOneBitCount: Int { (~self).trailingZeroBitCount }

  /// The largest power of two below the value, which is above 1 (k of RFC 6962, section 2.1).
  fileprivate var split: UInt64 { 1 << UInt64(63 - (self - 1).leadingZeroBitCount) }
}

/// Proofs of RFC 6962, sections 2.1.1 and 2.1.2, made from leaf hashes in the order of the log.
///
/// A log is not held in memory: a proof names the subtrees that it needs first, and one pass over the
/// leaves hashes them. Memory is a few dozen digests, whatever the log's size.
public struct ProofBuilder: Sendable {
  private struct Part: Sendable {
    var range: Range<UInt64>
    var tree = MerkleTree()
  }
  /// By their place in the log; `order` is that of the proof.
  private var parts: [Part]
  private let order: [Int]
  private var next: UInt64 = 0
  private var current = 0

  /// PATH(index, D[size]).
  /// - Precondition: `index` is below `size`.
  public static func inclusion(of index: UInt64, size: UInt64) -> ProofBuilder {
    precondition(index < size)
    return ProofBuilder(path(index, 0..<size))
  }

  /// PROOF(first, D[size]).
  /// - Precondition: `first` is in 1 … `size`.
  public static func consistency(from first: UInt64, to size: UInt64) -> ProofBuilder {
    precondition(first > 0 && first <= size)
    return ProofBuilder(subproof(first, 0..<size, isComplete: true))
  }

  private init(_ ranges: [Range<UInt64>]) {
    let sorted = ranges.indices.sorted { ranges[$0].lowerBound < ranges[$1].lowerBound }
    parts = sorted.map { Part(range: ranges[$0]) }
    var order = [Int](repeating: 0, count: ranges.count)
    for (place, index) in sorted.enumerated() { order[index] = place }
    self.order = order
  }

  private static func path(_ index: UInt64, _ range: Range<UInt64>) -> [Range<UInt64>] {
    let count = UInt64(range.count)
    guard count > 1 else { return [] }
    let middle = range.lowerBound + count.split
    return index < middle
      ? path(index, range.lowerBound..<middle) + [middle..<range.upperBound]
      : path(index, middle..<range.upperBound) + [range.lowerBound..<middle]
  }

  private static func subproof(
    _ first: UInt64, _ range: Range<UInt64>, isComplete: Bool
  ) -> [Range<UInt64>] {
    let count = UInt64(range.count)
    if first == count { return isComplete ? [] : [range] }
    let split = count.split
    let middle = range.lowerBound + split
    return first <= split
      ? subproof(first, range.lowerBound..<middle, isComplete: isComplete)
        + [middle..<range.upperBound]
      : subproof(first - split, middle..<range.upperBound, isComplete: false)
        + [range.lowerBound..<middle]
  }

  /// Takes the hash of the next leaf, from the first on.
  public mutating func take(_ leaf: Digest) {
    while current < parts.count, parts[current].range.upperBound <= next { current += 1 }
    if current < parts.count, parts[current].range.contains(next) {
      parts[current].tree.append(leaf)
    }
    next += 1
  }

  /// The proof; nil when the log had fewer leaves than the proof is for.
  public func finish() -> [Digest]? {
    guard parts.allSatisfy({ $0.tree.size == UInt64($0.range.count) }) else { return nil }
    return order.map { parts[$0].tree.root }
  }
}

/// Checking of proofs, as RFC 9162, sections 2.1.3.2 and 2.1.4.2, spells it out for the same tree.
public enum MerkleProof {
  /// The longest proof of a tree with 2^64 leaves.
  public static let digestsMax = 64

  /// Whether `leaf` is entry `index` of the tree.
  public static func includes(
    _ leaf: Digest, index: UInt64, size: UInt64, root: Digest, proof: [Digest]
  ) -> Bool {
    guard index < size else { return false }
    var position = index
    var last = size - 1
    var node = leaf
    for digest in proof {
      if last == 0 { return false }
      if position & 1 == 1 || position == last {
        node = Digest.node(digest, node)
        while position & 1 == 0 && position != 0 {
          position >>= 1
          last >>= 1
        }
      } else {
        node = Digest.node(node, digest)
      }
      position >>= 1
      last >>= 1
    }
    return last == 0 && node == root
  }

  /// Whether the tree of `size` leaves begins with the tree of `first` leaves.
  public static func isConsistent(
    first: UInt64, firstRoot: Digest, size: UInt64, root: Digest, proof: [Digest]
  ) -> Bool {
    if first == 0 { return proof.isEmpty && firstRoot == MerkleTree().root }
    guard first < size else { return first == size && proof.isEmpty && firstRoot == root }
    var path = proof[...]
    var position = first - 1
    var last = size - 1
    while position & 1 == 1 {
      position >>= 1
      last >>= 1
    }
    // A first tree that is complete is its own subtree and not repeated in the proof.
    let start = first & (first - 1) == 0 ? firstRoot : path.popFirst()
    guard let start else { return false }
    var old = start
    var new = start
    for digest in path {
      if last == 0 { return false }
      if position & 1 == 1 || position == last {
        old = Digest.node(digest, old)
        new = Digest.node(digest, new)
        while position & 1 == 0 && position != 0 {
          position >>= 1
          last >>= 1
        }
      } else {
        new = Digest.node(new, digest)
      }
      position >>= 1
      last >>= 1
    }
    return last == 0 && old == firstRoot && new == root
  }
}
