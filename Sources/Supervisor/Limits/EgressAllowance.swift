/// What may still be sent to one destination, by all connections to it together.
///
/// A destination is what a rule names at one port: all names below a wildcard are one, because whoever has the
/// domain can make as many as they like, and so are all addresses of a range.
final class EgressAllowance {
  /// `example.org:443`, `*.example.org:443`, `10.20.0.0/16:5432`
  let destination: String
  private(set) var leftBytes: UInt64
  private(set) var sentBytes: UInt64 = 0

  init(_ destination: String, leftBytes: UInt64) {
    self.destination = destination
    self.leftBytes = leftBytes
  }

  /// Why a connection is reset that wants to send more.
  var refusal: String { Self.refusalFront + destination + Self.refusalBack }

  /// Whether a text is of such a refusal, which the end of the run explains, and not of a host that no rule names.
  static func isRefusal(_ text: String) -> Bool {
    text.hasPrefix(refusalFront) && text.hasSuffix(refusalBack)
  }

  private static let refusalFront = "the egress limit of the run to "
  private static let refusalBack = " is used up"

  /// Before they are sent.
  /// - Returns: false when that many are not left; then nothing is taken.
  func take(_ bytes: Int) -> Bool {
    guard UInt64(bytes) <= leftBytes else { return false }
    leftBytes -= UInt64(bytes)
    sentBytes += UInt64(bytes)
    return true
  }
}
