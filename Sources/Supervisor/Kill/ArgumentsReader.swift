internal import Kernel

/// Reads command lines for the evidence of a kill, in a thread.
///
/// They stand in the memory of their processes, and whoever reads them waits for its lock, which a process can hold
/// for seconds (mprotect(2) of large regions in many threads; also for a process that shares its memory without
/// being its thread). A kill must not wait for that: what has not come in time is not known. A thread that hangs
/// goes on when its process has ended, or ends with us.
final class ArgumentsReader: @unchecked Sendable {
  static let shared = ArgumentsReader()

  private let monitor = Monitor()
  // Behind the monitor.
  private var waiting: [ProcessDirectory] = []
  private var found: [Int32: [String]] = [:]
  /// Of the question that `found` answers.
  private var question = 0
  private var isAnswered = true
  private var hasThread = false

  private init() {}

  /// Makes the thread, which a kill then need not.
  func prepare() {
    if hasThread { return }
    hasThread = (try? Worker.detach { [self] in run() }) != nil
  }

  /// - Returns: of each process whose command line could be read in that time. Of none when that of an earlier
  ///   question still cannot be read, or no thread can be made.
  func read(
    _ directories: [ProcessDirectory], withinNanoseconds time: UInt64
  ) -> [Int32: [String]] {
    prepare()
    guard hasThread, !directories.isEmpty else { return [:] }
    let deadline = Clock.monotonicNanoseconds() + time
    return monitor.locked {
      guard isAnswered else { return [:] }
      (waiting, found, isAnswered) = (directories, [:], false)
      question += 1
      monitor.wakeAll()
      while !isAnswered {
        let now = Clock.monotonicNanoseconds()
        if now >= deadline { break }
        monitor.wait(nanoseconds: deadline - now)
      }
      // Nobody asks for the rest.
      waiting = []
      return found
    }
  }

  private func run() -> Never {
    while true {
      let next: (directory: ProcessDirectory, question: Int) = monitor.locked {
        while waiting.isEmpty {
          if !isAnswered {
            isAnswered = true
            monitor.wakeAll()
          }
          monitor.wait()
        }
        return (waiting.removeFirst(), question)
      }
      let most = KillEvidence.argumentsMax
      let words = next.directory.words("cmdline", upTo: most * KillEvidence.wordMaxBytes)
        .prefix(most).map { KillEvidence.Process.text($0) }
      monitor.locked { if question == next.question { found[next.directory.pid] = words } }
    }
  }
}
