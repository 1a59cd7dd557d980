internal import CProbe
internal import Glibc

/// Objects of interprocess communication that live in the host's namespace.
let communicationProbes: [Probe] = [
  Probe(
    "ipc.shared-memory", ring: 1, needs: [.sharedMemoryKey],
    "attach the caller's shared memory segment"
  ) {
    let id = call(SYS_shmget, $0.number(.sharedMemoryKey), 0, 0)
    if id < 0 { return .judged(id, refusals: objectRefusals) }
    return .judged(call(SYS_shmat, id, 0, 0o10000), refusals: objectRefusals)
  },
  Probe(
    "ipc.message-queue", ring: 1, needs: [.messageQueueKey], "send to the caller's message queue"
  ) {
    let id = call(SYS_msgget, $0.number(.messageQueueKey), 0)
    if id < 0 { return .judged(id, refusals: objectRefusals) }
    return .judged(
      call(SYS_msgsnd, id, Memory.words([1, 0]), 8, 0o4000), refusals: objectRefusals)
  },
  Probe("ipc.semaphore", ring: 1, needs: [.semaphoreKey], "read the caller's semaphore") {
    let id = call(SYS_semget, $0.number(.semaphoreKey), 0, 0)
    if id < 0 { return .judged(id, refusals: objectRefusals) }
    return .judged(call(SYS_semctl, id, 0, 12, 0), refusals: objectRefusals)
  },
  Probe("ipc.listing", ring: 1, needs: [.sharedMemoryKey], "list the host's shared memory segments")
  { _ in
    // SHM_STAT_ANY of the first indices.
    for index in 0..<64 where call(SYS_shmctl, index, 15, Memory.zeroed(256)) >= 0 {
      return .done("segment \(index)")
    }
    return .refused("no segment", errno: EINVAL)
  },
  Probe(
    "ipc.posix-queue", ring: 1, needs: [.queue], feature: "CONFIG_POSIX_MQUEUE",
    "send to the caller's POSIX message queue"
  ) {
    let fd = call(SYS_mq_open, Memory.text($0.text(.queue)), Int(O_WRONLY | O_NONBLOCK), 0, 0)
    if fd < 0 { return .judged(fd, refusals: objectRefusals) }
    return .judged(
      call(SYS_mq_timedsend, fd, Memory.text("probe"), 5, 0, 0), refusals: objectRefusals)
  },
  Probe(
    "ipc.posix-shared-memory", ring: 1, needs: [.sharedFile], "read a file of the host's /dev/shm"
  ) {
    readable("/dev/shm/" + $0.text(.sharedFile))
  },
]

private let objectRefusals: Set<Int32> = [ENOENT, EACCES, EPERM, ENOSYS, EINVAL, EIDRM]

/// Using up what the machine has. Each goes up to the amount that the host names, which is above
/// the ring's limit and harmless to the host, and gives everything back.
let limitProbes: [Probe] = [
  Probe("limit.memory", ring: 2, needs: [.amount], alone: true, "use so many MiB of memory") {
    let bytes = $0.number(.amount) << 20
    let address = call(SYS_mmap, 0, bytes, 3, 0x22, -1, 0)
    if address < 0 { return .judged(address, refusals: resourceRefusals) }
    for offset in stride(from: 0, to: bytes, by: 4096) {
      Memory.store(UInt8(1), at: address + offset)
    }
    return .done("\(bytes >> 20) MiB")
  },
  Probe("limit.scratch", ring: 2, needs: [.amount], alone: true, "write so many MiB to /tmp") {
    filledFile("/tmp", $0.number(.amount))
  },
  Probe(
    "limit.shared-memory", ring: 2, needs: [.amount], alone: true, "write so many MiB to /dev/shm"
  ) {
    filledFile("/dev/shm", $0.number(.amount))
  },
  Probe(
    "limit.home", ring: 2, needs: [.amount], alone: true, "write so many MiB to the home directory"
  ) {
    let home = Memory.environment().first { $0.hasPrefix("HOME=/") }?.dropFirst(5) ?? "/tmp"
    return filledFile(String(home), $0.number(.amount))
  },
  Probe(
    "limit.scratch-files", ring: 2, needs: [.amount], alone: true, "create so many files in /tmp"
  ) {
    let directory = scratchPath("files")
    var result = makeDirectory(directory)
    var made = 0
    while result >= 0 && made < $0.number(.amount) {
      result = create("\(directory)/\(made)", [])
      if result >= 0 { made += 1 }
    }
    for index in 0..<made { unlink("\(directory)/\(index)") }
    removeDirectory(directory)
    return .judged(result, refusals: resourceRefusals, "\(made) files")
  },
  Probe("limit.file-size", ring: 2, alone: true, "make a sparse file of 1 TiB") { _ in
    probe_ignore(Int(SIGXFSZ), 1)
    for directory in [workingDirectory(), "/tmp"] {
      let path = "\(directory)/agt-probe.\(call(SYS_getpid)).sparse"
      let fd = open(path, O_WRONLY | O_CREAT, 0o600)
      if fd < 0 { continue }
      defer { unlink(path) }
      return .judged(
        call(SYS_ftruncate, fd, 1 << 40), refusals: resourceRefusals.union([EINVAL]))
    }
    return .unavailable("no directory to write to")
  },
  Probe("limit.descriptors", ring: 2, needs: [.amount], alone: true, "open so many descriptors") {
    var opened = 0
    var result = 0
    while result >= 0 && opened < $0.number(.amount) {
      result = call(SYS_dup, 0)
      if result >= 0 { opened += 1 }
    }
    return .judged(result, refusals: [EMFILE, ENFILE, EPERM], "\(opened) descriptors")
  },
  Probe("limit.processes", ring: 1, needs: [.amount], alone: true, "have so many processes at once")
  {
    bomb($0.number(.amount))
  },
  Probe("limit.threads", ring: 1, needs: [.amount], alone: true, "have so many threads at once") {
    let wanted = $0.number(.amount)
    let started = Int(probe_threads(wanted))
    if started < 0 { return .judged(started, refusals: resourceRefusals) }
    return started == wanted
      ? .done("\(started) threads") : .refused("\(started) threads", errno: EAGAIN)
  },
  Probe(
    "limit.locked-memory", ring: 2, needs: [.amount], twin: .root, alone: true,
    "lock so many MiB of memory"
  ) {
    let bytes = $0.number(.amount) << 20
    let address = call(SYS_mmap, 0, bytes, 3, 0x22, -1, 0)
    if address < 0 { return .judged(address, refusals: resourceRefusals) }
    return .judged(call(SYS_mlock, address, bytes), refusals: resourceRefusals)
  },
]

