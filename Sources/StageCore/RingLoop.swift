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

  private static let restMilliseconds: Int32 = 200
  /// Longer than what is left of a launch.
  private static let launchMilliseconds = 10_000

  /// - Parameter state: of the program's process until it is executed.
  static func run(
    program: Int32, launch state: consuming LaunchState, signals: consuming OwnedFD
  ) -> Never {
    var launch = state
    do throws(SyscallError) {
      let children = signals
      var poller = try Poller()
      for descriptor in [children.raw, launch.raw, Stage.socket] {
        try poller.add(descriptor, .input)
      }
      var isResting = true
      while true {
        let ready = try poller.wait(milliseconds: isResting ? -1 : restMilliseconds)
        if ready.isEmpty, !isResting {
          isResting = true
          Processes.releaseMemory()
        }
        for event in ready {
          if event.descriptor == children.raw {
            _ = try Signals.pending(children.raw)
            try reap(program, &launch)
          } else if event.descriptor == Stage.socket {
            try obey(program, &launch)
          } else if try !launch.advance(), launch.isOver {
            try poller.remove(event.descriptor)
            for number in launch.takeSignals() { try Processes.signal(-program, number) }
            // From here on little of what the launch needed is needed again; most programs are over before it
            // is worth giving back.
            isResting = false
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

  private static func reap(_ program: Int32, _ launch: inout LaunchState) throws(SyscallError) {
    while let child = try Processes.wait(-1, blocking: false, stopped: true) {
      guard child.pid == program else { continue }
      switch child.status {
      case .exited(let code):
        while try launch.advance() {}
        Stage.report(.exited(code: code, signal: 0))
        end(program)
      case .signaled(let number):
        while try launch.advance() {}
        Stage.report(.exited(code: 0, signal: number))
        end(program)
      case .stopped(let number): Stage.report(.stopped(signal: number))
      case .continued: break
      }
    }
  }

  /// Takes one command of the supervisor's; its end is ours.
  static func obey(_ program: Int32, _ launch: inout LaunchState) throws(SyscallError) {
    guard let message = try Messages.receive(Stage.socket, capacity: 64, blocking: true) else {
      end(program)
    }
    for number in message.descriptors { _ = OwnedFD(number) }
    switch try? StageCommand(decoding: message.bytes) {
    case .signal(let number):
      if !launch.keep(number) { try Processes.signal(-program, number) }
    case .everyone(let number):
      // Outside of a process namespace this would reach all of the user's processes.
      guard getpid() == 1 else { return }
      try Processes.signal(-1, number)
      Stage.report(.signaledEveryone(number))
    case .account:
      let used = Processes.usageOfReaped()
      Stage.report(
        .account(cpuMicroseconds: used.cpuMicroseconds, writtenBytes: used.writtenBytes))
    case .kill, nil: end(program)
    }
  }

  /// The end of PID 1 ends its namespace. Without one, the processes are ended one by one, children of
  /// children included, because they become ours (PR_SET_CHILD_SUBREAPER).
  private static func end(_ program: Int32) -> Never {
    if getpid() != 1 {
      _ = try? Processes.signal(-program, SIGKILL)
      // Each round ends every process that is our child by then and waits for one of them, so that the
      // next round meets those that have become ours meanwhile. Bounded by what a machine can hold.
      for round in 0..<4_194_304 {
        guard let children = try? Processes.children(), !children.isEmpty else { break }
        var isReached = true
        for child in children {
          do throws(SyscallError) { try Processes.signal(child, SIGKILL) } catch {
            isReached = false
          }
        }
        // A program's process that is root still has our ids before it executes anything: seconds at most. Nobody
        // else's ids become ours.
        let isBlocking = isReached || round >= launchMilliseconds
        if !isBlocking { usleep(1000) }
        _ = try? Processes.wait(-1, blocking: isBlocking)
      }
    }
    exit(0)
  }

  // MARK: the filter of PID 1

  /// Everything that `run` calls, and nothing that opens, connects, executes or forks. A PID 1 that was
  /// taken over could reap and signal its own ring, which is what it does anyway.
  static var filter: [UInt8] {
    let calls = Seccomp.callsOfRingInit
    // struct sock_filter of seccomp(2): load the architecture (4), the number (0).
    var program: [(code: UInt16, yes: UInt8, no: UInt8, value: UInt32)] = [
      (0x20, 0, 0, 4), (0x15, 1, 0, architecture), (0x06, 0, 0, 0x8000_0000), (0x20, 0, 0, 0),
    ]
    for (index, call) in calls.enumerated() {
      program.append((0x15, UInt8(calls.count - index), 0, call))
    }
    program += [(0x06, 0, 0, 0x0005_0000 | UInt32(EPERM)), (0x06, 0, 0, 0x7fff_0000)]
    return program.flatMap { instruction in
      let value = instruction.value
      return [
        UInt8(truncatingIfNeeded: instruction.code), UInt8(instruction.code >> 8),
        instruction.yes, instruction.no, UInt8(truncatingIfNeeded: value),
        UInt8(truncatingIfNeeded: value >> 8), UInt8(truncatingIfNeeded: value >> 16),
        UInt8(truncatingIfNeeded: value >> 24),
      ]
    }
  }

  /// AUDIT_ARCH_* of the machine that this was built for (linux/audit.h).
  private static var architecture: UInt32 {
    #if arch(x86_64)
      0xc000_003e
    #elseif arch(arm64)
      0xc000_00b7
    #endif
  }
}

/// What the program's process tells PID 1 on its way: a failure, or by the end of the channel that it was
/// executed.
struct LaunchState: ~Copyable {
  private let channel: OwnedFD
  private var announced = false
  private(set) var isOver = false
  /// Signals for the program that came while it was being launched. Its process may have another user
  /// until then, and would have died of them with nothing said.
  private var signals: [Int32] = []

  init(channel: consuming OwnedFD) { self.channel = channel }

  var raw: Int32 { channel.raw }

  /// False when the program runs already.
  mutating func keep(_ signal: Int32) -> Bool {
    guard !isOver else { return false }
    if !signals.contains(signal) { signals.append(signal) }
    return true
  }

  mutating func takeSignals() -> [Int32] {
    guard isOver else { return [] }
    defer { signals = [] }
    return signals
  }

  /// Takes one message if there is one; false when nothing more will come or waits now.
  mutating func advance() throws(SyscallError) -> Bool {
    guard !isOver else { return false }
    let message: (bytes: [UInt8], descriptors: [Int32])?
    do throws(SyscallError) {
      message = try Messages.receive(channel.raw, capacity: 8192, blocking: false)
    } catch {
      if error.errno == EAGAIN { return false }
      throw error
    }
    guard let message else {
      isOver = true
      Stage.report(
        announced
          ? .executed
          : .failed(StageFailure(step: "program", call: "", object: "it ended early", errno: 0)))
      return false
    }
    switch try? StageReport(decoding: message.bytes) {
    case .executed: announced = true
    case .failed(let failure):
      isOver = true
      Stage.report(.failed(failure))
      return false
    default: break
    }
    return true
  }
}
