internal import Glibc
internal import Kernel
internal import Network
internal import Policy

/// One connection of the ring and its other half outside.
///
/// resolving → connecting → open → closed. Every address is judged immediately before it is connected, and
/// what is judged is what is connected. Whatever goes wrong resets the program's connection.
final class Relay: NetworkHandler {
  struct Destination {
    /// Nil for a connection to an address that a rule names.
    let name: String?
    let address: IPAddress?
    let port: UInt16
    let allowsEncryptedHello: Bool
    /// What may still be sent there; nil when that is not limited.
    var allowance: EgressAllowance?

    /// `example.org:443`
    var text: String {
      if let name { return "\(name):\(port)" }
      return address!.isIPv4 ? "\(address!):\(port)" : "[\(address!)]:\(port)"
    }
  }

  private enum State { case resolving, connecting, open, closed }

  let destination: Destination
  private let service: NetworkService
  private let insideSocket: OwnedFD
  private let isUnix: Bool
  /// Told once whether there is a connection: nil, or why there is none.
  var settled: ((String?) -> Void)?
  private var outsideSocket: OwnedFD?
  private var inside: RelaySide
  private var outside = RelaySide(nil)
  private var state = State.resolving
  private var candidates: [SocketAddress] = []
  private var place: SocketAddress?
  private var toOutside = RelayFlow()
  private var toInside = RelayFlow()
  /// The first bytes are still looked at: they may be a TLS hello.
  private var isInspecting: Bool
  private(set) var deadlineMilliseconds: UInt64
  /// When bytes moved last.
  private var lastMilliseconds: UInt64
  private let endMilliseconds: UInt64

  /// In the ring, and from servers on this machine or beside it (10 Gbit/s over 0.3 ms need 375 kB; the kernel takes
  /// twice the number). What waits in larger buffers has left the processor's caches before it is moved on, and with
  /// limits on what waits to be sent the relay was woken more often (docs/decisions/0009).
  private static let nearBufferBytes: Int32 = 262_144
  private static let nearMicroseconds = 300

  static let thisMachine = " is this machine; host-loopback, or a rule for that address, names it"
  /// Of one address; the next one is tried after it.
  private static let connectMilliseconds: UInt64 = 5000
  /// From the first byte of a TLS hello to its last.
  private static let helloMilliseconds: UInt64 = 10_000
  /// Without a byte in either direction.
  private static let idleMilliseconds: UInt64 = 3_600_000
  private static let totalMilliseconds: UInt64 = 86_400_000

  /// - Parameter isUnix: the inner end is a Unix stream and not a connection of TCP.
  init(
    inside: consuming OwnedFD, isUnix: Bool = false, to destination: Destination,
    _ service: NetworkService
  ) {
    self.isUnix = isUnix
    self.inside = RelaySide(inside.raw)
    insideSocket = inside
    self.destination = destination
    self.service = service
    isInspecting = destination.name != nil && destination.name != NetworkRule.hostLoopback
    lastMilliseconds = AlarmClock.nowMilliseconds
    endMilliseconds = lastMilliseconds + Self.totalMilliseconds
    deadlineMilliseconds = endMilliseconds
  }

  var sentBytes: UInt64 { toOutside.movedBytes }
  var receivedBytes: UInt64 { toInside.movedBytes }

  func start() {
    guard state == .resolving else { return }
    do throws(SyscallError) {
      if !isUnix { try Sockets.setNoDelay(inside.raw!) }
      try Sockets.setReceiveBuffer(inside.raw!, bytes: Self.nearBufferBytes)
      try inside.want(isInspecting ? .input : [], hasEnded: false, service.watches, self)
    } catch { return close() }
    if let address = destination.address {
      take([address])
    } else if destination.name == NetworkRule.hostLoopback {
      connect(to: ["127.0.0.1", "::1"].map { IPAddress($0)!.bytes })
    } else {
      service.resolver.resolve(destination.name!) { [self] resolution in
        guard state == .resolving else { return }
        switch resolution {
        case .addresses(let addresses, _): take(addresses)
        case .noSuchName: refuse("the name does not exist")
        case .failed(let why): refuse(why)
        }
      }
    }
  }

