/// One row of the request table: everything that is checked before a request reaches what answers it.
public struct Method: Equatable, Sendable {
  public enum Phase: Equatable, Sendable {
    /// Opens a connection. It may be repeated: a program may have inherited its connection from another.
    case greeting
    /// After the greeting.
    case greeted
  }

  public let name: String
  /// Whose requests are taken.
  public let rings: ClosedRange<UInt8>
  public let phase: Phase
  /// May come without an id: nobody waits for an answer.
  public let mayNotify: Bool
  /// Longest line.
  public let lineMaxBytes: Int
  /// Tokens of the ring's rate.
  public let cost: UInt64
  /// Descriptors that may come with the request. What comes and may not is closed.
  public let descriptors: Int
  /// Whether each request makes an entry in the log, however it is answered.
  public let isRecorded: Bool
  /// Members of `params`; others are refused. Nil: the method's own vocabulary says.
  public let members: [String]?
}

/// The request table of docs/broker-protocol.md, as data.
public enum MethodTable {
  public static let methods: [Method] = [
    Method(
      name: "agt.hello", rings: 0...3, phase: .greeting, mayNotify: false, lineMaxBytes: 4096,
      cost: 1, descriptors: 0, isRecorded: false, members: ["protocol", "client"]),
    Method(
      name: "policy.decide", rings: 0...3, phase: .greeted, mayNotify: false,
      lineMaxBytes: LineReader.lineMaxBytes, cost: 1, descriptors: 0, isRecorded: true, members: nil
    ),
    Method(
      name: "tool.list", rings: 0...3, phase: .greeted, mayNotify: false, lineMaxBytes: 4096,
      cost: 1, descriptors: 0, isRecorded: false, members: []),
    Method(
      name: "tool.call", rings: 0...3, phase: .greeted, mayNotify: false,
      lineMaxBytes: LineReader.lineMaxBytes, cost: 1, descriptors: 0, isRecorded: true,
      members: ["name", "arguments", "approval", "progress"]),
    Method(
      name: "ring.elevate", rings: 0...3, phase: .greeted, mayNotify: false, lineMaxBytes: 16_384,
      cost: 1, descriptors: 0, isRecorded: true,
      members: ["tools", "ring", "ttl", "reason", "approval"]),
    Method(
      name: "ring.release", rings: 0...3, phase: .greeted, mayNotify: false, lineMaxBytes: 4096,
      cost: 1, descriptors: 0, isRecorded: false, members: ["lease"]),
    Method(
      name: "file.open", rings: 0...3, phase: .greeted, mayNotify: false, lineMaxBytes: 32_768,
      cost: 1, descriptors: 0, isRecorded: true, members: ["path", "mode", "approval"]),
    Method(
      name: "net.connect", rings: 2...2, phase: .greeted, mayNotify: false, lineMaxBytes: 4096,
      cost: 1, descriptors: 0, isRecorded: true, members: ["host", "port", "approval"]),
    Method(
      name: "approval.status", rings: 0...3, phase: .greeted, mayNotify: false,
      lineMaxBytes: 4096, cost: 1, descriptors: 0, isRecorded: false, members: ["approval"]),
    Method(
      name: "approval.wait", rings: 0...3, phase: .greeted, mayNotify: false, lineMaxBytes: 4096,
      cost: 1, descriptors: 0, isRecorded: false, members: ["approval"]),
    Method(
      name: "saga.begin", rings: 0...3, phase: .greeted, mayNotify: false, lineMaxBytes: 4096,
      cost: 1, descriptors: 0, isRecorded: true, members: ["name"]),
    Method(
      name: "saga.step", rings: 0...3, phase: .greeted, mayNotify: false,
      lineMaxBytes: LineReader.lineMaxBytes, cost: 1, descriptors: 0, isRecorded: true,
      members: ["saga", "step", "tool", "undo", "approval"]),
    Method(
      name: "saga.commit", rings: 0...3, phase: .greeted, mayNotify: false, lineMaxBytes: 4096,
      cost: 1, descriptors: 0, isRecorded: false, members: ["saga"]),
    Method(
      name: "saga.abort", rings: 0...3, phase: .greeted, mayNotify: false, lineMaxBytes: 4096,
      cost: 1, descriptors: 0, isRecorded: false, members: ["saga", "reason"]),
    Method(
      name: "agt.cancel", rings: 0...3, phase: .greeted, mayNotify: true, lineMaxBytes: 4096,
      cost: 1, descriptors: 0, isRecorded: false, members: ["id"]),
    Method(
      name: "log.note", rings: 0...3, phase: .greeted, mayNotify: true, lineMaxBytes: 16_384,
      cost: 1, descriptors: 0, isRecorded: true, members: ["text"]),
  ]

  /// Searched from its front: what is asked most stands there, and hashing a name costs more than comparing some.
  public static func method(_ name: String) -> Method? {
    methods.firstIndex { $0.name == name }.map { methods[$0] }
  }

  /// What a ring may ask, in the table's order.
  public static func names(ring: UInt8) -> [String] {
    methods.filter { $0.rings.contains(ring) }.map(\.name)
  }
}
