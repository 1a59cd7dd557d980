internal import Glibc
internal import Kernel
internal import Network
internal import Policy

/// Names outside, by the host's own resolver configuration: one lookup for everybody who asks for a name,
/// remembered for as long as the answer lives.
final class Resolver {
  private struct Remembered {
    var addresses: [IPAddress]
    var untilMilliseconds: UInt64
  }

  private let watches: NetworkWatches
  private var remembered: [String: Remembered] = [:]
  private var running: [String: RunningLookup] = [:]
  private var waiters = 0

  private static let maximumRemembered = 4096
  private static let maximumRunning = 64
  /// At once: each lookup asks for both families.
  static let maximumSockets = maximumRunning * Lookup.Family.allCases.count
  private static let maximumWaiters = 1024
  /// Three servers and some options count; hosts files, which may be long lists, are read in parts.
  private static let maximumFileBytes = 1 << 20
  private static let partBytes = 1 << 16
  private static let dueNever = UInt64.max

  init(_ watches: NetworkWatches) { self.watches = watches }

  /// - Parameter done: Gets the result, now or later.
  func resolve(_ name: String, _ done: @escaping (Resolution) -> Void) {
    let now = AlarmClock.nowMilliseconds
    if let known = remembered[name], known.untilMilliseconds > now {
      let left = UInt32((known.untilMilliseconds - now) / 1000)
      return done(.addresses(known.addresses, timeToLiveSeconds: left))
    }
    guard waiters < Self.maximumWaiters else { return done(.failed("too many lookups")) }
    if let lookup = running[name] {
      waiters += 1
      return lookup.waiters.append(done)
    }
    guard running.count < Self.maximumRunning else { return done(.failed("too many lookups")) }
    // Read each time: machines change networks while a run lasts.
    let known = Self.known(name)
    if !known.isEmpty { return done(.addresses(known, timeToLiveSeconds: 0)) }
    let configuration = ResolverConfiguration(Self.resolverText)
    let lookup = RunningLookup(
      Lookup(name: name, configuration, nowMilliseconds: now), watches
    ) { [self] in finish(name, $0) }
    lookup.waiters = [done]
    waiters += 1
    running[name] = lookup
    lookup.start()
  }

  var deadlineMilliseconds: UInt64 {
    running.values.map(\.deadlineMilliseconds).min() ?? Self.dueNever
  }

  func expire(_ now: UInt64) { for lookup in Array(running.values) { lookup.expire(now) } }

  private func finish(_ name: String, _ resolution: Resolution) {
    guard let lookup = running.removeValue(forKey: name) else { return }
    // An absence has no lifetime of its own here (RFC 2308 takes it from the zone): it is asked for again.
    if case .addresses(let addresses, let seconds) = resolution, !addresses.isEmpty {
      if remembered.count >= Self.maximumRemembered { remembered = [:] }
      remembered[name] = Remembered(
        addresses: addresses,
        untilMilliseconds: AlarmClock.nowMilliseconds + UInt64(seconds) * 1000)
    }
    waiters -= lookup.waiters.count
    for done in lookup.waiters { done(resolution) }
  }

  /// Of /etc/resolv.conf.
  private static var resolverText: String {
    guard let file = open("/etc/resolv.conf"),
      let bytes = try? Descriptors.readAll(file.raw, limit: maximumFileBytes)
    else { return "" }
    return bytes.text
  }

  /// What /etc/hosts says of a name.
  private static func known(_ name: String) -> [IPAddress] {
    var search = HostsSearch(name)
    guard let file = open("/etc/hosts") else { return [] }
    while let bytes = try? Descriptors.read(file.raw, upTo: partBytes), !bytes.isEmpty {
      search.take(bytes)
    }
    search.finish()
    return search.addresses
  }

  /// A file that is missing says nothing.
  private static func open(_ path: String) -> OwnedFD? {
    guard let file = try? Files.open(ByteString(path), O_RDONLY | O_NONBLOCK),
      let status = try? Files.status(file.raw), status.kind == .regular
    else { return nil }
    return file
  }
}

/// A lookup with its sockets.
final class RunningLookup {
  private var machine: Lookup
  private let watches: NetworkWatches
  private var sockets: [Lookup.Family: QuerySocket] = [:]
  private var generator = SystemRandomNumberGenerator()
  private let finish: (Resolution) -> Void
  var waiters: [(Resolution) -> Void] = []

