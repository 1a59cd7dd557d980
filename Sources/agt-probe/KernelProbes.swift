internal import CProbe
internal import Glibc

/// Administration of the kernel: images, modules, programs, host-wide state.
let kernelProbes: [Probe] = [
  Probe(
    call: "kernel.reboot", ring: 0, twin: .root,
    "reboot with a wrong magic number: EINVAL proves that it was let through, nothing reboots"
  ) {
    [call(SYS_reboot, 0, 0, 0, 0)]
  },
  Probe(
    call: "kernel.kexec_load", ring: 0, twin: .root, feature: "CONFIG_KEXEC",
    "kexec_load with invalid flags: EINVAL proves that it was let through"
  ) {
    [call(SYS_kexec_load, 0, 0, 0, 0x8000)]
  },
  Probe(
    call: "kernel.kexec_file_load", ring: 0, twin: .root, feature: "CONFIG_KEXEC_FILE",
    "kexec_file_load with invalid flags: EINVAL proves that it was let through"
  ) {
    [call(SYS_kexec_file_load, -1, -1, 0, 0, 0x8000)]
  },
  Probe(
    call: "kernel.init_module", ring: 0, twin: .root, feature: "CONFIG_MODULES",
    "init_module of an unmapped image: EFAULT proves that it was let through"
  ) {
    [call(SYS_init_module, Memory.unmapped, 4096, Memory.text(""))]
  },
  Probe(
    call: "kernel.finit_module", ring: 0, twin: .root, feature: "CONFIG_MODULES",
    "finit_module of descriptor -1: EBADF proves that it was let through"
  ) {
    [call(SYS_finit_module, -1, Memory.text(""), 0)]
  },
  Probe(
    call: "kernel.delete_module", ring: 0, twin: .root, feature: "CONFIG_MODULES",
    "delete_module of a name that no module has"
  ) {
    [call(SYS_delete_module, Memory.text("agt_probe_absent"), Int(O_NONBLOCK))]
  },
  Probe(
    call: "kernel.bpf", ring: 1, rows: [],
    "create a BPF map; then with an unmapped attribute, EFAULT before EPERM"
  ) {
    // BPF_MAP_CREATE of a BPF_MAP_TYPE_ARRAY: key 4 bytes, value 4 bytes, 1 entry.
    let attribute = Memory.halves([2, 4, 4, 1] + [UInt32](repeating: 0, count: 16))
    return [call(SYS_bpf, 0, attribute, 72), call(SYS_bpf, 0, Memory.unmapped, 72)]
  },
  Probe(
    call: "kernel.perf_event_open", ring: 1, feature: "CONFIG_PERF_EVENTS",
    refusals: [EPERM, ENOSYS],
    "count the own process's page faults: open to everybody at perf_event_paranoid 2"
  ) {
    // struct perf_event_attr: type SOFTWARE, size 64, config PAGE_FAULTS, exclude_kernel and _hv.
    let attribute = Memory.zeroed(128)
    Memory.store(UInt32(1), at: attribute)
    Memory.store(UInt32(64), at: attribute + 4)
    Memory.store(UInt64(2), at: attribute + 8)
    Memory.store(UInt64(1 << 5 | 1 << 6), at: attribute + 40)
    return [
      call(SYS_perf_event_open, attribute, 0, -1, -1, 0),
      call(SYS_perf_event_open, Memory.unmapped, 0, -1, -1, 0),
    ]
  },
  Probe(
    call: "kernel.syslog", ring: 2, twin: .root,
    "ask for the size of the kernel's log"
  ) {
    [call(SYS_syslog, 10, 0, 0)]
  },
  Probe(
    call: "kernel.swapon", ring: 1, twin: .root,
    "swap on a file that does not exist: ENOENT proves that it was let through"
  ) {
    [call(SYS_swapon, Memory.text("/agt-probe/absent"), 0)]
  },
  Probe(
    call: "kernel.swapoff", ring: 1, twin: .root,
    "no longer swap on a file that does not exist"
  ) {
    [call(SYS_swapoff, Memory.text("/agt-probe/absent"))]
  },
  Probe(
    call: "kernel.acct", ring: 1, twin: .root, feature: "CONFIG_BSD_PROCESS_ACCT",
    "account processes to a file that does not exist"
  ) {
    [call(SYS_acct, Memory.text("/agt-probe/absent"))]
  },
  Probe(
    call: "kernel.quotactl", ring: 1, feature: "CONFIG_QUOTACTL",
    "quotactl with a quota type that does not exist: EINVAL comes first"
  ) {
    [call(SYS_quotactl, 0xff, 0, 0, 0)]
  },
  Probe(
    call: "kernel.quotactl_fd", ring: 1, feature: "CONFIG_QUOTACTL",
    "quotactl_fd on descriptor -1: EBADF comes first"
  ) {
    [call(SYS_quotactl_fd, -1, 0, 0, 0)]
  },
  Probe(
    call: "kernel.settimeofday", ring: 1,
    "settimeofday from unmapped memory: EFAULT comes before EPERM; the clock stays"
  ) {
    [call(SYS_settimeofday, Memory.unmapped, 0)]
  },
  Probe(
    call: "kernel.clock_settime", ring: 1,
    "clock_settime from unmapped memory: EFAULT comes before EPERM; the clock stays"
  ) {
    [call(SYS_clock_settime, 0, Memory.unmapped)]
  },
  Probe(
    call: "kernel.adjtimex", ring: 1,
    "adjtimex from unmapped memory; Docker and Podman let everybody read the clock's state by it"
  ) {
    [call(SYS_adjtimex, Memory.unmapped)]
  },
  Probe(
    call: "kernel.clock_adjtime", ring: 1,
    "clock_adjtime from unmapped memory"
  ) {
    [call(SYS_clock_adjtime, 0, Memory.unmapped)]
  },
  Probe(
    "kernel.vhangup", ring: 1, twin: .root, alone: true,
    "hang up the own terminal, after leaving it by setsid"
  ) { _ in
    // As a group leader it keeps its terminal, which a success would take away from a person.
    let session = call(SYS_setsid)
    if session < 0 && open("/dev/tty", O_RDWR | O_NOCTTY) >= 0 {
      return .unavailable("cannot leave its terminal")
    }
    return .judged(call(SYS_vhangup))
  },
  Probe(
    call: "kernel.ioperm", ring: 1, feature: "CONFIG_X86_IOPL_IOPERM",
    "ioperm of an impossible range: EINVAL comes before EPERM"
  ) {
    [call(SYS_ioperm, 0x10000, 1, 1)]
  },
  Probe(
    call: "kernel.iopl", ring: 1, feature: "CONFIG_X86_IOPL_IOPERM",
    "iopl of an impossible level: EINVAL comes before EPERM"
  ) {
    [call(SYS_iopl, 4)]
  },
  Probe(
    call: "kernel.sethostname", ring: 2, twin: .root,
    "set the host name to what it is"
  ) {
    let name = hostName()
    return [call(SYS_sethostname, Memory.text(name), name.utf8.count)]
  },
  Probe(
    call: "kernel.setdomainname", ring: 2, twin: .root,
    "set the domain name with an impossible length: EINVAL proves that it was let through"
  ) {
    [call(SYS_setdomainname, Memory.text(""), -1)]
  },
  Probe(
    call: "kernel.io_uring_setup", ring: 1, rows: [6],
    "set up a ring; open, socket and connect through it are invisible to a filter"
  ) {
    [call(SYS_io_uring_setup, 1, Memory.zeroed(256))]
  },
  Probe(call: "kernel.io_uring_enter", ring: 1, rows: [6], "enter descriptor -1: EBADF") {
    [call(SYS_io_uring_enter, -1, 0, 0, 0, 0, 0)]
  },
  Probe(call: "kernel.io_uring_register", ring: 1, rows: [6], "register on descriptor -1: EBADF") {
    [call(SYS_io_uring_register, -1, 0, 0, 0)]
  },
  Probe(
    call: "kernel.userfaultfd", ring: 2, feature: "CONFIG_USERFAULTFD",
    "user-mode-only userfaultfd: open to everybody, it stretches races in the kernel"
  ) {
    [call(SYS_userfaultfd, Int(O_CLOEXEC) | 1)]
  },
  Probe(
    call: "kernel.fanotify_init", ring: 2, feature: "CONFIG_FANOTIFY",
    "a listener with file handles: open to everybody since 5.13"
  ) {
    [call(SYS_fanotify_init, 0x200, 0)]
  },
  Probe(
    call: "kernel.fanotify_mark", ring: 2, feature: "CONFIG_FANOTIFY",
    "mark on descriptor -1: EBADF"
  ) {
    [call(SYS_fanotify_mark, -1, 1, 1, currentDirectory, Memory.text("/"))]
  },
  Probe(
    call: "kernel.seccomp-filter", ring: 2,
    "install a filter of its own that allows everything"
  ) {
    _ = call(SYS_prctl, 38, 1)
    return [call(SYS_seccomp, 1, 0, allowEverything()), call(SYS_seccomp, 1, 0, Memory.unmapped)]
  },
  Probe(
    call: "kernel.seccomp-listener", ring: 1, rows: [27],
    refusals: [EPERM, ENOSYS, EBUSY],
    "install a nested notification listener: on ties the newest one decides"
  ) {
    _ = call(SYS_prctl, 38, 1)
    return [call(SYS_seccomp, 1, 1 << 3, allowEverything())]
  },
  Probe(
    call: "kernel.prctl-seccomp", ring: 2, refusals: [EPERM, ENOSYS, EINVAL],
    "the same by prctl(PR_SET_SECCOMP), with an unmapped program: EFAULT"
  ) {
    [call(SYS_prctl, 22, 2, Memory.unmapped)]
  },
]

func hostName() -> String {
  // struct utsname: six fields of 65 bytes, the second is the node name.
  let buffer = Memory.zeroed(390)
  _ = call(SYS_uname, buffer)
  return String(
    decoding: Memory.load(count: 65, at: buffer + 65).prefix { $0 != 0 }, as: UTF8.self)
}

/// struct sock_fprog of one instruction: return SECCOMP_RET_ALLOW.
private func allowEverything() -> Int {
  let instruction = Memory.halves([6, 0x7fff_0000])
  return Memory.words([1, UInt64(instruction)])
}
