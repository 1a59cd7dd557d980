/// From the decision to end a run to the confirmed end: freeze, evidence, kill, confirm, record.
///
/// Its user says `agt kill build-7`, or a trigger does, and is told that nothing is left: a fact, not a hope.
/// What can go wrong: the ring cannot be frozen (it is still being launched, or has no process namespace),
/// the first SIGKILL meets a PID 1 that nobody knows yet, a process sleeps uninterruptibly. Then the
/// machine goes on without, kills again, or says that it is stuck. It must never say `confirmed` before
/// the kernel did, wait for the ring's cooperation, or let a second decision overwrite the first one's reason.
///
/// Pure: the loop performs the effects and tells what came of them.
struct KillMachine: Equatable {
  enum Event: Equatable {
    case ordered(KillOrder)
    /// Every process of the ring is stopped.
    case frozen
    /// Nothing can stop them; their end does not depend on it.
    case notFrozen
    case gathered
    /// The time of `Effect.wait` is over.
    case timeOver
    /// The kernel says that no process of the ring is left.
    case empty
  }

  enum Effect: Equatable {
    case freeze
    case gatherEvidence
    /// SIGKILL to all of the ring.
    case kill
    /// Asks for `Event.timeOver`; a later one replaces it.
    case wait(milliseconds: UInt64)
    /// Tells whoever waits that a process cannot be ended.
    case reportStuck
  }

  enum Phase: Equatable { case idle, freezing, gathering, killing, confirmed }

  /// Nanoseconds since boot; nil for what has not happened.
  struct Times: Equatable {
    var decided: UInt64 = 0
    var frozen: UInt64?
    var gathered: UInt64?
    var signaled: UInt64?
    var confirmed: UInt64?
  }

  /// PID 1 stops a ring within 0.1 ms. Among hundreds of runnable processes it waits longer for its turn, and
  /// stopping them gives the machine back; evidence of moving processes is still better than none.
  static let freezeMilliseconds: UInt64 = 20
  /// Between two kills. The first is enough unless PID 1 was just being made.
  static let repeatMilliseconds: UInt64 = 200
  /// The kernel ends thousands of processes within this, unless one waits for a device.
  static let stuckMilliseconds: UInt64 = 5000

  private(set) var phase: Phase = .idle
  private(set) var order: KillOrder?
  private(set) var times = Times()
  private(set) var isStuck = false

  mutating func handle(_ event: Event, atNanoseconds now: UInt64) -> [Effect] {
    switch (phase, event) {
    case (.idle, .ordered(let order)):
      self.order = order
      times.decided = now
      phase = .freezing
      return [.freeze, .wait(milliseconds: Self.freezeMilliseconds)]
    case (.freezing, .frozen):
      times.frozen = now
      return gather()
    case (.freezing, .notFrozen), (.freezing, .timeOver): return gather()
    case (.gathering, .gathered):
      times.gathered = now
      times.signaled = now
      phase = .killing
      // The ring begins to end while the clock for the next time is set.
      return [.kill, .wait(milliseconds: Self.repeatMilliseconds)]
    case (.killing, .timeOver): return killAgain(now)
    case (.idle, .empty), (.confirmed, _): return []
    case (_, .empty):
      times.confirmed = now
      phase = .confirmed
      return []
    // A second decision, or an answer that came late.
    default: return []
    }
  }

  private mutating func gather() -> [Effect] {
    phase = .gathering
    return [.gatherEvidence]
  }

  private mutating func killAgain(_ now: UInt64) -> [Effect] {
    var effects: [Effect] = [.wait(milliseconds: Self.repeatMilliseconds), .kill]
    if !isStuck, now - times.decided >= Self.stuckMilliseconds * 1_000_000 {
      isStuck = true
      effects.append(.reportStuck)
    }
    return effects
  }
}
