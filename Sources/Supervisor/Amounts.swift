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

  /// RFC 3339 in UTC with milliseconds; the calendar is Howard Hinnant's civil_from_days.
  static func timestamp(_ nanoseconds: UInt64) -> String {
    let seconds = Int(nanoseconds / 1_000_000_000)
    let days = seconds / 86400 + 719_468
    let era = days / 146_097
    let dayOfEra = days - era * 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let shifted = (5 * dayOfYear + 2) / 153
    let day = dayOfYear - (153 * shifted + 2) / 5 + 1
    let month = shifted < 10 ? shifted + 3 : shifted - 9
    let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
    let rest = seconds % 86400
    let milliseconds = Int(nanoseconds / 1_000_000 % 1000)
    return
      "\(year)-\(two(month))-\(two(day))T\(two(rest / 3600)):\(two(rest / 60 % 60)):\(two(rest % 60))"
      + ".\(milliseconds < 100 ? "0" : "")\(two(milliseconds))Z"
  }

  private static func two(_ value: Int) -> String { value < 10 ? "0\(value)" : "\(value)" }
}

/// The version of every command of this build.
public enum Version {
  public static let text = "0.1.0"
}
