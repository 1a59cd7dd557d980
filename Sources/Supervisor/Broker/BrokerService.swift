internal import Broker
internal import Glibc
internal import JSON
internal import Kernel
internal import Rings

/// The broker of a run: a ring's processes ask, policy decides (docs/broker-protocol.md).
///
/// What can go wrong with one connection ends that connection. It must never wait for anybody, answer a
/// process that is not of its run, or let one through when something is amiss: whatever cannot be judged is
/// denied, and with the supervisor gone the socket is closed, which clients take for no.
final class BrokerService: RunService {
  private let methods: BrokerMethods
  private let tools: ToolRunner?
  private var nextNumber: UInt64 = 0
  private var rate: TokenBucket
  /// What may be spent on requests beyond the rate, in bytes: then reading stops for a while.
  private var refusals: TokenBucket
  private var listener: OwnedFD?
  private var isListenerPaused = false
  private var connections: [Int32: BrokerConnection] = [:]
  private let rooms = DescriptorRooms()
  private weak var loop: RunLoop?
  private let clock: AlarmClock
  private let desk = BrokerCall.Desk()
  private(set) var counters: BrokerCounters
  /// Requests that had their answers at once.
  private var answered: UInt64 = 0
  /// As far as the breach detector knows.
  private var deniedCounted = 0

  /// By a trigger of a policy: everything is denied until the run ends.
  func hold() { methods.isOnHold = true }

  /// A ring has some hundred processes at most, and each needs one.
  static let connectionsMax = 64
  /// In one turn of the loop, so that others have theirs.
  private static let linesAtOnce = 64
  private static let readsAtOnce = 16
  private static let refusedBytesPerSecond: UInt64 = 4 << 20
  private static let refusedBytesBurst: UInt64 = 1 << 20
  /// What a refusal costs besides the length of its line.
  private static let refusalBytes: UInt64 = 256
  /// After the machine had no descriptor left.
  private static let pauseMilliseconds: UInt64 = 100
  /// Connections, the listener and the clock, and what is on its way: held, opened, and sent to a helper.
  static let descriptorsMax = connectionsMax + 2 + 3 * DescriptorRooms.runMax

  init(
    _ run: borrowing PreparedRun, _ options: RunOptions, _ environment: [[UInt8]],
    _ tools: ToolRunner?, _ blocking: BlockingCalls, _ network: NetworkService?,
    _ sagas: AgentSagas, _ events: RunEvents, _ audit: RunAudit
  ) throws(SyscallError) {
    self.tools = tools
    let now = AlarmClock.nowMilliseconds
    let requests = run.profile.requests
    rate = TokenBucket(
      perSecond: requests.perSecond, burst: requests.burst, nowMilliseconds: now)
    refusals = TokenBucket(
      perSecond: Self.refusedBytesPerSecond, burst: Self.refusedBytesBurst, nowMilliseconds: now)
    clock = try AlarmClock()
    counters = BrokerCounters(events, audit)
    methods = BrokerMethods(
      run, options, environment, tools, blocking, network, sagas, events, audit)
  }

  // MARK: RunService

  func start(in loop: RunLoop) throws(SyscallError) {
    self.loop = loop
    desk.service = self
    methods.held = { [unowned loop] in
      if loop.isEnding { return BrokerMethods.ending }
      return loop.refusals.isDenyingAll(AlarmClock.nowMilliseconds) ? BrokerMethods.coolsDown : nil
    }
    try loop.watch(clock.descriptor, .input, for: self)
    try loop.add(methods.notifier)
  }

  func observe(_ moment: RunMoment, in loop: RunLoop) throws(SyscallError) {
    // Whether a process is of the ring cannot be told before its PID 1 is known.
    if case .started = moment, let number = listener.raw { try loop.change(number, .input) }
  }

  func handle(_ event: Poller.Event, in loop: RunLoop) throws(SyscallError) {
    if event.descriptor == clock.descriptor {
      clock.silence()
      try expire(loop)
    } else if event.descriptor == listener.raw {
      try accept(loop)
    } else if let connection = connections[event.descriptor] {
      try serve(connection, event, loop)
    }
  }

  func finish() {
    methods.elevations.finish()
    connections = [:]
    listener = nil
  }

  // MARK: connections

