import Hashing
import JSON
import Testing

@testable import Audit

@Suite struct NoteTests {
  private let key = SigningKey(seed: Array(0..<32))
  private let origin = "agt-run/host/test"

  private func checkpoint(_ count: Int) -> (SignedNote, Checkpoint) {
    var tree = MerkleTree()
    for number in 0..<count { tree.append(MerkleTree.leaf(Array("entry \(number)".utf8))) }
    let head = Checkpoint(origin: origin, size: tree.size, root: tree.root)
    var note = SignedNote(text: head.text)
    note.sign(key, name: origin)
    return (note, head)
  }

  /// The example of C2SP signed-note: key PeterNeumann of Go's sumdb/note documentation.
  @Test func verifiesANoteThatGoHasWritten() throws {
    let verifier = try #require(
      VerifierKey("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"))
    let text = """
      If you think cryptography is the answer to your problem,
      then you don't know what your problem is.

      \u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=

      """
    let note = try SignedNote(parsing: Array(text.utf8))
    #expect(note.isSigned(by: verifier))
    let other = try SignedNote(parsing: Array(text.replacing("answer", with: "Answer").utf8))
    #expect(!other.isSigned(by: verifier))
  }

  @Test func aCheckpointIsReadBackAndEveryFlippedBitIsRefused() throws {
    let (note, head) = checkpoint(5)
    let verifier = key.verifier(name: origin)
    #expect(try Checkpoint.open(SignedNote(parsing: note.bytes), key: verifier) == head)
    for bit in 0..<(note.bytes.count * 8) {
      var bytes = note.bytes
      bytes[bit / 8] ^= 1 << UInt8(bit % 8)
      let opened = try? Checkpoint.open(SignedNote(parsing: bytes), key: verifier)
      #expect(opened == nil, "bit \(bit)")
    }
  }

  /// Whoever has the key compares with what it would have signed, and believes nothing else for it.
  @Test func theSignerItselfRefusesWhatOthersRefuse() throws {
    let (note, head) = checkpoint(5)
    let verifier = key.verifier(name: origin)
    #expect(try Checkpoint.open(note, key: verifier, own: key) == head)
    for bit in stride(from: 0, to: note.bytes.count * 8, by: 3) {
      var bytes = note.bytes
      bytes[bit / 8] ^= 1 << UInt8(bit % 8)
      let opened = try? Checkpoint.open(SignedNote(parsing: bytes), key: verifier, own: key)
      #expect(opened == nil, "bit \(bit)")
    }
    // With another key than the one that is asked for, only the signature counts.
    let other = SigningKey(seed: Array(64..<96))
    #expect(note.isSigned(by: verifier, own: other))
    #expect(!note.isSigned(by: other.verifier(name: origin), own: key))
    #expect(!note.isSigned(by: other.verifier(name: origin), own: other))
  }

  @Test func aWitnessCosigns() throws {
    var (note, _) = checkpoint(3)
    let witness = SigningKey(seed: Array(32..<64))
    note.cosign(witness, name: "witness.example", timeSeconds: 1_700_000_000)
    let verifier = witness.verifier(name: "witness.example", algorithm: .cosignature)
    let read = try SignedNote(parsing: note.bytes)
    #expect(read.cosignatureTime(of: verifier) == 1_700_000_000)
    #expect(read.isSigned(by: key.verifier(name: origin)))
    #expect(read.cosignatureTime(of: key.verifier(name: origin, algorithm: .cosignature)) == nil)
    #expect(VerifierKey(verifier.text) == verifier)
    #expect(VerifierKey(verifier.text.replacing("witness", with: "Witness")) == nil)
  }

  @Test func aProofIsReadBackAndChecked() throws {
    let (note, head) = checkpoint(7)
    var builder = ProofBuilder.inclusion(of: 4, size: 7)
    for number in 0..<7 { builder.take(MerkleTree.leaf(Array("entry \(number)".utf8))) }
    let hashes = try #require(builder.finish())
    let proof = LogProof(
      index: 4, hashes: hashes, checkpoint: note, extra: Array("entry 4".utf8))
    let read = try LogProof(parsing: proof.bytes)
    #expect(read == proof)
    let verifier = key.verifier(name: origin)
    #expect(try read.check(Array("entry 4".utf8), key: verifier) == head)
    #expect(throws: AuditError.self) { try read.check(Array("entry 5".utf8), key: verifier) }
  }

  @Test(arguments: ["AA", "AA=A", "AB==", "AAB=", "A===", "A A=", "AAA\u{E9}"])
  func base64IsReadInItsOneForm(_ text: String) { #expect(Base64.decode(text) == nil) }

  @Test func base64OfRFC4648() {
    let pairs = [
      ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="),
      ("fooba", "Zm9vYmE="), ("foobar", "Zm9vYmFy"),
    ]
    for (plain, encoded) in pairs {
      #expect(Base64.encode(Array(plain.utf8)) == encoded)
      #expect(Base64.decode(encoded) == Array(plain.utf8))
    }
  }

  @Test func entriesAreCanonicalAndReadBack() throws {
    let line = try Entry.encode(
      index: 3, kind: .note, timeMilliseconds: 1_709_164_799_999,
      data: ["b": "\u{20AC}", "a": [1, true, nil]])
    #expect(
      String(decoding: line, as: UTF8.self)
        == #"{"data":{"a":[1,true,null],"b":"€"},"index":3,"kind":"note","time":"2024-02-28T23:59:59.999Z"}"#
    )
    #expect(try Entry(parsing: line).data["b"] == "\u{20AC}")
    let spaced = Array(String(decoding: line, as: UTF8.self).replacing(":3", with: ": 3").utf8)
    #expect(throws: AuditError.self) { try Entry(parsing: spaced) }
    #expect(throws: AuditError.self) {
      try Entry.encode(
        index: 0, kind: .note, timeMilliseconds: 0, data: ["n": .integer(.max)])
    }
  }
}
