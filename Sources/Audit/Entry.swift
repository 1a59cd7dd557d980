public import JSON

/// What an entry tells; the members of each are in docs/audit.md.
public enum EntryKind: String, CaseIterable, Sendable {
  case logCreated = "log.created"
  case logRecovered = "log.recovered"
  case keyRotated = "key.rotated"
  case runStart = "run.start"
  case planEnforced = "plan.enforced"
  case profileWidened = "profile.widened"
  case runProgram = "run.program"
  case runAsked = "run.asked"
  case violation
  case policyLoaded = "policy.loaded"
  case decision
  case approvalPending = "approval.pending"
  case approvalAnswered = "approval.answered"
  case approvalExpired = "approval.expired"
  case approvalUsed = "approval.used"
  case toolStart = "tool.start"
  case toolEnd = "tool.end"
  case netOpen = "net.open"
  case netClose = "net.close"
  case netRefused = "net.refused"
  case kill, pause, resume, hold, release
  case txnStart = "txn.start"
  case txnCommit = "txn.commit"
  case txnEnd = "txn.end"
  case runEnd = "run.end"
  case sagaStart = "saga.start"
  case sagaEnd = "saga.end"
  case note

  /// Written even when nothing but the space set aside for them is left.
  public var isUrgent: Bool { self == .kill || self == .runEnd || self == .logRecovered }
}

/// One leaf of a log: a canonical JSON object (RFC 8785) with the members `data`, `index`, `kind`, `time`.
public struct Entry: Equatable, Sendable {
  public let index: UInt64
  public let kind: EntryKind
  /// RFC 3339 in UTC with milliseconds.
  public let time: String
  public let data: JSONObject

  /// Longest entry in bytes: what a decision with its request needs many times over.
  public static let sizeMaxBytes = 256 << 10

  /// - Parameter timeMilliseconds: since 1970-01-01 00:00 UTC.
  public static func encode(
    index: UInt64, kind: EntryKind, timeMilliseconds: UInt64, data: JSONObject
  ) throws(AuditError) -> [UInt8] {
    var line: [UInt8] = []
    try append(
      index: index, kind: kind, time: Timestamp.text(milliseconds: timeMilliseconds), data: data,
      to: &line)
    return line
  }

  /// The line behind what is there, without a line feed.
  ///
  /// - Parameter time: as `Timestamp` writes it.
  /// - Throws: when the data is too large or has no canonical form; then nothing is appended.
  public static func append(
    index: UInt64, kind: EntryKind, time: String, data: JSONObject, to output: inout [UInt8]
  ) throws(AuditError) {
    let start = output.count
    output.append(contentsOf: "{\"data\":".utf8)
    do throws(JSONError) {
      try JSONWriter.appendCanonical(.object(data), to: &output)
    } catch {
      output.removeLast(output.count - start)
      throw .entry("an entry of kind \(kind.rawValue): \(error.description)")
    }
    output.append(contentsOf: ",\"index\":".utf8)
    output.append(contentsOf: String(index).utf8)
    output.append(contentsOf: ",\"kind\":\"".utf8)
    output.append(contentsOf: kind.rawValue.utf8)
    output.append(contentsOf: "\",\"time\":\"".utf8)
    output.append(contentsOf: time.utf8)
    output.append(contentsOf: "\"}".utf8)
    let count = output.count - start
    guard count <= sizeMaxBytes else {
      output.removeLast(count)
      throw .entry("an entry of kind \(kind.rawValue) has \(count) bytes; 256 KiB are taken")
    }
  }

  /// Reads a line and refuses whatever `encode` would not have written.
  public init(parsing line: [UInt8]) throws(AuditError) {
    let value: JSONValue
    do throws(JSONError) {
      value = try JSONParser.parse(
        line, limits: JSONLimits(sizeMaxBytes: Self.sizeMaxBytes, depthMax: 64, elementsMax: 65_536)
      )
      guard try JSONWriter.canonical(value) == line else {
        throw JSONError.malformed(offset: 0, line: 1, column: 1, cause: "not canonical (RFC 8785)")
      }
    } catch {
      throw .malformed("an entry is not canonical JSON: \(error.description)")
    }
    guard value.objectValue?.members.count == 4, let data = value["data"]?.objectValue,
      let index = value["index"]?.integerValue, index >= 0,
      let name = value["kind"]?.stringValue, let kind = EntryKind(rawValue: name),
      let time = value["time"]?.stringValue
    else { throw .malformed("an entry has the members data, index, kind and time") }
    self.index = UInt64(index)
    self.kind = kind
    self.time = time
    self.data = data
  }
}

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
