internal import CLinux
internal import Glibc

/// How a child ended or stopped (wait(2)).
public enum WaitStatus: Equatable, Sendable {
  case exited(UInt8)
  case signaled(Int32)
  case stopped(Int32)
  case continued

  init(raw status: Int32) {
    if agt_wifexited(status) != 0 {
      self = .exited(UInt8(truncatingIfNeeded: agt_wexitstatus(status)))
    } else if agt_wifsignaled(status) != 0 {
      self = .signaled(agt_wtermsig(status))
    } else if agt_wifstopped(status) != 0 {
      self = .stopped(agt_wstopsig(status))
    } else {
      self = .continued
    }
  }
}

/// Processes: clone3(2), posix_spawn(3), pidfd_open(2), waitid(2), kill(2).
public enum Processes {
  /// - Parameters:
  ///   - asSibling: the child's parent is ours (CLONE_PARENT).
  ///   - cgroup: a descriptor of a cgroup v2 directory to begin in, or nil.
  /// - Returns: the pid of the child in the parent, 0 in the child, as fork(2).
  /// - Precondition: the process has one thread.
  public static func clone(
    _ namespaces: NamespaceSet, asSibling: Bool, cgroup: Int32?
  ) throws(SyscallError) -> Int32 {
    let flags = namespaces.rawValue | (asSibling ? AGT_CLONE_PARENT : 0)
    let exitSignal = asSibling ? 0 : SIGCHLD
    // No stack is given, so the child goes on with a copy of everything, as after fork(2).
    guard let cgroup else {
      return try check(agt_clone(flags, exitSignal), "clone", namespaces.names)
    }
    do throws(SyscallError) {
      return try check(
        agt_clone3(flags | AGT_CLONE_INTO_CGROUP, cgroup, exitSignal), "clone3", namespaces.names)
    } catch {
      // The filter of a container cannot look into the arguments of this one, and answers so. Entering takes
      // longer.
      guard error.errno == ENOSYS else { throw error }
    }
    let pid = try check(agt_clone(flags, exitSignal), "clone", namespaces.names)
    if pid == 0 {
      let processes = try Files.open(ByteString("cgroup.procs"), O_WRONLY, at: cgroup)
      try Descriptors.write(processes.raw, [UInt8(ascii: "0")])
    }
    return pid
  }

  /// fork(2) by clone(2), which the C library's own state does not hear of.
  /// - Precondition: the process has one thread.
  public static func fork() throws(SyscallError) -> Int32 {
    try check(agt_clone(0, SIGCHLD), "clone")
  }

  /// Starts a program without copying our memory (posix_spawn(3)).
  /// - Parameters:
  ///   - descriptors: (ours, number in the child); everything else is close-on-exec.
  ///   - ownGroup: the child leads a process group, so that keys of a terminal do not reach it.
  public static func spawn(
    _ path: ByteString, arguments: [ByteString], environment: [ByteString],
    descriptors: [(Int32, Int32)], ownGroup: Bool = false
  ) throws(SyscallError) -> Int32 {
    var actions = unsafe posix_spawn_file_actions_t()
    var attributes = posix_spawnattr_t()
    var everySignal = sigset_t()
    var noSignal = sigset_t()
    var pid: pid_t = 0
    // SAFETY: the structures are initialised before use and destroyed after; the argument vectors
    // outlive the call.
    unsafe posix_spawn_file_actions_init(&actions)
    unsafe posix_spawnattr_init(&attributes)
    defer {
      unsafe posix_spawn_file_actions_destroy(&actions)
      unsafe posix_spawnattr_destroy(&attributes)
    }
    // Copies above every number of the child: one of ours may have a number that is another's there.
    let free = (descriptors.map(\.1).max() ?? 2) + 1
    var copies: [Int32] = []
    defer { for copy in copies { _ = OwnedFD(copy) } }
    for (ours, theirs) in descriptors {
      copies.append(try Descriptors.duplicate(ours, atLeast: free).release())
      unsafe posix_spawn_file_actions_adddup2(&actions, copies.last!, theirs)
    }
    unsafe sigfillset(&everySignal)
    unsafe sigdelset(&everySignal, SIGKILL)
    unsafe sigdelset(&everySignal, SIGSTOP)
    unsafe sigemptyset(&noSignal)
    unsafe posix_spawnattr_setsigdefault(&attributes, &everySignal)
    unsafe posix_spawnattr_setsigmask(&attributes, &noSignal)
    let group = ownGroup ? POSIX_SPAWN_SETPGROUP : 0
    unsafe posix_spawnattr_setpgroup(&attributes, 0)
    unsafe posix_spawnattr_setflags(
      &attributes, Int16(POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK | group))
    let result = withStringVector(arguments) { argv in
      withStringVector(environment) { envp in
        path.withCString { unsafe posix_spawn(&pid, $0, &actions, &attributes, argv, envp) }
      }
    }
    if result != 0 { throw SyscallError(call: "posix_spawn", object: path.text, errno: result) }
    return pid
  }

