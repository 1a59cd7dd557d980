internal import Glibc
internal import JSON
internal import Kernel
internal import LaunchPlan
internal import Policy
internal import Rings

/// How a run ended, before it becomes an exit status and a record.
struct RunOutcome: Equatable {
  enum End: Equatable {
    case exited(UInt8)
    case signaled(Int32)
    /// The launch failed; the program was never executed.
    case notStarted(StageFailure)
    /// The supervisor ended it.
    case killed(KillReason)
    /// PID 1 of the ring vanished without a word.
    case lost
  }
  var end: End
  var executed: Bool

  /// The program has ended, and not by us.
  var endedByItself: Bool {
    switch end {
    case .exited, .signaled: true
    case .notStarted, .killed, .lost: false
    }
  }
}

/// A part of the supervisor with descriptors of its own in the loop. It must not block: what can, belongs to a
/// worker whose descriptor it watches.
protocol RunService: AnyObject {
  /// Once, before the program is executed. It adds its descriptors with `RunLoop.watch`.
  func start(in loop: RunLoop) throws(SyscallError)
  /// One of its descriptors is ready.
  func handle(_ event: Poller.Event, in loop: RunLoop) throws(SyscallError)
  /// The run came further.
  func observe(_ moment: RunMoment, in loop: RunLoop) throws(SyscallError)
  /// Once, when every process of the ring is gone.
  func finish()
}

extension RunService {
  func observe(_ moment: RunMoment, in loop: RunLoop) throws(SyscallError) {}
}

/// What the services of a run are told of it.
enum RunMoment {
  /// PID 1 of the ring exists.
  case started(pid: Int32)
  /// The program was executed.
  case executed
  /// A signal asked for the end; the program has this long.
  case askedToEnd(graceMilliseconds: UInt64)
  /// A forbidden call was refused.
  case violation(Violation)
  /// What those have used that PID 1 has reaped.
  case account(RunUsage)
  /// What was refused has reached a level (`BreachDetector`).
  case breach(JSONObject)
  /// Everything in the ring is about to be ended.
  case killing(KillOrder)
  /// An operator has stopped the ring, for good or until its end in so many milliseconds.
  case paused(uid: UInt32, milliseconds: UInt64?)
  case resumed(uid: UInt32)
}

/// The one loop of the supervisor: the stage's reports, the program's terminal, signals, the clock and the
/// kernel's reports of forbidden calls. It never blocks on anything else, and it ends only when PID 1 of
/// the ring is gone, which the kernel lets happen only after every process of the ring is.
final class RunLoop {
  private let stage: StageProcess
  private var poller: Poller
  private let signals: OwnedFD
  private let options: RunOptions
  let events: RunEvents
  private let timeoutMilliseconds: UInt64?
  private var deadline: OwnedFD?
  private var grace: OwnedFD?
  /// PID 1 of the ring; nil until the stage has made it.
  private(set) var ringInit: Int32?
  /// Readable when PID 1 is gone, which is when everybody else of its namespace is (pid_namespaces(7)).
  private var initEnd: OwnedFD?
  /// The kernel has confirmed that no process of the ring is left.
  private var isEmpty = false
  let killSwitch: KillSwitch
  /// Of the whole run, where it has one.
  let cgroup: RunCgroup?
  private var listener: OwnedFD?
  private let terminal: ForegroundTerminal
  let refusals: Refusals
  /// Of what passes through us; nil when nothing of it is limited.
  var meter: BudgetMeter?
  private var end: RunOutcome.End?
  private(set) var executed = false
  private var services: [any RunService] = []
  /// Whose a descriptor in the loop is, when it is a service's.
  private var watchers: [Int32: any RunService] = [:]
  private var network: NetworkService?
  private(set) var broker: BrokerService?
  /// Of everything in the ring, PID 1 included; nil until it is empty.
  private(set) var usage: RunUsage?
  /// Of a detached run.
  private var session: OutputSession?
  private var output: OutputRelay?
  /// Said by whoever has just handled something that is seldom alone; until the next turn.
  var expectsMore = false
  private var eagerWait = EagerWait()

