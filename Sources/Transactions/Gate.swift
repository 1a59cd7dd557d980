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
  /// - Parameter linkTarget: of a symbolic link in the transaction.
  public static func findings(
    _ changes: [Change], linkTarget: (ByteString) -> ByteString?
  ) -> [Finding] {
    changes.compactMap { change in
      guard let after = change.after else { return nil }
      if after.kind == .directory { return nil }
      if let reason = reason(forPath: change.path) {
        return Finding(path: change.path, reason: reason)
      }
      let wasExecutable = change.before.map { $0.kind == .regular && $0.mode & 0o111 != 0 } ?? false
      if after.kind == .regular, after.mode & 0o111 != 0, !wasExecutable {
        return Finding(path: change.path, reason: "becomes executable")
      }
      if after.kind == .symbolicLink, let target = linkTarget(change.path),
        leavesWorkspace(from: change.path, target)
      {
        return Finding(path: change.path, reason: "a link that leads out of the workspace")
      }
      return nil
    }.sorted { $0.path.lexicographicallyPrecedes($1.path) }
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
        if rest.contains("hooks") { return "git runs it" }
        if rest.first == "config" || rest.last == "config" || rest.last == "config.worktree" {
          return "git's settings can run commands"
        }
        if rest.first == "info" || rest.first == "objects" && rest.contains("alternates") {
          return "git trusts it"
        }
      }
      if !rest.isEmpty, let reason = directories[part] { return reason }
      if part == ".github", let next = rest.first, next == "workflows" || next == "actions" {
        return "continuous integration runs it"
      }
    }
    if let reason = names[name] { return reason }
    if name.hasSuffix(".pth") { return "Python executes it when it starts" }
    if name.hasPrefix(".gitlab-ci") || name.hasPrefix(".woodpecker") || name.hasPrefix(".drone") {
      return "continuous integration runs it"
    }
    if name.hasPrefix(".aider") { return "settings of an agent" }
    return nil
  }

  private static let directories: [String: String] = [
    ".husky": "git runs it", ".githooks": "git runs it", "git-hooks": "git runs it",
    ".circleci": "continuous integration runs it", ".buildkite": "continuous integration runs it",
    ".ci": "continuous integration runs it", ".woodpecker": "continuous integration runs it",
    ".gitlab": "continuous integration reads it",
    ".vscode": "an editor trusts it", ".idea": "an editor trusts it",
    ".devcontainer": "an editor runs it", ".direnv": "a shell trusts it",
    ".claude": "settings of an agent", ".cursor": "settings of an agent",
    ".codex": "settings of an agent", ".gemini": "settings of an agent",
    ".continue": "settings of an agent", ".windsurf": "settings of an agent",
    ".agents": "settings of an agent", ".agt": "settings of an agent",
    ".ssh": "it gives access", ".gnupg": "it gives access", ".aws": "it gives access",
    ".kube": "it gives access", ".docker": "it gives access",
    ".cargo": "cargo's settings can run commands", ".config": "settings of programs",
    ".mvn": "maven's settings can run commands", ".yarn": "yarn runs it",
  ]

  private static let names: [String: String] = {
    var table: [String: String] = [:]
    for (reason, list) in [
      ("git reads it", [".gitattributes", ".gitmodules", ".gitconfig", ".lfsconfig"]),
      ("git runs it", [".pre-commit-config.yaml", "lefthook.yml", ".lefthook.yml"]),
      (
        "a shell runs it",
        [
          ".envrc", ".env", ".bashrc", ".bash_profile", ".profile", ".zshrc", ".zshenv",
          ".zprofile",
          ".bash_logout", ".inputrc",
        ]
      ),
      (
        "package scripts and settings of a package manager",
        [
          "package.json", ".npmrc", ".yarnrc", ".yarnrc.yml", ".pnpmfile.cjs", ".bunfig.toml",
          "bunfig.toml", "pip.conf", ".pypirc", ".netrc",
        ]
      ),
      ("a tool manager trusts it", [".tool-versions", ".mise.toml", "mise.toml", ".rtx.toml"]),
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
          "claude.md", "agents.md", "gemini.md", ".mcp.json", ".cursorrules", ".windsurfrules",
          "copilot-instructions.md",
        ]
      ),
      ("an editor runs it", [".exrc", ".vimrc", ".nvimrc", ".nvim.lua", ".dir-locals.el"]),
      ("a build tool's settings can run commands", [".bazelrc", ".gdbinit", ".lldbinit"]),
      ("Python executes it when it starts", ["sitecustomize.py", "usercustomize.py"]),
    ] {
      for name in list { table[name] = reason }
    }
    return table
  }()

  /// Whether a link of the workspace would lead a later writer or reader out of it.
  static func leavesWorkspace(from path: ByteString, _ target: ByteString) -> Bool {
    if target.first == UInt8(ascii: "/") { return true }
    var depth = path.split(separator: UInt8(ascii: "/")).count - 1
    for part in target.split(separator: UInt8(ascii: "/")) {
      if part.elementsEqual([46, 46]) {
        depth -= 1
      } else if !part.elementsEqual([46]) {
        depth += 1
      }
      if depth < 0 { return true }
    }
    return false
  }
}
