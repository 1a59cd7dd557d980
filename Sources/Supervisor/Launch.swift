internal import Audit
internal import Glibc
internal import JSON
internal import Kernel
internal import LaunchPlan
internal import Rings

/// What agt-run does, from the command line to the exit status.
///
/// Its user types `agt-run --ring 3 -- python3 agent.py` and gets the program's own output and status.
/// What can go wrong before the program runs ends with one line, a hint and 126, 127 or 125; afterwards
/// the program's status passes through. It must never run the program less confined than the plan says, and
/// never return while a process of the ring is alive.
public enum Launch {
  /// Of this process.
  /// - Returns: the status to exit with.
  public static func main() -> Int32 {
    let words = Vectors.arguments
    if words.first.map({ $0.elementsEqual(ReadOnlyFile.commandName.utf8) }) == true {
      return Int32(ReadOnlyFile.main(words))
    }
    return Int32(main(arguments: words.dropFirst().map { $0 }, environment: Vectors.environment))
  }

  /// - Parameters:
  ///   - arguments: without the name of the command itself.
  ///   - environment: of the caller, `NAME=VALUE`.
  /// - Returns: the status to exit with.
  static func main(arguments: [[UInt8]], environment all: [[UInt8]]) -> UInt8 {
    let manager = ServiceManager(all)
    let environment = ServiceManager.withoutOwn(all)
    do throws(RunError) {
      let action = try RunOptions.parse(arguments) { file throws(RunError) in
        try AgentFile.read(file, Caller(environment))
      }
      switch action {
      case .help: Output.write(RunHelp.text)
      case .version: Output.write("agt-run \(Version.text)\n")
      case .run(let options) where options.explain:
        let plan = try Preparation.prepare(options, environment: environment, forReal: false)
        Output.write(options.json ? Explanation.json(plan) : Explanation.text(plan))
      case .run(let options) where options.detach:
        let named = [options.statusDescriptor, options.tieDescriptor].compactMap { $0 }
        switch try Detachment.begin(keeping: named) {
        case .starter(let status): return status
        case .supervisor(let channel):
          return try run(options, environment: environment, nil, channel)
        }
      case .run(let options): return try run(options, environment: environment, manager)
      }
      return 0
    } catch {
      Output.complain(error)
      manager?.conclude(error.message)
      return error.status.rawValue
    }
  }

