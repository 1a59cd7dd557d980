internal import Glibc
internal import JSON
internal import Kernel
internal import Saga
internal import Supervisor
internal import Transactions

/// The files of steps with `commit: saga`: one transaction, which each of these steps goes on with in a layer of its
/// own, and which is committed or discarded when the saga is over. An attempt that does not succeed leaves nothing
/// in it.
///
/// Which one it is stands in the saga's directory. Everything here can be done again after a crash.
struct WaitingFiles {
  private let directory: SagaDirectory
  private let store: TransactionStore

  init(_ directory: SagaDirectory) {
    self.directory = directory
    store = OperatorState.transactions
  }

  private var place: ByteString { ByteString(directory.path + "/transaction") }

  /// nil while no step has changed anything.
  private func id() throws(TransactionError) -> String? {
    do throws(SyscallError) { return try readID() } catch {
      throw TransactionError(.failed, error.description)
    }
  }

  private func readID() throws(SyscallError) -> String? {
    do throws(SyscallError) {
      let text = try Files.read(place, limit: 64).text
      return text.split(separator: "\n").first.map(String.init)
    } catch {
      if error.errno == ENOENT { return nil }
      throw error
    }
  }

  /// Of agt-run, for a step.
  func options() throws(SyscallError) -> [String] {
    let base = try readID().map { ["--txn-base", $0] } ?? []
    return ["--txn=\(TransactionMode.keepOnSuccess.rawValue)"] + base
  }

  /// Takes over what a step that succeeded has left.
  /// - Parameter result: of its agt-run.
  func take(_ result: JSONValue) throws(TransactionError) {
    let left = result["transaction"]
    guard left?["state"] == "kept", let fresh = left?["id"]?.stringValue else { return }
    guard let id = try id() else { return try write(fresh) }
    if id == fresh { return }
    let step: Transaction
    do throws(TransactionError) { step = try store.take(fresh) } catch {
      // A runner before us has.
      if error.kind == .notFound { return }
      throw error
    }
    try store.take(id).absorb(step)
  }

  private func write(_ id: String) throws(TransactionError) {
    do throws(SyscallError) {
      let folder = try Files.open(ByteString(directory.path), O_RDONLY | O_DIRECTORY)
      try Files.replace(
        ByteString("transaction"), with: Array((id + "\n").utf8), mode: 0o600,
        through: ByteString("transaction.new"), at: folder.raw)
    } catch { throw TransactionError(.failed, error.description) }
  }

  /// A file as the steps see it; nil when none has changed anything.
  func read(_ path: String, limit: Int) throws(TransactionError) -> [UInt8]? {
    guard let id = try id() else { return nil }
    return try store.take(id).read(ByteString(path), limit: limit)
  }

  /// - Parameter isAgain: it was begun, or refused and looked at by a person, before: then one that is gone was
  ///   committed.
  func commit(isAgain: Bool) -> SagaEvent {
    do throws(TransactionError) {
      guard let id = try id() else { return .files(.committed, reason: "nothing was changed") }
      let transaction: Transaction
      do throws(TransactionError) { transaction = try store.take(id) } catch {
        if error.kind == .notFound, isAgain {
          return .files(.committed, reason: "the transaction \(id) was ended before")
        }
        throw error
      }
      try record(.committing, ["transaction": .string(id), "allowExecutable": false])
      let committed = try transaction.commit(allowExecutable: false)
      var end: JSONObject = ["transaction": .string(id), "state": "committed"]
      if case .changes(let count) = committed { end["changes"] = JSONValue(count) }
      try? record(.ended, end)
      return .files(.committed, reason: "")
    } catch {
      let hint = error.hint.map { "; \($0)" } ?? ""
      return .files(
        .refused,
        reason: "\(error.message)\(hint); then: agt saga resume \(directory.id)")
    }
  }

  /// - Returns: why they could not be discarded, which changes nothing for the workspace.
  func discard() -> String? {
    do throws(TransactionError) {
      guard let id = try id() else { return nil }
      try store.discard(id)
      try? record(
        .ended,
        ["transaction": .string(id), "state": "discarded", "reason": "the saga was undone"])
      return nil
    } catch {
      return error.kind == .notFound ? nil : "the transaction of the saga stays: \(error.message)"
    }
  }

  private func record(_ act: OperatorAudit.Act, _ entry: JSONObject) throws(TransactionError) {
    var entry = entry
    entry["saga"] = .string(directory.id)
    do throws(RunError) { try OperatorAudit.record(act, entry) } catch {
      throw TransactionError(.failed, error.message, hint: error.hint)
    }
  }
}
