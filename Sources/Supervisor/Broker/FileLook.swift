internal import Glibc
internal import Kernel

/// A file outside of the ring, as far as it has been looked at: where its path really leads, and a descriptor that
/// holds that very file.
///
/// What is judged is the canonical path of the open descriptor, and what is opened afterwards is what it holds: a
/// link that is changed in between changes neither. Everything here may block, and belongs in a thread.
struct FileLook: ~Copyable {
  enum Mode: String, CaseIterable, Sendable {
    case read
    /// As it is; nothing is cut.
    case write
    case append
    /// A file that is not there.
    case create

    var flags: Int32 {
      switch self {
      case .read: O_RDONLY
      case .write: O_WRONLY
      case .append: O_WRONLY | O_APPEND
      case .create: O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW
      }
    }
  }

  /// Of the file; when it is to be created, of what it will be.
  let path: String
  let mode: Mode
  /// O_PATH: the file, or the directory in which it is to be created.
  private let place: OwnedFD
  private let identity: FileIdentity
  /// By a program of the ring, as the file's owner or as anybody.
  private let isChangeable: Bool
  /// The kernel's own, whatever its path is.
  let isOfKernel: Bool

  /// O_PATH, which Glibc's module does not have (open(2)).
  static let pathOnly: Int32 = 0o10000000
  /// Of what is created.
  private static let createdMode: UInt32 = 0o600

  private init(
    path: String, mode: Mode, place: consuming OwnedFD, identity: FileIdentity, isChangeable: Bool
  ) {
    isOfKernel = Self.kernelTypes.contains(Files.fileSystemType(place.raw))
    self.path = path
    self.mode = mode
    self.place = place
    self.identity = identity
    self.isChangeable = isChangeable
  }

  /// - Parameter asked: without links (`PathWalk`).
  static func look(_ asked: String, _ mode: Mode) throws(SyscallError) -> FileLook {
    let resolve: Resolve = [.noMagicLinks, .noSymlinks]
    if mode == .create { return try lookAtDirectory(of: asked, resolve) }
    let place = try Files.open(ByteString(asked), pathOnly, resolve: resolve)
    let status = try Files.status(place.raw)
    guard status.kind == .regular else { throw failure(asked, errno(of: status.kind)) }
    let path = try canonical(place.raw, status.identity, asked)
    let isChangeable =
      Identity.effectiveUID == 0 || status.uid == Identity.effectiveUID || status.mode & 0o022 != 0
    return FileLook(
      path: path, mode: mode, place: place, identity: status.identity, isChangeable: isChangeable)
  }

  private static func lookAtDirectory(
    of asked: String, _ resolve: Resolve
  ) throws(SyscallError) -> FileLook {
    let cut = asked.utf8.lastIndex(of: UInt8(ascii: "/"))!
    let name = String(asked[asked.index(after: cut)...])
    guard !name.isEmpty else { throw failure(asked, EISDIR) }
    let place = try Files.open(
      ByteString(String(asked[...cut])), pathOnly | O_DIRECTORY, resolve: resolve)
    let identity = try Files.status(place.raw).identity
    let directory = try canonical(place.raw, identity, asked)
    return FileLook(
      path: (directory == "/" ? "" : directory) + "/" + name, mode: .create, place: place,
      identity: identity, isChangeable: false)
  }

  /// Opens what was looked at.
  func open() throws(SyscallError) -> OwnedFD {
    let flags = mode.flags | O_NONBLOCK | O_NOCTTY
    guard mode == .create else {
      let file =
        mode == .read && isChangeable
        ? try ReadOnlyFile.open(place.raw, path, identity)
        : try Files.open(ByteString("/proc/self/fd/\(place.raw)"), flags)
      let status = try Files.status(file.raw)
      guard status.kind == .regular, status.identity == identity else {
        throw Self.failure(path, ESTALE)
      }
      try Descriptors.setNonBlocking(file.raw, false)
      return file
    }
    let name = String(path[path.index(after: path.utf8.lastIndex(of: UInt8(ascii: "/"))!)...])
    let file = try Files.open(
      ByteString(name), flags, mode: Self.createdMode, at: place.raw,
      resolve: [.noMagicLinks, .noSymlinks, .beneath])
    try Descriptors.setNonBlocking(file.raw, false)
    return file
  }

  /// Where an open file is. What was removed has a name that is none.
  private static func canonical(
    _ number: Int32, _ identity: FileIdentity, _ asked: String
  ) throws(SyscallError) -> String {
    let bytes = try Files.readLink(ByteString("/proc/self/fd/\(number)"))
    // Rules are texts: a name that is none cannot be judged.
    guard let text = String(validating: bytes, as: UTF8.self), text.utf8.first == UInt8(ascii: "/")
    else { throw failure(asked, EILSEQ) }
    guard try Files.status(of: ByteString(text), followLink: false).identity == identity
    else { throw failure(asked, ENOENT) }
    return text
  }

  private static func failure(_ path: String, _ errno: Int32) -> SyscallError {
    SyscallError(call: "open", object: path, errno: errno)
  }

  private static func errno(of kind: FileStatus.Kind) -> Int32 {
    kind == .directory ? EISDIR : EOPNOTSUPP
  }

  /// File systems in which the kernel shows itself (linux/magic.h): proc, sysfs, cgroup, cgroup2, debugfs, tracefs,
  /// securityfs, bpf, selinuxfs, smackfs, efivarfs, devpts, configfs, nsfs, binfmt_misc, pstore, mqueue, resctrl.
  private static let kernelTypes: Set<Int64> = [
    0x9fa0, 0x6265_6572, 0x27_e0eb, 0x6367_7270, 0x6462_6720, 0x7472_6163, 0x7363_6673,
    0xcafe_4a11, 0xf97c_ff8c, 0x4341_5d53, 0xde5e_81e4, 0x1cd1, 0x6265_6570, 0x6e73_6673,
    0x4249_4e4d, 0x6165_676c, 0x1980_0202, 0x765_5821,
  ]
}

/// What a thread leaves for the loop. One after the other has it, with `BlockingCalls` in between; whoever
/// drops it closes what is open in it.
final class FileResult: @unchecked Sendable {
  private var look: FileLook?
  private(set) var path: String?
  private(set) var isOfKernel = false
  private(set) var descriptor: DonatedDescriptor?
  private(set) var failure: SyscallError?
  /// Closed to writers besides.
  var executed: [String] = []

  /// Whatever comes of it, `path` is where it leads.
  func lookAt(_ asked: String, _ mode: FileLook.Mode, followsLinks: Bool) {
    let names = ["", ".", ".."]
    let isName = mode != .create || !names.contains { asked == $0 || asked.hasSuffix("/" + $0) }
    let end: (path: String, errno: Int32?) =
      followsLinks
      ? PathWalk.end(of: asked, followsLast: mode != .create || !isName) : (asked, nil)
    path = end.path
    do throws(SyscallError) {
      if let errno = isName ? end.errno : EISDIR {
        throw SyscallError(call: "open", object: asked, errno: errno)
      }
      let found = try FileLook.look(end.path, mode)
      path = found.path
      isOfKernel = found.isOfKernel
      look = consume found
    } catch { failure = error }
  }

  /// - Precondition: it has been looked at.
  func open() {
    do throws(SyscallError) {
      descriptor = DonatedDescriptor(try look!.open())
    } catch { failure = error }
  }
}

/// A descriptor on its way to a program of the ring.
final class DonatedDescriptor {
  let descriptor: OwnedFD
  init(_ descriptor: consuming OwnedFD) { self.descriptor = descriptor }
}
