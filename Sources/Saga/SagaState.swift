/// The state of a saga as a whole.
public enum SagaPhase: String, CaseIterable, Sendable {
  case running
  /// Starts nothing more; waits for what runs, then `halted`.
  case halting
  case compensating
  /// Rests: what a person finds out (`resolve`) decides how it goes on.
  case needsOperator = "needs-operator"
  case completed
  /// Everything that was done has been undone.
  case compensated
  /// Some of it could not be undone; rests until a person resolves each.
  case partiallyCompensated = "partially-compensated"
  case halted
  /// Undone because somebody cancelled it.
  case cancelled

  /// Whether nothing happens without a person.
  public var isResting: Bool {
    switch self {
    case .running, .halting, .compensating: false
    default: true
    }
  }

  /// Whether nothing can follow.
  public var isFinal: Bool {
    switch self {
    case .completed, .compensated, .cancelled: true
    default: false
    }
  }
}

/// What becomes of the files that wait for the end of the saga.
public enum SagaFilesState: String, CaseIterable, Sendable {
  /// They wait, or there are none yet.
  case waiting
  case committing, committed
  /// They could not be committed; a person decides.
  case refused
  case discarding, discarded
}

public enum SagaStepStatus: String, CaseIterable, Sendable {
  case pending, running, succeeded, failed, unknown, compensating, compensated
  case compensationFailed = "compensation-failed"
  case skipped
}

/// What is done for a step.
public enum SagaActionKind: String, CaseIterable, Sendable {
  case run, probe, compensate
}

/// How an attempt ended, as the kernel and agt-run tell it.
public enum SagaOutcome: Equatable, Sendable {
  /// Status 0, with the outputs that were asked for.
  case succeeded(outputs: [String: String])
  /// Status 0, but an output could not be taken.
  case outputMissing(String)
  /// Another status; the program itself says that it failed, or agt-run says why its changes were not
  /// committed.
  case exited(Int, message: String? = nil)
  case timedOut
  /// Ended by a signal of its own.
  case signaled(Int)
  /// Ended from outside: by us, or by the kill switch.
  case killed(String)
  /// Ended for a call that its ring forbids.
  case violation(String)
  /// The program did not start; nothing happened.
  case notStarted(String)
  /// What was to run is not what was registered; nothing happened.
  case refused(String)
  /// The runner died before it started anything; nothing happened.
  case neverBegun
  /// Nobody knows: the supervisor of the attempt is gone without a word.
  case lost(String)
}

/// Why a saga turned round.
public enum SagaCause: String, CaseIterable, Sendable {
  case failure, violation, deadline, cancel
}

public struct SagaStepState: Equatable, Sendable {
  public internal(set) var status = SagaStepStatus.pending
  /// What runs for it now.
  public internal(set) var action: SagaActionKind?
  /// Of the action that runs or ran last, from 1 on; each kind counts for itself.
  public internal(set) var attempt: [SagaActionKind: Int] = [:]
  /// Attempts that count against the limit since the step was last reset by a person.
  var counted: [SagaActionKind: Int] = [:]
  /// The boot in which the last attempt was about to start: what left no trace in the same boot never did.
  public internal(set) var boot = ""
  /// When the last attempt was about to start, in milliseconds since 1970.
  public internal(set) var startedAt: UInt64 = 0
  /// Not before this time, in milliseconds since 1970.
  public internal(set) var notBefore: UInt64?
  public internal(set) var outputs: [String: String] = [:]
  /// The last reason, for people.
  public internal(set) var reason = ""
  /// Whether the step has happened: nil is not known.
  public internal(set) var happened: Bool? = false
  /// Whether an attempt may have changed something.
  public internal(set) var isTouched = false
  /// Failed or unknown, and no more is tried for the step itself.
  var isSettled = false
  var isViolation = false
  /// Whether the outcome of some attempt is not known: later attempts that fail do not answer it.
  var isUnclear = false
  /// Whether the way in which it failed allows another attempt.
  var mayRetry = false
  /// Whether what was to undo it is another program by now.
  var isRefused = false
  /// Not to be tried again without a person.
  public internal(set) var isStuck = false
  public internal(set) var approval: SagaApprovalState?
}

public struct SagaApprovalState: Equatable, Sendable {
  /// The time at which the request lapses, in milliseconds since 1970.
  public internal(set) var expiresAt: UInt64
  /// Users who agreed, each once.
  public internal(set) var approvers: Set<UInt32> = []
  public internal(set) var deniedBy: UInt32?
}

/// One thing to do outside.
public struct SagaAction: Equatable, Sendable {
  public let step: Int
  public let kind: SagaActionKind
  public let attempt: Int
  public let arguments: [String]
  public let environment: [String: String]
  public let command: SagaCommand
  /// The same for every attempt.
  public let key: String
  /// What to take when it succeeds.
  public let outputs: [SagaOutput]

  public init(
    step: Int, kind: SagaActionKind, attempt: Int, arguments: [String],
    environment: [String: String], command: SagaCommand, key: String, outputs: [SagaOutput]
  ) {
    self.step = step
    self.kind = kind
    self.attempt = attempt
    self.arguments = arguments
    self.environment = environment
    self.command = command
    self.key = key
    self.outputs = outputs
  }
}

public enum SagaEvent: Equatable, Sendable {
  /// The time passed.
  case tick
  /// A runner takes over; the first event that it gives.
  case runner(boot: String, pid: Int32)
  case ended(step: Int, SagaActionKind, attempt: Int, SagaOutcome)
  /// - Parameter uid: who asked for it.
  case cancel(uid: UInt32, reason: String)
  /// How the commit ended that was asked for, or the discard: `committed`, `refused` or `discarded`.
  case files(SagaFilesState, reason: String)
  /// Somebody has looked at the files that were refused.
  case commitAgain
  case approve(step: Int, uid: UInt32)
  case deny(step: Int, uid: UInt32, reason: String)
  /// What a person found out.
  case resolve(
    step: Int, happened: Bool, evidence: String, uid: UInt32, outputs: [String: String])
}

/// In the order in which they are to be performed.
public enum SagaEffect: Equatable, Sendable {
  /// To be durable before anything after it is performed.
  case append(SagaRecord)
  case start(SagaAction)
  /// End the attempt, whole tree; its end is reported as any other.
  case stop(step: Int, SagaActionKind, attempt: Int)
  /// Commit the files that wait, or discard them; each can be done again.
  case commitFiles
  case discardFiles
  /// Call again at that time at the latest.
  case wake(at: UInt64)
}
