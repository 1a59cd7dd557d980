internal import Glibc
internal import Kernel
internal import LaunchPlan

/// From a failed step to what would mend it on this machine.
enum Hints {
  /// For a process or thread of our own that could not be made.
  static func forNewProcess(_ error: SyscallError) -> String? {
    error.errno == EAGAIN ? "the limit of processes is reached: ulimit -u, or end some" : nil
  }

  static func hint(for failure: StageFailure) -> String? {
    switch (failure.step, failure.errno) {
    case ("namespaces", ENOSPC):
      return "the limit of namespaces is reached: sysctl -w user.max_user_namespaces=15000"
    case ("namespaces", EPERM), ("namespaces", EACCES), ("uid and gid maps", EPERM),
      ("uid and gid maps", EACCES):
      return namespaceHint()
    case ("out-of-memory score", _):
      return "another sandbox around agt-run forbids it: start agt-run outside of that one"
    case ("namespaces", EAGAIN), ("program", EAGAIN):
      return "the limit of processes is reached: ulimit -u, --pids, or end some"
    case ("namespaces", ENOSYS), ("namespaces", EINVAL):
      return
        "this kernel lacks a namespace: agt doctor says which; --degrade namespaces goes on without"
    case ("standard input", _): return "give it through a pipe: cat FILE | agt-run …"
    case ("transaction", EINVAL) where failure.call.hasPrefix("fsconfig"):
      return
        "the file system of the layers cannot hold them (overlay, network and some FUSE file systems): "
        + "name another place with XDG_STATE_HOME, or mount a disk on /var/lib/agt/txn"
    case ("transaction", ENODEV):
      return "this kernel has no overlay file system: modprobe overlay"
    case ("transaction", ESTALE), ("mounts", ESTALE):
      return "somebody replaced it since the start: run again"
    case ("mounts", EINVAL) where failure.call.contains("IDMAP"),
      ("transaction", EINVAL) where failure.call.contains("IDMAP"):
      return
        "its file system cannot show other owners (9p, some network and FUSE file systems): "
        + "copy the workspace to a local disk, or start agt-run as its owner"
    case ("mounts", EPERM)
    where failure.call == "fsmount" || failure.call == "fsconfig(CMD_CREATE)":
      return
        "an outer container hides parts of /proc: run with an unmasked /proc, or --degrade namespaces"
    case ("mounts", ENOSPC), ("new root", ENOSPC):
      return "no memory for the private file systems: free some, or lower --tmp"
    case ("landlock", _):
      return "agt doctor shows Landlock's state; --degrade landlock goes on without"
    case ("seccomp", EBUSY):
      return
        "an outer sandbox listens to system calls already: --degrade violations refuses them unreported"
    case ("seccomp", _):
      return "agt doctor shows seccomp's state; --degrade seccomp goes on without"
    case ("execute", ENOENT):
      return "its interpreter or loader is not visible in the ring: show it with --read PATH"
    case ("execute", EACCES):
      return
        "it may not be executed in the ring: check its mode, and that it lies in a readable place"
    case ("execute", ENOEXEC):
      return "it is neither a program for this machine nor a script that begins with #!"
    case ("limits", EPERM): return "a limit is above what this user may have: ulimit -Ha"
    default: return nil
    }
  }

  /// Why a new user or mount namespace is refused here, as far as the machine tells.
  static func namespaceHint() -> String {
    if number("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == 1 {
      return
        "AppArmor restricts user namespaces: sudo sysctl -w "
        + "kernel.apparmor_restrict_unprivileged_userns=0, or install agt-run's AppArmor profile"
    }
    if number("/proc/sys/kernel/unprivileged_userns_clone") == 0 {
      return "sudo sysctl -w kernel.unprivileged_userns_clone=1"
    }
    if number("/proc/sys/user/max_user_namespaces") == 0 {
      return "sudo sysctl -w user.max_user_namespaces=15000"
    }
    return
      "an outer container forbids namespaces: start it with them allowed, "
      + "or --degrade namespaces keeps Landlock, seccomp, capabilities and limits"
  }

  static func number(_ path: String) -> Int? {
    guard let text = try? Files.read(ByteString(path), limit: 64).text else { return nil }
    return Int(text.prefix { $0.isNumber })
  }
}
