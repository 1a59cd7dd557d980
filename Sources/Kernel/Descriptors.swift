internal import CLinux
internal import Glibc

/// Calls on descriptors as numbers: read(2), write(2), fcntl(2), close_range(2).
public enum Descriptors {
  public static func duplicate(
    _ number: Int32, atLeast lowest: Int32 = 3
  ) throws(SyscallError) -> OwnedFD {
    OwnedFD(
      try check(agt_fcntl(number, F_DUPFD_CLOEXEC, lowest), "fcntl(F_DUPFD_CLOEXEC)", "\(number)"))
  }

  public static func isOpen(_ number: Int32) -> Bool { agt_fcntl(number, F_GETFD, 0) >= 0 }

  /// Whether a program that is executed gets it; false for a number that is not open.
  public static func isInheritable(_ number: Int32) -> Bool {
    let flags = agt_fcntl(number, F_GETFD, 0)
    return flags >= 0 && flags & FD_CLOEXEC == 0
  }

  public static func setCloseOnExec(_ number: Int32, _ on: Bool) throws(SyscallError) {
    _ = try check(agt_fcntl(number, F_SETFD, on ? FD_CLOEXEC : 0), "fcntl(F_SETFD)", "\(number)")
  }

  public static func setNonBlocking(_ number: Int32, _ on: Bool) throws(SyscallError) {
    let flags = try check(agt_fcntl(number, F_GETFL, 0), "fcntl(F_GETFL)", "\(number)")
    let wanted = on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK
    _ = try check(agt_fcntl(number, F_SETFL, wanted), "fcntl(F_SETFL)", "\(number)")
  }

  /// Whether the file was opened for reading only.
  public static func isReadOnly(_ number: Int32) throws(SyscallError) -> Bool {
    try check(agt_fcntl(number, F_GETFL, 0), "fcntl(F_GETFL)", "\(number)") & O_ACCMODE == O_RDONLY
  }

  /// Where the one stands, the other stands afterwards (lseek(2)).
  public static func copyOffset(from: Int32, to: Int32) throws(SyscallError) {
    let offset = try check(lseek(from, 0, SEEK_CUR), "lseek", "\(from)")
    _ = try check(lseek(to, offset, SEEK_SET), "lseek", "\(to)")
  }

  /// Makes `copy` another number of the same open file; an older file there is closed (dup3(2)).
  public static func duplicate(_ number: Int32, onto copy: Int32) throws(SyscallError) {
    if number == copy { return try setCloseOnExec(number, false) }
    _ = try retrying("dup3", "\(number)") { agt_dup3(number, copy) }
  }

  /// Closes every descriptor from `first` up (close_range(2)).
  public static func closeAll(from first: Int32) throws(SyscallError) {
    _ = try check(agt_close_range(UInt32(first), .max, 0), "close_range", "\(first)")
  }

  /// Marks every descriptor from `first` up close-on-exec (close_range(2), CLOSE_RANGE_CLOEXEC).
  public static func closeAllOnExec(from first: Int32) throws(SyscallError) {
    _ = try check(agt_close_range(UInt32(first), .max, 4), "close_range", "\(first)")
  }

  /// At most `count` bytes; empty at end of file (read(2)).
  public static func read(_ number: Int32, upTo count: Int) throws(SyscallError) -> [UInt8] {
    var failure: SyscallError?
    let bytes = unsafe [UInt8](unsafeUninitializedCapacity: count) { buffer, length in
      do throws(SyscallError) {
        // SAFETY: the kernel writes at most `count` bytes into a buffer of that capacity.
        length = try retrying("read", "\(number)") {
          unsafe Glibc.read(number, buffer.baseAddress, count)
        }
      } catch {
        length = 0
        failure = error
      }
    }
    if let failure { throw failure }
    return bytes
  }

  /// Reads to the end of the file, refusing more than `limit` bytes with EFBIG.
  public static func readAll(_ number: Int32, limit: Int) throws(SyscallError) -> [UInt8] {
    var all: [UInt8] = []
    while true {
      let part = try read(number, upTo: 65536)
      if part.isEmpty { return all }
      all += part
      if all.count > limit { throw SyscallError(call: "read", object: "\(number)", errno: EFBIG) }
    }
  }

  /// One write(2); the number of bytes that were taken.
  public static func writeSome(_ number: Int32, _ bytes: ArraySlice<UInt8>) throws(SyscallError)
    -> Int
  {
    try retrying("write", "\(number)") {
      // SAFETY: pointer and count are those of the slice, which outlives the call.
      unsafe bytes.withUnsafeBytes { unsafe Glibc.write(number, $0.baseAddress, $0.count) }
    }
  }

  /// Writes all bytes.
  public static func write(_ number: Int32, _ bytes: [UInt8]) throws(SyscallError) {
    var rest = bytes[...]
    while !rest.isEmpty { rest = rest.dropFirst(try writeSome(number, rest)) }
  }

