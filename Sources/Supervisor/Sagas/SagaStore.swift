internal import Glibc
internal import Hashing
public import Kernel
public import Saga
internal import YAML

/// Where the sagas of one user are, one directory each:
///
///     ID/journal.jsonl   what has happened; durable before anything follows from it
///     ID/plan.yaml       the plan as it was when the saga began; none of one that an agent drives
///     ID/lock            held by the runner, whose pid it holds
///     ID/cancel          somebody wants it undone
///     ID/runs/STEP.KIND.N.{lock,json,events,out,err}   one attempt
///     ID/requests        what people are asked to approve
///     ID/approvals       what they say; root's is open to all, and who owns an answer has given it
public struct SagaStore: Sendable {
  public let path: String

  public init(path: String) { self.path = path }

  /// /var/lib/agt/saga of root, else $XDG_STATE_HOME/agt/saga or ~/.local/state/agt/saga.
  /// - Parameter environment: of the caller, `NAME=VALUE`.
  public static func standard(environment: [ByteString]) throws(RunError) -> SagaStore {
    if Identity.effectiveUID == 0 { return SagaStore(path: "/var/lib/agt/saga") }
    func value(_ name: String) -> String? {
      let prefix = ByteString(name + "=")
      return environment.first { $0.starts(with: prefix) }.map {
        ByteString($0.dropFirst(prefix.count)).text
      }
    }
    // The XDG base directory specification: a relative path is invalid and ignored.
    if let state = value("XDG_STATE_HOME"), state.hasPrefix("/") {
      return SagaStore(path: state + "/agt/saga")
    }
    guard let home = value("HOME"), home.hasPrefix("/") else {
      throw RunError(
        .internalFailure, "there is no HOME to keep the journal of a saga in",
        hint: "XDG_STATE_HOME=/path agt saga …")
    }
    return SagaStore(path: home + "/.local/state/agt/saga")
  }

  /// The identifiers of the sagas that are there, oldest first.
  public func identifiers() throws(RunError) -> [String] {
    do throws(SyscallError) {
      return try Files.names(in: ByteString(path)).map(\.text).filter(RunIdentifier.isValid)
        .sorted()
    } catch {
      if error.errno == ENOENT { return [] }
      throw RunError(.internalFailure, "reading \(path): \(error.description)")
    }
  }

  /// A saga by its identifier or the beginning of it.
  public func find(_ text: String) throws(RunError) -> SagaDirectory {
    let found = try identifiers().filter { !text.isEmpty && $0.hasPrefix(text) }
    guard let id = found.first else {
      throw RunError(.usage, "there is no saga \(SagaText.quote(text))", hint: "agt saga list")
    }
    if found.count > 1 {
      throw RunError(
        .usage, "\(SagaText.quote(text)) is the beginning of \(found.count) sagas",
        hint: "write more of it: agt saga list")
    }
    return SagaDirectory(id: id, path: path + "/" + id)
  }

  /// Removes what runners that were killed while they made a saga left; no step of it ever ran. And what an
  /// earlier removal could not.
  /// - Returns: what could not be removed.
  public func removeUnfinished() throws(RunError) -> [RunError] {
    let names: [ByteString]
    do throws(SyscallError) { names = try Files.names(in: ByteString(path)) } catch {
      if error.errno == ENOENT { return [] }
      throw RunError(.internalFailure, "reading \(path): \(error.description)")
    }
    var problems: [RunError] = []
    for name in names where name.text.hasPrefix(".new-") {
      let directory = SagaDirectory(id: name.text, path: path + "/" + name.text)
      do throws(SyscallError) {
        let status = try Files.status(of: ByteString(directory.path), followLink: false)
        let age = Int64(clamping: Clock.wallNanoseconds()) - status.modifiedNanoseconds
        if age > Self.unfinishedNanoseconds { try directory.removeFiles() }
      } catch { problems.append(directory.leftover(error)) }
    }
    return problems
  }

  /// Making a saga takes milliseconds.
  private static let unfinishedNanoseconds: Int64 = 60_000_000_000

