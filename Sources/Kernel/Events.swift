internal import CLinux
internal import Glibc

/// epoll(7): which descriptors are ready.
///
/// The number of a closed descriptor is given to the next one that is opened, also while an event of the old one
/// waits to be handled, and a file that somebody else holds open goes on reporting under the old number. So each
/// addition has a generation of its own, which the kernel returns with the event: whoever asks `isCurrent` before
/// handling one never takes it for another file's.
public struct Poller: ~Copyable {
  public struct Interest: OptionSet, Sendable {
    public let rawValue: UInt32
    public init(rawValue: UInt32) { self.rawValue = rawValue }
    public static let input = Interest(rawValue: 1)
    public static let output = Interest(rawValue: 4)
  }

  public struct Event: Equatable, Sendable {
    public let descriptor: Int32
    /// The kernel's bits; an error or a hang-up counts as readable, so that a read tells which.
    public let readable: Bool
    public let writable: Bool
    /// The other side is gone and nothing waits to be read.
    public let isOver: Bool
    /// Of the addition that asked for it.
    let generation: UInt32
  }

  let descriptor: OwnedFD
  /// By descriptor number, of those that are watched; 0 for all others.
  private var generations: [UInt32] = []
  private var newest: UInt32 = 0

  public init() throws(SyscallError) {
    descriptor = OwnedFD(try check(epoll_create1(Int32(EPOLL_CLOEXEC)), "epoll_create1"))
  }

  public mutating func add(_ number: Int32, _ interest: Interest) throws(SyscallError) {
    // 0 says that nothing is watched.
    newest = newest == .max ? 1 : newest + 1
    try control(EPOLL_CTL_ADD, number, interest, newest)
    let missing = Int(number) + 1 - generations.count
    if missing > 0 { generations += [UInt32](repeating: 0, count: missing) }
    generations[Int(number)] = newest
  }

  public func change(_ number: Int32, _ interest: Interest) throws(SyscallError) {
    try control(EPOLL_CTL_MOD, number, interest, generation(of: number))
  }

  /// What of it still waits to be handled is not current any more.
  public mutating func remove(_ number: Int32) throws(SyscallError) {
    if generations.indices.contains(Int(number)) { generations[Int(number)] = 0 }
    try control(EPOLL_CTL_DEL, number, [], 0)
  }

  /// Whether the event is of what has its descriptor's number now.
  public func isCurrent(_ event: Event) -> Bool {
    event.generation == generation(of: event.descriptor) && event.generation != 0
  }

  private func generation(of number: Int32) -> UInt32 {
    generations.indices.contains(Int(number)) ? generations[Int(number)] : 0
  }

  private func control(
    _ operation: Int32, _ number: Int32, _ interest: Interest, _ generation: UInt32
  ) throws(SyscallError) {
    var event = unsafe epoll_event()
    unsafe event.events = interest.rawValue
    unsafe event.data.u64 = UInt64(generation) << 32 | UInt64(UInt32(bitPattern: number))
    // SAFETY: the structure is ours.
    _ = try check(
      unsafe epoll_ctl(descriptor.raw, operation, number, &event), "epoll_ctl", "\(number)")
  }

  /// Waits until something is ready, at most 32 events at a time. Handling one can make the others outdated
  /// (`isCurrent`).
  /// - Parameter milliseconds: -1 waits for ever.
  public func wait(milliseconds: Int32) throws(SyscallError) -> [Event] {
    var ready: [Event] = []
    var count: Int32 = 0
    // On the stack, as a busy loop asks often. SAFETY: the kernel fills `count` elements, 32 at most; others are not read.
    unsafe withUnsafeTemporaryAllocation(of: epoll_event.self, capacity: 32) { events in
      count = unsafe epoll_wait(descriptor.raw, events.baseAddress, 32, milliseconds)
      for index in 0..<Int(max(0, count)) {
        // SAFETY: `control` stored generation and descriptor in this member of the union.
        let (bits, data) = unsafe (events[index].events, events[index].data.u64)
        let event = Event(
          descriptor: Int32(truncatingIfNeeded: data), readable: bits & (1 | 8 | 16) != 0,
          writable: bits & (4 | 8) != 0, isOver: bits & (1 | 16) == 16,
          generation: UInt32(data >> 32))
        // A file that was closed here and is open elsewhere still reports.
        if isCurrent(event) { ready.append(event) }
      }
    }
    if count < 0, errno != EINTR { _ = try check(count, "epoll_wait") }
    return ready
  }
}

