internal import Audit
internal import AuditStore
internal import Glibc
internal import Hashing
internal import JSON
internal import Kernel

/// What a run does, in its log and in that of the host.
///
/// Before the program may begin, the host's log says durably which run starts, with the key that only this
/// process has and that signs the run's own, and that one is made: while the stage builds the ring, because
/// before it has its plan both processors are busy. Everything else is queued and waits for nothing; an effect
/// that needs its intent on the disk first asks for an answer (`intend`). When the log cannot be written,
/// nothing more is allowed: the launch fails, connections are refused, a transaction is kept instead of committed.
final class RunAudit: RunService {
  let place: AuditPlace
  /// Of the digests of what may be secret.
  let salt = AuditEntries.salt()
  /// Empty until the run begins.
  private var id = ""
  private let mode: GroupCommitter.Mode
  private let committer: GroupCommitter
  /// What the logs do not hold yet of the run's beginning.
  private var start: JSONObject?
  /// When it holds the beginning.
  private var host: HostLog?
  /// Of what is queued and wakes nobody.
  private let clock: AlarmClock
  private var waiting: [GroupCommitter.Ticket: (LogError?) -> Void] = [:]
  private var violationCounts: [String: Int] = [:]
  private var isOver = false

  /// What wakes nobody is in the log so much later at most.
  private static let patienceMilliseconds: UInt64 = 100

  /// A ring that has not ended by then takes longer than the log.
  private static let killMilliseconds: UInt64 = 20

  init(_ place: AuditPlace, mode: GroupCommitter.Mode) throws(RunError) {
    self.place = place
    self.mode = mode
    do throws(SyscallError) {
      committer = try GroupCommitter(mode: mode, wakesLoop: true)
      clock = try AlarmClock()
    } catch {
      throw RunError(
        .internalFailure, "audit log: \(error.description)", hint: Hints.forNewProcess(error))
    }
  }

  /// A launch that failed was a run that did not start.
  deinit {
    if !isOver { _ = end(Self.notStarted, status: nil) }
  }

  /// The outcome of a launch that came to nothing before its ring was built.
  static let notStarted: JSONObject = ["state": "not_started", "reason": "preparation"]

  // MARK: the launch

  /// The run begins: from here on the logs tell of it, also when it comes to nothing.
  /// - Parameter entry: of `run.start`, without the run's key.
  func begin(id: String, _ entry: JSONObject) {
    self.id = id
    start = entry
  }

  /// Writes the start of the run into the host's log and waits for the disk, and begins its own.
  func recordStart() throws(RunError) {
    do throws(LogError) {
      committer.begin(try open())
      // Later the loop must not wait for a disk that is busy.
      committer.writeAhead()
    } catch {
      committer.refuseAll(error)
      throw Self.refusal(error, place)
    }
  }

  private func open() throws(LogError) -> LogWriter {
    guard var entry = start else { preconditionFailure("a run begins before it is recorded") }
    start = nil
    let host = try HostLog(
      place.host, hostName: Self.hostName, timeMilliseconds: AuditClock.milliseconds)
    let key = SigningKey(seed: SigningKey.randomSeed())
    let origin = "agt-run/run/\(id)"
    entry["origin"] = .string(origin)
    entry["key"] = .string(key.verifier(name: origin).text)
    try host.add(
      [(.runStart, entry)], timeMilliseconds: AuditClock.milliseconds, isDurable: mode != .off)
    self.host = host
    let directory = try Self.makeDirectory(place.run(id), salt)
    let writer = try LogWriter.create(
      in: directory, origin: origin, key: key, isContinued: false)
    // Of no entries: a log with entries and without a signature is one from which signatures were taken.
    try writer.sign()
    try writer.append(.runStart, timeMilliseconds: AuditClock.milliseconds, data: entry)
    try writer.flush()
    return writer
  }

