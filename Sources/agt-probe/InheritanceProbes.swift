internal import CProbe
internal import Glibc

/// What the caller must not hand down: descriptors, environment, signals, identity.
let inheritanceProbes: [Probe] = [
  Probe("descriptor.inherited", ring: 1, rows: [8, 27], "have any descriptor beside 0, 1 and 2") {
    _ in
    let listed = names(in: "/proc/self/fd")
    // The listing's own descriptor is among the names and closed by now.
    let open = listed.result == 0 ? listed.names.compactMap { Int($0) } : Array(0..<4096)
    let extra = open.sorted().filter { $0 > 2 && call(SYS_fcntl, $0, 1) >= 0 }
    let targets = extra.map { "\($0) \(linkTarget("/proc/self/fd/\($0)") ?? "")" }
    return .state(!extra.isEmpty, targets.joined(separator: ", "))
  },
  Probe(
    "descriptor.directory", ring: 1, rows: [8],
    "climb from any open directory to the host's root (CVE-2024-21626)"
  ) { _ in
    for fd in 0..<256 where status(fd: fd).1?.isDirectory == true {
      return .done("descriptor \(fd): \(linkTarget("/proc/self/fd/\(fd)") ?? "")")
    }
    return .refused("no directory is open", errno: EBADF)
  },
  Probe(
    "descriptor.reopen-input", ring: 2, needs: [.secret],
    "open descriptor 0, a host file open for reading, again for writing"
  ) { _ in
    guard status(fd: 0).1?.isRegular == true else {
      return .unavailable("descriptor 0 is no regular file")
    }
    return .judged(
      open("/proc/self/fd/0", O_WRONLY | O_APPEND), refusals: Outcome.fileRefusals)
  },
  Probe(
    "descriptor.change-input", ring: 2, needs: [.secret],
    "change the mode and an attribute of descriptor 0, a host file open for reading"
  ) { _ in
    guard status(fd: 0).1?.isRegular == true else {
      return .unavailable("descriptor 0 is no regular file")
    }
    return .worst([
      .judged(call(SYS_fchmod, 0, 0o666), refusals: Outcome.fileRefusals),
      .judged(
        call(SYS_fsetxattr, 0, Memory.text("user.agt-probe"), Memory.text("x"), 1, 0),
        refusals: Outcome.fileRefusals.union([EOPNOTSUPP])),
    ])
  },
  Probe(
    "descriptor.input-neighbours", ring: 2, needs: [.secret],
    "find the directory of descriptor 0 by its magic link and .."
  ) { _ in
    guard status(fd: 0).1?.isRegular == true, let path = linkTarget("/proc/self/fd/0") else {
      return .unavailable("descriptor 0 is no regular file")
    }
    // A file that is its own mount's root has no directory above it.
    if path == "/" { return .refused("the link tells no path") }
    return readable(path)
  },
  Probe(
    "working-directory.unreachable", ring: 1, rows: [8], twin: .root,
    "have a working directory that is not below the own root"
  ) { _ in
    let path = workingDirectory()
    return .state(!path.hasPrefix("/"), path)
  },
  Probe(
    "environment.secret", ring: 1, rows: [29], needs: [.token],
    "find the caller's secret in the own environment"
  ) { fixtures in
    let token = fixtures.text(.token)
    let found = Memory.environment().first { contains($0, token) }
    return .state(found != nil, found.map { String($0.prefix { $0 != "=" }) } ?? "")
  },
  Probe(
    "environment.loader", ring: 1, rows: [29], needs: [.token],
    "inherit variables by which programs load code or reach agents"
  ) { _ in
    let names = [
      "LD_PRELOAD", "LD_LIBRARY_PATH", "LD_AUDIT", "BASH_ENV", "ENV", "PYTHONSTARTUP",
      "PYTHONPATH", "NODE_OPTIONS", "PERL5OPT", "RUBYOPT", "GIT_SSH_COMMAND", "SSH_AUTH_SOCK",
      "DBUS_SESSION_BUS_ADDRESS", "XDG_RUNTIME_DIR", "DISPLAY", "AWS_SECRET_ACCESS_KEY",
      "DOCKER_HOST", "KUBECONFIG",
    ]
    let found = Memory.environment().map { String($0.prefix { $0 != "=" }) }
      .filter { names.contains($0) }
    return .state(!found.isEmpty, found.joined(separator: " "))
  },
  Probe("signals.ignored", ring: 1, needs: [.token], "inherit ignored signals: SIGUSR2 of the test")
  { _ in
    let mask = UInt64(processField("SigIgn") ?? "0", radix: 16) ?? 0
    return .state(mask & 1 << UInt64(SIGUSR2 - 1) != 0, "SigIgn \(String(mask, radix: 16))")
  },
  Probe("signals.blocked", ring: 1, needs: [.token], "inherit blocked signals: SIGURG of the test")
  { _ in
    let mask = UInt64(processField("SigBlk") ?? "0", radix: 16) ?? 0
    return .state(mask & 1 << UInt64(SIGURG - 1) != 0, "SigBlk \(String(mask, radix: 16))")
  },
  Probe("limits.core", ring: 1, "be allowed to leave a core file") { _ in
    let hard = limit(4).hard
    return .state(hard != 0, hard == UInt64.max ? "unlimited" : "\(hard) bytes")
  },
  Probe("limits.raise-core", ring: 1, "raise the limit of core files") { _ in raised(4, by: 4096) },
  Probe(
    "limits.raise-files", ring: 1, twin: .root, feature: "CAP_SYS_RESOURCE",
    "raise the hard limit of descriptors"
  ) { _ in
    raised(7, by: 1)
  },
  Probe(
    "limits.raise-locked-memory", ring: 1, twin: .root, feature: "CAP_SYS_RESOURCE",
    "raise the hard limit of locked memory"
  ) { _ in
    raised(8, by: 4096)
  },
]