  public struct Pipe: ~Copyable {
    public let reader: OwnedFD
    public let writer: OwnedFD

    /// The reading end alone; the other is closed.
    public consuming func takeReader() -> OwnedFD { reader }
  }

  /// pipe2(2), close-on-exec.
  public static func pipe() throws(SyscallError) -> Pipe {
    var both: [Int32] = [-1, -1]
    // SAFETY: the kernel writes two ints.
    _ = try check(unsafe agt_pipe(&both), "pipe2")
    return Pipe(reader: OwnedFD(both[0]), writer: OwnedFD(both[1]))
  }

  /// How many bytes a pipe holds; 0 where that cannot be told.
  public static func waitingBytes(_ number: Int32) -> Int { max(0, Int(agt_waiting_bytes(number))) }

  public static func isTerminal(_ number: Int32) -> Bool { isatty(number) == 1 }

  /// An empty file in memory, close-on-exec, that can be sealed (memfd_create(2)) and, since Linux 6.3,
  /// never be executed: with vm.memfd_noexec=2, and inside a ring, others are refused.
  public static func memory(name: String) throws(SyscallError) -> OwnedFD {
    let flags = AGT_MFD_CLOEXEC | AGT_MFD_ALLOW_SEALING
    let number = ByteString(name).withCString { path in
      // SAFETY: the name is NUL-terminated.
      let sealed = unsafe agt_memfd_create(path, flags | AGT_MFD_NOEXEC_SEAL)
      if sealed >= 0 || Glibc.errno != EINVAL { return sealed }
      // SAFETY: as above.
      return unsafe agt_memfd_create(path, flags)
    }
    return OwnedFD(try check(number, "memfd_create", name))
  }

  /// A file in memory that holds `bytes` and can never change again (F_ADD_SEALS, fcntl(2)).
  public static func sealedMemory(name: String, _ bytes: [UInt8]) throws(SyscallError) -> OwnedFD {
    let file = try memory(name: name)
    try write(file.raw, bytes)
    _ = try check(agt_seal(file.raw), "fcntl(F_ADD_SEALS)", name)
    return file
  }

  /// Whether the file can neither grow, shrink, change nor lose its seals.
  public static func isSealed(_ number: Int32) throws(SyscallError) -> Bool {
    try check(agt_seals(number), "fcntl(F_GET_SEALS)", "\(number)") & AGT_ALL_SEALS == AGT_ALL_SEALS
  }

  /// Whether the other end of a connection is closed, so that no answer can reach it (poll(2)).
  public static func isHungUp(_ number: Int32) throws(SyscallError) -> Bool {
    var one = pollfd(fd: number, events: 0, revents: 0)
    // SAFETY: one structure of ours.
    let count = try retrying("poll", "\(number)") { unsafe Int(poll(&one, 1, 0)) }
    return count == 1 && one.revents & Int16(POLLHUP) != 0
  }

  /// Whether a write of at most 4096 bytes (PIPE_BUF) would not wait (poll(2)).
  /// - Parameter milliseconds: how long to wait for that.
  public static func isWritable(_ number: Int32, withinMilliseconds milliseconds: Int32 = 0)
    -> Bool
  {
    var one = pollfd(fd: number, events: Int16(POLLOUT), revents: 0)
    // SAFETY: one structure of ours.
    return unsafe poll(&one, 1, milliseconds) == 1 && one.revents & Int16(POLLOUT) != 0
  }

  /// Gives up a lock of this open file.
  public static func unlock(_ number: Int32) { _ = agt_flock(number, LOCK_UN) }

  /// An exclusive lock that lasts as long as the open file; false when another holds it (flock(2)).
  public static func tryLock(_ number: Int32) throws(SyscallError) -> Bool {
    if agt_flock(number, LOCK_EX | LOCK_NB) == 0 { return true }
    if Glibc.errno == EWOULDBLOCK { return false }
    throw SyscallError(call: "flock", object: "\(number)", errno: Glibc.errno)
  }

  /// The same, after waiting for whoever has it.
  public static func lock(_ number: Int32) throws(SyscallError) {
    while agt_flock(number, LOCK_EX) != 0 {
      guard Glibc.errno == EINTR else {
        throw SyscallError(call: "flock", object: "\(number)", errno: Glibc.errno)
      }
    }
  }

  /// Tried again in pauses of 0.2 to 5 ms: flock(2) itself waits without a limit of time.
  /// - Returns: false when another still holds it after that time.
  public static func lock(
    _ number: Int32, withinMilliseconds patience: UInt64
  ) throws(SyscallError) -> Bool {
    let deadline = Clock.monotonicNanoseconds() + min(patience, 1 << 32) * 1_000_000
    var pauseMicroseconds: UInt32 = 200
    while !(try tryLock(number)) {
      guard Clock.monotonicNanoseconds() < deadline else { return false }
      usleep(pauseMicroseconds)
      pauseMicroseconds = min(2 * pauseMicroseconds, 5000)
    }
    return true
  }
}
