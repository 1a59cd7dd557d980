internal import Glibc
internal import Kernel
internal import Saga

/// The journal of a saga while an agent drives it: as a runner's, and locked as one.
///
/// Every entry is on the disk when `append` returns. It is left complete when the supervisor is killed, so that
/// `agt saga resume` undoes what it holds.
final class SagaBook {
  private let header: SagaJournal.Header
  private let store: SagaStore
  private(set) var directory: SagaDirectory?
  private var lock: OwnedFD?
  private var journal: JournalFile?
  private var lastMilliseconds: UInt64

  init(_ header: SagaJournal.Header, _ store: SagaStore) {
    self.header = header
    self.store = store
    lastMilliseconds = header.begunAt
  }

  func open() throws(RunError) {
    let made = try store.create(header, plan: nil)
    directory = made
    do throws(SyscallError) {
      guard let taken = try made.lock() else {
        throw SyscallError(call: "flock", object: made.path, errno: EWOULDBLOCK)
      }
      lock = consume taken
      journal = try JournalFile(
        made, recordCount: 0, validBytes: SagaJournal.line(header).count)
    } catch { throw failure(error) }
    try append([.runner(boot: Boot.identifier, pid: getpid())])
  }

  func append(_ bodies: [SagaRecord.Body]) throws(RunError) {
    do throws(SyscallError) {
      guard let journal else {
        throw SyscallError(call: "write", object: "a journal that is closed", errno: EBADF)
      }
      lastMilliseconds = max(lastMilliseconds, Clock.wallNanoseconds() / 1_000_000)
      try journal.append(bodies.map { SagaRecord(at: lastMilliseconds, $0) })
    } catch {
      // Its tail may be torn, which is cut only where nothing follows.
      journal = nil
      throw failure(error)
    }
  }

  /// Leaves the saga to a runner.
  func close() {
    journal = nil
    lock = nil
  }

  private func failure(_ error: SyscallError) -> RunError {
    RunError(.internalFailure, "the journal of saga \(header.id): \(error.description)")
  }
}

/// What a runner finds of a tool that is a step (`SagaDirectory.run`): a lock that is held as long as its agt-run
/// lives, and what that wrote down.
final class SagaStepFiles {
  private(set) var lock: OwnedFD?
  private(set) var record: OwnedFD?
  private(set) var events: OwnedFD?
  /// Of the program.
  let environment: [(name: String, value: String)]

  init(_ directory: SagaDirectory, step: String) throws(SyscallError) {
    let base = directory.run(step, .run, 1)
    environment = [
      ("AGT_ATTEMPT", "1"), ("AGT_IDEMPOTENCY_KEY", "\(directory.id)/\(step)"),
      ("AGT_SAGA_ID", directory.id), ("AGT_STEP_ID", step),
    ]
    func make(_ suffix: String) throws(SyscallError) -> OwnedFD {
      try Files.open(
        ByteString("\(base).\(suffix)"), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o600)
    }
    let made = try make("lock")
    guard try Descriptors.tryLock(made.raw) else {
      throw SyscallError(call: "flock", object: base + ".lock", errno: EWOULDBLOCK)
    }
    lock = consume made
    record = try make("json")
    events = try make("events")
  }

  /// The lock is the tool's now.
  func release(to pid: Int32) {
    if let number = lock.raw { try? Descriptors.write(number, Array("\(pid)\n".utf8)) }
    close()
  }

  func close() {
    lock = nil
    record = nil
    events = nil
  }
}
