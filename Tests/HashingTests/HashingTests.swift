import Hashing
import Testing

@Suite struct HashingTests {
  /// FIPS 180-4's examples by NIST, and the empty message.
  @Test(
    "SHA-256 vectors",
    arguments: [
      ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
      ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
      (
        "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
      ),
    ])
  func vectors(_ message: String, _ digest: String) {
    #expect(SHA256.text(Array(message.utf8)) == digest)
  }

  @Test("parts give what the whole gives")
  func parts() {
    let whole = (0..<100_000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
    for size in [1, 63, 64, 65, 4096] {
      var hash = SHA256()
      var rest = whole[...]
      while !rest.isEmpty {
        hash.update(Array(rest.prefix(size)))
        rest = rest.dropFirst(size)
      }
      #expect(hash.finish() == SHA256.digest(whole), "\(size)")
    }
  }

  @Test("hexadecimal both ways, and nothing that it does not write")
  func hexadecimal() {
    let bytes = (0...255).map { UInt8($0) }
    let text = Hexadecimal.encode(bytes)
    #expect(text.hasPrefix("000102") && text.hasSuffix("fdfeff"))
    #expect(Hexadecimal.decode(text.utf8) == bytes)
    for wrong in ["0", "0G", "AB", "0x", " 0"] { #expect(Hexadecimal.decode(wrong.utf8) == nil) }
  }
}