  private static func run(
    _ options: RunOptions, environment: [[UInt8]], _ manager: ServiceManager?,
    _ starter: Detachment.Channel? = nil
  ) throws(RunError) -> UInt8 {
    let began = Clock.wallNanoseconds()
    // Before any of ours gets the number.
    if let number = options.statusDescriptor, !Descriptors.isOpen(number) {
      throw RunError(
        .usage, "--status-fd \(number): the descriptor is not open",
        hint: "agt-run --status-fd \(number) … \(number)>events.json")
    }
    if let number = options.tieDescriptor, !Descriptors.isOpen(number) {
      throw RunError(
        .usage, "--tie-fd \(number): the descriptor is not open",
        hint: "name the reading end of a pipe that whoever starts the run holds open")
    }
    let signals = try Self.blockSignals()
    let output = try starter.map { _ throws(RunError) in
      try DetachedOutput(hasTerminal: options.terminal, environment)
    }
    let relay = try OutputRelay.make(options)
    var prepared = try Preparation.prepare(
      options, environment: environment, forReal: true,
      standard: output?.standard ?? relay?.standard ?? [])
    let events = RunEvents(descriptor: options.statusDescriptor)
    Output.announce(prepared, options)
    let loop: RunLoop
    var outcome: RunOutcome
    let killSwitch = KillSwitch(
      RunReference(
        id: prepared.id, name: options.name, agent: options.agent, ring: prepared.profile.ring),
      KillStore(Caller(environment)))
    do throws(SyscallError) {
      loop = try RunLoop(
        stage: prepared.takeStage(), signals: signals, options: options,
        ring: prepared.profile.ring, timeoutMilliseconds: prepared.profile.limits.wallMilliseconds,
        terminalDescriptors: prepared.plan.terminal, events: events, killSwitch: killSwitch,
        cgroup: prepared.cgroup)
    } catch { throw failure(error) }
    defer { loop.restoreTerminal() }
    guard let audit = prepared.audit else { preconditionFailure("a run has an audit log") }
    let parts: Parts
    do throws(RunError) {
      parts = try attachParts(
        of: &prepared, options, environment, relay, manager, to: loop, events, audit,
        beganNanoseconds: began)
      if let starter, let output {
        try attach(starter, output, id: prepared.id, parts.station, to: loop)
      }
      // The stage builds the ring meanwhile; before the program begins, the host's log holds that it does.
      try audit.recordStart()
    } catch {
      loop.abandon()
      prepared.cgroup?.remove()
      _ = audit.end(RunAudit.notStarted, status: nil)
      throw error
    }
    let (station, network, broker, budgets) = parts
    do throws(SyscallError) { outcome = try loop.run() } catch {
      loop.abandon()
      _ = audit.end(["state": "lost", "executed": .bool(loop.executed)], status: nil)
      throw failure(error)
    }
    loop.restoreTerminal()
    let mark = station.killMark
    if outcome.end == .lost, let reason = mark?.reason { outcome.end = .killed(reason) }
    // It ended before anybody had seen all that it wrote.
    if outcome.endedByItself, let order = loop.meter?.settleOutput() {
      outcome.end = .killed(order.reason)
      audit.record(order)
    }
    if broker != nil || prepared.transaction != nil { audit.settle() }
    let limits = LimitReport.make(
      prepared, budgets?.usage, metered: loop.meter?.usage, loop.usage)
    prepared.cgroup?.remove()
    let sagas = broker?.concludeSagas(outcome.end, in: loop) ?? []
    if let broker, killSwitch.record != nil {
      killSwitch.conclude(compensations: broker.compensations)
    }
    var record = RunRecord(
      prepared, outcome: outcome, violations: loop.refusals.violations,
      trigger: loop.refusals.lastTrigger,
      network: network?.counters, broker: broker?.counters,
      kill: killSwitch.record ?? mark?.record, limits: limits, beganNanoseconds: began)
    if let transaction = prepared.transaction {
      record.add(transaction.conclude(outcome.end, wasAskedToEnd: loop.wasAskedToEnd, audit))
    }
    record.sagas = sagas
    let loss = audit.end(record.outcome, status: record.status)
    var unwritten: RunError?
    do throws(RunError) {
      try prepared.result?.write(JSONWriter.pretty(record.json) + [10])
    } catch { unwritten = error }
    station.conclude(record.ending, isKept: starter != nil && record.executed)
    manager?.conclude(record)
    events.emit("ended", ["status": JSONValue(record.status)])
    Output.conclude(record, options)
    if let loss { Output.complain(loss) }
    if let unwritten { throw unwritten }
    return record.status
  }

  /// What the loop's services are asked for when the run is over.
  private typealias Parts = (
    station: OperatorService, network: NetworkService?, broker: BrokerService?,
    budgets: BudgetWatch?
  )

  /// Everything that a run needs besides its ring.
  private static func attachParts(
    of prepared: inout PreparedRun, _ options: RunOptions, _ environment: [[UInt8]],
    _ relay: OutputRelay?, _ manager: ServiceManager?, to loop: RunLoop, _ events: RunEvents,
    _ audit: RunAudit, beganNanoseconds began: UInt64
  ) throws(RunError) -> Parts {
    audit.record(.planEnforced, AuditEntries.plan(prepared, options))
    for widening in prepared.profile.widenings {
      audit.record(
        .profileWidened, ["what": .string(widening.what), "reason": .string(widening.reason)])
    }
    if let transaction = prepared.transaction { audit.record(.txnStart, transaction.entry) }
    try attach(audit, to: loop)
    loop.refusals.policyWatch = policyWatch(prepared, options)
    loop.meter = BudgetMeter(
      prepared.limits, isEnding: { [unowned loop] in loop.isEnding },
      end: { [unowned loop] order in loop.kill(order) })
    if let relay {
      do throws(SyscallError) { try loop.add(output: relay) } catch { throw failure(error) }
    }
    let network = try attachNetwork(prepared.network, to: loop, events, audit)
    let broker = try attachBroker(
      prepared, options, environment, network, to: loop, events, audit)
    let budgets = BudgetWatch(prepared.limits, prepared.cgroup)
    if let budgets { try attach(budgets, to: loop) }
    if let number = options.tieDescriptor { try attach(Lifeline(number), to: loop) }
    let station = OperatorService(
      prepared.takeDirectory(), RunStatus(prepared, options, beganNanoseconds: began))
    StatusMethods.add(to: station)
    KillMethods.add(to: station)
    loop.killSwitch.attach(to: station)
    broker?.addMethods(to: station)
    if let broker { loop.killSwitch.compensations = { [unowned broker] in broker.uncommitted } }
    manager?.summary = Explanation.oneLine(prepared)
    try attach(station, to: loop)
    try attach(loop.killSwitch, to: loop)
    if let manager { try attach(manager, to: loop) }
    return (station, network, broker, budgets)
  }

