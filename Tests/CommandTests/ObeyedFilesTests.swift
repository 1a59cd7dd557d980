import TestSupport
import Testing

/// The profile, policies and tools of a run decide what its later runs may do, so that its program cannot change
/// them, also where they lie in what it may write: who could would be in ring 0 the next time.
@Suite struct ObeyedFilesTests {
  private static let profile = """
    apiVersion: agt-run/v1
    kind: RingProfile
    metadata: {name: mine, description: as ring 2}
    extends: ring2

    """
  private static let policy = """
    apiVersion: agt-run/v1
    kind: Policy
    metadata: {name: mine}
    extends: [./base.yaml]
    rules:
      - {id: reads, when: tool == 'read', then: allow}

    """
  private static let base = """
    apiVersion: agt-run/v1
    kind: Policy
    metadata: {name: base}
    rules:
      - {id: drops, when: tool == 'drop', then: deny}

    """
  private static let tool = """
    apiVersion: agt-run/v1
    kind: Tool
    metadata: {name: sh, description: a shell}
    ring: 3
    command: [sh, -c, "true"]

    """

  private func site() -> Scratch {
    let scratch = Scratch()
    _ = Command.shell("mkdir -p rules/more tools", in: scratch.path).run()
    scratch.write("profile.yaml", Self.profile)
    scratch.write("rules/more/policy.yaml", Self.policy)
    scratch.write("rules/more/base.yaml", Self.base)
    scratch.write("tools/sh.yaml", Self.tool)
    return scratch
  }

  private static let options = [
    "--profile", "profile.yaml", "--policy", "rules/more/policy.yaml", "--tools", "tools",
  ]

  /// Nor its own commands, which are executed outside of the ring: the stage of a tool, what undoes a saga.
  @Test(arguments: Starter.all) func ownCommands(_ starter: Starter) {
    let scratch = Scratch()
    // Makes it the starter's.
    _ = Command.agtRun([], as: starter, in: scratch)
    _ = Command.shell(
      "mkdir bin && cp $1 $2 $(dirname $2)/agt-stage bin/ && chown -R --reference=. bin",
      [Binaries.agt, Binaries.agtRun], in: scratch.path
    ).run()
    let attack = """
      for f in agt agt-run agt-stage; do
        (echo x > bin/$f) 2>/dev/null && echo wrote $f
        cp /bin/true other && mv -f other bin/$f 2>/dev/null && echo replaced $f
        rm -f bin/$f 2>/dev/null && echo removed $f
      done
      mv bin elsewhere 2>/dev/null && echo moved
      echo tried
      """
    func run(_ program: String) -> Completed {
      Command(
        starter.prefix + [program, "--ring", "2", "--", "sh", "-c", attack], in: scratch.path
      ).run()
    }
    let own = run(scratch.path + "/bin/agt-run")
    #expect(own.out == "tried\n", "\(own.summary)")
    // Of another agt-run they are files like all.
    let other = run(Binaries.agtRun)
    #expect(other.out.contains("wrote agt-stage"), "\(other.summary)")
  }

  /// Every way to another content: written, replaced, removed, its directory moved away, one more tool.
  private static let attack = """
    for f in profile.yaml rules/more/policy.yaml rules/more/base.yaml tools/sh.yaml; do
      (echo '# changed' >> $f) 2>/dev/null && echo wrote $f
      cp $f other && mv -f other $f 2>/dev/null && echo replaced $f
      rm -f $f 2>/dev/null && echo removed $f
    done
    for d in rules/more rules tools; do mv $d gone 2>/dev/null && mv gone $d && echo moved $d; done
    (echo > tools/another.yaml) 2>/dev/null && echo added
    echo free > rules/more/notes && echo free > rules/notes && echo free > notes && echo done
    """

  @Test(arguments: Starter.all) func stayWhatTheyAre(_ starter: Starter) {
    let scratch = site()
    let run = Command.agtRun(
      ["--quiet"] + Self.options + ["--", "sh", "-c", Self.attack], as: starter, in: scratch
    ).run()
    #expect(run.out == "done\n", "\(run.summary)")
    // The control: where they are not obeyed, they are files like others.
    let free = Command.agtRun(
      ["--quiet", "--ring", "2", "--", "sh", "-c", Self.attack], as: starter, in: scratch
    ).run()
    #expect(free.out.hasPrefix("wrote profile.yaml\nreplaced"), "\(free.summary)")
    #expect(free.out.hasSuffix("moved tools\nadded\ndone\n"), "\(free.summary)")
  }

  @Test func linksAreRefused() {
    let scratch = site()
    _ = Command.shell("ln -s rules/more/base.yaml link.yaml", in: scratch.path).run()
    let run = Command.agtRun(
      ["--ring", "2", "--policy", "link.yaml", "--", "true"], in: scratch
    ).run()
    #expect(run.status == 126)
    #expect(
      run.err.hasPrefix(
        "agt-run: link.yaml decides what runs may do, and the program could change it: "
          + "\(scratch.path)/link.yaml is a link that it could change\n  hint: "), "\(run.err)")
    // Ring 3 changes nothing there.
    let reading = Command.agtRun(
      ["--quiet", "--ring", "3", "--policy", "link.yaml", "--", "true"], in: scratch
    ).run()
    #expect(reading.status == 0, "\(reading.summary)")
  }

  @Test func theWholeWorkspaceIsNoFolderOfPolicies() {
    let scratch = Scratch()
    scratch.write("base.yaml", Self.base)
    let run = Command.agtRun(["--ring", "2", "--policy", ".", "--", "true"], in: scratch).run()
    #expect(run.status == 126)
    #expect(run.err.contains("it is all that the program may write"), "\(run.err)")
  }

  @Test func inATransaction() {
    let scratch = site()
    scratch.write("base.yaml", Self.base)
    let nested = Command.agtRun(
      ["--ring", "2", "--txn=discard", "--policy", "rules/more/policy.yaml", "--", "true"],
      in: scratch
    ).run()
    #expect(nested.status == 126)
    #expect(
      nested.err.contains("with --txn the program could replace the directory"), "\(nested.err)")
    let script =
      "echo x >> base.yaml; mv base.yaml other; rm -f base.yaml; echo y > notes; tail -1 base.yaml"
    let run = Command.agtRun(
      [
        "--quiet", "--ring", "2", "--txn=commit-on-success", "--policy", "base.yaml", "--", "sh",
        "-c", script,
      ],
      in: scratch
    ).run()
    #expect(run.status == 0, "\(run.summary)")
    #expect(scratch.read("base.yaml") == Self.base)
    #expect(scratch.read("notes") == "y\n", "\(run.summary)")
  }
}