  /// Makes the directory of a new saga, complete and durable, or none.
  public func create(
    _ header: SagaJournal.Header, plan: [UInt8]?
  ) throws(RunError) -> SagaDirectory {
    let directory = SagaDirectory(id: header.id, path: path + "/" + header.id)
    do throws(SyscallError) {
      // The requests of root's sagas are for everyone to see, and to answer who may.
      let isRoot = Identity.effectiveUID == 0
      try Files.makeDirectories(ByteString(path), mode: isRoot ? 0o755 : 0o700)
      let fresh = path + "/.new-" + header.id
      try Files.makeDirectory(ByteString(fresh), mode: isRoot ? 0o711 : 0o700)
      try Files.makeDirectory(ByteString(fresh + "/runs"), mode: 0o700)
      try Files.makeDirectory(ByteString(fresh + "/requests"), mode: isRoot ? 0o755 : 0o700)
      try Files.makeDirectory(ByteString(fresh + "/approvals"), mode: 0o700)
      let place = try open(fresh)
      // Whatever the umask has taken away.
      if isRoot {
        try Files.setMode(0o711, of: place.raw)
        try Files.setMode(0o755, of: ByteString("requests"), at: place.raw)
        try Files.setMode(0o1777, of: ByteString("approvals"), at: place.raw)
      }
      if let plan { try Self.write(fresh + "/plan.yaml", plan) }
      try Self.write(fresh + "/journal.jsonl", SagaJournal.line(header))
      try Files.sync(place.raw)
      try Files.rename(ByteString(fresh), to: ByteString(directory.path))
      let store = try open(path)
      try Files.sync(store.raw)
    } catch {
      throw RunError(
        .internalFailure, "making the journal in \(path): \(error.description)",
        hint: error.errno == ENOSPC ? "free some space there" : nil)
    }
    return directory
  }

  private func open(_ path: String) throws(SyscallError) -> OwnedFD {
    try Files.open(ByteString(path), O_RDONLY | O_DIRECTORY)
  }

  private static func write(_ path: String, _ bytes: [UInt8]) throws(SyscallError) {
    let file = try Files.open(
      ByteString(path), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o600)
    try Descriptors.write(file.raw, bytes)
    try Files.sync(file.raw)
  }
}

/// The directory of one saga.
public struct SagaDirectory: Sendable {
  public let id: String
  public let path: String

  public var journal: String { path + "/journal.jsonl" }
  public var approvals: String { path + "/approvals" }
  public var requests: String { path + "/requests" }
  public var cancellation: String { path + "/cancel" }

  /// `runs/STEP.KIND.N` without what follows.
  public func run(_ step: String, _ kind: SagaActionKind, _ attempt: Int) -> String {
    "\(path)/runs/\(step).\(kind.rawValue).\(attempt)"
  }

  /// What the journal says, with the plan that belongs to it.
  public struct Loaded: Sendable {
    public var header: SagaJournal.Header
    public var machine: SagaMachine
    public var recordCount: Int
    public var validBytes: Int
  }

  public func load() throws(RunError) -> Loaded {
    let bytes: [UInt8]
    do throws(SyscallError) {
      bytes = try Files.read(ByteString(journal), limit: SagaJournal.sizeMaxBytes)
    } catch { throw RunError(.internalFailure, "reading saga \(id): \(error.description)") }
    do throws(SagaProblem) {
      let contents = try SagaJournal.read(bytes)
      let isDriven = contents.header.driver != nil
      let graph =
        isDriven ? SagaGraph.driven(name: contents.header.name) : try plan(contents.header)
      var machine = SagaMachine(
        graph: graph, sagaID: id, parameters: contents.header.parameters,
        begunAt: contents.header.begunAt,
        seed: contents.header.seed &+ UInt64(contents.records.count), isDriven: isDriven)
      for record in contents.records { try machine.replay(record) }
      return Loaded(
        header: contents.header, machine: machine, recordCount: contents.records.count,
        validBytes: contents.validBytes)
    } catch {
      throw RunError(
        .internalFailure, "saga \(id): \(error.description)", hint: "the journal is \(journal)")
    }
  }

  private func plan(_ header: SagaJournal.Header) throws(SagaProblem) -> SagaGraph {
    let text: [UInt8]
    do throws(SyscallError) {
      text = try Files.read(ByteString(path + "/plan.yaml"), limit: SagaPlanFile.sizeMaxBytes)
    } catch { throw SagaProblem(error.description) }
    guard SHA256.text(text) == header.planDigest else {
      throw SagaProblem("plan.yaml is not the plan with which the saga began")
    }
    return try SagaPlanFile.graph(text, file: header.planFile)
  }

  /// Takes the saga for this process, whose pid the lock holds then; nil when another has it.
  public func lock() throws(SyscallError) -> OwnedFD? {
    let file = try Files.open(
      ByteString(path + "/lock"), O_RDWR | O_CREAT | O_NOFOLLOW, mode: 0o600)
    guard try Descriptors.tryLock(file.raw) else { return nil }
    try Files.truncate(file.raw, toBytes: 0)
    try Descriptors.write(file.raw, Array("\(getpid())\n".utf8))
    return file
  }

