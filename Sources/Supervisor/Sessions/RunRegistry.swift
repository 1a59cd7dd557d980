internal import Glibc
public import JSON
internal import Kernel

/// The runs of a user, as `agt` finds them.
public struct RunRegistry {
  private let places: RunPlaces

  /// - Parameter environment: of the caller, `NAME=VALUE`.
  public init(environment: [[UInt8]]) {
    self.init(RunPlaces(Caller(environment)))
  }

  init(_ places: RunPlaces) { self.places = places }

  /// Every run that is registered, by age.
  /// - Throws: when the directory in which new runs register is not the user's alone. Another that is not
  ///   holds no run of ours, because no launch would have used it; it is named on stderr.
  public func list() throws(RunError) -> [RegisteredRun] {
    var runs: [RegisteredRun] = []
    for (path, place) in try existing() {
      for name in (try? Files.names(in: ByteString(path))) ?? [] {
        guard RunIdentifier.isValid(name.text),
          let directory = try? Files.open(
            name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, at: place.raw)
        else { continue }
        runs.append(RegisteredRun(id: name.text, place: path, directory: directory))
      }
    }
    return runs.sorted { $0.id < $1.id }
  }

  private func existing() throws(RunError) -> [(path: String, place: PlaceDescriptor)] {
    var all: [(path: String, place: PlaceDescriptor)] = []
    for (index, path) in places.paths.enumerated() {
      do throws(RunError) {
        guard let place = try places.openExisting(path) else { continue }
        all.append((path, PlaceDescriptor(place)))
      } catch {
        if index == 0 { throw error }
        Output.say("agt: left out: \(error.message)")
      }
    }
    return all
  }

  /// An open directory in a list.
  private final class PlaceDescriptor {
    private let directory: OwnedFD
    var raw: Int32 { directory.raw }
    init(_ directory: consuming OwnedFD) { self.directory = directory }
  }

  /// The run with this id, this name, or an id that alone begins so. A name belongs to the run that took it
  /// last.
  public func find(_ text: String) throws(RunError) -> RegisteredRun {
    let runs = try list()
    if let same = runs.first(where: { $0.id == text }) { return same }
    let named = runs.filter { $0.status?.name == text }
    if let living = named.last(where: { $0.isNamed(text) }) ?? named.last { return living }
    let begun = runs.filter { !text.isEmpty && $0.id.hasPrefix(text) }
    if begun.count == 1 { return begun[0] }
    if begun.count > 1 {
      throw RunError(
        .usage, "\(text): \(begun.count) runs have ids that begin so",
        hint: "give more of the id: \(begun.prefix(3).map(\.id).joined(separator: ", "))")
    }
    let names = runs.compactMap { $0.status?.name }
    throw RunError(
      .notFound, "\(text): there is no such run",
      hint: Self.nearest(text, names).map { "did you mean \($0)?" } ?? "agt ps lists the runs")
  }

  /// Of detached runs that have ended, so many stay; their logs are in memory (/run is a tmpfs).
  static let endedMax = 32

  /// Makes room for one more that is going to stay after its end.
  func removeOldestEnded() throws(RunError) {
    let ended = try list().filter { $0.ending != nil && !$0.isSupervised }
    for run in ended.dropLast(Self.endedMax - 1) { run.remove() }
    for run in ended.suffix(Self.endedMax - 1) where run.isLongEnded { run.remove() }
  }

  private static func nearest(_ text: String, _ names: [String]) -> String? {
    names.first { $0.lowercased() == text.lowercased() || $0.hasPrefix(text) }
  }

  /// Asks every run how it is, all at the same time.
  /// - Parameter milliseconds: for all together; who does not answer by then has no answer.
  public static func ask(
    _ runs: [RegisteredRun], _ request: JSONObject, milliseconds: Int32
  ) -> [JSONValue?] {
    let links = runs.map { try? $0.connect() }
    for link in links { try? link?.send(request) }
    let deadline = Clock.monotonicNanoseconds() + UInt64(milliseconds) * 1_000_000
    return links.map { link in
      let now = Clock.monotonicNanoseconds()
      let rest = now < deadline ? Int32((deadline - now) / 1_000_000) : 0
      return try? link?.receive(milliseconds: rest)
    }
  }
}

