import Audit
import AuditStore
import JSON
import Kernel
import TestSupport
import Testing

/// Logs of runs: they end with their writer, set space aside from their first sync on, and have a largest size.
@Suite struct RunLogTests {
  private static func writer(
    _ path: String, _ calls: LogCalls = .kernel,
    runMaxBytes: Int64 = LogWriter.runMaxBytesUsual
  ) throws(LogError) -> LogWriter {
    try LogWriter.create(
      in: try! Files.open(ByteString(path), 0o200000), origin: LogSite.name, key: LogSite.key,
      calls: calls, runMaxBytes: runMaxBytes, isContinued: false)
  }

  private func note(_ number: Int) -> JSONObject { ["n": JSONValue(number)] }

  /// What is written already is neither refused nor written again because nothing can be set aside.
  @Test func noSpaceToSetAside() throws {
    let site = LogSite()
    let queue = try GroupCommitter(mode: .group, wakesLoop: false)
    var calls = LogCalls.kernel
    calls.reserve = { (_, _, _) throws(SyscallError) in
      throw SyscallError(call: "fallocate", errno: 28)
    }
    queue.begin(try Self.writer(site.path, calls))
    let first = queue.intend(.note, timeMilliseconds: 1, note(1))
    try queue.wait(for: first)
    let second = queue.intend(.note, timeMilliseconds: 1, note(2))
    #expect(throws: LogError.full) { try queue.wait(for: second) }
    queue.record(.kill, timeMilliseconds: 1, note(3))
    let end = queue.finish()
    #expect(end.size == 2 && end.lostEntries == 1, "\(end)")
    #expect(site.notes == [1, 3])
    #expect(try site.verify().checkpoint.size == 2)
  }

  /// What nobody can be refused for is counted when too much waits, and not kept; a kill is kept.
  @Test func aDiskThatHangsFillsNoMemory() throws {
    let site = LogSite()
    let disk = HangingDisk()
    let queue = try GroupCommitter(mode: .group, wakesLoop: false)
    queue.begin(try Self.writer(site.path, disk.calls))
    #expect(queue.delay == nil)
    let first = queue.intend(.note, timeMilliseconds: 1, note(-1))
    for number in 0..<20_000 { queue.record(.note, timeMilliseconds: 1, note(number)) }
    #expect(queue.delay != nil)
    queue.record(.kill, timeMilliseconds: 1, note(20_000))
    disk.goOn()
    try queue.wait(for: first)
    #expect(Clock.eventually { queue.delay == nil })
    let end = queue.finish()
    #expect(end.lostEntries > 5000 && end.size + end.lostEntries == 20_002, "\(end)")
    #expect(site.notes.last == 20_000)
  }

  /// Whoever answers without waiting asks first whether anything can be told.
  @Test func aDiskThatHangsIsAnObstacle() throws {
    let site = LogSite()
    let disk = HangingDisk()
    let queue = try GroupCommitter(mode: .group, wakesLoop: false)
    queue.begin(try Self.writer(site.path, disk.calls))
    let first = queue.intend(.note, timeMilliseconds: 1, note(-1))
    var sent = 0
    while queue.obstacle == nil && sent < 20_000 {
      queue.record(.note, timeMilliseconds: 1, note(sent))
      sent += 1
    }
    #expect(queue.obstacle != nil && sent >= 4096, "\(sent)")
    disk.goOn()
    try queue.wait(for: first)
    #expect(Clock.eventually { queue.obstacle == nil })
    #expect(queue.finish().size == UInt64(sent + 1))
  }

  @Test func aLargestSize() throws {
    let site = LogSite()
    let log = try Self.writer(site.path, runMaxBytes: 1000)
    var taken = 0
    var refusal: LogError?
    while refusal == nil {
      do throws(LogError) {
        try log.append(.note, timeMilliseconds: 1, data: note(taken))
        try log.commit()
        taken += 1
      } catch { refusal = error }
    }
    #expect(refusal == .full && taken > 5)
    // Kills and ends are told all the same, and what the kernel refused.
    try log.append(.kill, timeMilliseconds: 1, data: note(-1))
    try log.commit()
    try log.append(.violation, timeMilliseconds: 1, data: note(-2))
    try log.commit()
    #expect(site.notes == Array(0..<taken) + [-1, -2])
    #expect(try site.verify().checkpoint.size == UInt64(taken + 2))
  }

