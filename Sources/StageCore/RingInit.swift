internal import Glibc
internal import Kernel
internal import LaunchPlan

/// Descriptors that have to be made while the process still stands in the host's namespaces.
struct UserNamespaces {
  /// Where the program will run, for a run that root started.
  var own: Int32?
  /// Each shows an on-disk owner as the program's id.
  var owners: [(owner: LaunchPlan.Owner, namespace: Int32)] = []
}

/// PID 1 of the ring: prepares what needs no plan, starts the program's process, confines itself, and then
/// reaps and passes signals on (`RingLoop`). It takes everything with it when it ends, and it must never
/// outlive the supervisor's socket.
enum RingInit {
  /// Returns in the launcher; never in PID 1.
  static func start(_ start: StageStart, cgroup: Int32?) throws(StageFailure) {
    let users = try createUserNamespaces(start)
    let namespaces = NamespaceSet(rawValue: start.namespaces)
    let gate = try Stage.step("namespaces") { () throws(SyscallError) in try Messages.pair() }
    let pid = try Stage.step("namespaces") { () throws(SyscallError) in
      try Processes.clone(namespaces.intersection(.pid), asSibling: true, cgroup: cgroup)
    }
    guard pid == 0 else {
      try Stage.step("namespaces") { () throws(SyscallError) in
        do throws(SyscallError) {
          try Messages.send(Stage.socket, StageReport.started(pid: pid).encoded())
        } catch {
          // The supervisor can only end a ring of which it knows.
          try Processes.signal(pid, SIGKILL)
          throw error
        }
      }
      // Ending costs a processor a while that PID 1 needs more: it opens the gate when it has time.
      // Without that, the end only comes sooner.
      let own = gate.takeFirst()
      _ = try? Messages.receive(own.raw, capacity: 1, blocking: true)
      return
    }
    do throws(StageFailure) {
      try run(start, namespaces, users, gate: gate.takeSecond())
    } catch {
      Stage.report(.failed(error))
    }
    // As PID 1 this ends every process of the namespace.
    exit(1)
  }

  private static func createUserNamespaces(
    _ start: StageStart
  ) throws(StageFailure) -> UserNamespaces {
    var users = UserNamespaces()
    guard let host = start.identity.hostIDs else { return users }
    try Stage.step("uid and gid maps") { () throws(SyscallError) in
      if case .mapped(let uid, let gid, _, _) = start.identity {
        users.own = try Namespaces.createUser(
          uid: uid, gid: gid, outsideUID: host.uid, outsideGID: host.gid
        ).release()
      }
      for owner in start.owners {
        let namespace = try Namespaces.createUser(
          uid: owner.uid, gid: owner.gid, outsideUID: host.uid, outsideGID: host.gid)
        users.owners.append((owner, namespace.release()))
      }
    }
    return users
  }

  private static func run(
    _ start: StageStart, _ namespaces: NamespaceSet, _ users: UserNamespaces,
    gate: consuming OwnedFD
  ) throws(StageFailure) {
    let signals = try Stage.step("session") { () throws(SyscallError) in
      try Processes.newSession()
      try Processes.setName("agt-init")
      // Without a pid namespace of our own, orphans of the program must come to us to be ended.
      if !namespaces.contains(.pid) { try Processes.becomeSubreaper() }
      return try RingLoop.blockSignals()
    }
    try Stage.step("cgroup") { () throws(SyscallError) in
      if namespaces.contains(.cgroup) { try Namespaces.unshare(.cgroup) }
    }
    try Stage.step("host name") { () throws(SyscallError) in
      if namespaces.contains(.uts) { try Namespaces.setHostName(start.hostName) }
    }
    try Stage.step("session keyring") { () throws(SyscallError) in
      do throws(SyscallError) {
        try Processes.joinNewSessionKeyring()
      } catch {
        // The filter of a container that has no namespaces to give refuses the whole family, to the
        // program as well. Nothing else answers so (keyctl_join_session_keyring(3)).
        guard namespaces.isEmpty, error.errno == EPERM || error.errno == ENOSYS else { throw error }
      }
    }
    try Stage.step("mount propagation") { () throws(SyscallError) in
      if namespaces.contains(.mount) { try Mounts.makePrivate(ByteString("/")) }
    }
    if start.hasTerminal, let network = try RingNetwork.make(start) { _ = OwnedFD(network) }
    // With a terminal, the view is built here and not in the program's process, which has to be forked
    // after the terminal was taken.
    let ready = start.hasTerminal ? try Program.prepare(start, users) : nil
    let channel = try Stage.step("program") { () throws(SyscallError) in try Messages.pair() }
    let program = try Stage.step("program") { () throws(SyscallError) in try Processes.fork() }
    if program == 0 {
      // Our end of it as well would keep it open, and the process waiting, when PID 1 is no more.
      Program.run(start, users, ready, channel: channel.takeSecond().release())
    }
    if let terminal = ready?.terminal { _ = OwnedFD(terminal) }
    try Stage.step("program") { () throws(SyscallError) in
      // Both sides set the group, so that it exists whoever comes first (setpgid(2)).
      try Processes.setProcessGroup(program, program)
    }
    let launch = LaunchState(channel: channel.takeFirst())
    // Most of the launch waits for the program's process, when that has its plan.
    let waits = Processes.waitForOthers()
    if ready == nil { try makeNetwork(start, launch.raw) }
    try confine(start, users, alone: namespaces.contains(.pid), waits: waits)
    try tell(launch.raw, nil)
    // The program may have begun: this is no reason to end it. The launcher is let go then by the program's execve.
    _ = try? Messages.send(gate.raw, [1])
    _ = consume gate
    RingLoop.run(program: program, launch: launch, signals: signals)
  }

  /// Makes the network that the program's process would have to wait for, which waits for its plan.
  private static func makeNetwork(
    _ start: StageStart, _ program: Int32
  ) throws(StageFailure) {
    guard let network = try RingNetwork.make(start) else { return }
    try tell(program, network)
    _ = OwnedFD(network)
  }

  /// - Parameter descriptor: rides along.
  private static func tell(_ process: Int32, _ descriptor: Int32?) throws(StageFailure) {
    try Stage.step("program") { () throws(SyscallError) in
      do throws(SyscallError) {
        try Messages.send(process, [1], descriptors: descriptor.map { [$0] } ?? [])
      } catch {
        // It has ended because a step of its own failed, and has said which.
        if error.errno != EPIPE && error.errno != ECONNRESET { throw error }
      }
    }
  }

  /// PID 1 needs no file, no network and no privilege any more. It takes its own confinement at the same
  /// time as the program's process, which waits for it before it executes anything.
  private static func confine(
    _ start: StageStart, _ users: UserNamespaces, alone: Bool, waits: Bool
  ) throws(StageFailure) {
    for entry in users.owners { _ = OwnedFD(entry.namespace) }
    _ = OwnedFD(Stage.planSocket)
    try Credentials.drop(start, userNamespace: users.own)
    try Stage.step("no_new_privs") { () throws(SyscallError) in try Processes.setNoNewPrivileges() }
    // Its own filter refuses that.
    if waits { Processes.waitForNobody() }
    guard alone else { return }
    try Stage.step("seccomp") { () throws(SyscallError) in
      _ = try Seccomp.install(RingLoop.filter, listener: false)
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
