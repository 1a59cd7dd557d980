internal import Glibc
public import Kernel

/// The calls by which a log gets onto a disk; tests let each of them fail.
public struct LogCalls: Sendable {
  /// pwrite(2): descriptor, bytes, place; how many bytes were taken.
  public var write: @Sendable (Int32, ArraySlice<UInt8>, Int64) throws(SyscallError) -> Int
  /// fdatasync(2).
  public var sync: @Sendable (Int32) throws(SyscallError) -> Void
  /// fallocate(2): descriptor, place, bytes; false where the file system cannot.
  public var reserve: @Sendable (Int32, Int64, Int64) throws(SyscallError) -> Bool

  public init(
    write: @escaping @Sendable (Int32, ArraySlice<UInt8>, Int64) throws(SyscallError) -> Int,
    sync: @escaping @Sendable (Int32) throws(SyscallError) -> Void,
    reserve: @escaping @Sendable (Int32, Int64, Int64) throws(SyscallError) -> Bool
  ) {
    self.write = write
    self.sync = sync
    self.reserve = reserve
  }

  public static let kernel = LogCalls(
    write: { (number, bytes, offset) throws(SyscallError) in
      try Files.writeSome(number, bytes, at: offset)
    },
    sync: { (number) throws(SyscallError) in try Files.syncData(number) },
    reserve: { (number, offset, bytes) throws(SyscallError) in
      try Files.reserve(number, from: offset, bytes: bytes)
    })

  /// Writes all of it.
  func writeAll(_ number: Int32, _ bytes: [UInt8], at offset: Int64) throws(LogError) {
    var rest = bytes[...]
    var place = offset
    while !rest.isEmpty {
      let count = try calling { () throws(SyscallError) in try write(number, rest, place) }
      // Nothing taken and no error: POSIX allows it, and it must not turn into a loop without an end.
      guard count > 0 else { throw .system(SyscallError(call: "pwrite", errno: EIO)) }
      rest = rest.dropFirst(count)
      place += Int64(count)
    }
  }
}
