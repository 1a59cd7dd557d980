internal import Audit
internal import Glibc
internal import JSON
internal import Kernel
internal import LaunchPlan
internal import Network
internal import Policy

/// Ring 2's way out: its DNS server, and a relay for each connection that a rule lets through.
///
/// The program sees an ordinary network in which few names exist. What can go wrong with one connection
/// ends that connection with a reset and nothing else. It must never connect to an address that was not
/// judged a moment before, look up a name that no rule names, or wait for anybody.
final class NetworkService: RunService {
  let rules: NetworkRules
  private let plan: NetworkPlan
  private var names: NameService
  private(set) var counters: NetworkCounters
  private(set) var watches: NetworkWatches
  let resolver: Resolver
  let pipes = PipePool()
  private let clock: AlarmClock
  private var listeners: [Int32: RingListener] = [:]
  private var datagrams: DatagramServer?
  private var streams: [ObjectIdentifier: StreamClient] = [:]
  private var relays: [ObjectIdentifier: Relay] = [:]
  private var maximumRelays: Int

  /// Each is two sockets, and two pipes while data waits on both sides.
  static let descriptorsPerRelay = 6
  private static let maximumRelays = 1024
  /// However few files the machine lets us open.
  private static let minimumRelays = 16
  /// Clients of the DNS over TCP.
  private static let maximumStreams = 64
  /// Connections to the operator's socket (`OperatorService`).
  private static let operatorClients = 64
  /// The supervisor's loop, the stage, the terminal, the run's record and its place in the registry, and
  /// what is open for a moment: a file that is read, a connection that is refused.
  private static let ownDescriptors = 64

  /// Nil when nothing of what passes through us is limited.
  private var meter: BudgetMeter?
  private let audit: RunAudit
  /// Names that the log has; more of them are told each time.
  private var announced: Set<String> = []
  private static let namesMax = 4096

  init(_ plan: NetworkPlan, _ events: RunEvents, _ audit: RunAudit) throws(SyscallError) {
    self.plan = plan
    self.audit = audit
    counters = NetworkCounters(events, audit)
    rules = plan.rules
    names = NameService(rules: plan.rules, pool: plan.pool)
    clock = try AlarmClock()
    watches = NetworkWatches()
    resolver = Resolver(watches)
    let hard = Limits.current(.openFiles)?.hard ?? 1024
    let bounds = Self.bounds(hardLimit: hard, sockets: plan.sockets.count)
    try Limits.setSoft(.openFiles, to: bounds.openFiles)
    maximumRelays = bounds.relays
  }

  /// - Parameter sockets: in the ring, open for the whole run.
  /// - Returns: how many files are open at most, and how many connections there are at most.
  static func bounds(hardLimit: UInt64, sockets: Int) -> (openFiles: UInt64, relays: Int) {
    let others =
      sockets + maximumStreams + Resolver.maximumSockets + operatorClients + ownDescriptors
      + BrokerService.descriptorsMax + BlockingCalls.descriptorsMax
    let wanted = UInt64(maximumRelays * descriptorsPerRelay + others)
    let openFiles = min(hardLimit, wanted)
    let relays = (Int(openFiles) - others) / descriptorsPerRelay
    return (openFiles, max(minimumRelays, relays))
  }

  func start(in loop: RunLoop) throws(SyscallError) {
    meter = loop.meter
    watches.begin(loop, self)
    try loop.watch(clock.descriptor, .input, for: self)
  }

  /// The sockets that the stage has opened in the ring.
  func adopt(_ numbers: [UInt16], _ descriptors: [Int32]) throws(SyscallError) {
    for (number, descriptor) in zip(numbers, descriptors) {
      let owned = OwnedFD(descriptor)
      guard Int(number) < plan.sockets.count else { continue }
      let socket = plan.sockets[Int(number)]
      if socket.isDatagram {
        datagrams = DatagramServer(owned, self)
        try watches.watch(descriptor, .input, datagrams!)
      } else {
        let isNameServer = socket.address == NetworkPlan.nameServer && socket.port == 53
        let listener = RingListener(owned, isNameServer: isNameServer, self)
        listeners[descriptor] = listener
        try watches.watch(descriptor, .input, listener)
      }
    }
  }

  func handle(_ event: Poller.Event, in loop: RunLoop) throws(SyscallError) {
    if event.descriptor == clock.descriptor {
      clock.silence()
      expire()
    } else {
      watches.handler(of: event.descriptor)?.handle(event)
    }
    try arm()
  }

  func finish() {
    for relay in relays.values { counters.close(relay) }
    relays = [:]
  }

  // MARK: time

  private func arm() throws(SyscallError) {
    try clock.arm(min(watches.deadlineMilliseconds, resolver.deadlineMilliseconds))
  }

