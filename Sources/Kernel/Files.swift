internal import CLinux
internal import Glibc

/// Which file it is, for comparing what was judged with what was opened (inode(7)).
public struct FileIdentity: Hashable, Sendable {
  public let device: UInt64
  public let inode: UInt64
  public init(device: UInt64, inode: UInt64) {
    self.device = device
    self.inode = inode
  }
}

/// What stat(2) tells, as far as we use it.
public struct FileStatus: Equatable, Sendable {
  public enum Kind: Equatable, Sendable {
    case regular, directory, symbolicLink, characterDevice, blockDevice, fifo, socket
  }
  public let kind: Kind
  /// Permission bits with set-user-ID, set-group-ID and sticky.
  public let mode: UInt32
  public let uid: UInt32
  public let gid: UInt32
  public let links: UInt64
  public let sizeBytes: Int64
  public let identity: FileIdentity
  public let modifiedNanoseconds: Int64
  /// When its content or its attributes last changed; nobody can set it.
  public let changedNanoseconds: Int64
  /// Of a device node: which device; 0 is a whiteout of overlayfs.
  public let deviceNumber: UInt64

  init(_ raw: stat) {
    switch raw.st_mode & S_IFMT {
    case S_IFDIR: kind = .directory
    case S_IFLNK: kind = .symbolicLink
    case S_IFCHR: kind = .characterDevice
    case S_IFBLK: kind = .blockDevice
    case S_IFIFO: kind = .fifo
    case S_IFSOCK: kind = .socket
    default: kind = .regular
    }
    mode = raw.st_mode & 0o7777
    uid = raw.st_uid
    gid = raw.st_gid
    links = UInt64(raw.st_nlink)
    sizeBytes = Int64(raw.st_size)
    identity = FileIdentity(device: UInt64(raw.st_dev), inode: UInt64(raw.st_ino))
    modifiedNanoseconds = Int64(raw.st_mtim.tv_sec) * 1_000_000_000 + Int64(raw.st_mtim.tv_nsec)
    changedNanoseconds = Int64(raw.st_ctim.tv_sec) * 1_000_000_000 + Int64(raw.st_ctim.tv_nsec)
    deviceNumber = UInt64(raw.st_rdev)
  }
}

/// How far openat2(2) may follow a path.
public struct Resolve: OptionSet, Sendable {
  public let rawValue: UInt64
  public init(rawValue: UInt64) { self.rawValue = rawValue }
  public static let noMagicLinks = Resolve(rawValue: UInt64(AGT_RESOLVE_NO_MAGICLINKS))
  public static let noSymlinks = Resolve(rawValue: UInt64(AGT_RESOLVE_NO_SYMLINKS))
  public static let beneath = Resolve(rawValue: UInt64(AGT_RESOLVE_BENEATH))
  public static let noOtherMounts = Resolve(rawValue: UInt64(AGT_RESOLVE_NO_XDEV))
  public static let inRoot = Resolve(rawValue: UInt64(AGT_RESOLVE_IN_ROOT))
}

/// Calls on paths. `directory` is a descriptor or `Files.here`.
public enum Files {
  /// The current working directory (AT_FDCWD).
  public static let here: Int32 = AT_FDCWD

  /// open(2); close-on-exec and without becoming the controlling terminal.
  public static func open(
    _ path: ByteString, _ flags: Int32, mode: UInt32 = 0, at directory: Int32 = here
  ) throws(SyscallError) -> OwnedFD {
    let number = try retrying("openat", path.text) {
      // SAFETY: the path is NUL-terminated for the call.
      path.withCString { unsafe agt_openat(directory, $0, flags | O_CLOEXEC | O_NOCTTY, mode) }
    }
    return OwnedFD(number)
  }

  /// openat2(2) with bounds on what the path may cross.
  public static func open(
    _ path: ByteString, _ flags: Int32, mode: UInt32 = 0, at directory: Int32 = here,
    resolve: Resolve
  ) throws(SyscallError) -> OwnedFD {
    let how = agt_open_how(
      flags: UInt64(UInt32(bitPattern: flags | O_CLOEXEC)), mode: UInt64(mode),
      resolve: resolve.rawValue)
    let number = try retrying("openat2", path.text) {
      // SAFETY: the path is NUL-terminated for the call.
      path.withCString { unsafe agt_openat2(directory, $0, how) }
    }
    return OwnedFD(number)
  }

  public static func status(_ number: Int32) throws(SyscallError) -> FileStatus {
    var raw = stat()
    // SAFETY: the kernel fills the structure that we own.
    _ = try check(unsafe fstat(number, &raw), "fstat", "\(number)")
    return FileStatus(raw)
  }

  /// fstatat(2); of the link itself when `followLink` is false.
  public static func status(
    of path: ByteString, at directory: Int32 = here, followLink: Bool = true
  ) throws(SyscallError) -> FileStatus {
    var raw = stat()
    let result = path.withCString {
      // SAFETY: the path is NUL-terminated and the structure is ours.
      unsafe fstatat(directory, $0, &raw, followLink ? 0 : AT_SYMLINK_NOFOLLOW)
    }
    _ = try check(result, "fstatat", path.text)
    return FileStatus(raw)
  }

