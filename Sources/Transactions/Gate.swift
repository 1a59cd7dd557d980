internal import Glibc
public import Kernel

/// Files that something outside of the ring would later execute or trust without being asked to: ESCAPES
/// row 21. Sources, makefiles and the like are executed as well, but only when somebody builds.
///
/// Removing one is as good as changing it: a check that is gone does not fail, and settings that are gone
/// forbid nothing. Other names that begin with a dot are free: most are caches and output, of which tools
/// invent new ones all the time, and whoever is shown these at each commit no longer looks.
public enum Gate {
  public struct Finding: Equatable, Sendable {
    public var path: ByteString
    public var reason: String
  }

  /// What a commit of these changes would arm, or disarm by removing it, by path.
  /// - Parameters:
  ///   - changes: removals as well.
  ///   - linkTarget: of a symbolic link in the transaction; nil when it cannot be read.
  ///   - isInWorkspace: whether the workspace has the path already.
  public static func findings(
    _ changes: [Change], linkTarget: (ByteString) -> ByteString?,
    isInWorkspace: (ByteString) -> Bool
  ) -> [Finding] {
    let added = Set(changes.lazy.filter { $0.after != nil }.map(\.path))
    return withoutActuallyEscaping(isInWorkspace) { isInWorkspace in
      findings(changes, linkTarget) { added.contains($0) || isInWorkspace($0) }
    }
  }

