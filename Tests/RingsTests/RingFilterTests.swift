import Testing

@testable import Rings

/// What the compiled filters of the shipped rings answer.
@Suite struct RingFilterTests {
  static let machines: [FilterMachine] = (0...3 as ClosedRange<UInt8>).map { ring in
    do {
      return try FilterMachine(
        CompiledProfile(compiling: .shipped(ring)).program(violations: true))
    } catch { fatalError("\(error)") }
  }

  static func run(_ ring: Int, _ name: String, _ arguments: UInt64...) -> SeccompAction {
    let padded = arguments + Array(repeating: 0, count: 6 - arguments.count)
    return machines[ring].run(
      .init(
        number: SeccompFilterTests.number(name), architecture: SyscallTable.nativeArchitecture,
        arguments: padded))
  }

  /// What each ring, 0 … 3, answers.
  static func answers(_ name: String, _ arguments: UInt64...) -> [SeccompAction] {
    let padded = arguments + Array(repeating: 0, count: 6 - arguments.count)
    return (0...3).map {
      machines[$0].run(
        .init(
          number: SeccompFilterTests.number(name), architecture: SyscallTable.nativeArchitecture,
          arguments: padded))
    }
  }

  static func isRefused(_ action: SeccompAction) -> Bool {
    switch action {
    case .errno, .notify: true
    default: false
    }
  }

  /// The table of KERNEL-SURFACE.md: the ring from which each call is refused, whatever its
  /// arguments. RINGS.md moves ptrace and io_uring to ring 1.
  static let refusedFrom: [(ring: Int, calls: String)] = [
    (0, "kexec_load kexec_file_load reboot"),
    (0, "init_module finit_module delete_module create_module query_module get_kernel_syms"),
    (1, "mount umount2 pivot_root fsopen fsconfig fsmount fspick move_mount mount_setattr"),
    (1, "open_tree open_tree_attr"),
    (1, "bpf perf_event_open lookup_dcookie"),
    (1, "add_key request_key keyctl"),
    (1, "swapon swapoff acct quotactl quotactl_fd settimeofday adjtimex clock_adjtime"),
    (1, "clock_settime vhangup ioperm iopl nfsservctl"),
    (1, "open_by_handle_at"),
    (1, "ptrace io_uring_setup io_uring_enter io_uring_register"),
    (1, "clone3"),
    (2, "chroot"),
    (2, "userfaultfd"),
    (2, "syslog sethostname setdomainname lsm_set_self_attr"),
    (2, "unshare setns"),
    (2, "fanotify_init fanotify_mark"),
    (2, "modify_ldt uselib ustat sysfs vserver _sysctl afs_syscall tuxcall security getpmsg"),
    (2, "putpmsg epoll_ctl_old epoll_wait_old remap_file_pages"),
    (2, "setuid setgid setreuid setregid setfsuid setfsgid setgroups capset"),
    (2, "seccomp openat2"),
    (3, "statmount listmount"),
    (3, "process_vm_readv process_vm_writev process_madvise process_mrelease pidfd_getfd kcmp"),
    (3, "name_to_handle_at"),
    (3, "mbind set_mempolicy get_mempolicy migrate_pages move_pages set_mempolicy_home_node"),
    (3, "cachestat"),
    (3, "vmsplice tee splice"),
    (3, "memfd_secret map_shadow_stack lsm_get_self_attr lsm_list_modules futex_wait futex_wake"),
    (3, "futex_requeue setxattrat getxattrat listxattrat removexattrat file_getattr"),
    (3, "file_setattr"),
    (3, "fork vfork chown fchown lchown fchownat setresuid setresgid"),
  ]

  @Test func denyListsHoldInTheirRings() {
    for (first, calls) in Self.refusedFrom {
      for call in calls.split(separator: " ") {
        for ring in first...3 {
          for argument in [0, 1, .max] as [UInt64] {
            let answer = Self.run(ring, String(call), argument, argument, argument)
            // setresuid is allowed in ring 2 in the form of seteuid only, and refused in ring 3.
            #expect(Self.isRefused(answer), "\(call) in ring \(ring): \(answer)")
          }
        }
      }
    }
  }

  /// The launcher itself needs these after the filter is on, and every program to end.
  @Test func theLauncherFinishes() {
    for call in ["sendmsg", "close", "write", "execve", "exit_group", "exit", "rt_sigreturn"] {
      #expect(Self.answers(call) == [.allow, .allow, .allow, .allow], "\(call)")
    }
  }

  @Test func foreignABIsAreKilledInEveryRing() {
    for machine in Self.machines {
      for number in 0..<1024 as Range<UInt32> {
        let none = [UInt64](repeating: 0, count: 6)
        let i386 = FilterMachine.Call(number: number, architecture: 0x4000_0003, arguments: none)
        #expect(machine.run(i386) == .killProcess)
        let x32 = FilterMachine.Call(
          number: number | 0x4000_0000, architecture: SyscallTable.nativeArchitecture,
          arguments: none)
        #expect(machine.run(x32) == .killProcess)
      }
    }
  }

