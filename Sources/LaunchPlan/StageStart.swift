/// What the stage must know before the plan is ready: enough to create the namespaces and PID 1 of the
/// ring while the supervisor still finds the program and lowers the profile.
public struct StageStart: Equatable, Sendable {
  /// CLONE_NEW* bits.
  public var namespaces: UInt64
  public var identity: LaunchPlan.Identity
  /// On-disk owners that the plan's binds show as the program's own id.
  public var owners: [LaunchPlan.Owner]
  /// oom_score_adj of proc(5), so that the ring dies before its neighbours. −1000 … 1000.
  public var outOfMemoryScore: Int16
  public var hostName: [UInt8]
  public var loopbackUp: Bool
  public var dropCapabilities: Bool
  public var lockSecurebits: Bool
  /// The program gets a terminal: PID 1 takes it before it forks the program, because a process inherits
  /// its controlling terminal and cannot get one later (credentials(7), "Sessions").
  public var hasTerminal: Bool
  /// What the ring's network is listened to with; when there is any, every address is local in it.
  public var sockets: [LaunchPlan.RingSocket]
  /// Of a transaction: made while the plan is, because the kernel takes as long for it. nil for none.
  public var overlay: LaunchPlan.Overlay?

  public init(
    namespaces: UInt64, identity: LaunchPlan.Identity, owners: [LaunchPlan.Owner],
    outOfMemoryScore: Int16, hostName: [UInt8], loopbackUp: Bool, dropCapabilities: Bool,
    lockSecurebits: Bool, hasTerminal: Bool, sockets: [LaunchPlan.RingSocket] = [],
    overlay: LaunchPlan.Overlay? = nil
  ) {
    self.namespaces = namespaces
    self.identity = identity
    self.owners = owners
    self.outOfMemoryScore = outOfMemoryScore
    self.hostName = hostName
    self.loopbackUp = loopbackUp
    self.dropCapabilities = dropCapabilities
    self.lockSecurebits = lockSecurebits
    self.hasTerminal = hasTerminal
    self.sockets = sockets
    self.overlay = overlay
  }

  /// A start is some tens of bytes, as many for each socket, and three paths; a message that is longer is none of ours.
  public static let maximumBytes = 65_536
  /// Two for each port that a policy may name, with some for single addresses.
  public static let maximumSockets = 1024

  public func encoded() -> [UInt8] {
    var out = WireWriter()
    out.integer(LaunchPlan.magic)
    out.integer(namespaces)
    out.identity(identity)
    out.list(owners) { $0.owner($1) }
    out.integer(outOfMemoryScore)
    out.string(hostName)
    out.boolean(loopbackUp)
    out.boolean(dropCapabilities)
    out.boolean(lockSecurebits)
    out.boolean(hasTerminal)
    out.list(sockets) { $0.socket($1) }
    out.optional(overlay) { $0.overlay($1) }
    return out.bytes
  }

  /// - Throws: `DecodingError` for anything that `encoded()` does not produce.
  public init(decoding bytes: [UInt8]) throws(DecodingError) {
    var from = WireReader(bytes)
    guard try from.integer(UInt32.self) == LaunchPlan.magic else { throw from.wrongVersion }
    namespaces = try from.integer()
    identity = try from.identity()
    owners = try from.list(limit: 64) { r throws(DecodingError) in
      LaunchPlan.Owner(uid: try r.integer(), gid: try r.integer())
    }
    outOfMemoryScore = try from.integer()
    guard (-1000...1000).contains(outOfMemoryScore) else {
      throw from.failure("out-of-memory score \(outOfMemoryScore)")
    }
    hostName = try from.string()
    loopbackUp = try from.boolean()
    dropCapabilities = try from.boolean()
    lockSecurebits = try from.boolean()
    hasTerminal = try from.boolean()
    sockets = try from.list(limit: Self.maximumSockets) { r throws(DecodingError) in
      try r.socket()
    }
    overlay = try from.optional { r throws(DecodingError) in try r.overlay() }
    try from.end()
  }
}