  private static func findings(
    _ changes: [Change], _ linkTarget: (ByteString) -> ByteString?,
    _ exists: (ByteString) -> Bool
  ) -> [Finding] {
    changes.compactMap { change in
      if let reason = bareRepository(change, exists) { return finding(change, reason) }
      // What is in it has changes of its own.
      if (change.after ?? change.before)?.kind == .directory { return nil }
      if let reason = reason(forPath: change.path) { return finding(change, reason) }
      guard let after = change.after else { return nil }
      // A library needs no such bit, and Python takes it instead of a source of the same name.
      let isLibrary = change.path.suffix(3).elementsEqual(".so".utf8)
      let isExecutable = { (entry: Entry) in
        entry.kind == .regular && (isLibrary || entry.mode & 0o111 != 0)
      }
      if isExecutable(after), !(change.before.map(isExecutable) ?? false) {
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

  private static func finding(_ change: Change, _ reason: String) -> Finding? {
    guard change.after == nil else { return Finding(path: change.path, reason: reason) }
    if codeOnly.contains(reason) { return nil }
    return Finding(path: change.path, reason: "is removed; \(reason)")
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
      if let obeyed = repositories[part], rest.first.map(obeyed.contains) ?? true {
        return "version control's settings can run commands"
      }
      if part == ".jj", let reason = reason(insideJujutsu: rest) { return reason }
      // A link of the name stands for the directory that it leads to.
      if let reason = directories[part] { return reason }
      if forges.contains(part), !isForPeople(rest) { return "continuous integration runs it" }
      if part == "mise", rest.first?.hasPrefix("conf") == true { return "a tool manager trusts it" }
    }
    if let reason = names[name] { return reason }
    if let found = beginnings.first(where: { name.hasPrefix($0.key) }) { return found.value }
    if let found = endings.first(where: { name.hasSuffix($0.key) }) { return found.value }
    if [".yml", ".yaml", ".toml", ".json"].contains(where: name.hasSuffix),
      let found = settings.first(where: { name.hasPrefix($0.key) })
    {
      return found.value
    }
    return isRunControl(name) ? "a program reads it when it starts" : nil
  }

  /// `.toolrc` and `.toolrc.js`: nothing but settings has such a name, and many of them name plug-ins, or
  /// are programs.
  private static func isRunControl(_ name: String) -> Bool {
    name.hasPrefix(".") && name.split(separator: ".").first?.hasSuffix("rc") == true
  }

  /// What a forge shows to people. The rest is what it runs, and what agents that work there obey.
  private static func isForPeople(_ rest: ArraySlice<String>) -> Bool {
    guard let first = rest.first, let last = rest.last else { return false }
    return forPeople.contains(first)
      || [".png", ".jpg", ".jpeg", ".gif", ".svg", ".webp"].contains(where: last.hasSuffix)
  }

  private static let forges: Set<String> = [".github", ".gitea", ".forgejo"]

  private static let forPeople: Set<String> = [
    "codeowners", "funding.yml", "issue_template", "issue_template.md", "pull_request_template",
    "pull_request_template.md", "discussion_template", "readme.md", "contributing.md",
    "code_of_conduct.md", "governance.md", "security.md", "support.md",
  ]

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

  /// Settings of the repository and of its workspace, where they and the git repository below are, and
  /// what that repository trusts.
  private static func reason(insideJujutsu rest: ArraySlice<String>) -> String? {
    let parts = Array(rest)
    if parts.isEmpty || parts == ["repo"] { return "where jj finds its repository" }
    if parts.starts(with: ["repo", "store", "git"]) {
      return parts.count == 3
        ? "where git finds its repository" : reason(insideRepository: rest.dropFirst(3))
    }
    let isSettings = parts.prefix(2).contains {
      $0.hasPrefix("config") || $0.hasPrefix("workspace-config")
    }
    if isSettings || parts == ["repo", "store", "git_target"] {
      return "version control's settings can run commands"
    }
    return nil
  }

  /// What counts in directories of other version control systems: settings and hooks (hgrc(5), also of
  /// Sapling's `.sl`), and in `.hg` the files that say where another repository with its settings is.
  private static let repositories: [String: Set<String>] = [
    ".hg": mercurial, ".sl": mercurial, "_darcs": ["prefs"], ".pijul": ["config"],
  ]

  private static let mercurial: Set<String> = [
    "hgrc", "hgrc-not-shared", "config", "requires", "sharedpath", "shared",
  ]

  private static let startsWithPython = "Python executes it when it starts"
  private static let insteadOfSource = "it is executed instead of a source"

  /// Of what is executed and forbids nothing, so that nobody misses it: `make clean` removes it.
  private static let codeOnly: Set<String> = [startsWithPython, insteadOfSource]

  private static func table(_ groups: [(reason: String, names: [String])]) -> [String: String] {
    var table: [String: String] = [:]
    for group in groups {
      for name in group.names { table[name] = group.reason }
    }
    return table
  }

  /// At any depth: a workspace can hold several repositories and packages.
  private static let directories = table([
    ("git runs it", [".husky", ".githooks", ".git-hooks", "git-hooks", ".trunk"]),
    ("repo runs it", [".repo"]),
    (
      "continuous integration runs it",
      [
        ".circleci", ".buildkite", ".ci", ".woodpecker", ".builds", ".semaphore", ".tekton",
        ".teamcity", ".azure-pipelines", ".azuredevops", ".harness", ".zuul.d", "zuul.d",
      ]
    ),
    ("continuous integration reads it", [".gitlab"]),
    (
      "an editor trusts it",
      [".vscode", ".idea", ".zed", ".vs", ".fleet", ".nova", ".vim", ".helix"]
    ),
    ("an editor runs it", [".devcontainer", ".gitpod", ".ona", ".idx", ".codesandbox"]),
    ("a shell trusts it", [".direnv"]),
    ("a tool manager trusts it", [".mise"]),
    (
      "settings of an agent",
      [
        ".agent", ".agents", ".agt", ".aiassistant", ".amazonq", ".amp", ".augment", ".claude",
        ".claude-plugin", ".cline", ".clinerules", ".codebuddy", ".codex", ".codex-plugin",
        ".continue", ".cursor", ".cursor-plugin", ".devin", ".factory", ".gemini", ".goose",
        ".iflow", ".junie", ".kilo", ".kilocode", ".kiro", ".opencode", ".openhands", ".pi",
        ".qoder", ".qwen", ".roo", ".rovodev", ".serena", ".tabnine", ".trae", ".vibe", ".warp",
        ".windsurf",
      ]
    ),
    ("it gives access", [".ssh", ".gnupg", ".aws", ".kube", ".docker"]),
    ("cargo's settings can run commands", [".cargo"]),
    ("maven's settings can run commands", [".mvn"]),
    ("bundler's settings and plug-ins", [".bundle"]),
    ("where packages come from", [".swiftpm"]),
    ("settings of programs", [".config"]),
    ("yarn runs it", [".yarn"]),
  ])

  private static let names = table([
    (
      "git reads it", [".gitattributes", ".gitmodules", ".gitconfig", ".lfsconfig", "commondir"]
    ),
    ("Mercurial reads it", [".hgsub", ".hgsubstate"]),
    (
      "git runs it",
      [
        ".pre-commit-config.yaml", "prek.toml", ".overcommit.yml", "captainhook.json",
        "grumphp.yml",
      ]
    ),
    (
      "a shell runs it",
      [
        ".envrc", ".env", ".env.local", ".bashrc", ".bash_profile", ".bash_login",
        ".bash_aliases", ".bash_logout", ".profile", ".login", ".logout", ".zshrc", ".zshenv",
        ".zprofile", ".zlogin", ".zlogout", ".kshrc", ".cshrc", ".tcshrc", ".xprofile",
        ".xsession", ".inputrc",
      ]
    ),
    (
      "package scripts and settings of a package manager",
      [
        "package.json", ".npmrc", ".yarnrc", ".yarnrc.yml", ".pnpmfile.cjs", ".pnpmfile.mjs",
        "pnpm-workspace.yaml", ".bunfig.toml", "bunfig.toml", ".pnp.cjs", ".pnp.loader.mjs",
        "binding.gyp", "composer.json", "pip.conf", "uv.toml", ".pypirc", ".netrc",
        "nuget.config",
      ]
    ),
    (
      "a tool manager trusts it",
      [
        ".tool-versions", ".rtx.toml", ".miserc.toml", ".prototools", "rust-toolchain",
        "rust-toolchain.toml", ".bazelversion", ".bazeliskrc",
      ]
    ),
    (
      "continuous integration runs it",
      [
        ".travis.yml", "bitbucket-pipelines.yml", ".appveyor.yml", "appveyor.yml",
        ".cirrus.yml", ".cirrus.star", ".build.yml", ".zuul.yaml", "zuul.yaml", "bitrise.yml",
        "codemagic.yaml", ".readthedocs.yaml", ".readthedocs.yml", "netlify.toml",
        "vercel.json", "render.yaml", "amplify.yml",
      ]
    ),
    (
      "continuous integration reads it",
      [".coderabbit.yaml", ".coderabbit.yml", ".pr_agent.toml"]
    ),
    (
      "settings of an agent",
      [
        "agent.md", "agents.local.md", "agents.md", "agents.override.md", "amazonq.md",
        "claude.local.md", "claude.md", "codebuddy.local.md", "codebuddy.md",
        "copilot-instructions.md", "crush.md", "gemini.md", "hermes.md", "iflow.md", "qwen.md",
        "replit.md", "warp.md", ".augment-guidelines", ".clinerules", ".crush.json",
        ".crushrc", ".cursorrules", ".goosehints", ".hermes.md", ".mcp.json",
        ".openhands_instructions", ".rules", ".windsurfrules", "crush.json", "crushrc",
        "kilo.json", "kilo.jsonc", "lsp.json", "opencode.json", "opencode.jsonc",
      ]
    ),
    (
      "an editor runs it",
      [
        ".devcontainer.json", ".gitpod.yml", ".replit", ".exrc", ".vimrc", ".lvimrc", ".nvimrc",
        ".nvim.lua", ".lazy.lua", ".ycm_extra_conf.py", ".dir-locals.el", ".dir-locals-2.el",
        ".merlin",
      ]
    ),
    (
      "a linter's settings can run code",
      [
        ".pylintrc", "pylintrc", ".pylintrc.toml", "pylintrc.toml", ".flake8", ".mypy.ini",
        "mypy.ini", ".rubocop.yml",
      ]
    ),
    (
      "a build tool's settings can run commands",
      [
        ".bazelrc", ".buckconfig", ".buckconfig.local", "gradle.properties",
        "gradle-wrapper.properties", "gradle-wrapper.jar", ".sbtopts", ".jvmopts",
      ]
    ),
    (
      "an interpreter or debugger runs it when it starts",
      [
        ".gdbinit", ".lldbinit", ".pdbrc", ".ghci", ".ocamlinit", ".irbrc", ".pryrc", ".iex.exs",
        ".psysh.php", ".rprofile", ".renviron", ".rdata",
      ]
    ),
    ("a web server obeys it", [".htaccess", ".user.ini"]),
    (startsWithPython, ["sitecustomize.py", "usercustomize.py", "pyvenv.cfg"]),
  ])

  private static let beginnings: KeyValuePairs<String, String> = [
    ".gitlab-ci": "continuous integration runs it", ".woodpecker": "continuous integration runs it",
    ".drone": "continuous integration runs it", "jenkinsfile": "continuous integration runs it",
    ".huskyrc": "git runs it", ".lintstagedrc": "git runs it", "lint-staged.config.": "git runs it",
    ".simple-git-hooks.": "git runs it", "simple-git-hooks.": "git runs it",
    ".autoenv": "a shell runs it", ".aider": "settings of an agent", ".roo": "settings of an agent",
    ".kilocode": "settings of an agent",
  ]

  /// Python and zsh take what was compiled earlier for the source that lies beside it.
  private static let endings: KeyValuePairs<String, String> = [
    ".pth": startsWithPython, ".pyc": insteadOfSource, ".zwc": insteadOfSource,
    ".code-workspace": "an editor trusts it", ".sublime-project": "an editor trusts it",
    ".run.xml": "an editor trusts it",
  ]

  /// With the endings of settings.
  private static let settings: KeyValuePairs<String, String> = [
    "lefthook": "git runs it", ".lefthook": "git runs it",
    "azure-pipelines": "continuous integration runs it",
    "buildspec": "continuous integration runs it", "cloudbuild": "continuous integration runs it",
    "mise.": "a tool manager trusts it", ".mise.": "a tool manager trusts it",
  ]

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
