import TestSupport
import Testing

/// A step cannot change what is obeyed outside of its ring.
@Suite struct SagaProtectionTests {
  private static let attack = """
    for f in plan.yaml undo.sh deep/undo.sh; do
      (echo echo taken > $f) 2>/dev/null && echo wrote $f >> log
      cp other x && mv -f x $f 2>/dev/null && echo replaced $f >> log
      rm -f $f 2>/dev/null && echo removed $f >> log
    done
    mv deep away 2>/dev/null && echo moved >> log
    echo free > other; echo free > deep/other; echo free >> log; exit 1
    """

  private func site(_ starter: Starter, _ mode: String) -> SagaSite {
    let site = SagaSite(starter)
    _ = site.makeDirectories([site.scratch.path + "/deep"])
    for name in ["undo.sh", "deep/undo.sh"] {
      site.scratch.write(name, "#!/bin/sh\necho undone by $0 >> log\n", mode: 0o755)
    }
    site.scratch.write("other", "")
    site.scratch.write("attack.sh", Self.attack)
    _ = Command.shell("chown -R --reference=. .", in: site.scratch.path).run()
    site.plan(
      """
      steps:
      - {id: a, kind: compensatable, run: [/bin/true], compensate: {run: [./undo.sh], fs: {mode: rw}}}
      - {id: b, kind: compensatable, needs: [a], run: [/bin/true], compensate: {run: [deep/undo.sh], fs: {mode: rw}}}
      - {id: c, kind: compensatable, needs: [b], fs: {mode: \(mode)}, run: [/bin/sh, attack.sh], compensate: {run: [/bin/true]}}
      """)
    return site
  }

  @Test(arguments: Starter.all) func whatUndoes(_ starter: Starter) {
    let site = site(starter, "rw")
    let plan = site.scratch.read("plan.yaml")
    let run = site.agt(["run", "plan.yaml"])
    #expect(run.status == 1, "\(run.summary)")
    #expect(
      site.scratch.read("log") == "free\nundone by deep/undo.sh\nundone by ./undo.sh\n",
      "\(site.scratch.read("log") ?? "") \(run.summary)")
    #expect(site.scratch.read("plan.yaml") == plan && site.scratch.read("other") == "free\n")
  }

  /// No later step is shown what an earlier one has put a link to.
  @Test(arguments: Starter.all) func links(_ starter: Starter) {
    let site = SagaSite(starter)
    let other = site.scratch.home + "/other"
    #expect(site.makeDirectories([other]))
    _ = Command(["/bin/chmod", "777", other]).run()
    site.plan(
      """
      steps:
      - {id: a, kind: readonly, fs: {mode: rw}, run: [/bin/ln, -s, \(other), build]}
      - {id: b, kind: readonly, needs: [a], fs: {write: [build]}, run: [/usr/bin/touch, build/planted]}
      """)
    let run = site.agt(["run", "plan.yaml"])
    #expect(run.status == 1, "\(run.summary)")
    #expect(run.out.contains("--write build: "), "\(run.summary)")
    #expect(run.out.contains("/build is a link that"), "\(run.summary)")
    #expect(Command(["/bin/ls", other]).run().out.isEmpty, "\(run.summary)")
  }

  /// The control: what no step's undoing names is a file like others.
  @Test func others() {
    let site = site(.ordinary, "rw")
    site.plan("steps:\n- {id: c, kind: readonly, run: [/bin/sh, attack.sh]}\n")
    let run = site.agt(["run", "plan.yaml"])
    #expect(run.status == 1, "\(run.summary)")
    let log = site.scratch.read("log") ?? ""
    #expect(log.contains("wrote undo.sh\n") && log.contains("removed deep/undo.sh\n"), "\(log)")
    #expect(!log.contains("plan.yaml"), "\(log)")
  }

  /// In a transaction the top of the workspace is protected, and it is discarded when the step fails.
  @Test func transactions() {
    let site = site(.ordinary, "transaction")
    let run = site.agt(["run", "plan.yaml"])
    #expect(run.status == 1, "\(run.summary)")
    #expect(site.scratch.read("log") == "undone by deep/undo.sh\nundone by ./undo.sh\n")
  }
}
