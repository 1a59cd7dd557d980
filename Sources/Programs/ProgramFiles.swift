/// What the resolver asks of a file system. It is a parameter, so that every rule is tested on
/// trees in memory; `HostFiles` is the real one.
public protocol ProgramFiles {
  /// lstat(2): of the link itself when the last name is a symbolic link.
  func status(_ path: Path) throws(FileFailure) -> FileEntry
  /// readlink(2).
  func readLink(_ path: Path) throws(FileFailure) -> [UInt8]
  /// At most `limit` bytes of a regular file from `offset`; shorter at its end. Never blocks on a
  /// FIFO or a device.
  func read(_ path: Path, offset: UInt64, limit: Int) throws(FileFailure) -> [UInt8]
  /// At most `limit` names of a directory, without `.` and `..`, in no order.
  func names(in directory: Path, limit: Int) throws(FileFailure) -> [[UInt8]]
  /// Whether the caller may execute the file (faccessat(2), X_OK with the effective ids).
  func mayExecute(_ path: Path) -> Bool
}

/// What lstat(2) tells, as far as the resolver uses it.
public struct FileEntry: Equatable, Sendable {
  public enum Kind: Equatable, Sendable { case regular, directory, symbolicLink, other }
  public var kind: Kind
  /// Permission bits with set-user-ID, set-group-ID and sticky.
  public var mode: UInt32
  public var owner: UInt32
  public var group: UInt32
  public var sizeBytes: UInt64
  /// Device and inode together name the file (inode(7)).
  public var device: UInt64
  public var inode: UInt64

  public init(
    kind: Kind, mode: UInt32, owner: UInt32, group: UInt32, sizeBytes: UInt64, device: UInt64,
    inode: UInt64
  ) {
    self.kind = kind
    self.mode = mode
    self.owner = owner
    self.group = group
    self.sizeBytes = sizeBytes
    self.device = device
    self.inode = inode
  }
}

/// Why a question to the file system has no answer.
public enum FileFailure: Error, Equatable, Sendable {
  /// ENOENT or ENOTDIR.
  case missing
  /// EACCES or EPERM.
  case denied
  case other(errno: Int32)
}

/// A path followed to its end, with every symbolic link that was crossed.
struct Walked {
  /// Absolute, without links, `.` and `..`.
  var real: Path
  var entry: FileEntry
  /// In the order in which they were crossed; `path` is where the link is, itself without links.
  var links: [ResolvedProgram.Link]
}

enum WalkFailure: Error, Equatable {
  case missing(Path)
  case denied(Path)
  /// More links than the kernel follows (path_resolution(7): 40).
  case loop(Path)
  case tooLong(Path)
  case other(Path, errno: Int32)
}

/// path_resolution(7): ELOOP after this many links.
let linksMax = 40
/// PATH_MAX without its NUL (limits.h); the kernel refuses longer ones.
let pathBytesMax = 4095

extension ProgramFiles {
  /// Follows an absolute path as the kernel does, one name after the other.
  func walk(_ path: Path) throws(WalkFailure) -> Walked {
    precondition(path.isAbsolute, "only an absolute path can be walked")
    var pending: [[UInt8]] = Array(path.components.reversed())
    var done: [[UInt8]] = []
    var links: [ResolvedProgram.Link] = []
    var entry = try statusOrFail("/")
    guard path.bytes.count <= pathBytesMax, !path.bytes.contains(0) else { throw .tooLong(path) }
    while let name = pending.popLast() {
      guard entry.kind == .directory else { throw .missing(Path(absolute: done)) }
      if name == [dot, dot] {
        _ = done.popLast()
        entry = try statusOrFail(Path(absolute: done))
        continue
      }
      let here = Path(absolute: done + [name])
      guard here.bytes.count <= pathBytesMax else { throw .tooLong(path) }
      entry = try statusOrFail(here)
      guard entry.kind == .symbolicLink else {
        done.append(name)
        continue
      }
      guard links.count < linksMax else { throw .loop(path) }
      let target = try targetOrFail(here)
      links.append(ResolvedProgram.Link(path: here, target: target))
      if target.first == slash { done = [] }
      pending += Path(target).components.reversed()
      guard pending.count <= pathBytesMax else { throw .tooLong(path) }
      entry = try statusOrFail(Path(absolute: done))
    }
    return Walked(real: Path(absolute: done), entry: entry, links: links)
  }

  private func statusOrFail(_ path: Path) throws(WalkFailure) -> FileEntry {
    do { return try status(path) } catch { throw walkFailure(error, path) }
  }

  private func targetOrFail(_ path: Path) throws(WalkFailure) -> [UInt8] {
    let target: [UInt8]
    do { target = try readLink(path) } catch { throw walkFailure(error, path) }
    guard !target.isEmpty else { throw .missing(path) }
    return target
  }

  private func walkFailure(_ failure: FileFailure, _ path: Path) -> WalkFailure {
    switch failure {
    case .missing: .missing(path)
    case .denied: .denied(path)
    case .other(let errno): .other(path, errno: errno)
    }
  }

  /// The path followed to its end, or nil whatever the reason.
  func walkIfAny(_ path: Path) -> Walked? { try? walk(path) }

  /// Whether the path leads to a directory.
  func isDirectory(_ path: Path) -> Bool { walkIfAny(path)?.entry.kind == .directory }

  /// Whether the path leads to a regular file.
  func isFile(_ path: Path) -> Bool { walkIfAny(path)?.entry.kind == .regular }

  /// Whether the path leads to a regular file that the caller may execute.
  func isProgram(_ path: Path) -> Bool {
    guard let walked = walkIfAny(path), walked.entry.kind == .regular else { return false }
    return mayExecute(walked.real)
  }

  /// Whether the path leads to an executable file that begins like an ELF image.
  func isELFProgram(_ path: Path) -> Bool {
    guard isProgram(path), let real = walkIfAny(path)?.real else { return false }
    return (try? read(real, offset: 0, limit: 4))?.elementsEqual(ELFImage.magic) == true
  }
}
