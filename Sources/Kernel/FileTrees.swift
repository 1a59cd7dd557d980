internal import CLinux
internal import Glibc

/// What copying and comparing trees needs. None of these calls follows a symbolic link at the end of its
/// name, and the names that they are given have no slash: the directory is a descriptor.
extension Files {
  /// Extended attributes are at most this long together (xattr(7), XATTR_LIST_MAX and XATTR_SIZE_MAX).
  private static let maximumAttributeBytes = 65536
  /// Most have none or one; more take a second call.
  private static let usualAttributeBytes = 512

  /// There are no calls for extended attributes relative to a directory before Linux 6.13; through procfs
  /// the last name is not followed. An empty name is the open directory itself: the slash at the end leads
  /// into it (path_resolution(7)).
  private static func procPath(_ name: ByteString, _ directory: Int32) -> ByteString {
    ByteString("/proc/self/fd/\(directory)/") + name
  }

  /// The names of a file's extended attributes (llistxattr(2)); none where there can be none.
  public static func extendedAttributeNames(
    of name: ByteString, at directory: Int32
  ) throws(SyscallError) -> [ByteString] {
    let path = procPath(name, directory)
    var list = [CChar](repeating: 0, count: usualAttributeBytes)
    // SAFETY: the kernel writes at most the given size.
    var length = path.withCString { unsafe agt_llistxattr($0, &list, usualAttributeBytes) }
    if length < 0, errno == ERANGE {
      list = [CChar](repeating: 0, count: maximumAttributeBytes)
      // SAFETY: as above.
      length = path.withCString { unsafe agt_llistxattr($0, &list, maximumAttributeBytes) }
    }
    if length < 0, errno == EOPNOTSUPP { return [] }
    let count = try check(length, "llistxattr", name.text)
    return list[..<count].split(separator: 0).map { $0.map { UInt8(bitPattern: $0) } }
  }

  /// The value of one; nil when the file has none of that name (lgetxattr(2)).
  public static func extendedAttribute(
    _ attribute: ByteString, of name: ByteString, at directory: Int32
  ) throws(SyscallError) -> [UInt8]? {
    let path = procPath(name, directory)
    var value = [UInt8](repeating: 0, count: usualAttributeBytes)
    var length = 0
    for capacity in [usualAttributeBytes, maximumAttributeBytes] {
      if capacity > value.count { value = [UInt8](repeating: 0, count: capacity) }
      length = path.withCString { file in
        // SAFETY: the kernel writes at most the given size.
        attribute.withCString { unsafe agt_lgetxattr(file, $0, &value, capacity) }
      }
      if length >= 0 || errno != ERANGE { break }
    }
    if length < 0, errno == ENODATA || errno == EOPNOTSUPP { return nil }
    return Array(value[..<(try check(length, "lgetxattr", attribute.text))])
  }

  public static func setExtendedAttribute(
    _ attribute: ByteString, _ value: [UInt8], of name: ByteString, at directory: Int32
  ) throws(SyscallError) {
    let result = procPath(name, directory).withCString { file in
      // SAFETY: the length is that of the array, which outlives the call.
      attribute.withCString { unsafe agt_lsetxattr(file, $0, value, value.count) }
    }
    _ = try check(result, "lsetxattr", attribute.text)
  }

  public static func removeExtendedAttribute(
    _ attribute: ByteString, of name: ByteString, at directory: Int32
  ) throws(SyscallError) {
    let result = procPath(name, directory).withCString { file in
      // SAFETY: both strings are NUL-terminated for the call.
      attribute.withCString { unsafe agt_lremovexattr(file, $0) }
    }
    _ = try check(result, "lremovexattr", attribute.text)
  }

  /// A second name for the file itself, also when it is a symbolic link (linkat(2)).
  public static func link(
    _ name: ByteString, at directory: Int32, to new: ByteString, at target: Int32
  ) throws(SyscallError) {
    let result = name.withCString { from in
      // SAFETY: both strings are NUL-terminated for the call.
      new.withCString { unsafe linkat(directory, from, target, $0, 0) }
    }
    _ = try check(result, "linkat", name.text)
  }

  public static func rename(
    _ name: ByteString, at directory: Int32, to new: ByteString, at target: Int32
  ) throws(SyscallError) {
    let result = name.withCString { from in
      // SAFETY: both strings are NUL-terminated for the call.
      new.withCString { unsafe renameat(directory, from, target, $0) }
    }
    _ = try check(result, "renameat", new.text)
  }

  /// fchmodat(2) with AT_SYMLINK_NOFOLLOW.
  public static func setMode(
    _ mode: UInt32, of name: ByteString, at directory: Int32
  ) throws(SyscallError) {
    // SAFETY: the name is NUL-terminated for the call.
    let result = name.withCString { unsafe agt_fchmodat(directory, $0, mode) }
    _ = try check(result, "fchmodat", name.text)
  }

  /// fchownat(2) with AT_SYMLINK_NOFOLLOW.
  public static func setOwner(
    uid: UInt32, gid: UInt32, of name: ByteString, at directory: Int32
  ) throws(SyscallError) {
    // SAFETY: the name is NUL-terminated for the call.
    let result = name.withCString { unsafe agt_fchownat(directory, $0, uid, gid) }
    _ = try check(result, "fchownat", name.text)
  }

