/// Shims of version managers, followed without running them: they are shell scripts that fork, or
/// programs that read configuration which is not visible inside.
extension Resolution {
  /// The program that a shim would execute; nil when this is not a shim.
  mutating func shimTarget(
    _ shim: Invocation, _ walked: Walked, _ head: [UInt8]
  ) throws(ProgramError) -> Invocation? {
    let directories = [shim.path.parentUnresolved, walked.real.parent]
    if head.starts(with: "#!".utf8) {
      if head.firstOffset(of: "\n# asdf-plugin: ") != nil {
        hideShims(directories)
        return try asdfTarget(shim, head)
      }
      for manager in ScriptShimManager.all where manager.wrote(head) {
        hideShims(directories)
        return try pyenvTarget(manager, shim, walked)
      }
      return nil
    }
    let name = shim.path.name
    let real = walked.real.name
    guard name != real else { return nil }
    if real.isText("mise") || real.isText("rtx") {
      hideShims([shim.path.parentUnresolved])
      return try miseTarget(shim)
    }
    if real.isText("volta-shim") {
      hideShims([shim.path.parentUnresolved])
      return try voltaTarget(shim)
    }
    if real.isText("rustup"), !name.isText("rustup-init") {
      return try rustupTarget(shim)
    }
    return nil
  }

  private mutating func hideShims(_ directories: [Path]) {
    for directory in directories where !shimDirectories.contains(directory) {
      shimDirectories.append(directory)
      if let real = files.walkIfAny(directory)?.real, !shimDirectories.contains(real) {
        shimDirectories.append(real)
      }
    }
  }

  /// The invocation of an installed program in place of its shim; argv[0] is its path, as for the
  /// manager's own exec.
  mutating func replace(_ shim: Invocation, by program: Path, _ explanation: String) -> Invocation {
    trail.append("\(shown(shim.name)) is \(explanation) -> \(program)")
    putInFront(program.parent)
    return Invocation(
      name: program.bytes, spelled: program.bytes, path: program, arguments: shim.arguments,
      untrusted: shim.untrusted)
  }

  /// The version "system": the same name in PATH, without the shims.
  mutating func systemProgram(
    _ shim: Invocation, _ manager: String, _ reason: String
  ) throws(ProgramError) -> Invocation {
    let found: (spelled: [UInt8], path: Path)
    do {
      found = try locate(shim.path.name, excluding: shimDirectories)
    } catch {
      throw ProgramError(
        .commandNotInVersion, "\(manager): \(error.description); \(reason)", hint: error.hint)
    }
    trail.append("\(shown(shim.name)) is a \(manager) shim -> \(found.path) (\(reason))")
    return Invocation(
      name: found.spelled, spelled: found.spelled, path: found.path, arguments: shim.arguments,
      untrusted: shim.untrusted)
  }

  /// A directory that the environment names, else one below the home directory.
  func managerRoot(_ variable: String, below home: String) -> Path? {
    if let value = caller[variable], value.first == slash {
      return Path(absolute: Path(value).components)
    }
    return scope.homes.first?.appending(home)
  }
}

/// pyenv and its relatives, which share one design.
struct ScriptShimManager {
  let name: String
  let rootVariable: String
  let rootBelowHome: String
  let versionVariable: String
  let versionFile: String
  /// Said before a version in files, and ignored: `python-3.12`.
  let versionPrefix: String

  static let all = [
    ScriptShimManager("pyenv", "PYENV", ".python-version", "python-"),
    ScriptShimManager("rbenv", "RBENV", ".ruby-version", "ruby-"),
    ScriptShimManager("nodenv", "NODENV", ".node-version", "node-"),
    ScriptShimManager("goenv", "GOENV", ".go-version", "go-"),
    ScriptShimManager("plenv", "PLENV", ".perl-version", "perl-"),
  ]

  private init(_ name: String, _ variables: String, _ file: String, _ prefix: String) {
    self.name = name
    rootVariable = variables + "_ROOT"
    rootBelowHome = "." + name
    versionVariable = variables + "_VERSION"
    versionFile = file
    versionPrefix = prefix
  }