/// Signals as readable descriptors (signalfd(2)).
public enum Signals {
  /// Blocks the signals for this thread and delivers them through the descriptor instead.
  public static func descriptor(for numbers: [Int32]) throws(SyscallError) -> OwnedFD {
    var set = sigset_t()
    // SAFETY: the set is ours.
    unsafe sigemptyset(&set)
    for number in numbers { unsafe sigaddset(&set, number) }
    _ = try check(unsafe sigprocmask(SIG_BLOCK, &set, nil), "sigprocmask")
    return OwnedFD(
      try check(
        unsafe signalfd(-1, &set, Int32(SFD_CLOEXEC | SFD_NONBLOCK)), "signalfd"))
  }

  /// The numbers of the signals that have come; empty when none waits.
  public static func pending(_ descriptor: Int32) throws(SyscallError) -> [Int32] {
    let size = 128
    let bytes: [UInt8]
    do throws(SyscallError) {
      bytes = try Descriptors.read(descriptor, upTo: size * 16)
    } catch {
      if error.errno == EAGAIN { return [] }
      throw error
    }
    return stride(from: 0, to: bytes.count, by: size).map { Int32(bytes[$0]) }
  }

  /// Every signal as a new program expects it: default action, nothing blocked. SIGKILL and SIGSTOP
  /// cannot be set and are left out.
  public static func reset() throws(SyscallError) {
    for number in Int32(1)...64 where ![SIGKILL, SIGSTOP, 32, 33].contains(number) {
      var action = sigaction()
      // SAFETY: the structure is ours and holds the default action.
      _ = try check(unsafe sigaction(number, &action, nil), "rt_sigaction", "\(number)")
    }
    try unblockAll()
  }

  public static func unblockAll() throws(SyscallError) {
    var none = sigset_t()
    // SAFETY: the set is ours.
    unsafe sigemptyset(&none)
    _ = try check(unsafe sigprocmask(SIG_SETMASK, &none, nil), "sigprocmask")
  }

  /// Stops this process as the signal would, after its own handling is done.
  public static func stopSelf() { _ = kill(getpid(), SIGSTOP) }
}

/// A timer as a readable descriptor (timerfd_create(2)), on the clock that counts suspend (CLOCK_BOOTTIME).
public enum Timers {
  public static func descriptor(afterMilliseconds delay: UInt64) throws(SyscallError) -> OwnedFD {
    let timer = OwnedFD(
      try check(timerfd_create(7, Int32(TFD_CLOEXEC | TFD_NONBLOCK)), "timerfd_create"))
    try set(timer.raw, afterMilliseconds: delay)
    return timer
  }

  /// Arms the timer anew; 0 fires at once.
  public static func set(_ timer: Int32, afterMilliseconds delay: UInt64) throws(SyscallError) {
    var value = itimerspec()
    value.it_value.tv_sec = Int(delay / 1000)
    value.it_value.tv_nsec = max(Int(delay % 1000) * 1_000_000, delay == 0 ? 1 : 0)
    // SAFETY: the structure is ours.
    _ = try check(unsafe timerfd_settime(timer, 0, &value, nil), "timerfd_settime")
  }
}

/// Clocks, in nanoseconds.
public enum Clock {
  /// Since boot, suspend included.
  public static func monotonicNanoseconds() -> UInt64 { read(7) }
  /// Since 1970-01-01 00:00 UTC.
  public static func wallNanoseconds() -> UInt64 { read(CLOCK_REALTIME) }
  private static func read(_ clock: clockid_t) -> UInt64 {
    var time = timespec()
    // SAFETY: the structure is ours.
    unsafe clock_gettime(clock, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
  }
}
