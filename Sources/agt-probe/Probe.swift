internal import Glibc

/// One forbidden act, or one act that must work.
struct Probe: Sendable {
  /// What is demanded of a ring.
  enum Demand: Equatable, Sendable {
    /// Refused in this ring and in every ring with a higher number.
    case refused(fromRing: Int)
    /// Works in these rings: a sandbox in which nothing works looks contained.
    case works(rings: ClosedRange<Int>)
  }

  /// Who must be able to do it on the bare host, so that a refusal inside proves something.
  enum Twin: Equatable, Sendable {
    /// Any user.
    case anyone
    /// Only root has the capability.
    case root
    /// Only a user other than root: root loses or gains nothing by it.
    case user
    /// Nobody on any kernel of today; the reason.
    case nobody(String)
  }

  /// Where the verdict comes from.
  enum Judge: String, Sendable {
    /// The kernel's answer to the probe.
    case kernel
    /// Only the host can see whether the act had its effect; the probe reports that it acted.
    case effect
  }

  /// `mount.umount2`; the part before the dot is the group.
  var name: String
  var demand: Demand
  /// Rows of the incident ledger in SECURITY.md.
  var rows: [Int]
  /// Names of the fixtures that the host has to prepare.
  var needs: [Fixture]
  var twin: Twin
  /// The kernel option without which no twin can succeed; nil when every kernel has the call.
  var feature: String?
  /// Ends, replaces or irrevocably changes the process that does it.
  var alone: Bool
  var judge: Judge
  /// What it does, and what an unusual choice of arguments is for.
  var summary: String
  var act: @Sendable (Fixtures) -> Outcome

  init(
    _ name: String, ring: Int, rows: [Int] = [], needs: [Fixture] = [], twin: Twin = .anyone,
    feature: String? = nil, alone: Bool = false, judge: Judge = .kernel, _ summary: String,
    act: @escaping @Sendable (Fixtures) -> Outcome
  ) {
    self.name = name
    self.demand = .refused(fromRing: ring)
    self.rows = rows
    self.needs = needs
    self.twin = twin
    self.feature = feature
    self.alone = alone
    self.judge = judge
    self.summary = summary
    self.act = act
  }

  /// A positive control.
  init(
    control name: String, rings: ClosedRange<Int> = 1...3, needs: [Fixture] = [],
    feature: String? = nil, alone: Bool = false, _ summary: String,
    act: @escaping @Sendable (Fixtures) -> Outcome
  ) {
    self.init(
      "control." + name, ring: 0, needs: needs, feature: feature, alone: alone, summary, act: act)
    demand = .works(rings: rings)
  }

  /// A system call that a filter must refuse.
  ///
  /// Every attempt is made; each is one form of the call. The first form is the act itself; further
  /// ones are chosen so that the kernel, when the call gets to it, answers something other than
  /// EPERM before it asks for a capability. Only so can an ordinary user tell the two layers apart.
  init(
    call name: String, ring: Int, rows: [Int] = [], twin: Twin = .anyone,
    feature: String? = nil, refusals: Set<Int32> = Outcome.filterRefusals, _ summary: String,
    attempts: @escaping @Sendable () -> [Int]
  ) {
    self.init(name, ring: ring, rows: rows, twin: twin, feature: feature, summary) { _ in
      Outcome.worst(attempts().map { Outcome.judged($0, refusals: refusals) })
    }
  }

  var group: String { String(name.prefix { $0 != "." }) }
}

/// What came of it.
struct Outcome: Sendable {
  enum Kind: String, Sendable {
    /// The act was done.
    case done
    /// The call got past every filter and failed for a reason that is not a refusal.
    case reached
    /// The kernel refused.
    case refused
    /// It could not be tried here.
    case unavailable
    /// It was not tried: a fixture is missing, or it needs a process of its own.
    case skipped

    /// The exit status of a run of one verb.
    var exitStatus: Int32 {
      switch self {
      case .done: 0
      case .reached: 1
      case .skipped: 2
      case .refused: 10
      case .unavailable: 11
      }
    }

    /// The more an outcome says about a hole, the higher.
    var weight: Int {
      switch self {
      case .done: 4
      case .reached: 3
      case .refused: 2
      case .unavailable: 1
      case .skipped: 0
      }
    }
  }

  var kind: Kind
  /// Positive; 0 when none belongs to the outcome.
  var errno: Int32
  var detail: String

  /// The answers of a seccomp filter.
  static let filterRefusals: Set<Int32> = [EPERM, ENOSYS]
  /// The answers for a file that is not there, or that rights, mounts or Landlock guard.
  static let fileRefusals: Set<Int32> = [
    EPERM, EACCES, ENOENT, ENOTDIR, EROFS, ELOOP, EXDEV, ENOSYS,
  ]
  /// The answers of a network that leads nowhere.
  static let networkRefusals: Set<Int32> = [
    EPERM, EACCES, ENOSYS, EAFNOSUPPORT, ENETUNREACH, ENETDOWN, EHOSTUNREACH, ECONNREFUSED,
    EADDRNOTAVAIL, ETIMEDOUT, ENOENT,
  ]
  /// The answers for a process that is not in sight.
  static let processRefusals: Set<Int32> = [EPERM, EACCES, ESRCH, ENOENT, ENOSYS]

  static func done(_ detail: String) -> Outcome {
    Outcome(kind: .done, errno: 0, detail: detail)
  }
  static func refused(_ detail: String, errno: Int32 = 0) -> Outcome {
    Outcome(kind: .refused, errno: errno, detail: detail)
  }
  static func unavailable(_ detail: String) -> Outcome {
    Outcome(kind: .unavailable, errno: 0, detail: detail)
  }

  /// A result of `call`: not negative is done, an errno among `refusals` is refused, another one
  /// proves that the call was let through.
  static func judged(
    _ result: Int, refusals: Set<Int32> = filterRefusals, _ detail: String = ""
  ) -> Outcome {
    if result >= 0 { return .done(detail) }
    let errno = Int32(-result)
    if refusals.contains(errno) { return .refused(detail, errno: errno) }
    return Outcome(kind: .reached, errno: errno, detail: detail)
  }

  /// The outcome that says most about a hole. A refusal's errno is that of the first.
  static func worst(_ outcomes: [Outcome]) -> Outcome {
    var worst = outcomes.first ?? .unavailable("nothing to try")
    for outcome in outcomes.dropFirst() where outcome.kind.weight > worst.kind.weight {
      worst = outcome
    }
    return worst
  }

  /// A fact about the own process that must not hold.
  static func state(_ holds: Bool, _ detail: String) -> Outcome {
    holds ? .done(detail) : .refused(detail)
  }
}
