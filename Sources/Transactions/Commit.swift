internal import Glibc
internal import Hashing
public import Kernel

/// Bringing a transaction's changes into the workspace, all of them or none.
///
/// 1. Every changed file is staged in the workspace's own file system, complete with owner, mode,
///    attributes and times, and brought to disk. Whatever can fail for want of space or rights fails here.
/// 2. The manifest is written. From here on the commit will be done, by this process or by recovery.
/// 3. The steps: unlink, mkdir, rename. Each can be done again.
/// 4. To disk, and the transaction is gone.
extension Transaction {
  /// How a commit ended that ended well.
  public enum Committed: Equatable, Sendable {
    /// So many changes are in the workspace.
    case changes(Int)
    /// What an interrupted commit had left to do is done, and that was all.
    case finished
  }

  /// An interrupted commit is finished first.
  /// - Parameters:
  ///   - paths: nil for everything; otherwise those and what is below them. The transaction goes on with
  ///     the rest.
  ///   - allowExecutable: also files that something would execute or trust (`Gate`).
  /// - Throws: `conflict` or `gated` with nothing changed. `failed` with nothing changed, unless
  ///   `hasManifest` holds: then recovery finishes it.
  @discardableResult
  public func commit(
    paths: [ByteString]? = nil, allowExecutable: Bool
  ) throws(TransactionError) -> Committed {
    try refuseWithBase()
    let finished = hasManifest ? try finishCommit() : nil
    if finished?.isPartial == false { return .finished }
    let workspace = try workspace()
    let upper = try upper()
    var changes = try Scan.run(upper: upper, lower: workspace, record: record)
    if var paths {
      // What was asked for may be the very part that is finished.
      paths.removeAll { path in
        finished?.steps.contains { ChangeSet.isAtOrBelow($0.path, path) } == true
          && !changes.selects(path)
      }
      if paths.isEmpty { return .finished }
      changes = try changes.selecting(paths)
    }
    try refuse(conflicts: changes.conflicts)
    let gated = try gated(changes)
    if !allowExecutable, !gated.isEmpty { throw Self.refusal(gated: gated, id) }
    let isPartial = paths != nil
    if changes.isEmpty {
      if !isPartial { try vanish() }
      return .changes(0)
    }
    try stir()
    let stage = try Stage.make(record, workspace: workspace, upper: upper)
    do throws(TransactionError) {
      let digests = try stage.fill(changes)
      workspace.forget()
      try refuse(conflicts: try latest(changes, workspace))
      try doing("syncing the workspace") { () throws(SyscallError) in
        try Files.syncFileSystem(workspace.root.raw)
      }
      try replace(Self.manifestName, Manifest(changes, digests, isPartial: isPartial).encoded)
    } catch {
      if !Self.hasManifest(directory) { stage.remove() }
      throw error
    }
    hasManifest = true
    try finishCommit(stage)
    return .changes(changes.count)
  }

  private func refuse(conflicts: [Conflict]) throws(TransactionError) {
    guard !conflicts.isEmpty else { return }
    let shown = conflicts.prefix(Self.maximumListed).map {
      "\n  \(Display.path($0.path)) \($0.what)"
    }
    let more =
      conflicts.count > shown.count ? "\n  and \(conflicts.count - shown.count) more" : ""
    throw TransactionError(
      .conflict,
      "\(id): paths changed underneath since it began; nothing was committed:"
        + shown.joined() + more,
      hint: "agt txn diff \(id) shows both; commit the others by path, or: agt txn discard \(id)")
  }

  private static func refusal(gated: [Gate.Finding], _ id: String) -> TransactionError {
    let shown = gated.prefix(maximumListed).map { "\n  \(Display.path($0.path)): \($0.reason)" }
    let more = gated.count > shown.count ? "\n  and \(gated.count - shown.count) more" : ""
    return TransactionError(
      .gated,
      "\(id): files that would be executed or trusted later; nothing was committed:"
        + shown.joined() + more,
      hint: "look at them: agt txn diff \(id); then: agt txn commit \(id) --allow-executable")
  }

  /// A message is read by a person.
  private static let maximumListed = 20

  /// What changed while the files were staged.
  private func latest(
    _ changes: ChangeSet, _ workspace: Tree
  ) throws(TransactionError) -> [Conflict] {
    try doing("comparing the workspace") { () throws(SyscallError) in
      var conflicts: [Conflict] = []
      let removed = Set(changes.removals.map(\.path))
      for change in changes.removals + changes.additions {
        let now = try workspace.status(of: change.path)
        let isDirectory = change.after?.kind == .directory && now?.kind == .directory
        if let now, let before = change.before, Entry(now) == before || isDirectory { continue }
        if now == nil, change.before == nil { continue }
        // A removal comes first, and then something takes its place.
        if change.before == nil, removed.contains(change.path) { continue }
        conflicts.append(
          Conflict(path: change.path, what: now == nil ? "was removed" : "was changed"))
      }
      return conflicts
    }
  }

  // MARK: after the point of no return

  /// Does the steps of the manifest and ends the transaction, or its part.
  /// - Parameter made: by this process; nil after a crash, when some steps are done already.
  @discardableResult
  func finishCommit(_ made: Stage? = nil) throws(TransactionError) -> Manifest {
    let bytes = try doing(Self.manifestName) { () throws(SyscallError) in
      try Files.read(
        ByteString(Self.manifestName), limit: Self.maximumManifestBytes, at: directory)
    }
    let manifest = try Manifest(decoding: bytes)
    let workspace = try workspace()
    let upper = try upper()
    let stage =
      if let made { made } else {
        try Stage.resume(record, manifest, workspace: workspace, upper: upper)
      }
    do throws(SyscallError) {
      for step in manifest.steps { try stage.perform(step, again: made == nil) }
      try Files.syncFileSystem(workspace.root.raw)
    } catch {
      throw TransactionError(
        "committing \(id), which is half done", error,
        hint: "mend the cause; then: agt txn recover")
    }
    stage.remove()
    if manifest.isPartial {
      try leave(manifest, workspace, upper)
    } else {
      try vanish()
    }
    hasManifest = false
    return manifest
  }

  /// After a part: what was committed is no change any more, and no conflict either.
  private func leave(
    _ manifest: Manifest, _ workspace: Tree, _ upper: Tree
  ) throws(TransactionError) {
    workspace.forget()
    var times: [String: Int64] = [:]
    try doing("leaving the rest of \(id)") { () throws(SyscallError) in
      for step in manifest.steps {
        let path = step.path
        switch step {
        case .removeFile, .removeDirectory:
          // Its whiteout has nothing to cover any more.
          if let status = try upper.status(of: path), status.kind == .characterDevice {
            let place = try upper.parent(of: path)
            try Files.remove(place.name, at: place.directory)
          }
        case .makeDirectory, .place, .settle: break
        }
        var here = path
        while true {
          if times[Hexadecimal.encode(here)] == nil, let status = try workspace.status(of: here) {
            times[Hexadecimal.encode(here)] = status.changedNanoseconds
          }
          guard !here.isEmpty else { break }
          here = here.lastIndex(of: UInt8(ascii: "/")).map { Array(here[..<$0]) } ?? []
        }
      }
    }
    try settle(times)
    try doing("ending the commit") { () throws(SyscallError) in
      try Files.remove(ByteString(Self.manifestName), at: directory)
      try Files.sync(directory)
    }
  }
}
