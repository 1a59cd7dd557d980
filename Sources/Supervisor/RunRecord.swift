internal import Glibc
internal import JSON
internal import Kernel
internal import LaunchPlan
internal import Policy
internal import Rings
internal import Transactions

/// How a run ended, for the exit status, the person and --result-json.
struct RunRecord {
  let id: String
  let ring: UInt8
  private(set) var status: UInt8
  /// `exited`, `signaled`, `not_started`, `killed` or `lost`.
  let state: String
  let reason: String?
  private(set) var complaint: String?
  private(set) var hint: String?
  private(set) var transaction: TransactionOutcome?
  let violations: ViolationRecorder
  /// Nil when the run had no network of its own.
  let network: NetworkCounters?
  /// Of the kill switch (`KillRecord`); nil when the run ended by itself.
  let kill: JSONObject?
  /// What it met of its limits; nil when resource limits alone hold it to them.
  let limits: JSONValue?
  /// Nil when the run had no broker.
  let broker: BrokerCounters?
  /// Of the policies that judged it; nil without any.
  let policyDigest: String?
  /// Those that its agent drove.
  var sagas: [JSONValue] = []
  let losses: [Loss]
  let executed: Bool
  let beganNanoseconds: UInt64
  let endedNanoseconds: UInt64

  init(
    _ run: borrowing PreparedRun, outcome: RunOutcome, violations: ViolationRecorder,
    trigger: ViolationTrigger? = nil, network: NetworkCounters? = nil,
    broker: BrokerCounters? = nil, kill: JSONObject? = nil,
    limits: LimitReport? = nil, beganNanoseconds: UInt64
  ) {
    id = run.id
    self.limits = limits?.json(run.limits)
    let exceeded = limits?.sentence(run.limits)
    let budget = limits?.budgetSentence(run.limits)
    if case .killed = outcome.end { self.kill = kill } else { self.kill = nil }
    ring = run.profile.ring
    losses = run.losses
    policyDigest = run.policies?.digest
    executed = outcome.executed
    self.violations = violations
    self.network = network
    self.broker = broker
    self.beganNanoseconds = beganNanoseconds
    endedNanoseconds = Clock.wallNanoseconds()
    let name = "ring \(run.profile.ring)"
    switch outcome.end {
    case .exited(let code):
      (status, state, reason, complaint, hint) = (code, "exited", nil, nil, nil)
    case .signaled(let number):
      let isMemory = number == SIGKILL && exceeded != nil
      // The kernel's own limit of one process's CPU time (setrlimit(2)).
      let isBudget = number == SIGKILL && budget != nil || number == SIGXCPU
      (status, state) = (UInt8(128 + min(number, 64)), "signaled")
      reason =
        isMemory
        ? "memory_limit" : isBudget ? KillReason.budgetExceeded.rawValue : "signal \(number)"
      if isBudget, !isMemory {
        status = ExitStatus.timeout.rawValue
        let limit = run.limits.cpuTimeMilliseconds.map { " of \(Amounts.duration($0))" } ?? ""
        complaint = "\(name): \(budget ?? "CPU time limit\(limit) of one process exceeded")"
        hint = Self.budgetHint(run.limits, limits)
      } else if number == SIGKILL, let exceeded {
        (complaint, hint) = ("\(name): \(exceeded)", "--memory gives more")
      } else {
        (complaint, hint) = (Self.complaint(ofSignal: number, run, name), nil)
      }
    case .notStarted(let failure):
      let missing = failure.step == "execute" && failure.errno == ENOENT
      // PID 1 can also fail at its work, when the program runs or is about to: that ends the ring, but
      // something may have run.
      let mayHaveRun = outcome.executed || failure.step == "supervision"
      let kind: ExitStatus = mayHaveRun ? .internalFailure : missing ? .notFound : .notConfined
      status = kind.rawValue
      (state, reason) = (mayHaveRun ? "lost" : "not_started", failure.step)
      let object =
        failure.object.isEmpty || failure.call.isEmpty
        ? failure.object : "(\"\(failure.object)\")"
      let why =
        failure.errno == 0 ? "" : ": \(Errno.message(failure.errno)) (\(Errno.name(failure.errno)))"
      complaint = "\(name): \(failure.step): \(failure.call)\(object)\(why)"
      hint = Hints.hint(for: failure)
    case .killed(let why):
      status = (why.isOutOfTime ? ExitStatus.timeout : .killed).rawValue
      (state, reason) = ("killed", why.rawValue)
      complaint =
        why == .budgetExceeded
        ? "killed: \(budget ?? why.sentence)"
        : Self.describe(why, run, violations, trigger, kill)
      hint =
        why == .sessionTimeout
        ? "--timeout gives more time"
        : why == .budgetExceeded ? Self.budgetHint(run.limits, limits) : nil
    case .lost:
      (status, state, reason) = (ExitStatus.internalFailure.rawValue, "lost", "supervision")
      complaint =
        exceeded.map { "\(name): \($0); everything inside is gone with it" }
        ?? "\(name): PID 1 of the ring vanished; everything inside is gone with it"
      hint =
        exceeded == nil ? "look for the out-of-memory killer: dmesg | tail" : "--memory gives more"
    }
  }

