import CProbe
import Foundation
import Testing

extension EscapeTests {
  /// A contained program looked at from outside: what it says about itself may be shown to it.
  @Suite(
    .serialized, .enabled(if: Binaries.missing == nil, "\(Binaries.missing ?? "")"),
    .enabled(if: Caller.isRoot, "only root sees another user's processes in full"))
  struct Outside {
    @Test(arguments: Caller.available, [1, 2, 3])
    func isConfined(_ caller: Caller, ring: Int) throws {
      let site = Site.of(caller)
      try Held(site, ring).look { run, program in
        let launcher = run.pid
        let uids = HostProcesses.field(program, "Uid")
        #expect(Set(uids).count == 1 && uids.first != "0", "uid \(uids)")
        if caller == .user { #expect(uids.first == "\(caller.uid)") }
        let gids = HostProcesses.field(program, "Gid")
        #expect(Set(gids).count == 1 && gids.first != "0", "gid \(gids)")
        #expect(HostProcesses.field(program, "Groups") == [])
        for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
          #expect(HostProcesses.field(program, set) == ["0000000000000000"], "\(set)")
        }
        #expect(HostProcesses.field(program, "NoNewPrivs") == ["1"])
        #expect(HostProcesses.field(program, "Seccomp") == ["2"])
        let own = ring == 1 ? ["pid", "mnt", "ipc", "uts", "cgroup"] : allNamespaces
        for name in own {
          #expect(
            HostProcesses.namespace(program, name) != HostProcesses.namespace(launcher, name),
            "\(name) namespace is shared")
        }
        let descriptors =
          (try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(program)/fd")) ?? []
        #expect(descriptors.sorted() == ["0", "1", "2"], "open: \(descriptors)")
        let core = HostProcesses.text(program, "limits").split(separator: "\n")
          .first { $0.hasPrefix("Max core file size") }
        #expect(core?.split(separator: " ").suffix(3).prefix(2) == ["0", "0"], "\(core ?? "")")
        #expect(session(program) != session(launcher), "session is shared")
        #expect(group(program) != group(launcher), "process group is shared")
        for pid in HostProcesses.tree(below: launcher) where pid != launcher {
          #expect(!HostProcesses.text(pid, "environ").contains(site.token), "environment of \(pid)")
        }
      }
    }

    /// Runs of one root are strangers: each has a uid of its own, that no account has.
    @Test(.enabled(if: Caller.isRoot, "started without root"), arguments: [2, 3])
    func runsOfRootDiffer(_ ring: Int) throws {
      var uids: [String] = []
      try Held(.root, ring).look { _, first in
        uids += HostProcesses.field(first, "Uid").prefix(1)
        try Held(.root, ring).look { _, second in
          uids += HostProcesses.field(second, "Uid").prefix(1)
        }
      }
      #expect(Set(uids).count == 2, "\(uids)")
      for uid in uids {
        let known = Command(arguments: ["/usr/bin/getent", "passwd", uid]).run()
        #expect(known.status != 0, "uid \(uid) is an account's: \(known.output)")
      }
    }

    /// The twin: the same look at a program that nothing confines.
    @Test func bareProgramIsNot() throws {
      try Held(.root, nil).look { run, program in
        #expect(HostProcesses.field(program, "Uid").first == "0")
        #expect(HostProcesses.field(program, "Groups") != [])
        #expect(HostProcesses.field(program, "CapBnd") != ["0000000000000000"])
        #expect(HostProcesses.field(program, "NoNewPrivs") == ["0"])
        #expect(HostProcesses.field(program, "Seccomp") == ["0"])
        #expect(HostProcesses.namespace(program, "pid") == HostProcesses.namespace(run.pid, "pid"))
        #expect(session(program) == session(run.pid))
        #expect(HostProcesses.text(program, "environ").contains(Site.of(.root).token))
        #expect(LoadedFilters(of: program).programs.isEmpty)
      }
    }

    /// Promise 6: the deny list is refused by the filter itself, not only for want of capability.
    @Test(arguments: Caller.available, [1, 2, 3])
    func filterRefuses(_ caller: Caller, ring: Int) throws {
      try Held(Site.of(caller), ring).look { _, program in
        let filters = LoadedFilters(of: program)
        #expect(!filters.programs.isEmpty, "no filter could be read")
        for entry in deniedCalls where entry.ring <= ring {
          for number in entry.numbers {
            let refused = [0, UInt64.max].allSatisfy {
              filters.refuse(number, [UInt64](repeating: $0, count: 6))
            }
            #expect(refused, "\(entry.group): call \(number)")
          }
        }
        for id: UInt64 in [0, 1000, 65534] where ring >= 2 {
          // posix_spawn(3) resets the effective id alone, with -1 for the two others.
          #expect(filters.refuse(SYS_setresuid, [id, id, id]), "setresuid \(id)")
          #expect(filters.refuse(SYS_setresgid, [id, id, id]), "setresgid \(id)")
        }
        let foreign = (0...1100).filter {
          !filters.refuse(Int32($0), architecture: LoadedFilters.i386)
            || !filters.refuse(Int32($0) | PROBE_X32_BIT)
        }
        #expect(foreign.isEmpty, "foreign calls \(foreign)")
        let unknown = (470...2000).filter { !filters.refuse(Int32($0)) }
        #expect(unknown.isEmpty, "unknown calls \(unknown)")
        #expect(!filters.refuse(SYS_getpid), "a filter that refuses everything proves nothing")
        #expect(!filters.refuse(SYS_read))
      }
    }
  }
}

private let allNamespaces = ["user", "pid", "mnt", "net", "ipc", "uts", "cgroup"]