  init(_ machine: Lookup, _ watches: NetworkWatches, _ finish: @escaping (Resolution) -> Void) {
    self.machine = machine
    self.watches = watches
    self.finish = finish
  }

  var deadlineMilliseconds: UInt64 { machine.deadlineMilliseconds }

  func start() {
    perform(machine.start(nowMilliseconds: AlarmClock.nowMilliseconds, using: &generator))
  }

  func expire(_ now: UInt64) { perform(machine.expire(nowMilliseconds: now, using: &generator)) }

  fileprivate func received(_ bytes: [UInt8], _ family: Lookup.Family) {
    perform(
      machine.receive(
        bytes, family, nowMilliseconds: AlarmClock.nowMilliseconds, using: &generator))
  }

  fileprivate func failed(_ family: Lookup.Family, _ error: SyscallError) {
    perform(
      machine.fail(
        family, Errno.message(error.errno), nowMilliseconds: AlarmClock.nowMilliseconds,
        using: &generator))
  }

  private func perform(_ effects: [Lookup.Effect]) {
    for effect in effects {
      switch effect {
      case .send(let family, let server, let overTCP, let query, _):
        close(family)
        do throws(SyscallError) {
          let socket = try QuerySocket(self, family, server, overTCP: overTCP, query)
          sockets[family] = socket
          try watches.watch(socket.raw, .output, socket)
        } catch {
          close(family)
          failed(family, error)
        }
      case .close(let family): close(family)
      case .finish(let resolution): finish(resolution)
      }
    }
  }

  private func close(_ family: Lookup.Family) {
    guard let socket = sockets.removeValue(forKey: family) else { return }
    watches.unwatch(socket.raw)
  }

  fileprivate func listen(_ socket: QuerySocket) throws(SyscallError) {
    try watches.change(socket.raw, .input)
  }
}

/// One question to one server, from a port that the kernel chose at random (RFC 5452).
private final class QuerySocket: NetworkHandler {
  private unowned let lookup: RunningLookup
  private let family: Lookup.Family
  private let socket: OwnedFD
  private let place: SocketAddress
  private let overTCP: Bool
  private var output: [UInt8]
  private var input: [UInt8] = []

  private static let maximumDatagram = 4096

  init(
    _ lookup: RunningLookup, _ family: Lookup.Family, _ server: IPAddress, overTCP: Bool,
    _ query: [UInt8]
  ) throws(SyscallError) {
    self.lookup = lookup
    self.family = family
    self.overTCP = overTCP
    place = SocketAddress(server.bytes, port: 53)
    output =
      overTCP ? [UInt8(query.count >> 8), UInt8(query.count & 255)] + query : query
    socket = try Sockets.open(overTCP ? .stream : .datagram, isIPv4: server.isIPv4)
    _ = try Sockets.connect(socket.raw, to: place)
  }

  var raw: Int32 { socket.raw }

  func handle(_ event: Poller.Event) {
    // The lookup may drop this socket while it takes the answer.
    let lookup = lookup
    do throws(SyscallError) {
      if !output.isEmpty { try write() }
      guard output.isEmpty, event.readable else { return }
      if let answer = try read() { lookup.received(answer, family) }
    } catch {
      if error.errno != EAGAIN { lookup.failed(family, error) }
    }
  }

  private func write() throws(SyscallError) {
    if overTCP, try Sockets.connect(socket.raw, to: place) == .underWay { return }
    output.removeFirst(try Descriptors.writeSome(socket.raw, output[...]))
    if output.isEmpty { try lookup.listen(self) }
  }

  private func read() throws(SyscallError) -> [UInt8]? {
    let bytes = try Descriptors.read(
      socket.raw, upTo: overTCP ? DNSMessage.maximumBytes : Self.maximumDatagram)
    guard overTCP else { return bytes }
    if bytes.isEmpty { throw SyscallError(call: "read", object: "answer", errno: ECONNRESET) }
    input += bytes
    guard input.count >= 2 else { return nil }
    let count = Int(input[0]) << 8 | Int(input[1])
    return input.count >= 2 + count ? Array(input[2..<2 + count]) : nil
  }
}
