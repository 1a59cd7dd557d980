/// A saga as its author wrote it: steps, what they need, and what undoes each.
///
/// Reading checks syntax and types (`SagaPlanReader`); what the parts mean together is checked by
/// `SagaLint`, which gives the `SagaGraph` that the machine runs.
public struct SagaPlan: Equatable, Sendable {
  /// What happens when a step fails for good or breaks its ring.
  public enum Reaction: String, CaseIterable, Sendable {
    /// Undo, in reverse topological order, what has been done.
    case compensate
    /// Start nothing more and leave everything as it is.
    case halt
  }

  public var name: String

  public init(name: String) { self.name = name }

  public var parameters: [SagaParameter] = []
  /// Counted from the beginning of the saga, across restarts; nil for none.
  public var deadlineMilliseconds: UInt64?
  public var onFailure: Reaction = .compensate
  public var onViolation: Reaction = .compensate
  /// How many actions may run at the same time.
  public var parallelism = SagaLimits.parallelismDefault
  public var steps: [SagaStep] = []

  /// Whether files of some steps wait for the end of the saga.
  public var commitsFiles: Bool { steps.contains(where: \.command.commitsWithSaga) }
  public var fanOuts: [SagaFanOut] = []
}

/// Where something is written in the plan, 1-based.
public struct SagaPlace: Equatable, Sendable {
  public let line: Int
  public let column: Int

  public init(line: Int, column: Int) {
    self.line = line
    self.column = column
  }
}

/// A name with the place where it is used.
public struct SagaName: Equatable, Sendable {
  public let text: String
  public let place: SagaPlace

  public init(_ text: String, _ place: SagaPlace) {
    self.text = text
    self.place = place
  }
}

public struct SagaParameter: Equatable, Sendable {
  public enum Kind: String, CaseIterable, Sendable { case string, integer, boolean }

  public var name: SagaName
  public var kind: Kind
  /// Allowed values; nil allows every one of the kind.
  public var choices: [String]?
  public var fallback: String?
}

public struct SagaStep: Equatable, Sendable {
  public enum Kind: String, CaseIterable, Sendable {
    /// Changes nothing, so there is nothing to undo.
    case readonly
    /// Can be undone by its compensation.
    case compensatable
    /// The point of no return: before it everything can be undone, after it everything is carried through.
    case pivot
    /// Comes after the pivot and is repeated, with the same key, until it succeeds.
    case retriable
  }

  public var id: SagaName
  public var kind: Kind
  public var needs: [SagaName]
  public var command: SagaCommand
  public var retry: SagaRetry
  public var outputs: [SagaOutput]
  public var idempotency: SagaIdempotency?
  public var approval: SagaApproval?
  public var compensation: SagaCompensation?

  /// An attempt whose end is not known has done nothing that would stay: it changes nothing, or only files in a
  /// transaction of the saga.
  public var leavesNothing: Bool {
    kind == .readonly || kind == .compensatable && compensation == nil
  }
  /// Why the step cannot be undone.
  public var irreversible: String?
  /// Why an irreversible step needs nobody's approval.
  public var approvalWaived: String?

  public init(
    id: SagaName, kind: Kind, needs: [SagaName], command: SagaCommand, retry: SagaRetry,
    outputs: [SagaOutput], idempotency: SagaIdempotency?, approval: SagaApproval?,
    compensation: SagaCompensation?, irreversible: String?, approvalWaived: String?
  ) {
    self.id = id
    self.kind = kind
    self.needs = needs
    self.command = command
    self.retry = retry
    self.outputs = outputs
    self.idempotency = idempotency
    self.approval = approval
    self.compensation = compensation
    self.irreversible = irreversible
    self.approvalWaived = approvalWaived
  }
}

/// One program in its ring. There is no shell: each element of `arguments` becomes one argument.
public struct SagaCommand: Equatable, Sendable {
  public enum Workspace: String, CaseIterable, Sendable {
    case readOnly = "ro"
    case readWrite = "rw"
    /// The changes reach the disk only when the attempt ends with status 0, all of them or none.
    case transaction
  }

  /// When the changes of a transaction reach the disk.
  public enum Commit: String, CaseIterable, Sendable { case step, saga }

