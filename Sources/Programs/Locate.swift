/// The search in PATH.
extension Resolution {
  /// Real search paths have below a hundred directories.
  static let searchDirectoriesMax = 1024
  /// NAME_MAX (limits.h).
  static let nameBytesMax = 255
  /// Names that are compared for a suggestion, all directories together.
  static let suggestionNamesMax = 20_000

  /// Finds a command like execvp(3).
  ///
  /// - Parameter excluding: directories to leave out (a version manager's "system" version).
  /// - Returns: what execve(2) would be given, and the same as an absolute path.
  func locate(
    _ command: [UInt8], excluding: [Path] = []
  ) throws(ProgramError) -> (spelled: [UInt8], path: Path) {
    guard !command.isEmpty, !command.contains(0) else {
      throw ProgramError(.notFound, "the name of the program is empty")
    }
    if command.contains(slash) {
      return (command, Path(command).absolute(in: scope.workingDirectory))
    }
    guard command.count <= Resolution.nameBytesMax else {
      throw ProgramError(.tooLong, "\(shown(command)): longer than a file name may be")
    }
    var searched: [Path] = []
    var refused: Path?
    // A shim puts its version's directory first for what it executes.
    for directory in frontDirectories + callerSearchPath() {
      let absolute = directory.absolute(in: scope.workingDirectory)
      let real = files.walkIfAny(absolute)?.real ?? absolute
      if excluding.contains(absolute) || excluding.contains(real) { continue }
      let candidate = directory.appending(command)
      let path = candidate.absolute(in: scope.workingDirectory)
      if files.isProgram(path) { return (candidate.bytes, path) }
      if files.isFile(path) { refused = refused ?? path }
      searched.append(directory)
    }
    if let refused {
      throw ProgramError(
        .notExecutable, "\(refused): permission to execute denied (EACCES)",
        hint: "chmod +x \(refused)")
    }
    throw notFound(command, searched)
  }

  /// The directories of the caller's PATH; an empty entry is the current directory (environ(7)),
  /// an unset PATH means what confstr(3) says.
  func callerSearchPath() -> [Path] {
    let list = caller["PATH"] ?? Array("/bin:/usr/bin".utf8)
    return list.split(separator: colon, omittingEmptySubsequences: false)
      .prefix(Resolution.searchDirectoriesMax)
      .map { Path($0.isEmpty ? [dot] : Array($0)) }
  }

  private func notFound(_ command: [UInt8], _ searched: [Path]) -> ProgramError {
    let places = searched.prefix(16).map(\.description).joined(separator: ":")
    let more = searched.count > 16 ? " and \(searched.count - 16) more" : ""
    var hint: String?
    if files.isFile(scope.workingDirectory.appending(command)) {
      hint = "the current directory is not searched; write ./\(shown(command))"
    } else if let near = nearestName(command, in: searched) {
      hint = "did you mean \(shown(near))?"
    }
    return ProgramError(
      .notFound, "\(shown(command)): not found in PATH (\(places)\(more))", hint: hint)
  }

  private func nearestName(_ command: [UInt8], in directories: [Path]) -> [UInt8]? {
    // Short names are near to any other: an absent cargo is no misspelt xargs.
    let farthest = command.count <= 2 ? 0 : command.count <= 5 ? 1 : 2
    guard farthest > 0 else { return nil }
    var best: (name: [UInt8], distance: Int)?
    var budget = Resolution.suggestionNamesMax
    for directory in directories where directory.isAbsolute && budget > 0 {
      guard let real = files.walkIfAny(directory)?.real,
        let names = try? files.names(in: real, limit: budget)
      else { continue }
      budget -= names.count
      for name in names.sorted(by: { $0.lexicographicallyPrecedes($1) }) {
        guard abs(name.count - command.count) <= farthest else { continue }
        let distance = editDistance(name, command)
        if distance <= farthest, distance < best?.distance ?? Int.max,
          files.isProgram(real.appending(name))
        {
          best = (name, distance)
        }
      }
    }
    return best?.name
  }
}

/// Insertions, deletions, replacements and swaps of neighbours (optimal string alignment).
func editDistance(_ a: [UInt8], _ b: [UInt8]) -> Int {
  var older: [Int] = []
  var previous = Array(0...b.count)
  for i in 0..<a.count {
    var current = [i + 1]
    for j in 0..<b.count {
      var best = min(previous[j] + (a[i] == b[j] ? 0 : 1), previous[j + 1] + 1, current[j] + 1)
      if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] { best = min(best, older[j - 1] + 1) }
      current.append(best)
    }
    older = previous
    previous = current
  }
  return previous[b.count]
}