  /// Whether the process may read (4), write (2), execute (1) the file, by effective ids (faccessat(2)).
  public static func mayAccess(_ path: ByteString, _ mode: Int32, at directory: Int32 = here)
    -> Bool
  {
    // SAFETY: the path is NUL-terminated for the call.
    path.withCString { unsafe agt_faccessat(directory, $0, mode, AT_EACCESS) } == 0
  }

  public static func readLink(_ path: ByteString, at directory: Int32 = here) throws(SyscallError)
    -> ByteString
  {
    var failure: SyscallError?
    let target = unsafe [UInt8](unsafeUninitializedCapacity: 4096) { buffer, length in
      do throws(SyscallError) {
        // SAFETY: at most 4096 bytes are written into a buffer of that capacity.
        let result = path.withCString { name in
          unsafe buffer.withMemoryRebound(to: CChar.self) {
            unsafe readlinkat(directory, name, $0.baseAddress!, 4096)
          }
        }
        length = try check(result, "readlinkat", path.text)
      } catch {
        length = 0
        failure = error
      }
    }
    if let failure { throw failure }
    return target
  }

  /// The names in a directory without `.` and `..`, in the kernel's order (getdents64(2)).
  /// - Parameter stop: ends the list before the name for which it is true; what comes after is not read.
  public static func names(
    in path: ByteString, until stop: (ByteString) -> Bool = { _ in false }
  ) throws(SyscallError) -> [ByteString] {
    try names(in: try open(path, O_RDONLY | O_DIRECTORY), until: stop)
  }

  /// Of an open directory, which is read from where it stands and closed.
  public static func names(
    in directory: consuming OwnedFD, until stop: (ByteString) -> Bool = { _ in false }
  ) throws(SyscallError) -> [ByteString] {
    var names: [ByteString] = []
    // struct linux_dirent64: inode and offset (8 each), length (2), type (1), the name with its NUL.
    // A short read first: whoever stops early makes the kernel look at little that nobody wants.
    var buffer = [UInt8](repeating: 0, count: 1024)
    while true {
      let size = UInt32(buffer.count)
      // SAFETY: the kernel writes at most as many bytes as the buffer has.
      let length = Int(
        try check(unsafe agt_getdents64(directory.raw, &buffer, size), "getdents64"))
      if length == 0 { return names }
      var start = 0
      while start < length {
        let next = start + Int(buffer[start + 16]) + Int(buffer[start + 17]) << 8
        let name = ByteString(buffer[(start + 19)..<next].prefix { $0 != 0 })
        start = next
        if name == ByteString(".") || name == ByteString("..") { continue }
        if stop(name) { return names }
        names.append(name)
      }
      if buffer.count < 8192 { buffer.append(contentsOf: repeatElement(0, count: buffer.count)) }
    }
  }

  public static func makeDirectory(_ path: ByteString, mode: UInt32, at directory: Int32 = here)
    throws(SyscallError)
  {
    // SAFETY: the path is NUL-terminated for the call.
    _ = try check(path.withCString { unsafe mkdirat(directory, $0, mode) }, "mkdirat", path.text)
  }

  /// A directory and those above it that are missing.
  /// - Parameters:
  ///   - path: absolute.
  ///   - mode: of each that is made, whatever the umask is.
  public static func makeDirectories(_ path: ByteString, mode: UInt32) throws(SyscallError) {
    var here = ByteString("")
    for part in path.split(separator: UInt8(ascii: "/")) {
      here += [UInt8(ascii: "/")] + part
      do throws(SyscallError) {
        try makeDirectory(here, mode: mode)
        try setMode(mode, of: here, at: Self.here)
      } catch {
        if error.errno != EEXIST { throw error }
      }
    }
  }

  public static func makeSymbolicLink(
    _ path: ByteString, to target: ByteString, at directory: Int32 = here
  ) throws(SyscallError) {
    let result = target.withCString { from in
      // SAFETY: both strings are NUL-terminated for the call.
      path.withCString { to in unsafe symlinkat(from, directory, to) }
    }
    _ = try check(result, "symlinkat", path.text)
  }

  public static func remove(
    _ path: ByteString, directory isDirectory: Bool = false, at directory: Int32 = here
  ) throws(SyscallError) {
    let flags = isDirectory ? Int32(AT_REMOVEDIR) : 0
    // SAFETY: the path is NUL-terminated for the call.
    _ = try check(path.withCString { unsafe unlinkat(directory, $0, flags) }, "unlinkat", path.text)
  }

  public static func rename(_ old: ByteString, to new: ByteString, at directory: Int32 = here)
    throws(SyscallError)
  {
    let result = old.withCString { from in
      // SAFETY: both strings are NUL-terminated for the call.
      new.withCString { to in unsafe renameat(directory, from, directory, to) }
    }
    _ = try check(result, "renameat", new.text)
  }

