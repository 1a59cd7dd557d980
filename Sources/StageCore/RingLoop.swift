internal import Glibc
internal import Kernel
internal import LaunchPlan

/// What PID 1 does while the program runs: reap, report, pass signals on. It ends, and with it the whole
/// namespace, when the program ends or the supervisor's socket does.
enum RingLoop {
  /// Before the program is forked, so that no SIGCHLD is lost, and no signal of the terminal stops us.
  static func blockSignals() throws(SyscallError) -> OwnedFD {
    try Signals.descriptor(for: [
      SIGCHLD, SIGHUP, SIGINT, SIGTERM, SIGQUIT, SIGTSTP, SIGTTIN, SIGTTOU, SIGPIPE,
    ])
  }

  /// - Parameter status: ends when the program was executed.
  static func run(program: Int32, status: Int32, signals: consuming OwnedFD) -> Never {
    do throws(SyscallError) {
      let children = signals
      let poller = try Poller()
      for descriptor in [children.raw, status, Stage.socket] { try poller.add(descriptor, .input) }
      while true {
        for event in try poller.wait(milliseconds: -1) {
          if event.descriptor == status {
            try poller.remove(status)
            relayExecution(status)
          } else if event.descriptor == children.raw {
            _ = try Signals.pending(children.raw)
            try reap(program)
          } else {
            try obey(program)
          }
        }
      }
    } catch {
      Stage.report(
        .failed(
          StageFailure(
            step: "supervision", call: error.call, object: error.object, errno: error.errno)))
      end(program)
    }
  }

  /// Nothing but end of file means that the program was executed.
  private static func relayExecution(_ status: Int32) {
    let pipe = OwnedFD(status)
    let bytes = (try? Descriptors.readAll(pipe.raw, limit: 4096)) ?? []
    if bytes.isEmpty {
      Stage.report(.executed)
    } else if let report = try? StageReport(decoding: bytes) {
      Stage.report(report)
    }
  }

  private static func reap(_ program: Int32) throws(SyscallError) {
    while let child = try Processes.wait(-1, blocking: false, stopped: true) {
      guard child.pid == program else { continue }
      switch child.status {
      case .exited(let code):
        Stage.report(.exited(code: code, signal: 0))
        end(program)
      case .signaled(let number):
        Stage.report(.exited(code: 0, signal: number))
        end(program)
      case .stopped(let number): Stage.report(.stopped(signal: number))
      case .continued: break
      }
    }
  }

  private static func obey(_ program: Int32) throws(SyscallError) {
    guard let message = try Messages.receive(Stage.socket, capacity: 64, blocking: true) else {
      end(program)
    }
    for number in message.descriptors { _ = OwnedFD(number) }
    switch try? StageCommand(decoding: message.bytes) {
    case .signal(let number): try Processes.signal(-program, number)
    case .kill, nil: end(program)
    }
  }

  /// The end of PID 1 ends its namespace. Without one, the processes are ended one by one, children of
  /// children included, because they become ours (PR_SET_CHILD_SUBREAPER).
  private static func end(_ program: Int32) -> Never {
    if getpid() != 1 {
      _ = try? Processes.signal(-program, SIGKILL)
      // Bounded: each round ends every process that is our child by then.
      for _ in 0..<1000 {
        guard let children = try? Processes.children(), !children.isEmpty else { break }
        for child in children { _ = try? Processes.signal(child, SIGKILL) }
        while (try? Processes.wait(-1, blocking: true)) ?? nil != nil {}
      }
    }
    exit(0)
  }
}
