internal import Glibc
internal import JSON
internal import Kernel

/// `agt-run --detach`: the supervisor goes on without the terminal, the session and the descriptors of
/// whoever started it, who gets the run's id as soon as the program was executed.
///
/// What can go wrong before that ends like any other launch, with the message on the starter's stderr and the
/// status. Afterwards the supervisor holds nothing of the starter's: a pipe that waits for the end of
/// `$(agt-run --detach …)` gets it.
final class Detachment: RunService {
  private let id: String
  private var starter: OwnedFD?

  enum Side {
    /// Who was started by the person; the status to exit with.
    case starter(UInt8)
    case supervisor(Channel)
  }

  /// To the starter.
  final class Channel {
    private var pipe: OwnedFD?
    init(_ pipe: consuming OwnedFD) { self.pipe = consume pipe }
    func take() -> OwnedFD? { pipe.take() }
  }

  /// Makes a second process, which is to be the supervisor, and waits in the first.
  /// - Parameter keeping: descriptors of the starter's that the command line names; all others above stderr, such
  ///   as a shell's lock file, are closed in the supervisor.
  /// - Precondition: the process has one thread and no child.
  static func begin(keeping: [Int32]) throws(RunError) -> Side {
    do throws(SyscallError) {
      let pipe = try Descriptors.pipe()
      let pid = try Processes.fork()
      if pid == 0 {
        try Processes.newSession()
        try closeInherited(but: keeping)
        let writer = try pipe.writer.duplicate(atLeast: 16)
        return .supervisor(Channel(writer))
      }
      return .starter(try wait(pid, pipe.takeReader()))
    } catch {
      throw RunError(.internalFailure, "detaching: \(error.description)")
    }
  }

  /// Whatever came through execve(2) is not close-on-exec, and everything of ours is.
  private static func closeInherited(but kept: [Int32]) throws(SyscallError) {
    let numbers = try Files.names(in: ByteString("/proc/self/fd")).compactMap { Int32($0.text) }
    for number in numbers where number > 2 && !kept.contains(number) {
      if Descriptors.isInheritable(number) { _ = OwnedFD(number) }
    }
  }

  private static func wait(_ pid: Int32, _ reader: consuming OwnedFD) throws(SyscallError) -> UInt8
  {
    let bytes = try Descriptors.readAll(reader.raw, limit: 4096)
    if !bytes.isEmpty {
      do throws(SyscallError) { try Descriptors.write(1, bytes) } catch {
        let id = Array(bytes.dropLast()).text
        Output.complain(
          RunError(
            .internalFailure,
            "run \(id) goes on, but its id cannot be printed: \(error.description)",
            hint: "agt kill \(id) ends it"))
        return ExitStatus.internalFailure.rawValue
      }
      return 0
    }
    // It has said why.
    switch try Processes.wait(pid, blocking: true)?.status {
    case .exited(let status): return status
    default: return ExitStatus.internalFailure.rawValue
    }
  }

  init(id: String, _ channel: Channel) {
    self.id = id
    starter = channel.take()
  }

  func start(in loop: RunLoop) throws(SyscallError) {}
  func handle(_ event: Poller.Event, in loop: RunLoop) throws(SyscallError) {}
  func finish() {}

  func observe(_ moment: RunMoment, in loop: RunLoop) throws(SyscallError) {
    guard case .executed = moment, let number = starter.raw else { return }
    // Nothing of the starter's stays open when it hears of us.
    let null = try Files.open(ByteString("/dev/null"), O_RDWR)
    for standard in Int32(0)...2 { try Descriptors.duplicate(null.raw, onto: standard) }
    try? Descriptors.write(number, Array("\(id)\n".utf8))
    starter = nil
  }
}