  /// A run that lasts as long as this is worth giving memory back; shorter ones end before.
  private static let restMilliseconds: Int32 = 200

  init(
    stage: consuming StageProcess, signals: consuming OwnedFD, options: RunOptions, ring: UInt8,
    timeoutMilliseconds: UInt64?, terminalDescriptors: UInt8, events: RunEvents,
    killSwitch: KillSwitch, cgroup: RunCgroup? = nil
  ) throws(SyscallError) {
    poller = try Poller()
    self.killSwitch = killSwitch
    self.cgroup = cgroup
    self.stage = stage
    self.signals = signals
    self.options = options
    refusals = Refusals(options, ring: ring)
    self.events = events
    terminal = ForegroundTerminal(descriptors: terminalDescriptors)
    try poller.add(self.stage.socket.raw, .input)
    try poller.add(self.signals.raw, .input)
    self.timeoutMilliseconds = timeoutMilliseconds
  }

  /// Instead of `run`, or when it has failed: ends the ring, and lets the services go.
  func abandon() {
    terminal.restore()
    // Frozen, it could not even be killed in version 1.
    if executed { cgroup?.thaw() }
    killProcesses(again: true)
    stage.abandon(ringInit)
    for service in services { service.finish() }
    services = []
    watchers = [:]
    (network, broker, session, output) = (nil, nil, nil, nil)
  }

  /// Lets the program begin once every service knows its ring, and runs until the ring is empty.
  func run() throws(SyscallError) -> RunOutcome {
    if let timeoutMilliseconds { deadline = try startTimer(timeoutMilliseconds) }
    var isResting = false
    while !isEmpty {
      let hasNews = news != nil
      let pause = hasNews ? 1 : isResting ? -1 : Self.restMilliseconds
      var ready = expectsMore && !isEnding ? try eagerWait.look(at: poller) : []
      expectsMore = false
      if ready.isEmpty { ready = try poller.wait(milliseconds: pause) }
      if ready.isEmpty, !isResting, !hasNews {
        isResting = true
        Processes.releaseMemory()
        killSwitch.rehearse()
      }
      // One may close what the next is of.
      for event in ready where poller.isCurrent(event) { try handle(event) }
      if hasNews, !isEmpty { tellNews() }
    }
    terminal.finish()
    terminal.restore()
    // Tools are processes of the run as well: nobody is told that nothing is left before they are gone.
    for service in services { service.finish() }
    killSwitch.take(.empty, in: self)
    tellNews()
    // Whoever reads slowly keeps nothing else waiting.
    output?.pass(in: self)
    return RunOutcome(end: end ?? .lost, executed: executed)
  }

  // MARK: services

  func add(_ service: any RunService) throws(SyscallError) {
    services.append(service)
    try service.start(in: self)
  }

  /// The service that gets the sockets of the ring's network.
  func add(network service: NetworkService) throws(SyscallError) {
    network = service
    try add(service)
  }

  /// The service that gets the sockets of the broker.
  func add(broker service: BrokerService) throws(SyscallError) {
    broker = service
    try add(service)
  }

  /// The service that the program's output goes through.
  func add(output service: OutputRelay) throws(SyscallError) {
    output = service
    try add(service)
  }

  /// The service that gets the ring's terminal.
  func add(session service: OutputSession) throws(SyscallError) {
    session = service
    try add(service)
  }

  /// Events of `descriptor` go to `service`, until `unwatch`.
  func watch(
    _ descriptor: Int32, _ interest: Poller.Interest, for service: any RunService
  ) throws(SyscallError) {
    try poller.add(descriptor, interest)
    watchers[descriptor] = service
  }

  func change(_ descriptor: Int32, _ interest: Poller.Interest) throws(SyscallError) {
    try poller.change(descriptor, interest)
  }

