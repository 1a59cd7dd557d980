public import Audit
public import JSON
public import Kernel

/// The writer of a log for threads that must not wait for a disk: entries are queued, and one thread brings
/// everything that queued up meanwhile onto the disk with one fdatasync(2).
///
/// `record` tells something that happened or was refused: it is in the kernel's hands at once, a decision
/// within 10 ms, and on the disk within a second. `intend` announces an effect, which must not begin before the
/// answer: then it is on the disk, and the signature follows within 5 ms. When the log cannot be written every
/// intent is refused, so that nothing happens that it does not hold.
public final class GroupCommitter: @unchecked Sendable {
  /// When an entry counts as written.
  public enum Mode: String, CaseIterable, Sendable {
    /// Each entry is synced on its own.
    case always
    /// One sync for all that wait.
    case group
    /// Never synced: what the kernel has is enough.
    case off
  }

  /// An intent that was queued.
  public struct Ticket: Hashable, Sendable {
    fileprivate let number: UInt64
  }

  /// Where an entry stands in the queue, which can tell of equal ones until it is written.
  public struct Place: Sendable {
    fileprivate let number: UInt64
  }

  private struct Item {
    enum Content {
      case data(JSONObject)
      case occurrence(any EntryTemplate, Occurrence)
    }
    let kind: EntryKind
    let timeMilliseconds: UInt64
    var content: Content
    var ticket: Ticket?
  }

  private let mode: Mode
  private let monitor = Monitor()
  private let wakeup: Wakeup?
  private var worker: Worker?

  // Behind the monitor.
  private var queue: [Item] = []
  /// How many entries have left the queue.
  private var takenCount: UInt64 = 0
  private var lastTicket: UInt64 = 0
  /// Every ticket up to this one has its answer: batches are written in the order in which they came.
  private var lastAnswered: UInt64 = 0
  /// Those that `takeAnswers` has told of.
  private var lastTaken: UInt64 = 0
  /// Only of tickets that were refused.
  private var refusals: [Ticket: LogError] = [:]
  private var failure: LogError?
  /// A decision is queued.
  private var hasDecision = false
  private var isEnding = false
  /// The program was executed: from here on the thread sleeps until it is woken.
  private var hasBegun = false
  private var isOpen = false
  private var lostEntries: UInt64 = 0
  private var syncs: UInt64 = 0
  private var groups: UInt64 = 0
  private var end: LogEnd?

  /// How a log ended.
  public struct LogEnd: Equatable, Sendable {
    public var size: UInt64
    public var root: Digest
    /// Entries that the disk did not take.
    public var lostEntries: UInt64
    public var failure: LogError?
  }

  /// Denials and outcomes wait so long for others at most.
  private static let lingerMilliseconds: UInt64 = 1000
  /// An intent that is on the disk waits so long for its signature at most, in which others can join.
  private static let signMilliseconds: UInt64 = 5

  /// A group takes nothing more: the first of it has waited.
  private static let groupMax = 1024
  /// Written without a pause while others want the processor.
  private static let entriesAtOnce = 16
  /// Decisions wait so long for others.
  private static let decisionMilliseconds: UInt64 = 10
  /// So many wait for a disk that hangs; then `obstacle` says so.
  private static let queueMax = 4096
  /// What may wait beyond; more is counted as lost, unless it is urgent.
  private static let queueReserve = 4096

  /// Starts the thread.
  /// - Parameters:
  ///   - wakesLoop: whether `descriptor` tells of answers.
  ///   - open: makes the log; run in the thread.
  public init(
    mode: Mode, wakesLoop: Bool, open: @escaping @Sendable () throws(LogError) -> LogWriter
  ) throws(SyscallError) {
    self.mode = mode
    wakeup = wakesLoop ? try Wakeup() : nil
    worker = try Worker { [self] in run(open) }
  }

  // MARK: for the loop

  /// Queues an entry that nobody waits for.
  public func record(_ kind: EntryKind, timeMilliseconds: UInt64, _ data: JSONObject) {
    record(Item(kind: kind, timeMilliseconds: timeMilliseconds, content: .data(data)))
  }

