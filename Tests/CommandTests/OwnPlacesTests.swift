import TestSupport
import Testing

/// What agt-run keeps for later runs is out of every agent's reach, whatever the agent is shown: who could
/// change a compiled profile would turn the next ring 3 into ring 0.
@Suite struct OwnPlacesTests {
  private struct Site {
    let scratch = Scratch()

    func run(_ words: [String], _ script: String) -> Completed {
      Command.agtRun(words + ["--", "sh", "-c", script], as: .ordinary, in: scratch).run()
    }

    /// The home as workspace, and a file of it that ring 3 does not show otherwise.
    init() {
      _ = Command.shell(
        "mkdir -p $1/.vim && echo secret > $1/secret && mkdir $1/work", [scratch.home]
      ).run()
    }
  }

  /// Overwrites each compiled profile with the smallest, that of ring 0.
  private static let attack = """
    cd .cache/agt && small=$(ls -S *.profile | tail -1) && for f in *.profile; do
      [ $f = $small ] || cat $small > $f
    done
    """

  @Test func compiledProfilesStayWhatTheyAre() {
    let site = Site()
    let home = site.scratch.home
    let look = ["--workspace", home + "/work", "--ring", "3"]
    // Fills the cache.
    #expect(site.run(["--ring", "0"], "true").status == 0)
    #expect(site.run(look, "cat \(home)/secret").out == "")
    let attacked = site.run(["--ring", "2", "--workspace", home], Self.attack)
    #expect(attacked.status != 0, "\(attacked.summary)")
    #expect(site.run(look, "cat \(home)/secret").out == "")
    // The control: from outside of every ring the same attack succeeds.
    var outside = Command(Starter.ordinary.prefix + ["/bin/sh", "-c", Self.attack], in: home)
    outside.environment[1] = "HOME=\(home)"
    let done = outside.run()
    #expect(done.status == 0, "\(done.summary)")
    #expect(site.run(look, "cat \(home)/secret").out == "secret\n")
  }

  /// Profiles that are changed all the time do not fill the disk.
  @Test func oldCompiledProfilesGo() {
    let site = Site()
    #expect(site.run(["--ring", "3"], "true").status == 0)
    let cache = site.scratch.home + "/.cache/agt"
    let fill = Command(
      Starter.ordinary.prefix + [
        "/bin/sh", "-c",
        """
        cd '\(cache)' && for i in $(seq 200); do touch -d @$i $(printf %064d $i).profile; done
        touch -d @1 mine mine.profile $(printf %064d 1).profile.yaml; ls | wc -l
        """,
      ]
    ).run()
    #expect(fill.out == "204\n", "\(fill.err)")
    // Nothing new is written, so nothing goes.
    #expect(site.run(["--ring", "3"], "true").status == 0)
    #expect(Command(["/bin/ls", cache]).run().out.split(separator: "\n").count == 204)
    #expect(site.run(["--ring", "2"], "true").status == 0)
    let left = Set(Command(["/bin/ls", cache]).run().out.split(separator: "\n"))
    #expect(left.count == 64 + 3)
    let zeros = String(repeating: "0", count: 61)
    #expect(left.contains("\(zeros)200.profile") && left.contains("\(zeros)139.profile"))
    #expect(!left.contains("\(zeros)138.profile"))
    #expect(left.contains("mine") && left.contains("mine.profile"))
    #expect(left.contains("\(zeros)001.profile.yaml"))
  }

  /// Where a hidden place is a link, what it leads to is hidden (stow and its like put links there).
  @Test(
    .enabled(if: Starter.isRoot, "a home outside of /tmp takes a mount of its own"),
    arguments: ["1", "0"])
  func whatAHiddenLinkLeadsTo(_ ring: String) {
    let scratch = Scratch()
    let script = """
      mount -t tmpfs -o mode=755 none /mnt && mkdir -p /mnt/dot/ssh && cd /mnt || exit 99
      echo secret-a >dot/ssh/id; echo secret-b >dot/netrc; ln -s dot/ssh .ssh; ln -s dot/netrc .netrc
      chmod -R a+rX /mnt; export HOME=/mnt
      exec \(Binaries.agtRun) --quiet --ring \(ring) --workspace \(scratch.path) -- \
        /bin/sh -c 'cat /mnt/dot/ssh/id; cat /mnt/dot/netrc; cat /mnt/.netrc; echo end'
      """
    let run = Command(["/usr/bin/unshare", "-m", "/bin/sh", "-c", script], in: scratch.path).run()
    // Ring 0 is the twin.
    let all = ring == "0" ? "secret-a\nsecret-b\nsecret-b\n" : ""
    #expect(run.out == all + "end\n", "\(run.summary)")
  }

  /// A hidden place stays hidden inside of what is shared, by whatever name, and cannot be moved from under its cover.
  /// Ring 0 is the twin.
  @Test(arguments: ["1", "0"], ["", "--write"])
  func whatIsHiddenInsideAShare(_ ring: String, _ how: String) {
    let site = Site()
    let home = site.scratch.home
    let make = """
      cd $1 && mkdir -p .ssh .config/gh keys .cargo && echo secret-a >.ssh/id \
        && echo secret-b >.config/gh/hosts.yml && echo secret-c >keys/docker \
        && echo secret-d >.cargo/credentials && ln -s keys .docker && ln -s .ssh other
      """
    #expect(Command.shell(make, [home]).run().status == 0)
    let words =
      how == "--write"
      ? ["--workspace", home + "/work", how, home]
      : ["--workspace", home]
    let script = """
      cd \(home); mv .ssh x; rmdir .ssh; mv .config y; mv keys z; mv .cargo moved && echo moved
      cat .ssh/id other/id x/id .config/gh/hosts.yml y/gh/hosts.yml keys/docker z/docker
      cat .docker/docker moved/credentials .cargo/credentials
      echo seen >free; cat free secret
      """
    let run = site.run(["--ring", ring] + words, script)
    let found = Set(run.out.split(separator: "\n"))
    let expected: Set<Substring> = ["seen", "secret", "moved"]
    #expect(
      found
        == (ring == "0"
          ? expected.union(["secret-a", "secret-b", "secret-c", "secret-d"]) : expected),
      "\(run.summary)")
  }

  @Test(arguments: ["1", "2"]) func theyCannotBeMovedAway(_ ring: String) {
    let site = Site()
    let home = site.scratch.home
    let script = """
      cd \(home); ls .cache/agt .local/state/agt
      for d in .cache .local .local/state .cache/agt .local/state/agt; do mv $d moved-$$ && echo $d; done
      rmdir .cache/agt .local/state/agt && echo removed
      touch .cache/agt/x .local/state/agt/x && echo written
      mv .vim .other && mkdir .cache/mine && touch .cache/mine/f && mv .cache/mine . && echo free
      """
    let run = site.run(["--ring", ring, "--workspace", home], script)
    #expect(run.out == ".cache/agt:\n\n.local/state/agt:\nfree\n", "\(run.summary)")
  }

  @Test func aWorkspaceInsideThemIsRefused() {
    let site = Site()
    #expect(site.run(["--ring", "3"], "true").status == 0)
    let run = site.run(["--workspace", site.scratch.home + "/.cache/agt"], "true")
    #expect(run.status == 126)
    #expect(
      run.err == "agt-run: \(site.scratch.home)/.cache/agt as workspace: it belongs to agt-run "
        + "itself\n  hint: name another directory: --workspace DIR\n")
  }
}
