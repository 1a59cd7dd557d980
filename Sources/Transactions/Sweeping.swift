internal import Glibc
internal import Kernel

/// How what is discarded leaves the disk.
///
/// It is gone for everybody when its directory is renamed. Its files follow: at once when they are few, else by a
/// process of its own that nobody waits for, and after a crash by whoever recovers next. It must never be taken for a
/// transaction again, and its space must come back without anybody's doing.
extension TransactionStore {
  /// What a discard waits for itself.
  private static let patienceNanoseconds: UInt64 = 20_000_000
  private static let sweepLock = ByteString(".sweep")

  /// From one moment to the next there is no such transaction.
  /// - Parameter isDurable: whether it must stay gone also after a loss of power; not for one that is discarded then
  ///   anyway.
  func vanish(_ id: String, isDurable: Bool) throws(TransactionError) {
    try doing("removing \(path)/\(id)") { () throws(SyscallError) in
      let parent = try openStore()
      let gone = ByteString(Self.gone + id)
      try Files.rename(ByteString(id), to: gone, at: parent.raw)
      if isDurable { try Files.sync(parent.raw) }
      try remove([gone], parent.raw)
    }
  }

  /// Few files at once, many by a process of its own.
  private func remove(_ names: [ByteString], _ store: Int32) throws(SyscallError) {
    let deadline =
      sweeper.command.isEmpty ? nil : Clock.monotonicNanoseconds() + Self.patienceNanoseconds
    do throws(SyscallError) {
      var isDone = true
      for name in names where isDone {
        isDone = try Files.removeTree(name, at: store, until: deadline)
      }
      if isDone { return }
    } catch {
      // A sweeper may be at it as well.
      if error.errno != ENOENT { throw error }
    }
    do throws(SyscallError) { try startSweeper() } catch { try sweep(store) }
  }

  private func openStore() throws(SyscallError) -> OwnedFD {
    try Files.open(ByteString(path), O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
  }

  /// Nobody waits for it, and it holds nothing of ours open.
  private func startSweeper() throws(SyscallError) {
    guard let program = sweeper.command.first else {
      throw SyscallError(call: "posix_spawn", errno: ENOENT)
    }
    let nothing = try Files.open(ByteString("/dev/null"), O_RDWR)
    _ = try Processes.spawn(
      program, arguments: sweeper.command, environment: sweeper.environment,
      descriptors: (0...2).map { (nothing.raw, $0) }, ownGroup: true)
  }

  /// What a crash left, or somebody is removing just now. It is nobody's business who recovers or begins a run.
  func resumeSweeping() {
    do throws(SyscallError) {
      let store = try openStore()
      let lock = try Files.open(
        Self.sweepLock, O_RDWR | O_CREAT | O_NOFOLLOW, mode: 0o600, at: store.raw)
      guard try Descriptors.tryLock(lock.raw) else { return }
      try remove(try gone(in: store.raw), store.raw)
    } catch {
      // What cannot be removed stays, and is tried again the next time.
    }
  }

  /// Removes what is on its way out, after whoever is at it.
  public func sweep() throws(TransactionError) {
    try doing("removing what was discarded in \(path)") { () throws(SyscallError) in
      let store: OwnedFD
      do throws(SyscallError) { store = try openStore() } catch {
        if error.errno == ENOENT { return }
        throw error
      }
      let lock = try Files.open(
        Self.sweepLock, O_RDWR | O_CREAT | O_NOFOLLOW, mode: 0o600, at: store.raw)
      try Descriptors.lock(lock.raw)
      try sweep(store.raw)
    }
  }

  private func sweep(_ store: Int32) throws(SyscallError) {
    for name in try gone(in: store) {
      var attempts = 0
      while true {
        attempts += 1
        do throws(SyscallError) {
          try Files.removeTree(name, at: store)
          break
        } catch {
          // Whoever discards begins without the lock, and is at it for some milliseconds.
          if error.errno != ENOENT || attempts == Self.attemptsMax { throw error }
        }
      }
    }
  }

  private static let attemptsMax = 16

  private func gone(in store: Int32) throws(SyscallError) -> [ByteString] {
    let names = try Files.names(
      in: try Files.open(ByteString("."), O_RDONLY | O_DIRECTORY, at: store))
    return names.filter { $0.starts(with: ByteString(Self.gone)) }
  }
}
