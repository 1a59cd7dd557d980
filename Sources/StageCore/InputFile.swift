internal import Glibc
internal import Kernel
internal import LaunchPlan

/// A file as standard input can be read only, but who owns it could change its mode, and who may write it
/// its attributes, through the descriptor. It is opened again through a read-only mount, which refuses that.
enum InputFile {
  static func makeReadOnly(_ identity: LaunchPlan.Identity) throws(StageFailure) {
    try Stage.step("standard input") { () throws(SyscallError) in
      let status = try Files.status(0)
      // A file that no directory holds any more is nobody's to protect.
      guard status.kind == .regular, status.links > 0, mayChange(status, identity),
        try Descriptors.isReadOnly(0)
      else { return }
      let path = try Files.readLink(ByteString("/proc/self/fd/0"))
      let place = try Files.open(path, oPath, resolve: .noMagicLinks)
      guard try Files.status(place.raw).identity == status.identity else {
        throw SyscallError(call: "openat2", object: path.text, errno: ESTALE)
      }
      let tree = try Mounts.openTree([], recursive: false, at: place.raw)
      try Mounts.restrict(
        tree.raw, [.readOnly, .noSetUserID, .noDevices, .noExecution], recursive: false,
        object: path.text)
      let file = try Files.open(ByteString("/proc/self/fd/\(tree.raw)"), O_RDONLY)
      try Descriptors.copyOffset(from: 0, to: file.raw)
      try Descriptors.duplicate(file.raw, onto: 0)
    }
  }

  private static func mayChange(
    _ status: FileStatus, _ identity: LaunchPlan.Identity
  ) -> Bool {
    if case .own(let uid, _) = identity, status.uid == uid { return true }
    return status.mode & 0o022 != 0
  }

  private static let oPath: Int32 = 0o10000000
}
