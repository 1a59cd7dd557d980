internal import Glibc
internal import Kernel
internal import LaunchPlan

/// Ends a run that has used more CPU time, or written more to disks, than it may (`budget_exceeded`).
///
/// Its user lets an agent work unattended and wants neither a week of a processor nor a full disk. What can go wrong:
/// thousands of processes that come and go between two looks, and a look that costs more than what it bounds. So
/// those that are gone are counted by PID 1, which has reaped them; the next look comes when the run can have used
/// up the rest at the earliest; and looking takes at most a fiftieth of a processor. A run without such limits has
/// none of this.
final class BudgetWatch: RunService {
  private let limits: RunLimits
  private let cgroup: RunCgroup?
  /// On how many processors it can run at once.
  private let processors: UInt64
  private var timer: OwnedFD?
  private(set) var usage = RunUsage()

  /// Two samples are never closer, so that a run at its limit is no burden.
  static let intervalMinMilliseconds: UInt64 = 20
  static let intervalMaxMilliseconds: UInt64 = 1000
  /// Of pages that become dirty, on all processors of a fast machine: bytes in a millisecond.
  static let writtenPerMillisecond: UInt64 = 4 << 20

  /// nil when the run has no such limit.
  init?(_ limits: RunLimits, _ cgroup: RunCgroup?) {
    guard limits.cpuTimeMilliseconds != nil || limits.diskBytes != nil else { return nil }
    self.limits = limits
    self.cgroup = cgroup
    processors = UInt64(max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN))))
  }

  // MARK: RunService

  func start(in loop: RunLoop) {}

  func observe(_ moment: RunMoment, in loop: RunLoop) throws(SyscallError) {
    switch moment {
    case .executed:
      let made = try Timers.descriptor(afterMilliseconds: pause(costNanoseconds: 0))
      try loop.watch(made.raw, .input, for: self)
      timer = consume made
    case .account(let gone): look(gone, in: loop)
    default: break
    }
  }

  func handle(_ event: Poller.Event, in loop: RunLoop) throws(SyscallError) {
    _ = try? Descriptors.read(event.descriptor, upTo: 8)
    // A cgroup knows all about CPU time; for the rest, those that are gone come first (`RunUsage`).
    if limits.diskBytes == nil, let counted = cgroup?.cpuMicroseconds {
      usage.cpuMicroseconds = counted
      return judge(costNanoseconds: 0, in: loop)
    }
    if try !loop.tell(.account) { rest(in: loop) }
  }

  func finish() {}

  // MARK: looking

  private func look(_ gone: RunUsage, in loop: RunLoop) {
    guard let ringInit = loop.ringInit else { return }
    let began = Clock.monotonicNanoseconds()
    var seen = RunUsage(below: ringInit, gone: gone, countsWritten: limits.diskBytes != nil)
    if let counted = cgroup?.cpuMicroseconds { seen.cpuMicroseconds = counted }
    add(seen)
    judge(costNanoseconds: Clock.monotonicNanoseconds() - began, in: loop)
  }

  /// What was seen once was used, also when a look misses it.
  func add(_ seen: RunUsage) {
    usage.cpuMicroseconds = max(usage.cpuMicroseconds, seen.cpuMicroseconds)
    usage.writtenBytes = max(usage.writtenBytes, seen.writtenBytes)
  }

  private func judge(costNanoseconds: UInt64, in loop: RunLoop) {
    guard let budget = exceeded else {
      guard let number = timer.raw else { return }
      try? Timers.set(number, afterMilliseconds: pause(costNanoseconds: costNanoseconds))
      return
    }
    rest(in: loop)
    loop.kill(KillOrder(.budgetExceeded, by: "the limits", rule: limits.rule(of: budget, usage)))
  }

  private func rest(in loop: RunLoop) {
    if let number = timer.raw { try? loop.unwatch(number) }
    timer = nil
  }

  /// The limit that is used up; nil when none is.
  private var exceeded: RunLimits.Budget? { limits.exceeded(by: usage) }

  /// Until the rest can be used up at the earliest.
  func pause(costNanoseconds: UInt64) -> UInt64 {
    var milliseconds = Self.intervalMaxMilliseconds
    if let limit = limits.cpuTimeMilliseconds {
      let used = usage.cpuMicroseconds / 1000
      milliseconds = min(milliseconds, (limit > used ? limit - used : 0) / processors)
    }
    if let limit = limits.diskBytes {
      let rest = limit > usage.writtenBytes ? limit - usage.writtenBytes : 0
      milliseconds = min(milliseconds, rest / Self.writtenPerMillisecond)
    }
    return max(milliseconds, Self.intervalMinMilliseconds, costNanoseconds * 50 / 1_000_000)
  }
}
