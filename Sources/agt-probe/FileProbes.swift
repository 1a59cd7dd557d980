internal import CProbe
internal import Glibc

/// Files outside the view. The secret is a file that its host's rights open to everybody, so that
/// only the ring stands before it.
let fileProbes: [Probe] = [
  Probe("file.read-secret", ring: 2, rows: [22], needs: [.secret], "read a host file") {
    readable($0.text(.secret))
  },
  Probe("file.open-path", ring: 2, needs: [.secret], "open a host file with O_PATH") {
    .judged(open($0.text(.secret), pathOnly), refusals: Outcome.fileRefusals)
  },
  Probe("file.openat2", ring: 2, needs: [.secret], "open a host file by openat2") {
    let how = Memory.words([0, 0, 0])
    return .judged(
      call(SYS_openat2, currentDirectory, Memory.text($0.text(.secret)), how, 24),
      refusals: Outcome.fileRefusals)
  },
  Probe("file.stat-secret", ring: 2, needs: [.secret], "learn a host file's size") {
    .judged(status($0.text(.secret)).0, refusals: Outcome.fileRefusals)
  },
  Probe("file.access-secret", ring: 2, needs: [.secret], "learn that a host file exists") {
    .judged(
      call(SYS_faccessat, currentDirectory, Memory.text($0.text(.secret)), 0),
      refusals: Outcome.fileRefusals)
  },
  Probe("file.list-outside", ring: 2, needs: [.secret], "list a host directory") {
    .judged(names(in: $0.outside).result, refusals: Outcome.fileRefusals)
  },
  Probe("file.chdir-outside", ring: 2, needs: [.secret], alone: true, "enter a host directory") {
    .judged(call(SYS_chdir, Memory.text($0.outside)), refusals: Outcome.fileRefusals)
  },
  Probe("file.write-secret", ring: 2, needs: [.secret], "append to a host file") {
    let fd = open($0.text(.secret), O_WRONLY | O_APPEND)
    if fd < 0 { return .judged(fd, refusals: Outcome.fileRefusals) }
    defer { close(fd) }
    return .judged(write(fd, Array("+probe\n".utf8)), refusals: Outcome.fileRefusals)
  },
  Probe(
    "file.truncate-secret", ring: 2, needs: [.secret], "truncate a host file far behind its end"
  ) {
    .judged(
      call(SYS_truncate, Memory.text($0.text(.secret)), 4096), refusals: Outcome.fileRefusals)
  },
  Probe("file.create-outside", ring: 2, needs: [.secret], "create a file beside the secret") {
    .judged(
      create($0.outside + "/created.\(call(SYS_getpid))", Array("probe".utf8)),
      refusals: Outcome.fileRefusals)
  },
  Probe("file.mkdir-outside", ring: 2, needs: [.secret], "make a directory beside the secret") {
    .judged(
      makeDirectory($0.outside + "/made.\(call(SYS_getpid))"), refusals: Outcome.fileRefusals)
  },
  Probe("file.rename-secret", ring: 2, needs: [.secret], "rename a host file and back") {
    let path = Memory.text($0.text(.secret))
    let other = Memory.text($0.text(.secret) + ".moved")
    let moved = call(SYS_renameat, currentDirectory, path, currentDirectory, other)
    if moved == 0 { _ = call(SYS_renameat, currentDirectory, other, currentDirectory, path) }
    return .judged(moved, refusals: Outcome.fileRefusals)
  },
  Probe("file.chmod-secret", ring: 2, needs: [.secret], "change a host file's mode") {
    .judged(
      call(SYS_fchmodat, currentDirectory, Memory.text($0.text(.secret)), 0o666),
      refusals: Outcome.fileRefusals)
  },
  Probe(
    "file.utime-secret", ring: 2, needs: [.secret],
    "change a host file's times: not a Landlock right"
  ) {
    .judged(
      call(SYS_utimensat, currentDirectory, Memory.text($0.text(.secret)), 0, 0),
      refusals: Outcome.fileRefusals)
  },
  Probe(
    "file.xattr-secret", ring: 2, needs: [.secret], feature: "user extended attributes",
    "set an extended attribute of a host file: not a Landlock right"
  ) {
    .judged(
      call(
        SYS_setxattr, Memory.text($0.text(.secret)), Memory.text("user.agt-probe"),
        Memory.text("x"), 1, 0), refusals: Outcome.fileRefusals)
  },
  Probe(
    "file.watch-secret", ring: 2, needs: [.secret], "be told by inotify when a host file is used"
  ) {
    let fd = call(SYS_inotify_init1, Int(O_CLOEXEC))
    if fd < 0 { return .judged(fd) }
    return .judged(
      call(SYS_inotify_add_watch, fd, Memory.text($0.text(.secret)), 0xfff),
      refusals: Outcome.fileRefusals)
  },
  Probe(
    "file.sibling-prefix", ring: 2, rows: [36], needs: [.planted],
    "read a directory whose name only begins like the workspace's"
  ) { _ in
    readable(workingDirectory() + "0/secret")
  },
  Probe(
    "file.workspace-fifo", ring: 3, rows: [26], needs: [.planted],
    "write to a FIFO of the workspace: a read-only mount does not prevent it"
  ) { _ in
    let fd = open(workingDirectory() + "/planted-fifo", O_WRONLY | O_NONBLOCK)
    if fd < 0 { return .judged(fd, refusals: Outcome.fileRefusals) }
    return .judged(write(fd, Array("probe".utf8)))
  },
  Probe(
    "file.workspace-device", ring: 1, rows: [26], needs: [.planted],
    "open a device node that lies in the workspace"
  ) { _ in
    .judged(
      open(workingDirectory() + "/planted-device", O_RDONLY), refusals: Outcome.fileRefusals)
  },
  Probe(
    "file.ssh-key", ring: 1, needs: [.sshKey], "read a private key of the user who starts the run"
  ) {
    readable($0.text(.sshKey))
  },
  Probe("file.shadow", ring: 1, twin: .root, "read /etc/shadow") { _ in readable("/etc/shadow") },
  Probe(
    "file.overwrite-runtime", ring: 1, rows: [7], needs: [.runtime],
    "open an executable of the runtime for writing"
  ) {
    .judged(
      open($0.text(.runtime), O_WRONLY), refusals: Outcome.fileRefusals.union([ETXTBSY]))
  },
  Probe("file.system-write", ring: 1, twin: .root, "create a file in /usr/local/bin") { _ in
    let path = "/usr/local/bin/agt-probe.\(call(SYS_getpid))"
    let outcome = Outcome.judged(create(path, []), refusals: Outcome.fileRefusals)
    unlink(path)
    return outcome
  },
  Probe("file.etc-write", ring: 1, twin: .root, "open /etc/passwd for writing") { _ in
    .judged(open("/etc/passwd", O_WRONLY), refusals: Outcome.fileRefusals)
  },
  Probe("file.root-home", ring: 1, twin: .root, "list the home directory of root") { _ in
    let listed = names(in: "/root")
    if listed.result == 0 && listed.names.isEmpty { return .refused("empty", errno: ENOENT) }
    return .judged(listed.result, refusals: Outcome.fileRefusals)
  },
  Probe(
    "file.root-write", ring: 1, twin: .root,
    "create a file in /: a private root must be read-only too"
  ) { _ in
    let path = "/agt-probe.\(call(SYS_getpid))"
    let outcome = Outcome.judged(create(path, []), refusals: Outcome.fileRefusals)
    unlink(path)
    return outcome
  },
  Probe(
    "file.workspace-write", ring: 3, "create a file in the workspace"
  ) { _ in
    let path = workingDirectory() + "/created.\(call(SYS_getpid))"
    let outcome = Outcome.judged(create(path, []), refusals: Outcome.fileRefusals)
    unlink(path)
    return outcome
  },
]