  @Test func unknownNumbersFailAsOnAnOlderKernel() {
    for machine in Self.machines {
      for number in [337, 423, 470, 471, 600, 1023, 0x3fff_ffff, .max] as [UInt32] {
        let call = FilterMachine.Call(
          number: number, architecture: SyscallTable.nativeArchitecture,
          arguments: [UInt64](repeating: 0, count: 6))
        #expect(machine.run(call) == .errno(38), "\(number)")
      }
    }
  }

  @Test func terminalTakeoverIsComparedOn32Bits() {
    for high in [0, 1 << 32, 0xffff_ffff << 32] as [UInt64] {
      #expect(Self.answers("ioctl", 0, 0x5412 | high) == [.allow, .notify, .notify, .notify])
      #expect(Self.answers("ioctl", 0, 0x541c | high) == [.allow, .notify, .notify, .notify])
      #expect(Self.answers("ioctl", 0, 0x5423 | high) == [.allow, .allow, .notify, .notify])
      #expect(Self.answers("ioctl", 0, 0x5413 | high) == [.allow, .allow, .allow, .allow])
      // BTRFS_IOC_CLONE_RANGE of some driver: ring 3 knows no such command.
      #expect(Self.answers("ioctl", 0, 0x9999 | high) == [.allow, .allow, .allow, .errno(25)])
    }
  }

  @Test func socketFamiliesAreAnAllowList() {
    for family in 0...50 as ClosedRange<UInt64> {
      let answers = Self.answers("socket", family, 1, 0)
      switch family {
      case 1, 2, 10: #expect(answers == [.allow, .allow, .allow, .allow])
      case 0: #expect(answers == [.allow, .allow, .errno(97), .errno(97)])
      case 16: #expect(answers == [.allow, .allow, .errno(97), .errno(97)])
      // AF_ALG is 38, AF_PACKET 17, AF_VSOCK 40, AF_RXRPC 33.
      default: #expect(answers == [.allow, .notify, .notify, .notify], "family \(family)")
      }
    }
    #expect(Self.answers("socket", 38 | 1 << 32, 5)[1...] == [.notify, .notify, .notify])
    let cloexec: UInt64 = 0o2_000_000
    #expect(Self.answers("socket", 2, 3 | cloexec)[1...] == [.errno(1), .errno(97), .errno(97)])
    #expect(Self.answers("socket", 2, 1 | cloexec, 6)[1...] == [.allow, .allow, .allow])
    // MPTCP, which Landlock's network rules do not see.
    #expect(Self.answers("socket", 2, 1, 262)[2...] == [.errno(97), .errno(97)])
    // NETLINK_ROUTE, NETLINK_AUDIT and NETLINK_XFRM.
    #expect(Self.answers("socket", 16, 3 | cloexec, 0)[1...] == [.allow, .allow, .errno(97)])
    #expect(Self.answers("socket", 16, 3, 9)[1...] == [.errno(93), .errno(97), .errno(97)])
    #expect(Self.answers("socket", 16, 3, 6)[1...] == [.errno(93), .errno(97), .errno(97)])
  }

  @Test func cloneMakesThreadsOnlyInRing3AndNamespacesNowhereBelow2() {
    let thread: UInt64 = 0x3d_0f00
    #expect(Self.answers("clone", thread) == [.allow, .allow, .allow, .allow])
    #expect(Self.answers("clone", 17) == [.allow, .allow, .allow, .errno(1)])
    for bit in [7, 17, 25, 26, 27, 29, 30] as [UInt64] {
      #expect(Self.answers("clone", thread | 1 << bit) == [.allow, .allow, .notify, .notify])
    }
    #expect(Self.answers("clone", 17 | 1 << 28) == [.allow, .notify, .notify, .notify])
    #expect(Self.answers("unshare", 1 << 28) == [.allow, .notify, .notify, .notify])
    #expect(Self.answers("unshare", 0x200) == [.allow, .allow, .notify, .notify])
    #expect(Self.answers("setns", 3, 0) == [.allow, .notify, .notify, .notify])
  }

  @Test func personalityIsComparedOn64Bits() {
    #expect(Self.answers("personality", 0)[2...] == [.allow, .allow])
    #expect(Self.answers("personality", 0xffff_ffff)[2...] == [.allow, .allow])
    #expect(Self.answers("personality", .max)[2...] == [.errno(1), .errno(1)])
    #expect(Self.answers("personality", 0x40_0000)[2...] == [.errno(1), .errno(1)])
    #expect(Self.answers("personality", 0x4_0000)[2...] == [.allow, .errno(1)])
    #expect(Self.answers("personality", 1 << 40)[2...] == [.errno(1), .errno(1)])
  }

