internal import Glibc
internal import Kernel

/// Tells systemd, or whoever else set NOTIFY_SOCKET, how the run is doing (sd_notify(3)): that the program
/// was executed, that the loop is alive, that the end is near, and how it ended.
///
/// Its user reads `systemctl status agt-agent@clerk`. What can go wrong: nobody listens, or the listener
/// is full; then messages are lost and the run goes on. It must never be reachable for the program, which could
/// otherwise speak for the supervisor: the variables of the protocol are taken out of the environment.
final class ServiceManager: RunService {
  /// What the manager gives to its service alone (sd_notify(3), sd_watchdog_enabled(3), sd_listen_fds(3)).
  private static let prefixes = [
    "NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "LISTEN_PID", "LISTEN_FDS",
    "LISTEN_FDNAMES",
  ].map { Array("\($0)=".utf8) }
  /// READY is worth waiting for: without it the manager ends the service.
  private static let readyMilliseconds: Int32 = 1000
  /// The manager adds this to the time that the program has to end, for what comes after.
  private static let conclusionMilliseconds: UInt64 = 10_000
  /// systemd shows one line of a terminal.
  private static let statusMaxBytes = 512

  private let socket: OwnedFD
  /// What the run is, in a line.
  var summary = ""
  /// Half of what the manager waits for; nil when it does not wait.
  let watchdogMilliseconds: UInt64?
  private var timer: OwnedFD?

  /// - Returns: nil when nobody wants to know, or nobody is there.
  init?(_ environment: [[UInt8]], ownPid: Int32 = getpid()) {
    guard let name = Self.value("NOTIFY_SOCKET", environment),
      let address = Self.address(name),
      let socket = try? UnixSockets.connectDatagram(to: address)
    else { return nil }
    self.socket = socket
    watchdogMilliseconds = Self.watchdog(environment, ownPid: ownPid)
  }

  /// The environment without what is the supervisor's alone.
  static func withoutOwn(_ environment: [[UInt8]]) -> [[UInt8]] {
    environment.filter { entry in !prefixes.contains { entry.starts(with: $0) } }
  }

  private static func value(_ name: String, _ environment: [[UInt8]]) -> [UInt8]? {
    let prefix = Array("\(name)=".utf8)
    return environment.first { $0.starts(with: prefix) }.map { Array($0.dropFirst(prefix.count)) }
  }

  /// `/path` or `@abstract`; a name for a virtual machine's socket is none of ours.
  static func address(_ name: [UInt8]) -> [UInt8]? {
    switch name.first {
    case UInt8(ascii: "/"): name
    case UInt8(ascii: "@") where name.count > 1: [0] + name.dropFirst()
    default: nil
    }
  }

  /// Half of WATCHDOG_USEC, unless WATCHDOG_PID says that another process is meant.
  static func watchdog(_ environment: [[UInt8]], ownPid: Int32) -> UInt64? {
    if let pid = value("WATCHDOG_PID", environment), Int32(pid.text) != ownPid { return nil }
    guard let text = value("WATCHDOG_USEC", environment)?.text, let time = UInt64(text), time > 0
    else { return nil }
    return max(time / 2000, 1)
  }

  // MARK: RunService

  func start(in loop: RunLoop) throws(SyscallError) {
    guard let watchdogMilliseconds else { return }
    let timer = try Timers.descriptor(afterMilliseconds: watchdogMilliseconds)
    try loop.watch(timer.raw, .input, for: self)
    self.timer = consume timer
  }

  /// The timer: whoever gets here has a loop that goes round.
  func handle(_ event: Poller.Event, in loop: RunLoop) throws(SyscallError) {
    guard let watchdogMilliseconds else { return }
    send("WATCHDOG=1")
    try Timers.set(event.descriptor, afterMilliseconds: watchdogMilliseconds)
  }

  func observe(_ moment: RunMoment, in loop: RunLoop) throws(SyscallError) {
    switch moment {
    case .started, .account, .violation, .breach, .killing, .paused, .resumed: break
    case .executed:
      _ = Descriptors.isWritable(socket.raw, withinMilliseconds: Self.readyMilliseconds)
      send("READY=1\nSTATUS=\(Self.line(summary))")
    case .askedToEnd(let graceMilliseconds):
      let patience = (graceMilliseconds + Self.conclusionMilliseconds) * 1000
      send("STOPPING=1\nSTATUS=asked to end\nEXTEND_TIMEOUT_USEC=\(patience)")
    }
  }

  func finish() { send("STOPPING=1") }

  // MARK: the end

  func conclude(_ record: RunRecord) {
    conclude(record.complaint ?? "ended with status \(record.status)")
  }

  func conclude(_ sentence: String) { send("STATUS=\(Self.line(sentence))") }

  private func send(_ message: String) { try? Messages.send(socket.raw, Array(message.utf8)) }

  /// Assignments end where lines do.
  private static func line(_ text: String) -> String {
    let plain = text.unicodeScalars.map {
      $0.properties.generalCategory == .control ? " " : Character($0)
    }
    var line = String(plain)
    while line.utf8.count > statusMaxBytes { line.removeLast() }
    return line
  }
}
