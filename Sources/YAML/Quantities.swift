/// Why a size or a duration was not understood. Carries no place, so that the command line and the
/// YAML reader can both put theirs before it.
public struct QuantityError: Error, Equatable, Sendable, CustomStringConvertible {
  /// Cause and how to mend it.
  public let description: String
}

/// Sizes and durations as they are written in profiles and on the command line: a whole number
/// and a unit, without a space between them.
public enum Quantity {
  /// Units of a size. Two-letter binary units as in IEC 80000-13; k, M and G are powers of 1000.
  private static let sizeUnits: [(name: String, bytes: UInt64)] = [
    ("", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30),
    ("k", 1_000), ("M", 1_000_000), ("G", 1_000_000_000),
  ]

  private static let durationUnits: [(name: String, milliseconds: UInt64)] = [
    ("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000),
  ]

  /// Longest text that is looked at: 20 digits of a UInt64 and a unit, with room for zeros.
  private static let lengthMaxBytes = 32

  /// Reads a size such as `512MiB`, `10k` or `4096` (bytes).
  public static func bytes(_ text: String) throws(QuantityError) -> UInt64 {
    let (number, unit) = try split(text, example: "512MiB")
    guard let factor = sizeUnits.first(where: { $0.name == unit })?.bytes else {
      throw QuantityError(
        description: "unknown unit in the size \(YAMLQuote.quote(text)); write KiB, MiB or GiB "
          + "(powers of 1024), or k, M or G (powers of 1000)")
    }
    return try multiply(number, factor, text)
  }

  /// Reads a duration such as `250ms`, `30s`, `5m` or `1h` in milliseconds. Only 0 needs no unit.
  public static func milliseconds(_ text: String) throws(QuantityError) -> UInt64 {
    let (number, unit) = try split(text, example: "30s")
    if unit.isEmpty && number == 0 { return 0 }
    guard let factor = durationUnits.first(where: { $0.name == unit })?.milliseconds else {
      let cause = unit.isEmpty ? "no unit in" : "unknown unit in"
      throw QuantityError(
        description: "\(cause) the duration \(YAMLQuote.quote(text)); write ms, s, m or h after "
          + "the number, for example 30s")
    }
    return try multiply(number, factor, text)
  }

  private static func split(
    _ text: String, example: String
  ) throws(QuantityError) -> (number: UInt64, unit: Substring) {
    let digits = text.utf8.prefix { $0 >= 0x30 && $0 <= 0x39 }
    guard !digits.isEmpty, text.utf8.count <= lengthMaxBytes else {
      throw QuantityError(
        description: "\(YAMLQuote.quote(text)) is not a whole number with a unit; write for "
          + "example \(example)")
    }
    guard let number = UInt64(Substring(digits)) else { throw tooLarge(text) }
    return (number, text[digits.endIndex...])
  }

  private static func multiply(
    _ number: UInt64, _ factor: UInt64, _ text: String
  ) throws(QuantityError) -> UInt64 {
    let (product, isOverflow) = number.multipliedReportingOverflow(by: factor)
    if isOverflow { throw tooLarge(text) }
    return product
  }

  private static func tooLarge(_ text: String) -> QuantityError {
    QuantityError(
      description: "\(YAMLQuote.quote(text)) does not fit into 64 bits; write a smaller number")
  }
}
