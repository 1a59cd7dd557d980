internal import Glibc
internal import Kernel
internal import Saga

/// `agt saga resume`, started by a supervisor for a saga that its agent has left. It is nobody's but its own: it
/// goes on when the supervisor is gone, and people can find it with `agt saga show`.
final class UndoRunner {
  enum Ending: String {
    case compensated, cancelled, completed
    case needsOperator = "needs-operator"
    /// It is not known to be over: `agt saga resume` goes on.
    case open
  }

  /// For the undoing of one saga when its run is over; sagas are undone side by side. What is not undone then is
  /// left to `agt saga resume`.
  static let timeMaxSeconds = 600

  private let pid: Int32
  /// Readable when it has ended.
  let pidfd: OwnedFD
  private let done: (Ending) -> Void

  /// - Parameter done: called by `conclude`.
  init(
    _ directory: SagaDirectory, environment: [[UInt8]], done: @escaping (Ending) -> Void
  ) throws(SyscallError) {
    self.done = done
    let own = try Files.readLink(ByteString("/proc/self/exe")).text
    let agt = String(own[..<own.lastIndex(of: "/")!]) + "/agt"
    let nothing = try Files.open(ByteString("/dev/null"), O_RDONLY)
    let log = try Files.open(
      ByteString(directory.path + "/runs/.undo.log"), O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW,
      mode: 0o600)
    pid = try Processes.spawn(
      ByteString(agt),
      arguments: [
        "agt", "saga", "resume", directory.id, "--within", "\(Self.timeMaxSeconds)s",
      ].map { ByteString($0) },
      environment: environment.map { ByteString($0) },
      descriptors: [(nothing.raw, 0), (log.raw, 1), (log.raw, 2)], ownGroup: true)
    pidfd = try Processes.openPidfd(pid)
  }

  /// - Returns: how it ended; nil while it runs: an event can be about the descriptor that had its number before.
  func reap() -> WaitStatus? { (try? Processes.wait(pid, blocking: false))?.status }

  func conclude(_ status: WaitStatus) {
    // As `agt saga resume` documents them.
    switch status {
    case .exited(0): done(.completed)
    case .exited(1): done(.compensated)
    case .exited(3): done(.needsOperator)
    case .exited(5): done(.cancelled)
    default: done(.open)
    }
  }
}
