internal import Glibc

/// Runs a binary, captures what it writes and how it ends, and never waits longer than it was told.
///
/// Started with posix_spawn(3): a test process has threads, so nothing of ours may run between fork and
/// exec. Every command leads a process group of its own, which is killed when the time is over.
public struct Command: Sendable {
  public enum Input: Sendable {
    /// /dev/null
    case none
    case bytes([UInt8])
    /// Open and silent for as long as the command runs.
    case silent
  }

  public var words: [[UInt8]]
  /// `NAME=VALUE`; the test process's own environment is never inherited.
  public var environment = Command.plainEnvironment
  public var directory: String?
  public var input: Input = .none
  public var timeoutSeconds = 30.0
  /// Lives at least as long as the command.
  public var scratch: Scratch?

  public static let plainEnvironment = [
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/nonexistent",
    "LANG=C.UTF-8", "TERM=dumb",
  ]

  /// - Parameter words: an absolute path and its arguments.
  public init(_ words: [String], in directory: String? = nil) {
    self.words = words.map { Array($0.utf8) }
    self.directory = directory
  }

  /// `script` for /bin/sh, with `$1`, `$2`, … from `arguments`.
  public static func shell(
    _ script: String, _ arguments: [String] = [], in directory: String? = nil
  ) -> Command {
    Command(["/bin/sh", "-c", script, "sh"] + arguments, in: directory)
  }

  public func run() -> Completed { start().wait() }

  public func start() -> RunningCommand { RunningCommand(self) }

  public func with(_ change: (inout Command) -> Void) -> Command {
    var changed = self
    change(&changed)
    return changed
  }
}

/// How a command ended and what it wrote.
public struct Completed: Sendable {
  /// The exit code, or 128+n after signal n.
  public let status: Int32
  /// The number of the signal that ended it; nil after an exit.
  public let signal: Int32?
  public let output: [UInt8]
  public let errors: [UInt8]
  public let timedOut: Bool
  public let seconds: Double

  public var out: String { String(decoding: output, as: UTF8.self) }
  public var err: String { String(decoding: errors, as: UTF8.self) }
  /// For the comments of expectations.
  public var summary: String {
    "status \(status)\(timedOut ? ", TIMED OUT" : ""), stdout \(out.debugDescription), "
      + "stderr \(err.debugDescription)"
  }
}

/// A command that runs; all of its methods are for one thread.
public final class RunningCommand {
  public let pid: Int32
  private let began = Clock.seconds()
  private let command: Command
  private var toInput: Int32?
  private var pendingInput: ArraySlice<UInt8>
  private var fromOutput: Int32?
  private var fromErrors: Int32?
  private var waitStatus: Int32?
  public private(set) var output: [UInt8] = []
  public private(set) var errors: [UInt8] = []

  fileprivate init(_ command: Command) {
    _ = signalIgnored
    self.command = command
    let output = Spawn.pipe()
    let errors = Spawn.pipe()
    var descriptors = [(output.writer, Int32(1)), (errors.writer, Int32(2))]
    var opened = [output.writer, errors.writer]
    pendingInput = []
    switch command.input {
    case .none:
      let null = unsafe open("/dev/null", O_RDONLY | O_CLOEXEC)
      descriptors.append((null, 0))
      opened.append(null)
    case .bytes, .silent:
      let input = Spawn.pipe()
      descriptors.append((input.reader, 0))
      opened.append(input.reader)
      toInput = input.writer
      if case .bytes(let bytes) = command.input { pendingInput = bytes[...] }
      if case .bytes = command.input { Spawn.setNonBlocking(input.writer) }
    }
    pid = Spawn.start(
      command.words, environment: command.environment, directory: command.directory,
      descriptors: descriptors, terminal: nil)
    for number in opened { close(number) }
    fromOutput = output.reader
    fromErrors = errors.reader
    if case .bytes = command.input, pendingInput.isEmpty { closeInput() }
  }

  deinit {
    if waitStatus == nil {
      Glibc.kill(-pid, SIGKILL)
      reap(blocking: true)
    }
    for number in [toInput, fromOutput, fromErrors] { if let number { close(number) } }
  }