  /// Keeps the addresses that may be connected.
  private func take(_ addresses: [IPAddress]) {
    var why = "the name has no address"
    var judged: [[UInt8]] = []
    for address in addresses {
      do throws(NetworkRules.Refusal) {
        try service.rules.judge(address, port: Int(destination.port))
        if isThisMachine(address) {
          why = "\(address)\(Self.thisMachine)"
        } else {
          judged.append(address.bytes)
        }
      } catch {
        why = error.text
      }
    }
    if judged.isEmpty { return refuse(why) }
    connect(to: judged)
  }

  /// The host's own services are the host's, also at its public addresses, where a firewall may keep others
  /// from them.
  private func isThisMachine(_ address: IPAddress) -> Bool {
    !service.rules.names(address, port: Int(destination.port)) && Sockets.isOwn(address.bytes)
  }

  private func connect(to addresses: [[UInt8]]) {
    candidates = addresses.map { SocketAddress($0, port: destination.port) }
    state = .connecting
    connectNext(ECONNREFUSED)
  }

  /// - Parameter errno: Of the last try.
  private func connectNext(_ errno: Int32) {
    var failure = errno
    closeOutside()
    while let next = candidates.first {
      candidates.removeFirst()
      do throws(SyscallError) {
        let socket = try Sockets.open(.stream, isIPv4: next.isIPv4)
        place = next
        try Sockets.setNoDelay(socket.raw)
        if next.isLoopback { try Sockets.setLocalCongestionControl(socket.raw) }
        let result = try Sockets.connect(socket.raw, to: next)
        outside = RelaySide(socket.raw)
        outsideSocket = consume socket
        try outside.want(.output, hasEnded: false, service.watches, self)
        setDeadline(AlarmClock.nowMilliseconds + Self.connectMilliseconds)
        if result == .done { opened() }
        return
      } catch {
        closeOutside()
        failure = error.errno
      }
    }
    refuse("connecting: \(Errno.message(failure))")
  }

  private func opened() {
    state = .open
    if let outside = outside.raw, let time = Sockets.roundTripMicroseconds(outside),
      time <= Self.nearMicroseconds
    {
      try? Sockets.setReceiveBuffer(outside, bytes: Self.nearBufferBytes)
    }
    lastMilliseconds = AlarmClock.nowMilliseconds
    let isWaitingForHello = isInspecting && !toOutside.head.isEmpty
    setDeadline(
      lastMilliseconds + (isWaitingForHello ? Self.helloMilliseconds : Self.idleMilliseconds))
    settle(nil)
    pump()
  }

  private func settle(_ why: String?) {
    let told = settled
    settled = nil
    told?(why)
  }

  // MARK: events

  func handle(_ event: Poller.Event) {
    let isInside = event.descriptor == inside.raw
    switch state {
    case .closed: return
    case .resolving, .connecting:
      if isInside { return readEarly(event) }
      guard state == .connecting, let outside = outside.raw, let place else { return }
      do throws(SyscallError) {
        if try Sockets.connect(outside, to: place) == .done { opened() }
      } catch { connectNext(error.errno) }
    case .open:
      let isAsked = isInside ? inside.isAsked(for: .input) : outside.isAsked(for: .input)
      if event.readable, !isAsked, Sockets.pendingError(event.descriptor) != 0 {
        // Nothing was asked for: an error, or the end of both directions.
        return close()
      }
      if isInside, isInspecting, event.readable { inspect() }
      pump(
        outward: isInside ? event.readable : event.writable,
        inward: isInside ? event.writable : event.readable)
    }
  }

  /// Before there is an outside: the first bytes are looked at, and a client that goes is let go.
  private func readEarly(_ event: Poller.Event) {
    if isInspecting, event.readable {
      inspect()
    } else if Sockets.pendingError(event.descriptor) != 0 {
      return close()
    }
    if state != .closed { setInterests() }
  }

  func expire(_ now: UInt64) {
    guard state != .closed, now >= deadlineMilliseconds else { return }
    switch state {
    case .connecting: connectNext(ETIMEDOUT)
    case .open where !isInspecting || toOutside.head.isEmpty:
      let due = min(lastMilliseconds + Self.idleMilliseconds, endMilliseconds)
      if now >= due { close() } else { setDeadline(due) }
    default: refuse("out of time")
    }
  }

  private func setDeadline(_ milliseconds: UInt64) {
    deadlineMilliseconds = milliseconds
    service.watches.due(milliseconds)
  }

  // MARK: the first bytes