  /// A socket that the stage made in the ring.
  func adopt(_ socket: consuming OwnedFD, isListening: Bool, in loop: RunLoop) throws(SyscallError)
  {
    let number = socket.raw
    if isListening {
      listener = consume socket
      try loop.watch(number, loop.ringInit == nil ? [] : .input, for: self)
    } else {
      try Descriptors.setNonBlocking(number, true)
      let peer = try BrokerPeer(madeByStage: number)
      try add(socket, peer, loop)
    }
  }

  private func add(
    _ socket: consuming OwnedFD, _ peer: BrokerPeer, _ loop: RunLoop
  ) throws(SyscallError) {
    nextNumber += 1
    let connection = BrokerConnection(socket, peer, number: nextNumber)
    try connection.prepare()
    try loop.watch(connection.socket.raw, .input, for: self)
    connections[connection.socket.raw] = connection
  }

  private func accept(_ loop: RunLoop) throws(SyscallError) {
    guard let place = listener.raw, let ringInit = loop.ringInit else { return }
    for _ in 0..<Self.connectionsMax {
      do throws(SyscallError) {
        guard let socket = try UnixSockets.accept(place) else { return }
        let peer: BrokerPeer
        do throws(BrokerPeer.Refusal) {
          peer = try BrokerPeer.judged(socket.raw, ringInit: ringInit)
        } catch {
          counters.refuse(connection: error.reason)
          continue
        }
        if connections.count >= Self.connectionsMax { closeEnded(loop) }
        guard connections.count < Self.connectionsMax else {
          counters.refuse(connection: "more than \(Self.connectionsMax) connections")
          continue
        }
        try add(socket, peer, loop)
      } catch {
        // No descriptors or no memory: those that wait, wait a little longer.
        isListenerPaused = true
        try loop.change(place, [])
        try clock.arm(AlarmClock.nowMilliseconds + Self.pauseMilliseconds)
        return
      }
    }
  }

  /// What was closed before another one came makes room for it, in whatever order the kernel reports the two.
  private func closeEnded(_ loop: RunLoop) {
    for (number, connection) in connections where (try? Descriptors.isHungUp(number)) == true {
      close(connection, loop)
    }
  }

  private func close(_ connection: BrokerConnection, _ loop: RunLoop) {
    guard connections.removeValue(forKey: connection.socket.raw) != nil else { return }
    connection.sendHeld()
    try? loop.unwatch(connection.socket.raw)
    tools?.drop(client: connection.number)
    methods.approvals.withdraw(client: connection.number)
    methods.elevations.drop(client: connection.number)
    methods.sagas.drop(client: connection.number)
  }

  /// The ring is gone: what its agent has not committed is undone.
  func concludeSagas(_ end: RunOutcome.End, in loop: RunLoop) -> [JSONValue] {
    methods.sagas.conclude(end, in: loop)
  }

  /// Sagas that are undone if the run ends now.
  var uncommitted: [JSONValue] { methods.sagas.uncommitted }

  /// What has been undone at the end of the run, step by step.
  var compensations: [JSONValue] { methods.sagas.compensations }

  // MARK: operators

  /// What people ask and answer about requests that wait for them.
  func addMethods(to station: OperatorService) {
    let approvals = methods.approvals
    station.handle("pending") { request, _ in
      .now(["pending": approvals.pending(uid: request.peer.uid, now: AlarmClock.nowMilliseconds)])
    }
    for (method, isYes) in [("approve", true), ("deny", false)] {
      station.handle(method) { request, _ throws(OperatorRefusal) in
        guard let id = request.body["id"]?.stringValue else {
          throw OperatorRefusal(message: "\(method): an id is needed")
        }
        var memory: UInt64?
        if isYes, let text = request.body["remember"]?.stringValue {
          memory = try RememberedApprovals.duration(text)
        }
        return .now(
          try approvals.answer(
            id, uid: request.peer.uid, isYes: isYes, digest: request.body["digest"]?.stringValue,
            reason: request.body["reason"]?.stringValue ?? "", remember: memory,
            now: AlarmClock.nowMilliseconds))
      }
    }
  }

  // MARK: requests