  /// Replaces the program; returns only on failure (execve(2)).
  public static func execute(
    _ path: ByteString, arguments: [ByteString], environment: [ByteString]
  ) -> SyscallError {
    let value = withStringVector(arguments) { argv in
      withStringVector(environment) { envp in
        // SAFETY: all strings and vectors are NUL-terminated for the call.
        path.withCString { name -> Int32 in
          _ = unsafe agt_execve(name, argv, envp)
          return errno
        }
      }
    }
    return SyscallError(call: "execve", object: path.text, errno: value)
  }

  public static func openPidfd(_ pid: Int32) throws(SyscallError) -> OwnedFD {
    OwnedFD(try check(agt_pidfd_open(pid), "pidfd_open", "\(pid)"))
  }

  /// False when the process is gone.
  public static func signal(pidfd: Int32, _ number: Int32) throws(SyscallError) -> Bool {
    if agt_pidfd_send_signal(pidfd, number) == 0 { return true }
    if errno == ESRCH { return false }
    throw SyscallError(call: "pidfd_send_signal", object: "\(number)", errno: errno)
  }

  /// False when there is no such process (kill(2)).
  @discardableResult
  public static func signal(_ pid: Int32, _ number: Int32) throws(SyscallError) -> Bool {
    if agt_kill(pid, number) == 0 { return true }
    if errno == ESRCH { return false }
    throw SyscallError(call: "kill", object: "\(pid)", errno: errno)
  }

  /// What a child has done; nil when there is nothing to report or no child.
  /// - Parameter pid: a child, or -1 for any.
  public static func wait(_ pid: Int32, blocking: Bool, stopped: Bool = false) throws(SyscallError)
    -> (pid: Int32, status: WaitStatus)?
  {
    var status: Int32 = 0
    let options = (blocking ? 0 : WNOHANG) | (stopped ? WUNTRACED | WCONTINUED : 0)
    while true {
      // SAFETY: the status is ours.
      let result = unsafe waitpid(pid, &status, options)
      if result > 0 { return (result, WaitStatus(raw: status)) }
      if result == 0 || errno == ECHILD { return nil }
      if errno != EINTR { throw SyscallError(call: "waitpid", object: "\(pid)", errno: errno) }
    }
  }

  /// What a process and those that it waited for have used (getrusage(2)).
  public struct Usage: Equatable, Sendable {
    public var cpuMicroseconds: UInt64
    /// To file systems that count blocks; tmpfs does not.
    public var writtenBytes: UInt64

    init(_ usage: rusage) {
      let seconds = usage.ru_utime.tv_sec + usage.ru_stime.tv_sec
      let rest = usage.ru_utime.tv_usec + usage.ru_stime.tv_usec
      cpuMicroseconds = UInt64(max(0, seconds * 1_000_000 + Int(rest)))
      // In blocks of 512 bytes.
      writtenBytes = UInt64(max(0, usage.ru_oublock)) * 512
    }
  }