  /// Before the descriptor is closed.
  func unwatch(_ descriptor: Int32) throws(SyscallError) {
    watchers[descriptor] = nil
    try poller.remove(descriptor)
  }

  func tellServices(_ moment: RunMoment) throws(SyscallError) {
    for service in services { try service.observe(moment, in: self) }
  }

  /// Whether the run is about to be over, for whatever reason.
  var isEnding: Bool { end != nil || killSwitch.isKilling }

  /// By us, or by a signal that asked for it.
  var wasEnded: Bool {
    if case .killed = end { return true }
    return wasAskedToEnd
  }

  /// After the end of the ring: waits for something outside of it, until a signal asks us to go.
  /// - Parameter isTimed: the wall clock ends it as well.
  /// - Returns: whether `descriptor` became readable, or what else was wanted of it.
  func linger(
    until descriptor: Int32, _ interest: Poller.Interest = .input, isTimed: Bool = false
  ) throws(SyscallError) -> Bool {
    var others = try Poller()
    try others.add(descriptor, interest)
    try others.add(signals.raw, .input)
    if isTimed, let number = deadline.raw { try others.add(number, .input) }
    while true {
      for event in try others.wait(milliseconds: -1) {
        if event.descriptor == descriptor { return true }
        if event.descriptor == deadline.raw { return false }
        let asked = try Signals.pending(signals.raw)
        if asked.contains(where: { [SIGINT, SIGTERM, SIGHUP, SIGQUIT].contains($0) }) {
          return false
        }
      }
    }
  }

  // MARK: events

  /// By a signal to us, whether the program heeded it or not.
  var wasAskedToEnd: Bool { grace.raw != nil }

  /// For every way out, also a failing one.
  func restoreTerminal() {
    terminal.restore()
  }

  private func handle(_ event: Poller.Event) throws(SyscallError) {
    let number = event.descriptor
    if number == stage.socket.raw {
      try readReports()
    } else if number == signals.raw {
      for signal in try Signals.pending(number) { try handle(signal: signal) }
    } else if number == deadline.raw {
      try poller.remove(number)
      kill(KillOrder(.sessionTimeout, by: "the wall clock"))
    } else if number == grace.raw {
      try poller.remove(number)
      kill(Self.signalOrder)
    } else if number == initEnd.raw {
      try poller.remove(number)
      try reapInit()
    } else if number == listener.raw {
      if event.isOver {
        // The last process that used the filter is gone.
        try poller.remove(number)
        listener = nil
      } else {
        try refusals.read(number, in: self)
      }
    } else if let service = watchers[number] {
      try service.handle(event, in: self)
    }
  }

  // MARK: the stage

  private func readReports() throws(SyscallError) {
    let message: (bytes: [UInt8], descriptors: [Int32])?
    do throws(SyscallError) {
      message = try Messages.receive(stage.socket.raw, capacity: 8192, blocking: false)
    } catch {
      if error.errno == EAGAIN { return }
      throw error
    }
    guard let message else {
      try poller.remove(stage.socket.raw)
      return try confirmEmpty()
    }
    guard let report = try? StageReport(decoding: message.bytes) else {
      for number in message.descriptors { _ = OwnedFD(number) }
      return
    }
    try take(report, message.descriptors)
  }

