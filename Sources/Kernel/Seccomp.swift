internal import CLinux
internal import Glibc

/// seccomp(2) and seccomp_unotify(2).
public enum Seccomp {
  /// Installs a program; from here on every call is judged by it.
  /// - Parameters:
  ///   - instructions: struct sock_filter, 8 bytes each, at most 4096 of them (BPF_MAXINSNS).
  ///   - listener: with a listener for SECCOMP_RET_USER_NOTIF; EBUSY when an ancestor has one already.
  /// - Returns: the listener, close-on-exec.
  public static func install(_ instructions: [UInt8], listener: Bool) throws(SyscallError)
    -> OwnedFD?
  {
    guard instructions.count % 8 == 0, (8...4096 * 8).contains(instructions.count) else {
      throw SyscallError(call: "seccomp", object: "\(instructions.count) bytes", errno: EINVAL)
    }
    let flags = listener ? AGT_SECCOMP_FLAG_NEW_LISTENER | AGT_SECCOMP_FLAG_WAIT_KILLABLE_RECV : 0
    // SAFETY: the kernel copies the program during the call.
    let result = unsafe instructions.withUnsafeBytes {
      unsafe agt_seccomp_set_filter(flags, $0.baseAddress, UInt16($0.count / 8))
    }
    let descriptor = try check(result, "seccomp(SECCOMP_SET_MODE_FILTER)")
    return listener ? OwnedFD(descriptor) : nil
  }

  /// Numbers of the calls that wait for events, reap, count, signal, take memory and end.
  public static var callsOfRingInit: [UInt32] {
    [
      AGT_SYS_read, AGT_SYS_close, AGT_SYS_sendmsg, AGT_SYS_recvmsg, AGT_SYS_epoll_create1,
      AGT_SYS_epoll_ctl, AGT_SYS_epoll_pwait, AGT_SYS_wait4, AGT_SYS_kill, AGT_SYS_getpid,
      AGT_SYS_gettid, AGT_SYS_exit_group, AGT_SYS_rt_sigreturn, AGT_SYS_mmap, AGT_SYS_munmap,
      AGT_SYS_mremap, AGT_SYS_mprotect, AGT_SYS_brk, AGT_SYS_madvise, AGT_SYS_futex,
      AGT_SYS_getrandom, AGT_SYS_restart_syscall, AGT_SYS_epoll_wait,
      AGT_SYS_getrusage,
    ].map { UInt32($0.rawValue) }
  }

  /// A call that waits for an answer.
  public struct Notification: Equatable, Sendable {
    public let id: UInt64
    /// The caller as seen from this process's pid namespace; 0 when it is not visible.
    public let pid: Int32
    public let architecture: UInt32
    public let number: Int32
    public let arguments: [UInt64]
  }

  /// The next call; nil when its caller died meanwhile.
  public static func receive(_ listener: Int32) throws(SyscallError) -> Notification? {
    var raw = seccomp_notif()
    // SAFETY: the kernel fills the structure that we own.
    if unsafe agt_seccomp_receive(listener, &raw) != 0 {
      if errno == ENOENT || errno == EINTR || errno == EAGAIN { return nil }
      throw SyscallError(call: "ioctl(SECCOMP_IOCTL_NOTIF_RECV)", errno: errno)
    }
    let a = raw.data.args
    return Notification(
      id: raw.id, pid: Int32(bitPattern: raw.pid), architecture: raw.data.arch, number: raw.data.nr,
      arguments: [a.0, a.1, a.2, a.3, a.4, a.5])
  }

  /// Refuses the call with a positive errno; false when the caller is gone.
  public static func refuse(_ listener: Int32, id: UInt64, errno value: Int32) -> Bool {
    agt_seccomp_respond(listener, id, value) == 0
  }

  /// Whether the caller still waits, so that what was read of its /proc is its own.
  public static func isPending(_ listener: Int32, id: UInt64) -> Bool {
    agt_seccomp_valid(listener, id) == 0
  }
}
