internal import CProbe
internal import Glibc

/// New namespaces: capabilities for free, and with them the attack surface of CVE-2022-0185 and
/// CVE-2024-1086. The flags are those of clone(2).
private let namespaceFlags: [(name: String, flag: Int, ring: Int)] = [
  ("user", newUser, 1),
  ("mount", 0x0002_0000, 2),
  ("net", 0x4000_0000, 2),
  ("pid", 0x2000_0000, 2),
  ("ipc", 0x0800_0000, 2),
  ("uts", 0x0400_0000, 2),
  ("cgroup", 0x0200_0000, 2),
  ("time", 0x0000_0080, 2),
]

private let newUser = 0x1000_0000

let namespaceProbes: [Probe] =
  namespaceFlags.map { entry in
    Probe(
      "namespace.unshare-\(entry.name)", ring: entry.ring, rows: [13], alone: true,
      "unshare a \(entry.name) namespace; with a flag that unshare lacks, EINVAL before EPERM"
    ) { _ in
      .worst([
        .judged(call(SYS_unshare, entry.flag)),
        .judged(call(SYS_unshare, entry.flag | cloneParent)),
        .judged(call(SYS_unshare, entry.flag | 1 << 40)),
      ])
    }
  }
  + namespaceFlags.filter { $0.name != "time" }.map { entry in
    Probe(
      "namespace.clone-\(entry.name)", ring: entry.ring, rows: [13],
      "a child in a new \(entry.name) namespace; with an impossible flag, EINVAL before EPERM"
    ) { _ in
      .worst([
        .judged(cloneAndWait(entry.flag)),
        .judged(cloneAndWait(entry.flag | 1 << 40)),
        .judged(cloneAndWait(entry.flag | cloneSignalHandlers)),
      ])
    }
  } + [
    Probe(
      call: "namespace.clone3", ring: 1, rows: [13],
      "clone3 of no size: EINVAL; its flags are behind a pointer that no filter can follow"
    ) {
      [call(SYS_clone3, 0, 0)]
    },
    Probe(
      "namespace.clone3-user", ring: 1, rows: [13],
      "clone3 of a child in a new user namespace"
    ) { _ in
      // struct clone_args, version 0: flags, pidfd, child_tid, parent_tid, exit_signal, stack,
      // stack_size, tls. Without a stack the child goes on from here, as after fork.
      let arguments = Memory.words([UInt64(newUser), 0, 0, 0, UInt64(SIGCHLD), 0, 0, 0])
      let pid = call(SYS_clone3, arguments, 64)
      if pid == 0 { leave(0) }
      if pid > 0 { _ = wait(for: pid) }
      return .judged(pid)
    },
    Probe(
      call: "namespace.setns", ring: 2, rows: [11, 13],
      "setns on descriptor -1: EBADF"
    ) {
      [call(SYS_setns, -1, 0)]
    },
    Probe(
      "namespace.setns-own", ring: 2, rows: [11, 13], twin: .root, alone: true,
      "enter the own network namespace again by /proc/self/ns"
    ) { _ in
      let fd = open("/proc/self/ns/net", O_RDONLY)
      if fd < 0 { return .judged(fd, refusals: Outcome.fileRefusals) }
      return .judged(call(SYS_setns, fd, 0))
    },
    Probe(
      "namespace.map-root", ring: 1, rows: [13], alone: true,
      "become uid 0 with all capabilities in a user namespace of its own"
    ) { _ in
      let uid = identity().uid
      let unshared = call(SYS_unshare, newUser)
      if unshared < 0 { return .judged(unshared) }
      let map = open("/proc/self/uid_map", O_WRONLY)
      if map < 0 { return .judged(map, refusals: Outcome.fileRefusals) }
      return .judged(write(map, Array("0 \(uid) 1".utf8)))
    },
  ]

/// A flag of clone(2) that unshare(2) does not have.
private let cloneParent = 0x8000
/// CLONE_SIGHAND, which clone(2) refuses without CLONE_VM.
private let cloneSignalHandlers = 0x800

private func cloneAndWait(_ flags: Int) -> Int {
  let pid = Int(probe_clone(flags | Int(SIGCHLD), 0))
  if pid > 0 { _ = wait(for: pid) }
  return pid
}

/// The parent of the program as it was started: the launcher in a ring. `run-all` reads it before
/// its first child, for whom the parent is another one.
let launcherPID = call(SYS_getppid)

/// Seeing into other processes.
let introspectionProbes: [Probe] = [
  Probe(
    call: "introspection.ptrace", ring: 1, rows: [10], refusals: [EPERM, ENOSYS],
    "attach to a process that does not exist: ESRCH"
  ) {
    [call(SYS_ptrace, 16, 0x3fff_ff00, 0, 0), call(SYS_ptrace, 0x4206, 0x3fff_ff00, 0, 0)]
  },
  Probe(
    "introspection.ptrace-me", ring: 3, alone: true,
    "be traced by the parent, who could then lift the filter from outside"
  ) { _ in
    .judged(call(SYS_ptrace, 0, 0, 0, 0))
  },
  Probe(
    call: "introspection.process_vm_readv", ring: 3,
    "read the own memory by process_vm_readv"
  ) {
    vectorAttempts(SYS_process_vm_readv)
  },
  Probe(
    call: "introspection.process_vm_writev", ring: 3,
    "write the own memory by process_vm_writev"
  ) {
    vectorAttempts(SYS_process_vm_writev)
  },
  Probe(call: "introspection.process_madvise", ring: 3, "process_madvise: EBADF") {
    [call(SYS_process_madvise, -1, Memory.zeroed(16), 1, 0, 0)]
  },
  Probe(call: "introspection.process_mrelease", ring: 3, "process_mrelease: EBADF") {
    [call(SYS_process_mrelease, -1, 0)]
  },
  Probe(call: "introspection.pidfd_getfd", ring: 3, "pidfd_getfd: EBADF") {
    [call(SYS_pidfd_getfd, -1, 0, 0)]
  },
  Probe(
    call: "introspection.kcmp", ring: 3, feature: "CONFIG_KCMP",
    "compare two of the own descriptors"
  ) {
    [call(SYS_kcmp, call(SYS_getpid), call(SYS_getpid), 0, 0, 0)]
  },
  Probe(
    "introspection.parent-fds", ring: 1, rows: [7, 27], twin: .anyone,
    "list the descriptors of the parent, which is the launcher"
  ) { _ in
    let listed = names(in: "/proc/\(launcherPID)/fd")
    return .judged(listed.result, refusals: Outcome.processRefusals, "\(listed.names.count)")
  },
  Probe(
    "introspection.parent-memory", ring: 1, rows: [7, 10],
    "open the parent's memory"
  ) { _ in
    .judged(
      open("/proc/\(launcherPID)/mem", O_RDONLY), refusals: Outcome.processRefusals)
  },
]

/// struct iovec of 8 bytes to 8 bytes of the own memory.
private func vectorAttempts(_ number: Int32) -> [Int] {
  let local = Memory.words([UInt64(Memory.zeroed(8)), 8])
  let remote = Memory.words([UInt64(Memory.zeroed(8)), 8])
  return [call(number, call(SYS_getpid), local, 1, remote, 1, 0)]
}
