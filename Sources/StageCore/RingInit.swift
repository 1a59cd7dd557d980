internal import Glibc
internal import Kernel
internal import LaunchPlan

/// PID 1 of the ring: confines itself, starts the program, reaps, passes signals on, and takes everything
/// with it when it ends. It must never outlive the supervisor's socket.
enum RingInit {
  /// Descriptors that have to be made while the process still stands in the host's namespaces.
  struct Prepared {
    /// The user namespace that the program will run in, for a run that root started.
    var userNamespace: Int32?
    /// User namespaces that show an on-disk owner as the program's id.
    var owners: [(owner: LaunchPlan.Owner, namespace: Int32)] = []
  }

  /// Returns in the launcher; never in PID 1.
  static func start(_ plan: LaunchPlan, cgroup: Int32?) throws(StageFailure) {
    let prepared = try prepare(plan)
    let namespaces = NamespaceSet(rawValue: plan.namespaces)
    let child = try Stage.step("namespaces") { () throws(SyscallError) in
      try Processes.clone(namespaces.intersection(.pid), asSibling: true, cgroup: cgroup)
    }
    guard child.pid == 0 else {
      Stage.report(.started(pid: child.pid), descriptors: [child.rawPidfd])
      return
    }
    do throws(StageFailure) {
      let children = try Stage.step("session") { () throws(SyscallError) in
        try RingLoop.blockSignals()
      }
      let program = try confine(plan, prepared)
      RingLoop.run(program: program.pid, status: program.status, signals: children)
    } catch {
      Stage.report(.failed(error))
    }
    // As PID 1 this ends every process of the namespace.
    exit(1)
  }

  private static func prepare(_ plan: LaunchPlan) throws(StageFailure) -> Prepared {
    var prepared = Prepared()
    guard let hostIDs = plan.identity.hostIDs else { return prepared }
    prepared.userNamespace = try Stage.step("uid and gid maps") { () throws(SyscallError) in
      guard case .mapped(let uid, let gid, let hostUID, let hostGID) = plan.identity else {
        return nil
      }
      return try Namespaces.createUser(
        uid: uid, gid: gid, outsideUID: hostUID, outsideGID: hostGID
      ).release()
    }
    for step in plan.mounts {
      guard case .bind(_, _, _, _, let owner?) = step else { continue }
      guard !prepared.owners.contains(where: { $0.owner == owner }) else { continue }
      let namespace = try Stage.step("uid and gid maps") { () throws(SyscallError) in
        try Namespaces.createUser(
          uid: owner.uid, gid: owner.gid, outsideUID: hostIDs.uid, outsideGID: hostIDs.gid
        ).release()
      }
      prepared.owners.append((owner, namespace))
    }
    return prepared
  }

  /// Every step in order; see the ordered list in docs/decisions/0002.
  private static func confine(
    _ plan: LaunchPlan, _ prepared: Prepared
  ) throws(StageFailure) -> (pid: Int32, status: Int32) {
    let namespaces = NamespaceSet(rawValue: plan.namespaces)
    try Stage.step("session") { () throws(SyscallError) in
      try Processes.newSession()
      // Without a pid namespace of our own, orphans of the program must come to us to be ended.
      if !namespaces.contains(.pid) { try Processes.becomeSubreaper() }
    }
    try Stage.step("cgroup") { () throws(SyscallError) in
      if namespaces.contains(.cgroup) { try Namespaces.unshare(.cgroup) }
    }
    try Stage.step("host name") { () throws(SyscallError) in
      if namespaces.contains(.uts) { try Namespaces.setHostName(plan.hostName) }
    }
    try Stage.step("loopback") { () throws(SyscallError) in
      if plan.loopbackUp { try Namespaces.bringLoopbackUp() }
    }
    if namespaces.contains(.mount) { try RingMounts.build(plan, owners: prepared.owners) }
    let terminal = try openTerminal(plan)
    try Stage.step("working directory") { () throws(SyscallError) in
      try Files.changeDirectory(plan.workingDirectory)
    }
    try Stage.step("limits") { () throws(SyscallError) in
      for limit in plan.limits {
        try Limits.lower(Resource(number: limit.resource), to: limit.value)
      }
    }
    try Stage.step("session keyring") { () throws(SyscallError) in
      try Processes.joinNewSessionKeyring()
    }
    try Credentials.drop(plan, userNamespace: prepared.userNamespace)
    try Stage.step("no_new_privs") { () throws(SyscallError) in try Processes.setNoNewPrivileges() }
    if let landlock = plan.landlock { try LandlockStep.restrict(landlock) }
    return try Program.start(plan, terminal: terminal)
  }

  /// A pty of the ring's own devpts; the master goes to the supervisor. Returns the slave.
  private static func openTerminal(_ plan: LaunchPlan) throws(StageFailure) -> Int32? {
    guard plan.terminal != 0 else { return nil }
    return try Stage.step("terminal") { () throws(SyscallError) in
      let pty = try Terminals.open(ptmx: ByteString("/dev/pts/ptmx"))
      try Terminals.setControlling(pty.slave.raw)
      try Messages.send(Stage.socket, StageReport.terminal.encoded(), descriptors: [pty.master.raw])
      return try pty.slave.duplicate().release()
    }
  }
}

extension LaunchPlan.Identity {
  /// The ids outside that the program gets, when they differ from those of the starter.
  var hostIDs: (uid: UInt32, gid: UInt32)? {
    switch self {
    case .mapped(_, _, let hostUID, let hostGID): (hostUID, hostGID)
    case .host(let uid, let gid): (uid, gid)
    case .unchanged, .own: nil
    }
  }
}
