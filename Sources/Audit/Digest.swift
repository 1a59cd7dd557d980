internal import CSodium

/// A SHA-256 digest (FIPS 180-4): 32 bytes without an allocation, because a verifier holds millions.
public struct Digest: Equatable, Sendable {
  // The bytes in memory order; four words, because a tuple of 32 bytes is not Equatable.
  private var words: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)

  public static let sizeBytes = 32

  init() {}

  /// nil when there are not exactly 32 bytes.
  public init?(bytes: some Collection<UInt8>) {
    guard bytes.count == Self.sizeBytes else { return nil }
    // SAFETY: the buffer is the value's own 32 bytes, and the count was checked.
    unsafe withUnsafeMutableBytes(of: &words) { unsafe $0.copyBytes(from: bytes) }
  }

  public var bytes: [UInt8] {
    // SAFETY: the buffer is the value's own 32 bytes.
    unsafe withUnsafeBytes(of: words) { unsafe Array($0) }
  }

  public var base64: String { Base64.encode(bytes) }

  public static func == (one: Digest, other: Digest) -> Bool {
    one.words.0 == other.words.0 && one.words.1 == other.words.1 && one.words.2 == other.words.2
      && one.words.3 == other.words.3
  }

  /// SHA-256 of the bytes.
  public static func sha256(_ bytes: [UInt8]) -> Digest {
    var digest = Digest()
    // SAFETY: the output has the 32 bytes that are written, the input its true length.
    unsafe digest.withOutput { output in
      _ = unsafe bytes.withUnsafeBufferPointer {
        unsafe crypto_hash_sha256(output, $0.baseAddress, UInt64($0.count))
      }
    }
    return digest
  }

  /// SHA-256 of `prefix` followed by the bytes; the leaf hash of RFC 6962 needs no copy of the entry.
  static func sha256(prefix: UInt8, _ bytes: UnsafeRawBufferPointer) -> Digest {
    var digest = Digest()
    var state = crypto_hash_sha256_state()
    var prefix = prefix
    // SAFETY: state and prefix are ours, the input has its true length, the output 32 bytes.
    unsafe crypto_hash_sha256_init(&state)
    unsafe crypto_hash_sha256_update(&state, &prefix, 1)
    unsafe crypto_hash_sha256_update(
      &state, bytes.baseAddress?.assumingMemoryBound(to: UInt8.self), UInt64(bytes.count))
    unsafe digest.withOutput { _ = unsafe crypto_hash_sha256_final(&state, $0) }
    return digest
  }

  /// SHA-256 of 0x01, `left`, `right`: an inner node of RFC 6962, section 2.1.
  static func node(_ left: Digest, _ right: Digest) -> Digest {
    var digest = Digest()
    // SAFETY: 65 bytes are written into a buffer of 65 and hashed; the output has 32 bytes.
    unsafe withUnsafeTemporaryAllocation(byteCount: 65, alignment: 8) { buffer in
      unsafe buffer[0] = 1
      unsafe withUnsafeBytes(of: left.words) {
        unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[1..<33]).copyMemory(from: $0)
      }
      unsafe withUnsafeBytes(of: right.words) {
        unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[33..<65]).copyMemory(from: $0)
      }
      unsafe digest.withOutput { output in
        _ = unsafe crypto_hash_sha256(
          output, buffer.baseAddress!.assumingMemoryBound(to: UInt8.self), 65)
      }
    }
    return digest
  }

  private mutating func withOutput(_ body: (UnsafeMutablePointer<UInt8>) -> Void) {
    // SAFETY: the 32 bytes of the value, bound to bytes for the call.
    unsafe withUnsafeMutableBytes(of: &words) {
      unsafe body($0.baseAddress!.assumingMemoryBound(to: UInt8.self))
    }
  }
}

/// Base 64 of RFC 4648, section 4, with padding, in its one canonical form.
public enum Base64 {
  private static let alphabet = Array(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

  private static let values: [UInt8] = {
    var values = [UInt8](repeating: 255, count: 256)
    for (value, letter) in alphabet.enumerated() { values[Int(letter)] = UInt8(value) }
    return values
  }()

  public static func encode(_ bytes: [UInt8]) -> String {
    var text: [UInt8] = []
    text.reserveCapacity((bytes.count + 2) / 3 * 4)
    for start in stride(from: 0, to: bytes.count, by: 3) {
      let count = min(3, bytes.count - start)
      var group = UInt32(bytes[start]) << 16
      if count > 1 { group |= UInt32(bytes[start + 1]) << 8 }
      if count > 2 { group |= UInt32(bytes[start + 2]) }
      for position in 0..<4 {
        let letter = alphabet[Int(group >> UInt32(18 - 6 * position) & 63)]
        text.append(position <= count ? letter : UInt8(ascii: "="))
      }
    }
    return String(decoding: text, as: UTF8.self)
  }

  /// nil for anything that `encode` would not have written.
  public static func decode(_ text: some StringProtocol) -> [UInt8]? {
    let letters = Array(text.utf8)
    guard letters.count % 4 == 0 else { return nil }
    var bytes: [UInt8] = []
    for start in stride(from: 0, to: letters.count, by: 4) {
      var group: UInt32 = 0
      var padding = 0
      for position in 0..<4 {
        let letter = letters[start + position]
        if letter == UInt8(ascii: "="), start + 4 == letters.count, position >= 2 {
          padding += 1
          group <<= 6
          continue
        }
        let value = values[Int(letter)]
        guard value < 64, padding == 0 else { return nil }
        group = group << 6 | UInt32(value)
      }
      bytes.append(UInt8(truncatingIfNeeded: group >> 16))
      if padding < 2 { bytes.append(UInt8(truncatingIfNeeded: group >> 8)) }
      if padding < 1 { bytes.append(UInt8(truncatingIfNeeded: group)) }
      if padding == 2 && group & 0xFFFF != 0 || padding == 1 && group & 0xFF != 0 { return nil }
    }
    return bytes
  }
}
