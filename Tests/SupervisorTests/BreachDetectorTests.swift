import Testing

@testable import Supervisor

@Suite struct BreachDetectorTests {
  @Test func levelsAreReachedOnce() {
    var detector = BreachDetector(.usual)
    let told = (1...25).map { _ in detector.add(1, nowMilliseconds: 1000) }
    #expect(
      told.enumerated().compactMap { place, level in level.map { "\(place + 1) \($0)" } }
        == ["2 low", "5 medium", "10 high", "20 critical"])
  }

  @Test func whatIsOlderThanAMinuteIsForgotten() {
    var detector = BreachDetector(.usual)
    for second in UInt64(0)..<600 {
      // One in seven seconds is 9 within a minute at most.
      if second % 7 == 0 { #expect(detector.add(1, nowMilliseconds: second * 1000) != .high) }
      #expect(detector.points <= 9)
    }
    // A level that was left is told again.
    #expect(detector.add(10, nowMilliseconds: 700_000) == .high)
    #expect(detector.add(10, nowMilliseconds: 759_999) == .critical)
    #expect(detector.add(1, nowMilliseconds: 900_000) == nil && detector.points == 1)
    #expect(detector.add(20, nowMilliseconds: 900_500) == .critical)
  }

  /// A level that is kept is told once, and lasts.
  @Test func highStaysHigh() {
    var detector = BreachDetector(.usual)
    var told = 0
    for second in stride(from: UInt64(0), to: 600, by: 5) {
      if detector.add(1, nowMilliseconds: second * 1000) == .high { told += 1 }
      if second >= 50 { #expect(detector.isHigh) }
    }
    #expect(told == 1)
  }

  @Test func theClockMayJump() {
    var detector = BreachDetector(.usual)
    #expect(detector.add(2, nowMilliseconds: .max / 1_000_000 * 1000) == .low)
    #expect(detector.add(3, nowMilliseconds: 5) == .medium)
    #expect(detector.add(.max, nowMilliseconds: .max) == .critical)
  }

  @Test func points() {
    var inside = BreachPoints(ring: 3)
    // A fork is one ring away; ptrace is none that any program of ring 1 has, and takes over.
    #expect(inside.of("fork") == 1)
    #expect(inside.of("ptrace") > inside.of("fork"))
    // No ring has it: one more than there are below, twice.
    #expect(inside.of("kexec_load") == 8)
    var outside = BreachPoints(ring: 2)
    #expect(outside.of("kexec_load") < inside.of("kexec_load"))
    for number in 0..<2000 { _ = inside.of("system call \(number)") }
  }

  @Test(arguments: [
    "", "1,2,3", "1,2,3,4,5", "2,2,3,4", "0,1,2,3", "1,2,3,1000001", "a,b,c,d", "4,3,2,1",
  ])
  func levelsThatAreNone(_ text: String) { #expect(BreachLevels(text) == nil) }

  @Test func levelsThatAreSome() {
    #expect(BreachLevels("1,2,3,4")?.text == "1,2,3,4")
    #expect(BreachLevels("2,5,10,20") == .usual)
  }
}
