internal import Glibc
internal import Kernel
internal import LaunchPlan

/// The launcher: takes one plan from the supervisor and turns it into a confined program.
///
/// A user never sees it. What can go wrong is any system call below; then the supervisor gets
/// {step, call, object, errno}, the program is never executed, and the process ends. It must never
/// continue after a failed step, decide anything itself, or hold a descriptor that the plan did not give.
///
/// Two processes run this code: the launcher, which the supervisor spawned and which ends as soon as its
/// sibling exists, and that sibling, PID 1 of the ring (`RingInit`), which confines itself and then forks
/// the program (`Program`). The order of the steps is that of docs/decisions/0002.
public enum Stage {
  /// Where the supervisor's socket is.
  static let socket: Int32 = 3

  /// Never returns: the process ends with 0 when PID 1 has taken over, with 1 on failure.
  /// - Parameter arguments: those of `StageArguments`.
  public static func run(_ arguments: [String]) -> Never {
    precondition(Processes.threadCount() ?? 1 == 1, "the stage has one thread")
    do throws(StageFailure) {
      try enter(arguments)
    } catch {
      report(.failed(error))
      exit(1)
    }
    exit(0)
  }

  private static func enter(_ arguments: [String]) throws(StageFailure) {
    guard let arguments = StageArguments(words: arguments) else {
      throw StageFailure(
        step: "arguments", call: "", object: "agt-stage is started by agt-run", errno: EINVAL)
    }
    try step("descriptors") { () throws(SyscallError) in
      try Descriptors.closeAll(from: socket + 1)
      try Descriptors.setCloseOnExec(socket, true)
      try Processes.setParentDeathSignal(SIGKILL)
    }
    try step("out-of-memory score") { () throws(SyscallError) in
      guard arguments.outOfMemoryScore != 0 else { return }
      try Files.overwrite(ByteString("/proc/self/oom_score_adj"), "\(arguments.outOfMemoryScore)")
    }
    let namespaces = NamespaceSet(rawValue: arguments.namespaces)
    // The plan is still being made while these are created; the pid namespace begins with the next
    // child, the cgroup namespace where that child is put.
    try step("namespaces") { () throws(SyscallError) in
      let early = namespaces.subtracting([.pid, .cgroup, .user])
      if let owner = arguments.owner, namespaces.contains(.user) {
        try Namespaces.unshare(early.union(.user))
        try Namespaces.mapSelf(
          uid: owner.uid, gid: owner.gid, outsideUID: owner.uid, outsideGID: owner.gid)
      } else if !early.isEmpty {
        try Namespaces.unshare(early)
      }
      // Only now: the maps of a process that is not dumpable belong to root.
      try Processes.setNotDumpable()
    }
    let plan = try receivePlan()
    guard plan.value.namespaces == arguments.namespaces else {
      throw StageFailure(
        step: "plan", call: "", object: "other namespaces than at the start", errno: EPROTO)
    }
    try RingInit.start(plan.value, cgroup: plan.cgroup)
  }

  private static func receivePlan() throws(StageFailure) -> (value: LaunchPlan, cgroup: Int32?) {
    let message = try step("plan") { () throws(SyscallError) in
      try Messages.receive(socket, capacity: 64, blocking: true)
    }
    // End of file: the supervisor gave up before it had a plan, and has said why.
    guard let message else { exit(0) }
    guard let file = message.descriptors.first, Descriptors.isSealed(file) else {
      throw StageFailure(step: "plan", call: "", object: "not a sealed file", errno: EPROTO)
    }
    let bytes = try step("plan") { () throws(SyscallError) in
      let owned = OwnedFD(file)
      return try Files.readFromStart(owned.raw, limit: LaunchPlan.maximumBytes)
    }
    do throws(DecodingError) {
      let plan = try LaunchPlan(decoding: bytes)
      return (plan, message.descriptors.count > 1 ? message.descriptors[1] : nil)
    } catch {
      throw StageFailure(
        step: "plan", call: "", object: "byte \(error.offset): \(error.reason)", errno: EPROTO)
    }
  }

  /// Runs one named step: a failing call ends the launch with the step's name.
  static func step<R: ~Copyable>(
    _ name: String, _ body: () throws(SyscallError) -> R
  ) throws(StageFailure) -> R {
    do throws(SyscallError) {
      return try body()
    } catch {
      throw StageFailure(step: name, call: error.call, object: error.object, errno: error.errno)
    }
  }

  /// A supervisor that does not listen any more is no reason to go on: the caller ends either way.
  static func report(_ report: StageReport, descriptors: [Int32] = []) {
    try? Messages.send(socket, report.encoded(), descriptors: descriptors)
  }
}
