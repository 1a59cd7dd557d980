internal import Glibc
public import JSON
internal import Kernel
internal import Rings

/// `agt doctor`: what this machine can enforce, guarantee by guarantee, tried and not guessed.
///
/// Its user has a refusal, or a new machine, and wants to know which guarantee is missing, why, and the
/// exact command that mends it. It must never report as enforced what it has not seen work here.
public struct Doctor {
  public enum State: String, Sendable { case enforced, degraded, absent }

  public struct Finding: Sendable {
    public var guarantee: String
    public var state: State
    /// What was seen.
    public var reason: String
    /// What would make it `enforced`; nil when it is.
    public var mend: String?
  }

  public private(set) var findings: [Finding] = []
  public private(set) var kernel = ""

  /// Tries everything; takes some tens of milliseconds.
  /// - Precondition: the process has one thread.
  public static func examine() throws(RunError) -> Doctor {
    var doctor = Doctor()
    do throws(SyscallError) {
      doctor.kernel = Trials.kernelRelease()
      try doctor.examineNamespaces()
      try doctor.examineMounts()
      try doctor.examineIdentity()
      doctor.examineLandlock()
      try doctor.examineSeccomp()
      doctor.examineLimits()
      doctor.examineCgroups()
      doctor.examineBudgets()
    } catch {
      throw RunError(.internalFailure, "examining this machine: \(error.description)")
    }
    return doctor
  }

  /// Whether ring 3 gives everything that it promises.
  public var isComplete: Bool { findings.allSatisfy { $0.state == .enforced } }

  private mutating func add(
    _ guarantee: String, _ state: State, _ reason: String, _ mend: String? = nil
  ) {
    findings.append(Finding(guarantee: guarantee, state: state, reason: reason, mend: mend))
  }

  private var isRoot: Bool { Identity.effectiveUID == 0 }

  /// Root creates the other namespaces as it is; everybody else through a user namespace.
  private static func enter(_ set: NamespaceSet, isRoot: Bool) throws(SyscallError) {
    try Namespaces.unshare(isRoot ? set : set.union(.user))
  }

  private mutating func examineNamespaces() throws(SyscallError) {
    let root = isRoot
    let kinds: [(String, NamespaceSet)] = [
      ("user namespace", .user), ("process namespace", .pid), ("mount namespace", .mount),
      ("network namespace", .network), ("IPC namespace", .ipc), ("host name namespace", .uts),
      ("cgroup namespace", .cgroup),
    ]
    for (name, set) in kinds {
      let failure = try Trials.attempt("unshare") { () throws(SyscallError) in
        try Self.enter(set, isRoot: root)
      }
      if let failure {
        let mend =
          failure.errno == ENOSPC
          ? "sudo sysctl -w user.max_user_namespaces=15000" : Hints.namespaceHint()
        add(name, .absent, "unshare: \(Errno.message(failure.errno))", mend)
      } else {
        add(name, .enforced, "created one")
      }
    }
  }

  private mutating func examineMounts() throws(SyscallError) {
    let root = isRoot
    let failure = try Trials.attempt("fsmount") { () throws(SyscallError) in
      try Self.enter(.mount, isRoot: root)
      try Mounts.makePrivate(ByteString("/"))
      _ = try Mounts.create("tmpfs", options: [("size", "64k")], [.noSetUserID, .noDevices])
      let tree = try Mounts.openTree(ByteString("/usr"), recursive: true)
      try Mounts.restrict(tree.raw, .readOnly, recursive: true, object: "/usr")
    }
    add(
      "private root", failure == nil ? .enforced : .absent,
      failure.map { "mounting by descriptor: \(Errno.message($0.errno))" }
        ?? "mounted by descriptor",
      failure.map { $0.errno == ENOSYS ? "Linux 5.12 or newer is needed" : Hints.namespaceHint() })
    let proc = try Trials.attempt("mount proc") { () throws(SyscallError) in
      try Self.enter([.mount, .pid], isRoot: root)
      let inner = try Trials.attempt("mount proc") { () throws(SyscallError) in
        _ = try Mounts.create("proc", options: [("subset", "pid")], [.noSetUserID])
      }
      if let inner { throw inner }
    }
    add(
      "private /proc", proc == nil ? .enforced : .absent,
      proc.map { "mounting proc: \(Errno.message($0.errno))" }
        ?? "mounted with the ring's processes only",
      proc.map { _ in "an outer container hides parts of /proc: start it with an unmasked /proc" })
  }

  private mutating func examineIdentity() throws(SyscallError) {
    guard isRoot else {
      let groups = Identity.supplementaryGroupCount
      add(
        "own user", .enforced, "runs as uid \(Identity.effectiveUID), which is not root")
      if groups > 0 {
        add(
          "groups dropped", .enforced,
          "\(groups) supplementary groups stay, because setgroups(2) is not for ordinary users; "
            + "what they open lies outside the ring's view")
      }
      return
    }
    let failure = try Trials.attempt("setattr") { () throws(SyscallError) in
      try Namespaces.unshare(.mount)
      let namespace = try Namespaces.createUser(
        uid: 0, gid: 0, outsideUID: HostIDs.base, outsideGID: HostIDs.base)
      let tree = try Mounts.openTree(ByteString("."), recursive: false)
      try Mounts.mapOwners(tree.raw, through: namespace.raw, object: ".")
    }
    add(
      "own user", failure == nil ? .enforced : .absent,
      failure.map { "id-mapped mount of the current directory: \(Errno.message($0.errno))" }
        ?? "an unused uid; the workspace is shown with changed owners",
      failure.map { _ in
        "use a local file system (ext4, xfs, btrfs, tmpfs), or start agt-run as the owner of the workspace"
      })
  }

