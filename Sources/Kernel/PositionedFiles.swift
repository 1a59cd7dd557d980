internal import CLinux
internal import Glibc

/// Reading and writing at places of a file, whatever its offset is, and setting blocks aside: what a log
/// needs that must be able to write when the disk is full.
extension Files {
  /// One pwrite(2).
  /// - Returns: how many of the bytes were taken.
  public static func writeSome(
    _ number: Int32, _ bytes: ArraySlice<UInt8>, at offset: Int64
  ) throws(SyscallError) -> Int {
    try retrying("pwrite", "\(number)") {
      // SAFETY: pointer and count are those of the slice, which outlives the call.
      unsafe bytes.withUnsafeBytes { unsafe pwrite(number, $0.baseAddress, $0.count, Int(offset)) }
    }
  }

  /// At most `count` bytes; fewer only at the end of the file (pread(2)).
  public static func read(
    _ number: Int32, upTo count: Int, at offset: Int64
  ) throws(SyscallError) -> [UInt8] {
    var failure: SyscallError?
    let bytes = unsafe [UInt8](unsafeUninitializedCapacity: count) { buffer, length in
      length = 0
      do throws(SyscallError) {
        while length < count {
          // SAFETY: the kernel writes at most the rest of the buffer's capacity.
          let taken = try retrying("pread", "\(number)") {
            unsafe pread(
              number, buffer.baseAddress! + length, count - length, Int(offset) + length)
          }
          if taken == 0 { return }
          length += taken
        }
      } catch {
        failure = error
      }
    }
    if let failure { throw failure }
    return bytes
  }

  /// Sets blocks aside for this part of the file without changing its length (fallocate(2),
  /// FALLOC_FL_KEEP_SIZE): writing there needs no free space.
  /// - Returns: false where the file system cannot.
  public static func reserve(
    _ number: Int32, from offset: Int64, bytes: Int64
  ) throws(SyscallError) -> Bool {
    let result = agt_reserve(number, offset, bytes)
    if result < 0, errno == EOPNOTSUPP || errno == ENOSYS { return false }
    _ = try check(result, "fallocate", "\(number)")
    return true
  }
}

/// Wakes an epoll loop from another thread (eventfd(2)).
public struct Wakeup: ~Copyable, Sendable {
  public let descriptor: OwnedFD

  public init() throws(SyscallError) {
    descriptor = OwnedFD(try check(agt_eventfd(), "eventfd2"))
  }

  /// The descriptor becomes readable, until `clear`.
  public func raise() {
    var one: UInt64 = 1
    // SAFETY: eight bytes of ours. It fails only when 2^64 - 2 are waiting: it is readable then.
    _ = unsafe write(descriptor.raw, &one, 8)
  }

  public func clear() {
    var count: UInt64 = 0
    // SAFETY: as above; nothing there is as well as something.
    _ = unsafe read(descriptor.raw, &count, 8)
  }
}
