internal import Glibc
internal import Kernel
internal import LaunchPlan

/// The program's process: takes the plan, builds the view of files, confines itself and becomes the agent.
enum Program {
  /// A plan whose view of files stands, with the terminal's slave where there is one.
  struct Ready {
    var plan: LaunchPlan
    var terminal: Int32?
  }

  /// Never returns.
  /// - Parameters:
  ///   - ready: when PID 1 has built the view already.
  ///   - channel: to PID 1; its end of file says that the program was executed, or that this process
  ///     ended.
  static func run(
    _ start: StageStart, _ users: UserNamespaces, _ ready: Ready?, channel: Int32
  ) -> Never {
    do throws(StageFailure) {
      if let ready {
        try become(ready, users, channel: channel)
      } else {
        try become(try prepare(start, users), users, channel: channel)
      }
    } catch {
      try? Messages.send(channel, StageReport.failed(error).encoded())
    }
    exit(1)
  }

  /// Takes the plan and builds the view of files and the terminal that it asks for.
  static func prepare(
    _ start: StageStart, _ users: UserNamespaces
  ) throws(StageFailure) -> Ready {
    let hasMounts = NamespaceSet(rawValue: start.namespaces).contains(.mount)
    var overlay: Int32?
    if hasMounts, let layers = start.overlay {
      // The supervisor still makes the plan.
      overlay = try OverlayMount.create(layers, users.owners)
    }
    let plan = try receivePlan()
    guard plan.start == start, start.hasTerminal == (plan.terminal != 0) else {
      throw StageFailure(step: "plan", call: "", object: "another start than before", errno: EPROTO)
    }
    if hasMounts {
      try RingMounts.build(plan, owners: users.owners, overlay: overlay)
    }
    return Ready(plan: plan, terminal: start.hasTerminal ? try openTerminal(plan) : nil)
  }

  private static func become(
    _ ready: Ready, _ users: UserNamespaces, channel: Int32
  ) throws(StageFailure) {
    let plan = ready.plan
    try Stage.step("working directory") { () throws(SyscallError) in
      try Files.changeDirectory(plan.workingDirectory)
    }
    try Stage.step("limits") { () throws(SyscallError) in
      for limit in plan.limits {
        try Limits.lower(Resource(number: limit.resource), to: limit.value)
      }
    }
    if !plan.start.hasTerminal { try joinNetwork(plan.start, channel) }
    try Credentials.drop(plan.start, userNamespace: users.own)
    let broker = try connectBroker(plan)
    try Stage.step("no_new_privs") { () throws(SyscallError) in try Processes.setNoNewPrivileges() }
    if let landlock = plan.landlock { try LandlockStep.restrict(landlock) }
    try Stage.step("program") { () throws(SyscallError) in
      // PID 1 is confined as well, or there is no PID 1 any more.
      guard try Messages.receive(channel, capacity: 16, blocking: true) != nil else {
        throw SyscallError(call: "recvmsg", object: "PID 1", errno: ECONNRESET)
      }
      // What the supervisor has to do first is done, or it gave up and has said why.
      guard try Messages.receive(Stage.planSocket, capacity: 16, blocking: true) != nil else {
        exit(0)
      }
      // Without a process namespace its end does not end us.
      let isAlone = NamespaceSet(rawValue: plan.start.namespaces).contains(.pid)
      if !isAlone, try Descriptors.isHungUp(Stage.socket) { exit(0) }
      try arrange(plan, ready.terminal)
    }
    try execute(plan, channel, broker: broker)
  }

  /// The one that PID 1 has made meanwhile.
  private static func joinNetwork(_ start: StageStart, _ channel: Int32) throws(StageFailure) {
    guard NamespaceSet(rawValue: start.namespaces).contains(.network) else { return }
    try Stage.step("namespaces") { () throws(SyscallError) in
      guard
        let network = try Messages.receive(channel, capacity: 16, blocking: true)?
          .descriptors.first
      else { throw SyscallError(call: "recvmsg", object: "PID 1", errno: ECONNRESET) }
      try Namespaces.join(network, .network)
      _ = OwnedFD(network)
    }
  }

