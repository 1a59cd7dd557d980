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
}
