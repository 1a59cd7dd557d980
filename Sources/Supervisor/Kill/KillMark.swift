internal import Glibc
internal import JSON
internal import Kernel

/// Left in a run's directory by an operator who ended its ring while the supervisor did not answer, so that
/// the supervisor, when it goes on, and `agt gc` say why.
struct KillMark {
  static let fileName = "kill.json"
  private static let maximumBytes = 65536

  let record: JSONObject
  let reason: KillReason

  /// nil when there is none that makes sense.
  init?(in directory: Int32) {
    guard
      let bytes = try? Files.readRegular(
        ByteString(Self.fileName), limit: Self.maximumBytes, at: directory),
      let record = (try? JSONParser.parse(bytes))?.objectValue,
      let reason = record["reason"]?.stringValue.flatMap({ KillReason(rawValue: $0) })
    else { return nil }
    self.record = record
    self.reason = reason
  }

  /// Before the ring is ended. The first one stays.
  static func leave(_ record: JSONObject, in directory: Int32) {
    try? Files.create(
      ByteString(fileName), mode: 0o600, contents: JSONWriter.compact(.object(record)) + [10],
      at: directory)
  }
}