  private func take(_ report: StageReport, _ descriptors: [Int32]) throws(SyscallError) {
    switch report {
    case .started(let pid):
      ringInit = pid
      for number in descriptors { _ = OwnedFD(number) }
      events.emit("started", ["pid": JSONValue(pid)])
      try tellServices(.started(pid: pid))
      // From here on the run can be found, and ended by others.
      if !isEnding { try stage.letProgramBegin() }
    case .terminal:
      guard let master = descriptors.first else { return }
      if let session { return try session.adopt(OwnedFD(master), in: self) }
      try terminal.open(OwnedFD(master), in: self)
    case .listener:
      guard let number = descriptors.first else { return }
      listener = OwnedFD(number)
      try poller.add(number, .input)
    case .sockets(let numbers):
      if let network {
        try network.adopt(numbers, descriptors)
      } else {
        for number in descriptors { _ = OwnedFD(number) }
      }
    case .broker(let isListening):
      guard let number = descriptors.first else { return }
      let socket = OwnedFD(number)
      try broker?.adopt(socket, isListening: isListening, in: self)
    case .executed:
      executed = true
      events.emit("executed", [:])
      try tellServices(.executed)
    case .failed(let failure):
      if end == nil { end = .notStarted(failure) }
      stage.giveUp()
    case .stopped(let signal): try stop(signal)
    case .exited(let code, let signal):
      guard end == nil else { return }
      end = signal == 0 ? .exited(code) : .signaled(signal)
    case .account(let cpu, let written):
      try tellServices(.account(RunUsage(cpuMicroseconds: cpu, writtenBytes: written)))
    case .signaledEveryone(let signal):
      if signal == SIGSTOP { killSwitch.take(.frozen, in: self) }
    }
  }

  /// The socket ends with PID 1, but before it: the kernel closes its files first and ends everybody else of
  /// the namespace then.
  private func confirmEmpty() throws(SyscallError) {
    _ = try Processes.wait(stage.pid, blocking: true)
    launcherIsGone = true
    // The launcher may have been killed before it could say whom it made.
    if ringInit == nil { ringInit = unknownInits().first }
    guard let ringInit else {
      isEmpty = true
      return
    }
    do throws(SyscallError) {
      let pidfd = try Processes.openPidfd(ringInit)
      try poller.add(pidfd.raw, .input)
      initEnd = consume pidfd
    } catch {
      // It is gone, or no descriptor is left.
      try reapInit()
    }
  }

  /// PID 1 is our own child (CLONE_PARENT).
  private func reapInit() throws(SyscallError) {
    if !launcherIsGone, try Processes.wait(stage.pid, blocking: true) != nil {
      launcherIsGone = true
    }
    if let ringInit, let used = try Processes.reap(ringInit) {
      usage = RunUsage(cpuMicroseconds: used.cpuMicroseconds, writtenBytes: used.writtenBytes)
    }
    // Without a process namespace, PID 1's stand-in can end before the others.
    while !hasProcessNamespace, cgroup?.isPopulated == true {
      _ = cgroup?.kill()
      usleep(1000)
    }
    isEmpty = true
  }

  private var launcherIsGone = false

  /// Children of ours that the launcher has made and not told of. Whoever executed us may have left us children
  /// of its own: those have other names.
  private func unknownInits() -> [Int32] {
    ((try? Processes.children()) ?? []).filter { child in
      guard child != stage.pid, let name = ProcessSample(child)?.name else { return false }
      return name == "agt-stage" || name == PeerJudge.nameOfInit
    }
  }

  /// False when nobody listens any more.
  @discardableResult
  func tell(_ command: StageCommand) throws(SyscallError) -> Bool {
    do throws(SyscallError) {
      try Messages.send(stage.socket.raw, command.encoded())
      return true
    } catch {
      if error.errno != EPIPE && error.errno != ECONNRESET { throw error }
      return false
    }
  }

  // MARK: the kill switch

  /// Ends everything in the ring (`KillMachine`). The first reason stays.
  func kill(_ order: KillOrder) {
    let isFirst = end == nil
    if isFirst { end = .killed(order.reason) }
    killSwitch.take(.ordered(order), in: self)
    if isFirst { news = order }
  }

  /// Nobody who is told of a kill delays it: they hear of it when the ring has begun to end.
  private var news: KillOrder?

  private func tellNews() {
    guard let order = news else { return }
    news = nil
    events.emit("kill", ["reason": .string(order.reason.rawValue), "by": .string(order.by)])
    try? tellServices(.killing(order))
    killSwitch.tellThoseWhoWait(in: self)
  }

