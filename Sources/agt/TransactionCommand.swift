internal import ArgumentParser
internal import JSON
internal import Kernel
internal import Paths
internal import Supervisor
internal import Transactions

struct TransactionCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "txn", abstract: "Shows, commits and discards what runs did in transactions.",
    discussion: "Root's are in /var/lib/agt/txn, a user's in ~/.local/state/agt/txn.",
    subcommands: [List.self, Diff.self, Commit.self, Discard.self, Recover.self, Sweep.self])

  static let store = OperatorState.transactions

  /// Runs what can be refused: conflicts and the gate give 1, no such transaction 2, failures 125.
  static func attempt<R>(_ body: () throws(TransactionError) -> R) throws -> R {
    do throws(TransactionError) {
      return try body()
    } catch {
      let status: ExitStatus = error.kind == .notFound ? .usage : .internalFailure
      let failure = Printing.fail(RunError(status, error.message, hint: error.hint))
      if error.kind == .conflict || error.kind == .gated { throw ExitCode(1) }
      throw failure
    }
  }

  static let reference: ArgumentHelp = """
    The transaction, or the beginning of its identifier; last, or nothing, for the newest that waits \
    for this directory.
    """

  /// - Parameter given: `last` and nil mean the newest that waits for the workspace that holds the working directory.
  /// - Parameter isSole: without a name there must be no other: what is done cannot be taken back.
  static func named(
    _ given: String?, isSole: Bool = false
  ) throws(TransactionError) -> String {
    if let given, given != "last" { return given }
    let here = (try? Files.workingDirectory().text) ?? "/"
    let waiting = try store.list().filter { listing in
      guard let record = listing.record, listing.state == .kept, !listing.isBusy else {
        return false
      }
      return PathText.isInside(here, record.workspace)
    }
    if given == nil, isSole, waiting.count > 1 {
      throw TransactionError(
        .notFound, "\(waiting.count) transactions wait for \(here): name one, or last",
        hint: "agt txn list")
    }
    guard let newest = waiting.map(\.id).max() else {
      throw TransactionError(.notFound, "no transaction waits for \(here)", hint: "agt txn list")
    }
    return newest
  }

  /// Relative to the workspace, as `--stat` prints them; nil for everything.
  static func selection(_ paths: [String]) -> [ByteString]? {
    let selected = paths.map { path in
      var bytes = ByteString(path)
      while bytes.count > 1, bytes.last == UInt8(ascii: "/") { bytes.removeLast() }
      while bytes.starts(with: ByteString("./")) { bytes.removeFirst(2) }
      return bytes
    }
    // The workspace itself is everything.
    return selected.isEmpty || selected.contains(ByteString(".")) ? nil : selected
  }

  struct List: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Lists the transactions.")
    @Flag(help: "Print JSON.")
    var json = false
    func run() throws {
      let all = try attempt { () throws(TransactionError) in try store.list() }
      if json {
        Printing.json(
          .array(
            all.map {
              .object([
                "id": .string($0.id), "state": .string($0.state.rawValue),
                "busy": .bool($0.isBusy), "workspace": JSONValue($0.record?.workspace),
                "begunNanoseconds": ($0.record?.begunNanoseconds).map { JSONValue($0) } ?? .null,
                "command": ($0.record?.command).map { JSONValue($0) } ?? .null,
              ])
            }))
        return
      }
      for listing in all {
        let state =
          listing.isBusy
          ? "running" : listing.state == .open ? "abandoned" : listing.state.rawValue
        let head = "\(Display.path(ByteString(listing.id)))  \(Printing.padded(state, 10))  "
        guard let record = listing.record else {
          print(head + "its record cannot be read")
          continue
        }
        let command = record.command.joined(separator: " ")
        print(
          head + Display.path(ByteString(record.workspace)) + "  "
            + Display.escaped(ByteString(command), keepingTabs: false))
      }
    }
  }

  struct Diff: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Shows what a commit would change.",
      discussion: "Exit status: 0; 1 when paths changed underneath, which are listed.")
    @Argument(help: TransactionCommand.reference)
    var id: String?
    @Argument(help: "Only these paths, relative to the workspace.")
    var paths: [String] = []
    @Flag(help: "One line a path.")
    var stat = false
    @Flag(help: "Print JSON.")
    var json = false
    func run() throws {
      let paths = selection(self.paths)
      let (transaction, changes, gated) = try attempt { () throws(TransactionError) in
        let transaction = try store.take(try TransactionCommand.named(id))
        var changes = try transaction.changes()
        if let paths { changes = try changes.selecting(paths) }
        return (transaction, changes, try transaction.gated(changes))
      }
      if json {
        Printing.json(transaction.json(changes, gated))
      } else {
        if !gated.isEmpty { print("executed or trusted later; needs --allow-executable:") }
        for finding in gated { print("  \(Display.path(finding.path)): \(finding.reason)") }
        if !gated.isEmpty { print("") }
        for line in stat ? transaction.stat(changes) : transaction.unifiedDiff(changes) {
          print(line)
        }
        for conflict in changes.conflicts {
          print("conflict: \(Display.path(conflict.path)) \(conflict.what)")
        }
      }
      if !changes.conflicts.isEmpty { throw ExitCode(1) }
    }
  }

  struct Commit: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Brings the changes into the workspace, all of them or none.",
      discussion:
        "Exit status: 0 committed, 1 refused for a conflict or the gate, 2 no such transaction.")
    @Argument(help: TransactionCommand.reference)
    var id: String?
    @Argument(help: "Only these paths and what is below them; the rest stays in the transaction.")
    var paths: [String] = []
    @Flag(help: "Also files that something would execute or trust.")
    var allowExecutable = false
    @Flag(name: .shortAndLong, help: "Print nothing but errors.")
    var quiet = false
    func run() throws {
      let paths = selection(self.paths)
      let (name, committed) = try attempt { () throws(TransactionError) in
        let transaction = try store.take(try TransactionCommand.named(id, isSole: true))
        try announce(transaction.id)
        return (
          transaction.id, try transaction.commit(paths: paths, allowExecutable: allowExecutable)
        )
      }
      var outcome: JSONObject = ["transaction": .string(name), "state": "committed"]
      if case .changes(let count) = committed { outcome["changes"] = JSONValue(count) }
      try Printing.attempt { () throws(RunError) in try OperatorAudit.record(.ended, outcome) }
      if quiet { return }
      switch committed {
      case .changes(let count): print("committed \(count) change\(count == 1 ? "" : "s")")
      case .finished: print("finished the commit that was interrupted")
      }
    }

    /// No commit begins that the audit log does not hold.
    private func announce(_ name: String) throws(TransactionError) {
      do throws(RunError) {
        try OperatorAudit.record(
          .committing,
          [
            "transaction": .string(name), "allowExecutable": .bool(allowExecutable),
            "paths": JSONValue(paths),
          ])
      } catch { throw TransactionError(.failed, error.message, hint: error.hint) }
    }
  }

  struct Discard: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Throws the changes away; the workspace was never touched.")
    @Argument(
      help:
        "Transactions, or the beginnings of their identifiers; last for the newest of this directory."
    )
    var ids: [String]
    func run() throws {
      for given in ids {
        let id = try attempt { () throws(TransactionError) in
          let id = try TransactionCommand.named(given)
          try store.discard(id)
          return id
        }
        try Printing.attempt { () throws(RunError) in
          try OperatorAudit.record(
            .ended, ["transaction": .string(id), "state": "discarded", "reason": "asked for"])
        }
      }
    }
  }

  struct Recover: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Finishes commits that a crash interrupted, and discards what no run owns any more."
    )
    func run() throws {
      var failed = false
      for (id, what) in try attempt({ () throws(TransactionError) in try store.recover() }) {
        switch what {
        case .committed: print("\(id) committed")
        case .discarded: print("\(id) discarded")
        case .failed(let error):
          failed = true
          _ = Printing.fail(RunError(.internalFailure, "\(id): \(error.message)", hint: error.hint))
        }
      }
      if failed { throw ExitCode(125) }
    }
  }

  struct Sweep: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Removes from the disk what was discarded.",
      discussion:
        "A discard of many files starts it by itself, and waits only for their being gone.")
    func run() throws {
      try attempt { () throws(TransactionError) in try store.sweep() }
    }
  }
}
