internal import Glibc
internal import Kernel

/// A file for reading, through a read-only mount of its own.
///
/// Who owns a file can change its mode through any descriptor of it, and who may write it its attributes; a
/// program of the ring has its user's rights. Through such a mount nobody can. Only root may make one: for
/// everybody else agt-run executes itself once more, which makes it in a user namespace and sends the descriptor.
public enum ReadOnlyFile {
  /// What agt-run is called when it only opens a file: NAME PATH DEVICE INODE, with a socket as descriptor 3.
  public static let commandName = "agt-open"
  private static let socket: Int32 = 3
  private static let flags = O_RDONLY | O_NONBLOCK | O_NOCTTY

  /// Blocks.
  /// - Parameters:
  ///   - place: of the file, O_PATH.
  ///   - path: where it is, without links.
  static func open(
    _ place: Int32, _ path: String, _ identity: FileIdentity
  ) throws(SyscallError) -> OwnedFD {
    if Identity.effectiveUID == 0 { return try mounted(place, path) }
    let pair = try Messages.pair()
    let null = try Files.open(ByteString("/dev/null"), O_RDWR)
    let words = [commandName, path, "\(identity.device)", "\(identity.inode)"]
    let pid = try Processes.spawn(
      ByteString("/proc/self/exe"), arguments: words.map { ByteString($0) }, environment: [],
      descriptors: [
        (null.raw, 0), (null.raw, 1), (null.raw, 2), (pair.second.raw, socket),
      ], ownGroup: true)
    let first = try pair.first.duplicate()
    _ = pair.takeSecond()
    let message = try Messages.receive(first.raw, capacity: 4, blocking: true)
    _ = try? Processes.wait(pid, blocking: true)
    if let number = message?.descriptors.first { return OwnedFD(number) }
    let errno = (message?.bytes ?? []).reversed().reduce(Int32(0)) { $0 << 8 | Int32($1) }
    throw SyscallError(call: "open", object: path, errno: errno == 0 ? EIO : errno)
  }

  /// - Returns: the status to exit with.
  public static func main(_ arguments: [[UInt8]]) -> UInt8 {
    guard arguments.count == 4, let device = UInt64(arguments[2].text),
      let inode = UInt64(arguments[3].text), Descriptors.isOpen(socket)
    else { return 2 }
    do throws(SyscallError) {
      try Namespaces.unshare([.user, .mount])
      let place = try Files.open(
        arguments[1], FileLook.pathOnly, resolve: [.noMagicLinks, .noSymlinks])
      guard try Files.status(place.raw).identity == FileIdentity(device: device, inode: inode)
      else { throw SyscallError(call: "open", object: "", errno: ESTALE) }
      let file = try mounted(place.raw, arguments[1].text)
      try Messages.send(socket, [0], descriptors: [file.raw])
      return 0
    } catch {
      let bytes = (0..<4).map { UInt8(truncatingIfNeeded: error.errno >> (8 * $0)) }
      try? Messages.send(socket, bytes)
      return 1
    }
  }

  private static func mounted(_ place: Int32, _ path: String) throws(SyscallError) -> OwnedFD {
    let tree = try Mounts.openTree([], recursive: false, at: place)
    try Mounts.restrict(
      tree.raw, [.readOnly, .noSetUserID, .noDevices, .noExecution], recursive: false, object: path)
    return try Files.open(ByteString("/proc/self/fd/\(tree.raw)"), flags)
  }
}
