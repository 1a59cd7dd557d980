import Kernel
import Testing

@testable import Transactions

/// What needs no file system: manifests, the gate, differences, and text for a terminal.
@Suite struct TransactionPureTests {
  private func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

  private var manifest: Manifest {
    Manifest(
      steps: [
        .removeFile([0xff, 0x0a]), .removeDirectory(bytes("d")), .makeDirectory(bytes("e")),
        .place(bytes("e/f"), number: 0, digest: [UInt8](repeating: 7, count: 32)),
        .place(bytes("l"), number: 1, digest: nil), .settle(bytes("e")), .settle([]),
      ], isPartial: true)
  }

  @Test func manifestsSurvive() throws {
    #expect(try Manifest(decoding: manifest.encoded) == manifest)
    let empty = Manifest(steps: [], isPartial: false)
    #expect(throws: TransactionError.self) { try Manifest(decoding: [UInt8]()) }
    _ = empty
  }

  @Test("a manifest is whole or none") func manifestsDamaged() {
    let good = manifest.encoded
    for length in 0..<good.count {
      #expect(throws: TransactionError.self) { try Manifest(decoding: Array(good[..<length])) }
    }
    for index in good.indices {
      var bad = good
      bad[index] ^= 1
      #expect(throws: TransactionError.self) { try Manifest(decoding: bad) }
    }
  }

  @Test(arguments: ["../x", "/etc/passwd", "a//b", "a/./b", "a/..", "a\u{0}b", ""])
  func manifestsStayInside(_ path: String) {
    let bad = Manifest(steps: [.removeFile(bytes(path))], isPartial: false)
    #expect(throws: TransactionError.self) { try Manifest(decoding: bad.encoded) }
  }

