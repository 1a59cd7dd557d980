/// What must be visible for a script to be read.
extension Resolution {
  /// Directories above a script in which a package is looked for.
  static let packageLevelsMax = 32

  /// Mounts the scripts among the arguments: those that a `#!` line put there, and the operand of
  /// the last interpreter when the user gave it.
  ///
  /// A relative path keeps its meaning only where the caller's directory is visible; elsewhere it
  /// is made absolute.
  mutating func mountScripts(
    _ invocation: inout Invocation, runtime: Runtime?, operand: Int?
  ) throws(ProgramError) {
    for index in invocation.arguments.indices {
      let argument = invocation.arguments[index]
      let path: Path
      switch argument.origin {
      case .script(let script, let untrusted):
        path = script
        try mountScript(script, runtime: runtime, untrusted: untrusted)
      case .user where index == operand && !argument.bytes.contains(0):
        path = Path(argument.bytes).absolute(in: scope.workingDirectory)
        try mountScript(path, runtime: runtime, untrusted: false)
      case .user, .interpreterLine: continue
      }
      if argument.bytes.first != slash, !isCovered(scope.workingDirectory),
        files.walkIfAny(path) != nil
      {
        invocation.arguments[index].bytes = path.bytes
        trail.append(
          "\(shown(argument.bytes)) is passed as \(path): \(scope.workingDirectory) is not visible")
      }
    }
  }

  private mutating func mountScript(
    _ path: Path, runtime: Runtime?, untrusted: Bool
  ) throws(ProgramError) {
    guard let walked = walkScript(path, runtime) else {
      trail.append("\(path) does not exist; the interpreter will say so")
      return
    }
    add(walked.links)
    guard !isCovered(walked.real) else { return }
    guard !untrusted, !crossesWorkspace(walked.links) else {
      throw ProgramError(
        .leavesWorkspace,
        "\(path): a link in the workspace leads to \(walked.real), which is not made visible by it",
        hint: "--read \(walked.real) shows it, if that is meant")
    }
    if walked.entry.kind == .directory {
      guard !scope.isBroad(walked.real) else {
        trail.append("\(walked.real) is not mounted: it holds more than a script")
        return
      }
      mount(walked.real, why: "the script that the command names")
      return
    }
    let directory = walked.real.parent
    if runtime?.isJavaScript == true { mountPackage(directory) }
    if isCovered(walked.real) { return }
    if scope.isBroad(directory) {
      mount(
        walked.real,
        why: "the script; not its directory, which holds more (--read \(directory) shows it)")
    } else {
      mount(directory, why: "the directory of the script \(shown(walked.real.name))")
    }
  }

  /// Node adds the suffix itself: `node app` is app.js.
  func walkScript(_ path: Path, _ runtime: Runtime?) -> Walked? {
    if let walked = files.walkIfAny(path) { return walked }
    guard runtime?.isJavaScript == true else { return nil }
    for suffix in [".js", ".json", ".node"] {
      if let walked = files.walkIfAny(Path(path.bytes + Array(suffix.utf8))) { return walked }
    }
    return nil
  }

  /// A JavaScript file is read with the package.json above it and the node_modules directories of
  /// its ancestors (Node.js, "Modules: Packages").
  private mutating func mountPackage(_ directory: Path) {
    let names = directory.components
    if let index = names.firstIndex(where: { $0.isText("node_modules") }) {
      let modules = Path(absolute: names.prefix(index + 1))
      if !scope.isBroad(modules) {
        mount(modules, why: "the installed packages that the script is part of")
        return
      }
    }
    var level = directory
    var hasPackage = false
    for _ in 0..<Resolution.packageLevelsMax where !scope.isBroad(level) {
      if !hasPackage, files.isFile(level.appending("package.json")) {
        hasPackage = true
        mount(level, why: "the package of the script, which package.json describes")
      } else if let modules = files.walkIfAny(level.appending("node_modules")),
        modules.entry.kind == .directory, !scope.isBroad(modules.real),
        !crossesWorkspace(modules.links)
      {
        mount(modules.real, why: "the packages installed above the script")
        add(modules.links)
      }
      level = level.parent
    }
  }
}
