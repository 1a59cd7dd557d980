public import Audit
internal import Glibc
public import JSON
public import Kernel

/// The writer of a log for a loop that must not wait for a disk: entries are queued, and one thread brings
/// everything that queued up meanwhile onto the disk with one fdatasync(2). The thread is made for the first
/// entry that cannot wait; what is over before that is written by whoever ends it. Where no thread can be made,
/// entries are written by whoever has them: the loop waits for the disk, and nothing is lost.
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

  // Used by the loop's thread until there is another one, and only by that one then.
  private var writer: LogWriter?
  /// Whether anything but the beginning and the end of the run would be lost with the machine.
  private var isNotable = false
  /// When what is in the file is to be on the disk and signed, in milliseconds of the clock.
  private var deadline: UInt64?

  // Of the loop's thread.
  private var worker: Worker?
  /// Something is queued that cannot wait for `begin`.
  private var isAwaited = false

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
  /// What is queued is to be written although nothing in it says so.
  private var isHurried = false
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

  /// Takes entries from now on; `begin` says where they go.
  /// - Parameter wakesLoop: whether `descriptor` tells of answers.
  public init(mode: Mode, wakesLoop: Bool) throws(SyscallError) {
    self.mode = mode
    wakeup = wakesLoop ? try Wakeup() : nil
  }

  // MARK: for the loop

  /// From here on entries go into this log, of which nobody else knows.
  public func begin(_ writer: LogWriter) {
    self.writer = writer
    if isAwaited { hurry() }
  }

  /// There is no log: whatever is or comes into the queue is refused, or counted as lost.
  public func refuseAll(_ error: LogError) {
    monitor.locked { failure = error }
    if isAwaited { hurry() }
  }

  /// What is queued has waited long enough.
  public func hurry() {
    if worker != nil {
      return monitor.locked {
        isHurried = true
        monitor.wakeAll()
      }
    }
    isAwaited = true
    guard writer != nil else {
      if let problem { refuseQueue(problem) }
      return
    }
    monitor.locked { isHurried = true }
    do throws(SyscallError) { worker = try Worker { [self] in run() } } catch {
      commit(monitor.locked { takeQueue() }, isOver: false, isDue: true)
    }
  }

  /// What is queued is in the kernel's hands when this returns, or soon where each entry waits for the disk.
  public func writeAhead() {
    if worker != nil || mode == .always { return hurry() }
    if writer != nil { commit(monitor.locked { takeQueue() }, isOver: false, isDue: false) }
  }

  /// What is queued waits for nothing more, because the loop is over and what comes next may take minutes.
  public func settle() {
    if worker != nil { return hurry() }
    guard let writer else { return }
    let batch = monitor.locked { takeQueue() }
    commit(batch, isOver: false, isDue: isNotable || batch.contains { !Self.isBoundary($0.kind) })
    if writer.isUnsigned { try? writer.sign() }
  }

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
    let (place, isHurried): (Place, Bool) = monitor.locked {
      let place = Place(number: takenCount + UInt64(queue.count))
      // Whoever causes entries asks for `delay` first; this is for those that nobody can be refused for.
      if queue.count >= Self.queueMax + Self.queueReserve, !item.kind.isUrgent {
        lostEntries += 1
        return (Place(number: .max), false)
      }
      queue.append(item)
      defer { hasDecision = hasDecision || item.kind == .decision }
      return (place, isUrgent(item.kind))
    }
    if isHurried { hurry() }
    return place
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
    let ticket = queueIntent(kind, timeMilliseconds, data)
    hurry()
    return ticket
  }

  /// Brings the intent of an effect onto the disk.
  /// - Throws: why it is not there, and the effect must not begin.
  public func intendAndWait(
    _ kind: EntryKind, timeMilliseconds: UInt64, _ data: JSONObject
  ) throws(LogError) {
    let ticket = queueIntent(kind, timeMilliseconds, data)
    if worker == nil, writer == nil {
      refuseQueue(problem ?? Self.notBegun)
    } else if worker == nil {
      commit(monitor.locked { takeQueue() }, isOver: false, isDue: true)
    } else {
      hurry()
    }
    try wait(for: ticket)
  }

  private func queueIntent(
    _ kind: EntryKind, _ timeMilliseconds: UInt64, _ data: JSONObject
  ) -> Ticket {
    monitor.locked {
      lastTicket += 1
      let ticket = Ticket(number: lastTicket)
      queue.append(
        Item(
          kind: kind, timeMilliseconds: timeMilliseconds, content: .data(data), ticket: ticket))
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

  /// Why nothing is taken any more; nil when it is.
  private var problem: LogError? { monitor.locked { failure } }

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
    if let worker {
      monitor.locked {
        isEnding = true
        monitor.wakeAll()
      }
      worker.join()
    } else if writer != nil {
      commit(monitor.locked { takeQueue() }, isOver: true, isDue: false)
    } else {
      refuseQueue(problem ?? Self.notBegun)
    }
    return monitor.locked {
      end ?? LogEnd(size: 0, root: MerkleTree().root, lostEntries: lostEntries, failure: failure)
    }
  }

  private static let notBegun = LogError.system(SyscallError(call: "run", errno: ECANCELED))

  private func refuseQueue(_ error: LogError) {
    let batch = monitor.locked { takeQueue() }
    answer(batch, error, batch.count, didSync: false)
  }

  // MARK: the thread

  private func run() {
    while true {
      let (batch, isOver) = nextBatch()
      let isDue = deadline.map { Self.milliseconds() >= $0 } ?? false
      commit(batch, isOver: isOver, isDue: isDue)
      if isOver { return }
    }
  }

  /// - Parameters:
  ///   - isOver: nothing comes after that.
  ///   - isDue: the disk and the signature wait for nothing more.
  private func commit(_ batch: [Item], isOver: Bool, isDue: Bool) {
    guard let writer else { preconditionFailure("entries are written after begin") }
    if batch.contains(where: { !Self.isBoundary($0.kind) }) { isNotable = true }
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
    } else if writer.isUnsigned {
      let wait = hasIntent ? Self.signMilliseconds : Self.lingerMilliseconds
      deadline = min(deadline ?? .max, Self.milliseconds() + wait)
    } else {
      deadline = nil
    }
  }

  /// Under the monitor. That the run began or is over takes no wake-up of its own: it goes with whatever comes
  /// next, or when somebody hurries. Nor do decisions after the first, which the thread waits for, nor a kill, while
  /// which every processor is needed elsewhere.
  private func isUrgent(_ kind: EntryKind) -> Bool {
    kind == .decision ? !hasDecision : kind != .kill && !Self.isBoundary(kind)
  }

  private static func isBeginning(_ kind: EntryKind) -> Bool {
    [.planEnforced, .profileWidened, .policyLoaded, .txnStart, .runProgram].contains(kind)
  }

  private static func isBoundary(_ kind: EntryKind) -> Bool {
    isBeginning(kind) || [.runStart, .txnEnd, .runEnd].contains(kind)
  }

  private static func milliseconds() -> UInt64 { Clock.monotonicNanoseconds() / 1_000_000 }

  /// What is queued; waits for something, or until what was written has to be signed.
  private func nextBatch() -> (batch: [Item], isOver: Bool) {
    monitor.locked {
      while queue.allSatisfy({ Self.isBeginning($0.kind) }) && !isEnding && !isHurried {
        guard let deadline else {
          monitor.wait()
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
    isHurried = false
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
}
