internal import Broker
internal import Glibc
internal import Kernel
internal import YAML

/// What an operator has set for approvals, in `approvals.yaml` of /etc/agt or of a user's own configuration:
///
///     apiVersion: agt-run/v1
///     kind: Approvals
///     notify: [/usr/local/bin/page, --team, security]
///     notifyTimeout: 10s
///
/// The command is executed outside of every ring, as the user who started the run, so a file that somebody else
/// could have written is not obeyed, and the program is named by its absolute path.
struct ApprovalSettings: Equatable, Sendable {
  /// Program and arguments; none when nobody is to be told.
  var notify: [String] = []
  var timeoutMilliseconds: UInt64 = 10_000

  static let fileName = "approvals.yaml"
  private static let timeoutMaxMilliseconds: UInt64 = 600_000
  private static let wordsMax = 64

  init() {}

  init(_ bytes: [UInt8], file: String) throws(YAMLError) {
    let root = try YAMLParser.parse(bytes, file: file)
    var reader = try YAMLMappingReader(root, file: file)
    let version = try reader.require("apiVersion")
    guard try version.string(file) == "agt-run/v1",
      try reader.require("kind").string(file) == "Approvals"
    else {
      throw version.error(file, "write apiVersion: agt-run/v1, kind: Approvals")
    }
    let command = try reader.require("notify")
    for node in try command.sequence(file) { notify.append(try node.string(file)) }
    guard (1...Self.wordsMax).contains(notify.count), notify[0].hasPrefix("/"),
      !notify.contains(where: { $0.utf8.contains(0) })
    else {
      throw command.error(file, "a list of words is needed, the absolute path of a program first")
    }
    if let timeout = reader.optional("notifyTimeout") {
      timeoutMilliseconds = try timeout.durationMilliseconds(file)
      guard (1...Self.timeoutMaxMilliseconds).contains(timeoutMilliseconds) else {
        throw timeout.error(file, "1ms to 10m is needed")
      }
    }
    try reader.finish()
  }

  /// Those of the caller, else those of the machine; may wait for a disk.
  static func load(_ caller: Caller) throws(BrokerError) -> ApprovalSettings {
    let places = [OperatorFile.directory(caller), "/etc/agt"].compactMap { $0 }
    for file in places.map({ $0 + "/" + fileName }) {
      let bytes: [UInt8]
      do throws(SyscallError) {
        bytes = try OperatorFile.read(
          file, uid: caller.uid, limit: YAMLLimits.default.sizeMaxBytes + 1)
      } catch {
        if error.errno == ENOENT || error.errno == ENOTDIR { continue }
        throw BrokerError(
          .failed,
          error.errno == EPERM
            ? "\(file): others than you and root could have written it" : error.description)
      }
      do throws(YAMLError) { return try ApprovalSettings(bytes, file: file) } catch {
        throw BrokerError(.failed, error.description)
      }
    }
    return ApprovalSettings()
  }
}