  /// Of a detached run: what is written goes to a file of its directory, and its starter hears that it has begun.
  private static func attach(
    _ starter: Detachment.Channel, _ output: DetachedOutput, id: String, _ station: OperatorService,
    to loop: RunLoop
  ) throws(RunError) {
    guard let place = station.place else { return }
    do throws(SyscallError) {
      let session = try output.session(directory: place)
      session.add(to: station)
      try loop.add(session: session)
      try loop.add(Detachment(id: id, starter))
    } catch { throw failure(error) }
  }

  private static func policyWatch(
    _ prepared: borrowing PreparedRun, _ options: RunOptions
  ) -> PolicyWatch? {
    guard let policies = prepared.policies else { return nil }
    return PolicyWatch(policies, common: BrokerMethods.identity(prepared, options))
  }

  /// Nothing is made for a run that nothing judges.
  private static func attachBroker(
    _ prepared: borrowing PreparedRun, _ options: RunOptions, _ environment: [[UInt8]],
    _ network: NetworkService?, to loop: RunLoop, _ events: RunEvents, _ audit: RunAudit
  ) throws(RunError) -> BrokerService? {
    guard prepared.policies != nil else { return nil }
    do throws(SyscallError) {
      var tools: ToolRunner?
      if !prepared.tools.isEmpty {
        tools = try ToolRunner(prepared.tools, prepared, options, environment: environment, audit)
        try loop.add(tools!)
      }
      let sagas = AgentSagas(prepared, options, environment: environment, tools, audit)
      try loop.add(sagas)
      let blocking = BlockingCalls()
      try loop.add(blocking)
      let service = try BrokerService(
        prepared, options, environment, tools, blocking, network, sagas, events, audit)
      try loop.add(broker: service)
      return service
    } catch { throw failure(error) }
  }

  /// Nothing is made for a run that may reach nothing.
  private static func attachNetwork(
    _ plan: NetworkPlan?, to loop: RunLoop, _ events: RunEvents, _ audit: RunAudit
  ) throws(RunError) -> NetworkService? {
    guard let plan else { return nil }
    do throws(SyscallError) {
      let service = try NetworkService(plan, events, audit)
      try loop.add(network: service)
      return service
    } catch { throw failure(error) }
  }

  private static func attach(_ service: any RunService, to loop: RunLoop) throws(RunError) {
    do throws(SyscallError) { try loop.add(service) } catch { throw failure(error) }
  }

  private static func failure(_ error: SyscallError) -> RunError {
    RunError(.internalFailure, "supervising the run: \(error.description)")
  }

  private static func blockSignals() throws(RunError) -> OwnedFD {
    do throws(SyscallError) {
      // A closed standard descriptor would give its number to one of ours.
      for number in Int32(0)...2 where !Descriptors.isOpen(number) {
        _ = try Files.open(ByteString("/dev/null"), O_RDWR).release()
      }
      return try Signals.descriptor(for: [
        SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH, SIGTSTP, SIGCONT, SIGCHLD, SIGUSR1, SIGUSR2,
        SIGPIPE, SIGTTOU,
      ])
    } catch { throw failure(error) }
  }
}
