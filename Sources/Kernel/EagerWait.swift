internal import Glibc

/// Looking again at once for what is expected soon, instead of going to sleep and being woken: on a virtual machine that
/// costs both sides more than what is waited for, each time.
///
/// The others are let in before each look (sched_yield(2)). Whoever looks in vain does it less and less often, so that it
/// costs next to nothing where the other side is slow. Whoever gives way is not woken in between: when that took longer than a
/// millisecond, another process is busy, and nobody looks for a while.
public struct EagerWait {
  /// An agent in Python asks again some 45 µs after it was answered.
  static let nanoseconds: UInt64 = 100_000
  static let skippedMax = 64
  /// Another process is busy.
  static let busyNanoseconds: UInt64 = 1_000_000
  static let quietNanoseconds: UInt64 = 100_000_000

  /// Turns left in which nobody looks.
  var skips = 0
  private var nextSkips = 1
  /// Until then nobody looks.
  var quietUntil: UInt64 = 0

  public init() {}

  /// - Returns: empty when nothing has come, or when this was not the time to look.
  public mutating func look(at poller: borrowing Poller) throws(SyscallError) -> [Poller.Event] {
    if skips > 0 {
      skips -= 1
      return []
    }
    let began = Clock.monotonicNanoseconds()
    if began < quietUntil { return [] }
    var last = began
    repeat {
      let ready = try poller.wait(milliseconds: 0)
      if !ready.isEmpty {
        nextSkips = 1
        return ready
      }
      sched_yield()
      let now = Clock.monotonicNanoseconds()
      if now - last > Self.busyNanoseconds {
        quietUntil = now + Self.quietNanoseconds
        return []
      }
      last = now
    } while last - began < Self.nanoseconds
    skips = nextSkips
    nextSkips = min(2 * nextSkips, Self.skippedMax)
    return []
  }
}
