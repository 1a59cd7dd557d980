/// RFC 3339 without a library.
public enum Timestamp {
  /// `2026-11-25T06:07:08.901Z`
  public static func text(milliseconds: UInt64) -> String {
    var bytes: [UInt8] = []
    append(milliseconds, to: &bytes)
    return String(decoding: bytes, as: UTF8.self)
  }

  /// nil for what `text` does not write.
  public static func milliseconds(_ text: String) -> UInt64? {
    let bytes = Array(text.utf8)
    guard bytes.count == 24 else { return nil }
    func number(_ range: Range<Int>) -> Int? {
      var value = 0
      for byte in bytes[range] {
        guard byte >= 48, byte <= 57 else { return nil }
        value = value * 10 + Int(byte - 48)
      }
      return value
    }
    guard let year = number(0..<4), let month = number(5..<7), let day = number(8..<10),
      let hour = number(11..<13), let minute = number(14..<16), let second = number(17..<19),
      let thousandth = number(20..<23), (1...12).contains(month), year >= 1970
    else { return nil }
    let shifted = month > 2 ? year : year - 1
    let era = shifted / 400
    let yearOfEra = shifted - era * 400
    let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
    let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
    let days = era * 146_097 + dayOfEra - 719_468
    let value = ((days * 24 + hour) * 60 + minute) * 60 + second
    let milliseconds = UInt64(value * 1000 + thousandth)
    return self.text(milliseconds: milliseconds) == text ? milliseconds : nil
  }

  /// Days to civil date: Howard Hinnant, "chrono-compatible low-level date algorithms".
  static func append(_ milliseconds: UInt64, to output: inout [UInt8]) {
    let seconds = milliseconds / 1000
    let day = Int(seconds / 86400) + 719_468
    let era = day / 146_097
    let dayOfEra = day - era * 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let shifted = (5 * dayOfYear + 2) / 153
    let month = shifted < 10 ? shifted + 3 : shifted - 9
    let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
    func digits(_ value: Int, _ count: Int, _ after: Character) {
      var divisor = 1
      for _ in 1..<count { divisor *= 10 }
      for _ in 0..<count {
        output.append(UInt8(48 + value / divisor % 10))
        divisor /= 10
      }
      output.append(after.asciiValue!)
    }
    digits(year, 4, "-")
    digits(month, 2, "-")
    digits(dayOfYear - (153 * shifted + 2) / 5 + 1, 2, "T")
    digits(Int(seconds % 86400 / 3600), 2, ":")
    digits(Int(seconds % 3600 / 60), 2, ":")
    digits(Int(seconds % 60), 2, ".")
    digits(Int(milliseconds % 1000), 3, "Z")
  }
}
