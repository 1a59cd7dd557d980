internal import CNettle

/// SHA-256 (FIPS 180-4) by Nettle, which uses the processor's own instructions for it, of bytes that come in
/// parts. `SHA256.digest` does it at once.
public struct SHA256 {
  public static let sizeBytes = 32
  private var state = sha256_ctx()

  public init() {
    // SAFETY: the state is ours.
    unsafe nettle_sha256_init(&state)
  }

  public mutating func update(_ part: [UInt8]) {
    // SAFETY: the count is that of the array.
    unsafe nettle_sha256_update(&state, part.count, part)
  }

  public mutating func update(_ part: Span<UInt8>) {
    // SAFETY: the pointer lives for the call.
    unsafe part.withUnsafeBufferPointer {
      unsafe nettle_sha256_update(&state, $0.count, $0.baseAddress)
    }
  }

  /// The 32 bytes of everything so far; nothing can follow.
  public consuming func finish() -> [UInt8] {
    var out = [UInt8](repeating: 0, count: Self.sizeBytes)
    // SAFETY: Nettle writes as many bytes as we say.
    unsafe nettle_sha256_digest(&state, Self.sizeBytes, &out)
    return out
  }

  /// The 32 bytes of the digest.
  public static func digest(_ bytes: [UInt8]) -> [UInt8] {
    var hash = SHA256()
    hash.update(bytes)
    return hash.finish()
  }

  /// The digest in 64 hexadecimal digits.
  public static func text(_ bytes: [UInt8]) -> String { Hexadecimal.encode(digest(bytes)) }
}

/// Bytes as two lower-case hexadecimal digits each (RFC 4648, section 8, in lower case).
public enum Hexadecimal {
  private static let digits = Array("0123456789abcdef".utf8)

  public static func encode(_ bytes: [UInt8]) -> String {
    var out: [UInt8] = []
    out.reserveCapacity(2 * bytes.count)
    append(bytes, to: &out)
    return String(decoding: out, as: UTF8.self)
  }

  /// The digits behind what is there.
  public static func append(_ bytes: [UInt8], to output: inout [UInt8]) {
    output.append(addingCapacity: 2 * bytes.count) { span in
      for byte in bytes {
        span.append(digit(byte >> 4))
        span.append(digit(byte & 15))
      }
    }
  }

  private static func digit(_ value: UInt8) -> UInt8 {
    value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "a") + value - 10
  }

  /// nil for what `encode` does not produce.
  public static func decode(_ text: some Collection<UInt8>) -> [UInt8]? {
    guard text.count.isMultiple(of: 2) else { return nil }
    var out: [UInt8] = []
    var high: UInt8?
    for character in text {
      guard let value = digits.firstIndex(of: character) else { return nil }
      if let first = high {
        out.append(first << 4 | UInt8(value))
        high = nil
      } else {
        high = UInt8(value)
      }
    }
    return out
  }
}