  public func signal(_ number: Int32) { Glibc.kill(pid, number) }

  public func closeInput() {
    if let toInput { close(toInput) }
    toInput = nil
  }

  /// Until the text has been written to standard output, or the time is over.
  public func waitForOutput(_ text: String, times: Int = 1, seconds: Double = 10) -> Bool {
    let deadline = Clock.seconds() + seconds
    while String(decoding: output, as: UTF8.self).ranges(of: text).count < times {
      if fromOutput == nil && fromErrors == nil { return false }
      if Clock.seconds() > deadline { return false }
      pump(milliseconds: 20)
    }
    return true
  }

  /// Until the process has ended and both streams are closed. What still holds a stream one second
  /// after the end was left behind: the caller finds it with other means.
  public func wait() -> Completed {
    var timedOut = false
    var ended: Double?
    while true {
      pump(milliseconds: 10)
      reap(blocking: false)
      let now = Clock.seconds()
      if waitStatus != nil {
        ended = ended ?? now
        if fromOutput == nil && fromErrors == nil || now > ended! + 1 { break }
      } else if now > began + command.timeoutSeconds {
        timedOut = true
        Glibc.kill(-pid, SIGKILL)
        reap(blocking: true)
      }
    }
    let raw = waitStatus!
    let number = raw & 0x7f
    return Completed(
      status: number == 0 ? raw >> 8 & 0xff : 128 + number, signal: number == 0 ? nil : number,
      output: output, errors: errors, timedOut: timedOut, seconds: (ended ?? began) - began)
  }

  private func reap(blocking: Bool) {
    guard waitStatus == nil else { return }
    var status: Int32 = 0
    // SAFETY: the status is ours.
    if unsafe waitpid(pid, &status, blocking ? 0 : WNOHANG) == pid { waitStatus = status }
  }

  private func pump(milliseconds: Int32) {
    var polls: [pollfd] = []
    if let fromOutput { polls.append(pollfd(fd: fromOutput, events: Int16(POLLIN), revents: 0)) }
    if let fromErrors { polls.append(pollfd(fd: fromErrors, events: Int16(POLLIN), revents: 0)) }
    if let toInput, !pendingInput.isEmpty {
      polls.append(pollfd(fd: toInput, events: Int16(POLLOUT), revents: 0))
    }
    // SAFETY: the array is ours and has the count that is given.
    if unsafe poll(&polls, nfds_t(polls.count), milliseconds) <= 0 { return }
    for poll in polls where poll.revents != 0 {
      if poll.fd == fromOutput {
        if !Spawn.read(poll.fd, into: &output) { fromOutput = nil }
      } else if poll.fd == fromErrors {
        if !Spawn.read(poll.fd, into: &errors) { fromErrors = nil }
      } else {
        feed()
      }
    }
  }

  private func feed() {
    guard let toInput else { return }
    // SAFETY: the slice outlives the call.
    let count = unsafe pendingInput.withUnsafeBytes {
      unsafe Glibc.write(toInput, $0.baseAddress, $0.count)
    }
    if count > 0 { pendingInput = pendingInput.dropFirst(count) }
    if pendingInput.isEmpty || count < 0 && errno != EAGAIN { closeInput() }
  }
}

/// Since boot.
public enum Clock {
  public static func seconds() -> Double {
    var time = timespec()
    // SAFETY: the structure is ours.
    unsafe clock_gettime(CLOCK_MONOTONIC, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
  }

  public static func sleep(_ seconds: Double) { usleep(UInt32(seconds * 1e6)) }

  /// Polls until the condition holds; false when it never did.
  public static func eventually(_ seconds: Double = 5, _ condition: () -> Bool) -> Bool {
    let deadline = self.seconds() + seconds
    while !condition() {
      if self.seconds() > deadline { return false }
      sleep(0.01)
    }
    return true
  }
}

/// A command that does not read its input must not end the tests.
private let signalIgnored: Bool = {
  signal(SIGPIPE, SIG_IGN)
  return true
}()
