import Testing

@testable import Supervisor

/// The order of the kill machine, whatever comes in between.
@Suite struct KillMachineTests {
  private let manual = KillOrder(.manual, by: "uid 0")

  @Test func freezesLooksKillsAndConfirms() {
    var machine = KillMachine()
    #expect(
      machine.handle(.ordered(manual), atNanoseconds: 10)
        == [.freeze, .wait(milliseconds: KillMachine.freezeMilliseconds)])
    #expect(machine.handle(.frozen, atNanoseconds: 20) == [.gatherEvidence])
    #expect(
      machine.handle(.gathered, atNanoseconds: 30)
        == [.kill, .wait(milliseconds: KillMachine.repeatMilliseconds)])
    #expect(machine.handle(.empty, atNanoseconds: 40) == [])
    #expect(machine.phase == .confirmed && machine.order == manual)
    #expect(
      machine.times
        == KillMachine.Times(decided: 10, frozen: 20, gathered: 30, signaled: 30, confirmed: 40))
  }

  @Test(arguments: [KillMachine.Event.notFrozen, .timeOver])
  func whatCannotBeFrozenIsKilledAllTheSame(_ event: KillMachine.Event) {
    var machine = KillMachine()
    _ = machine.handle(.ordered(manual), atNanoseconds: 10)
    #expect(machine.handle(event, atNanoseconds: 20) == [.gatherEvidence])
    #expect(machine.times.frozen == nil)
    // The answer comes late.
    #expect(machine.handle(.frozen, atNanoseconds: 25) == [])
    #expect(machine.handle(.gathered, atNanoseconds: 30).contains(.kill))
  }

  @Test func theFirstReasonStays() {
    var machine = KillMachine()
    _ = machine.handle(.ordered(manual), atNanoseconds: 10)
    let second = KillOrder(.sessionTimeout, by: "the wall clock")
    #expect(machine.handle(.ordered(second), atNanoseconds: 11) == [])
    #expect(machine.order == manual && machine.times.decided == 10)
  }

  @Test func killsAgainAndSaysOnceThatItIsStuck() {
    var machine = KillMachine()
    _ = machine.handle(.ordered(manual), atNanoseconds: 0)
    _ = machine.handle(.notFrozen, atNanoseconds: 0)
    _ = machine.handle(.gathered, atNanoseconds: 0)
    var reports = 0
    for round in 1...100 {
      let now = UInt64(round) * KillMachine.repeatMilliseconds * 1_000_000
      let effects = machine.handle(.timeOver, atNanoseconds: now)
      #expect(effects.contains(.kill))
      if effects.contains(.reportStuck) {
        reports += 1
        #expect(now == KillMachine.stuckMilliseconds * 1_000_000)
      }
    }
    #expect(reports == 1 && machine.isStuck && machine.phase == .killing)
    _ = machine.handle(.empty, atNanoseconds: 1 << 40)
    #expect(machine.phase == .confirmed)
  }

  @Test func anEndWithoutAnOrderIsNoKill() {
    var machine = KillMachine()
    #expect(machine.handle(.empty, atNanoseconds: 5) == [])
    #expect(machine.phase == .idle && machine.order == nil)
  }

  /// Whatever comes in whatever order: confirmed exactly when the kernel said so, one SIGKILL at least unless
  /// it ended before, nothing after the end.
  @Test func anySchedule() {
    var generator = SystemRandomNumberGenerator()
    for _ in 0..<20_000 {
      var machine = KillMachine()
      var isEmpty = false
      var isOrdered = false
      for now in 1...UInt64.random(in: 1...12, using: &generator) {
        let event: KillMachine.Event = [
          .ordered(manual), .frozen, .notFrozen, .gathered, .timeOver, .empty,
        ].randomElement(using: &generator)!
        let effects = machine.handle(event, atNanoseconds: now * 3_000_000_000)
        if case .ordered = event, !isEmpty || !isOrdered { isOrdered = true }
        if event == .empty, isOrdered { isEmpty = true }
        #expect((machine.phase == .confirmed) == isEmpty)
        #expect((machine.times.confirmed != nil) == isEmpty)
        if isEmpty { #expect(effects == []) }
        if effects.contains(.kill) { #expect(machine.times.gathered != nil) }
      }
    }
  }
}
