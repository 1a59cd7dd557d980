internal import CProbe
internal import Glibc

/// The kernel's own file systems.
let procProbes: [Probe] = [
  Probe(
    "proc.environment-scan", ring: 1, rows: [29], needs: [.token],
    "find the caller's secret in the environment of any other process"
  ) { fixtures in
    scan(fixtures.text(.token), "environ")
  },
  Probe(
    "proc.arguments-scan", ring: 1, needs: [.pid],
    "see the arguments of a process outside"
  ) { fixtures in
    readable("/proc/\(fixtures.number(.pid))/cmdline")
  },
  Probe("proc.stat-outside", ring: 1, needs: [.pid], "see the state of a process outside") {
    readable("/proc/\($0.number(.pid))/stat")
  },
  Probe(
    "proc.launcher-executable", ring: 1, rows: [7], twin: .root,
    "open the launcher's executable for writing (CVE-2019-5736)"
  ) { _ in
    .judged(
      open("/proc/\(launcherPID)/exe", O_WRONLY), refusals: Outcome.fileRefusals.union([ESRCH]))
  },
  Probe("proc.core-pattern", ring: 1, twin: .root, "open core_pattern for writing: a root shell") {
    _ in
    .judged(open("/proc/sys/kernel/core_pattern", O_WRONLY), refusals: Outcome.fileRefusals)
  },
  Probe(
    "proc.modprobe", ring: 1, twin: .root, feature: "CONFIG_MODULES",
    "open kernel.modprobe for writing: a root shell"
  ) { _ in
    .judged(open("/proc/sys/kernel/modprobe", O_WRONLY), refusals: Outcome.fileRefusals)
  },
  Probe(
    "proc.binfmt", ring: 1, twin: .root, feature: "CONFIG_BINFMT_MISC mounted",
    "open binfmt_misc/register for writing"
  ) { _ in
    .judged(
      open("/proc/sys/fs/binfmt_misc/register", O_WRONLY), refusals: Outcome.fileRefusals)
  },
  Probe(
    "proc.any-sysctl", ring: 1, twin: .root,
    "open any sysctl for writing: uid 0 without capabilities still may open 17 of them"
  ) { _ in
    var budget = 4000
    if let path = writable(below: "/proc/sys", &budget) { return .done(path) }
    return .refused("\(4000 - budget) files", errno: EACCES)
  },
  Probe(
    "proc.sysrq-trigger", ring: 1, twin: .root, feature: "CONFIG_MAGIC_SYSRQ",
    "open sysrq-trigger for writing"
  ) { _ in
    .judged(open("/proc/sysrq-trigger", O_WRONLY), refusals: Outcome.fileRefusals)
  },
  Probe(
    "proc.kcore", ring: 1, twin: .root, feature: "CONFIG_PROC_KCORE", "open the kernel's memory"
  ) { _ in
    .judged(open("/proc/kcore", O_RDONLY), refusals: Outcome.fileRefusals)
  },
  Probe("proc.kmsg", ring: 1, twin: .root, "open the kernel's log") { _ in
    .judged(open("/proc/kmsg", O_RDONLY | O_NONBLOCK), refusals: Outcome.fileRefusals)
  },
  Probe(
    "proc.kpagecount", ring: 1, twin: .root, feature: "CONFIG_PROC_PAGE_MONITOR",
    "open the page counts, which uid 0 without capabilities may"
  ) { _ in
    .judged(open("/proc/kpagecount", O_RDONLY), refusals: Outcome.fileRefusals)
  },
  Probe(
    "proc.kernel-addresses", ring: 1, twin: .root,
    "read a kernel address that is not zeroed from kallsyms"
  ) { _ in
    let read = contents("/proc/kallsyms", limit: 256)
    if read.result < 0 { return .judged(read.result, refusals: Outcome.fileRefusals) }
    let address = read.bytes.prefix { $0 != UInt8(ascii: " ") }
    return .state(address.contains { $0 != UInt8(ascii: "0") }, "kallsyms")
  },
  Probe("proc.timer-list", ring: 1, twin: .root, "read every timer of the machine") { _ in
    readable("/proc/timer_list")
  },
  Probe("proc.config", ring: 3, feature: "CONFIG_IKCONFIG_PROC", "read the kernel's configuration")
  { _ in
    readable("/proc/config.gz")
  },
  Probe("proc.command-line", ring: 3, "read the kernel's command line") { _ in
    readable("/proc/cmdline")
  },
  Probe("proc.diskstats", ring: 3, "read the machine's disk activity") { _ in
    readable("/proc/diskstats")
  },
  Probe("proc.key-users", ring: 3, feature: "CONFIG_KEYS", "read how many keys each user has") {
    _ in
    readable("/proc/key-users")
  },
  Probe(
    "proc.scheduler", ring: 2, twin: .root, feature: "CONFIG_SCHEDSTATS",
    "read the scheduler's statistics"
  ) { _ in
    readable("/proc/schedstat")
  },
  Probe(
    "proc.oom-score", ring: 1, twin: .root, feature: "CAP_SYS_RESOURCE",
    "ask to be spared when memory runs out"
  ) { _ in
    let path = "/proc/self/oom_score_adj"
    let before = contents(path).bytes
    let fd = open(path, O_WRONLY)
    if fd < 0 { return .judged(fd, refusals: Outcome.fileRefusals) }
    let set = write(fd, Array("-1".utf8))
    if set > 0 { _ = write(fd, before) }
    return .judged(set, refusals: [EPERM, EACCES, ENOSYS])
  },
  Probe(
    "proc.login-uid", ring: 1, twin: .root, feature: "CONFIG_AUDITSYSCALL",
    "become another user in the audit log"
  ) { _ in
    let fd = open("/proc/self/loginuid", O_WRONLY)
    if fd < 0 { return .judged(fd, refusals: Outcome.fileRefusals) }
    return .judged(write(fd, Array("61233".utf8)), refusals: [EPERM, EACCES, ENOSYS, EINVAL])
  },
  Probe("sys.list", ring: 1, "list /sys") { _ in
    let listed = names(in: "/sys")
    if listed.result == 0 && listed.names.isEmpty { return .refused("/sys is empty") }
    return .judged(listed.result, refusals: Outcome.fileRefusals)
  },
  Probe(
    "sys.uevent-helper", ring: 1, twin: .root, feature: "CONFIG_UEVENT_HELPER",
    "open uevent_helper for writing: a root shell"
  ) { _ in
    .judged(open("/sys/kernel/uevent_helper", O_WRONLY), refusals: Outcome.fileRefusals)
  },
  Probe(
    "sys.debug", ring: 1, twin: .root, feature: "debugfs or tracefs mounted",
    "list debugfs and tracefs"
  ) { _ in
    let found = ["/sys/kernel/debug", "/sys/kernel/tracing"].first { !names(in: $0).names.isEmpty }
    return found.map { .done($0) } ?? .refused("absent or empty", errno: ENOENT)
  },
  Probe("sys.cgroup", ring: 1, rows: [12], "list the control groups") { _ in
    let listed = names(in: "/sys/fs/cgroup")
    if listed.result == 0 && listed.names.isEmpty { return .refused("empty", errno: ENOENT) }
    return .judged(listed.result, refusals: Outcome.fileRefusals)
  },
  Probe(
    "sys.cgroup-move", ring: 1, rows: [12], twin: .root,
    "open a control group's list of processes for writing, wherever one is mounted"
  ) { _ in
    let text = String(
      decoding: contents("/proc/self/mountinfo", limit: 1 << 20).bytes, as: UTF8.self)
    for line in text.split(separator: "\n") where contains(String(line), " - cgroup") {
      // mountinfo of proc(5): the fifth field is the mount point.
      let fields = line.split(separator: " ")
      if fields.count > 4, open("\(fields[4])/cgroup.procs", O_WRONLY) >= 0 {
        return .done("\(fields[4])/cgroup.procs")
      }
    }
    return .refused("none can be opened", errno: EACCES)
  },
]

