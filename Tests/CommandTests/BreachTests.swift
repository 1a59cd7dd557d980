import JSON
import TestSupport
import Testing

/// `--breach`: whoever tries again and again is denied everything, and then ended.
@Suite struct BreachTests {
  private static let tries = """
    import ctypes, sys
    libc = ctypes.CDLL(None, use_errno=True)
    for _ in range(int(sys.argv[1])): libc.unshare(0x20000)
    print('done')
    """

  private func run(
    _ starter: Starter, _ scratch: Scratch, _ options: [String], tries: Int
  ) -> (done: Completed, kill: JSONValue?) {
    scratch.write("result.json", "", mode: 0o666)
    let words = ["--ring", "2", "--result-json", scratch.path + "/result.json"] + options
    let done = Command.agtRun(
      words + ["--", "python3", "-c", Self.tries, "\(tries)"], as: starter, in: scratch
    ).run()
    let record = scratch.read("result.json").flatMap { try? JSONParser.parse(Array($0.utf8)) }
    return (done, record?["kill"])
  }

  @Test(arguments: Starter.all) func whoGoesOnIsEnded(_ starter: Starter) throws {
    let scratch = Scratch()
    let (done, kill) = run(starter, scratch, ["--breach", "on"], tries: 30)
    #expect(done.status == 137 && !done.out.contains("done"), "\(done.summary)")
    #expect(kill?["reason"] == "ring_breach" && kill?["terminated"] == true, "\(done.summary)")
    #expect(kill?["rule"] == "--breach 2,5,10,20")
    // The same program, when nobody counts or the levels are others.
    for options in [[], ["--breach", "off"], ["--breach", "997,998,999,1000"]] {
      let other = run(starter, scratch, options, tries: 30).done
      #expect(other.status == 0 && other.out == "done\n", "\(options) \(other.summary)")
    }
  }

  @Test func afterwardsEverythingIsDenied() {
    let site = BrokerSite(ring: 2, starter: .ordinary)
    let run = site.command(
      BrokerSite.prelude + """
        p = Peer()
        print(p.verdict(tool='read'))
        for _ in range(3): print(p.verdict(tool='drop'))
        print(p.verdict(tool='read'))
        # Another connection is no way around it.
        print(Peer(greet=True).verdict(tool='read'))
        """, options: ["--breach", "1,2,3,1000"]
    ).run()
    #expect(run.out == "allow\ndeny\ndeny\ndeny\nheld\nheld\n", "\(run.summary)")
  }

  /// Denied requests and forbidden calls add up.
  @Test func aCallAfterDenialsEndsIt() {
    let site = BrokerSite(ring: 2, starter: .ordinary)
    let run = site.command(
      BrokerSite.prelude + """
        p = Peer()
        import ctypes
        # From the third on everything is denied without being judged, which counts no more.
        for _ in range(40): p.verdict(tool='drop')
        print('alive', flush=True)
        ctypes.CDLL(None).unshare(0x20000)
        time.sleep(20)
        print('alive')
        """, options: ["--breach", "1,2,3,4"]
    ).run()
    #expect(run.out == "alive\n" && run.status == 137, "\(run.summary)")
  }

  @Test func levelsHaveToGrow() {
    let run = Command.agtRun(["--breach", "5,4,3,2", "--", "true"], as: .ordinary, in: Scratch())
      .run()
    #expect(run.status == 2)
    #expect(run.err.contains("--breach 5,4,3,2: on, off or four growing numbers"), "\(run.err)")
  }

  /// The levels are in the log, with what was refused last.
  @Test func itIsRecorded() {
    let site = AuditLogTests.Site()
    site.run(
      ["--ring", "2", "--breach", "on", "--", "python3", "-c", Self.tries, "30"])
    let told = site.entries(["last", "--kind", "breach"]).compactMap { $0["data"] }
    #expect(told.map { $0["level"]?.stringValue } == ["low", "medium", "high", "critical"])
    #expect(told.allSatisfy { $0["cause"] == "unshare" && $0["levels"] == "2,5,10,20" })
    #expect(site.agt(["log", "verify"]).status == 0)
  }
}
