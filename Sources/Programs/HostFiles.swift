internal import Glibc

/// The file system of this machine.
public struct HostFiles: ProgramFiles {
  public init() {}

  public func status(_ path: Path) throws(FileFailure) -> FileEntry {
    var raw = stat()
    // SAFETY: the path is NUL-terminated for the call, and the kernel fills a structure of ours.
    let result = withCPath(path) { unsafe lstat($0, &raw) }
    guard result == 0 else { throw failure() }
    let kind: FileEntry.Kind =
      switch raw.st_mode & S_IFMT {
      case S_IFREG: .regular
      case S_IFDIR: .directory
      case S_IFLNK: .symbolicLink
      default: .other
      }
    return FileEntry(
      kind: kind, mode: raw.st_mode & 0o7777, owner: raw.st_uid, group: raw.st_gid,
      sizeBytes: UInt64(max(raw.st_size, 0)), device: UInt64(raw.st_dev),
      inode: UInt64(raw.st_ino))
  }

  public func readLink(_ path: Path) throws(FileFailure) -> [UInt8] {
    let size = pathBytesMax + 1
    let target: [UInt8]? = unsafe withUnsafeTemporaryAllocation(of: CChar.self, capacity: size) {
      buffer in
      // SAFETY: at most the buffer's size is written, and it has elements, so a base address.
      let count = withCPath(path) { unsafe readlink($0, buffer.baseAddress!, size) }
      // SAFETY: the first `count` elements were written by the call.
      return count < 0 ? nil : unsafe buffer[..<count].map { UInt8(bitPattern: $0) }
    }
    guard let target else { throw failure() }
    return target
  }

  public func read(_ path: Path, offset: UInt64, limit: Int) throws(FileFailure) -> [UInt8] {
    guard let start = off_t(exactly: offset), limit > 0 else { return [] }
    // O_NONBLOCK: a FIFO with a well-known name must not stop the resolver.
    let flags = O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | O_NOFOLLOW
    // SAFETY: the path is NUL-terminated for the call.
    let descriptor = withCPath(path) { unsafe open($0, flags) }
    guard descriptor >= 0 else { throw failure() }
    defer { close(descriptor) }
    var raw = stat()
    // SAFETY: the kernel fills a structure of ours.
    guard unsafe fstat(descriptor, &raw) == 0 else { throw failure() }
    guard raw.st_mode & S_IFMT == S_IFREG else { throw .other(errno: EINVAL) }
    let size = max(0, min(raw.st_size - min(start, raw.st_size), off_t(limit)))
    var contents = [UInt8](repeating: 0, count: Int(size))
    var filled = 0
    while filled < contents.count {
      let count = unsafe contents.withUnsafeMutableBytes { buffer in
        let rest = unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[filled...])
        // SAFETY: at most the rest of the buffer is written; the loop runs only while it is not
        // empty, so it has a base address.
        return unsafe pread(descriptor, rest.baseAddress!, rest.count, start + off_t(filled))
      }
      if count < 0 && errno == EINTR { continue }
      guard count >= 0 else { throw failure() }
      guard count > 0 else { break }
      filled += count
    }
    return Array(contents.prefix(filled))
  }

  public func names(in directory: Path, limit: Int) throws(FileFailure) -> [[UInt8]] {
    // SAFETY: the path is NUL-terminated for the call.
    guard let stream = withCPath(directory, { unsafe opendir($0) }) else {
      throw failure()
    }
    // SAFETY: the stream was opened above and is used nowhere after this.
    defer { unsafe closedir(stream) }
    var names: [[UInt8]] = []
    // SAFETY: the stream is open; the entry is read before the next call overwrites it.
    while names.count < limit, let entry = unsafe readdir(stream) {
      let name = unsafe withUnsafeBytes(of: &entry.pointee.d_name) { buffer in
        // SAFETY: d_name is NUL-terminated within its array (readdir(3)).
        unsafe Array(buffer.prefix { $0 != 0 })
      }
      if name != [dot], name != [dot, dot] { names.append(name) }
    }
    return names
  }

  public func mayExecute(_ path: Path) -> Bool {
    // SAFETY: the path is NUL-terminated for the call.
    withCPath(path) { unsafe faccessat(AT_FDCWD, $0, X_OK, AT_EACCESS) } == 0
  }

  private func failure() -> FileFailure {
    switch errno {
    case ENOENT, ENOTDIR: .missing
    case EACCES, EPERM: .denied
    case let number: .other(errno: number)
    }
  }

  @safe
  private func withCPath<R>(_ path: Path, _ body: (UnsafePointer<CChar>) -> R) -> R {
    precondition(!path.bytes.contains(0), "a NUL byte inside a path")
    let terminated = path.bytes.map { CChar(bitPattern: $0) } + [0]
    return unsafe terminated.withUnsafeBufferPointer { buffer in
      // SAFETY: the array holds at least the NUL, so it has a base address.
      unsafe body(buffer.baseAddress!)
    }
  }
}