  private func inspect() {
    do throws(SyscallError) {
      let bytes = try Descriptors.read(inside.raw!, upTo: ClientHello.maximumBytes)
      if bytes.isEmpty {
        toOutside.endSource()
        return endInspection()
      }
      if toOutside.head.isEmpty, state == .open {
        setDeadline(AlarmClock.nowMilliseconds + Self.helloMilliseconds)
      }
      toOutside.head += bytes
      lastMilliseconds = AlarmClock.nowMilliseconds
    } catch {
      if error.errno != EAGAIN { close() }
      return
    }
    switch ClientHello.read(toOutside.head) {
    case .incomplete: return
    case .notTLS: break
    case .malformed(let why): return refuse("TLS: \(why)")
    case .hello(let serverName, let isEncrypted):
      if let why = objection(serverName, isEncrypted) { return refuse("TLS: \(why)") }
    }
    endInspection()
    if state == .open { setDeadline(lastMilliseconds + Self.idleMilliseconds) }
  }

  /// What was read ahead is going to be sent.
  private func endInspection() {
    isInspecting = false
    if let allowance = destination.allowance, !allowance.take(toOutside.head.count) {
      refuseBeyond(allowance)
    }
  }

  /// The program has more to send than may be sent there, which ends its run; until then nothing more leaves.
  private func refuseBeyond(_ allowance: EgressAllowance) {
    refuse(allowance.refusal)
    service.exceed(allowance)
  }

  private func objection(_ serverName: String?, _ isEncrypted: Bool) -> String? {
    if isEncrypted {
      return destination.allowsEncryptedHello
        ? nil : "the client hides the name it asks for (encrypted hello)"
    }
    guard let serverName else { return nil }
    // What the client wrote may be long, and anything; only names are repeated.
    guard let name = try? HostName.canonical(serverName) else {
      return "the client asks for a name that is none"
    }
    let isNamed = service.rules.rule(host: name, port: Int(destination.port)) != nil
    return isNamed ? nil : "no network rule names \(name), which the client asks for"
  }

  // MARK: bytes

  /// Only the direction in which something can have changed: each is a call or two.
  private func pump(outward: Bool = true, inward: Bool = true) {
    guard state == .open, let inside = inside.raw, let outside = outside.raw else { return }
    let before = toOutside.transferredBytes + toInside.transferredBytes
    do throws(SyscallError) {
      if outward, !isInspecting {
        try toOutside.pump(from: inside, to: outside, service.pipes, destination.allowance)
        if toOutside.isBeyond, let allowance = destination.allowance {
          return refuseBeyond(allowance)
        }
      }
      if inward { try toInside.pump(from: outside, to: inside, service.pipes) }
    } catch { return close() }
    if toOutside.transferredBytes + toInside.transferredBytes != before {
      lastMilliseconds = AlarmClock.nowMilliseconds
    }
    if toOutside.isOver, toInside.isOver { return close(cleanly: true) }
    setInterests()
  }

  private func setInterests() {
    var wanted: Poller.Interest = []
    if isInspecting || state == .open && toOutside.waitsForSource { wanted.insert(.input) }
    if state == .open, toInside.waitsForSink { wanted.insert(.output) }
    var wantedOutside: Poller.Interest = []
    if state == .connecting { wantedOutside = .output }
    if state == .open {
      if toInside.waitsForSource { wantedOutside.insert(.input) }
      if !isInspecting, toOutside.waitsForSink { wantedOutside.insert(.output) }
    }
    do throws(SyscallError) {
      try inside.want(wanted, hasEnded: toInside.isOver, service.watches, self)
      try outside.want(wantedOutside, hasEnded: toOutside.isOver, service.watches, self)
    } catch { close() }
  }

  // MARK: the end

  func refuse(_ why: String) {
    guard state != .closed else { return }
    service.refused(self, why)
    settle(why)
    close()
  }

  private func closeOutside() {
    outside.unwatch(service.watches)
    outside = RelaySide(nil)
    outsideSocket = nil
  }

  private func close(cleanly: Bool = false) {
    guard state != .closed else { return }
    state = .closed
    inside.unwatch(service.watches)
    if cleanly {
      Sockets.closeCleanly(inside.raw!)
    } else if let outside = outside.raw {
      Sockets.resetOnClose(outside)
    }
    closeOutside()
    settle("it was closed")
    service.closed(self)
  }
}