  private mutating func examineLandlock() {
    let abi = Landlock.abi
    switch abi {
    case 0:
      add(
        "Landlock", .absent, "the kernel has none, or it is switched off",
        "boot with lsm=landlock,… and Linux 5.13 or newer")
    case 1..<6:
      add(
        "Landlock", .enforced,
        "ABI \(abi): files; signals and abstract sockets are bounded by namespaces alone (ABI 6, Linux 6.12)"
      )
    default: add("Landlock", .enforced, "ABI \(abi): files, TCP, signals, abstract sockets")
    }
  }

  private mutating func examineSeccomp() throws(SyscallError) {
    // Return ALLOW for everything: one instruction.
    let allow: [UInt8] = [0x06, 0, 0, 0, 0, 0, 0xff, 0x7f]
    let filter = try Trials.attempt("seccomp") { () throws(SyscallError) in
      try Processes.setNoNewPrivileges()
      _ = try Seccomp.install(allow, listener: false)
    }
    add(
      "system call filter", filter == nil ? .enforced : .absent,
      filter.map { "seccomp: \(Errno.message($0.errno))" } ?? "installed one",
      filter.map { _ in
        "a kernel with CONFIG_SECCOMP_FILTER is needed, and an outer sandbox that allows seccomp(2)"
      })
    let listener = try Trials.attempt("seccomp") { () throws(SyscallError) in
      try Processes.setNoNewPrivileges()
      _ = try Seccomp.install(allow, listener: true)
    }
    add(
      "violations reported", listener == nil ? .enforced : .degraded,
      listener.map {
        $0.errno == EBUSY
          ? "an outer sandbox listens already" : "seccomp: \(Errno.message($0.errno))"
      } ?? "installed a listener",
      listener.map { _ in "start agt-run outside that sandbox; --degrade violations goes on without"
      })
  }

  private mutating func examineLimits() {
    add(
      "limits", .enforced,
      "per process and per ring by resource limits: memory, processes, open files, file size, space in /tmp"
    )
  }

  private mutating func examineCgroups() {
    let host = CgroupHost.find(isRoot: isRoot, uid: Identity.effectiveUID, wantsAll: true)
    let unified = host.unified.map { $0.controllers.intersection(CgroupHost.controllers).sorted() }
    if let names = unified, !names.isEmpty {
      return add(
        "limits of the whole run", .enforced,
        "cgroup v2 in \(host.unified!.parent): \(names.joined(separator: ", "))")
    }
    let kills = host.unified.map { "; cgroup v2 in \($0.parent) kills and freezes" } ?? ""
    let limiting = host.legacy.keys.filter { CgroupHost.controllers.contains($0) }
    if !limiting.isEmpty {
      let names = limiting.sorted().joined(separator: ", ")
      return add(
        "limits of the whole run", .enforced,
        "when asked for, --cgroup v1: \(names)\(kills)")
    }
    add(
      "limits of the whole run", .enforced,
      "resource limits: processes per run, memory per process; no cgroup may be made here\(kills). "
        + "Start under systemd with Delegate=yes for more: systemd-run --user --scope -p Delegate=yes"
    )
  }

  private mutating func examineBudgets() {
    let host = CgroupHost.find(isRoot: isRoot, uid: Identity.effectiveUID, wantsAll: true)
    let counted =
      host.unified.map { "counted by cgroup v2 in \($0.parent)" }
      ?? "counted per process and added up while it runs"
    let legacy =
      host.legacy[CgroupHost.accounting] != nil ? "; --cgroup v1 counts by cpuacct" : ""
    add(
      "CPU time of the whole run", .enforced,
      "when asked for, --cpu-time: \(counted)\(legacy); resource limits bound each process")
    if RunUsage.canCountWritten {
      add(
        "bytes written to disks", .enforced,
        "when asked for, --disk: counted per process and added up while it runs")
    } else {
      add(
        "bytes written to disks", .absent, "the kernel does not count them",
        "a kernel with CONFIG_TASK_IO_ACCOUNTING is needed for --disk")
    }
    let throughput =
      host.unified?.controllers.contains(CgroupHost.io) == true
      ? "io.max of cgroup v2 in \(host.unified!.parent)"
      : host.legacy[CgroupHost.legacyIO] != nil
        ? "blkio of cgroup v1: what is read, and what is written directly or synchronously"
        : "refused, because no cgroup that this user may make has the io controller. Under systemd: "
          + "Delegate=yes, or as root DefaultIOAccounting=yes and a unit"
    add(
      "throughput of disks", .enforced, "when asked for, --io-read and --io-write: \(throughput)")
    let freezer =
      host.unified != nil
      ? "; without a process namespace, cgroup v2"
      : host.legacy[CgroupHost.freezer] != nil
        ? "; without a process namespace, the freezer of cgroup v1" : ""
    add("all processes stopped at once", .enforced, "by PID 1 of the ring\(freezer)")
  }

  public var json: JSONValue {
    .object([
      "kernel": .string(kernel), "uid": JSONValue(Identity.effectiveUID),
      "complete": .bool(isComplete),
      "guarantees": .array(
        findings.map {
          .object([
            "guarantee": .string($0.guarantee), "state": .string($0.state.rawValue),
            "reason": .string($0.reason), "mend": JSONValue($0.mend),
          ])
        }),
    ])
  }
}
