/// A ULID: 48 bits of milliseconds and 80 random bits in Crockford's base 32, 26 characters that sort by
/// time (github.com/ulid/spec).
public enum RunIdentifier {
  private static let alphabet = Array("0123456789ABCDEFGHJKMNPQRSTVWXYZ")

  public static func make<G: RandomNumberGenerator>(
    wallMilliseconds: UInt64, using generator: inout G
  ) -> String {
    var characters: [Character] = []
    for shift in stride(from: 45, through: 0, by: -5) {
      characters.append(alphabet[Int((wallMilliseconds >> UInt64(shift)) & 31)])
    }
    for _ in 0..<16 { characters.append(alphabet[Int(generator.next() & 31)]) }
    return String(characters)
  }

  /// Whether it looks like one of ours, in capitals.
  public static func isValid(_ text: String) -> Bool {
    text.utf8.count == 26 && text.allSatisfy { alphabet.contains($0) }
  }

  /// When it was made, in milliseconds since 1970-01-01 00:00 UTC.
  /// - Precondition: `isValid`.
  public static func wallMilliseconds(of text: String) -> UInt64 {
    text.prefix(10).reduce(0) { $0 << 5 | UInt64(alphabet.firstIndex(of: $1)!) }
  }
}
