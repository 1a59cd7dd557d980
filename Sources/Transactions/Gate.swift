internal import Glibc
public import Kernel

/// Files that something outside of the ring would later execute or trust without being asked to: ESCAPES
/// row 21. Sources, makefiles and the like are executed as well, but only when somebody builds.
public enum Gate {
  public struct Finding: Equatable, Sendable {
    public var path: ByteString
    public var reason: String
  }

  /// What a commit of these changes would arm, by path.
  /// - Parameters:
  ///   - linkTarget: of a symbolic link in the transaction; nil when it cannot be read.
  ///   - isInWorkspace: whether the workspace has the path already.
  public static func findings(
    _ changes: [Change], linkTarget: (ByteString) -> ByteString?,
    isInWorkspace: (ByteString) -> Bool
  ) -> [Finding] {
    let added = Set(changes.map(\.path))
    return withoutActuallyEscaping(isInWorkspace) { isInWorkspace in
      findings(changes, linkTarget) { added.contains($0) || isInWorkspace($0) }
    }
  }

  private static func findings(
    _ changes: [Change], _ linkTarget: (ByteString) -> ByteString?,
    _ exists: (ByteString) -> Bool
  ) -> [Finding] {
    changes.compactMap { change in
      guard let after = change.after else { return nil }
      if let reason = bareRepository(change, exists) {
        return Finding(path: change.path, reason: reason)
      }
      if after.kind == .directory { return nil }
      if let reason = reason(forPath: change.path) {
        return Finding(path: change.path, reason: reason)
      }
      let wasExecutable = change.before.map { $0.kind == .regular && $0.mode & 0o111 != 0 } ?? false
      if after.kind == .regular, after.mode & 0o111 != 0, !wasExecutable {
        return Finding(path: change.path, reason: "becomes executable")
      }
      guard after.kind == .symbolicLink else { return nil }
      guard let target = linkTarget(change.path) else {
        return Finding(path: change.path, reason: "a link that cannot be read")
      }
      if leavesWorkspace(from: change.path, target) {
        return Finding(path: change.path, reason: "a link that leads out of the workspace")
      }
      return nil
    }.sorted { $0.path.lexicographicallyPrecedes($1.path) }
  }

  /// git takes any directory with HEAD, objects and refs for a repository, and runs what its `config` says:
  /// a change of the settings of one, or the last piece that makes one.
  private static func bareRepository(
    _ change: Change, _ isThere: (ByteString) -> Bool
  ) -> String? {
    let parts = change.path.split(separator: UInt8(ascii: "/")).map { Array($0) }
    func exists(_ name: String, in above: ArraySlice<ByteString>) -> Bool {
      isThere(Array((above + [ByteString(name)]).joined(separator: [UInt8(ascii: "/")])))
    }
    func isRepository(_ above: ArraySlice<ByteString>) -> Bool {
      exists("HEAD", in: above) && exists("objects", in: above)
    }
    guard let name = parts.last else { return nil }
    let above = parts.dropLast()
    if above.last == ByteString("hooks"), isRepository(above.dropLast()) { return "git runs it" }
    switch name.text {
    case "config" where isRepository(above): return "git's settings can run commands"
    case "HEAD", "objects", "refs":
      guard change.before == nil, isRepository(above), exists("config", in: above) else {
        return nil
      }
      return "it makes a repository, whose settings can run commands"
    default: return nil
    }
  }

  /// By the path alone; upper and lower case are one, as on file systems that do not tell them apart.
  static func reason(forPath path: ByteString) -> String? {
    let parts = path.split(separator: UInt8(ascii: "/")).map { part in
      String(decoding: part.map { $0 >= 65 && $0 <= 90 ? $0 + 32 : $0 }, as: UTF8.self)
    }
    guard let name = parts.last else { return nil }
    for (index, part) in parts.enumerated() {
      let rest = parts[(index + 1)...]
      if part == ".git" || part.hasSuffix(".git") {
        if rest.isEmpty { return "where git finds its repository" }
        if let reason = reason(insideRepository: rest) { return reason }
      }
      if part == ".hg", rest.first.map(mercurial.contains) ?? true {
        return "Mercurial's settings can run commands"
      }
      // A link of the name stands for the directory that it leads to.
      if let reason = directories[part] { return reason }
      if part == ".github", rest.isEmpty || rest.first == "workflows" || rest.first == "actions" {
        return "continuous integration runs it"
      }
    }
    if let reason = names[name] { return reason }
    if name.hasSuffix(".pth") { return "Python executes it when it starts" }
    if name.hasPrefix(".gitlab-ci") || name.hasPrefix(".woodpecker") || name.hasPrefix(".drone") {
      return "continuous integration runs it"
    }
    if name.hasSuffix(".code-workspace") { return "an editor trusts it" }
    if name.hasPrefix("lefthook") || name.hasPrefix(".lefthook"),
      [".yml", ".yaml", ".toml", ".json"].contains(where: name.hasSuffix)
    {
      return "git runs it"
    }
    if name.hasPrefix("mise.") || name.hasPrefix(".mise."), name.hasSuffix(".toml") {
      return "a tool manager trusts it"
    }
    if name.hasPrefix(".aider") { return "settings of an agent" }
    return nil
  }