  /// Both times at once (utimensat(2)), in nanoseconds since 1970.
  public static func setTimes(
    nanoseconds: Int64, of name: ByteString, at directory: Int32
  ) throws(SyscallError) {
    let result = name.withCString {
      // SAFETY: the name is NUL-terminated for the call.
      unsafe agt_utimensat(directory, $0, nanoseconds, nanoseconds)
    }
    _ = try check(result, "utimensat", name.text)
  }

  /// Of the open file itself (fchmod(2)).
  public static func setMode(_ mode: UInt32, of number: Int32) throws(SyscallError) {
    _ = try check(fchmod(number, mode), "fchmod", "\(number)")
  }

  /// Of the open file itself (fchown(2)).
  public static func setOwner(uid: UInt32, gid: UInt32, of number: Int32) throws(SyscallError) {
    _ = try check(fchown(number, uid, gid), "fchown", "\(number)")
  }

  /// Both times of the open file itself (futimens(3)), in nanoseconds since 1970.
  public static func setTimes(nanoseconds: Int64, of number: Int32) throws(SyscallError) {
    _ = try check(agt_futimens(number, nanoseconds), "futimens", "\(number)")
  }

  /// An empty file, a pipe or a socket with a name (mknodat(2)).
  /// - Parameter mode: permissions, below the umask.
  /// - Precondition: `kind` is one of these three.
  public static func makeNode(
    _ name: ByteString, _ kind: FileStatus.Kind, mode: UInt32, at directory: Int32
  ) throws(SyscallError) {
    // S_IFREG, S_IFIFO and S_IFSOCK of inode(7).
    let type: UInt32 =
      switch kind {
      case .regular: 0o100000
      case .fifo: 0o010000
      case .socket: 0o140000
      default: preconditionFailure("devices are never made")
      }
    // SAFETY: the name is NUL-terminated for the call.
    _ = try check(
      name.withCString { unsafe agt_mknodat(directory, $0, type | mode) }, "mknodat", name.text)
  }

  /// Copies everything that an open file holds and leaves its holes holes (lseek(2), SEEK_DATA).
  public static func copyContents(
    from: Int32, to: Int32, sizeBytes: Int64
  ) throws(SyscallError) {
    var position: Int64 = 0
    while position < sizeBytes {
      let start = agt_seek_data(from, position)
      if start < 0, errno == ENXIO { break }
      let begin = start < 0 ? position : start
      let hole = start < 0 ? sizeBytes : agt_seek_hole(from, begin)
      let end = hole < 0 ? sizeBytes : min(hole, sizeBytes)
      try copyRange(from, to, begin, end)
      position = max(end, begin + 1)
    }
    _ = try check(ftruncate(to, Int(sizeBytes)), "ftruncate", "\(to)")
  }

  private static func copyRange(
    _ from: Int32, _ to: Int32, _ begin: Int64, _ end: Int64
  ) throws(SyscallError) {
    var source = begin
    var target = begin
    while source < end {
      // SAFETY: both offsets are ours.
      let copied = unsafe agt_copy_file_range(from, &source, to, &target, Int(end - source))
      if copied > 0 { continue }
      if copied == 0 { return }
      guard [EXDEV, EINVAL, EOPNOTSUPP, ENOSYS].contains(errno) else {
        throw SyscallError(call: "copy_file_range", object: "\(to)", errno: errno)
      }
      break
    }
    guard source < end else { return }
    _ = try check(lseek(from, Int(source), SEEK_SET), "lseek", "\(from)")
    _ = try check(lseek(to, Int(source), SEEK_SET), "lseek", "\(to)")
    while source < end {
      let part = try Descriptors.read(from, upTo: Int(min(end - source, 1 << 20)))
      if part.isEmpty { return }
      try Descriptors.write(to, part)
      source += Int64(part.count)
    }
  }

  /// Everything written to the file system of the open file so far is on its disk (syncfs(2)).
  public static func syncFileSystem(_ number: Int32) throws(SyscallError) {
    _ = try check(agt_syncfs(number), "syncfs", "\(number)")
  }

  /// ftruncate(2).
  public static func truncate(_ number: Int32, toBytes length: Int64) throws(SyscallError) {
    _ = try check(ftruncate(number, Int(length)), "ftruncate", "\(number)")
  }

  /// The contents and the length of the file are on its disk (fdatasync(2)).
  public static func syncData(_ number: Int32) throws(SyscallError) {
    _ = try check(fdatasync(number), "fdatasync", "\(number)")
  }

  /// fsync(2).
  public static func sync(_ number: Int32) throws(SyscallError) {
    _ = try check(agt_fsync(number), "fsync", "\(number)")
  }

  /// Which kind of file system holds the open file (statfs(2), f_type).
  public static func fileSystemType(_ number: Int32) -> Int64 { agt_file_system_type(number) }

  /// CGROUP2_SUPER_MAGIC and CGROUP_SUPER_MAGIC of linux/magic.h.
  public static let cgroup2Type: Int64 = 0x6367_7270
  public static let cgroupType: Int64 = 0x27_e0eb

  /// PROC_SUPER_MAGIC of linux/magic.h.
  public static let procType: Int64 = 0x9fa0

  /// OVERLAYFS_SUPER_MAGIC of linux/magic.h.
  public static let overlayType: Int64 = 0x794c_7630
}
