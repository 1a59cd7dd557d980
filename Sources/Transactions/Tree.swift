internal import Glibc
internal import Kernel

/// A directory tree that is reached by descriptor only. Whoever else can write in it may plant links and
/// move directories at any time: no name is ever followed out of it (openat2(2)).
final class Tree {
  let root: OwnedFD
  /// It is ours alone, so a mode that is in the way may be another one for a moment.
  private let mayChangeModes: Bool
  private var parentPath: ByteString?
  private var parentDirectory: OwnedFD?

  /// Nothing of ours crosses links or mounts.
  private static let resolve: Resolve = [.beneath, .noSymlinks, .noMagicLinks, .noOtherMounts]
  private static let oPath: Int32 = 0o10000000

  init(_ root: consuming OwnedFD, mayChangeModes: Bool = false) {
    self.root = root
    self.mayChangeModes = mayChangeModes
  }

  /// - Parameter path: relative; empty for the root itself.
  func openDirectory(_ path: ByteString) throws(SyscallError) -> OwnedFD {
    try Files.open(
      path.isEmpty ? ByteString(".") : path, O_RDONLY | O_DIRECTORY, at: root.raw,
      resolve: Self.resolve)
  }

  /// The directory that holds a path, and the last name. The descriptor stays valid until the next call.
  func parent(of path: ByteString) throws(SyscallError) -> (directory: Int32, name: ByteString) {
    let slash = path.lastIndex(of: UInt8(ascii: "/"))
    let above = slash.map { Array(path[..<$0]) } ?? []
    let name = slash.map { Array(path[($0 + 1)...]) } ?? path
    if parentPath == above, let there = parentDirectory.raw { return (there, name) }
    parentDirectory = try Files.open(
      above.isEmpty ? ByteString(".") : above, O_DIRECTORY | Self.oPath, at: root.raw,
      resolve: Self.resolve)
    parentPath = above
    return (parentDirectory.raw!, name)
  }

  /// What was looked up may lead elsewhere now.
  func forget() {
    parentPath = nil
    parentDirectory = nil
  }

  /// Of the path itself; nil when nothing is there.
  func status(of path: ByteString) throws(SyscallError) -> FileStatus? {
    if path.isEmpty { return try Files.status(root.raw) }
    do throws(SyscallError) {
      let place = try parent(of: path)
      return try Files.status(of: place.name, at: place.directory, followLink: false)
    } catch {
      if [ENOENT, ENOTDIR, ELOOP].contains(error.errno) { return nil }
      throw error
    }
  }

  /// A regular file for reading; where modes may be changed, also one that its owner may not read just now.
  func openForReading(_ path: ByteString, mode: UInt32) throws(SyscallError) -> OwnedFD {
    let place = try parent(of: path)
    let flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK
    do throws(SyscallError) {
      return try Files.open(place.name, flags, at: place.directory)
    } catch {
      guard error.errno == EACCES, mayChangeModes else { throw error }
    }
    try Files.setMode(mode | 0o400, of: place.name, at: place.directory)
    defer { try? Files.setMode(mode, of: place.name, at: place.directory) }
    return try Files.open(place.name, flags, at: place.directory)
  }

  func extendedAttribute(_ name: ByteString, of path: ByteString) throws(SyscallError) -> [UInt8]? {
    let place = try parent(of: path.isEmpty ? ByteString(".") : path)
    return try Files.extendedAttribute(name, of: place.name, at: place.directory)
  }

  /// Whether it has one of that name: that may be asked of a file whose owner may not read it, unlike the
  /// value (xattr(7)).
  func hasExtendedAttribute(
    _ name: ByteString, of path: ByteString
  ) throws(SyscallError) -> Bool {
    let place = try parent(of: path)
    return try Files.extendedAttributeNames(of: place.name, at: place.directory).contains(name)
  }
}
