internal import Audit
internal import Glibc
internal import JSON
internal import Kernel
internal import LaunchPlan
internal import Paths
internal import Rings
internal import Transactions

/// What happens to the changes of a run when it ends by itself. Whatever is killed is discarded.
public enum TransactionMode: String, CaseIterable, Sendable {
  /// They wait for `agt txn commit` or `discard`.
  case keep
  /// Status 0 keeps them, any other discards them.
  case keepOnSuccess = "keep-on-success"
  /// Status 0 commits them, any other discards them.
  case commitOnSuccess = "commit-on-success"
  /// They are thrown away, also on success: a trial.
  case discard
}

/// The transaction of one run, from before its start to its end.
final class TransactionRun {
  private let transaction: Transaction
  private let mode: TransactionMode
  private let allowExecutable: Bool
  private var isOver = false
  /// Whose changes are seen: nobody ends it while this lasts.
  private let base: Transaction?
  let layers: LaunchRequest.Layers

  /// Ends what a crash left behind, and makes the layers.
  init(
    _ mode: TransactionMode, _ options: RunOptions, id: String, workspace: String, caller: Caller
  ) throws(RunError) {
    try Self.refuseMountsInside(workspace)
    let store = Self.store(caller)
    do throws(TransactionError) {
      for (other, what) in try store.recover() {
        switch what {
        case .committed: Output.say("agt-run: finished the commit of transaction \(other)")
        case .discarded: Output.say("agt-run: discarded transaction \(other), whose run was killed")
        case .failed(let error): Output.say("agt-run: transaction \(other): \(error.message)")
        }
      }
      let status = try Self.status(workspace)
      let made = try store.begin(
        id: id, workspace: workspace, status: status, marksAreUsers: !caller.isRoot,
        command: options.command, base: options.transactionBase)
      transaction = made
      let below = try options.transactionBase.map { id throws(TransactionError) in
        try Self.takeBase(id, store, below: made)
      }
      base = below
      layers = LaunchRequest.Layers(
        path: made.layersPath, judged: try Self.judged(made),
        base: try below.map { base throws(TransactionError) in
          LaunchPlan.Base(
            layers: Array(base.layersPath.utf8), judged: try Self.judged(base))
        })
    } catch {
      throw RunError(.notConfined, "--txn: \(error.message)", hint: error.hint)
    }
    self.mode = mode
    allowExecutable = options.allowExecutable
  }

  private static func judged(
    _ transaction: Transaction
  ) throws(TransactionError) -> LaunchPlan.Judged {
    let identity = try transaction.layersIdentity()
    return LaunchPlan.Judged(device: identity.device, inode: identity.inode)
  }

  private static func takeBase(
    _ id: String, _ store: TransactionStore, below transaction: Transaction
  ) throws(TransactionError) -> Transaction {
    do throws(TransactionError) {
      let base = try store.take(id)
      if let problem = transaction.problem(above: base) { throw problem }
      return base
    } catch {
      try? transaction.discard()
      throw error
    }
  }

  /// A launch that failed leaves nothing.
  deinit { if !isOver { try? transaction.discard() } }

  /// `agt txn sweep`, of the `agt` beside us.
  private static var sweeper: TransactionStore.Sweeper {
    guard let own = try? Files.readLink(ByteString("/proc/self/exe")).text else { return .none }
    let agt = PathText.parent(own) + "/agt"
    guard Files.mayAccess(ByteString(agt), X_OK) else { return .none }
    return TransactionStore.Sweeper(
      command: [agt, "txn", "sweep"].map { ByteString($0) }, environment: Vectors.environment)
  }

  static func store(_ caller: Caller) -> TransactionStore {
    TransactionStore(path: StateDirectory(caller).path("txn"), sweeper: sweeper)
  }

  /// Where the layers would be, for an explanation.
  static func explained(_ caller: Caller) -> LaunchRequest.Layers {
    LaunchRequest.Layers(
      path: store(caller).path + "/ID/layers", judged: LaunchPlan.Judged(device: 0, inode: 0))
  }