  /// A file with these bytes and mode, written anew.
  public static func create(
    _ path: ByteString, mode: UInt32, contents: [UInt8], at directory: Int32 = here
  ) throws(SyscallError) {
    let file = try open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode: mode, at: directory)
    try Descriptors.write(file.raw, contents)
    _ = try check(fchmod(file.raw, mode), "fchmod", path.text)
  }

  /// Replaces a file whole: afterwards, also after a loss of power, there is the old one or the new one.
  /// - Parameter fresh: the new one's name on its way; what has it is removed.
  public static func replace(
    _ name: ByteString, with contents: [UInt8], mode: UInt32, through fresh: ByteString,
    at directory: Int32
  ) throws(SyscallError) {
    try? remove(fresh, at: directory)
    let file = try open(
      fresh, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode: mode, at: directory)
    do throws(SyscallError) {
      try Descriptors.write(file.raw, contents)
      _ = try check(fchmod(file.raw, mode), "fchmod", name.text)
      try sync(file.raw)
      try rename(fresh, to: name, at: directory)
      try sync(directory)
    } catch {
      try? remove(fresh, at: directory)
      throw error
    }
  }

  public static func read(_ path: ByteString, limit: Int, at directory: Int32 = here)
    throws(SyscallError) -> [UInt8]
  {
    let file = try open(path, O_RDONLY, at: directory)
    return try Descriptors.readAll(file.raw, limit: limit)
  }

  /// The same for a name that somebody else may have chosen: no link is followed, and nothing but a regular
  /// file is read, because a pipe would keep us waiting.
  /// - Throws: ELOOP and EINVAL besides.
  public static func readRegular(_ path: ByteString, limit: Int, at directory: Int32 = here)
    throws(SyscallError) -> [UInt8]
  {
    let file = try open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, at: directory)
    guard try status(file.raw).kind == .regular else {
      throw SyscallError(call: "open", object: path.text, errno: EINVAL)
    }
    return try Descriptors.readAll(file.raw, limit: limit)
  }

  /// Everything that an open file holds, whatever its offset is, which others may share (pread(2)).
  public static func readFromStart(_ number: Int32, limit: Int) throws(SyscallError) -> [UInt8] {
    let size = Int(clamping: try status(number).sizeBytes)
    guard size <= limit else {
      throw SyscallError(call: "pread", object: "more than \(limit) bytes", errno: EFBIG)
    }
    var failure: SyscallError?
    let bytes = unsafe [UInt8](unsafeUninitializedCapacity: size) { buffer, length in
      do throws(SyscallError) {
        while length < size {
          let start = length
          // SAFETY: the rest of the buffer is written, at most.
          let count = try retrying("pread", "\(number)") {
            unsafe pread(number, buffer.baseAddress! + start, size - start, off_t(start))
          }
          if count == 0 { break }
          length += count
        }
      } catch { failure = error }
    }
    if let failure { throw failure }
    return bytes
  }

  /// Writes into an existing file, one write(2), as files of procfs and cgroupfs want it.
  public static func overwrite(_ path: ByteString, _ text: String, at directory: Int32 = here)
    throws(SyscallError)
  {
    let file = try open(path, O_WRONLY, at: directory)
    do {
      _ = try Descriptors.writeSome(file.raw, Array(text.utf8)[...])
    } catch {
      throw SyscallError(call: "write", object: path.text, errno: error.errno)
    }
  }

  public static func changeDirectory(_ path: ByteString) throws(SyscallError) {
    // SAFETY: the path is NUL-terminated for the call.
    _ = try check(path.withCString { unsafe chdir($0) }, "chdir", path.text)
  }

  public static func changeDirectory(to descriptor: Int32) throws(SyscallError) {
    _ = try check(fchdir(descriptor), "fchdir", "\(descriptor)")
  }

  /// The absolute path of the working directory (getcwd(3)).
  public static func workingDirectory() throws(SyscallError) -> ByteString {
    var buffer = [CChar](repeating: 0, count: 4096)
    // SAFETY: getcwd writes at most 4096 bytes including the NUL.
    guard unsafe getcwd(&buffer, buffer.count) != nil else {
      throw SyscallError(call: "getcwd", errno: Glibc.errno)
    }
    return buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
  }

  /// The path with every symbolic link followed (realpath(3)).
  public static func canonical(_ path: ByteString) throws(SyscallError) -> ByteString {
    let result: ByteString? = path.withCString { name in
      // SAFETY: realpath allocates the result, which is copied and freed here.
      guard let resolved = unsafe realpath(name, nil) else { return nil }
      defer { unsafe free(resolved) }
      return unsafe Array(String(cString: resolved).utf8)
    }
    guard let result else {
      throw SyscallError(call: "realpath", object: path.text, errno: Glibc.errno)
    }
    return result
  }
}