  private func expire() {
    let now = AlarmClock.nowMilliseconds
    watches.deadlineMilliseconds = .max
    resolver.expire(now)
    for relay in Array(relays.values) { relay.expire(now) }
    for client in Array(streams.values) { client.expire(now) }
    for relay in relays.values { watches.due(relay.deadlineMilliseconds) }
    for client in streams.values { watches.due(client.deadlineMilliseconds) }
    for listener in listeners.values { listener.resume() }
  }

  // MARK: names

  /// - Parameter send: Gets the answer, now or later.
  func answer(_ query: [UInt8], _ send: @escaping ([UInt8]) -> Void) {
    switch names.handle(query) {
    case .ignore: return
    case .reply(let bytes): send(bytes)
    case .resolve(let pending):
      announce(pending.name) { [self] refusal in
        let conclude = { [self] (resolution: Resolution) in
          let bytes = names.reply(to: pending, resolution)
          recordRefusal()
          send(bytes)
        }
        if let refusal { return conclude(.failed(refusal)) }
        resolver.resolve(pending.name, conclude)
      }
    }
    recordRefusal()
  }

  /// A name is asked of servers outside, and with a wildcard rule it is one of the program's own making: the log has
  /// it first, once.
  private func announce(_ name: String, then: @escaping (_ refusal: String?) -> Void) {
    if announced.contains(name) { return then(nil) }
    // A name can carry data out, and each takes an entry of the log.
    guard announced.count < Self.namesMax else { return then("too many names") }
    if let delay = audit.delay { return then(delay) }
    audit.intend(.netResolve, ["name": .string(name)]) { [weak self] refusal in
      guard let self else { return }
      if refusal == nil { announced.insert(name) }
      then(refusal)
      try? arm()
    }
  }

  private func recordRefusal() {
    guard let refusal = names.takeRefusal() else { return }
    counters.refuse(Refused(refusal.why, refusal.name))
  }

  // MARK: connections

  func accepted(_ socket: consuming OwnedFD, isNameServer: Bool) {
    if isNameServer {
      guard streams.count < Self.maximumStreams else { return Sockets.resetOnClose(socket.raw) }
      let client = StreamClient(socket, self)
      streams[ObjectIdentifier(client)] = client
      client.start()
      return
    }
    do throws(Refused) {
      try checkRoom()
      let destination = try judged(socket.raw)
      begin(Relay(inside: socket, to: destination, self))
    } catch {
      counters.refuse(error)
    }
  }

  private func checkRoom() throws(Refused) {
    guard relays.count < maximumRelays else { throw Refused(Refused.full) }
  }

  private func begin(_ connection: Relay, mayBegin: @escaping () -> Bool = { true }) {
    relays[ObjectIdentifier(connection)] = connection
    counters.open(connection)
    // Nothing leaves before the log holds that it does.
    audit.intend(.netOpen, ["destination": .string(connection.destination.text)]) {
      [weak self] refusal in
      if let refusal {
        connection.refuse(refusal)
      } else if !mayBegin() {
        connection.refuse("the run is on hold")
      } else {
        connection.start()
      }
      // This is no event of ours, and what was started has deadlines.
      try? self?.arm()
    }
  }

  /// For the broker: a relay whose inner end is a Unix stream.
  /// - Parameters:
  ///   - host: in canonical spelling.
  ///   - mayBegin: asked when the log has it.
  ///   - done: gets the program's end when the connection is made, or why there is none.
  /// - Throws: when no rule lets it, or there is no room; it is counted then.
  func connect(
    host: String, port: UInt16, mayBegin: @escaping () -> Bool,
    done: @escaping (Result<DonatedDescriptor, Refused>) -> Void
  ) throws(Refused) {
    do throws(Refused) {
      try checkRoom()
      let destination = try judged(host: host, port: port)
      let connection: Relay
      let outer: DonatedDescriptor
      do throws(SyscallError) {
        let pair = try UnixSockets.streamPair()
        let inside = try pair.first.duplicate()
        outer = DonatedDescriptor(try pair.second.duplicate())
        try Descriptors.setNonBlocking(inside.raw, true)
        connection = Relay(inside: inside, isUnix: true, to: destination, self)
      } catch { throw Refused(error.description) }
      connection.settled = { why in
        done(why.map { .failure(Refused($0)) } ?? .success(outer))
      }
      begin(connection, mayBegin: mayBegin)
    } catch {
      counters.refuse(error)
      throw error
    }
  }

  /// Whether a rule names this at all.
  /// - Parameter host: in canonical spelling.
  func check(host: String, port: UInt16) throws(Refused) {
    _ = try judged(host: host, port: port)
  }

  private func judged(host: String, port: UInt16) throws(Refused) -> Relay.Destination {
    guard let address = IPAddress(host) else { return try judged(name: host, port: port) }
    return try judged(address, port: port)
  }

  /// Why a connection is not relayed; the socket is closed with a reset.
  struct Refused: Error, Sendable {
    var destination: String?
    var why: String
    static let full = "too many connections"
    /// And not because nobody is there.
    var isByRule: Bool {
      NetworkRules.Refusal.isByRule(why) || why.hasSuffix(Relay.thisMachine)
    }

