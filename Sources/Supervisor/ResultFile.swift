internal import Glibc
internal import Kernel
internal import Paths

/// The file of `--result-json`: what its user, a service manager or a saga's runner believes of the run.
///
/// It may lie where the program writes. The way there is looked at before the program begins, so that one that cannot be
/// used is refused at once, and again when nothing of the ring is left: no link that a program could have made is followed.
/// A regular file is put there whole by its name: what the program has made of the name meanwhile, a link, a pipe or a file
/// of its own, is replaced and never followed, waited for or kept.
final class ResultFile {
  private let path: String
  private let name: ByteString
  private let parent: String
  private let writable: [String]
  /// Whether a program could have had its hands on it.
  private let isExposed: Bool

  private static let mode: UInt32 = 0o644

  /// - Parameter writable: directories that the program may write, or an earlier one could.
  init(_ path: String, writable: [String]) throws(RunError) {
    self.path = path
    let isAbsolute = path.utf8.first == UInt8(ascii: "/")
    parent = isAbsolute ? PathText.parent(path) : "./" + Self.front(path)
    name = ByteString(PathText.components(path).last ?? "")
    self.writable = writable
    do throws(SyscallError) {
      guard !name.isEmpty, path.utf8.last != UInt8(ascii: "/") else {
        throw SyscallError(call: "open", object: path, errno: EISDIR)
      }
      let place = try Self.place(parent, writable)
      _ = try Self.open(place)
      isExposed = writable.contains { PathText.isInside(place, $0) }
    } catch {
      throw Self.failure(path, error)
    }
  }

  /// The path of the directory, without a link that a program could have made.
  private static func place(
    _ parent: String, _ writable: [String]
  ) throws(SyscallError) -> String {
    try LinkWalk.canonical(parent) { link throws(SyscallError) in
      try LinkWalk.refuse(link, in: writable)
    }
  }

  private static func open(_ place: String) throws(SyscallError) -> OwnedFD {
    try Files.open(
      ByteString(place), FileLook.pathOnly | O_DIRECTORY, resolve: [.noSymlinks, .noMagicLinks])
  }

  /// `a/b` of `a/b/c`.
  private static func front(_ path: String) -> String {
    PathText.components(path).dropLast().joined(separator: "/")
  }

  func write(_ bytes: [UInt8]) throws(RunError) {
    do throws(SyscallError) {
      let directory = try Self.open(try Self.place(parent, writable))
      if isExposed {
        try replace(bytes, directory.raw)
      } else {
        try overwrite(bytes, 0, directory.raw)
      }
    } catch {
      throw Self.failure(path, error)
    }
  }

  private func replace(_ bytes: [UInt8], _ directory: Int32) throws(SyscallError) {
    let fresh = ByteString(".agt-result-\(getpid())")
    do throws(SyscallError) {
      try? Files.remove(fresh, at: directory)
      let file = try Files.open(
        fresh, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode: Self.mode, at: directory)
      try Descriptors.write(file.raw, bytes)
      try Files.rename(fresh, to: name, at: directory)
    } catch {
      try? Files.remove(fresh, at: directory)
      // Who may not make a file there may still have one that can be written.
      guard [EACCES, EPERM, EROFS].contains(error.errno) else { throw error }
      try overwrite(bytes, O_NOFOLLOW | O_NONBLOCK, directory)
    }
  }

  private func overwrite(
    _ bytes: [UInt8], _ flags: Int32, _ directory: Int32
  ) throws(SyscallError) {
    let file = try Files.open(
      name, O_WRONLY | O_CREAT | O_NOCTTY | flags, mode: Self.mode, at: directory)
    let status = try Files.status(file.raw)
    if isExposed {
      guard status.kind == .regular, status.links == 1 else {
        throw SyscallError(call: "open", object: path, errno: EINVAL)
      }
    }
    if status.kind == .regular { try Files.truncate(file.raw, toBytes: 0) }
    try Descriptors.write(file.raw, bytes)
  }

  private static func failure(_ path: String, _ error: SyscallError) -> RunError {
    RunError(
      .internalFailure, "--result-json \(path): \(error.description)",
      hint: error.errno == ELOOP
        ? "a program could have made this link; name the file by a way without it" : nil)
  }
}
