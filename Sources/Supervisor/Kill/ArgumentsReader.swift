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
  /// The thread reads one.
  private var isReading = false
  private var hasThread = false

  private init() {}

  /// Makes the thread, which a kill then need not.
  func prepare() {
    if hasThread { return }
    hasThread = (try? Worker.detach { [self] in run() }) != nil
  }

  /// Another question: what is asked for from here on is of the same.
  func begin() {
    prepare()
    monitor.locked {
      question += 1
      (waiting, found) = ([], [:])
    }
  }

  /// Asks for the command line of one more.
  func ask(_ directory: ProcessDirectory) {
    guard hasThread else { return }
    monitor.locked {
      waiting.append(directory)
      monitor.wakeAll()
    }
  }

  /// - Returns: of each process that was asked for and could be read in that time. Of none when that of an earlier
  ///   question still cannot be read, or no thread could be made.
  func answers(withinNanoseconds time: UInt64) -> [Int32: [String]] {
    let deadline = Clock.monotonicNanoseconds() + time
    return monitor.locked {
      while hasThread, isReading || !waiting.isEmpty {
        let now = Clock.monotonicNanoseconds()
        if now >= deadline { break }
        monitor.wait(nanoseconds: deadline - now)
      }
      // Nobody asks for the rest.
      waiting = []
      return found
    }
  }

  /// Waits as long as it takes.
  static func read(_ directory: ProcessDirectory) -> [String] {
    directory.words("cmdline", upTo: KillEvidence.argumentsMax * KillEvidence.wordMaxBytes)
      .prefix(KillEvidence.argumentsMax).map { KillEvidence.Process.text($0) }
  }

  private func run() -> Never {
    while true {
      let next: (directory: ProcessDirectory, question: Int) = monitor.locked {
        while waiting.isEmpty {
          isReading = false
          monitor.wakeAll()
          monitor.wait()
        }
        isReading = true
        return (waiting.removeFirst(), question)
      }
      let words = Self.read(next.directory)
      monitor.locked { if question == next.question { found[next.directory.pid] = words } }
    }
  }
}
