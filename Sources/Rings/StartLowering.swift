public import LaunchPlan

/// What the stage begins with, while the plan is made.
extension Lowering {
  /// What the stage needs before the rest of the plan is ready.
  /// - Parameter owners: on disk, of whatever the program may write besides the workspace.
  public static func start(
    _ profile: RingProfile, starter: LaunchRequest.Starter, workspace: LaunchRequest.Workspace,
    owners: [LaunchPlan.Owner], degraded: Set<Degradation>, hasTerminal: Bool,
    sockets: [LaunchPlan.RingSocket] = []
  ) -> StageStart {
    let owners = [workspace.share.owner].compactMap(\.self) + owners
    let isWhole = !degraded.contains(.namespaces)
    var distinct: [LaunchPlan.Owner] = []
    if case .root = starter, profile.ring > 0, isWhole, profile.namespaces.contains(.mount) {
      for owner in owners where !distinct.contains(owner) { distinct.append(owner) }
    }
    var dropsCapabilities = profile.capabilities == .none
    // An ordinary user has none to begin with; those of its user namespace go in every ring.
    var locksSecurebits = profile.ring > 0
    if case .ordinary = starter {
      dropsCapabilities = true
      // Locking takes CAP_SETPCAP, which such a user has in a user namespace of its own.
      if !isWhole { locksSecurebits = false }
    }
    let identity = identity(profile, starter, isWhole: isWhole)
    return StageStart(
      namespaces: isWhole ? namespaces(of: profile, starter: starter) : 0,
      identity: identity, owners: distinct,
      outOfMemoryScore: profile.ring == 0 ? 0 : outOfMemoryScore,
      hostName: Array("ring\(profile.ring)".utf8),
      loopbackUp: profile.network == .loopback && isWhole, dropCapabilities: dropsCapabilities,
      lockSecurebits: locksSecurebits, hasTerminal: hasTerminal, sockets: sockets,
      overlay: overlay(workspace, starter, identity))
  }

  /// Of a transaction.
  private static func overlay(
    _ workspace: LaunchRequest.Workspace, _ starter: LaunchRequest.Starter,
    _ identity: LaunchPlan.Identity
  ) -> LaunchPlan.Overlay? {
    guard let layers = workspace.layers else { return nil }
    var isOrdinary = false
    if case .ordinary = starter { isOrdinary = true }
    return LaunchPlan.Overlay(
      path: Array(workspace.path.utf8), judged: workspace.share.judged,
      layers: Array(layers.path.utf8), layersJudged: layers.judged, base: layers.base,
      options: [.noSetUserID, .noDevices],
      owner: diskOwner(workspace.share.owner, identity), userMarks: isOrdinary)
  }

  static func diskOwner(
    _ owner: LaunchPlan.Owner?, _ identity: LaunchPlan.Identity
  ) -> LaunchPlan.Owner? {
    switch identity {
    case .mapped, .host: owner
    case .own, .unchanged: nil
    }
  }

  /// A ring is ended before its user's other programs are.
  private static let outOfMemoryScore: Int16 = 500

  private static func namespaces(
    of profile: RingProfile, starter: LaunchRequest.Starter
  ) -> UInt64 {
    var bits: UInt64 = 0
    for namespace in profile.namespaces { bits |= cloneFlag(namespace) }
    // An ordinary user creates every other namespace through a user namespace.
    if case .ordinary = starter, bits != 0 { bits |= cloneFlag(.user) }
    return bits
  }

  static func identity(
    _ profile: RingProfile, _ starter: LaunchRequest.Starter, isWhole: Bool
  ) -> LaunchPlan.Identity {
    switch starter {
    case .ordinary(let uid, let gid): return isWhole ? .own(uid: uid, gid: gid) : .unchanged
    case .root(let uid, let gid):
      if profile.ring == 0 { return .unchanged }
      if profile.namespaces.contains(.user), isWhole {
        return .mapped(
          uid: LaunchPlan.insideID, gid: LaunchPlan.insideID, hostUID: uid, hostGID: gid)
      }
      return .host(uid: uid, gid: gid)
    }
  }

  static func cloneFlag(_ namespace: RingProfile.Namespace) -> UInt64 {
    switch namespace {
    case .user: 0x1000_0000
    case .pid: 0x2000_0000
    case .mount: 0x2_0000
    case .network: 0x4000_0000
    case .ipc: 0x800_0000
    case .uts: 0x400_0000
    case .cgroup: 0x200_0000
    }
  }
}
