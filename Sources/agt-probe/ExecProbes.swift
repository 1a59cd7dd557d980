internal import CProbe
internal import Glibc

/// Running what was brought along, and gaining by running. Where the act succeeds the process has
/// become another program, which prints the line itself.
let execProbes: [Probe] = [
  Probe("exec.scratch", ring: 3, rows: [22], alone: true, "run a program written to /tmp") { _ in
    fromFile("exec.scratch", "/tmp")
  },
  Probe("exec.shared-memory", ring: 3, rows: [22], alone: true, "run a program written to /dev/shm")
  { _ in
    fromFile("exec.shared-memory", "/dev/shm")
  },
  Probe(
    "exec.home", ring: 3, rows: [22], alone: true, "run a program written to the home directory"
  ) { _ in
    let home = Memory.environment().first { $0.hasPrefix("HOME=/") }?.dropFirst(5) ?? "/tmp"
    return fromFile("exec.home", String(home))
  },
  Probe(
    "exec.scratch-descriptor", ring: 3, rows: [22], alone: true,
    "the same by execveat of its descriptor"
  ) { _ in
    let path = scratchPath("program")
    let made = create(path, program("exec.scratch-descriptor"), mode: 0o755)
    if made < 0 { return .judged(made, refusals: Outcome.fileRefusals) }
    let fd = open(path, O_RDONLY)
    unlink(path)
    return executed(fd, refusals: [EACCES, EPERM, ENOSYS, ENOENT])
  },
  Probe(
    "exec.temporary-file", ring: 3, rows: [22], feature: "O_TMPFILE", alone: true,
    "run a file of /tmp that never had a name"
  ) { _ in
    let fd = open("/tmp", O_RDWR | 0o20200000, 0o755)
    if fd < 0 { return .judged(fd, refusals: Outcome.fileRefusals) }
    _ = write(fd, program("exec.temporary-file"))
    let reader = open("/proc/self/fd/\(fd)", O_RDONLY)
    close(fd)
    return executed(reader, refusals: [EACCES, EPERM, ENOSYS, ENOENT])
  },
  Probe(
    "exec.loader", ring: 3, rows: [22], feature: "a dynamic /bin/echo", alone: true,
    "have the dynamic loader run a file of /tmp: Landlock's right to execute does not see it"
  ) { _ in
    let program = contents("/bin/echo", limit: 1 << 20)
    let loader = ["/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1"]
      .first { status($0).0 == 0 }
    guard program.result > 0, let loader else { return .unavailable("no /bin/echo or no loader") }
    let path = scratchPath("echo")
    let made = create(path, program.bytes, mode: 0o755)
    if made < 0 { return .judged(made, refusals: Outcome.fileRefusals) }
    // The loader's own message goes nowhere; it leaves with 127 when it cannot map the file.
    _ = call(SYS_dup3, open("/dev/null", O_WRONLY), 2, 0)
    let report = String(TinyProgram.report(of: "exec.loader").dropLast())
    return .judged(execute(loader, [loader, path, report]), refusals: [EACCES, EPERM, ENOENT])
  },
  Probe(
    "exec.map-scratch", ring: 3, rows: [22],
    "map a file of /tmp executable"
  ) { _ in
    mapped { fd in call(SYS_mmap, 0, 4096, 5, 2, fd, 0) }
  },
  Probe("exec.protect-scratch", ring: 3, rows: [22], "map a file of /tmp, then make it executable")
  { _ in
    mapped { fd in
      let address = call(SYS_mmap, 0, 4096, 1, 2, fd, 0)
      return address < 0 ? address : call(SYS_mprotect, address, 4096, 5)
    }
  },
  Probe(
    "exec.memory-file", ring: 2, rows: [32], alone: true,
    "run a memory file by execveat(AT_EMPTY_PATH)"
  ) { _ in
    let made = memoryFile(program("exec.memory-file"))
    return made < 0
      ? .judged(made, refusals: creationRefusals)
      : executed(made, refusals: [EACCES, EPERM, ENOSYS, ENOENT])
  },
  Probe(
    "exec.memory-file-path", ring: 2, rows: [32], alone: true, "run a memory file by /proc/self/fd"
  ) { _ in
    let made = memoryFile(program("exec.memory-file-path"))
    if made < 0 { return .judged(made, refusals: creationRefusals) }
    let path = "/proc/self/fd/\(made)"
    return .judged(execute(path, [path]), refusals: [EACCES, EPERM, ENOENT, ENOSYS])
  },
  Probe(
    "exec.memory-file-script", ring: 2, rows: [32], alone: true, "run a script in a memory file"
  ) { _ in
    let report = TinyProgram.report(of: "exec.memory-file-script").dropLast()
    let made = memoryFile(Array("#!/bin/sh\necho '\(report)'\n".utf8), closeOnExec: false)
    return made < 0
      ? .judged(made, refusals: creationRefusals)
      : executed(made, refusals: [EACCES, EPERM, ENOSYS, ENOENT])
  },
  Probe(
    "exec.memory-file-executable", ring: 2, rows: [32], feature: "MFD_EXEC (Linux 6.3)",
    alone: true,
    "run a memory file that insists on being executable: MFD_EXEC"
  ) { _ in
    let made = memoryFile(program("exec.memory-file-executable"), flags: 0x10)
    if made == -Int(EINVAL) { return .unavailable("no MFD_EXEC") }
    return made < 0
      ? .judged(made, refusals: creationRefusals)
      : executed(made, refusals: [EACCES, EPERM, ENOSYS, ENOENT])
  },
  Probe(
    "exec.set-user-id", ring: 1, needs: [.planted], alone: true,
    "run a setuid program of another user, planted in the workspace"
  ) { _ in
    gain("exec.set-user-id", workingDirectory() + "/planted-setuid")
  },
  Probe(
    "exec.set-group-id", ring: 1, needs: [.planted], alone: true,
    "run a setgid program of another group, planted in the workspace"
  ) { _ in
    gain("exec.set-group-id", workingDirectory() + "/planted-setgid")
  },
  Probe(
    "exec.file-capability", ring: 1, needs: [.planted], twin: .user, alone: true,
    "run a program with file capabilities, planted in the workspace"
  ) { _ in
    gain("exec.file-capability", workingDirectory() + "/planted-capable")
  },
]