/// Sysctls that belong to the ring's own namespaces; writing them reaches nobody else.
private let ownSysctls = ["/proc/sys/kernel/pid_max", "/proc/sys/kernel/ns_last_pid"]

private func writable(below path: String, _ budget: inout Int) -> String? {
  for name in names(in: path).names.sorted() where budget > 0 {
    let child = path + "/" + name
    guard let status = status(child).1 else { continue }
    if status.isDirectory {
      if let found = writable(below: child, &budget) { return found }
    } else if !ownSysctls.contains(child) {
      budget -= 1
      let fd = open(child, O_WRONLY | O_NONBLOCK)
      if fd >= 0 {
        close(fd)
        return child
      }
    }
  }
  return nil
}

/// Looks for `token` in one file of every process but the own ones.
private func scan(_ token: String, _ file: String) -> Outcome {
  let own = call(SYS_getpid)
  var seen = 0
  for name in names(in: "/proc").names {
    guard let pid = Int(name), pid != own, pid != call(SYS_getppid) || pid == launcherPID else {
      continue
    }
    let read = contents("/proc/\(pid)/\(file)", limit: 1 << 17)
    if read.result <= 0 { continue }
    seen += 1
    if contains(String(decoding: read.bytes, as: UTF8.self), token) {
      return .done("process \(pid)")
    }
  }
  return .refused("\(seen) processes read", errno: EACCES)
}
