internal import Glibc
internal import Kernel
internal import LaunchPlan

/// The launcher: takes a start and a plan from the supervisor and turns them into a confined program.
///
/// A user never sees it. What can go wrong is any system call below; then the supervisor gets
/// {step, call, object, errno}, the program is never executed, and the process ends. It must never
/// continue after a failed step, decide anything itself, or hold a descriptor that the plan did not give.
///
/// Three processes run this code, each forked by the one before: the launcher, which the supervisor
/// spawned and which ends as soon as its sibling exists; that sibling, PID 1 of the ring (`RingInit`),
/// which confines itself and then only reaps and passes signals on; and the program's process
/// (`Program`), which builds the view, confines itself and executes. Whatever needs no plan happens
/// before it comes. The order of the steps is that of docs/decisions/0002.
public enum Stage {
  /// Where the supervisor listens and commands.
  static let socket: Int32 = 3
  /// Where the plan comes.
  static let planSocket: Int32 = 4

  /// Never returns: the process ends with 0 when PID 1 has taken over, with 1 on failure.
  public static func run() -> Never {
    precondition(Processes.threadCount() ?? 1 == 1, "the stage has one thread")
    do throws(StageFailure) {
      try enter()
    } catch {
      report(.failed(error))
      exit(1)
    }
    exit(0)
  }

  private static func enter() throws(StageFailure) {
    try step("descriptors") { () throws(SyscallError) in
      try Descriptors.closeAll(from: planSocket + 1)
      try Descriptors.setCloseOnExec(socket, true)
      try Descriptors.setCloseOnExec(planSocket, true)
      try Processes.setParentDeathSignal(SIGKILL)
      // What is made for the ring has the modes of its plan, whatever the caller's umask is.
      umask(0)
      // Executed by descriptor, it would be called by the descriptor's number.
      try Processes.setName("agt-stage")
    }
    FirstUses.make()
    let message = try step("start") { () throws(SyscallError) in
      try Messages.receive(socket, capacity: StageStart.maximumBytes, blocking: true)
    }
    // End of file: the supervisor gave up before it knew what to start, and has said why.
    guard let message else { exit(0) }
    let start = try decode("start") { () throws(DecodingError) in
      try StageStart(decoding: message.bytes)
    }
    let cgroup = try enterCgroups(message.descriptors)
    let namespaces = NamespaceSet(rawValue: start.namespaces)
    // The pid namespace begins with the next child, the cgroup namespace where that child is put, and
    // the network is made by PID 1 while the program's process builds its view of files.
    try step("namespaces") { () throws(SyscallError) in
      let early = namespaces.subtracting([.pid, .cgroup, .user, .network])
      if case .own(let uid, let gid) = start.identity, namespaces.contains(.user) {
        try Namespaces.unshare(early.union(.user))
        try Namespaces.mapSelf(uid: uid, gid: gid, outsideUID: uid, outsideGID: gid)
      } else if !early.isEmpty {
        try Namespaces.unshare(early)
      }
    }
    // Only then: these files of a process that is not dumpable belong to root.
    try step("out-of-memory score") { () throws(SyscallError) in
      if start.outOfMemoryScore != 0 {
        try Files.overwrite(
          ByteString("/proc/self/oom_score_adj"), "\(start.outOfMemoryScore)")
      }
      try Processes.setNotDumpable()
    }
    try RingInit.start(start, cgroup: cgroup)
  }

  /// Of version 1 the cgroup.procs files came, and this process enters them for all that follow; of version 2
  /// the directory, in which PID 1 begins (CLONE_INTO_CGROUP), because entering costs milliseconds.
  private static func enterCgroups(_ descriptors: [Int32]) throws(StageFailure) -> Int32? {
    var directory: Int32?
    try step("cgroup") { () throws(SyscallError) in
      for number in descriptors {
        if try Files.status(number).kind == .directory {
          directory = number
        } else {
          try Descriptors.write(number, [UInt8(ascii: "0")])
          _ = OwnedFD(number)
        }
      }
    }
    return directory
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

  static func decode<R>(
    _ name: String, _ body: () throws(DecodingError) -> R
  ) throws(StageFailure) -> R {
    do throws(DecodingError) {
      return try body()
    } catch {
      throw StageFailure(
        step: name, call: "", object: "byte \(error.offset): \(error.reason)", errno: EPROTO)
    }
  }

  /// A supervisor that does not listen any more is no reason to go on: the caller ends either way.
  static func report(_ report: StageReport, descriptors: [Int32] = []) {
    try? Messages.send(socket, report.encoded(), descriptors: descriptors)
  }
}
