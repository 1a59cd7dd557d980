internal import JSON
internal import Kernel

/// What is known of a transaction beside its layers; `record.json` in its directory.
public struct TransactionRecord: Equatable, Sendable {
  public enum State: String, Sendable {
    /// Its run is alive, or its supervisor died and recovery discards it.
    case open
    /// Its run is over and it waits for `agt txn commit` or `discard`.
    case kept
  }

  /// The run's own identifier, a ULID.
  public var id: String
  public var state: State
  /// The canonical path of the workspace, and which directory that was.
  public var workspace: String
  public var device: UInt64
  public var inode: UInt64
  /// Whether overlayfs keeps its own marks in `user.overlay.*` (an ordinary user's) instead of
  /// `trusted.overlay.*`.
  public var marksAreUsers: Bool
  /// Wall clock before the layers were put together, in nanoseconds.
  public var begunNanoseconds: Int64
  /// The program and its arguments, for a person; what is not UTF-8 is replaced.
  public var command: [String]
  /// The transaction on top of which its run worked: it is nothing without that one.
  public var base: String?
  /// Of directories that a partial commit changed: when it left them, in hexadecimal path and nanoseconds.
  public var settled: [String: Int64]

  public init(
    id: String, workspace: String, device: UInt64, inode: UInt64, marksAreUsers: Bool,
    begunNanoseconds: Int64, command: [String]
  ) {
    self.id = id
    state = .open
    self.workspace = workspace
    self.device = device
    self.inode = inode
    self.marksAreUsers = marksAreUsers
    self.begunNanoseconds = begunNanoseconds
    self.command = command
    settled = [:]
  }

  /// The prefix of the extended attributes that are overlayfs's own.
  var marks: ByteString { ByteString(marksAreUsers ? "user.overlay." : "trusted.overlay.") }

  var encoded: [UInt8] {
    JSONWriter.pretty(
      .object([
        "version": 1, "id": .string(id), "state": .string(state.rawValue),
        "workspace": .string(workspace), "device": .string(String(device)),
        "inode": .string(String(inode)), "userMarks": .bool(marksAreUsers),
        "begun": .string(String(begunNanoseconds)), "command": JSONValue(command),
        "base": JSONValue(base),
        "settled": .array(
          settled.sorted { $0.key < $1.key }.map {
            .array([.string($0.key), .string(String($0.value))])
          }),
      ])) + [10]
  }

  init(decoding bytes: [UInt8]) throws(TransactionError) {
    let damaged = TransactionError(.refused, "its record is damaged")
    guard let value = try? JSONParser.parse(bytes, limits: Self.limits),
      value["version"]?.integerValue == 1,
      let id = value["id"]?.stringValue,
      let state = value["state"]?.stringValue.flatMap(State.init(rawValue:)),
      let workspace = value["workspace"]?.stringValue, workspace.hasPrefix("/"),
      let device = value["device"]?.stringValue.flatMap(UInt64.init),
      let inode = value["inode"]?.stringValue.flatMap(UInt64.init),
      let marks = value["userMarks"]?.boolValue,
      let begun = value["begun"]?.stringValue.flatMap(Int64.init),
      let command = value["command"]?.arrayValue, let settled = value["settled"]?.arrayValue
    else { throw damaged }
    self.init(
      id: id, workspace: workspace, device: device, inode: inode, marksAreUsers: marks,
      begunNanoseconds: begun, command: command.compactMap(\.stringValue))
    self.state = state
    self.base = value["base"]?.stringValue
    for pair in settled {
      guard let parts = pair.arrayValue, parts.count == 2, let path = parts[0].stringValue,
        let time = parts[1].stringValue.flatMap(Int64.init)
      else { throw damaged }
      self.settled[path] = time
    }
  }

  /// A record is small, but for the directories that partial commits settled.
  private static let limits = JSONLimits(
    sizeMaxBytes: Self.maximumBytes, depthMax: 4, elementsMax: 4_000_000)
  static let maximumBytes = 64 << 20
}
