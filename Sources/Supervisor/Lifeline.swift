internal import Kernel

/// `--tie-fd N`: the run ends when the other end of that descriptor is closed, however its holder ended. So
/// whoever starts runs for somebody can never leave one behind.
final class Lifeline: RunService {
  private let descriptor: Int32

  init(_ descriptor: Int32) { self.descriptor = descriptor }

  func start(in loop: RunLoop) throws(SyscallError) {
    // The program must not hold it, nor the stage.
    try Descriptors.setCloseOnExec(descriptor, true)
    try loop.watch(descriptor, .input, for: self)
  }

  /// Whatever is said on it is no reason to go on watching: only silence is life.
  func handle(_ event: Poller.Event, in loop: RunLoop) throws(SyscallError) {
    try loop.unwatch(descriptor)
    loop.kill(KillOrder(.manual, by: "the end of --tie-fd"))
  }

  func finish() {}
}