  /// The last line of a shim: `exec "/home/me/.pyenv/libexec/pyenv" exec "$program" "$@"`.
  func wrote(_ head: [UInt8]) -> Bool {
    head.firstOffset(of: "/\(name)\" exec \"$program\"") != nil
      || head.firstOffset(of: "\n\(name) exec \"$program\"") != nil
      || head.firstOffset(of: "exec \(name) exec \"$program\"") != nil
  }
}

extension Resolution {
  /// pyenv exec: the first of the chosen versions that has the command, else the system's.
  mutating func pyenvTarget(
    _ manager: ScriptShimManager, _ shim: Invocation, _ walked: Walked
  ) throws(ProgramError) -> Invocation {
    guard let root = pyenvRoot(manager, shim, walked) else {
      throw ProgramError(
        .versionUnset,
        "\(shim.path): a \(manager.name) shim, but its root directory is unknown",
        hint: "set \(manager.rootVariable)")
    }
    let store = root.appending("versions")
    let choice = pyenvChoice(manager, root)
    let command = shim.path.name
    var asSystem = choice.versions.isEmpty
    var missing: VersionName?
    for version in choice.versions.prefix(Resolution.versionsMax) {
      if version.isText("system") {
        asSystem = true
        break
      }
      var name = try validated(version, manager.name, choice)
      var directory = try installedVersion(name, in: store, manager.name, choice)
      if directory == nil, name.text.hasPrefix(manager.versionPrefix),
        let bare = VersionName(Array(name.text.utf8.dropFirst(manager.versionPrefix.utf8.count)))
      {
        directory = try installedVersion(bare, in: store, manager.name, choice)
        name = bare
      }
      guard let directory else {
        missing = missing ?? name
        continue
      }
      let program = directory.appending("bin").appending(command)
      guard files.isProgram(program) else { continue }
      set(manager.versionVariable, directory.name)
      return replace(shim, by: program, "a \(manager.name) shim (version from \(choice.origin))")
    }
    if let missing, !asSystem {
      throw ProgramError(
        .versionMissing,
        "\(manager.name): version \(missing.text) is not in \(store) (from \(choice.origin))",
        hint: "\(manager.name) install \(missing.text)")
    }
    let reason =
      asSystem
      ? "the system's, from \(choice.origin)"
      : "no version from \(choice.origin) has \(shown(command))"
    return try systemProgram(shim, manager.name, reason)
  }

  /// The variable, else where the shim lies, else below the home directory; an untrusted shim is
  /// not asked.
  private func pyenvRoot(
    _ manager: ScriptShimManager, _ shim: Invocation, _ walked: Walked
  ) -> Path? {
    let directory = walked.real.parent
    let isTrusted = !shim.untrusted && !scope.isUntrusted(walked.real)
    if caller[manager.rootVariable] == nil, isTrusted, directory.name.isText("shims"),
      files.isDirectory(directory.parent.appending("versions"))
    {
      return directory.parent
    }
    return managerRoot(manager.rootVariable, below: manager.rootBelowHome)
  }

  private mutating func pyenvChoice(_ manager: ScriptShimManager, _ root: Path) -> VersionChoice {
    if let value = caller[manager.versionVariable] {
      return VersionChoice(
        versions: value.split(separator: colon).map(Array.init), origin: manager.versionVariable,
        untrusted: false)
    }
    if let local = nearestSettings([manager.versionFile]) {
      let versions = pyenvVersions(local.text)
      if !versions.isEmpty {
        return VersionChoice(
          versions: versions, origin: "\(local.path)", untrusted: local.untrusted)
      }
    }
    let global = root.appending("version")
    if let found = readSettings(global) {
      return VersionChoice(
        versions: pyenvVersions(found.text), origin: "\(global)", untrusted: found.untrusted)
    }
    return VersionChoice(
      versions: [], origin: "\(manager.name)'s default: no version is set", untrusted: false)
  }

  /// pyenv-version-file-read: the first word of each line that is no comment.
  private func pyenvVersions(_ text: [UInt8]) -> [[UInt8]] {
    text.split(separator: newline).compactMap { line in
      guard let word = line.words.first, word.first != UInt8(ascii: "#") else { return nil }
      return word
    }
  }
}
