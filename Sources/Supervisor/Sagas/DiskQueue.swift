internal import Kernel

/// Work that waits for a disk, one after the other, in a thread that is there only when there is any. What
/// follows from it is done in the loop.
final class DiskQueue {
  typealias Work = () -> RunError?

  private struct Job {
    let work: Work
    let then: (RunError?) -> Void
  }

  /// What the thread and the loop share.
  private final class Shared: @unchecked Sendable {
    let monitor = Monitor()
    let wakeup: Wakeup
    // Behind the monitor.
    var waiting: [Job] = []
    var done: [(job: Job, error: RunError?)] = []
    var isEnding = false

    init() throws(SyscallError) { wakeup = try Wakeup() }

    func run() {
      while let job = next() {
        let error = job.work()
        monitor.locked { done.append((job, error)) }
        wakeup.raise()
      }
    }

    private func next() -> Job? {
      monitor.locked {
        while waiting.isEmpty && !isEnding { monitor.wait() }
        return waiting.isEmpty ? nil : waiting.removeFirst()
      }
    }
  }

  private let shared: Shared
  private let worker: Worker

  init() throws(SyscallError) {
    let shared = try Shared()
    self.shared = shared
    worker = try Worker { shared.run() }
  }

  /// For the loop: readable when something is done.
  var descriptor: Int32 { shared.wakeup.descriptor.raw }

  /// - Parameters:
  ///   - work: in the thread.
  ///   - then: in the loop, with what the work gave.
  func perform(_ work: @escaping Work, then: @escaping (RunError?) -> Void) {
    shared.monitor.locked {
      shared.waiting.append(Job(work: work, then: then))
      shared.monitor.wakeAll()
    }
  }

  /// What follows from what is done.
  func deliver() {
    shared.wakeup.clear()
    let done = shared.monitor.locked {
      defer { shared.done = [] }
      return shared.done
    }
    for (job, error) in done { job.then(error) }
  }

  deinit {
    end()
    worker.join()
  }

  private func end() {
    shared.monitor.locked {
      shared.isEnding = true
      shared.monitor.wakeAll()
    }
  }

  /// Waits until everything is done; nothing is taken any more.
  func finish() {
    end()
    worker.join()
    deliver()
  }
}