/// The refusal table of the kernel surface, without what depends on arguments.
private let deniedCalls: [(group: String, ring: Int, numbers: [Int32])] = [
  (
    "mount", 1,
    [
      SYS_mount, SYS_umount2, SYS_pivot_root, SYS_fsopen, SYS_fsconfig, SYS_fsmount, SYS_fspick,
      SYS_move_mount, SYS_mount_setattr, SYS_open_tree_attr,
    ]
  ),
  ("chroot", 2, [SYS_chroot]),
  ("mount information", 3, [SYS_statmount, SYS_listmount]),
  ("kernel image", 1, [SYS_kexec_load, SYS_kexec_file_load, SYS_reboot]),
  ("modules", 1, [SYS_init_module, SYS_finit_module, SYS_delete_module]),
  ("programmable kernel", 1, [SYS_bpf, SYS_perf_event_open]),
  ("io_uring", 1, [SYS_io_uring_setup, SYS_io_uring_enter, SYS_io_uring_register]),
  ("race aids", 2, [SYS_userfaultfd]),
  ("keyrings", 1, [SYS_add_key, SYS_request_key, SYS_keyctl]),
  (
    "host state", 1,
    [
      SYS_swapon, SYS_swapoff, SYS_acct, SYS_quotactl, SYS_quotactl_fd, SYS_settimeofday,
      SYS_clock_settime, SYS_vhangup, SYS_ioperm, SYS_iopl, SYS_adjtimex, SYS_clock_adjtime,
    ]
  ),
  ("identity", 2, [SYS_syslog, SYS_sethostname, SYS_setdomainname, SYS_lsm_set_self_attr]),
  (
    "introspection", 3,
    [
      SYS_ptrace, SYS_process_vm_readv, SYS_process_vm_writev, SYS_process_madvise,
      SYS_process_mrelease, SYS_pidfd_getfd, SYS_kcmp,
    ]
  ),
  ("namespaces", 2, [SYS_unshare, SYS_setns, SYS_clone3]),
  ("handles", 1, [SYS_open_by_handle_at]),
  ("handles", 3, [SYS_name_to_handle_at]),
  ("fanotify", 2, [SYS_fanotify_init, SYS_fanotify_mark]),
  ("legacy", 2, [SYS_modify_ldt, SYS_uselib, SYS_ustat, SYS_sysfs, SYS_remap_file_pages]),
  (
    "memory placement", 3,
    [
      SYS_mbind, SYS_set_mempolicy, SYS_get_mempolicy, SYS_migrate_pages, SYS_move_pages,
      SYS_set_mempolicy_home_node, SYS_cachestat,
    ]
  ),
  (
    "credentials", 2,
    [
      SYS_setuid, SYS_setgid, SYS_setreuid, SYS_setregid, SYS_setfsuid, SYS_setfsgid,
      SYS_setgroups, SYS_capset,
    ]
  ),
  ("zero copy", 3, [SYS_splice, SYS_tee, SYS_vmsplice]),
  (
    "new calls", 3,
    [
      SYS_memfd_secret, SYS_map_shadow_stack, SYS_lsm_get_self_attr, SYS_lsm_list_modules,
      SYS_futex_wake, SYS_futex_wait, SYS_futex_requeue, SYS_setxattrat, SYS_getxattrat,
      SYS_listxattrat, SYS_removexattrat, SYS_file_getattr, SYS_file_setattr,
    ]
  ),
  ("own filters", 2, [SYS_seccomp]),
  ("one process", 3, [SYS_fork, SYS_vfork]),
]

private func group(_ pid: Int32) -> String { statField(pid, 4) }
private func session(_ pid: Int32) -> String { statField(pid, 5) }

/// Counted from 0 behind the command's name, which may contain anything.
private func statField(_ pid: Int32, _ number: Int) -> String {
  let text = HostProcesses.text(pid, "stat")
  let fields = text[(text.lastIndex(of: ")") ?? text.startIndex)...].split(separator: " ")
  return number - 1 < fields.count ? String(fields[number - 1]) : ""
}

/// A program that stays until it has been looked at.
private struct Held {
  let site: Site
  let ring: Int?

  init(_ site: Site, _ ring: Int?) { (self.site, self.ring) = (site, ring) }
  init(_ caller: Caller, _ ring: Int?) { self.init(Site.of(caller), ring) }

  func look(_ body: (Command.Running, Int32) throws -> Void) throws {
    // The program's input is a FIFO whose writing end is open here until the look is over.
    let fifo = site.base + "/hold-\(UUID().uuidString).fifo"
    _ = Command(arguments: ["/bin/sh", "-c", "mkfifo -m 666 \(fifo)"]).run()
    defer { try? FileManager.default.removeItem(atPath: fifo) }
    // SAFETY: open with two arguments reads no third one; nothing here creates a file.
    let writer = unsafe open(fifo, O_RDWR | O_CLOEXEC)
    try #require(writer >= 0)
    let command =
      ring.map { site.contained(ring: $0, "hold", input: fifo) }
      ?? site.command("/bin/sh -c '\(site.probe) hold; exit $?'", input: fifo)
    let run = command.start()
    var program: Int32?
    _ = HostProcesses.wait(seconds: 10) {
      guard run.output.contains("hold") else { return !run.isRunning }
      program = HostProcesses.tree(below: run.pid).first {
        HostProcesses.text($0, "cmdline").hasPrefix(site.probe + " hold")
      }
      return program != nil
    }
    defer {
      close(writer)
      let result = run.wait()
      #expect(result.status == 0, "status \(result.status) \(result.errors)")
    }
    try body(run, try #require(program, "the program did not start"))
  }
}