    init(_ why: String, _ destination: String? = nil) {
      self.why = why
      self.destination = destination
    }
  }

  /// Where an accepted connection wanted to go, when a rule lets it.
  private func judged(_ socket: Int32) throws(Refused) -> Relay.Destination {
    // Until it is judged, closing it tells the program at once.
    Sockets.resetOnClose(socket)
    guard let local = try? Sockets.localAddress(socket),
      let address = IPAddress(bytes: local.address)
    else { throw Refused("no address") }
    return try judged(address, port: local.port)
  }

  private func judged(name: String, port: UInt16) throws(Refused) -> Relay.Destination {
    guard let rule = rules.rule(host: name, port: Int(port)) else {
      throw Refused(NetworkRules.Refusal.noRule.text, "\(name):\(port)")
    }
    return Relay.Destination(
      name: name, address: nil, port: port, allowsEncryptedHello: rule.allowsEncryptedHello,
      allowance: allowance(rule, port))
  }

  private func judged(_ address: IPAddress, port: UInt16) throws(Refused) -> Relay.Destination {
    if SyntheticPool.contains(address) {
      guard let name = names.pool.name(of: address) else {
        throw Refused("no name has this address", "\(address):\(port)")
      }
      return try judged(name: name, port: port)
    }
    let rule: NetworkRule
    do throws(NetworkRules.Refusal) {
      rule = try rules.rule(address: address, port: Int(port))
    } catch {
      throw Refused(error.text, "\(address):\(port)")
    }
    return Relay.Destination(
      name: nil, address: address, port: port, allowsEncryptedHello: true,
      allowance: allowance(rule, port))
  }

  private func allowance(_ rule: NetworkRule, _ port: UInt16) -> EgressAllowance? {
    meter?.allowance(to: "\(rule.destination.text):\(port)")
  }

  func exceed(_ allowance: EgressAllowance) { meter?.exceed(allowance) }

  func closed(_ relay: Relay) {
    guard relays.removeValue(forKey: ObjectIdentifier(relay)) != nil else { return }
    counters.close(relay)
    for listener in listeners.values { listener.resume() }
  }

  func refused(_ relay: Relay, _ why: String) {
    counters.refuse(Refused(why, relay.destination.text))
  }

  func closed(_ client: StreamClient) { streams[ObjectIdentifier(client)] = nil }
}

/// What one of the service's descriptors belongs to.
protocol NetworkHandler: AnyObject {
  func handle(_ event: Poller.Event)
}

/// The service's descriptors in the loop, and the earliest time that something has to happen.
final class NetworkWatches {
  private var loop: RunLoop?
  private var service: (any RunService)?
  private var handlers: [Int32: any NetworkHandler] = [:]
  var deadlineMilliseconds = UInt64.max

  func begin(_ loop: RunLoop, _ service: any RunService) {
    self.loop = loop
    self.service = service
  }

  func handler(of descriptor: Int32) -> (any NetworkHandler)? { handlers[descriptor] }

  func watch(
    _ descriptor: Int32, _ interest: Poller.Interest, _ handler: any NetworkHandler
  ) throws(SyscallError) {
    try loop!.watch(descriptor, interest, for: service!)
    handlers[descriptor] = handler
  }

  func change(_ descriptor: Int32, _ interest: Poller.Interest) throws(SyscallError) {
    try loop!.change(descriptor, interest)
  }

  /// Before the descriptor is closed; nothing happens when it is not watched.
  func unwatch(_ descriptor: Int32) {
    if handlers.removeValue(forKey: descriptor) != nil { try? loop!.unwatch(descriptor) }
  }

  func due(_ milliseconds: UInt64) {
    deadlineMilliseconds = min(deadlineMilliseconds, milliseconds)
  }
}

/// A listener in the ring.
final class RingListener: NetworkHandler {
  private let socket: OwnedFD
  private let isNameServer: Bool
  private unowned let service: NetworkService
  private var isPaused = false

  /// In one turn of the loop, so that others have theirs.
  private static let maximumAtOnce = 64
  /// After the machine had no descriptor left.
  private static let pauseMilliseconds: UInt64 = 100

  init(_ socket: consuming OwnedFD, isNameServer: Bool, _ service: NetworkService) {
    self.socket = socket
    self.isNameServer = isNameServer
    self.service = service
  }

  func handle(_ event: Poller.Event) {
    do throws(SyscallError) {
      for _ in 0..<Self.maximumAtOnce {
        guard let client = try Sockets.accept(socket.raw) else { return }
        service.accepted(client, isNameServer: isNameServer)
      }
    } catch {
      // No descriptors or no memory: those that wait, wait a little longer.
      isPaused = true
      try? service.watches.change(socket.raw, [])
      service.watches.due(AlarmClock.nowMilliseconds + Self.pauseMilliseconds)
    }
  }

  func resume() {
    guard isPaused else { return }
    isPaused = false
    try? service.watches.change(socket.raw, .input)
  }
}
