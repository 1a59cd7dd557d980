internal import Audit

/// Sizes, times and dates as people and as JSON read them.
enum Amounts {
  /// `512 MiB`
  static func size(_ bytes: UInt64) -> String {
    for (unit, shift) in [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)] as [(String, UInt64)]
    where bytes >= 1 << shift && bytes % (1 << shift) == 0 { return "\(bytes >> shift) \(unit)" }
    return "\(bytes) bytes"
  }

  /// `10 min`
  static func duration(_ milliseconds: UInt64) -> String {
    for (unit, length) in [("h", 3_600_000), ("min", 60000), ("s", 1000)] as [(String, UInt64)]
    where milliseconds >= length && milliseconds % length == 0 {
      return "\(milliseconds / length) \(unit)"
    }
    return "\(milliseconds) ms"
  }

  /// RFC 3339 in UTC with milliseconds.
  static func timestamp(_ nanoseconds: UInt64) -> String {
    Timestamp.text(milliseconds: nanoseconds / 1_000_000)
  }
}

/// The version of every command of this build.
public enum Version {
  public static let text = "0.1.0"
}
