import Glibc
import JSON
import TestSupport
import Testing

/// Sagas through the built commands, as root and as an ordinary user.
@Suite struct SagaRunTests {
  private static let failing = """
    - {id: bad, kind: readonly, needs: [b], run: [/bin/sh, -c, "exit 3"]}
    """

  @Test(arguments: Starter.all) func completes(_ starter: Starter) throws {
    let site = SagaSite(starter)
    site.plan("steps:\n" + SagaSite.step("a") + SagaSite.step("b", needs: ["a"]))
    let run = site.agt(["run", "plan.yaml"])
    #expect(run.status == 0, "\(run.summary)")
    #expect(site.scratch.read("log") == "begin a\nend a\nbegin b\nend b\n")
    let id = try #require(site.identifier(run))
    #expect(run.out.hasSuffix("b: running\nb: succeeded\nsaga \(id) completed\n"))
    #expect(try site.show(id)["phase"] == "completed")
    #expect(site.agt(["resume", id]).status == 0)
    #expect(site.agt(["cancel", id]).status == 2)
    #expect(site.agt(["list"]).out.contains("\(id)  completed"))
    #expect(site.agt(["gc", "--older-than", "0"]).out.contains("\(id) completed"))
    #expect(!File.exists(site.directory(id)))
  }

  @Test(arguments: Starter.all) func undoes(_ starter: Starter) throws {
    let site = SagaSite(starter)
    site.plan("steps:\n" + SagaSite.step("a") + SagaSite.step("b", needs: ["a"]) + Self.failing)
    let run = site.agt(["run", "plan.yaml"])
    #expect(run.status == 1, "\(run.summary)")
    #expect(
      site.scratch.read("log") == "begin a\nend a\nbegin b\nend b\nundo b\nundo a\n")
    #expect(!File.exists(site.scratch.path + "/a"))
    #expect(run.out.hasSuffix(" compensated: bad: exit status 3\n"))
  }

  @Test(arguments: Starter.all) func environmentAndOutputs(_ starter: Starter) throws {
    let site = SagaSite(starter)
    site.plan(
      """
      steps:
      - id: a
        kind: readonly
        run: [/bin/sh, -c, "env | grep -E '^(AGT_[AIS]|TRACE|OWN)'; mkdir out; printf 'x y\\n' > out/v"]
        env: {OWN: "${params.p}"}
        outputs: {env: {from: stdout}, v: {from: file, path: out/v}}
      - {id: b, kind: readonly, needs: [a], run: [/bin/sh, -c, 'printf "%s|%s" "$1" "$2"', sh, "${steps.a.outputs.v}", "${steps.a.outputs.env}"], outputs: {all: {from: stdout}}}
      """, head: "params: {p: {type: string, default: 'a  b'}}")
    var command = site.command(["run", "plan.yaml", "--param", "p=c  'd"])
    command.environment.append(
      "TRACEPARENT=00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    let run = command.run()
    let id = try #require(site.identifier(run))
    #expect(run.status == 0, "\(run.summary)")
    let output = try #require(File.read(site.directory(id) + "/runs/b.run.1.out"))
    for text in [
      "x y|", "AGT_SAGA_ID=\(id)\n", "AGT_STEP_ID=a", "AGT_ATTEMPT=1\n",
      "AGT_IDEMPOTENCY_KEY=\(id)/a", "OWN=c  'd",
      "TRACEPARENT=00-0af7651916cd43dd8448eb211c80319c-",
    ] {
      #expect(output.contains(text), "\(text): \(output)")
    }
    // What is warned of is said, and is no error.
    #expect(run.err.contains("[dead-output]"))
  }

  /// An output that a step puts a link in place of is not followed.
  @Test func outputsFollowNoLinks() throws {
    let site = SagaSite(.native)
    site.plan(
      """
      steps:
      - {id: a, kind: readonly, run: [/bin/ln, -s, /etc/passwd, v], outputs: {v: {from: file, path: v}}}
      - {id: b, kind: readonly, needs: [a], run: [/bin/echo, "${steps.a.outputs.v}"]}
      """)
    let run = site.agt(["run", "plan.yaml"])
    #expect(run.status == 1)
    #expect(run.out.contains("(ELOOP)"), "\(run.out)")
  }

  @Test(arguments: Starter.all) func violationTurnsItRound(_ starter: Starter) throws {
    let site = SagaSite(starter)
    site.plan(
      "steps:\n" + SagaSite.step("a")
        + SagaSite.step("b", needs: ["a"], script: "mount -t tmpfs x /tmp; sleep 30"))
    let run = site.agt(["run", "plan.yaml"])
    #expect(run.status == 1, "\(run.summary)")
    #expect(run.out.contains("b: forbidden call"))
    #expect(run.seconds < 10)
    #expect(site.scratch.read("log") == "begin a\nend a\nbegin b\nundo b\nundo a\n")
  }

  /// The kill switch ends a step as it ends any run: its tree is gone, which is confirmed, its transaction is
  /// discarded, and the saga is undone. An approval, a later attempt, nothing brings it back.
  @Test(arguments: Starter.all) func killedByAnOperator(_ starter: Starter) throws {
    let site = SagaSite(starter)
    let word = "killed-\(UInt32.random(in: 0 ... .max))"
    site.plan(
      """
      steps:
      - {id: a, kind: compensatable, run: [/bin/sh, -c, "touch a"], compensate: {run: [/bin/sh, -c, "rm a; echo undo a >> log"]}}
      - id: b
        kind: compensatable
        needs: [a]
        fs: {mode: transaction}
        retry: {maxAttempts: 3, initial: 50ms}
        idempotency: {key: "${saga.id}/b"}
        run: [/bin/sh, -c, ": \(word); touch b; setsid sh -c 'trap : TERM; while :; do sleep 9; done' & echo ready; wait"]
        compensate: {run: [/bin/sh, -c, "echo undo b >> log"], fs: {mode: rw}}
      """)
    let running = site.command(["run", "plan.yaml"]).start()
    #expect(running.waitForOutput("b: running", seconds: 20))
    let id = try #require(site.identifier(String(decoding: running.output, as: UTF8.self)))
    let step = site.directory(id) + "/runs/b.run.1"
    #expect(Clock.eventually(20) { File.read(step + ".out") == "ready\n" })
    let listed = try JSONParser.parse(site.program("agt", ["ps", "--json"]).run().output)
    let entry = listed.arrayValue?.first { $0["command"]?.stringValue?.contains(word) == true }
    let name = try #require(entry?["run"]?.stringValue, "\(listed)")
    let kill = site.program("agt", ["kill", name]).run()
    #expect(kill.status == 0, "\(kill.summary)")
    let run = running.wait()
    #expect(run.status == 1, "\(run.summary)")
    #expect(run.out.contains("b: killed"), "\(run.summary)")
    #expect(!run.out.contains("b: running, attempt 2"), "\(run.summary)")
    #expect(site.scratch.read("log") == "undo b\nundo a\n", "\(run.summary)")
    #expect(!File.exists(site.scratch.path + "/a") && !File.exists(site.scratch.path + "/b"))
    let left = try JSONParser.parse(site.program("agt", ["txn", "list", "--json"]).run().output)
    #expect(
      left.arrayValue?.isEmpty ?? (left["transactions"]?.arrayValue?.isEmpty) ?? false, "\(left)")
  }

  /// In a transaction the files are as before, without any compensation that knows of them.
  @Test(arguments: Starter.all) func transactions(_ starter: Starter) throws {
    let site = SagaSite(starter)
    site.plan(
      """
      steps:
      - {id: a, kind: readonly, fs: {mode: transaction}, run: [/bin/sh, -c, "echo 1 > kept"]}
      - {id: b, kind: readonly, needs: [a], fs: {mode: transaction}, run: [/bin/sh, -c, "echo 2 > kept; echo 3 > lost; exit 1"]}
      """)
    let run = site.agt(["run", "plan.yaml"])
    #expect(run.status == 1, "\(run.summary)")
    #expect(site.scratch.read("kept") == "1\n")
    #expect(site.scratch.read("lost") == nil)
  }

  /// Why nothing was committed is said.
  @Test func refusedCommit() throws {
    let site = SagaSite(.native)
    site.plan(
      """
      steps:
      - {id: a, kind: readonly, fs: {mode: transaction}, run: [/bin/sh, -c, "mkdir -p .git/hooks; touch .git/hooks/pre-commit; chmod +x .git/hooks/pre-commit"]}
      """)
    let run = site.agt(["run", "plan.yaml"])
    #expect(run.status == 1, "\(run.summary)")
    #expect(run.out.contains("a: exit status 125: "), "\(run.out)")
    #expect(run.out.contains("files that would be executed"), "\(run.out)")
  }

  @Test func timeouts() throws {
    let site = SagaSite(.native)
    site.plan(
      """
      steps:
      - {id: polite, kind: readonly, timeout: {run: 300ms, grace: 5s}, run: [/bin/sh, -c, "trap 'echo asked > asked; exit 0' TERM; sleep 30 & wait"]}
      - {id: stubborn, kind: readonly, timeout: {run: 300ms, grace: 300ms}, run: [/bin/sh, -c, "trap '' TERM; while :; do sleep 1; done"]}
      """, head: "onFailure: halt")
    let run = site.agt(["run", "plan.yaml"])
    #expect(run.status == 4, "\(run.summary)")
    #expect(run.seconds < 5)
    #expect(site.scratch.read("asked") == "asked\n")
    #expect(run.out.contains("stubborn: out of time"))
    #expect(run.out.contains("polite: succeeded"))
  }

  @Test func stuckAndResolved() throws {
    let site = SagaSite(.native)
    let steps = """
      steps:
      - {id: a, kind: compensatable, run: [/bin/true], compensate: {run: [/bin/sh, -c, "test -e mended"], retry: {maxAttempts: 2, initial: 10ms}}}
      - {id: b, kind: readonly, needs: [a], run: [/bin/false]}
      """
    site.plan(steps)
    let run = site.agt(["run", "plan.yaml"])
    let id = try #require(site.identifier(run))
    #expect(run.status == 3, "\(run.summary)")
    #expect(run.out.contains("agt saga resolve \(id) a --outcome happened|not"))
    #expect(try site.status(id, "a") == "compensation-failed")
    #expect(site.agt(["gc", "--older-than", "0"]).out.contains(id) == false)
    #expect(site.agt(["resolve", id, "b", "--outcome", "not", "--evidence", "x"]).status == 2)
    site.scratch.write("mended", "")
    let again = site.agt(["resolve", id, "a", "--outcome", "happened", "--evidence", "looked"])
    #expect(again.status == 1, "\(again.summary)")
    #expect(try site.show(id)["phase"] == "compensated")
  }

  /// The pivot's outcome is lost and nobody can tell: nothing is undone and nothing goes on.
  @Test func lostPivot() throws {
    let site = SagaSite(.native)
    site.plan(
      "steps:\n" + SagaSite.step("a") + """
        - {id: p, kind: pivot, needs: [a], run: [/bin/sh, -c, "touch ready; kill -9 $$"]}
        - {id: r, kind: retriable, needs: [p], run: [/bin/touch, told], idempotency: {key: "${saga.id}/r"}}
        """)
    let run = site.agt(["run", "plan.yaml"])
    let id = try #require(site.identifier(run))
    #expect(run.status == 3, "\(run.summary)")
    #expect(File.exists(site.scratch.path + "/a"))
    let done = site.agt(["resolve", id, "p", "--outcome", "happened", "--evidence", "seen"])
    #expect(done.status == 0, "\(done.summary)")
    #expect(File.exists(site.scratch.path + "/told"))
  }

  @Test(arguments: Starter.all) func cancelled(_ starter: Starter) throws {
    let site = SagaSite(starter)
    site.plan(
      "steps:\n" + SagaSite.step("a") + SagaSite.step("b", needs: ["a"], script: "sleep 30"))
    let running = site.command(["run", "plan.yaml"]).start()
    #expect(Clock.eventually(10) { site.scratch.read("log")?.hasSuffix("begin b\n") ?? false })
    #expect(running.waitForOutput("b: running"))
    let id = try #require(site.identifier(String(decoding: running.output, as: UTF8.self)))
    #expect(site.agt(["resume", id]).status == 2)
    #expect(site.agt(["cancel", id, "--reason", "changed my mind"]).status == 0)
    let run = running.wait()
    #expect(run.status == 5, "\(run.summary)")
    #expect(run.out.contains("changed my mind"))
    #expect(site.scratch.read("log") == "begin a\nend a\nbegin b\nundo b\nundo a\n")
  }

  @Test(arguments: Starter.all) func cancelsWhatIsHalted(_ starter: Starter) throws {
    let site = SagaSite(starter)
    site.plan(
      "steps:\n" + SagaSite.step("a") + SagaSite.step("b", needs: ["a"]) + Self.failing,
      head: "onFailure: halt")
    let run = site.agt(["run", "plan.yaml"])
    #expect(run.status == 4, "\(run.summary)")
    let id = try #require(site.identifier(run))
    let cancelled = site.agt(["cancel", id, "--reason", "no use"])
    #expect(cancelled.status == 5, "\(cancelled.summary)")
    #expect(site.scratch.read("log") == "begin a\nend a\nbegin b\nend b\nundo b\nundo a\n")
  }

  /// Who was told that a saga will be undone is obeyed, although the runner died before it looked.
  @Test(arguments: Starter.all) func cancellationOutlivesTheRunner(_ starter: Starter) throws {
    let site = SagaSite(starter)
    site.plan(
      "steps:\n" + SagaSite.step("a", script: "sleep 1") + SagaSite.step("b", needs: ["a"]))
    let running = site.command(["run", "plan.yaml"]).start()
    #expect(Clock.eventually(10) { site.scratch.read("log") == "begin a\n" })
    #expect(running.waitForOutput("a: running"))
    let id = try #require(site.identifier(String(decoding: running.output, as: UTF8.self)))
    let pid = try #require(
      File.read(site.directory(id) + "/lock").flatMap { Int32($0.dropLast()) })
    kill(pid, SIGSTOP)
    #expect(site.agt(["cancel", id, "--reason", "no use"]).status == 0)
    kill(pid, SIGKILL)
    _ = running.wait()
    let resumed = site.agt(["resume", id])
    #expect(resumed.status == 5, "\(resumed.summary)")
    #expect(resumed.out.contains("no use"))
    #expect(site.scratch.read("log")?.hasSuffix("undo a\n") == true)
    #expect(!File.exists(site.scratch.path + "/b"))
  }

  /// One of two steps cannot be started; the other, which was to start with it, is ended at once.
  @Test func failedStart() throws {
    let site = SagaSite(.native)
    let words = Array(repeating: "\"${params.p}\"", count: 8).joined(separator: ", ")
    site.plan(
      """
      steps:
      - {id: a, kind: readonly, run: [/bin/echo, \(words)]}
      - {id: b, kind: readonly, run: [/bin/sleep, "15"]}
      """, head: "params: {p: {type: string}}")
    // The arguments may have a quarter of the stack (execve(2)).
    let run = site.agt(
      ["run", "plan.yaml", "--param", "p=\(String(repeating: "x", count: 60_000))"],
      before: ["/usr/bin/prlimit", "--stack=1600000"])
    #expect(run.status == 1, "\(run.summary)")
    #expect(run.out.contains("a: not started: posix_spawn"), "\(run.out)")
    #expect(run.seconds < 10)
  }

  @Test func fanOutGoesOnWithoutOne() throws {
    let site = SagaSite(.native)
    site.plan(
      "steps:\n" + SagaSite.step("a") + SagaSite.step("b", script: "exit 1") + SagaSite.step("c")
        + SagaSite.step("d", needs: ["a", "b", "c"])
        + "fanOut: [{steps: [a, b, c], policy: majority}]")
    let run = site.agt(["run", "plan.yaml"])
    #expect(run.status == 0, "\(run.summary)")
    // What the one that failed has left is undone.
    #expect(!File.exists(site.scratch.path + "/b"))
    #expect(File.exists(site.scratch.path + "/d"))
  }

  @Test func refusals() {
    let site = SagaSite(.native)
    site.plan("steps: [{id: a, kind: compensatable, run: [x]}]")
    let run = site.agt(["run", "plan.yaml"])
    #expect(run.status == 2)
    #expect(run.err.hasPrefix("plan.yaml:6:14: error: a is compensatable and has no compensation"))
    #expect(site.agt(["lint", "plan.yaml"]).status == 1)
    #expect(site.agt(["lint", "missing.yaml"]).status == 2)
    #expect(site.agt(["resume", "01ZZZZZZZZZZZZZZZZZZZZZZZZ"]).status == 2)
    // What agt-run would refuse is refused before anything begins.
    site.plan(
      """
      steps:
      - {id: a, kind: readonly, run: [/bin/true]}
      - {id: b, kind: readonly, needs: [a], net: ["a.example:1", b.example], run: [/bin/true]}
      """)
    let host = site.agt(["run", "plan.yaml"])
    #expect(host.status == 2 && host.out == "")
    #expect(
      host.err.contains(
        "plan.yaml:8:60: error: a host and a port are needed; b.example:443 [bad-host]"),
      "\(host.err)")
    site.plan("steps: [{id: a, kind: readonly, run: [/no/such/program]}]")
    let missing = site.agt(["run", "plan.yaml"])
    #expect(missing.status == 1)
    #expect(missing.out.contains("not started: "), "\(missing.out)")
  }

  /// A directory whose name ends as a mode does is that directory.
  @Test(arguments: ["{}", "{mode: transaction}", "{mode: rw}"], ["w:ro", "w:txn"])
  func workspaceName(_ fs: String, _ name: String) {
    let site = SagaSite(.native)
    site.plan("steps: [{id: a, kind: readonly, fs: \(fs), run: [/bin/touch, here]}]")
    #expect(site.makeDirectories(["w", name]))
    let run = site.agt(["run", "plan.yaml", "--workspace", name])
    #expect(run.status == 0, "\(run.summary)")
    #expect(File.exists(site.scratch.path + "/\(name)/here"))
  }

  /// What another user puts among the answers keeps root from removing no other saga.
  @Test(.enabled(if: Starter.isRoot, "another user is needed")) func foreignDirectory() {
    let site = SagaSite(.root)
    site.plan("steps: [{id: a, kind: readonly, run: [/bin/true]}]")
    // A machine with no other sagas.
    let script = """
      mkdir -p /var/lib/agt; mount -t tmpfs none /var/lib/agt; cd \(site.scratch.path)
      for i in 1 2 3; do "$@" run plan.yaml -q || exit 9; done
      set -- $(ls /var/lib/agt/saga) "$@"
      first=$1 second=$2; shift 3
      as="setpriv --reuid=1 --regid=1 --clear-groups"
      cd /var/lib/agt/saga
      $as mkdir $first/approvals/x $second/approvals/empty
      $as ln -s /etc $first/approvals/x/etc
      "$@" gc --older-than 0 2>&1; echo "status $?"
      ls -A; ls .new-$first .new-$first/approvals
      "$@" gc --older-than 0; echo "status $?"
      touch -d '1 hour ago' .new-$first
      "$@" gc --older-than 0; echo "status $?"
      rm -r .new-$first/approvals/x/etc; touch -d '1 hour ago' .new-$first
      "$@" gc --older-than 0; echo "status $?"; ls -A
      """
    let run = site.agt([], before: ["/usr/bin/unshare", "-m", "/bin/sh", "-c", script, "sh"])
    #expect(
      run.out.split(separator: "\n").count { $0.hasSuffix(" completed") } == 2, "\(run.summary)")
    #expect(
      run.out.contains("(ENOTEMPTY)\n  hint: look at it, then: rm -r /var/lib/agt/saga/.new-"))
    #expect(
      run.out.hasSuffix("approvals:\nx\nstatus 0\nstatus 125\nstatus 0\n") && run.status == 0,
      "\(run.summary)")
    #expect(File.exists("/etc/passwd"))
  }

  @Test func longAgo() {
    let site = SagaSite(.native)
    site.plan("steps: [{id: a, kind: readonly, run: [/bin/true]}]")
    _ = site.agt(["run", "plan.yaml"])
    #expect(site.agt(["gc", "--older-than", "18446744073709551615ms"]).status == 0)
  }

  @Test func events() throws {
    let site = SagaSite(.native)
    site.plan("steps:\n" + SagaSite.step("a"))
    let run = site.agt(["run", "plan.yaml", "--json"])
    let lines = try run.out.split(separator: "\n").map { try JSONParser.parse(Array($0.utf8)) }
    let kinds = lines.compactMap { $0["kind"]?.stringValue }
    #expect(
      kinds == [
        "saga.begin", "saga.runner", "saga.step.started", "saga.step.ended", "saga.phase",
        "saga.end",
      ])
    let id = try #require(lines[0]["saga"]?.stringValue)
    #expect(lines.allSatisfy { $0["saga"]?.stringValue == id })
    #expect(lines.last?["phase"] == "completed")
  }

  @Test func terminal() {
    let site = SagaSite(.native)
    site.plan("steps:\n" + SagaSite.step("a") + SagaSite.step("b", needs: ["a"]))
    let terminal = PseudoTerminal(site.command(["run", "plan.yaml"]))
    #expect(terminal.waitForEnd() == 0)
    #expect(terminal.screen.contains("b  running"))
    #expect(terminal.screen.contains("a  succeeded"))
    #expect(terminal.screen.contains("\u{1B}[2A\u{1B}[J"))
  }

  /// A terminal without a size, as one over a serial line is, gets lines.
  @Test(arguments: [(0, 0), (1, 1), (80, 0)]) func tinyTerminal(_ columns: Int, _ rows: Int) {
    let site = SagaSite(.native)
    site.plan("steps:\n" + SagaSite.step("a"))
    let terminal = PseudoTerminal(
      site.command(["run", "plan.yaml"]), rows: UInt16(rows), columns: UInt16(columns))
    #expect(terminal.waitForEnd() == 0)
    #expect(terminal.screen.contains("a: succeeded"), "\(terminal.screen)")
  }
}
