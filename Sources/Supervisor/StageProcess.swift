internal import Glibc
internal import Kernel
internal import LaunchPlan
internal import Paths

/// The stage as a child: found next to us, opened once, executed by descriptor.
///
/// It is started before anything is decided, because its own start takes as long as the deciding.
struct StageProcess: ~Copyable {
  /// Reports come, commands go; its end of file ends the ring.
  let socket: OwnedFD
  /// Takes the plan, once, and then that the program may begin.
  private let planSocket: OwnedFD
  let pid: Int32

  /// Looked for beside our own executable and in ../libexec/agt-run; never in PATH.
  /// - Parameter standard: (ours, number there); without, the ring gets our standard descriptors.
  static func begin(standard: [(Int32, Int32)] = []) throws(RunError) -> StageProcess {
    let binary = try open()
    do throws(SyscallError) {
      let control = try Messages.pair()
      let plan = try Messages.pair()
      // Out of the way of the numbers that the child gets.
      let binary = try binary.duplicate(atLeast: 16)
      let pid = try Processes.spawn(
        ByteString("/proc/self/fd/\(binary.raw)"), arguments: [ByteString("agt-stage")],
        environment: [],
        descriptors: [(control.second.raw, 3), (plan.second.raw, 4)] + standard)
      Processes.useOtherProcessor(pid)
      return StageProcess(
        socket: try control.first.duplicate(), planSocket: try plan.first.duplicate(), pid: pid)
    } catch {
      throw RunError(
        .internalFailure, "starting agt-stage: \(error.description)",
        hint: Hints.forNewProcess(error))
    }
  }

  private static func open() throws(RunError) -> OwnedFD {
    guard let own = try? Files.readLink(ByteString("/proc/self/exe")) else {
      throw RunError(
        .internalFailure, "reading /proc/self/exe: is /proc mounted?",
        hint: "mount -t proc proc /proc")
    }
    let directory = PathText.parent(own.text)
    let start = ByteString(directory)
    if let file = try? Files.open(start + ByteString("/agt-stage"), O_RDONLY) { return file }
    let installed = start + ByteString("/../libexec/agt-run/agt-stage")
    if let file = try? Files.open(installed, O_RDONLY) { return file }
    throw RunError(
      .internalFailure, "agt-stage is not beside \(own.text)",
      hint: "swift build -c release, or install again")
  }

  private init(socket: consuming OwnedFD, planSocket: consuming OwnedFD, pid: Int32) {
    self.socket = socket
    self.planSocket = planSocket
    self.pid = pid
  }

  /// Reaps a stage that gets no plan, and PID 1 (our child too) when it has made it: both end when nothing
  /// more can come from us.
  /// - Parameter known: PID 1, when its report was taken.
  func abandon(_ known: Int32? = nil) {
    Sockets.endWriting(socket.raw)
    giveUp()
    var children = [pid, known].compactMap(\.self)
    while Descriptors.isReadable(socket.raw, withinMilliseconds: Self.endMilliseconds),
      let message = try? Messages.receive(socket.raw, capacity: 8192, blocking: false)
    {
      for number in message.descriptors { _ = OwnedFD(number) }
      if case .started(let pid) = try? StageReport(decoding: message.bytes) { children.append(pid) }
    }
    for child in children {
      let ended = try? Processes.openPidfd(child)
      if let number = ended.raw {
        _ = Descriptors.isReadable(number, withinMilliseconds: Self.endMilliseconds)
      }
      _ = try? Processes.wait(child, blocking: false)
    }
  }

  private static let endMilliseconds: Int32 = 1000

  /// What the stage can begin with.
  /// - Parameter cgroups: `RunCgroup.descriptors`.
  func send(_ start: StageStart, cgroups: [Int32]) throws(RunError) {
    try deliverPlan { () throws(SyscallError) in
      try Messages.send(socket.raw, start.encoded(), descriptors: cgroups)
    }
  }

  /// The rest, as a sealed file.
  func send(_ plan: LaunchPlan) throws(RunError) {
    try deliverPlan { () throws(SyscallError) in
      let file = try Descriptors.sealedMemory(name: "launch-plan", plan.encoded())
      try Messages.send(planSocket.raw, [1], descriptors: [file.raw])
    }
  }

  /// The ring is built without that; nothing of it executes before.
  func letProgramBegin() throws(SyscallError) {
    try Self.deliver { () throws(SyscallError) in try Messages.send(planSocket.raw, [1]) }
  }

  /// Nothing is sent any more: whoever waits for it ends. Without a process namespace the program's process outlives PID 1.
  func giveUp() { Sockets.endWriting(planSocket.raw) }

  private func deliverPlan(_ body: () throws(SyscallError) -> Void) throws(RunError) {
    do throws(SyscallError) { try Self.deliver(body) } catch {
      throw RunError(.internalFailure, "sending the plan: \(error.description)")
    }
  }

  private static func deliver(_ body: () throws(SyscallError) -> Void) throws(SyscallError) {
    do throws(SyscallError) { try body() } catch {
      // The stage has failed already: its own report says why.
      if error.errno == EPIPE || error.errno == ECONNRESET { return }
      throw error
    }
  }
}