  private static func makeDirectory(_ path: String, _ salt: String) throws(LogError) -> OwnedFD {
    do throws(SyscallError) {
      try Files.makeDirectory(ByteString(path), mode: 0o700)
      let directory = try Files.open(ByteString(path), O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
      try Files.create(
        ByteString("salt"), mode: 0o600, contents: Array((salt + "\n").utf8), at: directory.raw)
      return directory
    } catch { throw .system(error) }
  }

  static var hostName: String {
    let bytes = (try? Files.read(ByteString("/proc/sys/kernel/hostname"), limit: 256)) ?? []
    return bytes.text.filter { !$0.isNewline }
  }

  static func refusal(_ error: LogError, _ place: AuditPlace) -> RunError {
    let hint: String? =
      switch error {
      case .full: "free space on its file system"
      case .busy: "a stopped or hanging agt-run or agt has it: lslocks shows which; end that"
      case .audit: "agt log verify says where; move the directory away to begin another log"
      case .system(let cause) where cause.errno == EACCES || cause.errno == EROFS:
        "make \(place.path) writable for its user, and for nobody else"
      default: nil
      }
    return RunError(
      .notConfined, "audit log \(place.host): \(error.description)", hint: hint)
  }

  // MARK: entries

  /// Tells something that happened or was refused.
  func record(_ kind: EntryKind, _ data: JSONObject) {
    committer.record(kind, timeMilliseconds: AuditClock.milliseconds, data)
  }

  /// Tells of one of many.
  func record(
    _ kind: EntryKind, _ template: any EntryTemplate, _ one: Occurrence
  ) -> GroupCommitter.Place {
    committer.record(kind, timeMilliseconds: AuditClock.milliseconds, template, one)
  }

  /// Lets an entry that is not written yet tell of one more; false when it is.
  func count(_ number: UInt64, in place: GroupCommitter.Place) -> Bool {
    committer.count(number, in: place)
  }

  /// Why nothing should be allowed that only an entry would tell of; nil when there is no reason.
  var obstacle: String? { committer.obstacle.map { Self.cannotBeWritten($0) } }

  /// Why nothing should be judged, because the disk hangs and the entries of denials wait as well; nil when there is no
  /// reason.
  var delay: String? { committer.delay.map { Self.cannotBeWritten($0) } }

  private static func cannotBeWritten(_ error: LogError) -> String {
    "the audit log cannot be written: \(error.description)"
  }

  /// Announces an effect.
  /// - Parameter then: called in the loop with why the effect must not begin; with nil when the entry is on
  ///   the disk.
  func intend(_ kind: EntryKind, _ data: JSONObject, then: @escaping (String?) -> Void) {
    let ticket = committer.intend(kind, timeMilliseconds: AuditClock.milliseconds, data)
    waiting[ticket] = { error in
      then(error.map { Self.cannotBeWritten($0) })
    }
  }

  /// Announces an effect and waits. Only where the loop does not run.
  func intendAndWait(_ kind: EntryKind, _ data: JSONObject) throws(RunError) {
    do throws(LogError) {
      try committer.intendAndWait(kind, timeMilliseconds: AuditClock.milliseconds, data)
    } catch { throw Self.refusal(error, place) }
  }

  // MARK: RunService

  func start(in loop: RunLoop) throws(SyscallError) {
    if let number = committer.descriptor { try loop.watch(number, .input, for: self) }
    try loop.watch(clock.descriptor, .input, for: self)
    try clock.arm(AlarmClock.nowMilliseconds + Self.patienceMilliseconds)
  }

  func handle(_ event: Poller.Event, in loop: RunLoop) throws(SyscallError) {
    if event.descriptor == clock.descriptor {
      clock.silence()
      return committer.hurry()
    }
    for (ticket, refusal) in committer.takeAnswers() {
      waiting.removeValue(forKey: ticket)?(refusal)
    }
  }

  func observe(_ moment: RunMoment, in loop: RunLoop) throws(SyscallError) {
    switch moment {
    case .started, .account: break
    case .askedToEnd(let milliseconds):
      record(.runAsked, ["graceMilliseconds": JSONValue(milliseconds)])
    case .paused(let uid, let milliseconds):
      record(
        .pause,
        [
          "uid": JSONValue(uid),
          "endsAfterMilliseconds": milliseconds.map { JSONValue($0) } ?? .null,
        ])
    case .resumed(let uid): record(.resume, ["uid": JSONValue(uid)])
    case .executed:
      record(.runProgram, [:])
      try clock.arm(AlarmClock.nowMilliseconds + Self.patienceMilliseconds)
    case .violation(let violation): record(violation)
    case .breach(let breach): record(.breach, breach)
    case .killing(let order):
      record(order)
      try clock.arm(AlarmClock.nowMilliseconds + Self.killMilliseconds)
    }
  }

  /// Why everything of the run is ended, or counts as ended.
  func record(_ order: KillOrder) {
    record(
      .kill,
      [
        "reason": .string(order.reason.rawValue), "by": .string(order.by),
        "rule": JSONValue(order.rule),
      ])
  }

  /// Nothing of what waits begins any more.
  func finish() { waiting = [:] }

  /// A program that makes millions of forbidden calls must not fill the disk: of equal ones the first, the
  /// second, the fourth and so on are told, with their count.
  private func record(_ violation: Violation) {
    // A program that has as many names as it likes must not hide what it does under a new one.
    let kind =
      [violation.call + "\0" + violation.executable, violation.call].first {
        violationCounts[$0] != nil || violationCounts.count < ViolationRecorder.maximumKinds
      } ?? "others"
    let count = violationCounts[kind, default: 0] + 1
    violationCounts[kind] = count
    guard count.nonzeroBitCount == 1 else { return }
    var entry = violation.object
    entry["count"] = JSONValue(count)
    record(.violation, entry)
  }

  // MARK: the end

  /// The loop is over, and something else may take long before `end`.
  func settle() { committer.settle() }

  /// The last entry of the run's log, and the host's, which holds the run's root.
  /// - Returns: what of the run is not in its log; nil when everything is.
  func end(_ outcome: JSONObject, status: UInt8?) -> RunError? {
    isOver = true
    guard !id.isEmpty else { return nil }
    if start != nil { try? recordStart() }
    var data = outcome
    data["status"] = status.map { JSONValue($0) } ?? .null
    committer.record(.runEnd, timeMilliseconds: AuditClock.milliseconds, data)
    let end = committer.finish()
    data["run"] = .string(id)
    data["size"] = JSONValue(end.size)
    data["root"] = .string(end.root.base64)
    data["lostEntries"] = JSONValue(end.lostEntries)
    var failure = end.failure
    if let host {
      do throws(LogError) {
        try host.add(
          [(.runEnd, data)], timeMilliseconds: AuditClock.milliseconds, isDurable: mode == .always)
      } catch {
        failure = failure ?? error
      }
    }
    // The last entry can have found space where others had none.
    guard failure != nil || end.lostEntries > 0 else { return nil }
    let why = (failure ?? .full).description
    return RunError(
      .internalFailure,
      "audit log \(place.run(id)): \(why); it lacks \(end.lostEntries) entries")
  }
}

enum AuditClock {
  static var milliseconds: UInt64 { Clock.wallNanoseconds() / 1_000_000 }
}