  public var arguments: [SagaTemplate]
  /// 0 to 3; nil when a profile decides.
  public var ring: Int?
  /// A ring profile file instead of a ring.
  public var profile: String?
  /// nil when the plan gives none, which lint refuses.
  public var timeoutMilliseconds: UInt64?
  /// From the polite signal to the kill.
  public var graceMilliseconds: UInt64
  /// How the workspace is shown; nil leaves it to the ring.
  public var workspace: Workspace?
  /// With a transaction: whether its changes wait for the end of the saga, in one transaction with those of others.
  public var commitsWithSaga = false
  public var reads: [String]
  public var writes: [String]
  /// Hosts that may be reached in ring 2, as `--net` takes them.
  public var network: [SagaName]
  public var environment: [SagaVariable]
  public var memoryBytes: UInt64?
  public var processes: UInt64?
  public var place: SagaPlace
  /// Set when it is a tool of a run's broker: then nothing above but the ring and the timeout counts.
  public var tool: SagaTool?

  public init(
    arguments: [SagaTemplate], ring: Int?, profile: String?, timeoutMilliseconds: UInt64?,
    graceMilliseconds: UInt64, workspace: Workspace?, reads: [String], writes: [String],
    network: [SagaName], environment: [SagaVariable], memoryBytes: UInt64?, processes: UInt64?,
    place: SagaPlace
  ) {
    self.arguments = arguments
    self.ring = ring
    self.profile = profile
    self.timeoutMilliseconds = timeoutMilliseconds
    self.graceMilliseconds = graceMilliseconds
    self.workspace = workspace
    self.reads = reads
    self.writes = writes
    self.network = network
    self.environment = environment
    self.memoryBytes = memoryBytes
    self.processes = processes
    self.place = place
  }
}

public struct SagaVariable: Equatable, Sendable {
  public var name: String
  public var value: SagaTemplate
}

/// When and how often an attempt is repeated.
public struct SagaRetry: Equatable, Sendable {
  /// Attempts in all, the first one included.
  public var attemptsMax: Int
  public var initialMilliseconds: UInt64
  public var factor: Double
  public var delayMaxMilliseconds: UInt64
  /// The part of the delay that is random: 0.2 makes 0.8 to 1.2 of it.
  public var jitter: Double
  /// Exit statuses that are worth another attempt; nil for every one but 0.
  public var statuses: Set<Int>?
  public var onTimeout: Bool

  public static let never = SagaRetry(
    attemptsMax: 1, initialMilliseconds: 1000, factor: 2, delayMaxMilliseconds: 30_000, jitter: 0.2,
    statuses: nil, onTimeout: true)

  /// For steps with a key, which may be repeated without harm.
  public static let idempotent = never.with(attemptsMax: 3)

  /// For compensations, which must tolerate repetition.
  public static let compensation = never.with(attemptsMax: 5)

  func with(attemptsMax: Int) -> SagaRetry {
    var changed = self
    changed.attemptsMax = attemptsMax
    return changed
  }

  /// The delay before the attempt after `attempt`.
  /// - Parameter fraction: random, 0 up to 1.
  func delayMilliseconds(after attempt: Int, fraction: Double) -> UInt64 {
    var delay = Double(initialMilliseconds)
    for _ in 1..<max(attempt, 1) where delay < Double(delayMaxMilliseconds) { delay *= factor }
    delay = min(delay, Double(delayMaxMilliseconds))
    return UInt64(max(0, delay * (1 + jitter * (2 * fraction - 1))))
  }
}

public struct SagaOutput: Equatable, Sendable {
  public enum Source: Equatable, Sendable {
    /// A file below the workspace.
    case file(String)
    /// What the program writes to its standard output.
    case standardOutput
  }

  public var name: SagaName
  public var source: Source
  public var sizeMaxBytes: Int
}

public struct SagaIdempotency: Equatable, Sendable {
  public var key: SagaTemplate
  /// Tells whether the step has happened: status 0 it has, 1 it has not.
  public var probe: SagaCommand?

  public init(
    key: SagaTemplate, probe: SagaCommand?
  ) {
    self.key = key
    self.probe = probe
  }
}

/// People who must agree before the step starts.
public struct SagaApproval: Equatable, Sendable {
  /// A group of the machine (getent group); its members may approve.
  public var group: String
  /// How many different users.
  public var quorum: Int
  public var expiresMilliseconds: UInt64
  /// Whether the user who runs the saga counts.
  public var countsRequester: Bool

