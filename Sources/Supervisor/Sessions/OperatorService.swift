internal import Glibc
internal import JSON
internal import Kernel

/// Who asks on an operator's socket; never used again for another connection of the same run.
struct OperatorClient: Hashable {
  let number: UInt64
}

/// One request: a JSON object with the member `method`.
struct OperatorRequest {
  let client: OperatorClient
  let peer: UnixSockets.Peer
  let body: JSONValue
  let passed: PassedDescriptors
}

/// What came with a request; whatever nobody takes is closed.
final class PassedDescriptors {
  private var numbers: [Int32]
  init(_ numbers: [Int32]) { self.numbers = numbers }
  deinit { for number in numbers { _ = OwnedFD(number) } }

  /// The next one, which is the taker's now.
  func take() -> Int32? { numbers.isEmpty ? nil : numbers.removeFirst() }
}

enum OperatorAnswer {
  case now(JSONObject)
  /// The part of the supervisor that took the request answers with `OperatorService.answer`.
  case later
}

/// Why a request is not obeyed.
struct OperatorRefusal: Error {
  var message: String
  var hint: String?
}

typealias OperatorHandler =
  (OperatorRequest, RunLoop) throws(OperatorRefusal) -> OperatorAnswer

/// The operator's socket of a run: the commands of `agt` ask here, one JSON object a message each way.
///
/// Other parts of the supervisor add methods with `handle`. Answers have `ok`, and `error` with an optional
/// `hint` when it is false. Only the user who started the run and root are listened to, and never a
/// process of a ring (`PeerJudge`).
final class OperatorService: RunService {
  /// Requests are some words; approvals carry a reason.
  static let requestMaxBytes = 65536
  /// Below the kernel's usual buffer of a socket (net.core.wmem_default, 212,992 bytes), which a message
  /// has to fit in.
  static let answerMaxBytes = 131_072
  /// A few people and programs watch one run.
  private static let clientsMax = 64
  private static let backlog: Int32 = 64

  private final class Connection {
    let client: OperatorClient
    let socket: OwnedFD
    let peer: UnixSockets.Peer
    init(_ client: OperatorClient, _ socket: consuming OwnedFD, _ peer: UnixSockets.Peer) {
      self.client = client
      self.socket = socket
      self.peer = peer
    }
  }

  private var directory: RunDirectory?
  private var listener: OwnedFD?
  private var connections: [Int32: Connection] = [:]
  private var descriptors: [OperatorClient: Int32] = [:]
  private var handlers: [(method: String, handler: OperatorHandler)] = []
  private var disconnections: [(OperatorClient, RunLoop) -> Void] = []
  private var nextNumber: UInt64 = 0
  private var status: RunStatus
  private var live: LiveState.Writer?

  /// - Parameter status: without the pid of PID 1, which is written when it is known.
  init(_ directory: consuming RunDirectory, _ status: RunStatus) {
    self.directory = consume directory
    self.status = status
  }

  /// Adds a method.
  /// - Precondition: nobody else has one of this name.
  func handle(_ method: String, _ handler: @escaping OperatorHandler) {
    precondition(!handlers.contains { $0.method == method }, "method \(method) twice")
    handlers.append((method, handler))
  }

  /// Calls `body` whenever a client has gone.
  func onDisconnection(_ body: @escaping (OperatorClient, RunLoop) -> Void) {
    disconnections.append(body)
  }

  /// Sends an object to a client; one that does not read is disconnected.
  func send(_ object: JSONObject, to client: OperatorClient, in loop: RunLoop) {
    guard let number = descriptors[client] else { return }
    if !deliver(object, number) { disconnect(number, loop) }
  }

  /// The number of the run's directory, until `conclude`.
  var place: Int32? { directory.raw }

  /// Every client gets the object, as the last one.
  /// - Parameter isKept: the run's directory stays, with the object in it, until `agt gc`.
  func conclude(_ object: JSONObject, isKept: Bool = false) {
    if isKept, let place = directory.raw {
      try? Files.replace(
        ByteString(RunDirectory.endingName), with: JSONWriter.compact(.object(object)) + [10],
        mode: 0o600, through: ByteString(RunDirectory.endingFreshName), at: place)
      directory?.isKept = true
      // Who is told from here on that nobody listens finds the file.
      listener = nil
    }
    for number in connections.keys { _ = deliver(object, number) }
    connections = [:]
    listener = nil
    directory = nil
  }

  /// What somebody left in the run's directory who had to end the ring without us.
  var killMark: KillMark? { directory.raw.flatMap { KillMark(in: $0) } }

  // MARK: RunService

  func start(in loop: RunLoop) throws(SyscallError) {
    guard let place = directory.raw else { return }
    let socket = try UnixSockets.listen(
      RunDirectory.socketName, in: place, backlog: Self.backlog)
    let number = socket.raw
    listener = consume socket
    try loop.watch(number, .input, for: self)
  }

