/// Why a text was not read or a value not written.
public enum JSONError: Error, Equatable, Sendable, CustomStringConvertible {
  /// - Parameters:
  ///   - offset: In bytes from the start of the text.
  ///   - line: 1-based.
  ///   - column: 1-based, in characters (Unicode scalars).
  case malformed(offset: Int, line: Int, column: Int, cause: String)

  /// An integer beyond plus or minus 2^53 - 1: a reader with doubles would take another number for
  /// it (RFC 8785, section 3.2.2.3). Write it as a string.
  case integerNotCanonical(Int64)

  /// JSON has no infinity and no not-a-number (RFC 8785, section 3.2.2.3).
  case numberNotFinite

  public var description: String {
    switch self {
    case .malformed(let offset, let line, let column, let cause):
      "\(line):\(column): \(cause) (byte \(offset))"
    case .integerNotCanonical(let value):
      "the integer \(value) is beyond 2^53 - 1 and has no canonical form; write it as a string"
    case .numberNotFinite:
      "infinity and not-a-number have no form in JSON; leave the member out or write null"
    }
  }
}