/// A run that has a directory of its own.
public final class RegisteredRun {
  public let id: String
  /// The directory's directory.
  let place: String
  let directory: OwnedFD
  /// nil for a run that has just begun, or of which nothing more can be known.
  let status: RunStatus?
  /// How a detached run ended; nil for every other.
  public let ending: JSONValue?

  init(id: String, place: String, directory: consuming OwnedFD) {
    self.id = id
    self.place = place
    let bytes = try? Files.readRegular(
      ByteString(RunDirectory.statusName), limit: Self.statusMaxBytes, at: directory.raw)
    let status = bytes.flatMap { try? JSONParser.parse($0) }.flatMap { RunStatus($0) }
    self.status = status?.id == id ? status : nil
    ending = Self.readEnding(directory.raw)
    self.directory = directory
  }

  /// How it ended, when that has happened since the run was looked up.
  func readEnding() -> JSONValue? { Self.readEnding(directory.raw) }

  private static func readEnding(_ directory: Int32) -> JSONValue? {
    let bytes = try? Files.readRegular(
      ByteString(RunDirectory.endingName), limit: endingMaxBytes, at: directory)
    return bytes.flatMap { try? JSONParser.parse($0) }
  }

  /// 32 words of 256 bytes each, escaped, and the rest.
  private static let statusMaxBytes = 65536
  /// With what the kill switch and a transaction say of it.
  private static let endingMaxBytes = 1 << 20

  /// - Throws: when nobody listens; `isBeginning` tells a launch from a crash. EPERM when a process of a
  ///   ring does.
  func connect() throws(SyscallError) -> OperatorLink {
    let socket = try UnixSockets.connect(RunDirectory.socketName, in: directory.raw)
    if PeerJudge.isImpostor(listener: try UnixSockets.peer(socket.raw)) {
      throw SyscallError(call: "connect", object: RunDirectory.socketName, errno: EPERM)
    }
    return OperatorLink(socket)
  }

  /// Whether the link of this name leads here.
  func isNamed(_ name: String) -> Bool {
    let link = ByteString("\(place)/\(RunDirectory.namePrefix)\(name)")
    return (try? Files.readLink(link)) == ByteString(id)
  }

  /// Whether a supervisor listens; one that is launching may not yet.
  var isSupervised: Bool {
    do throws(SyscallError) {
      _ = try connect()
      return true
    } catch {
      return error.errno == EAGAIN
    }
  }

  /// Whether its launch may still be under way.
  var isBeginning: Bool {
    let began = RunIdentifier.wallMilliseconds(of: id)
    return Clock.wallNanoseconds() / 1_000_000 < began + Self.beginningMilliseconds || isHeld
  }

  /// Whether a living process has the directory's lock.
  private var isHeld: Bool {
    do throws(SyscallError) {
      guard try Descriptors.tryLock(directory.raw) else { return true }
      Descriptors.unlock(directory.raw)
      return false
    } catch {
      return false
    }
  }

  /// A launch locks its directory some microseconds after it made it.
  private static let beginningMilliseconds: UInt64 = 1000

  /// PID 1 of the ring, when it is still there. A zombie is not: PID 1 becomes one after everybody else of
  /// its namespace is gone (pid_namespaces(7)), and its new parent may let it be.
  var livingInit: ProcessSample? {
    guard let status, let sample = status.sample(of: status.initPid),
      sample.name == PeerJudge.nameOfInit
    else { return nil }
    return sample
  }

  /// The same, as the process table had it.
  func livingInit(in table: ProcessSnapshot) -> ProcessSample? {
    guard let status, let sample = table.samples[status.initPid], status.isAbout(sample),
      sample.name == PeerJudge.nameOfInit
    else { return nil }
    return sample
  }

  /// As the run said last.
  var live: LiveState? { LiveState(in: directory.raw) }

  /// Whether the supervisor is there and not stopped, as the process table had it.
  func hasRunningSupervisor(in table: ProcessSnapshot) -> Bool {
    guard let status, let sample = table.samples[status.supervisorPid], status.isAbout(sample)
    else { return false }
    return !"Tt".contains(sample.state)
  }

