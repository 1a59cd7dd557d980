import Broker
import Testing

/// Leases: whose they are, and when they are over.
@Suite struct ElevationDeskTests {
  private func judge(_ ring: Int64, from caller: UInt8 = 3, ttl: Int64 = 300) -> String {
    do throws(ElevationDesk.Denial) {
      try ElevationDesk.judge(ring: ring, callerRing: caller, ttlSeconds: ttl)
      return "yes"
    } catch { return error.rawValue }
  }

  @Test func whatIsNeverGiven() {
    #expect(judge(2) == "yes" && judge(1) == "yes" && judge(1, from: 2) == "yes")
    for caller in UInt8(0)...3 { #expect(judge(0, from: caller) == "ring_0_forbidden") }
    #expect(judge(3) == "invalid_target" && judge(2, from: 2) == "invalid_target")
    #expect(judge(1, from: 1) == "invalid_target" && judge(2, from: 0) == "invalid_target")
    #expect(judge(-1) == "invalid_target" && judge(.min) == "invalid_target")
    #expect(judge(4) == "invalid_target" && judge(257) == "invalid_target")
    #expect(judge(2, ttl: 1) == "yes" && judge(2, ttl: 3600) == "yes")
    #expect(judge(2, ttl: 0) == "expired_ttl" && judge(2, ttl: 3601) == "expired_ttl")
    #expect(judge(2, ttl: -5) == "expired_ttl" && judge(2, ttl: .max) == "expired_ttl")
  }

  @Test func onlyForItsConnectionToolsAndTime() throws {
    var desk = ElevationDesk()
    let lease = try #require(
      try desk.announce(client: 7, ring: 2, tools: ["git", "sh"], ttlMilliseconds: 1000, now: 50))
    // Nothing before the grant, which is when its time begins.
    #expect(desk.lease(for: "git", client: 7, now: 60) == nil && !desk.isLive(lease.id, now: 60))
    #expect(desk.nextMilliseconds == nil)
    #expect(desk.grant(lease.id, now: 100)?.expiresMilliseconds == 1100)
    #expect(desk.grant(lease.id, now: 900) == nil)
    #expect(desk.lease(for: "git", client: 7, now: 1099)?.ring == 2)
    #expect(desk.lease(for: "sh", client: 7, now: 100)?.id == lease.id)
    #expect(desk.lease(for: "rm", client: 7, now: 100) == nil)
    #expect(desk.lease(for: "git", client: 8, now: 100) == nil)
    #expect(desk.lease(for: "git", client: 7, now: 1100) == nil)
    #expect(desk.expired(now: 1099).isEmpty && desk.expired(now: 1100).map(\.id) == [lease.id])
    #expect(desk.nextMilliseconds == 1100)
    #expect(desk.end(lease.id, .expired) != nil && desk.end(lease.id, .released) == nil)
    #expect(desk.ending(of: lease.id, client: 7) == .expired)
    #expect(desk.ending(of: lease.id, client: 8) == nil)
    #expect(desk.nextMilliseconds == nil)
  }

  @Test func oneForATool() throws {
    var desk = ElevationDesk()
    func announce(_ client: UInt64, _ tools: [String], _ now: UInt64 = 0) -> String {
      do throws(ElevationDesk.Denial) {
        let lease = try desk.announce(
          client: client, ring: 1, tools: tools, ttlMilliseconds: 1000, now: now)
        guard let lease else { return "full" }
        _ = desk.grant(lease.id, now: now)
        return lease.id
      } catch { return error.rawValue }
    }
    #expect(announce(1, ["a", "b"]) == "e1")
    #expect(announce(1, ["c", "b"]) == "duplicate_elevation")
    #expect(announce(2, ["b"]) == "e2" && announce(1, ["c"]) == "e3")
    // Its time is over, whether anybody has looked yet or not.
    #expect(announce(1, ["b"], 1000) == "e4")
    for number in 5...16 { #expect(announce(UInt64(number), ["a"], 2000) == "e\(number)") }
    #expect(announce(99, ["a"], 2000) == "full")
    #expect(desk.end("e7", .clientGone) != nil && announce(99, ["a"], 2000) == "e17")
  }
}