  private static func receivePlan() throws(StageFailure) -> LaunchPlan {
    let message = try Stage.step("plan") { () throws(SyscallError) in
      try Messages.receive(Stage.planSocket, capacity: 64, blocking: true)
    }
    // End of file: the supervisor gave up before it had a plan, and has said why.
    guard let message else { exit(0) }
    guard let file = message.descriptors.first else {
      throw StageFailure(step: "plan", call: "", object: "no file", errno: EPROTO)
    }
    let bytes = try Stage.step("plan") { () throws(SyscallError) in
      let owned = OwnedFD(file)
      guard try Descriptors.isSealed(owned.raw) else {
        throw SyscallError(
          call: "fcntl(F_GET_SEALS)", object: "a file that is not sealed", errno: EPROTO)
      }
      return try Files.readFromStart(owned.raw, limit: LaunchPlan.maximumBytes)
    }
    return try Stage.decode("plan") { () throws(DecodingError) in try LaunchPlan(decoding: bytes) }
  }

  /// A pty of the ring's own devpts, or of the host's when the ring sees that, as controlling terminal of PID 1, which
  /// this is: the master goes to the supervisor. Returns the slave.
  private static func openTerminal(_ plan: LaunchPlan) throws(StageFailure) -> Int32 {
    try Stage.step("terminal") { () throws(SyscallError) in
      // The node in a devpts is for nobody but who mounted it to say so (ptmxmode, mount(8)).
      let isOwn = NamespaceSet(rawValue: plan.start.namespaces).contains(.mount)
      let pty = try Terminals.open(ptmx: ByteString(isOwn ? "/dev/pts/ptmx" : "/dev/ptmx"))
      try Terminals.setControlling(pty.slave.raw)
      try Messages.send(
        Stage.socket, StageReport.terminal.encoded(), descriptors: [pty.master.raw])
      // When the person's terminal is not the input as well, it stays as it is and ends the lines itself.
      if plan.terminal & 1 == 0 { try Terminals.disableOutputProcessing(pty.slave.raw) }
      return try pty.slave.duplicate().release()
    }
  }

  private static func arrange(_ plan: LaunchPlan, _ terminal: Int32?) throws(SyscallError) {
    try Processes.setProcessGroup(0, 0)
    if let terminal {
      // SIGTTOU is still blocked (RingLoop.blockSignals), so this does not stop us.
      try Terminals.setForeground(terminal, group: getpid())
      for number in Int32(0)...2 where plan.terminal & (1 << UInt8(number)) != 0 {
        try Descriptors.duplicate(terminal, onto: number)
      }
    }
    try Signals.reset()
    try Descriptors.closeAllOnExec(from: 3)
    umask(0o022)
  }

  /// The program's end of its connection to the broker. It is made here and not by the supervisor, so that
  /// the kernel names this process, as this user, as its peer (SO_PEERCRED, unix(7)).
  private static func connectBroker(_ plan: LaunchPlan) throws(StageFailure) -> Int32? {
    guard plan.broker == .connection else { return nil }
    return try Stage.step("broker") { () throws(SyscallError) in
      let pair = try UnixSockets.streamPair()
      try Messages.send(
        Stage.socket, StageReport.broker(isListening: false).encoded(),
        descriptors: [pair.first.raw])
      return try pair.second.duplicate().release()
    }
  }

  private static func execute(
    _ plan: LaunchPlan, _ channel: Int32, broker: Int32?
  ) throws(StageFailure) {
    var reports = Stage.socket
    if let broker {
      try Stage.step("broker") { () throws(SyscallError) in
        // Whatever has the number now is moved away from it, and closes when the program is executed.
        let number = LaunchPlan.brokerDescriptor
        reports = try Descriptors.duplicate(Stage.socket, atLeast: number + 1).release()
        try Descriptors.duplicate(broker, onto: number)
      }
    }
    try Stage.step("seccomp") { () throws(SyscallError) in
      guard let seccomp = plan.seccomp else { return }
      if let listener = try Seccomp.install(
        seccomp.instructions, listener: seccomp.reportsViolations)
      {
        try Messages.send(
          reports, StageReport.listener.encoded(), descriptors: [listener.raw])
      }
    }
    try Stage.step("execute") { () throws(SyscallError) in
      try Messages.send(channel, StageReport.executed.encoded())
      throw Processes.execute(
        plan.executable, arguments: plan.arguments, environment: plan.environment)
    }
  }
}
