internal import CLinux
internal import Glibc

/// A thread beside the loop, for calls that wait for a disk (pthreads(7)). Everything else is done by one
/// thread; what two share is behind a `Monitor`.
public final class Worker: @unchecked Sendable {
  // Of the thread that made the worker, which alone joins it.
  private var thread = pthread_t()
  private var isJoined = false

  private final class Body {
    let run: @Sendable () -> Void
    init(_ run: @escaping @Sendable () -> Void) { self.run = run }
  }

  /// Some calls deep, with buffers on the heap.
  public static let stackBytesUsual = 256 << 10

  /// Runs `body` in a thread of its own, which blocks the same signals as this one and has ordinary priority
  /// also when this one runs before everybody else for the moment.
  /// - Throws: EAGAIN at the limit of threads (pthread_create(3)).
  public init(
    stackBytes: Int = stackBytesUsual, _ body: @escaping @Sendable () -> Void
  ) throws(SyscallError) {
    do throws(SyscallError) { thread = try Self.start(stackBytes, body) } catch {
      isJoined = true
      throw error
    }
  }

  /// The same for a thread that nobody waits for, and that may hang until the process ends.
  public static func detach(_ body: @escaping @Sendable () -> Void) throws(SyscallError) {
    pthread_detach(try start(stackBytesUsual, body))
  }

  private static func start(
    _ stackBytes: Int, _ body: @escaping @Sendable () -> Void
  ) throws(SyscallError) -> pthread_t {
    var thread = pthread_t()
    var attributes = pthread_attr_t()
    // SAFETY: attributes and thread are ours; the body is retained until the thread has taken it.
    unsafe pthread_attr_init(&attributes)
    unsafe pthread_attr_setstacksize(&attributes, stackBytes)
    let box = unsafe Unmanaged.passRetained(Body(body))
    let result = unsafe pthread_create(
      &thread, &attributes,
      { argument in
        let body = unsafe Unmanaged<Body>.fromOpaque(argument!).takeRetainedValue()
        _ = agt_change_policy(SCHED_FIFO, SCHED_OTHER)
        body.run()
        return nil
      }, box.toOpaque())
    unsafe pthread_attr_destroy(&attributes)
    if result != 0 {
      unsafe box.release()
      throw SyscallError(call: "pthread_create", errno: result)
    }
    return thread
  }

  /// Waits until the body has returned.
  public func join() {
    if isJoined { return }
    isJoined = true
    pthread_join(thread, nil)
  }

  /// Lets whoever waits for this processor go first (sched_yield(2)).
  public static func yield() { sched_yield() }

  deinit { precondition(isJoined, "a worker is joined before it is forgotten") }
}

/// A mutex with a condition: whoever changes what is behind it wakes whoever waits for a change.
@safe
public final class Monitor: @unchecked Sendable {
  // In memory of their own: a mutex must not move.
  private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)

  public init() {
    // SAFETY: both are allocated, and destroyed in deinit only.
    unsafe pthread_mutex_init(mutex, nil)
    var attributes = pthread_condattr_t()
    unsafe pthread_condattr_init(&attributes)
    unsafe pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
    unsafe pthread_cond_init(condition, &attributes)
    unsafe pthread_condattr_destroy(&attributes)
  }

  deinit {
    // SAFETY: nobody holds or waits for what nobody refers to.
    unsafe pthread_cond_destroy(condition)
    unsafe pthread_mutex_destroy(mutex)
    unsafe condition.deallocate()
    unsafe mutex.deallocate()
  }

  /// Runs `body` alone.
  public func locked<R, E: Error>(_ body: () throws(E) -> R) throws(E) -> R {
    // SAFETY: initialised above; `defer` unlocks on every way out.
    unsafe pthread_mutex_lock(mutex)
    defer { unsafe pthread_mutex_unlock(mutex) }
    return try body()
  }

  /// Lets others in until somebody wakes us; may return without a reason.
  /// - Precondition: called inside `locked`.
  public func wait() {
    // SAFETY: the caller holds the mutex.
    unsafe pthread_cond_wait(condition, mutex)
  }

  /// The same, at most so long.
  public func wait(milliseconds: UInt64) { wait(nanoseconds: milliseconds * 1_000_000) }

  /// The same.
  public func wait(nanoseconds: UInt64) {
    var time = timespec()
    // SAFETY: the structure is ours, the caller holds the mutex.
    unsafe clock_gettime(CLOCK_MONOTONIC, &time)
    let rest = UInt64(time.tv_nsec) + nanoseconds % 1_000_000_000
    time.tv_sec += Int(nanoseconds / 1_000_000_000 + rest / 1_000_000_000)
    time.tv_nsec = Int(rest % 1_000_000_000)
    unsafe pthread_cond_timedwait(condition, mutex, &time)
  }

  public func wakeAll() {
    // SAFETY: initialised above.
    unsafe pthread_cond_broadcast(condition)
  }
}