  private func serve(
    _ connection: BrokerConnection, _ event: Poller.Event, _ loop: RunLoop
  ) throws(SyscallError) {
    if event.writable { connection.flush() }
    guard event.readable else { return try answerLines(of: connection, loop) }
    // It is not read at the moment, so what the kernel reports is that the other side is gone.
    guard connection.interest.contains(.input) else { return close(connection, loop) }
    for turn in 0..<Self.readsAtOnce {
      do throws(SyscallError) {
        // Whoever has asked again at once waits on our own processor.
        let hasCome = try connection.receive(
          leaving: turn > 0, nowMilliseconds: AlarmClock.nowMilliseconds)
        if !hasCome, turn > 0 { break }
      } catch {
        counters.refuse(connection: "more descriptors at once than any request has")
        return close(connection, loop)
      }
      let before = answered
      try answerLines(of: connection, loop)
      // Whoever was answered on our own processor has run meanwhile, and may have asked again.
      guard answered == before + 1, connection.mayBeRead,
        connections[connection.socket.raw] === connection
      else { break }
    }
    do throws(SyscallError) { try connection.clear() } catch { close(connection, loop) }
  }

  private func answerLines(of connection: BrokerConnection, _ loop: RunLoop) throws(SyscallError) {
    let now = AlarmClock.nowMilliseconds
    var count = 0
    while let (next, descriptors) = connection.nextLine() {
      guard case .line(let line) = next else {
        let error = BrokerError(
          .malformed, "a line has at most \(LineReader.lineMaxBytes) bytes")
        connection.send(Answer.error(error, id: .null))
        counters.refuse(connection: "a line that is too long")
        return close(connection, loop)
      }
      connection.restartLineClock(nowMilliseconds: now)
      try take(line, descriptors, connection, now, loop)
      count += 1
      if count == Self.linesAtOnce, connection.pausedUntil == nil {
        // The rest waits for the next turn, in which others have theirs.
        connection.pausedUntil = now
      }
    }
    try settle(connection, loop)
  }

  /// What the loop has to watch for after something has happened to a connection.
  private func settle(_ connection: BrokerConnection, _ loop: RunLoop) throws(SyscallError) {
    if counters.denied > deniedCounted {
      let points = UInt64(counters.denied - deniedCounted)
      deniedCounted = counters.denied
      loop.refusals.count(points, "a denied request", in: loop)
    }
    guard connections[connection.socket.raw] === connection else { return }
    connection.sendHeld()
    if connection.isOver { return close(connection, loop) }
    if let interest = connection.changedInterest() {
      try loop.change(connection.socket.raw, interest)
    }
    try armForMethods()
    if let time = connection.pausedUntil { try clock.arm(time) }
    if let since = connection.partialSince {
      try clock.arm(since + BrokerConnection.lineMilliseconds)
    }
  }

  private func take(
    _ line: ArraySlice<UInt8>, _ descriptors: Int, _ connection: BrokerConnection, _ now: UInt64,
    _ loop: RunLoop
  ) throws(SyscallError) {
    let outcome = connection.session.take(
      line, descriptors: descriptors, ring: methods.ring, rate: &rate, nowMilliseconds: now)
    if let meter = loop.meter, Self.isCounted(outcome) { meter.countRequest() }
    switch outcome {
    case .call(let request, let method):
      counters.requests += 1
      if let obstacle = methods.obstacle, method.phase != .greeting {
        return refuse(obstacle, request.id)
      }
      let call = BrokerCall(
        request: request, peer: connection.peer, client: connection.number,
        descriptor: connection.socket.raw, policyWatch: loop.refusals.policyWatch, now: now,
        desk: desk)
      let reply: BrokerReply
      do throws(BrokerError) { reply = try methods.answer(call, &counters) } catch {
        return refuse(error, request.id)
      }
      switch reply.result {
      case .now(let result): give(request.id.map { Answer.result(result, id: $0) })
      case .written(let result): give(request.id.map { Answer.result(written: result, id: $0) })
      case .refused(let error): refuse(error, request.id)
      case .later: connection.inFlight += 1
      }
      if let judgement = reply.judgement { methods.record(judgement) }
      loop.refusals.carryOut(reply.triggers, in: loop)
    case .refused(let error, let id): refuse(error, id)
    case .dropped(let error): refuse(error, nil)
    }
    func give(_ answer: [UInt8]?) {
      guard let answer else { return }
      connection.send(answer)
      answered += 1
      // Who has an answer, asks again. How often that is, the ring's rate bounds.
      loop.expectsMore = true
    }
    func refuse(_ error: BrokerError, _ id: JSONValue?) {
      if let id { connection.send(Answer.error(error, id: id)) }
      counters.refuse(error, connection.peer)
      let cost = UInt64(line.count) + Self.refusalBytes
      if !refusals.take(cost, nowMilliseconds: now) {
        connection.pausedUntil = now + max(1, refusals.waitMilliseconds(for: cost))
      }
    }
  }

