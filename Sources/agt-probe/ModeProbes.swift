internal import CProbe
internal import Glibc

/// Files that the workspace must not keep: setuid programs, devices, capabilities. Whoever runs
/// them later does so outside the ring. Each probe looks at the effect, not at the answer alone.
let modeProbes: [Probe] = [
  Probe("mode.chmod", ring: 1, "chmod u+s, and with bits above the 32 that count") { _ in
    withFile { path, _ in
      [
        call(SYS_chmod, Memory.text(path), 0o4755),
        call(SYS_chmod, Memory.text(path), 0o4755 | 1 << 32),
        call(SYS_chmod, Memory.text(path), 0o2755),
      ]
    }
  },
  Probe("mode.fchmod", ring: 1, "fchmod u+s") { _ in
    withFile { _, fd in [call(SYS_fchmod, fd, 0o4755), call(SYS_fchmod, fd, 0o6755)] }
  },
  Probe("mode.fchmodat", ring: 1, "fchmodat u+s") { _ in
    withFile { path, _ in [call(SYS_fchmodat, currentDirectory, Memory.text(path), 0o4755)] }
  },
  Probe("mode.fchmodat2", ring: 1, feature: "fchmodat2 (Linux 6.6)", "fchmodat2 u+s") { _ in
    withFile { path, _ in [call(SYS_fchmodat2, currentDirectory, Memory.text(path), 0o4755, 0)] }
  },
  Probe("mode.open", ring: 1, "open(O_CREAT) with the bit in its mode") { _ in
    withNew { [call(SYS_open, Memory.text($0), createFlags, 0o4755)] }
  },
  Probe("mode.openat", ring: 1, "openat(O_CREAT) with the bit in its mode") { _ in
    withNew { [call(SYS_openat, currentDirectory, Memory.text($0), createFlags, 0o4755)] }
  },
  Probe("mode.creat", ring: 1, "creat with the bit in its mode") { _ in
    withNew { [call(SYS_creat, Memory.text($0), 0o4755)] }
  },
  Probe(
    "mode.openat2", ring: 1,
    "openat2(O_CREAT) with the bit in its mode, which is behind a pointer"
  ) { _ in
    withNew {
      let how = Memory.words([UInt64(createFlags), 0o4755, 0])
      return [call(SYS_openat2, currentDirectory, Memory.text($0), how, 24)]
    }
  },
  Probe("mode.temporary-file", ring: 1, feature: "O_TMPFILE", "O_TMPFILE with the bit, then linkat")
  { _ in
    withNew { path in
      let flags = Int(O_WRONLY) | 0o20200000
      let fd = call(
        SYS_openat, currentDirectory, Memory.text(modeDirectory()), flags, 0o4755)
      if fd < 0 { return [fd] }
      return [
        call(
          SYS_linkat, currentDirectory, Memory.text("/proc/self/fd/\(fd)"), currentDirectory,
          Memory.text(path), 0x400)
      ]
    }
  },
  Probe("mode.mknod-regular", ring: 1, "mknod of a regular file with the bit") { _ in
    withNew {
      [
        call(SYS_mknod, Memory.text($0), 0o104755, 0),
        call(SYS_mknodat, currentDirectory, Memory.text($0), 0o104755, 0),
      ]
    }
  },
  Probe(
    call: "mode.mknod-character", ring: 1, twin: .root,
    "a node of the null device"
  ) {
    nodeAttempts(0o020666, 1 << 8 | 3)
  },
  Probe(
    call: "mode.mknod-block", ring: 1, twin: .root,
    "a node of a loop device"
  ) {
    nodeAttempts(0o060600, 7 << 8)
  },
  Probe(
    "mode.file-capability", ring: 1, twin: .root, feature: "security extended attributes",
    "give a file a capability by security.capability"
  ) { _ in
    let path = modeDirectory() + "/capable.\(call(SYS_getpid))"
    let made = create(path, [])
    defer { unlink(path) }
    if made < 0 { return .judged(made, refusals: Outcome.fileRefusals) }
    // struct vfs_cap_data, revision 2 with the effective bit: CAP_NET_RAW.
    let data = Memory.halves([0x0200_0001, 1 << 13, 0, 0, 0])
    let set = call(
      SYS_setxattr, Memory.text(path), Memory.text("security.capability"), data, 20, 0)
    return .judged(set, refusals: [EPERM, ENOSYS, EACCES, EOPNOTSUPP])
  },
  Probe(
    "mode.trusted-attribute", ring: 1, twin: .root, feature: "trusted extended attributes",
    "set a trusted.* attribute, which overlayfs believes"
  ) { _ in
    let path = modeDirectory() + "/trusted.\(call(SYS_getpid))"
    let made = create(path, [])
    defer { unlink(path) }
    if made < 0 { return .judged(made, refusals: Outcome.fileRefusals) }
    let set = call(
      SYS_setxattr, Memory.text(path), Memory.text("trusted.agt-probe"), Memory.text("x"), 1, 0)
    return .judged(set, refusals: [EPERM, ENOSYS, EACCES, EOPNOTSUPP])
  },
  Probe(
    "mode.immutable", ring: 1, twin: .root, feature: "file attributes (ioctl)",
    "make a file immutable, so that the owner cannot remove it"
  ) { _ in
    let path = modeDirectory() + "/immutable.\(call(SYS_getpid))"
    _ = create(path, [])
    defer { unlink(path) }
    let fd = open(path, O_RDONLY)
    if fd < 0 { return .judged(fd, refusals: Outcome.fileRefusals) }
    let flags = Memory.words([0])
    if call(SYS_ioctl, fd, 0x8008_6601, flags) < 0 { return .unavailable("no FS_IOC_GETFLAGS") }
    let before = Memory.load(UInt32.self, at: flags)
    Memory.store(before | 0x10, at: flags)
    let set = call(SYS_ioctl, fd, 0x4008_6602, flags)
    Memory.store(before, at: flags)
    if set == 0 { _ = call(SYS_ioctl, fd, 0x4008_6602, flags) }
    return .judged(set, refusals: [EPERM, ENOSYS, EACCES, ENOTTY, EOPNOTSUPP])
  },
]

