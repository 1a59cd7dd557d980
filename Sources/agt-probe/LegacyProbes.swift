internal import CProbe
internal import Glibc

/// Calls that are dead, new, or that only attackers make: small groups of the refusal table.
let legacyProbes: [Probe] = [
  Probe(
    call: "legacy.modify_ldt", ring: 2, feature: "CONFIG_MODIFY_LDT_SYSCALL",
    "read the own descriptor table"
  ) {
    [call(SYS_modify_ldt, 0, Memory.zeroed(256), 256)]
  },
  Probe(call: "legacy.ustat", ring: 2, "ustat of device 0: EINVAL") {
    [call(SYS_ustat, 0, Memory.zeroed(64))]
  },
  Probe(
    call: "legacy.sysfs", ring: 2, feature: "CONFIG_SYSFS_SYSCALL",
    "count the file system types"
  ) {
    [call(SYS_sysfs, 3, 0, 0)]
  },
  Probe(call: "legacy.remap_file_pages", ring: 2, "remap_file_pages of an odd range: EINVAL") {
    [call(SYS_remap_file_pages, 0, 0, 1, 0, 0)]
  },
  Probe(
    call: "legacy.unimplemented", ring: 2,
    twin: .nobody("no kernel of today implements these numbers"),
    "numbers of calls that were removed or reserved: all must stay without effect"
  ) {
    // uselib, create_module, get_kernel_syms, query_module, nfsservctl, getpmsg, putpmsg,
    // afs_syscall, tuxcall, security, lookup_dcookie, epoll_ctl_old, epoll_wait_old, vserver,
    // _sysctl
    [134, 174, 177, 178, 180, 181, 182, 183, 184, 185, 212, 214, 215, 236, 156].map {
      call($0, -1, -1, -1, -1, -1, -1)
    }
  },
  Probe(
    "legacy.unknown-numbers", ring: 1, rows: [4],
    twin: .nobody("no kernel of today implements these numbers"),
    "numbers that no kernel of 6.18 has, 470 to 1100, and the last one below the x32 range"
  ) { _ in
    for number in Array(Int32(470)...1100) + [0x3fff_ffff] {
      let outcome = Outcome.judged(call(number, -1, -1, -1, -1, -1, -1), "call \(number)")
      if outcome.kind != .refused { return outcome }
    }
    return .refused("all 632", errno: ENOSYS)
  },
  Probe(
    call: "legacy.memfd_secret", ring: 3, feature: "CONFIG_SECRETMEM",
    "memory that the kernel itself cannot see"
  ) {
    [call(SYS_memfd_secret, 0)]
  },
  Probe(
    call: "legacy.map_shadow_stack", ring: 3, feature: "CONFIG_X86_USER_SHADOW_STACK",
    "map_shadow_stack with an unknown flag: EINVAL or EOPNOTSUPP"
  ) {
    [call(SYS_map_shadow_stack, 0, 4096, 1 << 20)]
  },
  Probe(
    call: "legacy.lsm_get_self_attr", ring: 3, feature: "lsm_get_self_attr (Linux 6.8)",
    "lsm_get_self_attr without a size: EINVAL"
  ) {
    [call(SYS_lsm_get_self_attr, 100, 0, 0, 0)]
  },
  Probe(
    call: "legacy.lsm_set_self_attr", ring: 2, feature: "lsm_set_self_attr (Linux 6.8)",
    "lsm_set_self_attr with an unknown flag: EINVAL"
  ) {
    [call(SYS_lsm_set_self_attr, 100, Memory.zeroed(64), 64, 1)]
  },
  Probe(
    call: "legacy.lsm_list_modules", ring: 3, feature: "lsm_list_modules (Linux 6.8)",
    "list the security modules"
  ) {
    [call(SYS_lsm_list_modules, Memory.zeroed(512), Memory.words([512]), 0)]
  },
  Probe(
    call: "legacy.futex_wake", ring: 3, feature: "futex_wake (Linux 6.7)",
    "futex_wake with unknown flags: EINVAL"
  ) {
    [call(SYS_futex_wake, Memory.zeroed(8), 0, 0, 0xff00)]
  },
  Probe(
    call: "legacy.futex_wait", ring: 3, feature: "futex_wait (Linux 6.7)",
    "futex_wait with unknown flags: EINVAL"
  ) {
    [call(SYS_futex_wait, Memory.zeroed(8), 0, 0, 0xff00, 0, 0)]
  },
  Probe(
    call: "legacy.futex_requeue", ring: 3, feature: "futex_requeue (Linux 6.7)",
    "futex_requeue with unknown flags: EINVAL"
  ) {
    [call(SYS_futex_requeue, Memory.zeroed(64), 0xff00, 0, 0)]
  },
  Probe(
    call: "legacy.setxattrat", ring: 3, feature: "setxattrat (Linux 6.13)",
    "setxattrat with an unknown flag: EINVAL; rules that name only setxattr miss it"
  ) {
    xattrAttempts(SYS_setxattrat)
  },
  Probe(
    call: "legacy.getxattrat", ring: 3, feature: "getxattrat (Linux 6.13)",
    "getxattrat with an unknown flag: EINVAL"
  ) {
    xattrAttempts(SYS_getxattrat)
  },
  Probe(
    call: "legacy.listxattrat", ring: 3, feature: "listxattrat (Linux 6.13)",
    "listxattrat with an unknown flag: EINVAL"
  ) {
    [call(SYS_listxattrat, currentDirectory, Memory.text("."), 1 << 30, 0, 0)]
  },
  Probe(
    call: "legacy.removexattrat", ring: 3, feature: "removexattrat (Linux 6.13)",
    "removexattrat with an unknown flag: EINVAL"
  ) {
    [call(SYS_removexattrat, currentDirectory, Memory.text("."), 1 << 30, Memory.text("user.x"))]
  },
  Probe(
    call: "legacy.file_getattr", ring: 3, feature: "file_getattr (Linux 6.17)",
    "file_getattr with an unknown flag: EINVAL; the call form of an ioctl"
  ) {
    fileAttributeAttempts(SYS_file_getattr)
  },
  Probe(
    call: "legacy.file_setattr", ring: 3, feature: "file_setattr (Linux 6.17)",
    "file_setattr with an unknown flag: EINVAL; the call form of an ioctl"
  ) {
    fileAttributeAttempts(SYS_file_setattr)
  },
  Probe(
    "legacy.personality", ring: 3, alone: true,
    "switch off address randomisation, by 32 bits and with a bit above them"
  ) { _ in
    let noRandomize = 0x004_0000
    return .worst(
      [noRandomize, noRandomize | 1 << 32, noRandomize | 0xffff_ffff << 32].map {
        let outcome = Outcome.judged(call(SYS_personality, $0))
        if outcome.kind == .done { _ = call(SYS_personality, 0) }
        return outcome
      })
  },
  Probe(
    "legacy.personality-read-implies-exec", ring: 3, alone: true,
    "make every readable mapping executable"
  ) { _ in
    let outcome = Outcome.judged(call(SYS_personality, 0x040_0000))
    if outcome.kind == .done { _ = call(SYS_personality, 0) }
    return outcome
  },
]