  /// The pid of the runner; nil when none runs.
  public var runnerPid: Int32? {
    guard let file = try? Files.open(ByteString(path + "/lock"), O_RDWR | O_NOFOLLOW),
      let isFree = try? Descriptors.tryLock(file.raw), !isFree,
      let text = try? Descriptors.read(file.raw, upTo: 32)
    else { return nil }
    return Int32(text.text.prefix { $0 != "\n" })
  }
}

/// Reading of plans from files.
public enum SagaPlanFile {
  /// As the reader's own bound.
  public static let sizeMaxBytes = 8 << 20

  /// What is wrong with a plan that is to begin, its hosts included.
  public static func check(
    _ plan: SagaPlan
  ) -> (findings: [SagaLint.Finding], graph: SagaGraph?) {
    SagaLint.check(plan, hostProblem: RunOptions.problem(ofHost:))
  }

  /// The graph of a plan that has no errors.
  static func graph(_ bytes: [UInt8], file: String) throws(SagaProblem) -> SagaGraph {
    let plan: SagaPlan
    do { plan = try SagaPlanReader.read(bytes, file: file) } catch {
      throw SagaProblem(error.description)
    }
    let (findings, graph) = SagaLint.check(plan)
    guard let graph else {
      throw SagaProblem(
        findings.filter(\.isError).map { $0.description(file: file) }.joined(separator: "\n"))
    }
    return graph
  }
}

extension SagaDirectory {
  /// Tells the runner that somebody wants the saga undone.
  public func askToCancel(_ runner: Int32, reason: String) throws(RunError) {
    let file = ByteString(cancellation)
    do throws(SyscallError) {
      try? Files.remove(file)
      try Files.create(file, mode: 0o600, contents: Array(reason.utf8.prefix(4096)))
      try Processes.signal(runner, SIGUSR1)
    } catch {
      // What is said to have failed is not done later.
      try? Files.remove(file)
      throw RunError(.internalFailure, "telling process \(runner): \(error.description)")
    }
  }

  /// Removes the saga and everything that is known of it.
  public func remove() throws(RunError) {
    // A name under which nobody looks for a saga, then the rest: a crash leaves no half of one.
    let gone = SagaDirectory(id: id, path: String(path.dropLast(id.utf8.count)) + ".new-" + id)
    do throws(SyscallError) {
      guard let lock = try lock() else {
        throw SyscallError(call: "flock", object: path, errno: EWOULDBLOCK)
      }
      try Files.rename(ByteString(path), to: ByteString(gone.path))
      _ = lock.raw
    } catch { throw RunError(.internalFailure, "removing saga \(id): \(error.description)") }
    do throws(SyscallError) { try gone.removeFiles() } catch { throw gone.leftover(error) }
  }

  func leftover(_ error: SyscallError) -> RunError {
    RunError(
      .internalFailure, "removing what is left in \(path): \(error.description)",
      hint: "look at it, then: rm -r \(path)")
  }

  /// Whatever can be removed is; nothing is followed.
  /// - Throws: the first failure: a directory that somebody put among the answers and filled.
  func removeFiles() throws(SyscallError) {
    let place = try Files.open(ByteString(path), O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
    // From here on nobody adds an answer.
    try? Files.setMode(0o700, of: ByteString("approvals"), at: place.raw)
    try Self.removeNames(in: place.raw, levels: 1)
    try Files.remove(ByteString(path), directory: true)
  }

  private static func removeNames(in directory: Int32, levels: Int) throws(SyscallError) {
    var failure: SyscallError?
    for name in try Files.names(
      in: try Files.open(ByteString("."), O_RDONLY | O_DIRECTORY, at: directory))
    {
      do throws(SyscallError) {
        try remove(name, at: directory, levels: levels)
      } catch { failure = failure ?? error }
    }
    if let failure { throw failure }
  }

  private static func remove(
    _ name: ByteString, at directory: Int32, levels: Int
  ) throws(SyscallError) {
    do throws(SyscallError) { return try Files.remove(name, at: directory) } catch {
      if error.errno != EISDIR { throw error }
    }
    if levels > 0 {
      let inner = try Files.open(name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, at: directory)
      try removeNames(in: inner.raw, levels: levels - 1)
    }
    try Files.remove(name, directory: true, at: directory)
  }
}