  /// Queues an entry that nobody waits for, of which there are many.
  public func record(
    _ kind: EntryKind, timeMilliseconds: UInt64, _ template: any EntryTemplate, _ one: Occurrence
  ) -> Place {
    record(
      Item(kind: kind, timeMilliseconds: timeMilliseconds, content: .occurrence(template, one)))
  }

  @discardableResult
  private func record(_ item: Item) -> Place {
    monitor.locked {
      let place = Place(number: takenCount + UInt64(queue.count))
      // Whoever causes entries asks for `delay` first; this is for those that nobody can be refused for.
      if queue.count >= Self.queueMax + Self.queueReserve, !item.kind.isUrgent {
        lostEntries += 1
        return Place(number: .max)
      }
      queue.append(item)
      // That the run began takes no wake-up of its own: it goes with whatever comes next. Nor do decisions
      // after the first, which the thread waits for.
      if item.kind == .decision {
        if !hasDecision { monitor.wakeAll() }
        hasDecision = true
      } else if !Self.isBeginning(item.kind) {
        monitor.wakeAll()
      }
      if item.kind == .runProgram { hasBegun = true }
      return place
    }
  }

  /// Lets an entry that is still queued tell of one more.
  /// - Parameter place: of the last entry that was recorded with a template.
  /// - Returns: false when it is written, or was lost.
  public func count(_ number: UInt64, in place: Place) -> Bool {
    monitor.locked {
      guard place.number >= takenCount, place.number - takenCount < UInt64(queue.count) else {
        return false
      }
      let index = Int(place.number - takenCount)
      guard case .occurrence(let template, var one) = queue[index].content else { return false }
      one.add(number)
      queue[index].content = .occurrence(template, one)
      return true
    }
  }

  /// Queues the intent of an effect.
  public func intend(
    _ kind: EntryKind, timeMilliseconds: UInt64, _ data: JSONObject
  ) -> Ticket {
    return monitor.locked {
      lastTicket += 1
      let ticket = Ticket(number: lastTicket)
      queue.append(
        Item(
          kind: kind, timeMilliseconds: timeMilliseconds, content: .data(data), ticket: ticket))
      monitor.wakeAll()
      return ticket
    }
  }

  /// Becomes readable when there are answers; nil without `wakesLoop`.
  public var descriptor: Int32? {
    switch wakeup {
    case .some(let wakeup): wakeup.descriptor.raw
    case .none: nil
    }
  }

  /// The answers since the last call: why an entry is not on the disk, or nil when it is.
  public func takeAnswers() -> [(ticket: Ticket, refusal: LogError?)] {
    switch wakeup {
    case .some(let wakeup): wakeup.clear()
    case .none: break
    }
    return monitor.locked {
      defer { lastTaken = lastAnswered }
      return (lastTaken..<lastAnswered).map {
        let ticket = Ticket(number: $0 + 1)
        return (ticket, refusals.isEmpty ? nil : refusals.removeValue(forKey: ticket))
      }
    }
  }

  /// Waits until the intent is on the disk.
  public func wait(for ticket: Ticket) throws(LogError) {
    let refusal: LogError? = monitor.locked {
      while lastAnswered < ticket.number { monitor.wait() }
      return refusals.removeValue(forKey: ticket)
    }
    if let refusal { throw refusal }
  }

  /// Waits until the log is open.
  public func waitUntilOpen() throws(LogError) {
    let failure: LogError? = monitor.locked {
      while !isOpen && self.failure == nil { monitor.wait() }
      return self.failure
    }
    if let failure { throw failure }
  }

  /// Why nothing is taken any more; nil when it is.
  public var problem: LogError? { monitor.locked { failure } }

  /// Why nothing new should be allowed: the log has failed, or too much waits for it.
  public var obstacle: LogError? {
    monitor.locked { failure ?? (queue.count >= Self.queueMax ? .behind(queue.count) : nil) }
  }

  /// Why nothing should be taken on that makes an entry, whatever the answer; nil when there is no reason. A log that
  /// has failed takes entries and counts them as lost; only one whose disk hangs keeps them.
  public var delay: LogError? {
    monitor.locked { queue.count >= Self.queueMax ? .behind(queue.count) : nil }
  }

