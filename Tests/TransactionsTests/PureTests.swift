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

  @Test(arguments: [
    "main.py", "hooks/x", "config", "src/git/config", ".github/CODEOWNERS", "README.md",
    ".gitignore", "environment", "docs/package.json.md", ".git/objects/ab/cd", ".git/HEAD",
    ".git/refs/heads/main", ".git/logs/HEAD", ".git/index", ".git/ORIG_HEAD", ".git/FETCH_HEAD",
    ".git/packed-refs", ".git/COMMIT_EDITMSG", ".hg/store/00changelog.i", "mise.md", "HEAD",
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
