internal import CSodium
internal import Hashing

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
