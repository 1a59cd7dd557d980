/// asdf, mise, Volta and rustup: managers of many tools, or with shims that are programs.
extension Resolution {
  /// Tools in one file that are considered.
  static let toolsMax = 64

  /// asdf: the shim lists the plugins that have the command (`# asdf-plugin: python 3.12.1`).
  mutating func asdfTarget(_ shim: Invocation, _ head: [UInt8]) throws(ProgramError) -> Invocation {
    var plugins: [VersionName] = []
    for line in head.split(separator: newline) {
      let words = line.words
      guard words.count >= 4, words[0].isText("#"), words[1].isText("asdf-plugin:"),
        let plugin = VersionName(words[2]), plugins.count < Resolution.toolsMax
      else { continue }
      if !plugins.contains(plugin) { plugins.append(plugin) }
    }
    guard let root = managerRoot("ASDF_DATA_DIR", below: ".asdf") else {
      throw unknownRoot(shim, "asdf", "ASDF_DATA_DIR")
    }
    for plugin in plugins {
      guard let choice = toolChoice(plugin.text, variables: "ASDF") else { continue }
      let store = root.appending("installs/\(plugin.text)")
      if let target = try storedProgram(shim, "asdf", store, choice) { return target }
    }
    let tools = plugins.map(\.text).joined(separator: " or ")
    throw ProgramError(
      .versionUnset, "\(shim.path): an asdf shim, but no version of \(tools) is chosen",
      hint: "asdf set \(plugins.first?.text ?? "NAME") VERSION writes .tool-versions")
  }

  /// `ASDF_PYTHON_VERSION`, else the nearest .tool-versions that names the tool, else that of the
  /// home directory.
  private mutating func toolChoice(_ tool: String, variables: String) -> VersionChoice? {
    let variable = versionVariable(variables, tool)
    if let value = caller[variable] {
      return VersionChoice(versions: value.words, origin: variable, untrusted: false)
    }
    let home = scope.homes.first.map { [$0] } ?? []
    for directory in directoriesUpwards + home {
      let path = directory.appending(".tool-versions")
      guard let found = readSettings(path) else { continue }
      for entry in toolVersions(found.text) where entry.tool == tool {
        return VersionChoice(
          versions: entry.versions, origin: "\(path)", untrusted: found.untrusted)
      }
    }
    return nil
  }

  private func versionVariable(_ manager: String, _ tool: String) -> String {
    let name = tool.uppercased().map { $0 == "-" || $0 == "." ? "_" : $0 }
    return "\(manager)_\(String(name))_VERSION"
  }

  /// The program in the first of the chosen versions that has it; nil when none has it.
  private mutating func storedProgram(
    _ shim: Invocation, _ manager: String, _ store: Path, _ choice: VersionChoice
  ) throws(ProgramError) -> Invocation? {
    var missing: VersionName?
    for version in choice.versions.prefix(Resolution.versionsMax) {
      if version.isText("system") {
        return try systemProgram(shim, manager, "the system's, from \(choice.origin)")
      }
      let isReference = version.starts(with: "ref:".utf8)
      let written = isReference ? Array("ref-".utf8) + version.dropFirst(4) : version
      let name = try validated(written, manager, choice)
      guard let directory = try installedVersion(name, in: store, manager, choice) else {
        missing = missing ?? name
        continue
      }
      if let program = programBelow(directory, shim.path.name, store, choice) {
        return replace(shim, by: program, "\(manager)'s (version from \(choice.origin))")
      }
    }
    if let missing {
      throw ProgramError(
        .versionMissing,
        "\(manager): version \(missing.text) is not installed in \(store) (from \(choice.origin))",
        hint: "\(manager) install")
    }
    return nil
  }

  /// Where tools keep their programs: `bin`, the directory itself, Go's `go/bin`, or an unpacked
  /// archive's single directory.
  private func programBelow(
    _ directory: Path, _ command: [UInt8], _ store: Path, _ choice: VersionChoice
  ) -> Path? {
    var places = [directory.appending("bin"), directory, directory.appending("go/bin")]
    if let real = files.walkIfAny(directory)?.real,
      let names = try? files.names(in: real, limit: Resolution.directoryNamesMax),
      let only = names.first, names.count == 1
    {
      places += [directory.appending(only).appending("bin"), directory.appending(only)]
    }
    let programs = places.map { $0.appending(command) }
    return programs.first { program in
      guard files.isProgram(program), let place = files.walkIfAny(program.parent) else {
        return false
      }
      let realStore = files.walkIfAny(store)?.real
      return !choice.untrusted || realStore.map { place.real.isWithin($0) } == true
    }
  }

