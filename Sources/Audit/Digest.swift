internal import CNettle
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
    var state = sha256_ctx()
    // SAFETY: the state is ours, the input has its true length.
    unsafe nettle_sha256_init(&state)
    unsafe nettle_sha256_update(&state, bytes.count, bytes)
    return finish(&state)
  }

  /// SHA-256 of `prefix` followed by the bytes; the leaf hash of RFC 6962 needs no copy of the entry.
  static func sha256(prefix: UInt8, _ bytes: UnsafeRawBufferPointer) -> Digest {
    var state = sha256_ctx()
    var prefix = prefix
    // SAFETY: state and prefix are ours, the input has its true length.
    unsafe nettle_sha256_init(&state)
    unsafe nettle_sha256_update(&state, 1, &prefix)
    unsafe nettle_sha256_update(
      &state, bytes.count, bytes.baseAddress?.assumingMemoryBound(to: UInt8.self))
    return finish(&state)
  }

  /// SHA-256 of 0x01, `left`, `right`: an inner node of RFC 6962, section 2.1.
  static func node(_ left: Digest, _ right: Digest) -> Digest {
    var state = sha256_ctx()
    var prefix: UInt8 = 1
    // SAFETY: the state is ours, the inputs are one byte and the 32 of each value.
    unsafe nettle_sha256_init(&state)
    unsafe nettle_sha256_update(&state, 1, &prefix)
    update(&state, left)
    update(&state, right)
    return finish(&state)
  }

  private static func update(_ state: inout sha256_ctx, _ child: Digest) {
    // SAFETY: the 32 bytes of the value, bound to bytes for the call.
    unsafe withUnsafeBytes(of: child.words) {
      unsafe nettle_sha256_update(
        &state, sizeBytes, $0.baseAddress!.assumingMemoryBound(to: UInt8.self))
    }
  }

  private static func finish(_ state: inout sha256_ctx) -> Digest {
    var digest = Digest()
    // SAFETY: the output has the 32 bytes that are written.
    unsafe digest.withOutput { unsafe nettle_sha256_digest(&state, sizeBytes, $0) }
    return digest
  }

  private mutating func withOutput(_ body: (UnsafeMutablePointer<UInt8>) -> Void) {
    // SAFETY: the 32 bytes of the value, bound to bytes for the call.
    unsafe withUnsafeMutableBytes(of: &words) {
      unsafe body($0.baseAddress!.assumingMemoryBound(to: UInt8.self))
    }
  }
}
