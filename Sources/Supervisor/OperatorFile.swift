internal import Glibc
internal import Kernel

/// Files of the operator's that decide what runs may do. One that somebody else could have written is never obeyed.
enum OperatorFile {
  /// - Throws: ENOENT; EISDIR for what is no file; EPERM when others than root and the caller could have written it.
  static func read(
    _ path: String, uid: UInt32, limit: Int
  ) throws(SyscallError) -> [UInt8] {
    let opened = try Files.open(ByteString(path), O_RDONLY | O_NONBLOCK | O_NOCTTY)
    let status = try Files.status(opened.raw)
    guard status.kind == .regular else {
      throw SyscallError(call: "open", object: path, errno: EISDIR)
    }
    guard status.uid == uid || status.uid == 0, status.mode & 0o022 == 0 else {
      throw SyscallError(call: "open", object: path, errno: EPERM)
    }
    return try Descriptors.readAll(opened.raw, limit: limit)
  }

  /// The operator's own configuration: /etc/agt for root, else `agt` in XDG_CONFIG_HOME (XDG base directory
  /// specification) or ~/.config. No ring above 0 sees it (`OwnPlaces`).
  /// - Returns: nil for a user without a home.
  static func directory(_ caller: Caller) -> String? {
    if caller.isRoot { return "/etc/agt" }
    if let given = caller.value("XDG_CONFIG_HOME"), given.hasPrefix("/") { return given + "/agt" }
    return caller.home == "/nonexistent" ? nil : caller.home + "/.config/agt"
  }
}