private let resourceRefusals: Set<Int32> = [
  ENOMEM, ENOSPC, EDQUOT, EAGAIN, EMFILE, ENFILE, EFBIG, EPERM, ENOSYS, EACCES, EROFS, ENOENT,
]

private func filled(_ fd: Int, _ megabytes: Int) -> Outcome {
  let block = Memory.zeroed(1 << 20)
  for index in 0..<megabytes {
    let written = call(SYS_write, fd, block, 1 << 20)
    if written < 0 { return .judged(written, refusals: resourceRefusals, "\(index) MiB") }
    if written < 1 << 20 { return .refused("\(index) MiB", errno: ENOSPC) }
  }
  return .done("\(megabytes) MiB")
}

private func filledFile(_ directory: String, _ megabytes: Int) -> Outcome {
  let path = "\(directory)/agt-probe.\(call(SYS_getpid)).filled"
  let fd = open(path, O_WRONLY | O_CREAT, 0o600)
  if fd < 0 { return .judged(fd, refusals: resourceRefusals) }
  defer { unlink(path) }
  return filled(fd, megabytes)
}

private func bomb(_ count: Int) -> Outcome {
  // Every child waits for the end of a pipe whose writing end only this process holds.
  let ends = Memory.halves([0, 0])
  if call(SYS_pipe2, ends, 0) < 0 { return .unavailable("pipe") }
  let reader = Int(Memory.load(UInt32.self, at: ends))
  let writer = Int(Memory.load(UInt32.self, at: ends + 4))
  var children: [Int] = []
  var result = 0
  while result >= 0 && children.count < count {
    result = Int(probe_fork())
    if result == 0 {
      close(writer)
      _ = read(reader, 1)
      leave(0)
    }
    if result > 0 { children.append(result) }
  }
  close(writer)
  for child in children { _ = wait(for: child) }
  return .judged(result, refusals: resourceRefusals, "\(children.count) processes")
}

/// Outliving the ring. What they leave behind carries the mark in its arguments, ends by itself
/// after a while, and is looked for by the host.
let lifetimeProbes: [Probe] = [
  Probe(
    "orphan.daemon", ring: 1, rows: [33], needs: [.mark], judge: .effect,
    "leave a daemon: two forks, a session of its own, no signal heeded"
  ) { _ in
    left { ignoreEverything() }
  },
  Probe(
    "orphan.stopped", ring: 1, rows: [33], needs: [.mark], judge: .effect, "leave a stopped process"
  ) { _ in
    left { _ = call(SYS_kill, call(SYS_getpid), Int(SIGSTOP)) }
  },
  Probe(
    "orphan.many", ring: 1, rows: [33], needs: [.mark], judge: .effect,
    "leave 64 processes that beget each other"
  ) { _ in
    left {
      for _ in 0..<6 where probe_fork() < 0 { break }
      ignoreEverything()
    }
  },
  Probe(
    "orphan.stay", ring: 1, rows: [33], needs: [.mark], judge: .effect,
    "stay, whatever signal comes"
  ) { _ in
    ignoreEverything()
    Listing.print(.done("\(call(SYS_getpid))"), of: "orphan.stay")
    linger()
  },
]

/// How long what stays behind lives: longer than the 3 s after which nothing may be left.
private let lingerSeconds: UInt64 = 20

private func linger() -> Never {
  probe_deadline(0)
  _ = call(SYS_nanosleep, Memory.words([lingerSeconds, 0]), 0)
  leave(0)
}

private func ignoreEverything() {
  for signal in 1...64 where signal != Int(SIGKILL) && signal != Int(SIGSTOP) {
    probe_ignore(signal, 1)
  }
}

private func left(_ prepare: () -> Void) -> Outcome {
  let child = Int(probe_fork())
  if child == 0 {
    _ = call(SYS_setsid)
    if probe_fork() != 0 { leave(0) }
    // The run must not wait for a descriptor that the orphan keeps.
    for fd in 0...2 { close(fd) }
    prepare()
    linger()
  }
  if child > 0 { _ = wait(for: child) }
  return .judged(child, refusals: [EPERM, ENOSYS, EAGAIN])
}