  @Test(arguments: [
    ".git/hooks/pre-commit", "sub/.git/config", ".GIT/HOOKS/x", "vendor/x.git/hooks/update",
    ".git/modules/a/config", ".envrc", "deep/.envrc", "package.json", ".github/workflows/ci.yml",
    ".gitlab-ci.yml", "Jenkinsfile", ".claude/settings.json", "CLAUDE.md", ".vscode/tasks.json",
    ".cursorrules", ".git", ".cargo/config.toml", "venv/lib/x.pth", ".gitattributes",
    ".git/commondir", "commondir", ".git/objects/info/alternates", ".git/worktrees/a/gitdir",
    ".git/modules/a/HEAD", ".git/config.worktree", ".git/info/attributes", ".git/shallow",
    ".git/index/x", ".git/sharedindex.1", ".hg/hgrc", ".hg/sharedpath", ".devcontainer.json",
    ".gitpod.yml", "lefthook.yml", "lefthook.yaml", "lefthook-local.yml", ".lefthook.toml",
    "a.code-workspace", ".pnp.cjs", "mise.local.toml", ".mise.toml", "mise.toml", ".env.local",
    ".clinerules", ".clinerules/x.md", ".zed/settings.json", "CLAUDE.local.md",
    ".vscode", ".hg", ".github", ".github/workflows",
  ])
  func gated(_ path: String) { #expect(Gate.reason(forPath: bytes(path)) != nil) }

  /// What continuous integration runs.
  @Test(arguments: [
    ".forgejo/workflows/ci.yml", ".forgejo", ".gitea/workflows/ci.yml", ".gitea",
    ".builds/test.yml", ".build.yml", ".semaphore/semaphore.yml", "cloudbuild.yaml",
    "cloudbuild.json", "deploy/cloudbuild.yml", "buildspec.yml", "buildspec-test.yaml",
    "Jenkinsfile.release", "azure-pipelines.yml", "azure-pipelines-nightly.yaml",
    ".azure-pipelines/test.yml", ".azuredevops/test.yml", ".tekton/push.yaml",
    ".teamcity/settings.kts", ".harness/a.yaml", ".zuul.yaml", "zuul.yaml", ".zuul.d/a.yaml",
    "zuul.d/a.yaml", ".cirrus.star", "bitrise.yml", "codemagic.yaml", ".readthedocs.yaml",
    ".readthedocs.yml", "netlify.toml", "vercel.json", "render.yaml", "amplify.yml",
    ".coderabbit.yaml", ".coderabbit.yml", ".pr_agent.toml", ".github/dependabot.yml",
    ".github/scripts/test.sh", ".github/actions/a/action.yml",
  ])
  func gatedIntegration(_ path: String) { #expect(Gate.reason(forPath: bytes(path)) != nil) }

  /// What is executed or trusted beside code.
  @Test(arguments: [
    "src/__pycache__/a.cpython-312.pyc", "a.pyc", "A.PYC", "venv/pyvenv.cfg", "a/.zshrc.zwc",
    "binding.gyp", "node_modules/a/binding.gyp", "pnpm-workspace.yaml", ".pnpmfile.mjs",
    "composer.json", "uv.toml", "nuget.config", "NuGet.Config", ".huskyrc", ".huskyrc.json",
    ".huskyrc.js", ".lintstagedrc", ".lintstagedrc.mjs", "lint-staged.config.js",
    ".simple-git-hooks.json", "simple-git-hooks.cjs", ".git-hooks/pre-push", "prek.toml",
    ".overcommit.yml", "captainhook.json", "grumphp.yml", ".trunk/trunk.yaml", ".bundle/config",
    ".bundle/plugin/index", ".swiftpm/configuration/mirrors.json", "rust-toolchain",
    "rust-toolchain.toml", ".bazelversion", ".bazeliskrc", ".buckconfig", ".buckconfig.local",
    "gradle.properties", "gradle/wrapper/gradle-wrapper.properties",
    "gradle/wrapper/gradle-wrapper.jar", ".sbtopts", ".jvmopts", ".htaccess", "www/.user.ini",
  ])
  func gatedCode(_ path: String) { #expect(Gate.reason(forPath: bytes(path)) != nil) }

  /// What programs read when they start.
  @Test(arguments: [
    ".Rprofile", "analysis/.Rprofile", ".RData", ".Renviron", ".ghci", ".ocamlinit", ".pdbrc",
    ".irbrc", ".pryrc", ".iex.exs", ".psysh.php", ".gdbinit", ".lldbinit", ".pylintrc", "pylintrc",
    ".pylintrc.toml", "pylintrc.toml", ".flake8", "mypy.ini", ".mypy.ini", ".rubocop.yml",
    ".lvimrc", ".lazy.lua", ".dir-locals-2.el", ".ycm_extra_conf.py", ".merlin",
    ".vim/coc-settings.json", ".helix/languages.toml", ".vs/tasks.vs.json", ".fleet/run.json",
    ".nova/Tasks/a.json", "test.run.xml", "a.sublime-project", ".gitpod/automations.yaml",
    ".ona/automations.yaml", ".idx/dev.nix", ".codesandbox/tasks.json", ".replit",
    ".mise/config.toml", ".mise/tasks/a", "mise/config.toml", "mise/conf.d/a.toml", ".miserc.toml",
    ".prototools", ".autoenv.zsh", ".bash_login", ".bash_aliases", ".login", ".logout", ".zlogin",
    ".zlogout", ".kshrc", ".cshrc", ".tcshrc", ".xprofile", ".xsession", ".eslintrc.js",
    ".prettierrc", "a/.octaverc",
  ])
  func gatedStart(_ path: String) { #expect(Gate.reason(forPath: bytes(path)) != nil) }

  /// Where version control keeps what it trusts.
  @Test(arguments: [
    ".jj", ".jj/repo", ".jj/repo/config.toml", ".jj/repo/config-id", ".jj/workspace-config.toml",
    ".jj/repo/store/git_target", ".jj/repo/store/git", ".jj/repo/store/git/config",
    ".jj/repo/store/git/hooks/post-checkout", ".sl", ".sl/config", ".sl/sharedpath", "_darcs",
    "_darcs/prefs/defaults", ".pijul/config", ".repo/repo/main.py", ".hgsub", ".hgsubstate",
  ])
  func gatedRepositories(_ path: String) { #expect(Gate.reason(forPath: bytes(path)) != nil) }

  /// What agents obey.
  @Test(arguments: [
    "AGENTS.override.md", "AGENTS.local.md", "AGENT.md", "src/AGENTS.md", "AMAZONQ.md",
    "CODEBUDDY.md", "CODEBUDDY.local.md", "CRUSH.md", "HERMES.md", ".hermes.md", "IFLOW.md",
    "QWEN.md", "WARP.md", "replit.md", ".kiro/steering/a.md", ".roo/rules/a.md", ".roorules",
    ".roorules-code", ".roomodes", ".opencode/plugin/a.ts", "opencode.json", "opencode.jsonc",
    ".amazonq/rules/a.md", ".junie/guidelines.md", ".goosehints", ".goose/recipes/a.yaml",
    ".github/instructions/a.instructions.md", ".github/prompts/a.prompt.md",
    ".github/agents/a.agent.md", ".github/hooks/a.json", ".github/skills/a/SKILL.md",
    ".github/copilot-instructions.md", ".github/lsp.json", "lsp.json", ".agent/rules/a.md",
    ".agents/skills/a/SKILL.md", ".aiassistant/rules/a.md", ".amp/settings.json",
    ".augment/rules/a.md", ".augment-guidelines", ".claude-plugin/plugin.json", ".cline/hooks/a",
    ".codebuddy/rules/a.md", ".codex-plugin/plugin.json", ".cursor-plugin/plugin.json",
    ".devin/rules/a.md", ".factory/hooks/a", ".iflow/settings.json", ".kilo/rules/a.md",
    ".kilocode/rules/a.md", ".kilocodemodes", "kilo.json", "kilo.jsonc", ".openhands/setup.sh",
    ".openhands_instructions", ".pi/extensions/a.ts", ".qoder/rules/a.md", ".qwen/settings.json",
    ".rovodev/prompts.yml", ".serena/project.yml", ".tabnine/guidelines/a.md", ".trae/rules/a.md",
    ".vibe/config.toml", ".warp/workflows/a.yaml", ".crushrc", "crushrc", "crush.json",
    ".crush.json", ".rules", ".mcp.json", ".cursor/mcp.json", ".windsurf/rules/a.md", "GEMINI.md",
    ".idea/workspace.xml",
  ])
  func gatedAgents(_ path: String) { #expect(Gate.reason(forPath: bytes(path)) != nil) }

  @Test(arguments: [
    "main.py", "hooks/x", "config", "src/git/config", ".github/CODEOWNERS", "README.md",
    ".gitignore", "environment", "docs/package.json.md", ".git/objects/ab/cd", ".git/HEAD",
    ".git/refs/heads/main", ".git/logs/HEAD", ".git/index", ".git/ORIG_HEAD", ".git/FETCH_HEAD",
    ".git/packed-refs", ".git/COMMIT_EDITMSG", ".hg/store/00changelog.i", "mise.md", "HEAD",
    ".github/ISSUE_TEMPLATE/bug.yml", ".github/PULL_REQUEST_TEMPLATE.md", ".github/logo.png",
    ".gitea/issue_template/bug.yml", ".sl/store/00changelog.i", "_darcs/patches/1", "prefs",
    ".pijul/pristine/db", ".jj/repo/op_heads/heads/1", ".jj/working_copy/checkout",
    ".jj/repo/store/git/objects/ab/cd", "mise/src/main.rs", "buildspec.md", "repo/config.toml",
    ".pytest_cache/v/cache/lastfailed", ".mypy_cache/3.12/a.json", ".ruff_cache/0.4/1",
    ".venv/lib/a.py", ".tox/log/1", ".coverage", ".build/release.yaml", ".next/trace", ".DS_Store",
    ".editorconfig", ".dockerignore", ".clang-format", "src/rc.py", "a.pyi", "AGENTS.md.orig",
  ])
  func free(_ path: String) { #expect(Gate.reason(forPath: bytes(path)) == nil) }

  private func findings(
    _ added: [String], _ there: [String] = [], kind: FileStatus.Kind = .regular,
    target: String? = nil
  ) -> [String] {
    let changes = added.map { path in
      Change(
        bytes(path), before: nil,
        after: Entry(
          kind: kind, mode: 0o644, uid: 0, gid: 0, sizeBytes: 0, modifiedNanoseconds: 0))
    }
    return Gate.findings(changes) { _ in
      target.map { bytes($0) }
    } isInWorkspace: {
      there.map { bytes($0) }.contains($0)
    }.map { String(decoding: $0.path, as: UTF8.self) }
  }

  /// Paths and reasons.
  private func removals(
    _ removed: [String], _ there: [String] = [], kind: FileStatus.Kind = .regular,
    and added: [Change] = []
  ) -> [String: String] {
    let changes = removed.map { path in
      Change(
        bytes(path),
        before: Entry(
          kind: kind, mode: 0o755, uid: 0, gid: 0, sizeBytes: 0, modifiedNanoseconds: 0),
        after: nil)
    }
    let there = there.map { bytes($0) }
    let found = Gate.findings(
      changes + added, linkTarget: { _ in nil }, isInWorkspace: { there.contains($0) })
    return Dictionary(
      uniqueKeysWithValues: found.map { (String(decoding: $0.path, as: UTF8.self), $0.reason) })
  }

  /// A check that is gone does not fail.
  @Test(arguments: [
    ".github/workflows/ci.yml", ".gitattributes", ".git/hooks/pre-push", ".husky/pre-commit",
    ".pre-commit-config.yaml", ".npmrc", "AGENTS.md", "sub/.git/config",
  ])
  func removedNames(_ path: String) {
    let reason = removals([path])[path]
    #expect(reason == Gate.reason(forPath: bytes(path)).map { "is removed; \($0)" })
    #expect(reason != nil)
  }

  @Test func removedOutput() {
    #expect(removals(["bin/a", "src/a.c", "__pycache__/a.pyc", "venv/a.pth", "a.so"]).isEmpty)
    // Its files are named.
    #expect(removals([".github"], kind: .directory).isEmpty)
    #expect(removals(["link"], kind: .symbolicLink).isEmpty)
  }

  @Test func removedRepositories() {
    #expect(removals(["d/config"], ["d/HEAD", "d/objects"]).keys.sorted() == ["d/config"])
    #expect(removals(["d/hooks/update"], ["d/HEAD", "d/objects"]).count == 1)
    #expect(removals(["d/config"]).isEmpty)
  }

  @Test("a directory takes the place of a file") func replacedByDirectory() {
    let directory = Change(
      bytes(".envrc"), before: nil,
      after: Entry(
        kind: .directory, mode: 0o755, uid: 0, gid: 0, sizeBytes: 0, modifiedNanoseconds: 0))
    #expect(removals([".envrc"], and: [directory]) == [".envrc": "is removed; a shell runs it"])
  }

  @Test("a library is executed without the bit") func libraries() {
    #expect(findings(["lib/a.so", "lib/a.so.1", "lib/so"]) == ["lib/a.so"])
    let entry = Entry(
      kind: .regular, mode: 0o644, uid: 0, gid: 0, sizeBytes: 0, modifiedNanoseconds: 0)
    #expect(removals([], and: [Change(bytes("a.so"), before: entry, after: entry)]).isEmpty)
  }

  @Test("a directory becomes a repository") func bareRepositories() {
    #expect(findings(["d/config"]) == [])
    #expect(findings(["d/config", "d/HEAD"]) == [])
    #expect(findings(["d/config", "d/HEAD", "d/objects"]) == ["d/HEAD", "d/config", "d/objects"])
    #expect(findings(["d/hooks/update"], ["d/HEAD", "d/objects"]) == ["d/hooks/update"])
    #expect(findings(["d/hooks/update"], ["HEAD", "objects"]) == [])
    #expect(findings(["config"], ["HEAD", "objects", "refs"]) == ["config"])
    // Piece by piece, in several commits.
    #expect(findings(["HEAD"], ["config", "objects"]) == ["HEAD"])
    #expect(findings(["d/objects"], ["d/config", "d/HEAD"], kind: .directory) == ["d/objects"])
    #expect(findings(["d/refs"], ["d/config", "d/HEAD", "d/objects"]) == ["d/refs"])
    #expect(findings(["d/objects"], ["e/config", "e/HEAD"], kind: .directory) == [])
  }

  @Test func linksThatCannotBeRead() {
    #expect(findings(["l"], kind: .symbolicLink) == ["l"])
    #expect(findings(["l"], kind: .symbolicLink, target: "here") == [])
  }

  @Test func linksOut() {
    #expect(Gate.leavesWorkspace(from: bytes("a"), bytes("/x")))
    #expect(Gate.leavesWorkspace(from: bytes("a"), bytes("..")))
    #expect(Gate.leavesWorkspace(from: bytes("d/a"), bytes("../../x")))
    #expect(Gate.leavesWorkspace(from: bytes("d/a"), bytes("x/../../../d")))
    #expect(!Gate.leavesWorkspace(from: bytes("d/a"), bytes("../x")))
    // A name on the way may be a link: p/q/s -> ../../ makes this u beside the workspace.
    #expect(!Gate.leavesWorkspace(from: bytes("p/q/s"), bytes("../../")))
    #expect(Gate.leavesWorkspace(from: bytes("out"), bytes("p/q/s/../../u")))
    #expect(Gate.leavesWorkspace(from: bytes("d/a"), bytes("./b/..")))
    #expect(!Gate.leavesWorkspace(from: bytes("d/e/a"), bytes("./.././../x/./y")))
    #expect(!Gate.leavesWorkspace(from: bytes("a"), bytes("b/c")))
  }

  @Test func escapes() {
    #expect(Display.path(bytes("plain/name")) == "plain/name")
    #expect(Display.path(bytes("a\u{1b}[2Jb\n")) == "\"a\\x1b[2Jb\\n\"")
    #expect(Display.path([0xff, 0x41]) == "\"\\xffA\"")
    #expect(Display.escaped(bytes("\u{9b}\u{202e}x"), keepingTabs: true) == "\\u{9b}\\u{202e}x")
    #expect(Display.escaped(bytes("é\tü"), keepingTabs: true) == "é\tü")
    #expect(Display.escaped([0xe2, 0x82], keepingTabs: true) == "\\xe2\\x82")
  }

  @Test func differences() {
    #expect(UnifiedDiff.hunks(bytes("a\nb\n"), bytes("a\nb\n")) == [])
    #expect(
      UnifiedDiff.hunks(bytes("a\nb\nc\n"), bytes("a\nx\nc\n"))
        == ["@@ -1,3 +1,3 @@", " a", "-b", "+x", " c"])
    #expect(
      UnifiedDiff.hunks(bytes("a"), bytes("a\n"))
        == ["@@ -1,1 +1,1 @@", "-a", "\\ No newline at end of file", "+a"])
  }

  /// Whatever the script is, doing it must give the new text, and it must keep what it says it keeps.
  @Test func scriptsAreTrue() {
    var generator = SystemRandomNumberGenerator()
    for _ in 0..<2000 {
      let text = { (_: Int) in
        (0..<Int.random(in: 0...12, using: &generator)).map { _ in
          [UInt8.random(in: 97...99, using: &generator)][...]
        }
      }
      let a = text(0)
      let b = text(1)
      var old = 0
      var made: [ArraySlice<UInt8>] = []
      for edit in UnifiedDiff.script(a, b) {
        switch edit {
        case .keep(let i, let j):
          #expect(i == old && j == made.count && a[i] == b[j])
          made.append(a[i])
          old += 1
        case .remove(let i):
          #expect(i == old)
          old += 1
        case .add(let j):
          #expect(j == made.count)
          made.append(b[j])
        }
      }
      #expect(old == a.count && made == b)
    }
  }
}
