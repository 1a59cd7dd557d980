/// Which files' contents a command runs, as far as its command line says so: programs, the scripts that they
/// interpret, and what leads from one to the other. What a program reads by itself (modules, a Makefile) is not known.
public struct ExecutedFiles: Equatable, Sendable {
  /// The ELF image and every script and shim on the way to it, without links; the image last.
  public var files: [Path] = []
  /// What else decides that it is these: links on the way, and directories in which a name is looked for first.
  public var deciding: [Path] = []

  mutating func add(_ walked: Walked) {
    if !files.contains(walked.real) { files.append(walked.real) }
    decide(walked.links.map(\.path))
  }

  mutating func decide(_ paths: [Path]) {
    for path in paths where !deciding.contains(path) { deciding.append(path) }
  }
}

extension Resolution {
  mutating func executed(
    command: [UInt8], arguments: [[UInt8]]
  ) throws(ProgramError) -> ExecutedFiles {
    var all = ExecutedFiles()
    let files = files
    let searched = callerSearchPath().map { $0.absolute(in: scope.workingDirectory) }
    let (image, walked) = try reach(command: command, arguments: arguments) { next, walked in
      all.add(walked)
      // Found in PATH: whoever could put a file into a directory before would be found instead.
      guard !next.name.contains(slash) else { return }
      for directory in searched {
        let walked = files.walkIfAny(directory)
        all.decide((walked?.links.map(\.path) ?? []) + [walked?.real ?? directory])
        if directory.appending(next.name) == next.path { break }
      }
    }
    let runtime = Runtime(image.path.name) ?? Runtime(walked.real.name)
    guard let runtime else { return all }
    let operand = Operands(runtime: runtime, arguments: image.arguments).script
    if let operand, case .user = image.arguments[operand].origin,
      !image.arguments[operand].bytes.contains(0),
      let script = walkScript(
        Path(image.arguments[operand].bytes).absolute(in: scope.workingDirectory), runtime)
    {
      all.files.insert(script.real, at: 0)
      all.decide(script.links.map(\.path))
    }
    return all
  }
}
