internal import Glibc
internal import Kernel
internal import Rings

/// What agt-run itself keeps and its user's later runs rely on: the registry of runs, journals and
/// transactions, compiled profiles, declarations of agents. An agent often has its operator's uid; what it wrote there would be
/// obeyed outside of its ring, so that no ring above 0 sees these directories, whatever it is shown.
enum OwnPlaces {
  struct Protection {
    /// Directories on the way to a hidden one in what the program may write: each becomes a mount, because
    /// only a mount can be neither renamed nor removed.
    var guards: [LaunchRequest.Share] = []
    /// Covered by an empty directory.
    var hidden: [String] = []
  }

  /// - Parameters:
  ///   - shares: what the ring is shown of the host with its own owner's rights.
  ///   - forReal: missing directories are made where the program could make them first.
  static func protect(
    _ caller: Caller, ring: UInt8, showsHost: Bool, workspace: LaunchRequest.Workspace,
    writes: [LaunchRequest.Share], reads: [LaunchRequest.Share], forReal: Bool
  ) throws(RunError) -> Protection {
    var protection = Protection()
    guard ring > 0 else { return protection }
    var writable = writes.map(\.path)
    if workspace.access == .readWrite { writable.append(workspace.path) }
    let shown = [workspace.path] + (writes + reads).map(\.path)
    for place in all(caller) {
      let share = writable.first { holds($0, place) }
      if share != nil, forReal { try make(place) }
      guard let path = try? Files.canonical(ByteString(place)).text else { continue }
      try refuse(path, workspace)
      // Links may have led elsewhere.
      if let share = writable.first(where: { holds($0, path) }) {
        protection.guards += try ancestors(of: path, below: share)
      }
      if showsHost || shown.contains(where: { holds($0, path) }) { protection.hidden.append(path) }
    }
    return protection
  }

  private static func all(_ caller: Caller) -> [String] {
    var places = RunPlaces(caller).paths
    if caller.isRoot { return places + ["/var/lib/agt", "/var/cache/agt", "/etc/agt"] }
    // XDG base directory specification; a relative path is invalid and ignored.
    for (name, usual) in [
      ("XDG_STATE_HOME", "/.local/state"), ("XDG_CACHE_HOME", "/.cache"),
      ("XDG_CONFIG_HOME", "/.config"),
    ] {
      if let given = caller.value(name), given.hasPrefix("/") {
        places.append(given + "/agt")
      } else if caller.home != "/nonexistent" {
        places.append(caller.home + usual + "/agt")
      }
    }
    return places
  }

  private static func holds(_ share: String, _ path: String) -> Bool {
    path == share || path.hasPrefix(share == "/" ? "/" : share + "/")
  }

  private static func refuse(
    _ path: String, _ workspace: LaunchRequest.Workspace
  ) throws(RunError) {
    if holds(path, workspace.path) {
      throw RunError(
        .notConfined, "\(workspace.path) as workspace: it belongs to agt-run itself",
        hint: "name another directory: --workspace DIR")
    }
    guard workspace.layers != nil, holds(workspace.path, path) else { return }
    throw RunError(
      .notConfined, "--txn: the workspace \(workspace.path) holds \(path), which is agt-run's own",
      hint: "name a directory below it: --workspace DIR")
  }

  private static func ancestors(
    of path: String, below share: String
  ) throws(RunError) -> [LaunchRequest.Share] {
    var all: [LaunchRequest.Share] = []
    var here = ViewPath.parent(path)
    while here != share, holds(share, here) {
      do throws(SyscallError) {
        all.append(
          LaunchRequest.Share(path: here, status: try Files.status(of: ByteString(here))))
      } catch { throw failure(here, error) }
      here = ViewPath.parent(here)
    }
    return all.reversed()
  }

  private static func make(_ path: String) throws(RunError) {
    do throws(SyscallError) {
      try Files.makeDirectories(ByteString(path), mode: 0o700)
    } catch { throw failure(path, error) }
  }

  private static func failure(_ path: String, _ error: SyscallError) -> RunError {
    RunError(
      .notConfined, "hiding \(path) from the program: \(error.description)",
      hint: "name a directory below the one that holds it: --workspace DIR")
  }
}
