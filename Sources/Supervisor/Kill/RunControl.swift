internal import Glibc
public import JSON
internal import Kernel

/// What `agt kill`, `agt pause` and `agt resume` do: ask every run's supervisor at the same time, and end what
/// has none that answers.
///
/// Its user has seen an agent go wrong and wants it gone now. What can go wrong: a supervisor that is stopped,
/// that was killed, or that is in the middle of a launch. The command must never wait for any of them longer
/// than its deadline, nor say that a run is gone without having seen it.
public struct RunControl {
  /// A supervisor takes note of a request within a millisecond; one that needs longer is stuck or stopped.
  private static let answerMilliseconds: UInt64 = 2000
  /// From there to the confirmed end, or to the supervisor's word that a process does not end.
  private static let endMilliseconds: UInt64 = KillMachine.stuckMilliseconds + 3000
  private static let pauseMilliseconds: UInt64 = 1000
  private static let stepMicroseconds: UInt32 = 5000

  public struct Finding: Sendable {
    public var run: String
    public var name: String?
    public var agent: String?
    public var terminated: Bool
    /// In words, for a person.
    public var sentence: String
    /// Of the kill; nil when the run ended by itself.
    public var record: JSONValue?
    /// Done by us, so that no supervisor has told the audit log.
    var isDirect = false

    public var json: JSONValue {
      .object([
        "run": .string(run), "name": JSONValue(name), "agent": JSONValue(agent),
        "terminated": .bool(terminated), "message": .string(sentence), "kill": record ?? .null,
      ])
    }
  }

  private let registry: RunRegistry
  private let store: KillStore

  /// - Parameter environment: of the caller, `NAME=VALUE`.
  public init(environment: [[UInt8]]) {
    registry = RunRegistry(environment: environment)
    store = KillStore(Caller(environment))
  }

  // MARK: which runs

  /// Which runs a command is about.
  public enum Selection: Sendable {
    case named([String])
    case agent(String)
    case ring(UInt8)
    case all
  }

  /// Those that are being launched get a moment to say who they are.
  public func select(_ selection: Selection) throws(RunError) -> [RegisteredRun] {
    if case .named(let references) = selection {
      var runs: [RegisteredRun] = []
      for text in references {
        let run = try registry.find(text)
        if !runs.contains(where: { $0.id == run.id }) { runs.append(run) }
      }
      return runs
    }
    let deadline = Self.deadline(Self.answerMilliseconds)
    var runs = try registry.list()
    while runs.contains(where: { $0.status == nil && $0.isBeginning }),
      Clock.monotonicNanoseconds() < deadline
    {
      usleep(Self.stepMicroseconds)
      runs = try registry.list()
    }
    // Of a launch that hangs nothing is known; only what is meant for all is meant for it.
    return runs.filter { run in
      // What only left its log has nothing to end; one that still listens is not believed to have ended.
      if run.ending != nil, !run.isSupervised { return false }
      return switch selection {
      case .agent(let name): run.status?.agent == name
      case .ring(let number): run.status?.ring == number
      case .all, .named: true
      }
    }
  }

  // MARK: kill

  /// - Parameter message: the person's reason, without control characters.
  public func kill(_ runs: [RegisteredRun], message: String?) -> [Finding] {
    var request: JSONObject = ["method": "kill"]
    if let message { request["message"] = .string(message) }
    let order = KillOrder(.manual, by: "uid \(Identity.effectiveUID)", message: message)
    let deadline = Self.deadline(Self.answerMilliseconds)
    let links = connect(runs, request, deadline)
    let findings = zip(runs, links).map { run, link in conclude(run, link, order, deadline) }
    OperatorAudit.record(
      kills: findings.filter(\.isDirect).map { ($0.run, $0.record ?? .null, $0.terminated) })
    return findings
  }

  private enum Link {
    case asked(OperatorLink)
    /// Its directory is gone: it has ended.
    case ended
    /// Nobody listens, or nobody ever will in time.
    case deaf
  }

  private func connect(
    _ runs: [RegisteredRun], _ request: JSONObject, _ deadline: UInt64
  ) -> [Link] {
    var links: [Link?] = runs.map { attempt($0, request) }
    while links.contains(where: { $0 == nil }), Clock.monotonicNanoseconds() < deadline {
      usleep(Self.stepMicroseconds)
      for index in runs.indices where links[index] == nil {
        links[index] = attempt(runs[index], request)
      }
    }
    return links.map { $0 ?? .deaf }
  }

  /// - Returns: nil when it may be worth another attempt.
  private func attempt(_ run: RegisteredRun, _ request: JSONObject) -> Link? {
    do throws(SyscallError) {
      let link = try run.connect()
      try link.send(request)
      return .asked(link)
    } catch {
      switch error.errno {
      case ECONNREFUSED, EPERM: return run.isThere ? .deaf : .ended
      case EPIPE, ECONNRESET: return run.isThere ? nil : .ended
      default:
        if !run.isThere { return .ended }
        return run.isBeginning || error.errno == EAGAIN ? nil : .deaf
      }
    }
  }