  /// Whether the supervisor is still there, also when its socket is not.
  var hasSupervisor: Bool { status.map { $0.sample(of: $0.supervisorPid) != nil } ?? false }

  /// One request, one answer.
  /// - Throws: `RunError` when the run refuses, or does not answer in time.
  public func ask(_ request: JSONObject, milliseconds: Int32) throws(RunError) -> JSONValue {
    let answer: JSONValue?
    do throws(SyscallError) {
      let link = try connect()
      try link.send(request)
      answer = try link.receive(milliseconds: milliseconds)
    } catch {
      throw unreachable(error)
    }
    guard let answer else {
      throw RunError(.internalFailure, "run \(id): its supervisor does not answer")
    }
    if answer["ok"]?.boolValue == true { return answer }
    throw RunError(
      .notConfined, "run \(id): \(answer["error"]?.stringValue ?? "refused without a reason")",
      hint: answer["hint"]?.stringValue)
  }

  func hasEnded(_ ending: JSONValue) -> RunError {
    let status = ending["status"]?.integerValue ?? 0
    return RunError(
      .notFound, "run \(id) has ended with status \(status)",
      hint: "agt logs \(id) prints what it wrote")
  }

  func unreachable(_ error: SyscallError) -> RunError {
    if error.errno == ECONNREFUSED, let ending = readEnding() { return hasEnded(ending) }
    return RunError(
      .internalFailure, "run \(id): its supervisor cannot be reached: \(error.description)",
      hint: error.errno == ECONNREFUSED ? "it was killed; agt gc clears what it left" : nil)
  }

  /// Waits until the run has ended.
  /// - Returns: how it ended, with `status`; nil when its supervisor was killed.
  public func waitForEnd() throws(RunError) -> JSONValue? {
    if let ending { return ending }
    do throws(SyscallError) {
      let link = try connect()
      try link.send(["method": "wait"])
      while let message = try link.receive(milliseconds: -1) {
        if message["event"]?.stringValue == "ended" { return message }
        if message["ok"]?.boolValue == false {
          throw SyscallError(call: message["error"]?.stringValue ?? "wait", errno: EPERM)
        }
      }
      return readEnding()
    } catch {
      if let ending = readEnding() { return ending }
      throw unreachable(error)
    }
  }
}

extension RunStatus {
  /// A process that the status names, while it is the same and alive.
  fileprivate func sample(of pid: Int32) -> ProcessSample? {
    guard let sample = ProcessSample(pid), isAbout(sample) else { return nil }
    return sample
  }

  /// Whether a process with one of the pids is the one that had it then, and alive.
  fileprivate func isAbout(_ sample: ProcessSample) -> Bool {
    observedNanoseconds <= Clock.monotonicNanoseconds()
      && sample.existed(atNanoseconds: observedNanoseconds) && !"ZX".contains(sample.state)
  }
}

/// A connection to a run's supervisor.
final class OperatorLink {
  private let socket: OwnedFD

  init(_ socket: consuming OwnedFD) { self.socket = socket }

  /// - Parameter descriptor: goes along.
  func send(_ request: JSONObject, descriptor: Int32? = nil) throws(SyscallError) {
    try Messages.send(
      socket.raw, JSONWriter.compact(.object(request)),
      descriptors: descriptor.map { [$0] } ?? [])
  }

  /// - Returns: nil at the end of the connection, or when the time is over.
  func receive(milliseconds: Int32) throws(SyscallError) -> JSONValue? {
    guard Descriptors.isReadable(socket.raw, withinMilliseconds: milliseconds) else { return nil }
    let message = try Messages.receive(
      socket.raw, capacity: OperatorService.answerMaxBytes, blocking: false)
    guard let message else { return nil }
    for number in message.descriptors { _ = OwnedFD(number) }
    guard let value = try? JSONParser.parse(message.bytes) else {
      throw SyscallError(call: "recvmsg", object: "an answer that is no JSON", errno: EPROTO)
    }
    return value
  }
}
