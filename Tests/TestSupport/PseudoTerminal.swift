internal import Glibc

/// A terminal with a person in front of it: starts a command as the leader of a session on a new pty,
/// types, reads the screen's bytes and looks at the line settings.
public final class PseudoTerminal {
  public let pid: Int32
  /// /dev/pts/N of the command's terminal.
  public let path: String
  private let master: Int32
  private let command: Command
  private var isOpen = true
  private var waitStatus: Int32?
  /// Everything that came out so far.
  public private(set) var output: [UInt8] = []
  /// Where `expect` goes on.
  private var position = 0

  public init(_ command: Command, rows: UInt16 = 24, columns: UInt16 = 80) {
    self.command = command
    master = unsafe Glibc.open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC)
    var unlock: Int32 = 0
    var number: Int32 = -1
    // SAFETY: the kernel reads one int and writes one; TIOCSPTLCK and TIOCGPTN of ioctl_tty(2).
    precondition(unsafe ioctl(master, 0x4004_5431, &unlock) == 0, "TIOCSPTLCK: errno \(errno)")
    precondition(unsafe ioctl(master, 0x8004_5430, &number) == 0, "TIOCGPTN: errno \(errno)")
    path = "/dev/pts/\(number)"
    Self.setSize(master, rows: rows, columns: columns)
    settingsAtFirst = Self.settings(master)
    pid = Spawn.start(
      command.words, environment: command.environment, directory: command.directory,
      descriptors: [], terminal: path)
    Spawn.setNonBlocking(master)
  }

  deinit {
    hangUp()
    if waitStatus == nil {
      kill(-pid, SIGKILL)
      kill(pid, SIGKILL)
      var status: Int32 = 0
      // SAFETY: the status is ours.
      unsafe waitpid(pid, &status, 0)
    }
  }

  /// The other side is gone, as when a window is closed.
  public func hangUp() {
    if isOpen { close(master) }
    isOpen = false
  }

  public func signal(_ number: Int32) { kill(pid, number) }

  public func resize(rows: UInt16, columns: UInt16) {
    Self.setSize(master, rows: rows, columns: columns)
  }

  private static func setSize(_ terminal: Int32, rows: UInt16, columns: UInt16) {
    var size = winsize(ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0)
    // SAFETY: the structure is ours.
    _ = unsafe ioctl(terminal, UInt(TIOCSWINSZ), &size)
  }

  public func type(_ text: String) {
    let bytes = Array(text.utf8)
    // SAFETY: the array outlives the call.
    precondition(unsafe Glibc.write(master, bytes, bytes.count) == bytes.count)
  }

  /// Waits until the text comes out after everything that was expected before.
  public func expect(_ text: String, seconds: Double = 10) -> Bool {
    let wanted = Array(text.utf8)
    return wait(seconds) {
      guard let found = self.find(wanted) else { return false }
      self.position = found + wanted.count
      return true
    }
  }

  /// The status of the command as a shell gives it; nil when it still runs after that time.
  public func waitForEnd(seconds: Double = 10) -> Int32? {
    _ = wait(seconds) { self.hasEnded }
    // What is in the terminal's buffer comes in pieces.
    var before = -1
    while output.count > before {
      before = output.count
      pump(milliseconds: 50)
    }
    guard let waitStatus else { return nil }
    return waitStatus & 0x7f == 0 ? waitStatus >> 8 & 0xff : 128 + waitStatus & 0x7f
  }

  /// Whether the command has ended, without reading its screen.
  public var hasEnded: Bool {
    var status: Int32 = 0
    // SAFETY: the status is ours.
    if waitStatus == nil, unsafe waitpid(pid, &status, WNOHANG) == pid { waitStatus = status }
    return waitStatus != nil
  }

  /// What came out after the last expected text.
  public var rest: String { String(decoding: output[position...], as: UTF8.self) }
  public var screen: String { String(decoding: output, as: UTF8.self) }

  /// The settings of the terminal as `stty -g` shows them: input, output, control and local modes and
  /// the control characters.
  public var settings: String { Self.settings(master) }

  /// Before the command began.
  public let settingsAtFirst: String

  private static func settings(_ master: Int32) -> String {
    var raw = termios()
    // SAFETY: the structure is ours.
    precondition(unsafe tcgetattr(master, &raw) == 0)
    // SAFETY: the bytes of a plain structure.
    let characters = unsafe withUnsafeBytes(of: raw.c_cc) { unsafe Array($0) }
    return "\(raw.c_iflag):\(raw.c_oflag):\(raw.c_cflag):\(raw.c_lflag):\(characters)"
  }

  /// The process group in the foreground.
  public var foreground: Int32 { tcgetpgrp(master) }

  private func find(_ wanted: [UInt8]) -> Int? {
    guard output.count >= position + wanted.count else { return nil }
    return (position...(output.count - wanted.count)).first {
      output[$0..<($0 + wanted.count)].elementsEqual(wanted)
    }
  }

  private func wait(_ seconds: Double, _ condition: () -> Bool) -> Bool {
    let deadline = Clock.seconds() + seconds
    while !condition() {
      if Clock.seconds() > deadline { return false }
      pump(milliseconds: 20)
    }
    return true
  }

  private func pump(milliseconds: Int32) {
    guard isOpen else { return Clock.sleep(Double(milliseconds) / 1000) }
    var polls = [pollfd(fd: master, events: Int16(POLLIN), revents: 0)]
    // SAFETY: one element.
    if unsafe poll(&polls, 1, milliseconds) <= 0 { return }
    var buffer = [UInt8](repeating: 0, count: 65536)
    // SAFETY: the buffer has the size that is given.
    let count = unsafe Glibc.read(master, &buffer, buffer.count)
    // EIO: nobody has the other side open at the moment.
    if count > 0 { output += buffer[..<count] } else { Clock.sleep(0.005) }
  }
}