  /// Before a running ring is killed: nothing but the end of PID 1 matters any more, and whatever else would wake
  /// us while the ring ends takes a processor away from it.
  func listenToTheEndAlone() {
    guard executed, hasProcessNamespace, initEnd.raw == nil, let ringInit,
      let pidfd = try? Processes.openPidfd(ringInit),
      (try? poller.add(pidfd.raw, .input)) != nil
    else { return }
    initEnd = consume pidfd
    try? poller.remove(stage.socket.raw)
    if let number = listener.raw { try? poller.remove(number) }
  }

  private static let signalOrder = KillOrder(.manual, by: "a signal")

  /// Whether the program's processes have a namespace that ends with its PID 1.
  var hasProcessNamespace: Bool { !options.degraded.contains(.namespaces) }

  /// SIGKILL to all of the ring. Safe to repeat: nobody of ours is waited for before `isEmpty`.
  /// - Parameter again: the first time was not enough.
  func killProcesses(again: Bool) {
    if !isEmpty { _ = cgroup?.kill() }
    guard let ringInit else {
      // PID 1 may exist without our knowing it yet.
      if !launcherIsGone { _ = try? Processes.signal(stage.pid, SIGKILL) }
      for child in unknownInits() { _ = try? Processes.signal(child, SIGKILL) }
      return
    }
    if isEmpty { return }
    if hasProcessNamespace {
      _ = try? Processes.signal(ringInit, SIGKILL)
    } else if again {
      // The program may have stopped it.
      _ = try? Processes.signal(ringInit, SIGCONT)
      for process in ProcessSnapshot().descendants(of: ringInit) {
        _ = try? Processes.signal(process.pid, SIGKILL)
      }
    } else {
      _ = try? tell(.kill)
    }
  }

  // MARK: signals and clock

  private func handle(signal: Int32) throws(SyscallError) {
    switch signal {
    // The launcher has done its work; PID 1 is waited for when its socket ends.
    case SIGCHLD:
      if !launcherIsGone, try Processes.wait(stage.pid, blocking: false) != nil {
        launcherIsGone = true
      }
    // Of a write of ours to somebody who is gone; the write has failed already.
    case SIGPIPE: break
    case SIGWINCH: terminal.copyWindowSize()
    case SIGCONT: try resume()
    case SIGTSTP:
      try tell(.signal(SIGTSTP))
      Signals.stopSelf()
    case SIGTERM, SIGHUP:
      // The program may clean up; a second request does not wait.
      if grace.raw != nil { return kill(Self.signalOrder) }
      try tellServices(.askedToEnd(graceMilliseconds: options.graceMilliseconds))
      try tell(.signal(signal))
      try killSwitch.resume(in: self)
      try tell(.signal(SIGCONT))
      do throws(SyscallError) { grace = try startTimer(options.graceMilliseconds) } catch {
        // Without a descriptor for the clock nobody would end it after the grace.
        kill(Self.signalOrder)
      }
    default: try tell(.signal(signal))
    }
  }

  private func startTimer(_ milliseconds: UInt64) throws(SyscallError) -> OwnedFD {
    let timer = try Timers.descriptor(afterMilliseconds: milliseconds)
    try poller.add(timer.raw, .input)
    return timer
  }

  // MARK: job control

  /// The program was stopped inside: its person gets the shell back, as with any other job.
  private func stop(_ signal: Int32) throws(SyscallError) {
    // Nobody is there to continue it.
    if let session, session.isTerminal, signal != SIGSTOP {
      if !killSwitch.isPaused { _ = try tell(.signal(SIGCONT)) }
      return
    }
    if signal != SIGSTOP { try terminal.stopJob() }
  }

  private func resume() throws(SyscallError) {
    try terminal.continueJob()
    // A person who brings the job back does not undo an operator's pause.
    if !killSwitch.isPaused { try tell(.signal(SIGCONT)) }
  }
}