  /// How often the disk was waited for, and for how many groups.
  public var counts: (syncs: UInt64, groups: UInt64) { monitor.locked { (syncs, groups) } }

  /// Writes what is queued, signs, and ends the thread.
  public func finish() -> LogEnd {
    monitor.locked {
      isEnding = true
      monitor.wakeAll()
    }
    worker?.join()
    return monitor.locked {
      end ?? LogEnd(size: 0, root: MerkleTree().root, lostEntries: lostEntries, failure: failure)
    }
  }

  // MARK: the thread

  private func run(_ open: @Sendable () throws(LogError) -> LogWriter) {
    let writer: LogWriter
    do throws(LogError) { writer = try open() } catch {
      return refuseAll(error)
    }
    monitor.locked {
      isOpen = true
      monitor.wakeAll()
    }
    // Whether anything but the beginning and the end of the run would be lost with the machine.
    var isNotable = false
    // When what is in the file is to be on the disk and signed, in milliseconds of the clock.
    var deadline: UInt64?
    while true {
      let (batch, isOver) = nextBatch(deadline)
      if batch.contains(where: { !Self.isBoundary($0.kind) }) { isNotable = true }
      let isDue = deadline.map { Self.milliseconds() >= $0 } ?? false
      let hasIntent = batch.contains { $0.ticket != nil }
      let mustSync =
        mode != .off && (hasIntent || isDue || isOver && isNotable || mode == .always)
      write(batch, writer, mustSync: mustSync, mustSign: isDue || mode == .always)
      if isOver {
        writer.giveBackReserve()
        try? writer.sign()
        let head = writer.head
        monitor.locked {
          end = LogEnd(
            size: head.size, root: head.root, lostEntries: lostEntries, failure: failure)
        }
        return
      }
      if writer.isUnsigned {
        let wait = hasIntent ? Self.signMilliseconds : Self.lingerMilliseconds
        deadline = min(deadline ?? .max, Self.milliseconds() + wait)
      } else {
        deadline = nil
      }
    }
  }

  private static func isBeginning(_ kind: EntryKind) -> Bool {
    [.planEnforced, .profileWidened, .policyLoaded, .txnStart, .runProgram].contains(kind)
  }

  private static func isBoundary(_ kind: EntryKind) -> Bool {
    isBeginning(kind) || [.runStart, .txnEnd, .runEnd].contains(kind)
  }

  private static func milliseconds() -> UInt64 { Clock.monotonicNanoseconds() / 1_000_000 }

  /// What is queued; waits for something, or until what was written has to be signed.
  private func nextBatch(_ deadline: UInt64?) -> (batch: [Item], isOver: Bool) {
    monitor.locked {
      while queue.allSatisfy({ Self.isBeginning($0.kind) }) && !isEnding {
        guard let deadline else {
          if queue.isEmpty && hasBegun {
            monitor.wait()
            continue
          }
          // What began without a wake-up is written after one sleep.
          let count = queue.count
          monitor.wait(milliseconds: Self.lingerMilliseconds)
          if count > 0 && count == queue.count { break }
          continue
        }
        let now = Self.milliseconds()
        if now >= deadline { break }
        monitor.wait(milliseconds: deadline - now)
      }
      waitForDecisions()
      return (takeQueue(), isEnding)
    }
  }

  /// Under the monitor.
  private func takeQueue() -> [Item] {
    takenCount += UInt64(queue.count)
    hasDecision = false
    var taken: [Item] = []
    swap(&taken, &queue)
    queue.reserveCapacity(taken.count)
    return taken
  }

  /// An agent that asks in a loop is not to cost a write for each answer.
  private func waitForDecisions() {
    let until = Self.milliseconds() + Self.decisionMilliseconds
    while !isEnding, hasDecision,
      queue.allSatisfy({ $0.kind == .decision || Self.isBeginning($0.kind) })
    {
      let now = Self.milliseconds()
      if now >= until { return }
      monitor.wait(milliseconds: until - now)
    }
  }

