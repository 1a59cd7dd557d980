import Broker
import JSON
import Testing

/// Nothing is approved but by enough different people, in time, once.
@Suite struct ApprovalDeskTests {
  private func desk(quorum: Int = 1) -> ApprovalDesk {
    var desk = ApprovalDesk()
    _ = desk.park(
      id: "a", request: ["n": 1], client: 7, quorum: quorum, nowMilliseconds: 1000,
      expiresAfter: 500, useWithin: 100)
    return desk
  }

  @Test func once() throws {
    var desk = desk()
    #expect(desk.pending.map(\.id) == ["a"] && desk.nextMilliseconds == 1500)
    #expect(desk.use("a", nowMilliseconds: 1100) == false)
    let ticket = try desk.approve("a", uid: 5, reason: "fine", nowMilliseconds: 1200)
    #expect(ticket.state == .approved && desk.nextMilliseconds == 1300)
    #expect(throws: ApprovalDesk.Refusal.over(.approved)) {
      try desk.approve("a", uid: 6, reason: "", nowMilliseconds: 1200)
    }
    #expect(desk.use("a", nowMilliseconds: 1299) == true)
    #expect(desk.use("a", nowMilliseconds: 1299) == false)
    #expect(desk["a"]?.state == .used && desk.nextMilliseconds == nil)
  }

  @Test func twoPeople() throws {
    var desk = desk(quorum: 2)
    #expect(try desk.approve("a", uid: 5, reason: "", nowMilliseconds: 1001).state == .pending)
    #expect(throws: ApprovalDesk.Refusal.answeredAlready) {
      try desk.approve("a", uid: 5, reason: "", nowMilliseconds: 1002)
    }
    #expect(throws: ApprovalDesk.Refusal.answeredAlready) {
      try desk.deny("a", uid: 5, reason: "", nowMilliseconds: 1002)
    }
    #expect(try desk.approve("a", uid: 6, reason: "", nowMilliseconds: 1003).state == .approved)
  }

  @Test func denial() throws {
    var desk = desk(quorum: 2)
    _ = try desk.approve("a", uid: 5, reason: "", nowMilliseconds: 1001)
    _ = try desk.deny("a", uid: 6, reason: "no", nowMilliseconds: 1002)
    #expect(desk["a"]?.state == .denied(by: 6, reason: "no"))
    #expect(desk.use("a", nowMilliseconds: 1003) == false)
    #expect(throws: ApprovalDesk.Refusal.unknown) {
      try desk.deny("b", uid: 6, reason: "no", nowMilliseconds: 1002)
    }
  }

  @Test func tooLate() throws {
    var desk = desk()
    #expect(throws: ApprovalDesk.Refusal.over(.expired)) {
      try desk.approve("a", uid: 5, reason: "", nowMilliseconds: 1500)
    }
    #expect(desk.expire(nowMilliseconds: 1499).isEmpty)
    #expect(desk.expire(nowMilliseconds: 1500).map(\.id) == ["a"])
    #expect(desk["a"]?.state == .expired && desk.expire(nowMilliseconds: 9999).isEmpty)
    // Approved, and not used in time.
    var other = self.desk()
    _ = try other.approve("a", uid: 5, reason: "", nowMilliseconds: 1200)
    #expect(other.use("a", nowMilliseconds: 1300) == false)
    #expect(other["a"]?.state == .expired)
  }

  @Test func withdrawnAndBounded() throws {
    var desk = ApprovalDesk()
    func park(_ number: Int, client: UInt64 = 1) -> Bool {
      desk.park(
        id: "\(number)", request: .null, client: client, quorum: 1, nowMilliseconds: 0,
        expiresAfter: .max, useWithin: 1) != nil
    }
    for number in 0..<16 { #expect(park(number)) }
    #expect(!park(99))
    desk.withdraw(client: 2)
    #expect(!park(99))
    desk.withdraw(client: 1)
    #expect(desk["3"]?.state == .withdrawn && desk.pending.isEmpty)
    for number in 100..<400 {
      #expect(park(number, client: UInt64(number)))
      desk.withdraw(client: UInt64(number))
    }
    #expect(desk.tickets.count <= ApprovalDesk.overMax + ApprovalDesk.pendingMax)
    #expect(desk["399"] != nil && desk["3"] == nil)
  }
}
