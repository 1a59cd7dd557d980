internal import Glibc
internal import Kernel
internal import LaunchPlan
internal import Rings

/// The stage as a child: found next to us, opened once, executed by descriptor.
struct StageProcess: ~Copyable {
  /// Our end of the socket; its end of file ends the ring.
  let socket: OwnedFD
  let pid: Int32

  /// Looked for beside our own executable and in ../libexec/agt-run; never in PATH.
  static func start(_ arguments: StageArguments) throws(RunError) -> StageProcess {
    let binary = try open()
    do throws(SyscallError) {
      let pair = try Messages.pair()
      let pid = try Processes.spawn(
        ByteString("/proc/self/fd/\(binary.raw)"),
        arguments: arguments.words.map { ByteString($0) },
        environment: [], descriptors: [(pair.second.raw, 3)])
      return StageProcess(socket: try pair.first.duplicate(), pid: pid)
    } catch {
      throw RunError(
        .internalFailure, "starting agt-stage: \(error.description)",
        hint: error.errno == EAGAIN
          ? "the limit of processes is reached: ulimit -u, or end some" : nil)
    }
  }

  private static func open() throws(RunError) -> OwnedFD {
    guard let own = try? Files.readLink(ByteString("/proc/self/exe")) else {
      throw RunError(
        .internalFailure, "reading /proc/self/exe: is /proc mounted?",
        hint: "mount -t proc proc /proc")
    }
    let directory = ViewPath.parent(own.text)
    for candidate in ["\(directory)/agt-stage", "\(directory)/../libexec/agt-run/agt-stage"] {
      if let file = try? Files.open(ByteString(candidate), O_RDONLY) { return file }
    }
    throw RunError(
      .internalFailure, "agt-stage is not beside \(own.text)",
      hint: "swift build -c release, or install again")
  }

  private init(socket: consuming OwnedFD, pid: Int32) {
    self.socket = socket
    self.pid = pid
  }

  /// Gives the stage its plan; the descriptors of the plan ride along.
  func send(_ plan: LaunchPlan) throws(RunError) {
    do throws(SyscallError) {
      let file = try Descriptors.sealedMemory(name: "launch-plan", plan.encoded())
      try Messages.send(socket.raw, [1], descriptors: [file.raw])
    } catch {
      // The stage has failed already: its own report says why.
      if error.errno == EPIPE || error.errno == ECONNRESET { return }
      throw RunError(.internalFailure, "sending the plan: \(error.description)")
    }
  }
}

enum ViewPath {
  static func parent(_ path: String) -> String {
    guard let slash = path.lastIndex(of: "/"), slash != path.startIndex else { return "/" }
    return String(path[..<slash])
  }
}
