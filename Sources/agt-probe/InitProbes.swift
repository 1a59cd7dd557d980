internal import CProbe
internal import Glibc

/// Process 1: in a ring it is the launcher, which has seen the host.
let initProbes: [Probe] = [
  Probe("init.environment", ring: 1, rows: [29], "read the environment of process 1") { _ in
    readable("/proc/1/environ")
  },
  Probe(
    "init.executable", ring: 1, rows: [7], twin: .root,
    "open the executable of process 1 for writing: ETXTBSY proves that only its use prevents it"
  ) { _ in
    .judged(open("/proc/1/exe", O_WRONLY), refusals: Outcome.fileRefusals.union([ESRCH]))
  },
  Probe("init.root", ring: 1, rows: [8], needs: [.secret], "read by /proc/1/root") {
    readable("/proc/1/root" + $0.text(.secret))
  },
  Probe("init.working-directory", ring: 1, rows: [8], "list the working directory of process 1") {
    _ in
    .judged(
      names(in: "/proc/1/cwd/").result, refusals: Outcome.fileRefusals.union([ESRCH]))
  },
  Probe(
    "init.memory", ring: 1, rows: [7, 10],
    "open the memory of process 1 for writing"
  ) { _ in
    .judged(open("/proc/1/mem", O_RDWR), refusals: Outcome.fileRefusals.union([ESRCH]))
  },
  Probe(
    "init.descriptors", ring: 1, rows: [7, 27],
    "list the descriptors of process 1"
  ) { _ in
    let listed = names(in: "/proc/1/fd")
    return .judged(listed.result, refusals: Outcome.processRefusals)
  },
  Probe(
    "init.ptrace", ring: 1, rows: [10],
    "attach to process 1 and let go again"
  ) { _ in
    let seized = call(SYS_ptrace, 0x4206, 1, 0, 0)
    if seized < 0 { return .judged(seized, refusals: Outcome.processRefusals) }
    // PTRACE_SEIZE does not stop; the exit of this process detaches.
    return .done("attached to process 1")
  },
  Probe(
    "init.namespaces", ring: 1, rows: [11, 13], twin: .root, alone: true,
    "enter the namespaces of process 1 by its /proc files"
  ) { _ in
    let fd = open("/proc/1/ns/mnt", O_RDONLY)
    if fd < 0 { return .judged(fd, refusals: Outcome.processRefusals) }
    return .judged(call(SYS_setns, fd, 0), refusals: [EPERM, ENOSYS, EACCES])
  },
]