/// Ways around a path: links, `..`, magic links, handles. The host has planted the workspace's
/// links; the scratch links are made here.
let linkProbes: [Probe] = [
  Probe(
    "link.symbolic", ring: 2, rows: [22], needs: [.secret], "read the secret through a link in /tmp"
  ) {
    let path = scratchPath("link")
    let made = call(
      SYS_symlinkat, Memory.text($0.text(.secret)), currentDirectory, Memory.text(path))
    defer { unlink(path) }
    if made < 0 { return .judged(made, refusals: Outcome.fileRefusals) }
    return readable(path)
  },
  Probe("link.hard", ring: 2, needs: [.secret], "link the secret into the workspace") {
    let path = workingDirectory() + "/hard.\(call(SYS_getpid))"
    defer { unlink(path) }
    return .judged(
      call(
        SYS_linkat, currentDirectory, Memory.text($0.text(.secret)), currentDirectory,
        Memory.text(path), 0), refusals: Outcome.fileRefusals)
  },
  Probe("link.dot-dot", ring: 2, needs: [.secret], "climb out of the workspace by ..") {
    readable(workingDirectory() + "/.." + suffix(of: $0.text(.secret)))
  },
  Probe(
    "link.dot-dot-relative", ring: 2, needs: [.secret],
    "climb to the root by many .. and down again"
  ) {
    readable(String(repeating: "../", count: 64) + $0.text(.secret).dropFirst())
  },
  Probe(
    "link.planted", ring: 2, rows: [9], needs: [.planted],
    "read through a link that lay in the workspace"
  ) { _ in
    readable(workingDirectory() + "/planted-link")
  },
  Probe(
    "link.planted-relative", ring: 2, rows: [9], needs: [.planted],
    "read through a relative link that lay in the workspace"
  ) { _ in
    readable(workingDirectory() + "/planted-relative")
  },
  Probe(
    "link.planted-directory", ring: 2, rows: [9], needs: [.planted],
    "create a file through a directory link that lay in the workspace"
  ) { _ in
    .judged(
      create(workingDirectory() + "/planted-directory/through.\(call(SYS_getpid))", []),
      refusals: Outcome.fileRefusals)
  },
  Probe("link.self-root", ring: 2, rows: [22], needs: [.secret], "read by /proc/self/root") {
    readable("/proc/self/root" + $0.text(.secret))
  },
  Probe("link.self-cwd", ring: 2, rows: [22], needs: [.secret], "read by /proc/self/cwd and ..") {
    readable("/proc/self/cwd/.." + suffix(of: $0.text(.secret)))
  },
  Probe(
    "link.launcher-root", ring: 2, rows: [8], needs: [.secret],
    "read by the root directory of the launcher"
  ) {
    readable("/proc/\(launcherPID)/root" + $0.text(.secret))
  },
  Probe(
    call: "link.open_by_handle_at", ring: 1,
    "open by a handle that is not there: EFAULT comes before EPERM"
  ) {
    [call(SYS_open_by_handle_at, currentDirectory, Memory.unmapped, 0)]
  },
  Probe(
    "link.shocker", ring: 1, twin: .root, feature: "a file system with handles",
    "open / by its handle, as the first escape from Docker did"
  ) { _ in
    // struct file_handle: handle_bytes, handle_type, 128 bytes.
    let handle = Memory.halves([128] + [UInt32](repeating: 0, count: 33))
    let named = call(
      SYS_name_to_handle_at, currentDirectory, Memory.text("."), handle, Memory.zeroed(8), 0)
    if named < 0 {
      return .judged(named, refusals: Outcome.fileRefusals.union([EOPNOTSUPP]))
    }
    return .judged(
      call(SYS_open_by_handle_at, currentDirectory, handle, Int(O_RDONLY)),
      refusals: [EPERM, ENOSYS, ESTALE])
  },
  Probe(
    call: "link.name_to_handle_at", ring: 3, refusals: [EPERM, ENOSYS, EOPNOTSUPP],
    "name the root directory by a handle of no size: EOVERFLOW"
  ) {
    [
      call(
        SYS_name_to_handle_at, currentDirectory, Memory.text("/"), Memory.zeroed(16),
        Memory.zeroed(8), 0)
    ]
  },
]

/// Done when at least one byte of the file could be read.
func readable(_ path: String) -> Outcome {
  let read = contents(path, limit: 256)
  if read.result == 0 { return .refused("\(path) is empty") }
  return .judged(read.result, refusals: Outcome.fileRefusals.union([ESRCH]), path)
}

/// The last two components: the secret lies in a directory beside the workspace.
private func suffix(of path: String) -> String {
  "/" + path.split(separator: "/").suffix(2).joined(separator: "/")
}