private let createFlags = Int(O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC)

/// The workspace where it can be written, because there the file would stay; else the scratch
/// directory.
private func modeDirectory() -> String {
  let path = workingDirectory() + "/writable.\(call(SYS_getpid))"
  if create(path, []) < 0 { return "/tmp" }
  unlink(path)
  return workingDirectory()
}

/// Runs the attempts on a file of the probe's own and judges them by the file's mode afterwards:
/// a call that succeeds without setting the bit has been refused all the same.
private func withFile(_ attempts: (String, Int) -> [Int]) -> Outcome {
  let path = modeDirectory() + "/mode.\(call(SYS_getpid))"
  unlink(path)
  let fd = open(path, O_WRONLY | O_CREAT, 0o755)
  if fd < 0 { return .judged(fd, refusals: Outcome.fileRefusals) }
  defer {
    close(fd)
    unlink(path)
  }
  return judgedByMode(path, attempts(path, fd))
}

private func withNew(_ attempts: (String) -> [Int]) -> Outcome {
  _ = call(SYS_umask, 0)
  let path = modeDirectory() + "/mode.\(call(SYS_getpid))"
  unlink(path)
  defer { unlink(path) }
  return judgedByMode(path, attempts(path))
}

private func judgedByMode(_ path: String, _ results: [Int]) -> Outcome {
  if let mode = status(path).1?.mode, mode & 0o6000 != 0 {
    return .done("mode \(String(mode & 0o7777, radix: 8)) of \(path)")
  }
  let failed = results.first { $0 < 0 }
  return .refused(
    failed == nil ? "the bit was dropped" : "", errno: failed.map { Int32(-$0) } ?? 0)
}

private func nodeAttempts(_ mode: Int, _ device: Int) -> [Int] {
  let path = scratchPath("node")
  let results = [
    call(SYS_mknod, Memory.text(path), mode, device),
    call(SYS_mknodat, currentDirectory, Memory.text(path + "at"), mode, device),
    call(SYS_mknodat, currentDirectory, Memory.text(path + "at"), mode | 1 << 32, device),
  ]
  unlink(path)
  unlink(path + "at")
  return results
}