  /// Whether it is one of the requests that `--requests` limits: whatever is asked, also when it is refused. Not the
  /// greeting, which each connection begins with, nor a withdrawal, nor what the rate refuses and is to be asked again.
  private static func isCounted(_ outcome: Session.Outcome) -> Bool {
    switch outcome {
    case .call(_, let method): method.phase != .greeting && method.name != "agt.cancel"
    case .refused(let error, _), .dropped(let error): error.code != .rateLimited
    }
  }

  // MARK: answers that take time

  /// nil when it was closed.
  func connection(of call: BrokerCall) -> BrokerConnection? {
    guard let connection = connections[call.descriptor], connection.number == call.client else {
      return nil
    }
    return connection
  }

  func conclude(_ call: BrokerCall, _ result: JSONValue, _ donation: DonatedDescriptor? = nil) {
    guard let id = call.request.id else { return }
    conclude(call, answer: Answer.result(result, id: id), donation)
  }

  func conclude(_ call: BrokerCall, _ error: BrokerError) {
    guard let id = call.request.id, connection(of: call) != nil else { return }
    counters.refuse(error, call.peer)
    conclude(call, answer: Answer.error(error, id: id))
  }

  private func conclude(
    _ call: BrokerCall, answer: [UInt8], _ donation: DonatedDescriptor? = nil
  ) {
    // A descriptor for a connection that was closed is closed with it.
    guard let loop, let connection = connection(of: call) else { return }
    connection.send(answer, donation)
    connection.inFlight -= 1
    try? settle(connection, loop)
  }

  /// What a method does after it has waited for something.
  func goOn(_ call: BrokerCall, _ step: BrokerCall.Step) {
    guard let loop, call.request.id != nil, connection(of: call) != nil else { return }
    let reply: BrokerReply
    do throws(BrokerError) { reply = try step(&counters) } catch {
      reply = BrokerReply(result: .refused(error))
    }
    switch reply.result {
    case .now(let result): conclude(call, result)
    case .written(let result):
      if let id = call.request.id { conclude(call, answer: Answer.result(written: result, id: id)) }
    case .refused(let error): conclude(call, error)
    case .later: break
    }
    loop.refusals.carryOut(reply.triggers, in: loop)
  }

  /// What waits for somebody who does not read is not made longer.
  func tellProgress(_ call: BrokerCall, _ params: JSONObject) -> Bool {
    guard let connection = connection(of: call), !connection.isWaitingToSend else { return false }
    connection.send(Answer.notification("$/progress", params))
    connection.sendHeld()
    // What could not be sent at once is.
    if let loop, let interest = connection.changedInterest() {
      try? loop.change(connection.socket.raw, interest)
    }
    return true
  }

  func room(for call: BrokerCall) -> DescriptorRoom? {
    guard let connection = connection(of: call) else { return nil }
    return rooms.take(
      client: call.client, sent: connection.descriptorsOnTheirWay(),
      sentToAll: connections.values.reduce(0) { $0 + $1.descriptorsOnTheirWay() })
  }

  // MARK: time

  private func armForMethods() throws(SyscallError) {
    if let time = methods.approvals.nextMilliseconds { try clock.arm(time) }
    if let time = methods.elevations.nextMilliseconds { try clock.arm(time) }
  }

  private func expire(_ loop: RunLoop) throws(SyscallError) {
    let now = AlarmClock.nowMilliseconds
    methods.approvals.expire(now)
    methods.elevations.expire(now)
    try armForMethods()
    if isListenerPaused, let place = listener.raw {
      isListenerPaused = false
      try loop.change(place, .input)
    }
    for connection in Array(connections.values) {
      if let time = connection.pausedUntil, time <= now {
        connection.pausedUntil = nil
        try answerLines(of: connection, loop)
        continue
      }
      guard let since = connection.partialSince else { continue }
      // Who is not read because he does not read is not late.
      guard connection.interest.contains(.input) else { continue }
      if since + BrokerConnection.lineMilliseconds <= now {
        let seconds = BrokerConnection.lineMilliseconds / 1000
        let error = BrokerError(.malformed, "a line has to end within \(seconds) s")
        connection.send(Answer.error(error, id: .null))
        counters.refuse(connection: "a line that does not end")
        close(connection, loop)
      } else {
        try clock.arm(since + BrokerConnection.lineMilliseconds)
      }
    }
  }
}
