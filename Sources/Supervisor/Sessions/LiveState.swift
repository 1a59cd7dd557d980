internal import Glibc
internal import JSON
internal import Kernel

/// What a run says of how it is: `agt ps` reads a hundred of these without waking anybody.
///
/// The supervisor writes it anew whenever something changes, in its place, as long as it was before: a reader between two
/// halves finds no JSON, and asks the supervisor itself. Whether that is still there the process table says, not this.
struct LiveState: Equatable {
  var state: String
  var violationCount: Int
  /// The call that was refused last.
  var lastCall: String?

  /// Longer than any of them; the rest is blanks.
  private static let bytes = 192

  init(state: String, violationCount: Int, lastCall: String?) {
    self.state = state
    self.violationCount = violationCount
    self.lastCall = lastCall
  }

  /// - Parameter directory: of a run.
  /// - Returns: nil when there is none, or it is just being written.
  init?(in directory: Int32) {
    guard
      let bytes = try? Files.readRegular(
        ByteString(RunDirectory.liveName), limit: Self.bytes, at: directory),
      let json = try? JSONParser.parse(bytes), let state = json["state"]?.stringValue,
      let count = json["violationCount"]?.integerValue.flatMap(Int.init(exactly:))
    else { return nil }
    self.init(state: state, violationCount: count, lastCall: json["lastCall"]?.stringValue)
  }

  private var text: [UInt8] {
    let json: JSONValue = [
      "state": .string(state), "violationCount": JSONValue(violationCount),
      "lastCall": JSONValue(lastCall),
    ]
    let text = JSONWriter.compact(json)
    return text + [UInt8](repeating: 32, count: max(0, Self.bytes - text.count))
  }

  /// Its file in the directory of a run.
  final class Writer {
    private let file: OwnedFD

    init(in directory: Int32) throws(SyscallError) {
      file = try Files.open(
        ByteString(RunDirectory.liveName), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o600,
        at: directory)
    }

    func write(_ state: LiveState) { _ = try? Files.writeSome(file.raw, state.text[...], at: 0) }
  }
}
