internal import Audit
internal import Broker
internal import Glibc
internal import JSON
internal import Kernel
internal import YAML

/// Approvals that a person wanted to hold for a while: `agt approve ID --remember 8h` writes a file that says what,
/// by whom and until when, and that a person can read and remove.
///
/// What is remembered is exactly the request: method, arguments, command, digests of what is executed, ring, agent,
/// user, workspace, program and the digest of the policy; all but the numbers of the run and of its process. It must
/// never hold for another request, past its time, or for a rule that does not know the person.
struct RememberedApprovals {
  struct Entry: Equatable {
    /// Canonical JSON.
    let request: [UInt8]
    let expiresMilliseconds: UInt64
    let uid: UInt32
    let file: String
  }

  private(set) var entries: [Entry] = []
  /// Files that were not understood, with why.
  private(set) var problems: [String] = []

  static let directoryName = "remembered"
  private static let filesMax = 256
  private static let fileMaxBytes = 1 << 18
  private static let minimumMilliseconds: UInt64 = 60_000
  /// 30 days.
  private static let maximumMilliseconds: UInt64 = 2_592_000_000
  /// An answer of the operator's socket has room for it.
  private static let textMaxBytes = 65_536
  /// What is another's in every run.
  private static let fleeting: Set<String> = ["run", "pid", "number", "environmentDigest"]

  /// Nothing is read of an operator who has none.
  /// - Parameter now: of the wall clock, in milliseconds.
  init(directory: String?, uid: UInt32, now: UInt64) {
    guard let directory, let names = try? Files.names(in: ByteString(directory)) else { return }
    for name in names.map(\.text).filter({ $0.hasSuffix(".yaml") }).sorted()
      .prefix(Self.filesMax)
    {
      let file = directory + "/" + name
      do throws(SyscallError) {
        let bytes = try OperatorFile.read(file, uid: uid, limit: Self.fileMaxBytes)
        // Whose word it is, the kernel says.
        let owner = try Files.status(of: ByteString(file)).uid
        do throws(YAMLError) {
          let entry = try Self.read(bytes, file, uid: owner)
          if entry.expiresMilliseconds > now { entries.append(entry) }
        } catch { problems.append(error.description) }
      } catch { problems.append(error.description) }
    }
  }

  private static func read(
    _ bytes: [UInt8], _ file: String, uid: UInt32
  ) throws(YAMLError) -> Entry {
    let root = try YAMLParser.parse(bytes, file: file)
    var reader = try YAMLMappingReader(root, file: file)
    let version = try reader.require("apiVersion")
    guard try version.string(file) == "agt-run/v1",
      try reader.require("kind").string(file) == "RememberedApproval"
    else { throw version.error(file, "this is no remembered approval") }
    let expiry = try reader.require("expires")
    guard let expires = Timestamp.milliseconds(try expiry.string(file)) else {
      throw expiry.error(file, "a time like 2026-01-31T12:00:00.000Z is needed, in quotes")
    }
    let text = try reader.require("request")
    try reader.finish()
    guard let request = try? JSONParser.parse(Array(try text.string(file).utf8)),
      case .object = request, let canonical = try? JSONWriter.canonical(request)
    else { throw text.error(file, "a JSON object is needed") }
    return Entry(request: canonical, expiresMilliseconds: expires, uid: uid, file: file)
  }

  /// What of a request holds for others like it; nil when it cannot be remembered.
  static func lasting(_ request: JSONObject) -> JSONObject? {
    // Whoever gives ring 1 is asked each time.
    guard request["method"] != "ring.elevate" else { return nil }
    var lasting = JSONObject()
    for member in request.members where !fleeting.contains(member.name) {
      lasting[member.name] = member.value
    }
    return lasting
  }

  /// - Parameter text: as `90m`.
  static func duration(_ text: String) throws(OperatorRefusal) -> UInt64 {
    let milliseconds = (try? Quantity.milliseconds(text)) ?? 0
    guard (minimumMilliseconds...maximumMilliseconds).contains(milliseconds) else {
      throw OperatorRefusal(
        message: "approve: an approval is remembered for 1m to 720h", hint: "--remember 8h")
    }
    return milliseconds
  }

  /// The entry that holds for a request now.
  func entry(for request: JSONObject, now: UInt64, uid isKnown: (UInt32) -> Bool) -> Entry? {
    guard !entries.isEmpty, let lasting = Self.lasting(request),
      let bytes = try? JSONWriter.canonical(.object(lasting))
    else { return nil }
    return entries.first {
      $0.expiresMilliseconds > now && $0.request == bytes && isKnown($0.uid)
    }
  }

  /// What would be remembered, and the file that says so.
  static func plan(
    _ id: String, _ request: JSONObject, for milliseconds: UInt64, uid: UInt32, directory: String,
    now: UInt64
  ) throws(OperatorRefusal) -> (entry: Entry, text: String) {
    guard let lasting = lasting(request),
      let canonical = try? JSONWriter.canonical(.object(lasting))
    else {
      throw OperatorRefusal(
        message: "approve: an elevation is not remembered", hint: "approve it without --remember")
    }
    let entry = Entry(
      request: canonical, expiresMilliseconds: now + milliseconds, uid: uid,
      file: directory + "/" + id + ".yaml")
    let text = text(lasting, entry, now)
    guard text.utf8.count <= textMaxBytes else {
      throw OperatorRefusal(
        message: "approve: the request is too long to be remembered",
        hint: "approve it without --remember")
    }
    return (entry, text)
  }

  /// For the rest of this run; the file is for later ones.
  mutating func add(_ entry: Entry) { entries.append(entry) }

  /// Only ASCII, so that nothing in it can be read as something else.
  private static func text(
    _ lasting: JSONObject, _ entry: Entry, _ now: UInt64
  ) -> String {
    let pretty = String(decoding: JSONWriter.pretty(.object(lasting)), as: UTF8.self)
    let lines = escaped(pretty).split(separator: "\n").map { "  \($0)\n" }.joined()
    return """
      # User \(entry.uid) has approved this on \(Timestamp.text(milliseconds: now)).
      # Whoever removes this file takes it back, for runs that begin then.
      apiVersion: agt-run/v1
      kind: RememberedApproval
      expires: "\(Timestamp.text(milliseconds: entry.expiresMilliseconds))"
      request: |
      \(lines)
      """
  }

  private static func escaped(_ text: String) -> String {
    var result = ""
    for unit in text.utf16 {
      if unit < 0x7f, unit >= 0x20 || unit == 0x0a {
        result.unicodeScalars.append(Unicode.Scalar(UInt8(unit)))
      } else {
        let digits = String(unit, radix: 16)
        result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      }
    }
    return result
  }
}
