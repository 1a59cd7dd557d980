public import Audit
public import AuditStore
internal import Glibc
internal import Hashing
internal import JSON
internal import Kernel

/// The audit logs of a user, as `agt log` reads them. Nothing here writes, but for `rotateKey`.
public struct AuditReader {
  private let place: AuditPlace

  /// A log of this user.
  public enum Log: Equatable, Sendable {
    case host
    /// With the run's identifier.
    case run(String)
  }

  /// - Parameter environment: of the caller, `NAME=VALUE`.
  public init(environment: [[UInt8]]) throws(RunError) {
    let caller = Caller(environment)
    guard let place = AuditPlace.existing(caller) else {
      throw RunError(
        .notFound, "no run of this user was ever recorded",
        hint: "looked for \(AuditPlace.candidates(caller).map(\.path).joined(separator: ", "))")
    }
    self.place = place
  }

  public func path(_ log: Log) -> String {
    switch log {
    case .host: place.host
    case .run(let id): place.run(id)
    }
  }

  /// Identifiers of the runs whose logs are there, oldest first.
  public func runs() throws(RunError) -> [String] {
    do throws(SyscallError) {
      return try Files.names(in: ByteString(place.path + "/runs")).map(\.text).filter {
        RunIdentifier.isValid($0)
      }.sorted()
    } catch { throw Self.failure(place.path, .system(error)) }
  }

  /// A run by its identifier, the beginning of it, or `last`; nil is the host's log.
  public func find(_ text: String?) throws(RunError) -> Log {
    guard let text else { return .host }
    let all = try runs()
    if text == "last", let last = all.last { return .run(last) }
    let matching = all.filter { $0.hasPrefix(text.uppercased()) }
    if matching.count == 1 { return .run(matching[0]) }
    throw RunError(
      .notFound,
      matching.isEmpty
        ? "\(text): there is no log of such a run"
        : "\(text): \(matching.count) runs have identifiers that begin so",
      hint: "agt log lists the runs; last is the latest")
  }

  // MARK: reading

  /// The entries of a log in order, also those that nothing vouches for yet.
  /// - Parameter from: index of the first.
  public func entries(
    _ log: Log, from: UInt64 = 0, _ body: (Entry) throws(RunError) -> Void
  ) throws(RunError) {
    var refusal: RunError?
    do throws(LogError) {
      try LogVerifier(path(log)).eachEntry(from: from) { (line) throws(LogError) in
        let entry: Entry
        do throws(AuditError) { entry = try Entry(parsing: line) } catch { throw .audit(error) }
        do throws(RunError) { try body(entry) } catch {
          refusal = error
          throw .failed("")
        }
      }
    } catch { throw refusal ?? Self.failure(path(log), error) }
  }

  /// The key that a log began with: the host's says its own, a run's is in the host's log.
  public func key(of log: Log) throws(RunError) -> VerifierKey {
    do throws(LogError) {
      switch log {
      case .host: return try LogVerifier(place.host).ownKey()
      case .run(let id):
        var found: VerifierKey?
        try LogVerifier(place.host).eachEntry { (line) throws(LogError) in
          guard found == nil, let entry = try? Entry(parsing: line), entry.kind == .runStart,
            entry.data["run"]?.stringValue == id
          else { return }
          found = entry.data["key"]?.stringValue.flatMap { VerifierKey($0) }
        }
        guard let found else {
          throw .audit(.malformed("the host's log has no start of run \(id)"))
        }
        return found
      }
    } catch { throw Self.failure(path(log), error) }
  }

  // MARK: verifying

  /// What the host's log says of a run whose log is there.
  struct Claim {
    var key: VerifierKey
    /// nil when the run has no end.
    var end: (size: UInt64, root: String)?
  }

  public struct RunFinding: Sendable {
    public var run: String
    public var entries: UInt64
    /// Behind the last signature of a run without an end: nothing vouches for them.
    public var unsignedEntries: UInt64 = 0
    /// Whether the host's log says how the run ended.
    public var hasEnded: Bool
    /// Why its log is not believed; nil when it is.
    public var problem: String?
  }

  public struct Finding: Sendable {
    public var host: LogFinding
    public var runs: [RunFinding]
    /// Runs that the host's log knows and whose logs are not there.
    public var removedRuns: UInt64
    public var isSound: Bool { runs.allSatisfy { $0.problem == nil } }
  }

  /// The host's log, and every run's that is there against it.
  public func verifyAll(key: VerifierKey?, from: [Checkpoint]) throws(RunError) -> Finding {
    let present = Set(try runs())
    var claims: [String: Claim] = [:]
    var removed: UInt64 = 0
    let first: VerifierKey
    if let key { first = key } else { first = try self.key(of: .host) }
    let host: LogFinding
    do throws(LogError) {
      host = try LogVerifier(place.host).verify(key: first, from: from) {
        (_, line) throws(LogError) in
        guard let entry = Self.runEntry(line), let id = entry.data["run"]?.stringValue else {
          return
        }
        guard present.contains(id) else {
          if entry.kind == .runStart { removed += 1 }
          return
        }
        Self.take(entry, id, &claims)
      }
    } catch { throw Self.failure(place.host, error) }
    var findings: [RunFinding] = []
    for id in present.sorted() { findings.append(verify(id, claims[id])) }
    return Finding(host: host, runs: findings, removedRuns: removed)
  }

