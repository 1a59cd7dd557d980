import Glibc
import JSON
import TestSupport
import Testing

/// People who agree: different users of a group, and to exactly what is then executed.
@Suite struct SagaApprovalTests {
  @Test(.enabled(if: Starter.isRoot, "other users are needed to answer")) func byOtherUsers() throws
  {
    let site = SagaSite(.root)
    // Users 1 and 2 are daemon and bin on every Debian.
    site.plan(
      """
      steps:
      - {id: go, kind: pivot, run: [/bin/touch, gone], irreversible: "gone", approval: {group: daemon, quorum: 1, expires: 20s}}
      """)
    let running = site.command(["run", "plan.yaml"]).start()
    #expect(running.waitForOutput("waits for approval"))
    let id = try #require(site.identifier(String(decoding: running.output, as: UTF8.self)))
    // Nobody of the group: the runner itself, a user of another group, one whom the machine does not know.
    for uid in [UInt32(0), 2, 61234] {
      #expect(site.agt(["approve", id, "go"], as: uid).status == 0)
    }
    Clock.sleep(0.3)
    #expect(!File.exists(site.scratch.path + "/gone"))
    let answer = site.agt(["approve", id, "go"], as: 1)
    #expect(answer.status == 0, "\(answer.summary)")
    #expect(answer.out.contains("\"/bin/touch\""))
    let run = running.wait()
    #expect(run.status == 0, "\(run.summary)")
    #expect(run.out.contains("go: approved by user 1\n"))
    #expect(File.exists(site.scratch.path + "/gone"))
  }

  @Test(.enabled(if: Starter.isRoot, "other users are needed to answer")) func denied() throws {
    let site = SagaSite(.root)
    site.plan(
      """
      steps:
      - {id: go, kind: pivot, run: [/bin/touch, gone], irreversible: "gone", approval: {group: daemon, expires: 20s}}
      """)
    let running = site.command(["run", "plan.yaml"]).start()
    #expect(running.waitForOutput("waits for approval"))
    let id = try #require(site.identifier(String(decoding: running.output, as: UTF8.self)))
    #expect(site.agt(["deny", id, "go", "--reason", "not today"], as: 1).status == 0)
    let run = running.wait()
    #expect(run.status == 1, "\(run.summary)")
    #expect(run.out.contains("denied by user 1: not today"))
    #expect(!File.exists(site.scratch.path + "/gone"))
  }

  private static let pivot = """
    steps:
    - {id: go, kind: pivot, run: [/bin/touch, gone], irreversible: "gone", approval: {group: daemon, expires: 20s}}
    """

  /// Root's umask does not keep others from the request; what they are shown is all that is bound.
  @Test(.enabled(if: Starter.isRoot, "other users are needed to answer")) func shown() throws {
    let site = SagaSite(.root)
    site.plan(
      """
      steps:
      - id: go
        kind: pivot
        run: [/bin/touch, gone]
        env: {TARGET: "${params.t}"}
        net: ["db.example:443"]
        fs: {mode: rw, read: [/usr/share/doc]}
        irreversible: gone
        approval: {group: daemon, expires: 20s}
      """, head: "params: {t: {type: string, default: all of it}}")
    let running = site.command(
      ["run", "plan.yaml"], before: ["/bin/sh", "-c", "umask 077; exec \"$@\"", "sh"]
    ).start()
    #expect(running.waitForOutput("waits for approval"))
    let id = try #require(site.identifier(String(decoding: running.output, as: UTF8.self)))
    let answer = site.agt(["deny", id, "go", "--reason", "no"], as: 1)
    #expect(answer.status == 0, "\(answer.summary)")
    let request = try JSONParser.parse(answer.output)
    #expect(request["environment"]?["TARGET"] == "all of it")
    #expect(request["net"] == ["db.example:443"])
    #expect(request["read"] == ["/usr/share/doc"])
    #expect(request["write"] == [])
    #expect(request["workspaceMode"] == "rw")
    #expect(running.wait().status == 1)
  }

  /// Neither a member's file that others may write nor a name that speaks of a member is a member's answer.
  @Test(.enabled(if: Starter.isRoot, "other users are needed to answer")) func forged() throws {
    let site = SagaSite(.root)
    site.plan(Self.pivot)
    let running = site.command(["run", "plan.yaml"]).start()
    #expect(running.waitForOutput("waits for approval"))
    let id = try #require(site.identifier(String(decoding: running.output, as: UTF8.self)))
    let forging = Command.shell(
      """
      cd "$1"; expires=$(grep -o '"expiresAt":[0-9]*' requests/go | grep -o '[0-9]*$')
      digest=$(sha256sum requests/go | cut -d ' ' -f 1)
      answer="{\"request\":\"$digest\",\"verdict\":\"approve\",\"reason\":\"\"}"
      printf '%s' "$answer" > approvals/go.$expires.1.ab
      chown 1 approvals/go.$expires.1.ab; chmod 666 approvals/go.$expires.1.ab
      printf '%s' "$answer" > runs/x; chown 1 runs/x; chmod 644 runs/x
      ln runs/x approvals/go.$expires.1.cd
      printf '%s' "$answer" > approvals/go.$expires.1; chown 2 approvals/go.$expires.1
      printf '%s' "$answer" > approvals/go.$expires.1.ef; chown 2 approvals/go.$expires.1.ef
      """, [site.directory(id)]
    ).run()
    #expect(forging.status == 0, "\(forging.summary)")
    Clock.sleep(0.3)
    #expect(!File.exists(site.scratch.path + "/gone"))
    // Nor does any of it keep the member from answering, once.
    #expect(site.agt(["approve", id, "go"], as: 1).status == 0)
    #expect(running.wait().status == 0)
  }

  /// A denial counts, whatever else is found when a runner looks.
  @Test(.enabled(if: Starter.isRoot, "other users are needed to answer")) func deniedFirst() throws
  {
    let site = SagaSite(.root)
    site.plan(Self.pivot)
    let running = site.command(["run", "plan.yaml"]).start()
    #expect(running.waitForOutput("waits for approval"))
    let id = try #require(site.identifier(String(decoding: running.output, as: UTF8.self)))
    running.signal(SIGKILL)
    _ = running.wait()
    #expect(site.agt(["deny", id, "go", "--reason", "not today"], as: 1).status == 0)
    let second = site.agt(["approve", id, "go"], as: 1)
    #expect(second.status == 125 && second.err.contains("you have answered already"))
    // The approval's name sorts before the denial's.
    let approval = Command.shell(
      """
      cd "$1"; denial=$(ls approvals); sed s/deny/approve/ approvals/$denial > approvals/${denial%.*}.0
      chown 1 approvals/*.0
      """, [site.directory(id)]
    ).run()
    #expect(approval.status == 0, "\(approval.summary)")
    let run = site.agt(["resume", id])
    #expect(run.status == 1, "\(run.summary)")
    #expect(run.out.contains("denied by user 1: not today"))
    #expect(!File.exists(site.scratch.path + "/gone"))
  }
}
