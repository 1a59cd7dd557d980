internal import Audit
internal import Broker
internal import Glibc
internal import JSON
internal import Kernel

/// Tells an operator of requests that wait, by a command of the operator's own (`ApprovalSettings`), which reads the
/// request on its standard input.
///
/// A pager that hangs is killed, one that fails is recorded, and neither keeps anybody waiting: settings are read
/// and the command is started in a thread. It is told for information only; whatever it prints or returns approves
/// nothing. Without a request there is no thread, no clock and no file that is read.
final class ApprovalNotifier: RunService {
  private final class Running {
    let approval: String
    let pid: Int32
    let pidfd: OwnedFD
    let deadlineMilliseconds: UInt64
    var isLate = false
    init(
      approval: String, pid: Int32, pidfd: consuming OwnedFD, deadlineMilliseconds: UInt64
    ) {
      self.approval = approval
      self.pid = pid
      self.pidfd = pidfd
      self.deadlineMilliseconds = deadlineMilliseconds
    }
  }

  /// What the thread leaves for the loop.
  private final class Start: @unchecked Sendable {
    var settings = ApprovalSettings()
    var pid: Int32?
    var failure: String?
    private let monitor = Monitor()
    /// Behind the monitor: the loop waits no more.
    private var isGivenUp = false

    /// - Returns: the process that was begun before; else none will be.
    func giveUp() -> Int32? {
      monitor.locked {
        isGivenUp = true
        return pid
      }
    }

    func unlessGivenUp(_ begin: () throws(SyscallError) -> Int32) throws(SyscallError) {
      try monitor.locked { () throws(SyscallError) in
        if !isGivenUp { pid = try begin() }
      }
    }
  }

  private let environment: [[UInt8]]
  private let events: RunEvents
  private let audit: RunAudit
  private let threads = BlockingCalls()
  private var waiting: [(approval: String, text: [UInt8])] = []
  private var starting: [Start] = []
  private var running: [Int32: Running] = [:]
  private var clock: AlarmClock?
  private weak var loop: RunLoop?

  /// At once; further ones wait.
  private static let runningMax = 4
  /// As many as requests can wait.
  private static let waitingMax = ApprovalDesk.pendingMax

  init(_ environment: [[UInt8]], _ events: RunEvents, _ audit: RunAudit) {
    self.environment = environment
    self.events = events
    self.audit = audit
  }

  /// - Parameter request: as `agt pending --json` shows it.
  func tell(_ approval: String, _ request: JSONObject) {
    guard waiting.count < Self.waitingMax else {
      return record(approval, ["outcome": "not_started", "message": "too many wait"])
    }
    waiting.append((approval, JSONWriter.compact(.object(request)) + [10]))
    startNext()
  }

  private func startNext() {
    while starting.count + running.count < Self.runningMax, !waiting.isEmpty, loop != nil {
      let (approval, text) = waiting.removeFirst()
      let start = Start()
      do throws(BrokerError) {
        try threads.run { [environment] in
          Self.start(start, text, environment)
        } done: { [weak self] isInTime in
          self?.started(approval, start, isInTime)
        }
        starting.append(start)
      } catch { record(approval, ["outcome": "not_started", "message": .string(error.message)]) }
    }
  }

  /// In the thread.
  private static func start(_ start: Start, _ text: [UInt8], _ environment: [[UInt8]]) {
    do throws(BrokerError) {
      start.settings = try ApprovalSettings.load(Caller(environment))
      guard let program = start.settings.notify.first else { return }
      do throws(SyscallError) {
        let memory = try Descriptors.sealedMemory(name: "request", text)
        // Opened anew, so that it is read from its beginning.
        let input = try Files.open(ByteString("/proc/self/fd/\(memory.raw)"), O_RDONLY)
        let nothing = try Files.open(ByteString("/dev/null"), O_WRONLY)
        try start.unlessGivenUp { () throws(SyscallError) in
          try Processes.spawn(
            ByteString(program), arguments: start.settings.notify.map { ByteString($0) },
            environment: environment.map { ByteString($0) },
            descriptors: [(input.raw, 0), (nothing.raw, 1), (nothing.raw, 2)], ownGroup: true)
        }
      } catch { throw BrokerError(.failed, error.description) }
    } catch { start.failure = error.message }
  }

  private func started(_ approval: String, _ start: Start, _ isInTime: Bool) {
    starting.removeAll { $0 === start }
    defer { startNext() }
    if !isInTime, start.giveUp() == nil {
      return record(approval, ["outcome": "not_started", "message": "the disk does not answer"])
    }
    if let failure = start.failure {
      return record(approval, ["outcome": "not_started", "message": .string(failure)])
    }
    guard let pid = start.pid else { return }
    do throws(SyscallError) {
      let pidfd = try Processes.openPidfd(pid)
      let number = pidfd.raw
      let made = Running(
        approval: approval, pid: pid, pidfd: pidfd,
        deadlineMilliseconds: AlarmClock.nowMilliseconds + start.settings.timeoutMilliseconds)
      running[number] = made
      try loop?.watch(number, .input, for: self)
      if clock == nil {
        let fresh = try AlarmClock()
        try loop?.watch(fresh.descriptor, .input, for: self)
        clock = fresh
      }
      try clock?.arm(made.deadlineMilliseconds)
    } catch {
      for (number, one) in running where one.pid == pid {
        try? loop?.unwatch(number)
        running[number] = nil
      }
      kill(pid)
      _ = try? Processes.wait(pid, blocking: true)
      record(approval, ["outcome": "not_started", "message": .string(error.description)])
    }
  }

  private func record(_ approval: String, _ what: JSONObject) {
    var members: JSONObject = ["approval": .string(approval)]
    for member in what.members { members[member.name] = member.value }
    events.emit("approval.notified", members)
    audit.record(.approvalNotified, members)
  }

  /// With everything that it has started and that did not leave its group.
  private func kill(_ pid: Int32) { _ = try? Processes.signal(-pid, SIGKILL) }

  // MARK: RunService

  func start(in loop: RunLoop) throws(SyscallError) {
    self.loop = loop
    try loop.add(threads)
  }

  func handle(_ event: Poller.Event, in loop: RunLoop) throws(SyscallError) {
    if let clock, event.descriptor == clock.descriptor {
      clock.silence()
      return try expire()
    }
    guard let one = running[event.descriptor],
      let ended = try? Processes.wait(one.pid, blocking: false)
    else { return }
    try loop.unwatch(event.descriptor)
    running[event.descriptor] = nil
    switch ended.status {
    case _ where one.isLate: record(one.approval, ["outcome": "timed_out"])
    case .exited(let status):
      record(one.approval, ["outcome": "exited", "status": JSONValue(status)])
    case .signaled(let number):
      record(one.approval, ["outcome": "signaled", "status": JSONValue(number)])
    default: break
    }
    startNext()
  }

  private func expire() throws(SyscallError) {
    let now = AlarmClock.nowMilliseconds
    for one in running.values where !one.isLate {
      if one.deadlineMilliseconds <= now {
        one.isLate = true
        kill(one.pid)
      } else {
        try clock?.arm(one.deadlineMilliseconds)
      }
    }
  }

  func finish() {
    loop = nil
    waiting = []
    for pid in running.values.map(\.pid) + starting.compactMap({ $0.giveUp() }) {
      kill(pid)
      _ = try? Processes.wait(pid, blocking: true)
    }
    running = [:]
    starting = []
  }
}
