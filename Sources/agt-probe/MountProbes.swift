internal import CProbe
internal import Glibc

/// Reshaping the view: the classic and the new mount calls.
///
/// CVE-2021-41133 is the reason for the second half: a list that knew only the classic ones.
let mountProbes: [Probe] = [
  Probe(
    call: "mount.mount", ring: 1, rows: [4, 12],
    "mount a tmpfs on a directory of its own; then with an unmapped type, EFAULT before EPERM"
  ) {
    let directory = scratchPath("mount")
    _ = makeDirectory(directory)
    let type = Memory.text("tmpfs")
    let mounted = call(SYS_mount, type, Memory.text(directory), type, 0, 0)
    if mounted == 0 { _ = call(SYS_umount2, Memory.text(directory), Int(MNT_DETACH)) }
    removeDirectory(directory)
    return [mounted, call(SYS_mount, type, type, Memory.unmapped, 0, 0)]
  },
  Probe(
    call: "mount.bind", ring: 1, rows: [4], twin: .root,
    "bind / on a directory of its own"
  ) {
    let directory = scratchPath("bind")
    _ = makeDirectory(directory)
    let mounted = call(SYS_mount, Memory.text("/"), Memory.text(directory), 0, Int(MS_BIND), 0)
    if mounted == 0 { _ = call(SYS_umount2, Memory.text(directory), Int(MNT_DETACH)) }
    removeDirectory(directory)
    return [mounted]
  },
  Probe(
    call: "mount.remount", ring: 1, rows: [4], twin: .root,
    "set the propagation of / to what it is: the remount family"
  ) {
    [call(SYS_mount, 0, Memory.text("/"), 0, Int(MS_PRIVATE), 0)]
  },
  Probe(
    call: "mount.cgroup-v1", ring: 1, rows: [12], twin: .root, feature: "cgroup v1 (misc unused)",
    "mount a cgroup v1 hierarchy, as the release_agent escape does (CVE-2022-0492)"
  ) {
    let directory = scratchPath("cgroup")
    _ = makeDirectory(directory)
    let type = Memory.text("cgroup")
    let mounted = call(
      SYS_mount, type, Memory.text(directory), type, 0, Memory.text("none,name=agt-probe"))
    if mounted == 0 { _ = call(SYS_umount2, Memory.text(directory), Int(MNT_DETACH)) }
    removeDirectory(directory)
    return [mounted]
  },
  Probe(
    call: "mount.umount2", ring: 1, rows: [4, 9],
    "unmount a path that does not exist: ENOENT comes before EPERM"
  ) {
    [call(SYS_umount2, Memory.text("/agt-probe/absent"), 0)]
  },
  Probe(
    call: "mount.pivot_root", ring: 1, rows: [4], twin: .root,
    "pivot_root with paths that do not exist: ENOENT proves that it was let through"
  ) {
    let absent = Memory.text("/agt-probe/absent")
    return [call(SYS_pivot_root, absent, absent)]
  },
  Probe(call: "mount.fsopen", ring: 1, rows: [4], twin: .root, "fsopen of a tmpfs") {
    [call(SYS_fsopen, Memory.text("tmpfs"), 1)]
  },
  Probe(
    call: "mount.fsconfig", ring: 1, rows: [4],
    "fsconfig on descriptor -1: EINVAL comes first (CVE-2022-0185 lived behind it)"
  ) {
    [call(SYS_fsconfig, -1, 0, 0, 0, 0)]
  },
  Probe(
    call: "mount.fsmount", ring: 1, rows: [4], twin: .root,
    "fsmount of descriptor -1: EBADF proves that it was let through"
  ) {
    [call(SYS_fsmount, -1, 0, 0)]
  },
  Probe(call: "mount.fspick", ring: 1, rows: [4], twin: .root, "fspick of /") {
    [call(SYS_fspick, currentDirectory, Memory.text("/"), 0)]
  },
  Probe(
    call: "mount.move_mount", ring: 1, rows: [4], twin: .root,
    "move_mount with paths that do not exist: ENOENT proves that it was let through"
  ) {
    let absent = Memory.text("/agt-probe/absent")
    return [call(SYS_move_mount, currentDirectory, absent, currentDirectory, absent, 0)]
  },
  Probe(
    call: "mount.mount_setattr", ring: 1, rows: [4],
    "mount_setattr with an unknown flag: EINVAL comes before EPERM"
  ) {
    [call(SYS_mount_setattr, currentDirectory, Memory.text("/"), 1 << 30, 0, 0)]
  },
  Probe(
    call: "mount.open_tree-clone", ring: 1, rows: [4],
    "open_tree(OPEN_TREE_CLONE) of /; then with an unknown flag, EINVAL before EPERM"
  ) {
    let clone = 1
    return [
      call(SYS_open_tree, currentDirectory, Memory.text("/"), clone),
      call(SYS_open_tree, currentDirectory, Memory.text("/"), clone | 1 << 30),
      call(SYS_open_tree, currentDirectory, Memory.text("/"), clone | 1 << 30 | 1 << 40),
    ]
  },
  Probe(
    call: "mount.open_tree_attr", ring: 1, rows: [4], feature: "open_tree_attr (Linux 6.15)",
    "open_tree_attr with an unknown flag: EINVAL comes before EPERM"
  ) {
    [call(SYS_open_tree_attr, currentDirectory, Memory.text("/"), 1 << 30, 0, 0)]
  },
  Probe(
    call: "mount.chroot", ring: 2, rows: [4],
    "chroot to a path that does not exist: ENOENT comes before EPERM"
  ) {
    [call(SYS_chroot, Memory.text("/agt-probe/absent"))]
  },
  Probe(
    "mount.double-chroot", ring: 2, rows: [4], twin: .root, alone: true,
    "chroot below the working directory and climb out of it"
  ) { _ in
    let directory = scratchPath("chroot")
    _ = makeDirectory(directory)
    defer { removeDirectory(directory) }
    let entered = call(SYS_chroot, Memory.text(directory))
    if entered < 0 { return .judged(entered) }
    for _ in 0..<16 { _ = call(SYS_chdir, Memory.text("..")) }
    return .judged(call(SYS_chroot, Memory.text(".")))
  },
  Probe(
    call: "mount.statmount", ring: 3, feature: "statmount (Linux 6.8)",
    "statmount with an unmapped request: EFAULT proves that it was let through"
  ) {
    [call(SYS_statmount, Memory.unmapped, 0, 0, 0)]
  },
  Probe(
    call: "mount.listmount", ring: 3, feature: "listmount (Linux 6.8)",
    "list the mounts below the root mount"
  ) {
    // struct mnt_id_req: size 24, spare, mnt_id LSMT_ROOT, param.
    let request = Memory.words([24, UInt64.max, 0])
    return [call(SYS_listmount, request, Memory.zeroed(512), 64, 0)]
  },
]

/// A path for a file of the probe's own, in the scratch directory that every ring has.
func scratchPath(_ name: String) -> String {
  "/tmp/agt-probe.\(call(SYS_getpid)).\(name)"
}
