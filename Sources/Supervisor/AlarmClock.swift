internal import Kernel

/// The one timer of a service: set to the earliest moment that anything in it waits for. Without one, nothing
/// wakes up.
final class AlarmClock {
  private let timer: OwnedFD
  private var armedMilliseconds = UInt64.max

  init() throws(SyscallError) {
    timer = try Timers.descriptor(afterMilliseconds: UInt64(Int32.max))
  }

  /// Since boot, suspend included.
  static var nowMilliseconds: UInt64 { Clock.monotonicNanoseconds() / 1_000_000 }

  /// For the loop.
  var descriptor: Int32 { timer.raw }

  /// Rings at this moment, unless it rings sooner.
  func arm(_ milliseconds: UInt64) throws(SyscallError) {
    guard milliseconds < armedMilliseconds else { return }
    armedMilliseconds = milliseconds
    let now = Self.nowMilliseconds
    try Timers.set(timer.raw, afterMilliseconds: milliseconds > now ? milliseconds - now : 0)
  }

  /// It has rung: whoever still waits arms it again.
  func silence() {
    armedMilliseconds = .max
    _ = try? Descriptors.read(timer.raw, upTo: 8)
  }
}
