internal import Glibc
internal import Synchronization

/// posix_spawn(3) and descriptors for the helpers of this module.
enum Spawn {
  /// Both ends close-on-exec, so that tests that run at the same time do not hold each other's.
  static func pipe() -> (reader: Int32, writer: Int32) {
    inheritance.withLock { _ in
      var both: [Int32] = [-1, -1]
      // SAFETY: the kernel writes two ints.
      precondition(unsafe Glibc.pipe(&both) == 0, "pipe: errno \(errno)")
      for number in both { _ = fcntl(number, F_SETFD, FD_CLOEXEC) }
      return (both[0], both[1])
    }
  }

  /// Glibc's module map lacks pipe2(2): nobody may spawn before the flags are set.
  private static let inheritance = Mutex(())

  static func setNonBlocking(_ number: Int32) {
    _ = fcntl(number, F_SETFL, fcntl(number, F_GETFL) | O_NONBLOCK)
  }

  /// Appends what is there; false, and the descriptor is closed, at the end.
  static func read(_ number: Int32, into bytes: inout [UInt8]) -> Bool {
    var buffer = [UInt8](repeating: 0, count: 65536)
    // SAFETY: the buffer has the size that is given.
    let count = unsafe Glibc.read(number, &buffer, buffer.count)
    if count < 0 && (errno == EAGAIN || errno == EINTR) { return true }
    if count <= 0 {
      close(number)
      return false
    }
    bytes += buffer[..<count]
    return true
  }

  /// - Parameters:
  ///   - descriptors: (ours, number in the child).
  ///   - terminal: the path of a terminal that becomes 0, 1 and 2 and the controlling one of a new
  ///     session; without, the child leads a new process group.
  static func start(
    _ words: [[UInt8]], environment: [String], directory: String?,
    descriptors: [(ours: Int32, theirs: Int32)], terminal: String?
  ) -> pid_t {
    var actions = unsafe posix_spawn_file_actions_t()
    var attributes = posix_spawnattr_t()
    var all = sigset_t()
    var none = sigset_t()
    var words = words
    // It also lacks posix_spawn_file_actions_addchdir_np(3).
    if let directory {
      words = ["/usr/bin/env", "-C", directory, "--"].map { Array($0.utf8) } + words
    }
    // SAFETY: both structures are initialised here, used below and destroyed at the end; every string
    // lives for the call that takes it.
    unsafe posix_spawn_file_actions_init(&actions)
    unsafe posix_spawnattr_init(&attributes)
    defer {
      unsafe posix_spawn_file_actions_destroy(&actions)
      unsafe posix_spawnattr_destroy(&attributes)
    }
    for (ours, theirs) in descriptors {
      unsafe posix_spawn_file_actions_adddup2(&actions, ours, theirs)
    }
    if let terminal {
      unsafe posix_spawn_file_actions_addopen(&actions, 0, terminal, O_RDWR, 0)
      unsafe posix_spawn_file_actions_adddup2(&actions, 0, 1)
      unsafe posix_spawn_file_actions_adddup2(&actions, 0, 2)
    }
    unsafe sigfillset(&all)
    for number in [SIGKILL, SIGSTOP] { unsafe sigdelset(&all, number) }
    unsafe sigemptyset(&none)
    unsafe posix_spawnattr_setsigdefault(&attributes, &all)
    unsafe posix_spawnattr_setsigmask(&attributes, &none)
    unsafe posix_spawnattr_setpgroup(&attributes, 0)
    let group = terminal == nil ? POSIX_SPAWN_SETPGROUP : 0x80  // POSIX_SPAWN_SETSID
    unsafe posix_spawnattr_setflags(
      &attributes, Int16(POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK) | Int16(group))
    var pid: pid_t = 0
    let result = vector(words) { argv in
      vector(environment.map { Array($0.utf8) }) { envp in
        // SAFETY: as above; both vectors end in NULL.
        inheritance.withLock { _ in
          unsafe posix_spawn(&pid, argv[0]!, &actions, &attributes, argv, envp)
        }
      }
    }
    precondition(
      result == 0, "posix_spawn \(String(decoding: words[0], as: UTF8.self)): errno \(result)")
    return pid
  }

  @safe
  private static func vector<R>(
    _ words: [[UInt8]], _ body: (UnsafePointer<UnsafeMutablePointer<CChar>?>) -> R
  ) -> R {
    // SAFETY: the copies are freed after the body; the vector ends in NULL.
    var pointers: [UnsafeMutablePointer<CChar>?] = unsafe words.map { word in
      unsafe (word + [0]).withUnsafeBytes {
        unsafe strdup($0.baseAddress!.assumingMemoryBound(to: CChar.self))
      }
    }
    unsafe pointers.append(nil)
    defer { for index in unsafe pointers.indices { unsafe free(pointers[index]) } }
    return unsafe pointers.withUnsafeBufferPointer { unsafe body($0.baseAddress!) }
  }
}
