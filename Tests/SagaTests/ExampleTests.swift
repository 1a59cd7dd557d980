import TestSupport
import Testing

/// The examples, as anybody would run them, and with each step failing.
@Suite struct SagaExampleTests {
  private static let examples =
    File.parent(File.parent(File.parent(#filePath))) + "/Examples/sagas"

  private func site(_ example: String, _ starter: Starter = .native) -> SagaSite {
    let site = SagaSite(starter)
    let copy = Command.shell(
      "cp -r \"$1\"/. . && { [ ! -e setup.sh ] || sh setup.sh; } && chown -R --reference=. .",
      ["\(Self.examples)/\(example)"], in: site.scratch.path
    ).run()
    precondition(copy.status == 0, copy.summary)
    return site
  }

  @Test(arguments: [
    ("none", 0), ("build", 1), ("migrate", 1), ("check", 1), ("publish", 1), ("notify", 0),
  ])
  func release(_ fail: String, _ status: Int32) {
    let site = site("release")
    let run = site.agt(["run", "plan.yaml", "--param", "version=1.1", "--param", "fail=\(fail)"])
    #expect(run.status == status, "\(run.summary)")
    let schema = Command(
      ["/usr/bin/sqlite3", site.scratch.path + "/app.db", "SELECT sql FROM sqlite_schema"]
    ).run()
    #expect(schema.out.contains("address") == (status == 0), "\(schema.summary)")
    let tags = Command([
      "/usr/bin/git", "-c", "safe.directory=*", "--git-dir=\(site.scratch.path)/remote.git", "tag",
    ]).run()
    #expect(tags.out == (status == 0 ? "v1.1\n" : ""), "\(tags.summary)")
    #expect(File.exists(site.scratch.path + "/dist") == (status == 0))
    let told = site.scratch.read("told")?.split(separator: "\n").count ?? 0
    #expect(told == (status == 0 ? 1 : 0))
    if fail == "notify" { #expect(run.out.contains("notify: running, attempt 3")) }
  }

  @Test func releaseByAnOrdinaryUser() {
    let site = site("release", .ordinary)
    let run = site.agt(["run", "plan.yaml", "--param", "version=1.1"])
    #expect(run.status == 0, "\(run.summary)")
  }

  @Test(arguments: [
    ("none", 0), ("network", 1), ("cache", 1), ("service", 1), ("name", 1), ("lost-database", 0),
    ("lost-name", 0),
  ])
  func infrastructure(_ fail: String, _ status: Int32) {
    let site = site("infrastructure")
    let run = site.agt(["run", "plan.yaml", "--param", "fail=\(fail)"])
    #expect(run.status == status, "\(run.summary)")
    let there = File.names(site.scratch.path + "/cloud")?.filter { $0.hasSuffix(".json") } ?? []
    #expect(there.count == (status == 0 ? 5 : 0), "\(there)")
    if fail.hasPrefix("lost") { #expect(run.out.contains("asking whether it has happened")) }
  }

  @Test(arguments: [("none", 0), ("b", 0), ("all", 1)])
  func pipeline(_ broken: String, _ status: Int32) {
    let site = site("pipeline")
    let run = site.agt(["run", "plan.yaml", "--param", "broken=\(broken)"])
    #expect(run.status == status, "\(run.summary)")
    #expect(File.exists(site.scratch.path + "/warehouse.db") == (status == 0))
    #expect(File.exists(site.scratch.path + "/raw") == (status == 0))
    #expect(!File.exists(site.scratch.path + "/shard-b.csv") || broken == "none")
  }

  /// An agent that drives its own saga: taken on, not, or dead on the way; and nobody else's account is undone.
  @Test(arguments: [("well", 0), ("broken", 1), ("dies", 9)], Starter.all)
  func agent(_ how: (String, Int32), _ starter: Starter) {
    let site = site("agent", starter)
    let client = File.parent(File.parent(Self.examples)) + "/Clients/python/agt.py"
    site.scratch.write("agt.py", File.read(client) ?? "")
    func run(_ words: [String]) -> Completed {
      site.program(
        "agt-run",
        ["--ring", "2", "--policy", "policy.yaml", "--tools", "tools", "--", "python3", "agent.py"]
          + words
      ).run()
    }
    let first = run(["ada", how.0])
    #expect(first.status == how.1, "\(first.summary)")
    let place = site.scratch.path
    #expect(File.exists(place + "/accounts/ada") == (how.1 == 0), "\(first.summary)")
    #expect(File.exists(place + "/pages/ada.html") == (how.1 == 0))
    guard how.1 == 0 else { return }
    let second = run(["ada"])
    #expect(second.status == 1 && second.out.contains("add_account-1: status 1"))
    #expect(File.exists(place + "/accounts/ada"))
  }

  @Test(arguments: ["release", "infrastructure", "pipeline"]) func lint(_ example: String) {
    let site = site(example)
    let run = site.agt(["lint", "plan.yaml"])
    #expect(run.status == 0, "\(run.summary)")
    #expect(site.agt(["graph", "plan.yaml"]).out.contains("●"))
  }

  private static let hasIndex =
    Command(["/usr/bin/curl", "-sfI", "-m", "10", "https://pypi.org/simple/dbos/"]).run().status
    == 0 || Binaries.environment("PIP_INDEX_URL") != nil

  /// DBOS schedules and recovers, agt-run confines each step; what was booked is released when one fails.
  @Test(.enabled(if: hasIndex, "needs DBOS from PyPI")) func dbos() {
    let site = site("dbos")
    var command = Command.shell(
      """
      /usr/bin/python3 -m venv "$1/venv" && "$1/venv/bin/pip" install -q --disable-pip-version-check dbos==3.4.0 &&
      "$1/venv/bin/python" booking.py rome fail && ls && echo -- && "$1/venv/bin/python" booking.py oslo && ls
      """, [site.scratch.home], in: site.scratch.path)
    command.environment += ["AGT_RUN=\(Binaries.agtRun)"]
    if let index = Binaries.environment("PIP_INDEX_URL") {
      command.environment.append("PIP_INDEX_URL=\(index)")
    }
    command.timeoutSeconds = 240
    let run = command.run()
    #expect(run.status == 0, "\(run.summary)")
    #expect(run.out.contains("compensated: reserve car: 9\n"), "\(run.summary)")
    let parts = run.out.split(separator: "--\n")
    #expect(!parts[0].contains(".booked"))
    let booked = parts.last?.split(separator: "\n").filter { $0.hasSuffix(".booked") }
    #expect(booked == ["car.booked", "flight.booked", "hotel.booked"])
  }
}
