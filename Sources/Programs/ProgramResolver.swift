/// Turns a command as a user types it into what execve(2) is given inside a ring.
///
/// Version managers' shims, `#!` lines and `/usr/bin/env` are followed here, before the start: a
/// shim forks, and ring 3 allows one process. What the program needs of the host beyond the
/// visible part is returned as read-only mounts, as narrow as the program still works with.
///
/// **Rule of trust.** The command line and the caller's environment are the user's. Whatever lies
/// in the workspace (links, `#!` lines, version files, `pyvenv.cfg`, RUNPATH) may be an agent's
/// work. It can choose among installed runtimes; it never makes anything else visible:
/// - a version file names a directory inside the version manager's own store, or is refused;
/// - a link, a `#!` line or a `home =` that leaves the workspace leads to a runtime only when the
///   file there is an executable ELF image, and to its whole prefix only when the prefix is one
///   of an interpreter (its standard library lies there) and not `Scope.isBroad`; to any other
///   program only as that one file;
/// - a script outside is never made visible by it (`ProgramError.Reason.leavesWorkspace`).
public struct ProgramResolver {
  private let files: any ProgramFiles
  private let caller: CallerEnvironment
  private let scope: Scope
  private let machine: ELFImage.Machine

  /// - Parameters:
  ///   - workingDirectory: the caller's, absolute.
  ///   - visible: directories and files that the ring shows at the same path without being asked.
  ///   - workspace: shown too, and believed in nothing.
  ///   - writable: further directories that an agent may write.
  public init(
    files: any ProgramFiles, environment: CallerEnvironment, workingDirectory: Path,
    visible: [Path], workspace: Path, writable: [Path] = []
  ) {
    self.init(
      files: files, environment: environment, workingDirectory: workingDirectory,
      visible: visible, workspace: workspace, writable: writable, machine: .host)
  }

  /// With a processor to judge images for, so that tests mean the same on each.
  init(
    files: any ProgramFiles, environment: CallerEnvironment, workingDirectory: Path,
    visible: [Path], workspace: Path, writable: [Path] = [], machine: ELFImage.Machine
  ) {
    precondition(workingDirectory.isAbsolute && workspace.isAbsolute, "a relative directory")
    self.files = files
    caller = environment
    let home = environment["HOME"].map(Path.init).flatMap { $0.isAbsolute ? $0 : nil }
    scope = Scope(
      files: RememberedFiles(files), workingDirectory: workingDirectory, home: home,
      visible: visible, untrusted: [workspace] + writable)
    self.machine = machine
  }

  /// - Parameters:
  ///   - command: a name to look for in PATH, or a path when it contains a slash; no NUL inside.
  ///   - arguments: those after the command.
  public func resolve(
    command: [UInt8], arguments: [[UInt8]]
  ) throws(ProgramError) -> ResolvedProgram {
    var resolution = Resolution(
      files: RememberedFiles(files), caller: caller, scope: scope, machine: machine)
    return try resolution.resolve(command: command, arguments: arguments)
  }

  public func resolve(
    command: String, arguments: [String]
  ) throws(ProgramError) -> ResolvedProgram {
    try resolve(command: Array(command.utf8), arguments: arguments.map { Array($0.utf8) })
  }

  /// What the command would execute and have interpreted, without what it needs to start.
  public func executed(
    command: String, arguments: [String]
  ) throws(ProgramError) -> ExecutedFiles {
    var resolution = Resolution(
      files: RememberedFiles(files), caller: caller, scope: scope, machine: machine)
    return try resolution.executed(
      command: Array(command.utf8), arguments: arguments.map { Array($0.utf8) })
  }
}

/// One resolution in progress: the context, and what has been found to be needed so far.
struct Resolution {
  let files: any ProgramFiles
  let caller: CallerEnvironment
  let scope: Scope
  let machine: ELFImage.Machine

  var reads: [ResolvedProgram.ReadMount] = []
  var links: [ResolvedProgram.Link] = []
  var environment: [ResolvedProgram.Variable] = []
  /// Directories that PATH inside begins with.
  var frontDirectories: [Path] = []
  /// Directories of shims: they would fork, and lead nowhere inside.
  var shimDirectories: [Path] = []
  var trail: [String] = []

  /// An argument, and who put it there.
  struct Argument: Equatable {
    enum Origin: Equatable {
      case user
      /// An option in a `#!` line.
      case interpreterLine
      /// The script itself; whoever led to it is trusted or not.
      case script(Path, untrusted: Bool)
    }
    var bytes: [UInt8]
    var origin: Origin
  }

  /// A program that would be executed now.
  struct Invocation: Equatable {
    /// argv[0]
    var name: [UInt8]
    /// What execve(2) would be given: as typed, or the directory in PATH with the name.
    var spelled: [UInt8]
    /// `spelled`, made absolute; links are not followed.
    var path: Path
    var arguments: [Argument]
    /// Something in the workspace led here.
    var untrusted: Bool
  }

  /// Interpreters of interpreters that the kernel follows (execve(2)).
  static let scriptsMax = 4
  /// With shims and env(1), each of which the kernel sees as a new program.
  static let stepsMax = 12
  /// The part of a file in which a `#!` line and the marks of a shim are looked for.
  static let headBytesMax = 4096

