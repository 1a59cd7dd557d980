import TestSupport
import Testing

/// The machine under seeded schedules with crashes, lost outcomes, clock jumps and failing compensations.
@Suite struct SagaSimulationTests {
  private static func simulate(_ count: Int, _ seed: Int, _ mutant: String? = nil) -> Completed {
    let words = ["\(Binaries.source)/saga-simulation", "\(count)", "\(seed)"]
    var command = Command(words + (mutant.map { [$0] } ?? []))
    command.timeoutSeconds = 300
    return command.run()
  }

  /// AGT_SCHEDULES runs more of them.
  @Test func schedules() {
    let count = Binaries.environment("AGT_SCHEDULES").flatMap { Int($0) } ?? 100_000
    let run = Self.simulate(count, 1)
    #expect(run.status == 0, "\(run.out)\(run.err)")
    #expect(run.out.hasPrefix("\(count) schedules"))
    // Each way to end is met, or nothing would have been shown about it.
    for end in [
      "completed", "compensated", "partially-compensated", "needs-operator", "halted", "cancelled",
    ] {
      #expect(run.out.contains(" \(end) ") && !run.out.contains(" \(end) 0"), "\(run.out)")
    }
  }

  /// The checks can fail: each of these mistakes is found.
  @Test(arguments: ["early", "twice", "unrecorded", "forgetful", "order", "key", "blind"])
  func mutant(_ name: String) {
    let run = Self.simulate(5000, 1, name)
    #expect(run.status == 1, "\(name): \(run.out)")
    #expect(run.out.hasPrefix("seed "), "\(run.out)")
  }
}