  private static func status(_ workspace: String) throws(TransactionError) -> FileStatus {
    do throws(SyscallError) {
      return try Files.status(of: ByteString(workspace), followLink: false)
    } catch { throw TransactionError(.failed, error.description) }
  }

  /// An overlay shows one file system; what is mounted inside would be missing without a word.
  private static func refuseMountsInside(_ workspace: String) throws(RunError) {
    let table = (try? Files.read(ByteString("/proc/self/mountinfo"), limit: 16 << 20)) ?? []
    let below = Array(workspace.utf8) + [UInt8(ascii: "/")]
    // The fifth word of each line is its mount point.
    var word = 1
    var start = 0
    for index in table.indices {
      if table[index] == UInt8(ascii: "\n") {
        word = 1
      } else if table[index] == UInt8(ascii: " ") {
        if word == 5 {
          let place = unescaped(table[start..<index])
          guard !place.starts(with: below) else {
            throw RunError(
              .notConfined, "--txn: \(place.text) is a mount inside the workspace",
              hint: "name a directory without mounts below it: --workspace DIR")
          }
        }
        word += 1
        start = index + 1
      }
    }
  }

  /// Mount points in procfs have space, tab, newline and backslash as three octal digits (proc(5)).
  private static func unescaped(_ text: ArraySlice<UInt8>) -> ByteString {
    var out: ByteString = []
    var rest = text
    while let byte = rest.popFirst() {
      guard byte == UInt8(ascii: "\\"), rest.count >= 3 else {
        out.append(byte)
        continue
      }
      out.append(rest.prefix(3).reduce(0) { $0 &* 8 &+ ($1 &- 48) })
      rest = rest.dropFirst(3)
    }
    return out
  }

  /// For the audit log.
  var entry: JSONObject {
    ["transaction": .string(transaction.id), "mode": .string(mode.rawValue)]
  }

  // MARK: the end

  /// - Parameter wasAskedToEnd: by a signal to the supervisor, whatever the program made of it.
  func conclude(
    _ end: RunOutcome.End, wasAskedToEnd: Bool, _ audit: RunAudit
  ) -> TransactionOutcome {
    isOver = true
    let outcome = decide(end, wasAskedToEnd: wasAskedToEnd, audit)
    audit.record(.txnEnd, outcome.entry)
    return outcome
  }

  private func decide(
    _ end: RunOutcome.End, wasAskedToEnd: Bool, _ audit: RunAudit
  ) -> TransactionOutcome {
    if let reason = Self.reasonToDiscard(end, mode, wasAskedToEnd: wasAskedToEnd) {
      return discard(reason)
    }
    do throws(TransactionError) {
      if mode == .commitOnSuccess {
        do throws(RunError) {
          try audit.intendAndWait(
            .txnCommit,
            ["transaction": .string(transaction.id), "allowExecutable": .bool(allowExecutable)])
        } catch {
          throw TransactionError(.failed, error.message, hint: error.hint)
        }
        let committed = try transaction.commit(allowExecutable: allowExecutable)
        var outcome = TransactionOutcome(id: transaction.id, mode: mode, state: .committed)
        if case .changes(let count) = committed { outcome.changes = count }
        return outcome
      }
      if base != nil {
        // What differs from the workspace is the base's as well.
        try transaction.keep()
        return TransactionOutcome(id: transaction.id, mode: mode, state: .kept)
      }
      let changes = try transaction.changes()
      if changes.isEmpty && changes.conflicts.isEmpty { return discard("no changes") }
      try transaction.keep()
      return TransactionOutcome(
        id: transaction.id, mode: mode, state: .kept, changes: changes.count)
    } catch {
      return refused(error)
    }
  }

  private static func reasonToDiscard(
    _ end: RunOutcome.End, _ mode: TransactionMode, wasAskedToEnd: Bool
  ) -> String? {
    if mode == .discard { return "asked for" }
    switch end {
    case .killed(let reason): return reason.rawValue
    case .notStarted: return "not started"
    case .lost: return "lost"
    case .exited, .signaled:
      if wasAskedToEnd { return KillReason.manual.rawValue }
      if mode == .commitOnSuccess || mode == .keepOnSuccess, end != .exited(0) { return "failed" }
      return nil
    }
  }

