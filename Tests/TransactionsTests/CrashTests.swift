import Glibc
import TestSupport
import Testing

/// kill -9 of a commit at every call that changes anything, then recovery: all or nothing.
@Suite struct TransactionCrashTests {
  static let strace = File.exists("/usr/bin/strace")

  private static let program = """
    set -e
    echo more >> kept; chmod 600 kept
    rm gone; rm -rf tree; echo now-a-file > tree
    rm file; mkdir file; echo inner > file/inner
    mkdir -p new/deep; echo one > new/deep/one; ln new/deep/one new/two; ln -s ../kept new/link
    rm -rf opaque; mkdir opaque; echo fresh > opaque/same
    chmod 700 mode; echo secret > locked; : > empty; chmod 0 locked empty
    """

  private func prepare(_ starter: Starter) throws -> (site: Site, id: String, before: String) {
    let site = Site(starter)
    let made = site.run([
      "/bin/sh", "-c",
      "cd \(site.scratch.path) && echo old > kept && echo x > gone && mkdir tree opaque mode && "
        + "echo x > tree/a && echo x > file && echo old > opaque/same && echo old > opaque/other",
    ])
    try #require(made.status == 0, "\(made.summary)")
    _ = site.run(["/bin/chown", "-R", "\(site.owner):\(site.owner)", site.scratch.path])
    let before = site.picture(site.scratch.path)
    let run = site.agtRun(["--txn"], ["/bin/sh", "-c", Self.program])
    try #require(run.status == 0, "\(run.summary)")
    let id = site.identifier(run)
    // As each later start of a transaction does: what is at rest is passed over until a commit begins.
    let recovery = site.agt(["recover"])
    try #require(recovery.status == 0, "\(recovery.summary)")
    let mark = site.scratch.home + "/.local/state/agt/txn/\(id)/at-rest"
    try #require(starter == .root || File.exists(mark), "\(mark)")
    return (site, id, before)
  }

  @Test(
    "kill -9 at every changing call", .enabled(if: strace, "strace is not installed"),
    arguments: [
      "renameat", "unlinkat", "mkdirat", "linkat", "lsetxattr", "lremovexattr", "fchmodat",
      "fchownat", "fchmod", "fchown", "utimensat", "syncfs", "fsync", "write", "flock",
    ])
  func everyCall(_ call: String) throws {
    // Root's store is the machine's, and other tests recover it at the same time.
    let starter = Starter.ordinary
    var whole = 0
    var nothing = 0
    for number in 1...80 {
      let (site, id, before) = try prepare(starter)
      let commit = site.native([
        "/usr/bin/strace", "-f", "-o", "/dev/null", "-e",
        "inject=\(call):signal=SIGKILL:when=\(number)", "-e", "trace=\(call)", Site.agtPath, "txn",
        "commit", id,
      ])
      // Fewer calls than that: it ended undisturbed, and every place was met.
      if commit.status == 0 {
        let isRare = ["fchownat", "fchmodat", "fchown", "lsetxattr", "lremovexattr"].contains(call)
        #expect(number > 1 || isRare)
        break
      }
      let recovery = site.agt(["recover"])
      #expect(recovery.status == 0, "\(call) \(number): \(recovery.summary)")
      let state = site.agt(["list"]).out
      let after = site.picture(site.scratch.path)
      if state.contains(id) {
        nothing += 1
        #expect(after == before, "\(call) \(number)")
        let again = site.agt(["commit", id])
        #expect(again.status == 0, "\(call) \(number): \(again.summary)")
      } else {
        whole += 1
      }
      #expect(try Self.content(site) == Self.expected, "\(call) \(number)")
      #expect(
        File.names(site.scratch.path)?.contains { $0.hasPrefix(".agt-txn-") } == false,
        "\(call) \(number)")
    }
    if call == "unlinkat" { #expect(whole > 0) }
    if call == "linkat" { #expect(nothing > 0) }
  }

  @Test(
    "a stage that was cleared away after a crash", .enabled(if: strace, "strace is not installed"),
    arguments: [1, 2, 4])
  func clearedStage(_ number: Int) throws {
    let (site, id, _) = try prepare(.ordinary)
    let commit = site.native([
      "/usr/bin/strace", "-f", "-o", "/dev/null", "-e",
      "inject=renameat:signal=SIGKILL:when=\(number + 1)", "-e", "trace=renameat", Site.agtPath,
      "txn", "commit", id,
    ])
    try #require(commit.status != 0, "it was to be killed")
    // As git clean does.
    let stage = site.scratch.path + "/.agt-txn-" + id
    try #require(File.exists(stage))
    _ = site.native(["/bin/rm", "-r", stage])
    let recovery = site.agt(["recover"])
    #expect(recovery.status == 0, "\(recovery.summary)")
    #expect(try Self.content(site) == Self.expected)
    #expect(File.names(site.scratch.path)?.contains { $0.hasPrefix(".agt-txn-") } == false)
  }

  @Test(
    "committing again finishes an interrupted commit",
    .enabled(if: strace, "strace is not installed"), arguments: [[], ["new"]])
  func again(_ paths: [String]) throws {
    let (site, id, _) = try prepare(.ordinary)
    let commit = site.native(
      [
        "/usr/bin/strace", "-f", "-o", "/dev/null", "-e",
        "inject=renameat:signal=SIGKILL:when=4", "-e", "trace=renameat", Site.agtPath, "txn",
        "commit", id,
      ] + paths)
    try #require(commit.status != 0, "it was to be killed")
    let again = site.agt(["commit", id] + paths)
    #expect(again.status == 0, "\(again.summary)")
    #expect(again.out == "finished the commit that was interrupted\n")
    if !paths.isEmpty {
      let rest = site.agt(["commit", id])
      #expect(rest.status == 0, "\(rest.summary)")
    }
    #expect(try Self.content(site) == Self.expected)
    #expect(site.agt(["list"]).out == "")
  }

  /// Everything that the program made, in one text.
  private static func content(_ site: Site) throws -> String {
    site.native([
      "/bin/sh", "-c",
      "cd \(site.scratch.path) && find . -mindepth 1 ! -name '.agt-txn*' -printf '%P %y %m %n %l\\n' "
        + "| sort && cat kept tree file/inner new/deep/one opaque/same",
    ]).out
  }

  private static let expected = """
    empty f 0 1 
    file d 755 2 
    file/inner f 644 1 
    kept f 600 1 
    locked f 0 1 
    mode d 700 2 
    new d 755 3 
    new/deep d 755 2 
    new/deep/one f 644 2 
    new/link l 777 1 ../kept
    new/two f 644 2 
    opaque d 755 2 
    opaque/same f 644 1 
    tree f 644 1 
    old
    more
    now-a-file
    inner
    one
    fresh

    """
}