  /// What git keeps there beside its objects and references, it trusts: hooks, settings, and where other
  /// repositories and their settings are (gitrepository-layout(5)).
  private static func reason(insideRepository rest: ArraySlice<String>) -> String? {
    if rest.contains("hooks") { return "git runs it" }
    if rest.last == "config" || rest.last == "config.worktree" {
      return "git's settings can run commands"
    }
    let first = rest.first!
    if first == "objects" { return rest.dropFirst().first == "info" ? "git trusts it" : nil }
    if first == "refs" || first == "logs" { return nil }
    return rest.count == 1 && data.contains(first) ? nil : "git trusts it"
  }

  private static let data: Set<String> = [
    "index", "head", "orig_head", "fetch_head", "packed-refs", "commit_editmsg",
  ]

  /// hgrc(5), and the files of `.hg` that say where another repository with its settings is.
  private static let mercurial: Set<String> = [
    "hgrc", "hgrc-not-shared", "requires", "sharedpath", "shared",
  ]

  private static let directories: [String: String] = [
    ".husky": "git runs it", ".githooks": "git runs it", "git-hooks": "git runs it",
    ".circleci": "continuous integration runs it", ".buildkite": "continuous integration runs it",
    ".ci": "continuous integration runs it", ".woodpecker": "continuous integration runs it",
    ".gitlab": "continuous integration reads it",
    ".vscode": "an editor trusts it", ".idea": "an editor trusts it", ".zed": "an editor trusts it",
    ".devcontainer": "an editor runs it", ".direnv": "a shell trusts it",
    ".claude": "settings of an agent", ".cursor": "settings of an agent",
    ".codex": "settings of an agent", ".gemini": "settings of an agent",
    ".continue": "settings of an agent", ".windsurf": "settings of an agent",
    ".clinerules": "settings of an agent", ".agents": "settings of an agent",
    ".agt": "settings of an agent",
    ".ssh": "it gives access", ".gnupg": "it gives access", ".aws": "it gives access",
    ".kube": "it gives access", ".docker": "it gives access",
    ".cargo": "cargo's settings can run commands", ".config": "settings of programs",
    ".mvn": "maven's settings can run commands", ".yarn": "yarn runs it",
  ]

  private static let names: [String: String] = {
    var table: [String: String] = [:]
    for (reason, list) in [
      ("git reads it", [".gitattributes", ".gitmodules", ".gitconfig", ".lfsconfig", "commondir"]),
      ("git runs it", [".pre-commit-config.yaml"]),
      (
        "a shell runs it",
        [
          ".envrc", ".env", ".env.local", ".bashrc", ".bash_profile", ".profile", ".zshrc",
          ".zshenv",
          ".zprofile",
          ".bash_logout", ".inputrc",
        ]
      ),
      (
        "package scripts and settings of a package manager",
        [
          "package.json", ".npmrc", ".yarnrc", ".yarnrc.yml", ".pnpmfile.cjs", ".bunfig.toml",
          "bunfig.toml", ".pnp.cjs", ".pnp.loader.mjs", "pip.conf", ".pypirc", ".netrc",
        ]
      ),
      ("a tool manager trusts it", [".tool-versions", ".rtx.toml"]),
      (
        "continuous integration runs it",
        [
          "jenkinsfile", ".travis.yml", "azure-pipelines.yml", "bitbucket-pipelines.yml",
          ".appveyor.yml", "appveyor.yml", ".cirrus.yml",
        ]
      ),
      (
        "settings of an agent",
        [
          "claude.md", "claude.local.md", ".clinerules", "agents.md", "gemini.md", ".mcp.json",
          ".cursorrules", ".windsurfrules",
          "copilot-instructions.md",
        ]
      ),
      (
        "an editor runs it",
        [
          ".devcontainer.json", ".gitpod.yml", ".exrc", ".vimrc", ".nvimrc", ".nvim.lua",
          ".dir-locals.el",
        ]
      ),
      ("a build tool's settings can run commands", [".bazelrc", ".gdbinit", ".lldbinit"]),
      ("Python executes it when it starts", ["sitecustomize.py", "usercustomize.py"]),
    ] {
      for name in list { table[name] = reason }
    }
    return table
  }()

  /// Whether a link of the workspace would lead a later writer or reader out of it. A name on the way may be
  /// a link itself, and what is above its target is not what is above it: only `..` before the first name
  /// is sure to stay inside.
  static func leavesWorkspace(from path: ByteString, _ target: ByteString) -> Bool {
    if target.first == UInt8(ascii: "/") { return true }
    var depth = path.split(separator: UInt8(ascii: "/")).count - 1
    var hasName = false
    for part in target.split(separator: UInt8(ascii: "/")) where !part.elementsEqual([46]) {
      guard part.elementsEqual([46, 46]) else {
        hasName = true
        continue
      }
      depth -= 1
      if hasName || depth < 0 { return true }
    }
    return false
  }
}