/// struct xattr_args: value 8 bytes, size 4, flags 4.
private func xattrAttempts(_ number: Int32) -> [Int] {
  [
    call(
      number, currentDirectory, Memory.text("."), 1 << 30, Memory.text("user.x"),
      Memory.zeroed(16), 16)
  ]
}

private func fileAttributeAttempts(_ number: Int32) -> [Int] {
  [call(number, currentDirectory, Memory.text("."), Memory.zeroed(32), 24, 1 << 30)]
}

/// Placement of memory and the page cache: side channels and old bugs, for nobody's work inside.
let memoryPolicyProbes: [Probe] = [
  Probe(call: "numa.mbind", ring: 3, feature: "CONFIG_NUMA", "mbind with unknown flags: EINVAL") {
    [call(SYS_mbind, 0, 4096, 0xff, 0, 0, 0xff00)]
  },
  Probe(
    call: "numa.set_mempolicy", ring: 3, feature: "CONFIG_NUMA",
    "set the default policy again"
  ) {
    [call(SYS_set_mempolicy, 0, 0, 0)]
  },
  Probe(call: "numa.get_mempolicy", ring: 3, feature: "CONFIG_NUMA", "ask for the own policy") {
    [call(SYS_get_mempolicy, Memory.zeroed(8), 0, 0, 0, 0)]
  },
  Probe(
    call: "numa.migrate_pages", ring: 3, feature: "CONFIG_NUMA",
    "migrate the own pages from no node to no node"
  ) {
    let nodes = Memory.zeroed(8)
    return [call(SYS_migrate_pages, 0, 64, nodes, nodes)]
  },
  Probe(call: "numa.move_pages", ring: 3, feature: "CONFIG_NUMA", "move no page") {
    [call(SYS_move_pages, 0, 0, 0, 0, 0, 0)]
  },
  Probe(
    call: "numa.set_mempolicy_home_node", ring: 3, feature: "CONFIG_NUMA",
    "set_mempolicy_home_node with unknown flags: EINVAL"
  ) {
    [call(SYS_set_mempolicy_home_node, 0, 4096, 0, 0xff)]
  },
  Probe(call: "numa.cachestat", ring: 3, feature: "cachestat (Linux 6.5)", "cachestat: EBADF") {
    [call(SYS_cachestat, -1, Memory.zeroed(16), Memory.zeroed(64), 0)]
  },
]

/// Moving pages without copying: an ingredient of Dirty Pipe, Copy Fail and Dirty Frag.
let spliceProbes: [Probe] = [
  Probe(call: "splice.splice", ring: 3, "splice from descriptor -1: EBADF") {
    [call(SYS_splice, -1, 0, -1, 0, 4096, 0)]
  },
  Probe(call: "splice.tee", ring: 3, "tee from descriptor -1: EBADF") {
    [call(SYS_tee, -1, -1, 4096, 0)]
  },
  Probe(call: "splice.vmsplice", ring: 3, "vmsplice into descriptor -1: EBADF") {
    [call(SYS_vmsplice, -1, Memory.words([UInt64(Memory.zeroed(8)), 8]), 1, 0)]
  },
]
