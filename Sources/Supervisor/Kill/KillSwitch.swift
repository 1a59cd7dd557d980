internal import Glibc
internal import JSON
internal import Kernel
internal import LaunchPlan

/// The kill machine's effects in the loop of one run, and its pause. Nothing is opened before it is needed.
final class KillSwitch: RunService {
  private let run: RunReference
  private let store: KillStore
  private weak var station: OperatorService?
  private var machine = KillMachine()
  private var timer: OwnedFD?
  private var decidedWallNanoseconds: UInt64 = 0
  private var evidence: KillEvidence?
  /// The ring's only process, when it is.
  private var program: ProcessDirectory?
  private var hasKilled = false
  /// Whoever leaves a mount namespace last takes its mounts down and waits for the kernel's readers (RCU). While
  /// this is open, that is not the ring's last process, whose end is waited for.
  private var mounts: OwnedFD?
  /// Who gets the record when it is made.
  private var waiting: [OperatorClient] = []
  /// Ends a pause that nobody ended.
  private var quarantine: OwnedFD?
  private(set) var isPaused = false
  /// nil until the end is confirmed, and for a run that ended by itself.
  var record: JSONObject? { made?.json }
  private var made: KillRecord?
  /// What has begun or is about to be undone.
  var compensations: () -> [JSONValue] = { [] }

  init(_ run: RunReference, _ store: KillStore) {
    self.run = run
    self.store = store
  }

  /// Whose clients get the record.
  func attach(to station: OperatorService) { self.station = station }

  var isKilling: Bool { machine.phase != .idle }

  /// The client gets the record as soon as there is one.
  func report(to client: OperatorClient) { waiting.append(client) }

  /// Tells the machine what happened, and does what it asks for.
  func take(_ event: KillMachine.Event, in loop: RunLoop) {
    if machine.phase == .idle { decidedWallNanoseconds = Clock.wallNanoseconds() }
    var events = [event]
    while !events.isEmpty {
      let effects = machine.handle(
        events.removeFirst(), atNanoseconds: Clock.monotonicNanoseconds())
      for effect in effects {
        // What has been answered is not waited for.
        if case .wait = effect, !events.isEmpty { continue }
        if let answer = perform(effect, in: loop) { events.append(answer) }
      }
    }
    if machine.phase == .confirmed, record == nil {
      Processes.setRunsFirst(0, false)
      conclude(in: loop)
    }
  }

  private func perform(_ effect: KillMachine.Effect, in loop: RunLoop) -> KillMachine.Event? {
    switch effect {
    case .freeze:
      let endsWithInit = loop.executed && loop.hasProcessNamespace
      if endsWithInit, isAlone(loop) { return .notFrozen }
      // Among hundreds of runnable processes both would wait for their turns.
      Processes.setRunsFirst(0, true)
      // Stopping each that sleeps would take longer than ending it.
      if endsWithInit, MachineLoad.nobodyWaits { return .notFrozen }
      if let ringInit = loop.ringInit { Processes.setRunsFirst(ringInit, true) }
      if !loop.hasProcessNamespace, loop.cgroup?.freeze() == true { return .frozen }
      guard loop.executed, loop.hasProcessNamespace,
        (try? loop.tell(.everyone(SIGSTOP))) == true
      else { return .notFrozen }
      return nil
    case .gatherEvidence:
      if loop.executed, let ringInit = loop.ringInit {
        evidence = evidence ?? KillEvidence(below: ringInit)
        evidence?.violations = .array(loop.refusals.violations.kinds.map(\.json))
      }
      return .gathered
    case .kill:
      if !hasKilled {
        mounts = mountNamespace
        if program == nil { loop.listenToTheEndAlone() }
        // Once nobody else runs, PID 1 would only take a processor from each that ends.
        if machine.times.frozen != nil, let ringInit = loop.ringInit {
          Processes.setRunsFirst(ringInit, false)
        }
      }
      loop.killProcesses(again: hasKilled)
      if let program {
        // PID 1 takes it with it, but only when it has come so far; this way both end at the same time. Two that
        // end seldom need every processor, as many do: what we wait for them with is set up meanwhile.
        program.signal(SIGKILL)
        loop.listenToTheEndAlone()
      }
      program = nil
      hasKilled = true
      return nil
    case .wait(let milliseconds):
      do throws(SyscallError) { try arm(milliseconds, loop) } catch {
        // Without a descriptor for the clock nothing is waited for but the end.
        return machine.phase == .freezing ? .timeOver : nil
      }
      return nil
    case .reportStuck:
      reportStuck(in: loop)
      return nil
    }
  }

  /// Goes the way to a kill without killing anything: the first time takes twice as long as the next, because Swift's
  /// runtime describes each kind of list when the first is made, and code comes from the disk.
  func rehearse() {
    ArgumentsReader.shared.prepare()
    KillEvidence.rehearse()
    var machine = KillMachine()
    for event in [
      KillMachine.Event.ordered(KillOrder(.manual, by: "nobody")), .notFrozen, .gathered,
    ] {
      for effect in machine.handle(event, atNanoseconds: Clock.monotonicNanoseconds()) {
        if case .wait(let milliseconds) = effect {
          _ = try? Timers.descriptor(afterMilliseconds: milliseconds)
        }
      }
    }
    _ = try? Processes.openPidfd(getpid())
  }

