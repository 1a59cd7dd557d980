internal import CLinux
internal import Glibc

/// Tries what would change this process for good in a child instead.
public enum Trials {
  /// Runs `body` in a forked child and tells how it failed.
  /// - Precondition: the process has one thread.
  /// - Returns: nil when `body` succeeded.
  public static func attempt(
    _ call: String, _ body: () throws(SyscallError) -> Void
  ) throws(SyscallError) -> SyscallError? {
    let pid = try Processes.fork()
    if pid == 0 {
      do throws(SyscallError) {
        try body()
        _exit(0)
      } catch {
        _exit(error.errno == 0 || error.errno > 255 ? 255 : error.errno)
      }
    }
    guard let ended = try Processes.wait(pid, blocking: true) else {
      return SyscallError(call: call, errno: ECHILD)
    }
    switch ended.status {
    case .exited(0): return nil
    case .exited(let code): return SyscallError(call: call, errno: Int32(code))
    default: return SyscallError(call: call, errno: EINTR)
    }
  }

  /// `Linux 6.18.5 x86_64`
  public static func kernelRelease() -> String {
    var name = utsname()
    // SAFETY: uname fills the structure with NUL-terminated strings.
    guard unsafe uname(&name) == 0 else { return "unknown" }
    let release = unsafe withUnsafeBytes(of: &name.release) {
      unsafe String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
    }
    let machine = unsafe withUnsafeBytes(of: &name.machine) {
      unsafe String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
    }
    return "Linux \(release) \(machine)"
  }
}