/// Who the program is and what it may gain.
let identityProbes: [Probe] = [
  Probe("identity.capabilities", ring: 1, "have a capability in any of the five sets") { _ in
    let sets = ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"].map {
      ($0, processField($0) ?? "absent")
    }
    let held = sets.filter { $0.1 == "absent" || $0.1.contains { $0 != "0" } }
    return .state(!held.isEmpty, held.map { "\($0.0) \($0.1)" }.joined(separator: ", "))
  },
  Probe("identity.bounding-set", ring: 1, "have a bounding set that is not empty") { _ in
    for capability in 0...63 {
      let answer = call(SYS_prctl, 23, capability)
      if answer == 1 { return .done("capability \(capability)") }
      if answer < 0 { break }
    }
    return .refused("empty")
  },
  Probe("identity.no-new-privileges", ring: 1, "be without no_new_privs") { _ in
    let answer = call(SYS_prctl, 39, 0, 0, 0, 0)
    return .state(answer == 0, "no_new_privs \(answer)")
  },
  Probe("identity.filter", ring: 1, "be without a seccomp filter") { _ in
    let mode = processField("Seccomp") ?? "0"
    return .state(mode != "2", "Seccomp \(mode)")
  },
  Probe("identity.secure-bits", ring: 1, "have securebits that are not all set and locked") { _ in
    let bits = call(SYS_prctl, 27)
    if bits < 0 { return .judged(bits) }
    // NOROOT, NO_SETUID_FIXUP, KEEP_CAPS locked and off, NO_CAP_AMBIENT_RAISE, with their locks.
    return .state(bits & 0b1110_1111 != 0b1110_1111, "0b" + String(bits, radix: 2))
  },
  Probe(
    "identity.supplementary-groups", ring: 1, rows: [34], twin: .root, "keep a supplementary group"
  ) { _ in
    let buffer = Memory.zeroed(4 * 256)
    let count = call(SYS_getgroups, 256, buffer)
    if count < 0 { return .judged(count) }
    let own = identity().gid
    let groups = (0..<count).map { Int(Memory.load(UInt32.self, at: buffer + 4 * $0)) }
    let extra = groups.filter { $0 != own }
    return .state(!extra.isEmpty, extra.map(String.init).joined(separator: " "))
  },
  Probe("identity.root", ring: 1, twin: .root, "be uid 0 or gid 0 inside, really or effectively") {
    _ in
    let own = identity()
    return .state(
      [own.uid, own.effectiveUID, own.gid, own.effectiveGID].contains(0),
      "uid \(own.uid) \(own.effectiveUID) gid \(own.gid) \(own.effectiveGID)")
  },
  Probe("identity.setuid", ring: 1, twin: .root, alone: true, "become uid 0") { _ in
    .judged(call(SYS_setuid, 0), refusals: [EPERM, ENOSYS, EINVAL])
  },
  Probe("identity.setresuid", ring: 1, twin: .root, alone: true, "become another user") { _ in
    .judged(
      call(SYS_setresuid, 61233, 61233, 61233), refusals: [EPERM, ENOSYS, EINVAL])
  },
  Probe("identity.setresgid", ring: 1, twin: .root, alone: true, "become another group") { _ in
    .judged(
      call(SYS_setresgid, 61233, 61233, 61233), refusals: [EPERM, ENOSYS, EINVAL])
  },
  Probe("identity.setfsuid", ring: 1, twin: .root, alone: true, "use files as another user") { _ in
    // setfsuid answers the former id whatever happens; asking again shows what happened.
    _ = call(SYS_setfsuid, 61233)
    let now = call(SYS_setfsuid, -1)
    if now < 0 { return .judged(now) }
    return .state(now == 61233, "fsuid \(now)")
  },
  Probe("identity.setgroups", ring: 1, rows: [34], twin: .root, alone: true, "join another group") {
    _ in
    .judged(call(SYS_setgroups, 1, Memory.halves([61233])), refusals: [EPERM, ENOSYS, EINVAL])
  },
  Probe(
    call: "identity.setgroups-filter", ring: 2, rows: [34], twin: .root,
    "setgroups of an impossible count: EINVAL proves that it was let through"
  ) {
    [call(SYS_setgroups, 0x10000 + 1, 0)]
  },
  Probe(
    call: "identity.setuid-filter", ring: 2, "the setuid family without a change, which anybody may"
  ) {
    // All three ids are named: naming only the effective one is what posix_spawn(3) does in ring 2.
    let uid = Int(getuid())
    let gid = Int(getgid())
    return [
      call(SYS_setresuid, uid, uid, uid), call(SYS_setresgid, gid, gid, gid),
      call(SYS_setreuid, uid, uid), call(SYS_setregid, gid, gid),
    ]
  },
  Probe(call: "identity.capset", ring: 2, "capset with an unmapped header: EFAULT") {
    [call(SYS_capset, Memory.unmapped, 0)]
  },
  Probe(
    "identity.ambient-capability", ring: 1, twin: .root, alone: true,
    "raise an ambient capability"
  ) { _ in
    // struct __user_cap_header_struct, version 3; data: effective, permitted, inheritable.
    let raw: UInt32 = 1 << 13
    _ = call(SYS_capset, Memory.halves([0x2008_0522, 0]), Memory.halves([raw, raw, raw, 0, 0, 0]))
    return .judged(call(SYS_prctl, 47, 2, 13, 0, 0), refusals: optionRefusals)
  },
  Probe("identity.clear-secure-bits", ring: 1, twin: .root, alone: true, "clear the securebits") {
    _ in
    .judged(call(SYS_prctl, 28, 0), refusals: optionRefusals)
  },
  Probe(
    "identity.keep-capabilities", ring: 1, alone: true, "keep capabilities over a change of uid"
  ) { _ in
    .judged(call(SYS_prctl, 8, 1), refusals: optionRefusals)
  },
  Probe(
    "identity.memory-map", ring: 1, twin: .root, feature: "CAP_SYS_RESOURCE",
    "move the borders of the own memory map: PR_SET_MM"
  ) { _ in
    .judged(call(SYS_prctl, 35, 1, -1, 0, 0), refusals: optionRefusals)
  },
  Probe(
    "identity.io-flusher", ring: 1, twin: .root, feature: "CAP_SYS_RESOURCE",
    "take memory that is reserved for storage: PR_SET_IO_FLUSHER"
  ) { _ in
    let set = call(SYS_prctl, 57, 1, 0, 0, 0)
    if set == 0 { _ = call(SYS_prctl, 57, 0, 0, 0, 0) }
    return .judged(set, refusals: optionRefusals)
  },
]

/// EINVAL is what a filter makes of an option that the kernel would know.
private let optionRefusals: Set<Int32> = [EPERM, ENOSYS, EINVAL]

/// getrlimit(2) by its number.
private func limit(_ resource: Int) -> (soft: UInt64, hard: UInt64) {
  let buffer = Memory.zeroed(16)
  _ = call(SYS_prlimit64, 0, resource, 0, buffer)
  return (Memory.load(UInt64.self, at: buffer), Memory.load(UInt64.self, at: buffer + 8))
}

private func raised(_ resource: Int, by amount: UInt64) -> Outcome {
  let before = limit(resource)
  let target = before.hard == UInt64.max ? UInt64.max : before.hard + amount
  let set = call(SYS_prlimit64, 0, resource, Memory.words([target, target]), 0)
  if set == 0 {
    _ = call(SYS_prlimit64, 0, resource, Memory.words([before.soft, before.hard]), 0)
  }
  return .judged(set, refusals: [EPERM, ENOSYS, EINVAL])
}
