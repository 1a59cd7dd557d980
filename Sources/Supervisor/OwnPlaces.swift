internal import Glibc
internal import Kernel
internal import Paths
internal import Policy
internal import Rings

/// What later runs rely on: what agt-run itself keeps (the registry of runs, journals and transactions,
/// compiled profiles, declarations of agents), and the profile, policies and tools that its user named. What an
/// agent wrote there would be obeyed outside of its ring. So no ring above 0 sees the former, whatever it is
/// shown, and none can change the latter, wherever they lie.
enum OwnPlaces {
  struct Protection {
    /// Directories on the way to a hidden one in what the program may write: each becomes a mount, because
    /// only a mount can be neither renamed nor removed.
    var guards: [LaunchRequest.Share] = []
    /// Made read-only.
    var obeyed: [LaunchRequest.Share] = []
    /// Covered by an empty directory.
    var hidden: [String] = []

    /// Parents before children, each once.
    mutating func `guard`(_ more: [LaunchRequest.Share]) {
      for share in more where !guards.contains(where: { $0.path == share.path }) {
        guards.append(share)
      }
    }
  }

  /// - Parameters:
  ///   - shares: what the ring is shown of the host with its own owner's rights.
  ///   - obeyed: files and folders that the command line, or one of them, names to be obeyed.
  ///   - forReal: missing directories are made where the program could make them first.
  static func protect(
    _ caller: Caller, ring: UInt8, showsHost: Bool, workspace: LaunchRequest.Workspace,
    writes: [LaunchRequest.Share], reads: [LaunchRequest.Share], obeyed: [String], forReal: Bool
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
        protection.guard(try ancestors(of: path, below: share))
      }
      if showsHost || shown.contains(where: { holds($0, path) }) { protection.hidden.append(path) }
    }
    for named in obeyed { try keep(named, writable, workspace, &protection) }
    if writable.isEmpty { return protection }
    // Executed outside of the ring, by their path. What a transaction holds of them is no file outside.
    for file in programs where workspace.layers == nil || !holds(workspace.path, file) {
      try keep(file, writable, workspace, &protection)
    }
    return protection
  }

  /// Our own commands, as far as they are there.
  static let programs: [String] = {
    guard let own = try? Files.readLink(ByteString("/proc/self/exe")).text else { return [] }
    let directory = PathText.parent(own)
    return [directory, PathText.parent(directory) + "/libexec/agt-run"].flatMap { place in
      ["agt", "agt-run", "agt-stage"].map { place + "/" + $0 }
    }.filter { (try? Files.status(of: ByteString($0))) != nil }
  }()

  /// What else than the profile a run obeys.
  static func obeyed(_ options: RunOptions, _ policies: PolicySet?) -> [String] {
    options.policies + (policies?.files ?? []) + options.tools + options.protects
      + [options.agentFile].compactMap { $0 }
  }

  /// Makes a file or folder read-only where the program could write it.
  private static func keep(
    _ named: String, _ writable: [String], _ workspace: LaunchRequest.Workspace,
    _ protection: inout Protection
  ) throws(RunError) {
    let share: LaunchRequest.Share
    do throws(SyscallError) {
      let path = try LinkWalk.canonical(named) { link throws(SyscallError) in
        try LinkWalk.refuse(link, in: writable)
      }
      share = LaunchRequest.Share(path: path, status: try Files.status(of: ByteString(path)))
    } catch {
      if error.errno == ELOOP {
        throw kept(named, "\(error.object) is a link that it could change")
      }
      throw kept(named, "it cannot be looked at: \(error.description)")
    }
    guard let top = writable.first(where: { holds($0, share.path) }) else { return }
    if top == share.path { throw kept(named, "it is all that the program may write") }
    if protection.obeyed.contains(where: { holds($0.path, share.path) }) { return }
    if workspace.layers == nil || !holds(workspace.path, share.path) {
      protection.guard(try ancestors(of: share.path, below: top))
    } else if PathText.parent(share.path) != workspace.path {
      // A directory on the way can be no mount of its own there: what is written has to go to the layers.
      throw kept(named, "with --txn the program could replace the directory that holds it")
    }
    protection.obeyed.append(share)
  }

  private static func kept(_ named: String, _ why: String) -> RunError {
    RunError(
      .notConfined, "\(named) decides what runs may do, and the program could change it: \(why)",
      hint: "keep it outside of what the program may write")
  }

  /// What agt-run itself keeps.
  static func all(_ caller: Caller) -> [String] {
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
    PathText.isInside(path, share)
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
    var here = PathText.parent(path)
    while here != share, holds(share, here) {
      do throws(SyscallError) {
        all.append(
          LaunchRequest.Share(path: here, status: try Files.status(of: ByteString(here))))
      } catch { throw failure(here, error) }
      here = PathText.parent(here)
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
