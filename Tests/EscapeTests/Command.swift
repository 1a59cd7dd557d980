import CProbe
import Foundation

/// One program, run to its end in a session of its own.
///
/// Output goes to files: a process that outlives the command then cannot keep the test waiting
/// for the end of a pipe.
struct Command {
  var arguments: [String]
  var environment: [String: String] = ["PATH": "/usr/bin:/bin:/usr/sbin:/sbin"]
  /// A path that is opened for reading.
  var input = "/dev/null"
  var terminal: Terminal?
  /// No command of the suite takes longer, whatever hangs; a slow machine has room.
  var deadlineSeconds = 60.0

  struct Result {
    /// The exit status, or 128 and the number of the signal.
    var status: Int
    var output: String
    var errors: String
    var seconds: Double

    var lines: [String] { output.split(whereSeparator: \.isNewline).map(String.init) }
  }

  struct Running {
    let pid: Int32
    let files: (output: String, errors: String)
    let terminal: Terminal?
    let begin: Date
    let deadline: Date

    /// What has been printed so far.
    var output: String { (try? String(contentsOfFile: files.output, encoding: .utf8)) ?? "" }

    /// False once the process has ended, before it has been waited for.
    var isRunning: Bool { HostProcesses.field(pid, "State").first != "Z" }

    func kill(_ signal: Int32) { _ = Glibc.kill(pid, signal) }

    func wait() -> Result {
      var status: Int32 = 0
      var shown = ""
      while true {
        shown += terminal?.drain() ?? ""
        // SAFETY: the pointer is valid for the duration of the call.
        let ended = unsafe waitpid(pid, &status, WNOHANG)
        if ended == pid { break }
        if Date() > deadline {
          // The command leads a process group of its own.
          _ = Glibc.kill(-pid, SIGKILL)
          _ = Glibc.kill(pid, SIGKILL)
        }
        usleep(1000)
      }
      shown += terminal?.drain() ?? ""
      let result = Result(
        status: Int(status & 0x7f == 0 ? status >> 8 & 0xff : 128 + status & 0x7f),
        output: terminal == nil ? output : shown,
        errors: (try? String(contentsOfFile: files.errors, encoding: .utf8)) ?? "",
        seconds: Date().timeIntervalSince(begin))
      try? FileManager.default.removeItem(atPath: files.output)
      try? FileManager.default.removeItem(atPath: files.errors)
      return result
    }
  }

  func run() -> Result { start().wait() }

  func start() -> Running {
    let stem = NSTemporaryDirectory() + "/agt-escape-" + UUID().uuidString
    let files = (output: stem + ".out", errors: stem + ".err")
    let begin = Date()
    // SAFETY: the structures are initialised before and destroyed after their only use, and the
    // strings live as long as `withStrings` runs.
    let pid: Int32 = unsafe withStrings(arguments) { argv in
      unsafe withStrings(environment.map { $0.key + "=" + $0.value }) { envp in
        var actions = unsafe posix_spawn_file_actions_t()
        var attributes = posix_spawnattr_t()
        unsafe posix_spawn_file_actions_init(&actions)
        unsafe posix_spawnattr_init(&attributes)
        // In a new session, the first terminal that is opened becomes the controlling one.
        // Threads of a test block signals; a command begins with none blocked and none ignored.
        var none = sigset_t()
        var all = sigset_t()
        unsafe sigemptyset(&none)
        unsafe sigfillset(&all)
        unsafe posix_spawnattr_setsigmask(&attributes, &none)
        unsafe posix_spawnattr_setsigdefault(&attributes, &all)
        unsafe posix_spawnattr_setflags(
          &attributes,
          spawnInNewSession | Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))
        let create = O_WRONLY | O_CREAT | O_TRUNC
        if let terminal {
          for fd: Int32 in 0...2 {
            unsafe posix_spawn_file_actions_addopen(&actions, fd, terminal.path, O_RDWR, 0)
          }
        } else {
          unsafe posix_spawn_file_actions_addopen(&actions, 0, input, O_RDONLY, 0)
          unsafe posix_spawn_file_actions_addopen(&actions, 1, files.output, create, 0o666)
          unsafe posix_spawn_file_actions_addopen(&actions, 2, files.errors, create, 0o666)
        }
        var child: Int32 = -1
        let failure = unsafe posix_spawn(&child, arguments[0], &actions, &attributes, argv, envp)
        unsafe posix_spawn_file_actions_destroy(&actions)
        unsafe posix_spawnattr_destroy(&attributes)
        precondition(failure == 0, "\(arguments[0]): error \(failure)")
        return child
      }
    }
    return Running(
      pid: pid, files: files, terminal: terminal, begin: begin,
      deadline: begin.addingTimeInterval(deadlineSeconds))
  }

  private func withStrings<R>(
    _ strings: [String], _ body: (UnsafePointer<UnsafeMutablePointer<CChar>?>) -> R
  ) -> R {
    // SAFETY: strdup's copies are freed after the body, which gets a null-terminated array.
    var pointers = unsafe strings.map { unsafe strdup($0) } + [nil]
    defer { for index in strings.indices { unsafe free(pointers[index]) } }
    return unsafe pointers.withUnsafeMutableBufferPointer {
      unsafe body(UnsafePointer($0.baseAddress!))
    }
  }
}

