internal import CLinux
internal import Glibc

/// Pseudo-terminals and line settings (pts(4), termios(3), ioctl_tty(2)).
public enum Terminals {
  public struct WindowSize: Equatable, Sendable {
    public let rows: UInt16
    public let columns: UInt16
    public init(rows: UInt16, columns: UInt16) {
      self.rows = rows
      self.columns = columns
    }
  }

  /// Line settings to go back to.
  public struct Settings: Sendable {
    let raw: termios
  }

  public static func settings(_ terminal: Int32) throws(SyscallError) -> Settings {
    var raw = termios()
    // SAFETY: the structure is ours.
    _ = try check(unsafe tcgetattr(terminal, &raw), "tcgetattr")
    return Settings(raw: raw)
  }

  public static func restore(_ terminal: Int32, _ settings: Settings) throws(SyscallError) {
    var raw = settings.raw
    // SAFETY: the structure is ours.
    _ = try retrying("tcsetattr") { unsafe tcsetattr(terminal, TCSADRAIN, &raw) }
  }

  /// Every byte goes through as it is: the pty inside does the line editing and the signals.
  public static func makeRaw(_ terminal: Int32, from settings: Settings) throws(SyscallError) {
    var raw = settings.raw
    // SAFETY: the structure is ours.
    unsafe cfmakeraw(&raw)
    _ = try retrying("tcsetattr") { unsafe tcsetattr(terminal, TCSADRAIN, &raw) }
  }

  /// What is written comes out as it is (OPOST off), because another terminal behind it makes the lines.
  public static func disableOutputProcessing(_ terminal: Int32) throws(SyscallError) {
    var raw = try settings(terminal).raw
    raw.c_oflag &= ~UInt32(OPOST)
    // SAFETY: the structure is ours.
    _ = try retrying("tcsetattr") { unsafe tcsetattr(terminal, TCSANOW, &raw) }
  }

  /// The same terminal, opened anew for writing without waiting: what others opened, and use, keeps its own way. By its
  /// name, or as the session's own, which needs no permission.
  /// - Returns: nil when it is neither.
  public static func reopened(_ terminal: Int32) -> OwnedFD? {
    let device = agt_terminal_device(terminal)
    for path in ["/proc/self/fd/\(terminal)", "/dev/tty"] {
      if let opened = try? Files.open(ByteString(path), O_WRONLY | O_NONBLOCK | O_NOCTTY),
        device >= 0, agt_terminal_device(opened.raw) == device
      {
        return opened
      }
    }
    return nil
  }

  public static func windowSize(_ terminal: Int32) -> WindowSize? {
    var rows: UInt16 = 0
    var columns: UInt16 = 0
    // SAFETY: both values are ours.
    guard unsafe agt_window_size_get(terminal, &rows, &columns) == 0 else { return nil }
    return WindowSize(rows: rows, columns: columns)
  }

  public static func setWindowSize(_ terminal: Int32, _ size: WindowSize) throws(SyscallError) {
    _ = try check(agt_window_size_set(terminal, size.rows, size.columns), "ioctl(TIOCSWINSZ)")
  }

  public struct Pty: ~Copyable {
    public let master: OwnedFD
    public let slave: OwnedFD
  }

  /// The two ends of a new pty of the devpts instance whose ptmx is at `path`.
  public static func open(ptmx path: ByteString) throws(SyscallError) -> Pty {
    let master = try Files.open(path, O_RDWR)
    _ = try check(agt_unlock_pty(master.raw), "ioctl(TIOCSPTLCK)")
    let slave = OwnedFD(try check(agt_pty_peer(master.raw), "ioctl(TIOCGPTPEER)"))
    return Pty(master: master, slave: slave)
  }

  /// Makes the terminal the session's; the caller leads a session without one.
  public static func setControlling(_ terminal: Int32) throws(SyscallError) {
    _ = try check(agt_set_controlling_terminal(terminal), "ioctl(TIOCSCTTY)")
  }

  /// Puts a process group in the foreground (tcsetpgrp(3)); SIGTTOU must be blocked or ignored.
  public static func setForeground(_ terminal: Int32, group: Int32) throws(SyscallError) {
    _ = try check(tcsetpgrp(terminal, group), "tcsetpgrp")
  }
}
