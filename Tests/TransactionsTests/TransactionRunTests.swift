import Glibc
import TestSupport
import Testing

/// Runs in transactions, through the built commands, as root and as an ordinary user.
@Suite struct TransactionRunTests {
  private func site(_ starter: Starter) -> Site {
    let site = Site(starter)
    site.scratch.write("a", "old\n")
    site.scratch.write("b", "old\n")
    return site
  }

  private let change = ["/bin/sh", "-c", "echo new >> a; echo c > c"]

  /// Without a name, and as `last`: the newest that waits for the directory in which it is asked.
  @Test(arguments: Starter.all) func newestHere(_ starter: Starter) {
    let site = Site(starter)
    for word in ["one", "two"] {
      let run = site.agtRun(["--txn"], ["/bin/sh", "-c", "mkdir -p d && echo \(word) > \(word)"])
      #expect(run.status == 0, "\(run.summary)")
    }
    func here(_ words: String) -> Completed {
      site.native([
        "/bin/sh", "-c", "cd \(site.scratch.path) && exec \(Site.agtPath) txn \(words)",
      ])
    }
    let shown = here("diff --stat")
    #expect(shown.out.contains("two") && !shown.out.contains("one"), "\(shown.summary)")
    let several = here("commit")
    #expect(
      several.status == 2 && several.err.contains("2 transactions wait"), "\(several.summary)")
    #expect(here("commit last").out == "committed 2 changes\n")
    #expect(site.scratch.read("two") == "two\n" && site.scratch.read("one") == nil)
    #expect(here("discard last").status == 0)
    let none = here("commit")
    #expect(none.status == 2 && none.err.contains("no transaction waits for"), "\(none.summary)")
  }

  @Test("kept, shown, committed", arguments: Starter.all) func kept(_ starter: Starter) {
    let site = site(starter)
    let run = site.agtRun(["--txn"], change)
    #expect(run.status == 0, "\(run.summary)")
    let id = site.identifier(run)
    #expect(
      run.err.hasSuffix(
        "agt-run: transaction \(id) kept, 2 changes; see: agt txn diff \(id); "
          + "then: agt txn commit \(id) or agt txn discard \(id)\n"))
    #expect(site.scratch.read("a") == "old\n")
    #expect(site.agt(["list"]).out.contains(id))
    #expect(
      site.agt(["diff", id]).out
        == """
        modified a
        --- workspace/a
        +++ transaction/a
        @@ -1,1 +1,2 @@
         old
        +new
        added c (mode 644)
        --- /dev/null
        +++ transaction/c
        @@ -0,0 +1,1 @@
        +c

        """)
    #expect(site.agt(["commit", id]).out == "committed 2 changes\n")
    #expect(site.scratch.read("a") == "old\nnew\n")
    #expect(File.owner(site.scratch.path + "/c") == site.owner)
    #expect(site.agt(["list"]).out.contains(id) == false)
  }

  @Test("commit on success alone", arguments: Starter.all) func success(_ starter: Starter) {
    let site = site(starter)
    let failed = site.agtRun(
      ["--txn=commit-on-success"], ["/bin/sh", "-c", "echo new >> a; exit 3"])
    #expect(failed.status == 3)
    #expect(site.scratch.read("a") == "old\n")
    let run = site.agtRun(["--txn=commit-on-success", "--result-json", site.result], change)
    #expect(run.status == 0, "\(run.summary)")
    #expect((File.read(site.result) ?? "").contains("\"state\": \"committed\""))
    #expect(site.scratch.read("a") == "old\nnew\n")
  }

  @Test("what is killed is discarded", arguments: Starter.all) func killed(_ starter: Starter) {
    let site = site(starter)
    let late = site.agtRun(
      ["--txn=commit-on-success", "--timeout", "300ms"], ["/bin/sh", "-c", "echo x > a; sleep 60"])
    #expect(late.status == 124, "\(late.summary)")
    #expect(site.scratch.read("a") == "old\n")
    let violation = site.agtRun(
      ["--txn", "--on-violation", "rollback", "--result-json", site.result],
      ["/bin/sh", "-c", "echo x > a; unshare -m true; sleep 60"])
    #expect(violation.status == 137, "\(violation.summary)")
    #expect((File.read(site.result) ?? "").contains("\"reason\": \"policy_violation\""))
    #expect((File.read(site.result) ?? "").contains("\"state\": \"discarded\""))
    #expect(site.scratch.read("a") == "old\n")
    #expect(site.agtRun(["--txn=discard"], change).status == 0)
    #expect(site.scratch.read("c") == nil)
    if starter == .ordinary { #expect(site.agt(["list"]).out == "") }
  }

  @Test("a path that changed underneath", arguments: Starter.all)
  func conflict(_ starter: Starter) {
    let site = site(starter)
    let id = site.identifier(site.agtRun(["--txn"], ["/bin/sh", "-c", "echo new >> a; rm b"]))
    site.scratch.write("a", "somebody else\n")
    let commit = site.agt(["commit", id])
    #expect(commit.status == 1, "\(commit.summary)")
    #expect(commit.err.contains("nothing was committed:\n  a was changed\n"), "\(commit.err)")
    #expect(site.scratch.read("a") == "somebody else\n")
    #expect(site.scratch.read("b") == "old\n")
    // What nobody else touched can be committed alone; the rest stays.
    #expect(site.agt(["commit", id, "b"]).status == 0)
    #expect(site.scratch.read("b") == nil)
    #expect(site.agt(["commit", id]).status == 1)
    #expect(site.agt(["discard", id]).status == 0)
    #expect(site.scratch.read("a") == "somebody else\n")
  }

  @Test("part by part", arguments: Starter.all) func partial(_ starter: Starter) {
    let site = site(starter)
    let run = site.agtRun(
      ["--txn"],
      [
        "/bin/sh", "-c",
        "mkdir -p d/e; echo 1 > d/e/f; echo 2 > d/g; ln d/g d/h; echo new > a; rm b",
      ])
    let id = site.identifier(run)
    #expect(site.agt(["commit", id, "nothing"]).status == 2)
    #expect(site.agt(["commit", id, "d/e"]).status == 0)
    #expect(site.scratch.read("d/e/f") == "1\n")
    #expect(site.scratch.read("d/g") == nil)
    #expect(site.scratch.read("a") == "old\n")
    let rest = site.agt(["commit", id])
    #expect(rest.status == 0, "\(rest.summary)")
    #expect(site.scratch.read("d/h") == "2\n")
    #expect(site.scratch.read("a") == "new\n")
    #expect(site.scratch.read("b") == nil)
  }

  @Test("files that something would execute or trust", arguments: Starter.all)
  func gate(_ starter: Starter) {
    let site = site(starter)
    let run = site.agtRun(
      ["--txn=commit-on-success"],
      [
        "/bin/sh", "-c",
        "mkdir -p .git/hooks; echo x > .git/hooks/post-checkout; echo x > .envrc; "
          + "echo x > tool; chmod +x tool; ln -s /etc/passwd link",
      ])
    #expect(run.status == 125, "\(run.summary)")
    for line in [
      "  .envrc: a shell runs it", "  .git/hooks/post-checkout: git runs it",
      "  link: a link that leads out of the workspace", "  tool: becomes executable",
    ] {
      #expect(run.err.contains(line), "\(run.err)")
    }
    #expect(site.scratch.read(".envrc") == nil)
    let id = site.identifier(run)
    #expect(site.agt(["commit", id]).status == 1)
    #expect(site.agt(["diff", id]).out.hasPrefix("executed or trusted later"))
    #expect(site.agt(["commit", id, "--allow-executable"]).status == 0)
    #expect(site.scratch.read(".envrc") == "x\n")
  }

  @Test("ring 3 writes into a transaction and nowhere else", arguments: Starter.all)
  func ring3(_ starter: Starter) {
    let site = site(starter)
    site.own()
    let write = site.native([
      Binaries.agtRun, "--ring", "3", "--txn", "--workspace", site.scratch.path, "--", "/bin/sh",
      "-c", "echo new > a",
    ])
    #expect(write.status == 0, "\(write.summary)")
    #expect(site.scratch.read("a") == "old\n")
    #expect(site.agt(["commit", site.identifier(write)]).status == 0)
    #expect(site.scratch.read("a") == "new\n")
  }

  @Test("directories that their owner made read-only", arguments: Starter.all)
  func readOnly(_ starter: Starter) {
    let site = site(starter)
    _ = site.run(["/bin/sh", "-c", "cd \(site.scratch.path) && mkdir -p r/s && echo x > r/s/f"])
    let run = site.agtRun(
      ["--txn"],
      [
        "/bin/sh", "-c",
        "echo y > r/s/g; rm r/s/f; mkdir n; echo z > n/z; chmod 555 r/s r n; chmod 0 a",
      ])
    let commit = site.agt(["commit", site.identifier(run)])
    #expect(commit.status == 0, "\(commit.summary)")
    #expect(site.scratch.read("n/z") == "z\n")
    #expect(
      site.run(["/usr/bin/stat", "-c", "%a", site.scratch.path + "/r/s", site.scratch.path + "/n"])
        .out == "555\n555\n")
    _ = site.run(["/bin/chmod", "-R", "u+rwX", site.scratch.path])
  }

  @Test("a link that somebody planted is not followed", arguments: Starter.all)
  func plantedLink(_ starter: Starter) {
    let site = site(starter)
    let run = site.agtRun(["--txn"], ["/bin/sh", "-c", "mkdir -p d; echo evil > d/passwd"])
    let outside = site.scratch.home + "/outside"
    _ = site.run([
      "/bin/sh", "-c",
      "mkdir \(outside) && echo safe > \(outside)/passwd && ln -s \(outside) \(site.scratch.path)/d",
    ])
    let commit = site.agt(["commit", site.identifier(run)])
    #expect(commit.status == 1, "\(commit.summary)")
    #expect(File.read(outside + "/passwd") == "safe\n")
    #expect(site.agt(["discard", site.identifier(run)]).status == 0)
  }

  @Test("names and contents cannot speak to the terminal", arguments: Starter.all)
  func escapes(_ starter: Starter) {
    let site = site(starter)
    let run = site.agtRun(
      ["--txn"],
      [
        "/bin/bash", "-c",
        "printf 'x\\033]0;owned\\007\\n' > $'n\\e[2J\\nM a'; printf '\\302\\233' > c1",
      ])
    let id = site.identifier(run)
    for words in [["diff", id], ["diff", "--stat", id], ["list"]] {
      let out = site.agt(words).output
      #expect(out.contains(0x1b) == false && out.contains(0x07) == false)
      #expect(out.contains(0x9b) == false)
    }
    #expect(site.agt(["diff", id]).out.contains("\"n\\x1b[2J\\nM a\""))
    #expect(site.agt(["discard", id]).status == 0)
  }

  @Test("a run ends without reading what it wrote") func large() throws {
    let site = site(.native)
    let run = site.agtRun(
      ["--txn"], ["/bin/sh", "-c", "truncate -s 3G large; truncate -s 2097152 zeros"])
    #expect(run.status == 0, "\(run.summary)")
    #expect(run.seconds < 10)
    let id = site.identifier(run)
    #expect(site.agt(["diff", "--stat", id]).out.contains("A 3221225472  large"))
    // SHA-256 of 2 MiB of zeros, as sha256sum prints it.
    let digest = site.run(["/bin/sh", "-c", "head -c 2097152 /dev/zero | sha256sum | cut -c 1-64"])
    let shown = site.agt(["diff", id, "zeros"]).out
    #expect(digest.output.count == 65 && shown.contains("-> " + digest.out), "\(shown)")
    #expect(site.agt(["diff", "--json", id, "zeros"]).out.contains(digest.out.dropLast()))
    #expect(site.agt(["discard", id]).status == 0)
  }

  @Test("the workspace itself is everything", arguments: [".", "./"])
  func everything(_ path: String) {
    let site = site(.native)
    let id = site.identifier(site.agtRun(["--txn"], change))
    #expect(site.agt(["commit", id, path]).out == "committed 2 changes\n")
    #expect(site.scratch.read("c") == "c\n")
    #expect(site.agt(["diff", id]).status == 2, "it is over")
  }

  /// A state directory with one kept transaction whose record is then these bytes.
  private func damaged(_ site: Site, _ record: String) -> (store: String, id: String) {
    let id = site.identifier(site.agtRun(["--txn"], change))
    let store = site.scratch.home + "/.local/state/agt/txn"
    _ = site.run(["/bin/sh", "-c", "printf '\(record)' > \(store)/\(id)/record.json"])
    return (store, id)
  }

  @Test("a damaged record is shown, and can be got rid of") func damagedRecord() {
    let site = site(.ordinary)
    let (store, id) = damaged(site, "{\"version\": 9}")
    #expect(site.agt(["list"]).out == "\(id)  damaged     its record cannot be read\n")
    #expect(site.agt(["list", "--json"]).out.contains("\"state\": \"damaged\""))
    for words in [["diff", id], ["commit", id], ["recover"]] {
      let refused = site.agt(words)
      #expect(refused.status == 125, "\(refused.summary)")
      #expect(refused.err.contains("\(store)/\(id)/record.json is damaged"), "\(refused.err)")
    }
    _ = site.run(["/usr/bin/touch", "\(store)/\(id)/manifest"])
    let begun = site.agt(["discard", id])
    #expect(begun.status == 125 && begun.err.contains("\(store)/\(id)/manifest"), "\(begun.err)")
    _ = site.run(["/bin/rm", "\(store)/\(id)/manifest"])
    #expect(site.agt(["discard", id]).status == 0)
    #expect(File.names(store) == [])
  }

  @Test("what a loss of power makes of a record is discarded", arguments: ["", "\\0\\0"])
  func tornRecord(_ record: String) {
    let site = site(.ordinary)
    let (store, id) = damaged(site, record)
    let recovery = site.agt(["recover"])
    #expect(recovery.out == "\(id) discarded\n", "\(recovery.summary)")
    #expect(File.names(store) == [])
  }

  @Test("a store that is a link is refused, not empty") func linkedStore() {
    let site = site(.ordinary)
    let state = site.scratch.home + "/.local/state/agt"
    _ = site.run(["/bin/sh", "-c", "mkdir -p \(state)/real && ln -s real \(state)/txn"])
    site.own()
    for words in [["list"], ["recover"], ["discard", "01NONE"]] {
      let refused = site.agt(words)
      #expect(refused.status == 125 && refused.err.contains(state + "/txn"), "\(refused.summary)")
    }
  }

  @Test("looking at a transaction leaves the workspace as it is") func looking() throws {
    let site = site(.ordinary)
    _ = site.run(["/bin/chmod", "0", site.scratch.path + "/a"])
    let run = site.agtRun(["--txn"], ["/bin/sh", "-c", "chmod 600 a; chmod 0 a; chmod 600 b"])
    try #require(run.status == 0, "\(run.summary)")
    let id = site.identifier(run)
    let status = ["/usr/bin/stat", "-c", "%a %z", site.scratch.path + "/a"]
    let before = site.run(status).out
    for words in [["diff", id], ["diff", "--json", id], ["diff", "--stat", id]] {
      let shown = site.agt(words)
      #expect(shown.status == 0, "\(shown.summary)")
    }
    #expect(site.run(status).out == before)
    let committed = site.agt(["commit", id])
    #expect(committed.status == 0, "\(committed.summary)")
    #expect(site.run(status).out.hasPrefix("0 "))
  }

  /// An overlay would show nothing of it.
  @Test(
    "a mount inside the workspace is named, and one beside it is none of ours",
    .enabled(if: Starter.isRoot, "mounting takes root"))
  func mountsInside() {
    let site = Site(.root)
    let run = { (place: String) in
      Command(
        [
          "/usr/bin/unshare", "-m", "/bin/sh", "-c",
          "mkdir -p \"$1\" && mount -t tmpfs none \"$1\" && shift && exec \"$@\"", "sh", place,
          Binaries.agtRun, "--ring", "2", "--txn", "--workspace", site.scratch.path, "--",
          "/bin/true",
        ], in: "/"
      ).run()
    }
    let inside = site.scratch.path + "/a b\\c"
    let refused = run(inside)
    #expect(refused.status == 126, "\(refused.summary)")
    #expect(
      refused.err.contains("--txn: \(inside) is a mount inside the workspace"), "\(refused.err)")
    for place in [site.scratch.path, site.scratch.path + "-beside"] {
      let allowed = run(place)
      #expect(allowed.status == 0, "\(allowed.summary)")
    }
    _ = Command(["/bin/rmdir", site.scratch.path + "-beside"]).run()
  }

  @Test("what cannot be a transaction") func refused() {
    let site = site(.native)
    let run = { (options: [String]) in site.agtRun(options, ["/bin/true"]) }
    for options in [
      ["--txn", "--txn"], ["--txn=sometimes"], ["--on-violation", "rollback"],
      ["--allow-executable"], ["--txn", "--degrade", "namespaces"],
    ] {
      #expect(run(options).status == 2, "\(options)")
    }
    let inside = site.native([
      "/usr/bin/env", "XDG_STATE_HOME=\(site.scratch.path)/state", Binaries.agtRun, "--txn",
      "--workspace", site.scratch.path, "--", "/bin/true",
    ])
    if site.starter == .ordinary { #expect(inside.status == 126) }
    #expect(site.agt(["diff", "01NOSUCHTRANSACTION"]).status == 2)
    let explained = run(["--txn", "--explain"])
    #expect(explained.out.contains("a transaction; what is written goes to"), "\(explained.out)")
  }
}