  /// Of the children that this process has waited for, and of theirs.
  public static func usageOfReaped() -> Usage {
    var usage = rusage()
    // SAFETY: the structure is ours.
    unsafe getrusage(Int32(RUSAGE_CHILDREN.rawValue), &usage)
    return Usage(usage)
  }

  /// Waits for the end of a child (wait4(2)).
  /// - Returns: what it and those that it had waited for have used; nil when it is no child of ours.
  public static func reap(_ pid: Int32) throws(SyscallError) -> Usage? {
    var usage = rusage()
    var status: Int32 = 0
    while true {
      // SAFETY: both are ours.
      if unsafe wait4(pid, &status, 0, &usage) > 0 { return Usage(usage) }
      if errno == ECHILD { return nil }
      if errno != EINTR { throw SyscallError(call: "wait4", object: "\(pid)", errno: errno) }
    }
  }

  /// The pids of this process's children (/proc/thread-self/children, proc(5)).
  public static func children() throws(SyscallError) -> [Int32] {
    let text = try Files.read(ByteString("/proc/thread-self/children"), limit: 1 << 20).text
    return text.split(separator: " ").compactMap { Int32($0) }
  }

  /// Tasks of this process (/proc/self/task); nil when procfs is not there.
  public static func threadCount() -> Int? {
    guard let status = try? Files.status(of: "/proc/self/task".bytes) else { return nil }
    return Int(status.links) - 2
  }

  /// Our children who lose their parent become ours (PR_SET_CHILD_SUBREAPER, prctl(2)).
  public static func becomeSubreaper() throws(SyscallError) {
    try prctl(PR_SET_CHILD_SUBREAPER, 1, "PR_SET_CHILD_SUBREAPER")
  }

  /// Gives back what a launch has touched and waiting does not need (madvise(2), MADV_DONTNEED).
  public static func releaseMemory() { _ = agt_release_memory() }

  /// The name that ps(1) shows, at most 15 bytes (PR_SET_NAME).
  public static func setName(_ name: String) throws(SyscallError) {
    // SAFETY: the kernel copies at most 16 bytes of the NUL-terminated string during the call.
    _ = try check(
      ByteString(name).withCString { agt_prctl(PR_SET_NAME, UInt(bitPattern: $0), 0, 0, 0) },
      "prctl",
      "PR_SET_NAME")
  }

  /// Of the machine, those that are in use; nil when it is not told (sysconf(3)).
  public static var processorCount: Int? {
    let count = sysconf(Int32(_SC_NPROCESSORS_ONLN))
    return count > 0 ? count : nil
  }

  private static let processorsMax = 1024

  /// Numbers of the processors that this thread may use, in order (sched_getaffinity(2)).
  public static func processors() throws(SyscallError) -> [Int] {
    var allowed = [UInt8](repeating: 0, count: processorsMax)
    // SAFETY: as many bytes are written as there are.
    _ = try check(
      unsafe agt_processors(0, &allowed, Int32(processorsMax)), "sched_getaffinity")
    return allowed.indices.filter { allowed[$0] != 0 }
  }

  /// From now on this thread uses these only, and what it makes does (sched_setaffinity(2)).
  /// - Parameter numbers: each from 0 to 1,023.
  public static func use(processors numbers: [Int]) throws(SyscallError) {
    var allowed = [UInt8](repeating: 0, count: processorsMax)
    for number in numbers { allowed[number] = 1 }
    // SAFETY: as many bytes are read as there are.
    _ = try check(
      unsafe agt_use_processors(0, allowed, Int32(processorsMax)), "sched_setaffinity",
      "\(numbers)")
  }

  /// Moves another process away from our processor where there are two. The kernel may put a new process beside its
  /// maker, and leaves it there for milliseconds although the other processor has become idle.
  public static func useOtherProcessor(_ pid: Int32) { agt_use_other_processor(pid) }

