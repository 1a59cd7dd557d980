import Hashing
import Testing

@testable import Audit

@Suite struct MerkleTreeTests {
  /// Leaves and roots of the test vectors of certificate-transparency's reference implementation.
  private static let leaves: [[UInt8]] = [
    [], [0x00], [0x10], [0x20, 0x21], [0x30, 0x31], [0x40, 0x41, 0x42, 0x43],
    [0x50, 0x51, 0x52, 0x53, 0x54, 0x55, 0x56, 0x57],
    [
      0x60, 0x61, 0x62, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x6b, 0x6c, 0x6d, 0x6e,
      0x6f,
    ],
  ]
  private static let roots = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
  ]

  @Test func rootsOfTheReferenceVectors() {
    var tree = MerkleTree()
    #expect(Hexadecimal.encode(tree.root.bytes) == Self.roots[0])
    for (number, leaf) in Self.leaves.enumerated() {
      tree.append(MerkleTree.leaf(leaf))
      #expect(Hexadecimal.encode(tree.root.bytes) == Self.roots[number + 1])
    }
  }

  private static func hashes(_ count: Int) -> [Digest] {
    (0..<count).map { MerkleTree.leaf(Array("entry \($0)".utf8)) }
  }

  private static func roots(_ leaves: [Digest]) -> [Digest] {
    var tree = MerkleTree()
    return [tree.root]
      + leaves.map {
        tree.append($0)
        return tree.root
      }
  }

  private static func build(_ builder: ProofBuilder, _ leaves: ArraySlice<Digest>) -> [Digest]? {
    var builder = builder
    for leaf in leaves { builder.take(leaf) }
    return builder.finish()
  }

  @Test func consistencyBetweenAllPairsOfSizesUpTo300() throws {
    let leaves = Self.hashes(300)
    let roots = Self.roots(leaves)
    for size in 1...300 {
      for first in 1...size {
        let proof = try #require(
          Self.build(.consistency(from: UInt64(first), to: UInt64(size)), leaves[..<size]))
        func holds(_ firstRoot: Digest, _ root: Digest, _ proof: [Digest]) -> Bool {
          MerkleProof.isConsistent(
            first: UInt64(first), firstRoot: firstRoot, size: UInt64(size), root: root, proof: proof
          )
        }
        #expect(holds(roots[first], roots[size], proof))
        #expect(!holds(roots[first - 1], roots[size], proof))
        #expect(!holds(roots[first], roots[size - 1], proof))
        #expect(!holds(roots[first], roots[size], proof + [roots[0]]))
        if !proof.isEmpty { #expect(!holds(roots[first], roots[size], proof.dropLast())) }
      }
    }
  }

  @Test func inclusionOfEveryEntryUpToSize100() throws {
    let leaves = Self.hashes(100)
    let roots = Self.roots(leaves)
    for size in 1...100 {
      for index in 0..<size {
        let proof = try #require(
          Self.build(.inclusion(of: UInt64(index), size: UInt64(size)), leaves[..<size]))
        func holds(_ leaf: Digest, _ index: Int, _ proof: [Digest]) -> Bool {
          MerkleProof.includes(
            leaf, index: UInt64(index), size: UInt64(size), root: roots[size], proof: proof)
        }
        #expect(holds(leaves[index], index, proof))
        #expect(!holds(roots[0], index, proof))
        #expect(!holds(leaves[index], index, proof + [roots[0]]))
        if size > 1 { #expect(!holds(leaves[index], (index + 1) % size, proof)) }
      }
    }
  }

  @Test func aProofNeedsTheWholeLog() {
    let leaves = Self.hashes(6)
    #expect(Self.build(.inclusion(of: 2, size: 7), leaves[...]) == nil)
  }
}
