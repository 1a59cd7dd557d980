import Testing

@testable import Supervisor

/// When a run's budgets are looked at, and what is found.
@Suite struct BudgetTests {
  private let time = RunLimits(cpuTimeMilliseconds: 60_000)
  private let disk = RunLimits(diskBytes: 4 << 30)

  @Test func withoutBudgetsThereIsNoWatch() {
    #expect(BudgetWatch(RunLimits(memoryBytes: 1, processes: 1, cpuThousandths: 1), nil) == nil)
    #expect(BudgetWatch(time, nil) != nil && BudgetWatch(disk, nil) != nil)
  }

  /// What was counted once stays counted, also when its process was gone at the next look.
  @Test func nothingIsForgotten() throws {
    let watch = try #require(BudgetWatch(time, nil))
    watch.add(RunUsage(cpuMicroseconds: 100, writtenBytes: 5))
    watch.add(RunUsage(cpuMicroseconds: 70, writtenBytes: 9))
    #expect(watch.usage == RunUsage(cpuMicroseconds: 100, writtenBytes: 9))
  }

  /// A look comes before the rest can be used up, never at once, and not more often than it is worth.
  @Test func theNextLook() throws {
    let watch = try #require(BudgetWatch(time, nil))
    #expect(watch.pause(costNanoseconds: 0) == 1000)
    watch.add(RunUsage(cpuMicroseconds: 59_999_000))
    #expect(watch.pause(costNanoseconds: 0) == 20)
    #expect(watch.pause(costNanoseconds: 2_000_000) == 100)
    let written = try #require(BudgetWatch(disk, nil))
    #expect(written.pause(costNanoseconds: 0) == 1000)
    written.add(RunUsage(writtenBytes: (4 << 30) - (200 << 20)))
    #expect(written.pause(costNanoseconds: 0) == 50)
    written.add(RunUsage(writtenBytes: 5 << 30))
    #expect(written.pause(costNanoseconds: 0) == 20)
  }

  @Test func sentences() {
    var report = LimitReport(flavour: "rlimit")
    #expect(report.budgetSentence(time) == nil)
    report.usage = RunUsage(cpuMicroseconds: 59_999_999, writtenBytes: 1 << 40)
    #expect(report.budgetSentence(time) == nil)
    report.usage = RunUsage(cpuMicroseconds: 60_010_000)
    #expect(
      report.budgetSentence(time) == "CPU time limit of 1 min exceeded, used 60010 ms")
    report.usage = RunUsage(writtenBytes: 4 << 30)
    #expect(report.budgetSentence(disk) == nil)
    report.usage = RunUsage(writtenBytes: 5 << 30)
    #expect(report.budgetSentence(disk) == "disk limit of 4 GiB exceeded, 5 GiB written")
  }

  @Test func accountsOfAProcess() {
    let text = "rchar: 10\nwchar: 20\nwrite_bytes: 4096\ncancelled_write_bytes: 0\nodd\n: 3\n"
    #expect(RunUsage.accounts(text)["write_bytes"] == 4096)
    #expect(RunUsage.accounts("")["write_bytes"] == nil)
  }
}