  mutating func resolve(
    command: [UInt8], arguments: [[UInt8]]
  ) throws(ProgramError) -> ResolvedProgram {
    let (image, walked) = try reach(command: command, arguments: arguments) { _, _ in }
    return try finish(image, walked)
  }

  /// Goes on from the command to the ELF image that is executed in the end.
  /// - Parameter meet: sees each file on the way, the image too.
  mutating func reach(
    command: [UInt8], arguments: [[UInt8]], meet: (Invocation, Walked) -> Void
  ) throws(ProgramError) -> (Invocation, Walked) {
    var next = Invocation(
      name: command, spelled: command, path: "/",
      arguments: arguments.map { Argument(bytes: $0, origin: .user) }, untrusted: false)
    (next.spelled, next.path) = try locate(command)
    var scripts = 0
    for _ in 0..<Resolution.stepsMax where scripts <= Resolution.scriptsMax {
      let walked = try walkProgram(next)
      meet(next, walked)
      next.untrusted = next.untrusted || crossesWorkspace(walked.links)
      let head = try readHead(walked.real)
      if let target = try shimTarget(next, walked, head) {
        next = target
      } else if head.starts(with: ELFImage.magic) {
        if let command = try userEnvCommand(next, walked) {
          next = command
        } else {
          return (next, walked)
        }
      } else {
        scripts += 1
        next = try interpreter(of: next, walked, head)
      }
    }
    throw ProgramError(
      .tooManySteps,
      "\(shown(command)): too many interpreters of interpreters, or shims in a circle (ELOOP)",
      hint: "name the program itself by its path")
  }

  /// Follows the path of a program; it must be a regular file that may be executed.
  private func walkProgram(_ invocation: Invocation) throws(ProgramError) -> Walked {
    let walked: Walked
    do {
      walked = try files.walk(invocation.path)
    } catch { throw ProgramError(error) }
    let subject = "\(invocation.path)"
    switch walked.entry.kind {
    case .directory:
      throw ProgramError(.isDirectory, "\(subject): is a directory, not a program")
    case .symbolicLink, .other:
      throw ProgramError(.notAFile, "\(subject): neither a program nor a script")
    case .regular: break
    }
    guard files.mayExecute(walked.real) else {
      throw ProgramError(
        .notExecutable, "\(subject): permission to execute denied (EACCES)",
        hint: "chmod +x \(walked.real), or name its interpreter: python \(subject)")
    }
    return walked
  }

  private func readHead(_ path: Path) throws(ProgramError) -> [UInt8] {
    do {
      return try files.read(path, offset: 0, limit: Resolution.headBytesMax)
    } catch {
      throw ProgramError(
        .unreadable, "\(path): cannot be read, so what it needs cannot be found",
        hint: "ls -l \(path) shows who may read it")
    }
  }

  func crossesWorkspace(_ links: [ResolvedProgram.Link]) -> Bool {
    links.contains { scope.isUntrusted($0.path) }
  }

  /// The ELF image is reached: what it needs becomes mounts, and the result is assembled.
  private mutating func finish(
    _ invocation: Invocation, _ walked: Walked
  ) throws(ProgramError) -> ResolvedProgram {
    let image = try readImage(walked.real)
    var invocation = invocation
    let runtime = Runtime(invocation.path.name) ?? Runtime(walked.real.name)
    let operands = runtime.map { Operands(runtime: $0, arguments: invocation.arguments) }
    var executable = walked.real
    if runtime == .python {
      executable = try mountPython(invocation, walked, isolated: operands?.ignoresUserSite == true)
      if !invocation.name.contains(slash) && !scope.covers(invocation.path) {
        // getpath.py looks for argv[0] in PATH; a path does not depend on PATH inside.
        invocation.name = invocation.path.bytes
      }
    } else {
      mountPrefix(of: walked.real, runtime: runtime, untrusted: invocation.untrusted)
    }
    add(walked.links)
    try mountLoader(image, of: walked.real)
    mountLibraries(of: image, at: walked.real, untrusted: invocation.untrusted)
    try mountScripts(&invocation, runtime: runtime, operand: operands?.script)
    keepActivation(executable)
    return assemble(executable, invocation)
  }

  func readImage(_ path: Path) throws(ProgramError) -> ELFImage {
    do {
      return try ELFImage(machine: machine) { offset, count in
        try? files.read(path, offset: offset, limit: count)
      }
    } catch {
      switch error {
      case .malformed:
        throw ProgramError(.notRunnable, "\(path): a damaged ELF file")
      case .wrongClass:
        throw ProgramError(
          .wrongMachine, "\(path): a 32-bit program; rings run only the processor's own ABI")
      case .wrongMachine(let number):
        throw ProgramError(
          .wrongMachine, "\(path): a program for another processor (e_machine \(number))")
      }
    }
  }

  private mutating func assemble(
    _ executable: Path, _ invocation: Invocation
  ) -> ResolvedProgram {
    let searchPath = searchPathInside()
    reads.sort { $0.path.bytes.lexicographicallyPrecedes($1.path.bytes) }
    links = links.filter { !isCovered($0.path) }
    links.sort { $0.path.bytes.lexicographicallyPrecedes($1.path.bytes) }
    return ResolvedProgram(
      executable: executable,
      arguments: [invocation.name] + invocation.arguments.map(\.bytes),
      reads: reads, links: links, environment: environment, searchPath: searchPath, trail: trail)
  }
}