  private func write(_ batch: [Item], _ writer: LogWriter, mustSync: Bool, mustSign: Bool) {
    if mode == .always && batch.count > 1 {
      for item in batch { write([item], writer, mustSync: true, mustSign: true) }
      return
    }
    var batch = batch
    var didSync = false
    do throws(LogError) {
      // Where nobody waits, some thousand entries would keep the loop from a processor for milliseconds.
      let isPatient = !mustSync && batch.allSatisfy { $0.ticket == nil }
      for (index, item) in batch.enumerated() {
        try append(item, writer)
        if isPatient && index % Self.entriesAtOnce == Self.entriesAtOnce - 1 { Worker.yield() }
      }
      if mustSync && mode == .group { try takeMore(&batch, writer) }
      try writer.flush()
      didSync = mustSync && writer.hasUnsynced
      if mustSync { try writer.sync() }
    } catch {
      let lost = salvage(batch, writer, error)
      return answer(batch, error, lost, didSync: didSync)
    }
    // What is on the disk is not lost any more, and whoever waits for that need not wait for the signature.
    answer(batch, nil, 0, didSync: didSync)
    guard mustSign else { return }
    do throws(LogError) { try writer.sign() } catch {
      answer([], error, 0, didSync: false)
    }
  }

  /// What came meanwhile goes onto the disk with the rest.
  private func takeMore(_ batch: inout [Item], _ writer: LogWriter) throws(LogError) {
    while batch.count < Self.groupMax {
      let more = monitor.locked { takeQueue() }
      if more.isEmpty { return }
      batch += more
      for item in more { try append(item, writer) }
    }
  }

  /// An entry that is none, because it is too large or has a number without canonical form, is told of
  /// instead of left out.
  private func append(_ item: Item, _ writer: LogWriter) throws(LogError) {
    do throws(LogError) {
      switch item.content {
      case .data(let data):
        try writer.append(item.kind, timeMilliseconds: item.timeMilliseconds, data: data)
      case .occurrence(let template, let one):
        try writer.append(item.kind, timeMilliseconds: item.timeMilliseconds) {
          output throws(JSONError) in try template.append(one, to: &output)
        }
      }
    } catch {
      guard case .audit(.entry) = error else { throw error }
      try writer.append(
        item.kind, timeMilliseconds: item.timeMilliseconds, data: ["omitted": true])
    }
  }

  /// What is urgent goes into the space that was set aside on a full disk; into a log that has become too long, whatever
  /// is bounded goes.
  /// - Returns: how many entries are lost.
  private func salvage(_ batch: [Item], _ writer: LogWriter, _ error: LogError) -> Int {
    guard error == .full else { return batch.count }
    for kept in [batch.filter(\.kind.isBounded), batch.filter(\.kind.isUrgent)]
    where !kept.isEmpty && kept.count < batch.count {
      do throws(LogError) {
        for item in kept { try append(item, writer) }
        try writer.flush()
        if mode != .off { try writer.sync() }
        try writer.sign()
        return batch.count - kept.count
      } catch { continue }
    }
    return batch.count
  }

  private func answer(_ batch: [Item], _ error: LogError?, _ lost: Int, didSync: Bool) {
    let waited: Bool = monitor.locked {
      groups += batch.isEmpty ? 0 : 1
      if didSync { syncs += 1 }
      lostEntries += UInt64(lost)
      // A full disk may have space again; what is unknown stays unknown.
      let isOrdinary = batch.contains { !$0.kind.isBounded }
      failure = error ?? (failure == .full && isOrdinary ? nil : failure)
      var waited = false
      for item in batch {
        guard let ticket = item.ticket else { continue }
        if let error { refusals[ticket] = error }
        lastAnswered = ticket.number
        waited = true
      }
      monitor.wakeAll()
      return waited
    }
    if waited { raise() }
  }

  private func raise() {
    switch wakeup {
    case .some(let wakeup): wakeup.raise()
    case .none: break
    }
  }

  /// Until the end, when there is no log.
  private func refuseAll(_ error: LogError) {
    monitor.locked {
      failure = error
      monitor.wakeAll()
    }
    while true {
      let (batch, isOver) = nextBatch(nil)
      answer(batch, error, batch.count, didSync: false)
      if isOver { return }
    }
  }
}
