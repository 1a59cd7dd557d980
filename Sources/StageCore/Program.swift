internal import Glibc
internal import Kernel
internal import LaunchPlan

/// The last process: puts the terminal in order, installs the seccomp program and becomes the agent.
enum Program {
  /// - Returns: the program's pid and a descriptor that ends when it was executed, or brings a failure.
  static func start(
    _ plan: LaunchPlan, terminal: Int32?
  ) throws(StageFailure) -> (pid: Int32, status: Int32) {
    let pipe = try Stage.step("program") { () throws(SyscallError) in try Descriptors.pipe() }
    let pid = try Stage.step("program") { () throws(SyscallError) in try Processes.fork() }
    guard pid == 0 else {
      // Both sides set the group, so that it exists whoever comes first (setpgid(2), race of job control).
      try? Processes.setProcessGroup(pid, pid)
      if let terminal { _ = OwnedFD(terminal) }
      return (pid, pipe.takeReader().release())
    }
    do throws(StageFailure) {
      try become(plan, terminal: terminal)
    } catch {
      try? Descriptors.write(pipe.writer.raw, StageReport.failed(error).encoded())
    }
    exit(1)
  }

  private static func become(_ plan: LaunchPlan, terminal: Int32?) throws(StageFailure) {
    try Stage.step("program") { () throws(SyscallError) in
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
    }
    umask(0o022)
    try Stage.step("seccomp") { () throws(SyscallError) in
      guard let seccomp = plan.seccomp else { return }
      if let listener = try Seccomp.install(
        seccomp.instructions, listener: seccomp.reportsViolations)
      {
        try Messages.send(
          Stage.socket, StageReport.listener.encoded(), descriptors: [listener.raw])
      }
    }
    let failure = Processes.execute(
      plan.executable, arguments: plan.arguments, environment: plan.environment)
    throw StageFailure(
      step: "execute", call: failure.call, object: failure.object, errno: failure.errno)
  }
}