  /// Whether the process runs before everything of ordinary priority (SCHED_FIFO, sched(7)). Without the
  /// privilege for it nothing changes.
  /// - Parameter pid: 0 is this process.
  public static func setRunsFirst(_ pid: Int32, _ first: Bool) {
    _ = agt_schedule(pid, first ? SCHED_FIFO : SCHED_OTHER)
  }

  /// Leaves the processor to whoever has it, also when this thread becomes ready itself (SCHED_BATCH, sched(7)).
  /// - Returns: false when it has another policy than the ordinary one, which it keeps.
  public static func waitForOthers() -> Bool { agt_change_policy(SCHED_OTHER, batch) != 0 }

  /// After `waitForOthers` returned true.
  public static func waitForNobody() { _ = agt_change_policy(batch, SCHED_OTHER) }

  // glibc has this one for C with extensions only.
  private static let batch: Int32 = 3

  /// Nobody with our uid may trace us or read our /proc files (PR_SET_DUMPABLE).
  public static func setNotDumpable() throws(SyscallError) {
    try prctl(PR_SET_DUMPABLE, 0, "PR_SET_DUMPABLE")
  }

  /// We die with the thread that started us (PR_SET_PDEATHSIG): an addition, never the only means.
  public static func setParentDeathSignal(_ number: Int32) throws(SyscallError) {
    try prctl(PR_SET_PDEATHSIG, UInt(number), "PR_SET_PDEATHSIG")
  }

  /// From here on execve(2) grants nothing (PR_SET_NO_NEW_PRIVS); read back.
  public static func setNoNewPrivileges() throws(SyscallError) {
    try prctl(PR_SET_NO_NEW_PRIVS, 1, "PR_SET_NO_NEW_PRIVS")
    guard agt_prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 else {
      throw SyscallError(call: "prctl(PR_GET_NO_NEW_PRIVS)", errno: EPROTO)
    }
  }

  static func prctl(
    _ option: Int32, _ value: UInt, _ name: @autoclosure () -> String
  ) throws(SyscallError) {
    _ = try check(agt_prctl(option, value, 0, 0, 0), "prctl", name())
  }

  /// setsid(2); a process that leads its group already is left as it is.
  public static func newSession() throws(SyscallError) {
    _ = try check(setsid(), "setsid")
  }

  public static func setProcessGroup(_ pid: Int32, _ group: Int32) throws(SyscallError) {
    _ = try check(setpgid(pid, group), "setpgid", "\(pid)")
  }

  /// A new session keyring of its own, so that the caller's keys are out of reach (keyctl(2)).
  public static func joinNewSessionKeyring() throws(SyscallError) {
    _ = try check(agt_keyctl_join_session(), "keyctl(KEYCTL_JOIN_SESSION_KEYRING)")
  }
}

/// Runs `body` with a NULL-terminated vector of NUL-terminated copies.
@safe
func withStringVector<R>(
  _ strings: [ByteString], _ body: (UnsafePointer<UnsafeMutablePointer<CChar>?>) -> R
) -> R {
  var storage: [CChar] = []
  var offsets: [Int] = []
  storage.reserveCapacity(strings.reduce(0) { $0 + $1.count + 1 })
  for string in strings {
    precondition(!string.contains(0), "a NUL byte inside a string for the kernel")
    offsets.append(storage.count)
    for byte in string { storage.append(CChar(bitPattern: byte)) }
    storage.append(0)
  }
  return unsafe storage.withUnsafeMutableBufferPointer { buffer in
    var vector: [UnsafeMutablePointer<CChar>?] = unsafe offsets.map {
      unsafe buffer.baseAddress! + $0
    }
    unsafe vector.append(nil)
    // SAFETY: the vector points into `storage`, which lives until the end of this closure.
    return unsafe vector.withUnsafeBufferPointer { unsafe body($0.baseAddress!) }
  }
}
