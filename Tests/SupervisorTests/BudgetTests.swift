import JSON
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

  /// The first one beyond a limit ends the run, once, and nothing is counted in a run that ends.
  @Test func whatIsCountedAsItComes() throws {
    var isEnding = false
    var orders: [KillOrder] = []
    func meter(_ limits: RunLimits) -> BudgetMeter? {
      isEnding = false
      orders = []
      return BudgetMeter(
        limits, isEnding: { isEnding },
        end: {
          orders.append($0)
          isEnding = true
        })
    }
    #expect(meter(time) == nil && meter(RunLimits()) == nil)
    let calls = try #require(meter(RunLimits(requests: 5, toolCalls: 2)))
    for _ in 0..<5 { calls.countRequest() }
    #expect(calls.countToolCall() && calls.countToolCall() && orders == [])
    #expect(!calls.countToolCall())
    #expect(
      orders == [KillOrder(.budgetExceeded, by: "the limits", rule: "tool call limit of 2")])
    calls.countRequest()
    #expect(!calls.countToolCall() && orders.count == 1)
    #expect(calls.usage.toolCalls == 3 && calls.usage.requests == 5)
    var report = LimitReport(flavour: "rlimit")
    report.usage = calls.usage
    let limits = RunLimits(cpuTimeMilliseconds: 1, requests: 5, toolCalls: 2)
    // What it used on its way to the end is not what ended it.
    report.usage?.cpuMicroseconds = 2000
    #expect(report.budgetSentence(limits) == "tool call limit of 2 exceeded")
    #expect(report.json(limits)["toolCallsMade"] == 2)
  }

  /// Connections to one destination share what may be sent there, to the byte.
  @Test func egress() throws {
    let limits = RunLimits(egressBytes: 100)
    var orders: [KillOrder] = []
    let meter = try #require(
      BudgetMeter(limits, isEnding: { !orders.isEmpty }, end: { orders.append($0) }))
    let one = try #require(meter.allowance(to: "*.example.org:443"))
    #expect(meter.allowance(to: "*.example.org:443") === one)
    let other = try #require(meter.allowance(to: "10.0.0.0/8:443"))
    #expect(one.take(60) && one.take(40) && other.take(99) && !other.take(2) && other.take(1))
    #expect(!one.take(1) && one.leftBytes == 0 && orders == [])
    meter.exceed(one)
    meter.exceed(other)
    #expect(orders.map(\.rule) == ["egress limit of 100 bytes to *.example.org:443"])
    var report = LimitReport(flavour: "rlimit")
    report.usage = meter.usage
    #expect(
      report.budgetSentence(limits)
        == "egress limit of 100 bytes to *.example.org:443 exceeded, 100 bytes sent")
    let free = try #require(
      BudgetMeter(RunLimits(requests: 1), isEnding: { false }, end: { _ in }))
    #expect(free.allowance(to: "a:1") == nil && free.usage.egress == nil)
  }

  @Test func accountsOfAProcess() {
    let text = "rchar: 10\nwchar: 20\nwrite_bytes: 4096\ncancelled_write_bytes: 0\nodd\n: 3\n"
    #expect(RunUsage.accounts(text)["write_bytes"] == 4096)
    #expect(RunUsage.accounts("")["write_bytes"] == nil)
  }
}
