internal import Kernel
internal import LaunchPlan
internal import Programs
internal import Rings

/// Which program the command means, and what of the host it needs to start.
struct ProgramChoice {
  let program: LaunchRequest.Program
  let trail: [String]

  static func choose(
    _ options: RunOptions, profile: RingProfile, workspace: LaunchRequest.Workspace, caller: Caller
  ) throws(RunError) -> ProgramChoice {
    let expand = { (path: String) in
      path.hasPrefix("~/") ? caller.home + path.dropFirst() : path
    }
    // A host root shows everything that is not hidden. Nothing that a program is made of lies in /etc.
    let shown =
      profile.root == .host
      ? ["/"]
      : profile.filesystem.read.map { expand($0.path) }.filter { !$0.hasPrefix("/etc/") }
        + options.reads
    let resolver = ProgramResolver(
      files: Programs.HostFiles(), environment: caller.programEnvironment,
      workingDirectory: Path(caller.workingDirectory(within: workspace.path)),
      visible: shown.map { Path($0) }, workspace: Path(workspace.path),
      writable: (profile.filesystem.write.map { expand($0.path) } + options.writes).map { Path($0) }
    )
    let found: ResolvedProgram
    do throws(ProgramError) {
      found = try resolver.resolve(
        command: options.command[0], arguments: Array(options.command.dropFirst()))
    } catch {
      throw RunError(
        error.reason == .notFound ? .notFound : .notConfined, error.description, hint: error.hint)
    }
    return ProgramChoice(
      program: LaunchRequest.Program(
        executable: try text(found.executable), arguments: found.arguments,
        reads: try found.reads.map { read throws(RunError) in
          LaunchRequest.Share(
            path: try text(read.path),
            judged: LaunchPlan.Judged(device: read.device, inode: read.inode),
            owner: nil)
        },
        links: try found.links.map { link throws(RunError) in
          LaunchRequest.Link(path: try text(link.path), target: try text(Path(link.target)))
        },
        environment: found.environment.map { ($0.name, $0.value) },
        searchPath: try found.searchPath.map { path throws(RunError) in try text(path) }),
      trail: found.trail)
  }

  private static func text(_ path: Path) throws(RunError) -> String {
    guard let text = String(validating: path.bytes, as: UTF8.self) else {
      throw RunError(.notConfined, "\(path): the path is not UTF-8", hint: "rename the directory")
    }
    return text
  }
}
