import TestSupport
import Testing

/// The same operations on the same trees: done natively, and in a transaction.
@Suite struct TransactionTreeTests {
  /// Trees of one mount.
  private static let trees = 500

  @Test(
    "committed equals native, discarded equals the original",
    arguments: Starter.all, Array(1...10))
  func equal(_ starter: Starter, _ seed: Int) throws {
    let site = Site(starter)
    let work = site.scratch.path
    let twin = site.scratch.home + "/twin"
    let python = ["/usr/bin/python3", Site.script]
    let numbers = ["\(seed)", "\(Self.trees)"]
    _ = site.run(["/bin/chown", "-R", "\(site.owner):\(site.owner)", work, site.scratch.home])
    for place in [work, twin] {
      _ = site.native(["/bin/mkdir", "-p", place])
      let made = site.native(python + ["prepare", place] + numbers)
      try #require(made.status == 0, "\(made.summary)")
    }
    let original = site.picture(work)
    #expect(original == site.picture(twin))
    let native = site.native(python + ["change", twin] + numbers)
    try #require(native.status == 0, "\(native.summary)")
    let wanted = site.picture(twin)
    #expect(wanted != original)

    let run = site.agtRun(["--txn", "--read", Site.script], python + ["change", work] + numbers)
    try #require(run.status == 0, "\(run.summary)")
    #expect(site.picture(work) == original, "touched while it ran")
    let id = site.identifier(run)
    if seed.isMultiple(of: 3) {
      let discarded = site.agt(["discard", id])
      #expect(discarded.status == 0, "\(discarded.summary)")
      #expect(site.picture(work) == original)
      return
    }
    let committed = site.agt(["commit", id, "--allow-executable"])
    try #require(committed.status == 0, "\(committed.summary)")
    let result = site.picture(work)
    #expect(
      result == wanted,
      "\(Self.difference(wanted, result))")
    #expect(site.agt(["diff", id]).status == 2)
  }

  private static func difference(_ one: String, _ other: String) -> String {
    let a = Set(one.split(separator: "\n"))
    let b = Set(other.split(separator: "\n"))
    return "native only: \(a.subtracting(b).sorted().prefix(5)) "
      + "committed only: \(b.subtracting(a).sorted().prefix(5))"
  }
}