  private static func runEntry(_ line: Span<UInt8>) -> Entry? {
    guard LogVerifier.hasKind(line, "run.start") || LogVerifier.hasKind(line, "run.end") else {
      return nil
    }
    return try? Entry(parsing: LogVerifier.copy(line))
  }

  private static func take(_ entry: Entry, _ id: String, _ claims: inout [String: Claim]) {
    if entry.kind == .runStart, claims[id] == nil,
      let key = entry.data["key"]?.stringValue.flatMap({ VerifierKey($0) })
    {
      claims[id] = Claim(key: key)
    }
    if entry.kind == .runEnd, let size = entry.data["size"]?.integerValue, size >= 0,
      let root = entry.data["root"]?.stringValue
    {
      claims[id]?.end = (UInt64(size), root)
    }
  }

  private func verify(_ id: String, _ claim: Claim?) -> RunFinding {
    guard let claim else {
      return RunFinding(
        run: id, entries: 0, hasEnded: false, problem: "the host's log has no start of this run")
    }
    do throws(LogError) {
      var kept: [Checkpoint] = []
      if let end = claim.end, let bytes = Base64.decode(end.root),
        let root = Digest(bytes: bytes)
      {
        kept = [Checkpoint(origin: claim.key.name, size: end.size, root: root)]
      }
      let finding = try LogVerifier(place.run(id)).verify(key: claim.key, from: kept)
      var problem: String?
      if let end = claim.end, finding.checkpoint.size + finding.unsignedEntries != end.size {
        problem = "\(end.size) entries were there at its end, and others follow"
      }
      return RunFinding(
        run: id, entries: finding.checkpoint.size,
        unsignedEntries: claim.end == nil ? finding.unsignedEntries : 0,
        hasEnded: claim.end != nil, problem: problem)
    } catch {
      // A log is signed before its first entry: without any, its run has just begun, or never did.
      let isNew = claim.end == nil && isEmpty(.run(id))
      return RunFinding(
        run: id, entries: 0, hasEnded: claim.end != nil, problem: isNew ? nil : error.description)
    }
  }

  private func isEmpty(_ log: Log) -> Bool {
    var count = 0
    do throws(LogError) {
      try LogVerifier(path(log)).eachEntry { (_) throws(LogError) in count += 1 }
    } catch { return false }
    return count == 0
  }

  /// One log against its own key.
  public func verified(_ log: Log) throws(RunError) -> LogFinding {
    let key = try key(of: log)
    do throws(LogError) { return try LogVerifier(path(log)).verify(key: key) } catch {
      throw Self.failure(path(log), error)
    }
  }

  // MARK: proofs and keys

  public func prove(_ index: UInt64, in log: Log) throws(RunError) -> LogProof {
    let key = try key(of: log)
    do throws(LogError) { return try LogVerifier(path(log)).prove(index, key: key) } catch {
      throw Self.failure(path(log), error)
    }
  }

  /// - Parameter path: of a directory that is made.
  public func exportTiles(of log: Log, to path: String) throws(RunError) {
    let key = try key(of: log)
    do throws(LogError) {
      try LogVerifier(self.path(log)).exportTiles(to: path, key: key)
    } catch {
      if case .system(let cause) = error, cause.errno == EEXIST {
        throw RunError(.usage, "\(path) is there already", hint: "name a directory to be made")
      }
      throw Self.failure(self.path(log), error)
    }
  }

  /// What a witness that has seen `size` entries needs for the next cosignature.
  public func witnessRequest(
    from size: UInt64, key: VerifierKey?
  ) throws(RunError) -> WitnessRequest {
    let first: VerifierKey
    if let key { first = key } else { first = try self.key(of: .host) }
    do throws(LogError) {
      let (hashes, note) = try LogVerifier(place.host).proveGrowth(from: size, key: first)
      return WitnessRequest(oldSize: size, proof: hashes, checkpoint: note)
    } catch { throw Self.failure(place.host, error) }
  }

  /// - Returns: the new key.
  public func rotateKey() throws(RunError) -> VerifierKey {
    do throws(LogError) {
      let now = AuditClock.milliseconds
      return try HostLog(place.host, hostName: "", timeMilliseconds: now).rotateKey(
        timeMilliseconds: now)
    } catch { throw Self.failure(place.host, error) }
  }

  static func failure(_ path: String, _ error: LogError) -> RunError {
    if case .system(let cause) = error, cause.errno == ENOENT {
      return RunError(.notFound, "\(path): there is no such log")
    }
    return RunError(.internalFailure, "\(path): \(error.description)")
  }
}