  private func conclude(
    _ run: RegisteredRun, _ link: Link, _ order: KillOrder, _ answerDeadline: UInt64
  ) -> Finding {
    switch link {
    case .ended: return finding(run, true, "had ended already", nil)
    case .deaf: return direct(run, order)
    case .asked(let link):
      var deadline = max(answerDeadline, Self.deadline(100))
      while true {
        let message: JSONValue?
        do throws(SyscallError) {
          message = try link.receive(milliseconds: Self.milliseconds(until: deadline))
        } catch { return run.isThere ? direct(run, order) : ended(run, nil) }
        guard let message else {
          return run.isThere || run.livingInit != nil ? direct(run, order) : ended(run, nil)
        }
        if message["event"]?.stringValue == "ended" { return ended(run, message["kill"]) }
        if let record = message["kill"] { return killed(run, record) }
        // An older supervisor knows no kill switch, and one that refuses is none to rely on.
        if message["ok"]?.boolValue == false { return direct(run, order) }
        deadline = Self.deadline(Self.endMilliseconds)
      }
    }
  }

  private func ended(_ run: RegisteredRun, _ record: JSONValue?) -> Finding {
    guard let record, !record.isNull else {
      return finding(run, true, "ended by itself", nil)
    }
    return killed(run, record)
  }

  private func killed(_ run: RegisteredRun, _ record: JSONValue) -> Finding {
    guard record["terminated"]?.boolValue == true else {
      return finding(
        run, false, "still there: a process of it does not end (uninterruptible sleep)", record)
    }
    let count = record["processes"]?.integerValue.map { count in
      let more = record["processesComplete"]?.boolValue == true ? "" : "at least "
      return "\(more)\(count) process\(count == 1 ? "" : "es"), "
    }
    let time = record["microseconds"]?.integerValue.map { "\($0 / 1000).\($0 % 1000 / 100) ms" }
    let sagas = record["compensations"]?.arrayValue?.count ?? 0
    let undone = sagas == 0 ? "" : "; being undone: \(sagas) of its sagas (agt saga list)"
    return finding(
      run, true, "killed; nothing is left (\(count ?? "")\(time ?? ""))\(undone)", record)
  }

  private func direct(_ run: RegisteredRun, _ order: KillOrder) -> Finding {
    let hadSupervisor = run.isSupervised || run.hasSupervisor
    let (found, record, terminated) = DirectKill.end(run, order, store)
    if terminated, !hadSupervisor { run.remove() }
    if found == .killedBefore { return killed(run, .object(record)) }
    let how =
      hadSupervisor ? "although its supervisor does not answer" : "without its supervisor"
    var told =
      terminated
      ? finding(
        run, true,
        found == .alive
          ? "killed \(how); nothing is left" : "its supervisor was killed; nothing is left",
        .object(record))
      : killed(run, .object(record))
    told.isDirect = true
    return told
  }

  private func finding(
    _ run: RegisteredRun, _ terminated: Bool, _ sentence: String, _ record: JSONValue?
  ) -> Finding {
    Finding(
      run: run.id, name: run.status?.name, agent: run.status?.agent, terminated: terminated,
      sentence: sentence, record: record)
  }

  // MARK: pause and resume

  /// Stops every process of a run, and waits until each is stopped.
  /// - Parameter milliseconds: after which the run is killed unless it was resumed; nil never.
  /// - Returns: how many processes are stopped, and how many are not.
  public func pause(
    _ run: RegisteredRun, forMilliseconds milliseconds: UInt64?
  ) throws(RunError) -> (stopped: Int, moving: Int) {
    var request: JSONObject = ["method": "pause"]
    if let milliseconds { request["timeoutMilliseconds"] = JSONValue(milliseconds) }
    let answer = try run.ask(request, milliseconds: Int32(Self.answerMilliseconds))
    guard let ringInit = run.status?.initPid else { return (0, 0) }
    let deadline = Self.deadline(Self.pauseMilliseconds)
    while true {
      let processes = ProcessSnapshot().descendants(of: ringInit)
      // Traced and dying ones do not run either.
      let moving = processes.filter { !"TtZX".contains($0.state) }.count
      // A cgroup's freezer shows in no state, and the supervisor has waited for it.
      if answer["frozen"]?.boolValue == true { return (processes.count, 0) }
      if moving == 0 || Clock.monotonicNanoseconds() > deadline {
        return (processes.count - moving, moving)
      }
      usleep(Self.stepMicroseconds)
    }
  }

  public func resume(_ run: RegisteredRun) throws(RunError) {
    _ = try run.ask(["method": "resume"], milliseconds: Int32(Self.answerMilliseconds))
  }

  // MARK: afterwards

  /// The record of a run that the kill switch ended, by its id or the beginning of it.
  public func record(of text: String) -> JSONValue? {
    let runs = store.runs(beginning: text)
    return text.utf8.count >= 10 && runs.count == 1 ? store.read(runs[0]) : nil
  }

  // MARK: time

  private static func deadline(_ milliseconds: UInt64) -> UInt64 {
    Clock.monotonicNanoseconds() + milliseconds * 1_000_000
  }

  private static func milliseconds(until deadline: UInt64) -> Int32 {
    let now = Clock.monotonicNanoseconds()
    return now < deadline ? Int32((deadline - now) / 1_000_000) : 0
  }
}

extension RegisteredRun {
  /// Whether its directory has not been removed, nor kept for its log alone.
  var isThere: Bool {
    (try? Files.status(directory.raw).links).map { $0 > 0 } ?? false && readEnding() == nil
  }
}
