internal import CProbe
internal import Glibc

/// Reaching a process outside. Its number is the host's; inside a pid namespace it means nobody.
/// SIGWINCH needs the same right as any signal and is ignored by default.
let processProbes: [Probe] = [
  Probe("process.kill", ring: 1, needs: [.pid], "signal a process outside") {
    .judged(call(SYS_kill, $0.number(.pid), harmless), refusals: Outcome.processRefusals)
  },
  Probe("process.tkill", ring: 1, needs: [.pid], "the same by tkill") {
    .judged(call(SYS_tkill, $0.number(.pid), harmless), refusals: Outcome.processRefusals)
  },
  Probe("process.tgkill", ring: 1, needs: [.pid], "the same by tgkill") {
    let pid = $0.number(.pid)
    return .judged(call(SYS_tgkill, pid, pid, harmless), refusals: Outcome.processRefusals)
  },
  Probe("process.queue-signal", ring: 1, needs: [.pid], "the same by rt_sigqueueinfo") {
    // struct siginfo: si_signo, si_errno, si_code SI_QUEUE.
    let information = Memory.halves(
      [UInt32(harmless), 0, UInt32.max] + [UInt32](repeating: 0, count: 29))
    return .judged(
      call(SYS_rt_sigqueueinfo, $0.number(.pid), harmless, information),
      refusals: Outcome.processRefusals)
  },
  Probe("process.pidfd-open", ring: 1, needs: [.pid], "open a process outside by pidfd_open") {
    .judged(call(SYS_pidfd_open, $0.number(.pid), 0), refusals: Outcome.processRefusals)
  },
  Probe(
    "process.pidfd-signal", ring: 1, needs: [.pid], "signal by a descriptor of its /proc directory"
  ) {
    let fd = open("/proc/\($0.number(.pid))", O_RDONLY | O_DIRECTORY)
    if fd < 0 { return .judged(fd, refusals: Outcome.processRefusals) }
    return .judged(
      call(SYS_pidfd_send_signal, fd, harmless, 0, 0), refusals: Outcome.processRefusals)
  },
  Probe(
    "process.sigio", ring: 1, needs: [.pid],
    "have the kernel send the signal: F_SETOWN, F_SETSIG and O_ASYNC"
  ) {
    guard let pair = socketPair() else { return .unavailable("socketpair") }
    let owner = call(SYS_fcntl, pair.0, 8, $0.number(.pid))
    if owner < 0 { return .judged(owner, refusals: Outcome.processRefusals) }
    if call(SYS_fcntl, pair.0, 9, 0) == 0 && $0.number(.pid) != 0 {
      return .refused("the owner was not set", errno: ESRCH)
    }
    _ = call(SYS_fcntl, pair.0, 10, harmless)
    _ = call(SYS_fcntl, pair.0, 4, 0o20000)
    return .judged(write(pair.1, [0]), refusals: Outcome.processRefusals)
  },
  Probe("process.ptrace", ring: 1, rows: [10], needs: [.pid], "attach to a process outside") {
    .judged(call(SYS_ptrace, 0x4206, $0.number(.pid), 0, 0), refusals: Outcome.processRefusals)
  },
  Probe("process.read-memory", ring: 1, needs: [.pid], "read the memory of a process outside") {
    // The answer for a process that may be read but has nothing at the address is EFAULT.
    let vector = Memory.words([UInt64(Memory.zeroed(8)), 8])
    return .judged(
      call(SYS_process_vm_readv, $0.number(.pid), vector, 1, vector, 1, 0),
      refusals: Outcome.processRefusals)
  },
  Probe("process.open-memory", ring: 1, needs: [.pid], "open the memory of a process outside") {
    .judged(open("/proc/\($0.number(.pid))/mem", O_RDONLY), refusals: Outcome.processRefusals)
  },
  Probe(
    "process.take-descriptor", ring: 1, rows: [27], needs: [.pid],
    "take a descriptor of a process outside"
  ) {
    let fd = call(SYS_pidfd_open, $0.number(.pid), 0)
    if fd < 0 { return .judged(fd, refusals: Outcome.processRefusals) }
    return .judged(call(SYS_pidfd_getfd, fd, 0, 0), refusals: Outcome.processRefusals)
  },
  Probe("process.limits", ring: 1, needs: [.pid], "read the limits of a process outside") {
    .judged(
      call(SYS_prlimit64, $0.number(.pid), 7, 0, Memory.zeroed(16)),
      refusals: Outcome.processRefusals)
  },
  Probe("process.priority", ring: 1, needs: [.pid], "lower the priority of a process outside") {
    .judged(call(SYS_setpriority, 0, $0.number(.pid), 1), refusals: Outcome.processRefusals)
  },
  Probe("process.affinity", ring: 1, needs: [.pid], "pin a process outside") {
    let mask = Memory.zeroed(128)
    let pid = $0.number(.pid)
    let read = call(SYS_sched_getaffinity, pid, 128, mask)
    if read < 0 { return .judged(read, refusals: Outcome.processRefusals) }
    return .judged(
      call(SYS_sched_setaffinity, pid, 128, mask), refusals: Outcome.processRefusals)
  },
  Probe("process.scheduler", ring: 1, needs: [.pid], "make a process outside a batch process") {
    .judged(
      call(SYS_sched_setscheduler, $0.number(.pid), 3, Memory.zeroed(8)),
      refusals: Outcome.processRefusals)
  },
  Probe(
    "process.io-priority", ring: 1, needs: [.pid], "lower the I/O priority of a process outside"
  ) {
    .judged(
      call(SYS_ioprio_set, 1, $0.number(.pid), 2 << 13 | 7), refusals: Outcome.processRefusals)
  },
  Probe(
    "process.group-of", ring: 1, needs: [.pid], "ask for the process group of a process outside"
  ) {
    .judged(call(SYS_getpgid, $0.number(.pid)), refusals: Outcome.processRefusals)
  },
  Probe("process.session-of", ring: 1, needs: [.pid], "ask for the session of a process outside") {
    .judged(call(SYS_getsid, $0.number(.pid)), refusals: Outcome.processRefusals)
  },
  Probe("process.performance", ring: 1, needs: [.pid], "count the page faults of a process outside")
  {
    let attribute = Memory.zeroed(128)
    Memory.store(UInt32(1), at: attribute)
    Memory.store(UInt32(64), at: attribute + 4)
    Memory.store(UInt64(2), at: attribute + 8)
    Memory.store(UInt64(1 << 5 | 1 << 6), at: attribute + 40)
    return .judged(
      call(SYS_perf_event_open, attribute, $0.number(.pid), -1, -1, 0),
      refusals: Outcome.processRefusals)
  },
  Probe("process.robust-list", ring: 1, needs: [.pid], "learn an address in a process outside") {
    .judged(
      call(SYS_get_robust_list, $0.number(.pid), Memory.zeroed(8), Memory.zeroed(8)),
      refusals: Outcome.processRefusals)
  },
  Probe(
    "process.realtime", ring: 1, twin: .root,
    "become a real-time process"
  ) { _ in
    let set = call(SYS_sched_setscheduler, 0, 1, Memory.halves([1]))
    if set == 0 { _ = call(SYS_sched_setscheduler, 0, 0, Memory.halves([0])) }
    return .judged(set)
  },
  Probe("process.deadline", ring: 1, twin: .root, "become a deadline process") { _ in
    // struct sched_attr: size 48, policy 6, flags, nice, priority, runtime, deadline, period.
    let attribute = Memory.words(
      [48 | 6 << 32, 0, 0, 10_000_000, 100_000_000, 100_000_000])
    let set = call(SYS_sched_setattr, 0, attribute, 0)
    if set == 0 { _ = call(SYS_sched_setscheduler, 0, 0, Memory.halves([0])) }
    return .judged(set)
  },
  Probe("process.nice", ring: 1, twin: .root, "raise the own priority") { _ in
    // The kernel's getpriority answers 20 − nice.
    let before = 20 - call(SYS_getpriority, 0, 0)
    let set = call(SYS_setpriority, 0, 0, before - 1)
    if set == 0 { _ = call(SYS_setpriority, 0, 0, before) }
    return .judged(set, refusals: [EPERM, EACCES, ENOSYS])
  },
  Probe("process.io-realtime", ring: 1, twin: .root, "take the real-time I/O class") { _ in
    let set = call(SYS_ioprio_set, 1, 0, 1 << 13)
    if set == 0 { _ = call(SYS_ioprio_set, 1, 0, 0) }
    return .judged(set)
  },
  Probe("process.fork", ring: 3, "a child, by fork") { _ in
    let pid = Int(probe_fork())
    if pid == 0 { leave(0) }
    if pid > 0 { _ = wait(for: pid) }
    return .judged(pid, refusals: singleProcessRefusals)
  },
  Probe("process.vfork", ring: 3, "a child, by vfork") { _ in
    waited(Int(probe_vfork()))
  },
  Probe("process.clone", ring: 3, "a child, by clone without a signal") { _ in
    waited(Int(probe_clone(0, 0)))
  },
  Probe("process.clone-shared", ring: 3, "a child that shares memory and files but is no thread") {
    _ in
    let stack = Memory.zeroed(65536) + 65536
    return waited(Int(probe_clone(0x100 | 0x200 | 0x400 | 0x800 | Int(SIGCHLD), stack)))
  },
  Probe(
    "process.clone-sibling", ring: 3, "a child of the own parent: CLONE_PARENT"
  ) { _ in
    // The launcher reaps it, or, on the host, the shell that waits for everything.
    .judged(Int(probe_clone(0x8000 | Int(SIGCHLD), 0)), refusals: singleProcessRefusals)
  },
  Probe("process.clone-untraced", ring: 3, "a child, by clone with bits above the 32 that count") {
    _ in
    waited(Int(probe_clone(1 << 40 | Int(SIGCHLD), 0)))
  },
  Probe(
    "process.kill-group", ring: 1, needs: [.mark], judge: .effect,
    "signal the own process group: a member outside dies of it"
  ) { _ in
    probe_ignore(Int(SIGUSR1), 1)
    return .judged(call(SYS_kill, 0, Int(SIGUSR1)))
  },
]

private let harmless = Int(SIGWINCH)
private let singleProcessRefusals: Set<Int32> = [EPERM, ENOSYS, EAGAIN]

private func waited(_ pid: Int) -> Outcome {
  // __WALL: also a child that sends no signal when it ends.
  if pid > 0 { _ = call(SYS_wait4, pid, 0, 0x4000_0000, 0) }
  return .judged(pid, refusals: singleProcessRefusals)
}
