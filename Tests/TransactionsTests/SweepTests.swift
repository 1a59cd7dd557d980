import Glibc
import TestSupport
import Testing

/// What is discarded is gone at once, and its space comes back without anybody's doing.
@Suite struct TransactionSweepTests {
  private func store(_ site: Site) -> String { site.scratch.home + "/.local/state/agt/txn" }

  private func leftovers(_ site: Site) -> [String] {
    (File.names(store(site)) ?? []).filter { $0.hasPrefix(".gone-") }
  }

  private func leave(_ name: String, _ site: Site) {
    let made = site.native([
      "/bin/sh", "-c",
      "umask 077; mkdir -p \"$1/$2/layers/upper/locked\" && touch \"$1/$2/layers/upper/locked/f\" && chmod 0 \"$1/$2/layers/upper/locked\"",
      "sh", store(site), name,
    ])
    #expect(made.status == 0, "\(made.summary)")
  }

  @Test("a discard of many files does not wait for them") func many() {
    let site = Site(.ordinary)
    let run = site.agtRun(
      ["--txn"],
      [
        "/bin/sh", "-c",
        "for d in $(seq 40); do mkdir $d; (cd $d && seq 400 | xargs touch); done; head -c 8M /dev/zero > big",
      ])
    #expect(run.status == 0, "\(run.summary)")
    let discarded = site.agt(["discard", site.identifier(run)])
    #expect(discarded.status == 0, "\(discarded.summary)")
    #expect(site.agt(["list"]).out == "")
    #expect(Clock.eventually(20) { leftovers(site).isEmpty }, "\(leftovers(site))")
    let size = site.native(["/usr/bin/du", "-sk", store(site)]).out.split(separator: "\t").first
    #expect(Int(size ?? "") ?? .max < 100, "\(size ?? "")")
  }

  @Test("what a crash leaves goes with the next start, agt gc or agt txn sweep")
  func afterACrash() {
    let site = Site(.ordinary)
    site.own()
    let ways: [() -> Completed] = [
      { site.agtRun(["--txn"], ["/bin/true"]) },
      { site.agt(["sweep"]) },
      { site.agt(["recover"]) },
      { site.native([Site.agtPath, "gc"]) },
    ]
    for (number, way) in ways.enumerated() {
      leave(".gone-\(number)", site)
      let done = way()
      #expect(done.status == 0, "\(done.summary)")
      #expect(leftovers(site) == [], "\(number): \(done.summary)")
    }
  }

  @Test("a start does not wait for whoever removes") func noWait() throws {
    let site = Site(.ordinary)
    site.own()
    leave(".gone-x", site)
    let lock = store(site) + "/.sweep"
    let holder = Command([
      "/usr/bin/python3", "-c",
      "import fcntl, sys; f = open(sys.argv[1], 'w'); fcntl.flock(f, 2); print('held', flush=True); sys.stdin.read()",
      lock,
    ]).with { $0.input = .silent }.start()
    #expect(holder.waitForOutput("held"))
    let run = site.agtRun(["--txn"], ["/bin/true"])
    #expect(run.status == 0 && run.seconds < 5, "\(run.summary)")
    #expect(leftovers(site) == [".gone-x"])
    holder.signal(SIGKILL)
    _ = holder.wait()
    #expect(site.agt(["sweep"]).status == 0)
    #expect(leftovers(site) == [])
  }
}