  func observe(_ moment: RunMoment, in loop: RunLoop) throws(SyscallError) {
    guard let place = directory.raw else { return }
    let pid: Int32
    switch moment {
    case .started(let number): pid = number
    case .executed, .violation, .killing, .paused, .resumed:
      live?.write(StatusMethods.live(loop))
      return
    case .askedToEnd, .account, .breach: return
    }
    status.initPid = pid
    status.observedNanoseconds = Clock.monotonicNanoseconds()
    try Files.create(
      ByteString(RunDirectory.statusName), mode: 0o600,
      contents: JSONWriter.compact(status.json) + [10], at: place)
    live = try LiveState.Writer(in: place)
    live?.write(StatusMethods.live(loop))
  }

  func handle(_ event: Poller.Event, in loop: RunLoop) throws(SyscallError) {
    if event.descriptor == listener.raw { return try accept(loop) }
    guard let connection = connections[event.descriptor] else { return }
    let message: (bytes: [UInt8], descriptors: [Int32])?
    do throws(SyscallError) {
      message = try Messages.receive(
        event.descriptor, capacity: Self.requestMaxBytes, blocking: false)
    } catch {
      if error.errno == EAGAIN { return }
      if error.errno == EMSGSIZE { refuse(OperatorRefusal(message: "too long"), event.descriptor) }
      return disconnect(event.descriptor, loop)
    }
    guard let message else { return disconnect(event.descriptor, loop) }
    dispatch(message.bytes, PassedDescriptors(message.descriptors), connection, loop)
  }

  func finish() {}

  // MARK: connections

  /// Held to have a number left when the ring's connections have taken all others.
  private var spare = try? Files.open(ByteString("/dev/null"), O_RDONLY)

  private func accept(_ loop: RunLoop) throws(SyscallError) {
    guard let place = listener.raw else { return }
    let accepted: OwnedFD?
    do throws(SyscallError) { accepted = try UnixSockets.accept(place) } catch {
      return turnAway(place)
    }
    guard let socket = accepted else { return }
    let number = socket.raw
    guard connections.count < Self.clientsMax else { return }
    let peer = try UnixSockets.peer(number)
    if let reason = PeerJudge.refusal(socket: number, peer: peer, ringInit: loop.ringInit) {
      try? Messages.send(
        number, JSONWriter.compact(.object(["ok": false, "error": .string(reason)])))
      return
    }
    nextNumber += 1
    let client = OperatorClient(number: nextNumber)
    connections[number] = Connection(client, socket, peer)
    descriptors[client] = number
    try loop.watch(number, .input, for: self)
  }

  /// No descriptor is left: that is no reason to end the run, and whoever asks gets to know it.
  private func turnAway(_ listener: Int32) {
    spare = nil
    if let socket = try? UnixSockets.accept(listener) {
      let reason: JSONObject = [
        "ok": false, "error": "the supervisor has no descriptor left", "hint": "ask again",
      ]
      try? Messages.send(socket.raw, JSONWriter.compact(.object(reason)))
    }
    spare = try? Files.open(ByteString("/dev/null"), O_RDONLY)
  }

  private func disconnect(_ number: Int32, _ loop: RunLoop) {
    guard let connection = connections[number] else { return }
    try? loop.unwatch(number)
    connections[number] = nil
    descriptors[connection.client] = nil
    for body in disconnections { body(connection.client, loop) }
  }

  private func dispatch(
    _ bytes: [UInt8], _ passed: PassedDescriptors, _ connection: Connection, _ loop: RunLoop
  ) {
    let number = connection.socket.raw
    guard let body = try? JSONParser.parse(bytes), let method = body["method"]?.stringValue else {
      return refuse(
        OperatorRefusal(message: "a JSON object with the member `method` is needed"), number)
    }
    guard let handler = handlers.first(where: { $0.method == method })?.handler else {
      return refuse(
        OperatorRefusal(
          message: "unknown method \(method)", hint: "agt and agt-run are of different versions"),
        number)
    }
    do throws(OperatorRefusal) {
      let request = OperatorRequest(
        client: connection.client, peer: connection.peer, body: body, passed: passed)
      guard case .now(var answer) = try handler(request, loop) else { return }
      answer["ok"] = true
      if !deliver(answer, number) { disconnect(number, loop) }
    } catch {
      refuse(error, number)
    }
  }

  private func refuse(_ refusal: OperatorRefusal, _ number: Int32) {
    _ = deliver(
      ["ok": false, "error": .string(refusal.message), "hint": JSONValue(refusal.hint)], number)
  }

  /// False when the client cannot take it.
  private func deliver(_ object: JSONObject, _ number: Int32) -> Bool {
    var bytes = JSONWriter.compact(.object(object))
    if bytes.count > Self.answerMaxBytes {
      bytes = JSONWriter.compact(
        .object(["ok": false, "error": "the answer is longer than a message may be"]))
    }
    return (try? Messages.send(number, bytes)) != nil
  }
}