  private func unknownRoot(
    _ shim: Invocation, _ manager: String, _ variable: String
  ) -> ProgramError {
    ProgramError(
      .versionUnset,
      "\(shim.path): a shim of \(manager), but where \(manager) keeps its tools is unknown",
      hint: "set \(variable)")
  }

  /// mise: the tools of all configuration files, the nearest first; the first that has the command.
  mutating func miseTarget(_ shim: Invocation) throws(ProgramError) -> Invocation {
    guard let root = managerRoot("MISE_DATA_DIR", below: ".local/share/mise") else {
      throw unknownRoot(shim, "mise", "MISE_DATA_DIR")
    }
    var firstMissing: ProgramError?
    for (tool, choice) in miseTools() {
      let directory = tool.map { "/:".contains($0) ? "-" : $0 }
      guard let name = VersionName(Array(String(directory).utf8)) else { continue }
      do {
        let store = root.appending("installs/\(name.text)")
        if let target = try storedProgram(shim, "mise", store, choice) { return target }
      } catch {
        // Another tool may have the command; if none has it, the first failure explains it best.
        let isLikely = error.reason != .versionMissing || shim.path.name.starts(with: tool.utf8)
        if isLikely { firstMissing = firstMissing ?? error }
      }
    }
    if let firstMissing { throw firstMissing }
    return try systemProgram(
      shim, "mise", "no tool in its configuration has \(shown(shim.path.name))")
  }

  /// In order of precedence, each tool once.
  private mutating func miseTools() -> [(tool: String, choice: VersionChoice)] {
    var tools: [(tool: String, choice: VersionChoice)] = []
    func add(_ tool: String, _ choice: VersionChoice) {
      let names = ["nodejs": "node", "golang": "go"]
      var name = names[tool] ?? tool
      if name.hasPrefix("core:") { name = String(name.dropFirst(5)) }
      guard tools.count < Resolution.toolsMax, !tools.contains(where: { $0.tool == name }) else {
        return
      }
      let variable = versionVariable("MISE", name)
      if let value = caller[variable] {
        tools.append((name, .init(versions: value.words, origin: variable, untrusted: false)))
      } else {
        tools.append((name, choice))
      }
    }
    for path in miseFiles() {
      guard let found = readSettings(path) else { continue }
      let entries =
        path.name.isText(".tool-versions") ? toolVersions(found.text) : miseVersions(found.text)
      for entry in entries {
        add(
          entry.tool,
          .init(versions: entry.versions, origin: "\(path)", untrusted: found.untrusted))
      }
    }
    for tool in ["python", "node", "ruby", "go", "java", "deno", "bun"]
    where caller[versionVariable("MISE", tool)] != nil {
      add(tool, .init(versions: [], origin: "", untrusted: false))
    }
    return tools
  }

  private func miseFiles() -> [Path] {
    let names = [
      "mise.local.toml", ".mise.local.toml", "mise.toml", ".mise.toml", "mise/config.toml",
      ".mise/config.toml", ".config/mise.toml", ".config/mise/config.toml", ".tool-versions",
    ]
    var paths = directoriesUpwards.flatMap { directory in names.map { directory.appending($0) } }
    if let file = caller["MISE_GLOBAL_CONFIG_FILE"], file.first == slash {
      paths.append(Path(file))
    }
    if let directory = caller["MISE_CONFIG_DIR"], directory.first == slash {
      paths.append(Path(directory).appending("config.toml"))
    }
    if let directory = caller["XDG_CONFIG_HOME"], directory.first == slash {
      paths.append(Path(directory).appending("mise/config.toml"))
    }
    if let home = scope.homes.first {
      paths += [home.appending(".config/mise/config.toml"), home.appending(".tool-versions")]
    }
    return paths
  }

  /// Volta: the nearest package.json that pins a version, else the user's default platform.
  mutating func voltaTarget(_ shim: Invocation) throws(ProgramError) -> Invocation {
    guard let root = managerRoot("VOLTA_HOME", below: ".volta") else {
      throw unknownRoot(shim, "Volta", "VOLTA_HOME")
    }
    let images = root.appending("tools/image")
    let command = String(decoding: shim.path.name, as: UTF8.self)
    guard ["node", "npm", "npx", "yarn", "yarnpkg", "pnpm", "pnpx"].contains(command) else {
      return try voltaPackageTarget(shim, root, images)
    }
    let tool = ["npx": "npm", "yarnpkg": "yarn", "pnpx": "pnpm"][command] ?? command
    if let choice = voltaChoice(tool, root),
      let target = try storedProgram(shim, "Volta", images.appending(tool), choice)
    {
      return target
    }
    // npm that nobody pinned is the one that came with Node.
    if tool == "node" || tool == "npm", let choice = voltaChoice("node", root),
      let target = try storedProgram(shim, "Volta", images.appending("node"), choice)
    {
      return target
    }
    throw ProgramError(
      .versionUnset, "\(shim.path): a Volta shim, but no version of \(tool) is chosen",
      hint: "volta install \(tool)")
  }