/// Probes of calls that do not come by the native ABI. A filter for one architecture that does
/// not look which one it is judges them by the wrong table.
let foreignProbes: [Probe] = [
  Probe(
    "foreign.i386-getpid", ring: 1, rows: [5], feature: "CONFIG_IA32_EMULATION", alone: true,
    "getpid by int $0x80"
  ) { _ in
    .judged(Int(probe_call_i386(20, 0, 0, 0)))
  },
  Probe(
    "foreign.i386-unshare", ring: 1, rows: [5, 13], feature: "CONFIG_IA32_EMULATION", alone: true,
    "unshare by int $0x80, where its number is that of another native call"
  ) { _ in
    .judged(Int(probe_call_i386(310, 0x1000_0000, 0, 0)))
  },
  Probe(
    "foreign.i386-socketcall", ring: 1, rows: [5, 14], feature: "CONFIG_IA32_EMULATION",
    alone: true,
    "a socket by socketcall, with unmapped arguments: EFAULT"
  ) { _ in
    .judged(Int(probe_call_i386(102, 1, Memory.unmapped, 0)))
  },
  Probe(
    "foreign.i386-program", ring: 1, rows: [5], needs: [.planted], feature: "CONFIG_IA32_EMULATION",
    alone: true,
    "run a 32-bit program, planted in the workspace"
  ) { _ in
    let path = workingDirectory() + "/planted-i386"
    return .judged(execute(path, [path]), refusals: [EPERM, EACCES, ENOENT, ENOEXEC])
  },
  Probe(
    "foreign.x32-getpid", ring: 1, rows: [5], feature: "CONFIG_X86_X32_ABI", alone: true,
    "getpid by its x32 number"
  ) { _ in
    .judged(call(SYS_getpid | PROBE_X32_BIT))
  },
  Probe(
    "foreign.x32-ptrace", ring: 1, rows: [5], feature: "CONFIG_X86_X32_ABI", alone: true,
    "ptrace by its x32 number, 521"
  ) { _ in
    .judged(call(521 | PROBE_X32_BIT, 16, 0x3fff_ff00, 0, 0))
  },
  Probe(
    "foreign.negative-number", ring: 1, rows: [5],
    twin: .nobody("no kernel has these numbers"), alone: true,
    "numbers at both ends of 32 bits"
  ) { _ in
    .worst([call(-1), call(Int32.max), call(Int32.min)].map { .judged($0) })
  },
]

private func program(_ name: String) -> [UInt8] {
  TinyProgram.native(says: TinyProgram.report(of: name))
}

/// Only returns when it failed: minus errno.
func execute(_ path: String, _ arguments: [String]) -> Int {
  call(
    SYS_execve, Memory.text(path), Memory.strings(arguments), Memory.strings(Memory.environment()))
}

private func executed(_ fd: Int, refusals: Set<Int32>) -> Outcome {
  if fd < 0 { return .judged(fd, refusals: refusals) }
  return .judged(
    call(
      SYS_execveat, fd, Memory.text(""), Memory.strings(["program"]), Memory.strings([]), 0x1000),
    refusals: refusals)
}

private func fromFile(_ name: String, _ directory: String) -> Outcome {
  let path = "\(directory)/agt-probe.\(call(SYS_getpid)).program"
  let made = create(path, program(name), mode: 0o755)
  if made < 0 { return .judged(made, refusals: Outcome.fileRefusals) }
  defer { unlink(path) }
  return .judged(execute(path, [path]), refusals: [EACCES, EPERM, ENOENT, ENOSYS])
}

private func mapped(_ map: (Int) -> Int) -> Outcome {
  let path = scratchPath("mapped")
  let made = create(path, program("exec.map-scratch"), mode: 0o755)
  defer { unlink(path) }
  if made < 0 { return .judged(made, refusals: Outcome.fileRefusals) }
  let fd = open(path, O_RDONLY)
  if fd < 0 { return .judged(fd, refusals: Outcome.fileRefusals) }
  return .judged(map(fd), refusals: [EPERM, EACCES, ENOSYS])
}

/// EACCES is what vm.memfd_noexec=2 answers to a memory file that could be executed.
private let creationRefusals: Set<Int32> = [EACCES, EPERM, ENOSYS]

/// MFD_CLOEXEC is 1; a script's interpreter opens the file by its descriptor.
private func memoryFile(_ bytes: [UInt8], closeOnExec: Bool = true, flags: Int = 0) -> Int {
  let fd = call(
    SYS_memfd_create, Memory.text("agt-probe"), flags | (closeOnExec ? 1 : 0))
  if fd >= 0 { _ = write(fd, bytes) }
  return fd
}

/// Runs a copy of this program that has more rights than its caller, which reports what it has.
private func gain(_ name: String, _ path: String) -> Outcome {
  let own = identity()
  return .judged(
    execute(path, [path, "report-gain", name, "\(own.effectiveUID)", "\(own.effectiveGID)"]),
    refusals: [EPERM, EACCES, ENOENT, ENOSYS])
}
