internal import Broker
internal import Kernel

/// Calls that may wait for a disk, or for a file system of the network, each in a thread of its own: a few at a
/// time, and nobody waits longer for one than a person would.
///
/// A call that never returns holds its thread until the process ends, and its place here until then; the loop
/// and the end of the run wait for none. Without any call there is no thread, no descriptor and no clock.
final class BlockingCalls: RunService {
  private final class Job {
    let worker: Worker
    let deadlineMilliseconds: UInt64
    /// Nil when it was given up.
    var done: ((_ isInTime: Bool) -> Void)?
    init(
      _ worker: Worker, deadlineMilliseconds: UInt64, done: @escaping (_ isInTime: Bool) -> Void
    ) {
      self.worker = worker
      self.deadlineMilliseconds = deadlineMilliseconds
      self.done = done
    }
  }

  /// What the threads and the loop share.
  private final class Finished: @unchecked Sendable {
    let monitor = Monitor()
    let wakeup: Wakeup
    // Behind the monitor.
    var numbers: [UInt64] = []
    init() throws(SyscallError) { wakeup = try Wakeup() }
  }

  private var loop: RunLoop?
  private var finished: Finished?
  private var clock: AlarmClock?
  private var jobs: [UInt64: Job] = [:]
  private var count: UInt64 = 0

  /// At once; those that hang count until they return.
  static let jobsMax = 8
  /// Of each: the directory or place, a mount of it, and what is opened. Besides the clock and the wakeup.
  static let descriptorsMax = jobsMax * 3 + 2
  /// Longer than a slow disk needs.
  static let patienceMilliseconds: UInt64 = 10_000

  /// - Parameters:
  ///   - body: runs in the thread. What it leaves behind has to be safe to take after `done`, and to be
  ///     dropped without it.
  ///   - done: called in the loop, once; with false when it took too long.
  func run(
    _ body: @escaping @Sendable () -> Void, done: @escaping (_ isInTime: Bool) -> Void
  ) throws(BrokerError) {
    guard jobs.count < Self.jobsMax else {
      throw BrokerError(.busy, "\(Self.jobsMax) files are being opened")
    }
    do throws(SyscallError) {
      let finished = try begin()
      count += 1
      let number = count
      let deadline = AlarmClock.nowMilliseconds + Self.patienceMilliseconds
      let worker = try Worker {
        body()
        finished.monitor.locked { finished.numbers.append(number) }
        finished.wakeup.raise()
      }
      jobs[number] = Job(worker, deadlineMilliseconds: deadline, done: done)
      try? clock?.arm(deadline)
    } catch { throw BrokerError(.failed, error.description) }
  }

  private func begin() throws(SyscallError) -> Finished {
    if let finished { return finished }
    guard let loop else { throw SyscallError(call: "pthread_create", object: "", errno: 3) }
    let clock = try AlarmClock()
    let made = try Finished()
    try loop.watch(clock.descriptor, .input, for: self)
    do throws(SyscallError) {
      try loop.watch(made.wakeup.descriptor.raw, .input, for: self)
    } catch {
      try? loop.unwatch(clock.descriptor)
      throw error
    }
    self.clock = clock
    finished = made
    return made
  }

  // MARK: RunService

  func start(in loop: RunLoop) throws(SyscallError) { self.loop = loop }

  func handle(_ event: Poller.Event, in loop: RunLoop) throws(SyscallError) {
    if event.descriptor == clock?.descriptor {
      clock?.silence()
      return try expire()
    }
    guard let finished else { return }
    finished.wakeup.clear()
    let numbers = finished.monitor.locked {
      defer { finished.numbers = [] }
      return finished.numbers
    }
    for number in numbers {
      guard let job = jobs.removeValue(forKey: number) else { continue }
      // It has said its last word: this waits for nothing.
      job.worker.join()
      job.done?(true)
    }
  }

  private func expire() throws(SyscallError) {
    let now = AlarmClock.nowMilliseconds
    for job in jobs.values {
      guard let done = job.done else { continue }
      if job.deadlineMilliseconds <= now {
        job.done = nil
        done(false)
      } else {
        try clock?.arm(job.deadlineMilliseconds)
      }
    }
  }

  func finish() {
    loop = nil
    for job in jobs.values {
      job.done = nil
      // SAFETY: never released: a thread that hangs is not joined, and ends with the process.
      _ = unsafe Unmanaged.passRetained(job.worker)
    }
    jobs = [:]
  }
}
