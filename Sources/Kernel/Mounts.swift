internal import CLinux
internal import Glibc

/// Flags of one mount (mount_setattr(2)).
public struct MountFlags: OptionSet, Sendable {
  public let rawValue: UInt8
  public init(rawValue: UInt8) { self.rawValue = rawValue }
  public static let readOnly = MountFlags(rawValue: 1)
  public static let noSetUserID = MountFlags(rawValue: 2)
  public static let noDevices = MountFlags(rawValue: 4)
  public static let noExecution = MountFlags(rawValue: 8)

  var attributes: UInt64 {
    var bits: UInt64 = 0
    if contains(.readOnly) { bits |= AGT_MOUNT_ATTR_RDONLY }
    if contains(.noSetUserID) { bits |= AGT_MOUNT_ATTR_NOSUID }
    if contains(.noDevices) { bits |= AGT_MOUNT_ATTR_NODEV }
    if contains(.noExecution) { bits |= AGT_MOUNT_ATTR_NOEXEC }
    return bits
  }
}

/// Mounts by descriptor: a tree is opened, restricted while nobody can reach it, and only then attached.
public enum Mounts {
  /// A detached copy of the tree at `path` (open_tree(2), OPEN_TREE_CLONE).
  /// - Parameter recursive: with the mounts below it; without, only the mount that holds `path`.
  public static func openTree(
    _ path: ByteString, recursive: Bool, at directory: Int32 = Files.here
  ) throws(SyscallError) -> OwnedFD {
    var flags = AGT_OPEN_TREE_CLONE | AGT_OPEN_TREE_CLOEXEC | UInt32(AGT_AT_NO_AUTOMOUNT)
    if recursive { flags |= UInt32(AGT_AT_RECURSIVE) }
    if path.isEmpty { flags |= UInt32(AGT_AT_EMPTY_PATH) }
    // SAFETY: the path is NUL-terminated for the call.
    return OwnedFD(
      try check(
        path.withCString { unsafe agt_open_tree(directory, $0, flags) }, "open_tree", path.text))
  }

  /// Restricts a detached or attached tree that `tree` refers to (mount_setattr(2)).
  public static func restrict(
    _ tree: Int32, _ flags: MountFlags, recursive: Bool, object: String
  ) throws(SyscallError) {
    let attributes = agt_mount_attr(
      attr_set: flags.attributes, attr_clr: 0, propagation: 0, userns_fd: 0)
    let how = UInt32(AGT_AT_EMPTY_PATH) | (recursive ? UInt32(AGT_AT_RECURSIVE) : 0)
    // SAFETY: an empty NUL-terminated path names the descriptor itself.
    _ = try check(
      ByteString().withCString { unsafe agt_mount_setattr(tree, $0, how, attributes) },
      "mount_setattr", object)
  }

  /// Shows owners through the maps of a user namespace (MOUNT_ATTR_IDMAP, Linux 5.12).
  public static func mapOwners(
    _ tree: Int32, through userNamespace: Int32, object: String
  ) throws(SyscallError) {
    let attributes = agt_mount_attr(
      attr_set: AGT_MOUNT_ATTR_IDMAP, attr_clr: 0, propagation: 0,
      userns_fd: UInt64(userNamespace))
    // SAFETY: an empty NUL-terminated path names the descriptor itself.
    _ = try check(
      ByteString().withCString {
        unsafe agt_mount_setattr(tree, $0, UInt32(AGT_AT_EMPTY_PATH), attributes)
      }, "mount_setattr(MOUNT_ATTR_IDMAP)", object)
  }

  /// Nothing mounted here later reaches the parent namespace, nor the other way round.
  public static func makePrivate(_ path: ByteString) throws(SyscallError) {
    let attributes = agt_mount_attr(
      attr_set: 0, attr_clr: 0, propagation: AGT_MS_PRIVATE, userns_fd: 0)
    let result = path.withCString {
      // SAFETY: the path is NUL-terminated for the call.
      unsafe agt_mount_setattr(Files.here, $0, UInt32(AGT_AT_RECURSIVE), attributes)
    }
    _ = try check(result, "mount_setattr(MS_PRIVATE)", path.text)
  }

  /// A new, detached file system (fsopen(2), fsconfig(2), fsmount(2)).
  public static func create(
    _ type: String, options: [(key: String, value: String?)], _ flags: MountFlags
  ) throws(SyscallError) -> OwnedFD {
    // SAFETY: every string is NUL-terminated for its call.
    let context = OwnedFD(
      try check(
        ByteString(type).withCString { unsafe agt_fsopen($0, AGT_FSOPEN_CLOEXEC) }, "fsopen", type))
    for (key, value) in options {
      let result = ByteString(key).withCString { name in
        guard let value else {
          return unsafe agt_fsconfig(context.raw, AGT_FSCONFIG_SET_FLAG, name, nil)
        }
        return ByteString(value).withCString {
          unsafe agt_fsconfig(context.raw, AGT_FSCONFIG_SET_STRING, name, $0)
        }
      }
      _ = try check(result, "fsconfig(\(type))", value.map { "\(key)=\($0)" } ?? key)
    }
    _ = try check(
      agt_fsconfig(context.raw, AGT_FSCONFIG_CMD_CREATE, nil, nil), "fsconfig(CMD_CREATE)", type)
    return OwnedFD(
      try check(
        agt_fsmount(context.raw, AGT_FSMOUNT_CLOEXEC, UInt32(flags.attributes)), "fsmount", type))
  }

  /// Attaches a detached tree on the file that `target` refers to (move_mount(2)).
  public static func attach(_ tree: Int32, on target: Int32, object: String) throws(SyscallError) {
    let result = ByteString().withCString {
      // SAFETY: empty NUL-terminated paths name the two descriptors.
      unsafe agt_move_mount(
        tree, $0, target, $0, AGT_MOVE_MOUNT_F_EMPTY_PATH | AGT_MOVE_MOUNT_T_EMPTY_PATH)
    }
    _ = try check(result, "move_mount", object)
  }

  /// Attaches a detached tree at a path below a directory. A link at its end is not followed: the tree then covers
  /// the link and not where it leads (move_mount(2)).
  public static func attach(
    _ tree: Int32, on path: ByteString, at directory: Int32
  ) throws(SyscallError) {
    let result = ByteString().withCString { empty in
      path.withCString {
        // SAFETY: the empty path names the tree; both end with NUL and live for the call.
        unsafe agt_move_mount(tree, empty, directory, $0, AGT_MOVE_MOUNT_F_EMPTY_PATH)
      }
    }
    _ = try check(result, "move_mount", path.text)
  }

  /// Takes the topmost mount off a path, which is not followed (umount2(2), MNT_DETACH).
  public static func detach(_ path: ByteString) throws(SyscallError) {
    // SAFETY: the path is NUL-terminated for the call. UMOUNT_NOFOLLOW is 8.
    _ = try check(
      path.withCString { unsafe agt_umount2($0, Int32(MNT_DETACH) | 8) }, "umount2", path.text)
  }

  /// Makes the working directory the root and lets go of the old one (pivot_root(2), "Notes").
  public static func pivotIntoWorkingDirectory() throws(SyscallError) {
    let here = ByteString(".")
    // SAFETY: both strings are NUL-terminated for the call.
    _ = try check(here.withCString { unsafe agt_pivot_root($0, $0) }, "pivot_root", ".")
    _ = try check(here.withCString { unsafe agt_umount2($0, Int32(MNT_DETACH)) }, "umount2", ".")
    try Files.changeDirectory("/".bytes)
  }
}

extension String {
  var bytes: ByteString { Array(utf8) }
}