  private static func budgetHint(_ limits: RunLimits, _ report: LimitReport?) -> String? {
    report?.usage.flatMap { limits.exceeded(by: $0) }.map { "\($0.option) gives more" }
  }

  /// Signals by which the kernel enforces a limit (signal(7)).
  private static func complaint(
    ofSignal number: Int32, _ run: borrowing PreparedRun, _ name: String
  ) -> String? {
    switch number {
    case SIGSYS: return "\(name): the kernel ended the program for a call of a foreign ABI (SIGSYS)"
    case SIGXFSZ:
      let limit = run.profile.limits.fileSizeBytes.map { " of \(Amounts.size($0))" } ?? ""
      return "\(name): file size limit\(limit) exceeded (SIGXFSZ)"
    default: return nil
    }
  }

  /// Changes that were to be committed and were not make a success a failure.
  mutating func add(_ outcome: TransactionOutcome) {
    transaction = outcome
    guard outcome.isRefusal, status == 0 else { return }
    status = ExitStatus.internalFailure.rawValue
    complaint = outcome.error?.message
    hint = outcome.error?.hint
  }

  private static func describe(
    _ why: KillReason, _ run: borrowing PreparedRun, _ violations: ViolationRecorder,
    _ trigger: ViolationTrigger?, _ kill: JSONObject?
  ) -> String {
    switch why {
    case .manual:
      if let by = kill?["by"]?.stringValue, by != "a signal" {
        "killed by \(by)" + (kill?["message"]?.stringValue.map { ": \($0)" } ?? "")
      } else {
        "killed: asked to end by a signal"
      }
    case .policyViolation:
      "killed: "
        + (violations.total > 0
          ? "forbidden call \(violations.summary)" : "requests that the policy denied")
        + (trigger.map { " (\($0.place))" } ?? "")
    case .sessionTimeout:
      "killed: wall clock of \(Amounts.duration(run.profile.limits.wallMilliseconds ?? 0)) ran out"
    default:
      "killed: \(why.sentence)" + (kill?["message"]?.stringValue.map { ": \($0)" } ?? "")
    }
  }

  /// What those who watched the run are told.
  var ending: JSONObject {
    [
      "ok": true, "event": "ended", "run": .string(id), "state": .string(state),
      "status": JSONValue(status), "reason": JSONValue(reason), "message": JSONValue(complaint),
      "kill": kill.map { .object($0) } ?? .null, "transaction": transaction?.json ?? .null,
    ]
  }

  /// What the audit log says of the end.
  var outcome: JSONObject {
    [
      "state": .string(state), "reason": JSONValue(reason), "executed": .bool(executed),
      "violationCount": JSONValue(violations.total),
    ]
  }

  /// A wall clock can be set back while the run lasts.
  private var wallMilliseconds: UInt64 {
    endedNanoseconds > beganNanoseconds ? (endedNanoseconds - beganNanoseconds) / 1_000_000 : 0
  }

  var json: JSONValue {
    var object: JSONObject = [
      "run": .string(id), "ring": JSONValue(ring), "state": .string(state),
      "status": JSONValue(status), "reason": JSONValue(reason), "message": JSONValue(complaint),
      "executed": .bool(executed),
      "transaction": transaction?.json ?? .null,
      "enforced": losses.isEmpty ? "full" : "partial",
      "notEnforced": .array(
        losses.map { .object(["name": .string($0.name), "loss": .string($0.explanation)]) }),
      "started": .string(Amounts.timestamp(beganNanoseconds)),
      "ended": .string(Amounts.timestamp(endedNanoseconds)),
      "wallMilliseconds": JSONValue(wallMilliseconds),
      "violationCount": JSONValue(violations.total),
      "violations": .array(violations.kinds.map(\.json)),
    ]
    if let limits { object["limits"] = limits }
    if let kill { object["kill"] = .object(kill) }
    if let broker { object["broker"] = broker.json }
    if !sagas.isEmpty { object["sagas"] = .array(sagas) }
    if let policyDigest { object["policy"] = .string(policyDigest) }
    if let network { object["network"] = network.json }
    return .object(object)
  }
}
