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
  case breach
  case policyLoaded = "policy.loaded"
  case decision
  case approvalPending = "approval.pending"
  case approvalAnswered = "approval.answered"
  case approvalExpired = "approval.expired"
  case approvalNotified = "approval.notified"
  case approvalUsed = "approval.used"
  case elevationGranted = "elevation.granted"
  case elevationEnded = "elevation.ended"
  case fileOpen = "file.open"
  case toolStart = "tool.start"
  case toolEnd = "tool.end"
  case netResolve = "net.resolve"
  case netOpen = "net.open"
  case netClose = "net.close"
  case netRefused = "net.refused"
  case kill, pause, resume, hold, release
  case txnStart = "txn.start"
  case txnCommit = "txn.commit"
  case txnEnd = "txn.end"
  case runEnd = "run.end"
  case sagaStart = "saga.start"
  case sagaStep = "saga.step"
  case sagaEnd = "saga.end"
  case note

  /// Written even when nothing but the space set aside for them is left.
  public var isUrgent: Bool { self == .kill || self == .runEnd || self == .logRecovered }

  /// So few in a run, however much its program does, that none of them is left out of a log that has become too long:
  /// whoever fills it does not hide behind that.
  public var isBounded: Bool {
    switch self {
    case .violation, .breach, .pause, .resume, .hold, .release: true
    default: isUrgent
    }
  }
}

/// One leaf of a log: a canonical JSON object (RFC 8785) with the members `data`, `index`, `kind`, `time`.
public struct Entry: Equatable, Sendable {
  public let index: UInt64
  public let kind: EntryKind
  /// RFC 3339 in UTC with milliseconds.
  public let time: String
  public let data: JSONObject

  /// Longest entry in bytes: the largest that a bundle of C2SP tlog-tiles takes, and what a decision needs many
  /// times over.
  public static let sizeMaxBytes = 65_535

  /// - Parameter timeMilliseconds: since 1970-01-01 00:00 UTC.
  public static func encode(
    index: UInt64, kind: EntryKind, timeMilliseconds: UInt64, data: JSONObject
  ) throws(AuditError) -> [UInt8] {
    var line: [UInt8] = []
    let time = Timestamp.text(milliseconds: timeMilliseconds)
    try append(index: index, kind: kind, time: time, to: &line) { output throws(JSONError) in
      try JSONWriter.appendCanonical(.object(data), to: &output)
    }
    return line
  }

  /// The line behind what is there, without a line feed.
  ///
  /// - Parameters:
  ///   - time: as `Timestamp` writes it.
  ///   - data: appends it in canonical form.
  /// - Throws: when the data is too large or has no canonical form; then nothing is appended.
  public static func append(
    index: UInt64, kind: EntryKind, time: String, to output: inout [UInt8],
    data: (inout [UInt8]) throws(JSONError) -> Void
  ) throws(AuditError) {
    let start = output.count
    output.append(contentsOf: "{\"data\":".utf8)
    do throws(JSONError) {
      try data(&output)
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
      throw .entry(
        "an entry of kind \(kind.rawValue) has \(count) bytes; \(sizeMaxBytes) are taken")
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