  /// Whoever fills the log does not hide a violation in it, not even among what is left out.
  @Test func aViolationInAFullLog() throws {
    let site = LogSite()
    let queue = try GroupCommitter(mode: .group, wakesLoop: false)
    queue.begin(try Self.writer(site.path, runMaxBytes: 1000))
    for number in 0..<100 { queue.record(.note, timeMilliseconds: 1, note(number)) }
    queue.record(.violation, timeMilliseconds: 1, note(-2))
    for number in 100..<200 { queue.record(.note, timeMilliseconds: 1, note(number)) }
    let end = queue.finish()
    #expect(end.lostEntries > 100)
    #expect(site.notes.contains(-2) && UInt64(site.notes.count) == end.size)
  }

  /// What begins a run wakes nobody: it is in the file when somebody hurries.
  @Test func whatCanWaitWaits() throws {
    let site = LogSite()
    let queue = try GroupCommitter(mode: .group, wakesLoop: false)
    queue.record(.planEnforced, timeMilliseconds: 1, note(1))
    queue.begin(try Self.writer(site.path))
    queue.record(.kill, timeMilliseconds: 1, note(2))
    Clock.sleep(0.1)
    #expect(site.notes == [])
    queue.hurry()
    #expect(Clock.eventually { site.notes == [1, 2] })
    // With a thread as well.
    queue.record(.runProgram, timeMilliseconds: 1, note(3))
    Clock.sleep(0.1)
    #expect(site.notes == [1, 2])
    queue.record(.violation, timeMilliseconds: 1, note(4))
    #expect(Clock.eventually { site.notes == [1, 2, 3, 4] })
    #expect(queue.finish().size == 4)
    #expect(try site.verify().checkpoint.size == 4)
  }

  /// What came before the log was there is in it all the same.
  @Test func entriesBeforeTheLog() throws {
    let site = LogSite()
    let queue = try GroupCommitter(mode: .group, wakesLoop: false)
    queue.record(.violation, timeMilliseconds: 1, note(1))
    #expect(queue.obstacle == nil)
    queue.begin(try Self.writer(site.path))
    #expect(Clock.eventually { site.notes == [1] })
    #expect(queue.finish().size == 1)
  }

  /// Whoever waits for the disk needs no thread for it; nor does the end.
  @Test func intendAndWait() throws {
    let site = LogSite()
    let queue = try GroupCommitter(mode: .group, wakesLoop: false)
    queue.begin(try Self.writer(site.path))
    queue.record(.planEnforced, timeMilliseconds: 1, note(1))
    try queue.intendAndWait(.note, timeMilliseconds: 1, note(2))
    #expect(site.notes == [1, 2] && queue.counts.syncs == 1)
    #expect(try site.verify().checkpoint.size == 2)
    queue.record(.runProgram, timeMilliseconds: 1, note(3))
    queue.writeAhead()
    #expect(site.notes == [1, 2, 3] && queue.counts.syncs == 1)
    queue.record(.runEnd, timeMilliseconds: 1, note(4))
    #expect(queue.finish().size == 4)
    #expect(try site.verify().checkpoint.size == 4)
  }

  /// Without a log nothing is promised, and what there would have been to tell is counted.
  @Test func noLog() throws {
    let queue = try GroupCommitter(mode: .group, wakesLoop: false)
    queue.record(.violation, timeMilliseconds: 1, note(1))
    queue.refuseAll(.full)
    #expect(queue.obstacle == .full)
    #expect(throws: LogError.full) {
      try queue.intendAndWait(.note, timeMilliseconds: 1, note(2))
    }
    let ticket = queue.intend(.note, timeMilliseconds: 1, note(3))
    #expect(queue.takeAnswers().contains { $0.ticket == ticket && $0.refusal == .full })
    queue.record(.runEnd, timeMilliseconds: 1, note(4))
    let end = queue.finish()
    #expect(end.size == 0 && end.lostEntries == 4 && end.failure == .full, "\(end)")
  }

  /// A log is signed before its first entry.
  @Test func emptyAndSigned() throws {
    let site = LogSite()
    let log = try Self.writer(site.path)
    try log.sign()
    #expect(try site.verify().checkpoint.size == 0)
    try log.append(.note, timeMilliseconds: 1, data: note(1))
    try log.flush()
    #expect(try site.verify().unsignedEntries == 1)
    try log.sync()
    try log.sign()
    #expect(try site.verify().checkpoint.size == 1)
  }
}

/// Its syncs wait until it may go on.
private final class HangingDisk: @unchecked Sendable {
  private let gate = Monitor()
  // Behind the gate.
  private var isHeld = true

  var calls: LogCalls {
    var calls = LogCalls.kernel
    calls.sync = { [self] (file) throws(SyscallError) in
      gate.locked { while isHeld { gate.wait() } }
      try Files.syncData(file)
    }
    return calls
  }

  func goOn() {
    gate.locked {
      isHeld = false
      gate.wakeAll()
    }
  }
}