  public init(
    group: String, quorum: Int, expiresMilliseconds: UInt64, countsRequester: Bool
  ) {
    self.group = group
    self.quorum = quorum
    self.expiresMilliseconds = expiresMilliseconds
    self.countsRequester = countsRequester
  }
}

public struct SagaCompensation: Equatable, Sendable {
  public enum Condition: String, CaseIterable, Sendable {
    /// As soon as an attempt has started: the compensation tolerates that nothing happened.
    case started
    /// Only when the step is known to have happened.
    case succeeded
  }

  public var command: SagaCommand
  public var condition: Condition
  public var retry: SagaRetry
  /// Why it may have more rights than its step.
  public var elevates: String?

  public init(
    command: SagaCommand, condition: Condition, retry: SagaRetry, elevates: String?
  ) {
    self.command = command
    self.condition = condition
    self.retry = retry
    self.elevates = elevates
  }
}

/// Parallel steps that succeed together.
public struct SagaFanOut: Equatable, Sendable {
  public enum Policy: String, CaseIterable, Sendable {
    case all, majority, any

    /// How many of `count` members must succeed.
    public func quorum(of count: Int) -> Int {
      switch self {
      case .all: count
      case .majority: count / 2 + 1
      case .any: 1
      }
    }
  }

  public var steps: [SagaName]
  public var policy: Policy
  public var place: SagaPlace

  public init(
    steps: [SagaName], policy: Policy, place: SagaPlace
  ) {
    self.steps = steps
    self.policy = policy
    self.place = place
  }
}

/// Bounds on plans. They come from people, but also from agents, so each has one.
public enum SagaLimits {
  /// Ten times the largest plan that the benchmark takes for large.
  public static let stepsMax = 10_000
  public static let argumentsMax = 1024
  /// Longest text of one argument after substitution (MAX_ARG_STRLEN of execve(2) is 128 KiB).
  public static let argumentMaxBytes = 65_536
  /// Arguments and environment of one attempt: half of what Linux usually passes (execve(2): a quarter of a
  /// stack of 8 MiB), so that the caller's environment and the options of agt-run have room.
  public static let actionMaxBytes = 1 << 20
  /// Names become parts of file names and of shell words.
  public static let nameMaxBytes = 64
  public static let parallelismDefault = 4
  /// Each action is a supervisor, a launcher and a ring.
  public static let parallelismMax = 64
  public static let attemptsMax = 1000
  /// Outputs are kept in the journal.
  public static let outputMaxBytes = 65_536
  public static let outputDefaultBytes = 4096
  public static let quorumMax = 16
  /// agt-run ends a program that long after the polite signal.
  public static let graceDefaultMilliseconds: UInt64 = 5000
  /// A probe that cannot tell is asked this often before other means are tried.
  static let probesMax = 3
  /// One year: what is longer is a misspelling.
  public static let durationMaxMilliseconds: UInt64 = 366 * 86_400_000
}

extension SagaName {
  public static func isValid(_ text: String) -> Bool {
    guard let first = text.utf8.first, first | 32 >= 97, first | 32 <= 122,
      text.utf8.count <= SagaLimits.nameMaxBytes
    else { return false }
    return text.utf8.allSatisfy {
      ($0 | 32 >= 97 && $0 | 32 <= 122) || (48...57).contains($0) || $0 == UInt8(ascii: "-")
        || $0 == UInt8(ascii: "_")
    }
  }
}

extension SagaParameter {
  /// Why a value is refused; nil when it fits.
  public func problem(with text: String) -> SagaProblem? {
    let fits =
      switch kind {
      case .string: !text.utf8.contains(0) && text.utf8.count <= SagaLimits.argumentMaxBytes
      case .integer: Int64(text).map { String($0) == text } ?? false
      case .boolean: text == "true" || text == "false"
      }
    if !fits {
      return SagaProblem("\(SagaText.quote(text)) is not of the type \(kind.rawValue)")
    }
    if let choices, !choices.contains(text) {
      return SagaProblem(
        "\(SagaText.quote(text)) is not allowed for \(name.text); write one of "
          + choices.map(SagaText.quote).joined(separator: ", "))
    }
    return nil
  }
}
