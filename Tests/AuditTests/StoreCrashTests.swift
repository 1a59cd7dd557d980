import Audit
import AuditStore
import JSON
import Kernel
import TestSupport
import Testing

/// Every call of a log fails once, in every way, and the writer is killed at every call: what was
/// acknowledged is there, nothing is there twice, and the log goes on or says why it does not.
@Suite struct StoreCrashTests {
  /// Six commits of one to three entries.
  /// - Returns: the numbers that were acknowledged, and those that were refused.
  private func work(
    _ site: LogSite, _ writer: LogWriter, from: Int
  ) -> (acknowledged: [Int], refused: [Int]) {
    var acknowledged: [Int] = []
    var refused: [Int] = []
    var number = from
    for group in 0..<6 {
      let numbers = Array(number..<(number + group % 3 + 1))
      number += numbers.count
      do throws(LogError) {
        for one in numbers { try site.append(writer, one, commit: false) }
        try writer.commit()
        acknowledged += numbers
      } catch {
        refused += numbers
      }
    }
    return (acknowledged, refused)
  }

  private func callsOfOneRun() throws -> Int {
    let site = LogSite()
    let disk = FaultyDisk()
    _ = work(site, try site.create(disk.log, segmentMaxBytes: 700), from: 0)
    return disk.calls
  }

  @Test(arguments: FaultyDisk.Fault.allCases) func everyCallFailsOnce(_ fault: FaultyDisk.Fault)
    throws
  {
    let count = try callsOfOneRun()
    #expect(count > 20)
    for number in 1...count {
      let site = LogSite()
      let disk = FaultyDisk()
      disk.fault = fault
      disk.failAt = number
      let acknowledged: [Int]
      do {
        let writer = try site.create(disk.log, segmentMaxBytes: 700)
        acknowledged = work(site, writer, from: 0).acknowledged
      }
      let there = site.notes
      let isOrdered = zip(there, there.dropFirst()).allSatisfy { $0 < $1 }
      #expect(isOrdered, "call \(number): \(there)")
      #expect(Set(acknowledged).isSubset(of: there), "call \(number): \(there) \(acknowledged)")
      if fault == .short { #expect(acknowledged.count == 12) }
      // A log without a first checkpoint is nobody's.
      guard !acknowledged.isEmpty else { continue }
      let writer = try site.reopen(segmentMaxBytes: 700)
      let later = work(site, writer, from: 100)
      #expect(later.refused.isEmpty)
      #expect(Set(acknowledged + later.acknowledged).isSubset(of: site.notes))
      let finding = try site.verify()
      #expect(finding.unsignedEntries == 0 && finding.tornBytes == 0, "call \(number)")
      #expect(finding.checkpoint.size == UInt64(site.entries.count))
      #expect(site.entries.map(\.index) == Array(0..<UInt64(site.entries.count)))
    }
  }

  /// Power is lost between two calls: whatever the kernel had not been told to write may be gone.
  @Test func noAcknowledgedEntryIsLostWithThePower() throws {
    var generator = SystemRandomNumberGenerator()
    let count = try callsOfOneRun()
    for number in 1...count {
      let site = LogSite()
      let disk = FaultyDisk()
      disk.fault = .killed
      disk.tearsWrites = false
      disk.failAt = number
      let acknowledged: [Int]
      do {
        let writer = try site.create(disk.log, segmentMaxBytes: 700)
        guard (try? site.append(writer, -1)) != nil else { continue }
        disk.assumeSynced()
        acknowledged = work(site, writer, from: 0).acknowledged
        try disk.losePower(using: &generator)
      }
      _ = try site.reopen()
      #expect(Set(acknowledged).isSubset(of: site.notes), "call \(number)")
      #expect(try site.verify().unsignedEntries == 0)
    }
  }

  /// After a sync that failed nothing is acknowledged any more: the kernel reports a lost page once.
  @Test func aFailedSyncIsTheEnd() throws {
    let site = LogSite()
    let disk = FaultyDisk()
    let writer = try site.create(
      LogCalls(
        write: disk.log.write,
        sync: { (_) throws(SyscallError) in throw SyscallError(call: "fdatasync", errno: 5) },
        reserve: disk.log.reserve))
    #expect(throws: LogError.self) { try site.append(writer, 0) }
    #expect(throws: LogError.self) { try site.append(writer, 1) }
    #expect(!File.exists(site.path + "/checkpoint.0"))
  }
}