  private mutating func voltaChoice(_ tool: String, _ root: Path) -> VersionChoice? {
    for directory in directoriesUpwards {
      let path = directory.appending("package.json")
      guard let found = readSettings(path),
        let version = jsonString(at: ["volta", tool], in: found.text)
      else { continue }
      return VersionChoice(versions: [version], origin: "\(path)", untrusted: found.untrusted)
    }
    let path = root.appending("tools/user/platform.json")
    guard let found = readSettings(path),
      let version = jsonString(at: tool == "node" ? ["node", "runtime"] : [tool], in: found.text)
        ?? (tool == "npm" ? jsonString(at: ["node", "npm"], in: found.text) : nil)
    else { return nil }
    return VersionChoice(versions: [version], origin: "\(path)", untrusted: found.untrusted)
  }

  /// A command of a package that `volta install` put there.
  private mutating func voltaPackageTarget(
    _ shim: Invocation, _ root: Path, _ images: Path
  ) throws(ProgramError) -> Invocation {
    let path = root.appending("tools/user/bins").appending(shim.path.name + Array(".json".utf8))
    guard let found = readSettings(path),
      let package = jsonString(at: ["package"], in: found.text), !package.contains(0),
      !Path(package).components.contains([dot, dot])
    else {
      throw ProgramError(
        .versionUnset, "\(shim.path): a Volta shim, but \(path) does not say of which package")
    }
    if let node = jsonString(at: ["platform", "node", "runtime"], in: found.text)
      ?? jsonString(at: ["platform", "node"], in: found.text), let name = VersionName(node)
    {
      putInFront(images.appending("node/\(name.text)/bin"))
    }
    let program = images.appending("packages").appending(package).appending("bin")
      .appending(shim.path.name)
    guard files.isProgram(program) else {
      throw ProgramError(
        .commandNotInVersion, "\(program): not found; Volta's \(path) names it",
        hint: "volta install \(shown(package))")
    }
    return replace(shim, by: program, "a Volta shim (from \(path))")
  }

  /// rustup: the toolchain of the variable, the nearest rust-toolchain file, or the default.
  mutating func rustupTarget(_ shim: Invocation) throws(ProgramError) -> Invocation {
    guard let root = managerRoot("RUSTUP_HOME", below: ".rustup") else {
      throw unknownRoot(shim, "rustup", "RUSTUP_HOME")
    }
    let store = root.appending("toolchains")
    guard let choice = rustupChoice(root), let version = choice.versions.first else {
      throw ProgramError(
        .versionUnset, "\(shim.path): a rustup proxy, but no toolchain is chosen",
        hint: "rustup default stable")
    }
    let name = try validated(version, "rustup", choice)
    guard let directory = try installedVersion(name, in: store, "rustup", choice) else {
      throw ProgramError(
        .versionMissing,
        "rustup: toolchain \(name.text) is not installed in \(store) (from \(choice.origin))",
        hint: "rustup toolchain install \(name.text)")
    }
    let program = directory.appending("bin").appending(shim.path.name)
    guard files.isProgram(program) else {
      throw ProgramError(
        .commandNotInVersion, "\(program): not in this toolchain",
        hint: "rustup component add \(shown(shim.path.name)) --toolchain \(shown(directory.name))")
    }
    set("RUSTUP_TOOLCHAIN", directory.name)
    return replace(shim, by: program, "a rustup proxy (toolchain from \(choice.origin))")
  }

  private mutating func rustupChoice(_ root: Path) -> VersionChoice? {
    if let value = caller["RUSTUP_TOOLCHAIN"] {
      return VersionChoice(versions: [value], origin: "RUSTUP_TOOLCHAIN", untrusted: false)
    }
    if let local = nearestSettings(["rust-toolchain.toml", "rust-toolchain"]) {
      let lines = local.text.split(separator: newline)
      let bare = lines.count == 1 && !lines[0].contains(UInt8(ascii: "=")) ? lines[0].trimmed : nil
      if let channel = bare ?? tomlString("channel", in: "toolchain", local.text) {
        return VersionChoice(
          versions: [channel], origin: "\(local.path)", untrusted: local.untrusted)
      }
    }
    let path = root.appending("settings.toml")
    guard let found = readSettings(path),
      let name = tomlString("default_toolchain", in: "", found.text)
    else { return nil }
    return VersionChoice(versions: [name], origin: "\(path)", untrusted: found.untrusted)
  }
}