/// POSIX_SPAWN_SETSID of posix_spawnattr_setflags(3), which needs _GNU_SOURCE.
private let spawnInNewSession: Int16 = 0x80

/// A pseudoterminal that plays the caller's.
final class Terminal {
  let path: String
  /// `dev:rdev` of stat(2), in the form in which agt-probe compares it.
  let device: String
  private let master: Int32
  /// Kept open, so that the terminal outlives the program on it.
  private let slave: Int32

  init(owner: UInt32) {
    // SAFETY: open with two arguments reads no third one; nothing here creates a file.
    let master = unsafe open("/dev/ptmx", O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC)
    precondition(master >= 0, "no pseudoterminal")
    self.master = master
    // TIOCSPTLCK with 0 unlocks the other side, TIOCGPTN tells its number.
    var number: Int32 = 0
    // SAFETY: both requests read or write one int, for the duration of the call.
    unsafe withUnsafeMutablePointer(to: &number) { pointer in
      for request in [0x4004_5431, 0x8004_5430] {
        _ = probe_call(
          Int(SYS_ioctl), Int(master), request, Int(bitPattern: pointer), 0, 0, 0)
      }
    }
    path = "/dev/pts/\(number)"
    // SAFETY: chown reads a string; open as above.
    _ = unsafe chown(path, owner, owner)
    slave = unsafe open(path, O_RDWR | O_NOCTTY | O_CLOEXEC)
    var status = stat()
    // SAFETY: the pointer is valid for the duration of the call.
    _ = unsafe fstat(slave, &status)
    device = "\(Self.wide(status.st_dev)):\(Self.wide(status.st_rdev))"
  }

  deinit {
    close(master)
    close(slave)
  }

  /// What has been written to the terminal since the last time.
  func drain() -> String {
    var bytes = [UInt8](repeating: 0, count: 65536)
    var all: [UInt8] = []
    while true {
      // SAFETY: the array is as long as is said.
      let count = unsafe read(master, &bytes, bytes.count)
      if count <= 0 { return String(decoding: all, as: UTF8.self) }
      all += bytes[..<count]
    }
  }

  private static func wide(_ device: dev_t) -> UInt64 {
    // gnu_dev_major and gnu_dev_minor of makedev(3).
    let major = device >> 8 & 0xfff | device >> 32 & ~0xfff
    let minor = device & 0xff | device >> 12 & 0xffff_ff00
    return UInt64(major) << 32 | UInt64(minor)
  }
}
