internal import Glibc
internal import Kernel
internal import LaunchPlan
internal import Paths
internal import Rings

/// Which directory the program works in, judged once: what is mounted later must be this very inode.
struct WorkspaceChoice {
  /// Trees whose content is the kernel's or the system's, never a workspace.
  private static let refused = ["/proc", "/sys", "/dev", "/run", "/boot", "/etc"]

  /// - Parameter asked: of `--workspace`; the working directory when nil.
  static func choose(asked: String?, home: String) throws(RunError) -> LaunchRequest.Share {
    let given = asked ?? "."
    let named = asked.map { "--workspace \($0)" } ?? "the current directory as workspace"
    let canonical: ByteString
    let status: FileStatus
    do throws(SyscallError) {
      canonical = try Files.canonical(ByteString(given))
      status = try Files.status(of: canonical)
    } catch {
      throw RunError(
        .notConfined, "\(named): \(Errno.message(error.errno)) (\(Errno.name(error.errno)))",
        hint: danglingHint(given, error.errno))
    }
    guard let path = String(validating: canonical, as: UTF8.self) else {
      throw RunError(.notConfined, "\(named): the path is not UTF-8", hint: "rename the directory")
    }
    guard status.kind == .directory else {
      throw RunError(
        .notConfined, "\(named): \(Errno.message(ENOTDIR)) (ENOTDIR)",
        hint: "name a directory; a single file can be shown with --read \(path)")
    }
    guard path != "/" else {
      throw RunError(
        .notConfined, "\(named): the root directory would show the whole machine",
        hint: "cd into the project, or name it with --workspace DIR")
    }
    if let tree = refused.first(where: { PathText.isInside(path, $0) }) {
      throw RunError(
        .notConfined, "\(named): \(path) belongs to \(tree), which is the system's",
        hint: "cd into the project, or name it with --workspace DIR")
    }
    if asked == nil, PathText.isInside(home, path) {
      throw RunError(
        .notConfined, "\(named): \(path) holds your whole home directory, keys and all",
        hint: "cd into the project; if you mean it: --workspace \(path)")
    }
    return LaunchRequest.Share(path: path, status: status)
  }

  private static func danglingHint(_ path: String, _ errno: Int32) -> String {
    if errno == ENOENT, (try? Files.status(of: ByteString(path), followLink: false)) != nil {
      return "it is a symbolic link that leads nowhere; mend the link or name another directory"
    }
    return errno == ENOENT
      ? "mkdir -p \(path)" : "check the permissions of every directory above it"
  }
}

extension LaunchRequest.Share {
  /// - Parameter path: canonical; `status` is that of the file there.
  init(path: String, status: FileStatus) {
    self.init(
      path: path,
      judged: LaunchPlan.Judged(device: status.identity.device, inode: status.identity.inode),
      owner: LaunchPlan.Owner(uid: status.uid, gid: status.gid))
  }
}
