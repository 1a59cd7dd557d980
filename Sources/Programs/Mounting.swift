/// What has been decided to be mounted, and what PATH inside becomes of it.
extension Resolution {
  /// Whether the path, which has no links, is seen inside.
  func isCovered(_ path: Path) -> Bool {
    scope.covers(path) || reads.contains { path.isWithin($0.path) }
  }

  /// Adds a read-only mount of a path without links, unless it is seen already.
  ///
  /// - Precondition: no directory that `Scope.isBroad`; this is the last line of defence for the
  ///   secrets of a home directory, so it traps.
  mutating func mount(_ path: Path, why: String) {
    guard !isCovered(path), let entry = try? files.status(path) else { return }
    let kind: ResolvedProgram.ReadMount.Kind
    switch entry.kind {
    case .directory:
      precondition(!scope.isBroad(path), "a mount of \(path) would show too much")
      kind = .directory
    case .regular: kind = .file
    case .symbolicLink, .other: return
    }
    reads.removeAll { $0.path.isWithin(path) }
    reads.append(
      .init(
        path: path, kind: kind, why: why, device: entry.device, inode: entry.inode,
        owner: entry.owner, group: entry.group))
    trail.append("\(path) is mounted read-only: \(why)")
  }

  /// Adds the links that a path crossed; those that are seen inside are left out at the end.
  mutating func add(_ crossed: [ResolvedProgram.Link]) {
    for link in crossed where !links.contains(link) && !scope.covers(link.path) {
      links.append(link)
    }
  }

  mutating func set(_ name: String, _ value: [UInt8]) {
    environment.removeAll { $0.name == name }
    environment.append(.init(name: name, value: value))
  }

  mutating func putInFront(_ directory: Path) {
    if !frontDirectories.contains(directory) { frontDirectories.append(directory) }
  }

  /// The directories for PATH inside: those of the runtime, then the caller's as far as they are
  /// seen inside, then the system's.
  func searchPathInside() -> [Path] {
    var result: [Path] = []
    let callers = callerSearchPath().filter { $0.isAbsolute && !shimDirectories.contains($0) }
    let system: [Path] = ["/usr/local/bin", "/usr/bin", "/bin"]
    for candidate in frontDirectories + callers + system {
      guard let walked = files.walkIfAny(candidate), walked.entry.kind == .directory else {
        continue
      }
      if isCovered(walked.real) && !result.contains(walked.real)
        && !shimDirectories.contains(walked.real)
      {
        result.append(walked.real)
      }
    }
    return result
  }

  /// VIRTUAL_ENV and CONDA_PREFIX are kept when the program belongs to them: pip and tools that
  /// look for their environment read them.
  mutating func keepActivation(_ executable: Path) {
    for name in ["VIRTUAL_ENV", "CONDA_PREFIX"] {
      guard let value = caller[name], Path(value).isAbsolute,
        let walked = files.walkIfAny(Path(value)), executable.isWithin(walked.real)
      else { continue }
      set(name, walked.real.bytes)
    }
  }
}