  @Test func memoryFilesAreNotExecuted() {
    #expect(Self.answers("memfd_create", 0, 0x10)[2...] == [.errno(13), .errno(13)])
    #expect(Self.answers("memfd_create", 0, 0x18)[2...] == [.errno(13), .errno(13)])
    #expect(Self.answers("memfd_create", 0, 0x1)[2...] == [.errno(13), .errno(13)])
    #expect(Self.answers("memfd_create", 0, 0xb)[2...] == [.allow, .allow])
    #expect(Self.answers("execveat", 3, 0, 0, 0, 0x1000)[2...] == [.errno(38), .errno(38)])
    #expect(Self.answers("execveat", 3, 0, 0, 0, 0x100)[2...] == [.allow, .allow])
  }

  @Test func noSetuidFileIsMade() {
    let create: UInt64 = 0x40
    let temporary: UInt64 = 0x41_0000
    for (call, arguments) in [
      ("chmod", [0, 0o4755]), ("fchmod", [0, 0o2755]), ("fchmodat", [0, 0, 0o6755]),
      ("fchmodat2", [0, 0, 0o4000]), ("creat", [0, 0o4755]), ("open", [0, create, 0o4755]),
      ("openat", [0, 0, create, 0o2755]), ("openat", [0, 0, temporary, 0o4755]),
      ("mknod", [0, 0o104755]), ("mknodat", [0, 0, 0o102755]),
      // Devices.
      ("mknod", [0, 0o020600]), ("mknodat", [0, 0, 0o060600]),
    ] as [(String, [UInt64])] {
      let padded = arguments + Array(repeating: 0, count: 6 - arguments.count)
      for ring in 2...3 {
        let answer = Self.machines[ring].run(
          .init(
            number: SeccompFilterTests.number(call),
            architecture: SyscallTable.nativeArchitecture, arguments: padded))
        #expect(answer == .errno(1), "\(call) \(arguments)")
      }
    }
    // The mode means nothing when no file is made, so callers may leave anything there.
    #expect(Self.answers("open", 0, 0, 0o4755)[2...] == [.allow, .allow])
    #expect(Self.answers("openat", 0, 0, 0x1_0000, 0o4755)[2...] == [.allow, .allow])
    #expect(Self.answers("openat", 0, 0, create, 0o1777)[2...] == [.allow, .allow])
    #expect(Self.answers("mknod", 0, 0o010644)[2...] == [.allow, .allow])
  }

  @Test func identitiesStay() {
    let keep: UInt64 = 0xffff_ffff
    // The form of seteuid(3), which posix_spawn uses.
    #expect(Self.answers("setresuid", keep, 1000, keep)[2...] == [.allow, .errno(1)])
    #expect(Self.answers("setresgid", .max, 1000, .max)[2...] == [.allow, .errno(1)])
    #expect(Self.answers("setresuid", 0, 0, 0)[2...] == [.errno(1), .errno(1)])
    #expect(Self.answers("setresuid", keep, 0, 0)[2...] == [.errno(1), .errno(1)])
  }

  @Test func processControlIsAnAllowList() {
    // PR_SET_SECCOMP, PR_SET_MM, PR_SET_PTRACER and PR_CAP_AMBIENT_RAISE.
    for option in [22, 35, 0x5961_6d61, 28, 999] as [UInt64] {
      #expect(Self.answers("prctl", option)[2...] == [.errno(22), .errno(22)], "\(option)")
    }
    #expect(Self.answers("prctl", 47, 2)[2...] == [.errno(22), .errno(22)])
    #expect(Self.answers("prctl", 47, 1)[2...] == [.allow, .allow])
    #expect(Self.answers("prctl", 15)[2...] == [.allow, .allow])
    #expect(Self.answers("prctl", 38)[2...] == [.allow, .allow])
  }

  @Test func urgentDataStaysOutOfRing3() {
    #expect(Self.answers("sendto", 0, 0, 0, 1)[2...] == [.allow, .errno(95)])
    #expect(Self.answers("sendto", 0, 0, 0, 0x2000_0000)[2...] == [.allow, .errno(95)])
    #expect(Self.answers("recvmsg", 0, 0, 1)[2...] == [.allow, .errno(95)])
    #expect(Self.answers("sendmsg", 0, 0, 0x4000)[2...] == [.allow, .allow])
  }

  /// A filter that is built slowly delays every launch whose profile is not in the cache.
  @Test func filtersAreSmall() throws {
    for ring in 0...3 as ClosedRange<UInt8> {
      let compiled = try CompiledProfile(compiling: .shipped(ring))
      #expect(compiled.program(violations: true).count < 1000)
      #expect(
        compiled.program(violations: true).count == compiled.program(violations: false).count)
    }
  }
}