  private func isAlone(_ loop: RunLoop) -> Bool {
    guard let found = loop.ringInit.flatMap({ KillEvidence.alone(below: $0) }) else { return false }
    evidence = found.evidence
    program = found.program
    return true
  }

  private var mountNamespace: OwnedFD? {
    if let program { return program.open("ns/mnt") }
    return evidence?.processes.first.flatMap { ProcessDirectory($0.pid)?.open("ns/mnt") }
  }

  private func arm(_ milliseconds: UInt64, _ loop: RunLoop) throws(SyscallError) {
    if let number = timer.raw { return try Timers.set(number, afterMilliseconds: milliseconds) }
    let made = try Timers.descriptor(afterMilliseconds: milliseconds)
    try loop.watch(made.raw, .input, for: self)
    timer = consume made
  }

  // MARK: the record

  private func conclude(in loop: RunLoop) {
    guard let made = makeRecord(terminated: true) else { return }
    self.made = made
    store(made)
    answer(record!, in: loop)
    mounts = nil
  }

  private func store(_ record: KillRecord) {
    do throws(SyscallError) {
      try store.write(record)
      made?.isStored = true
    } catch {
      Output.say("agt-run: the record of the kill is not kept: \(error.description)")
    }
  }

  /// After what was to be undone has been, or is left: the record says so.
  func conclude(compensations: [JSONValue]) {
    guard made != nil, !compensations.isEmpty else { return }
    made!.compensations = compensations
    store(made!)
  }

  private func reportStuck(in loop: RunLoop) {
    guard let made = makeRecord(terminated: false) else { return }
    Output.say(
      "agt-run: killed (\(made.order.reason.rawValue)), and a process of the ring does not end; it "
        + "is waited for")
    answer(made.json, in: loop)
  }

  private func makeRecord(terminated: Bool) -> KillRecord? {
    guard let order = machine.order else { return nil }
    var record = KillRecord(
      run, order, machine.times, decidedWallNanoseconds: decidedWallNanoseconds,
      terminated: terminated, evidence: evidence)
    record.compensations = compensations()
    return record
  }

  /// That it is on its way, when it takes longer than a moment.
  func tellThoseWhoWait(in loop: RunLoop) {
    for client in waiting { station?.send(["ok": true, "state": "ending"], to: client, in: loop) }
  }

  private func answer(_ record: JSONObject, in loop: RunLoop) {
    for client in waiting {
      station?.send(["ok": true, "kill": .object(record)], to: client, in: loop)
    }
    waiting = []
  }

  // MARK: pause

  /// Stops every process of the ring until `resume`.
  /// - Parameter milliseconds: after which the run is ended (`quarantine_timeout`); nil never.
  func pause(forMilliseconds milliseconds: UInt64?, in loop: RunLoop) throws(SyscallError) {
    if loop.hasProcessNamespace {
      try loop.tell(.everyone(SIGSTOP))
    } else if loop.cgroup?.freeze() != true {
      loop.cgroup?.thaw()
      throw SyscallError(call: "write", object: "the freezer of its cgroup", errno: EBUSY)
    }
    isPaused = true
    try endQuarantine(in: loop)
    guard let milliseconds else { return }
    let made = try Timers.descriptor(afterMilliseconds: milliseconds)
    try loop.watch(made.raw, .input, for: self)
    quarantine = consume made
  }

  /// Also wakes what the program had stopped itself: nobody can tell them apart.
  func resume(in loop: RunLoop) throws(SyscallError) {
    guard isPaused else { return }
    try endQuarantine(in: loop)
    if loop.hasProcessNamespace {
      try loop.tell(.everyone(SIGCONT))
    } else {
      loop.cgroup?.thaw()
    }
    isPaused = false
  }

  private func endQuarantine(in loop: RunLoop) throws(SyscallError) {
    guard let number = quarantine.raw else { return }
    try loop.unwatch(number)
    quarantine = nil
  }

  // MARK: RunService

  func start(in loop: RunLoop) {}

  func handle(_ event: Poller.Event, in loop: RunLoop) throws(SyscallError) {
    // A timer that was read can fire again.
    _ = try? Descriptors.read(event.descriptor, upTo: 8)
    if event.descriptor == timer.raw { return take(.timeOver, in: loop) }
    guard event.descriptor == quarantine.raw else { return }
    try endQuarantine(in: loop)
    loop.kill(KillOrder(.quarantineTimeout, by: "the pause's clock"))
  }

  func observe(_ moment: RunMoment, in loop: RunLoop) {
    // The one that was to be killed has just become known.
    if case .started = moment, hasKilled { loop.killProcesses(again: false) }
  }

  func finish() {}
}