  private func discard(_ reason: String) -> TransactionOutcome {
    var outcome = TransactionOutcome(
      id: transaction.id, mode: mode, state: .discarded, reason: reason)
    do throws(TransactionError) {
      try transaction.discard()
    } catch {
      // The workspace is as it was; recovery removes what is left.
      outcome.error = error
    }
    return outcome
  }

  /// Nothing was committed, or recovery finishes it: the person decides.
  private func refused(_ error: TransactionError) -> TransactionOutcome {
    var outcome = TransactionOutcome(
      id: transaction.id, mode: mode, state: transaction.hasManifest ? .committing : .kept,
      reason: error.kind == .conflict ? "conflict" : error.kind == .gated ? "gated" : "error")
    outcome.error = error
    if !transaction.hasManifest { try? transaction.keep() }
    return outcome
  }
}

/// The transaction of a run that is on its way, made by a thread: that takes as long as the stage takes to start.
final class PendingTransaction {
  private final class Box: @unchecked Sendable {
    // Written by the thread, read when it has ended.
    var made: Result<TransactionRun, RunError>?
  }

  private let worker: Worker
  private let box: Box

  /// As a program's first thread has: a crash may have left a deep tree to commit or to remove.
  private static let stackBytes = 8 << 20

  /// - Parameter workspace: canonical.
  init(
    _ mode: TransactionMode, _ options: RunOptions, id: String, workspace: LaunchRequest.Share,
    _ caller: Caller
  ) throws(RunError) {
    let box = Box()
    self.box = box
    let path = workspace.path
    do throws(SyscallError) {
      worker = try Worker(stackBytes: Self.stackBytes) {
        box.made = Result { () throws(RunError) in
          try TransactionRun(mode, options, id: id, workspace: path, caller: caller)
        }
      }
    } catch {
      throw RunError(
        .internalFailure, "--txn: \(error.description)", hint: Hints.forNewProcess(error))
    }
  }

  /// Once, when it is needed.
  func take() -> Result<TransactionRun, RunError> {
    worker.join()
    defer { box.made = nil }
    return box.made!
  }

  deinit { worker.join() }
}

/// What became of a transaction, for the person and --result-json.
struct TransactionOutcome {
  enum State: String {
    case committed, kept, discarded, committing
  }
  var id: String
  var mode: TransactionMode
  var state: State
  var reason: String?
  var changes: Int?
  var error: TransactionError?

  /// A run whose changes were to be committed, and were not, has not succeeded.
  var isRefusal: Bool { error != nil && state != .discarded }

  var json: JSONValue {
    .object([
      "id": .string(id), "mode": .string(mode.rawValue), "state": .string(state.rawValue),
      "reason": JSONValue(reason), "changes": changes.map { JSONValue($0) } ?? .null,
      "message": JSONValue(error?.message),
    ])
  }

  /// For the audit log.
  var entry: JSONObject {
    [
      "transaction": .string(id), "state": .string(state.rawValue), "reason": JSONValue(reason),
      "changes": changes.map { JSONValue($0) } ?? .null,
    ]
  }

  /// `transaction 01J… kept, 3 changes; see: agt txn diff 01J…; then: agt txn commit 01J…`
  var sentence: String {
    let count = changes.map { "\($0) change\($0 == 1 ? "" : "s")" }
    switch state {
    case .committed: return "transaction \(id) committed, \(count ?? "")"
    case .discarded:
      return "transaction \(id) discarded (\(reason ?? "")); the workspace is as it was"
    case .committing: return "transaction \(id) is half committed; finish it: agt txn recover"
    case .kept:
      return "transaction \(id) kept\(count.map { ", \($0)" } ?? ""); see: agt txn diff \(id); "
        + "then: agt txn commit \(id) or agt txn discard \(id)"
    }
  }
}
