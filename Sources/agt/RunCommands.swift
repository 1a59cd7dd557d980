internal import ArgumentParser
internal import Glibc
internal import JSON
internal import Supervisor
internal import Transactions

/// What the commands about runs share.
enum Runs {
  static var registry: RunRegistry { RunRegistry(environment: Vectors.environment) }

  static func find(_ text: String) throws -> RegisteredRun {
    do throws(RunError) { return try registry.find(text) } catch { throw Printing.fail(error) }
  }

  static let reference = ArgumentHelp(
    "A run: its id, the beginning of its id, or its name.", valueName: "run")
}

struct PsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "ps", abstract: "Lists the runs of this user.",
    discussion: """
      Memory is what the processes have resident; pages that they share count in each. A run whose \
      supervisor was killed is "lost" until agt gc clears it.
      """)

  @Flag(help: "Print JSON.")
  var json = false

  @Flag(name: [.customShort("a"), .long], help: "List detached runs that have ended, too.")
  var all = false

  @Flag(help: "Print anew every second, until interrupted.")
  var watch = false

  func run() throws {
    while watch {
      if isatty(1) == 1 && !json { print("\u{1B}[H\u{1B}[J", terminator: "") }
      let status = RunTable.show(json: json, isAll: all, isRepeated: true)
      if status != 0 { throw ExitCode(status) }
      fflush(nil)
      sleep(1)
    }
    let status = RunTable.show(json: json, isAll: all)
    if status != 0 { throw ExitCode(status) }
  }
}

/// The table of `agt ps`.
enum RunTable {
  /// - Parameter isRepeated: JSON has one line each time, so that a reader can tell one listing from the next.
  /// - Returns: the status to exit with.
  static func show(json: Bool, isAll: Bool = false, isRepeated: Bool = false) -> Int32 {
    let lines: [RunLine]
    do throws(RunError) { lines = try RunListing.lines(Runs.registry, isAll: isAll) } catch {
      return Printing.fail(error).rawValue
    }
    let value: JSONValue = .array(lines.map(\.json))
    switch (json, isRepeated) {
    case (false, _): print(lines)
    case (true, false): Printing.json(value)
    case (true, true): Swift.print(String(decoding: JSONWriter.compact(value), as: UTF8.self))
    }
    return 0
  }

  static func print(_ lines: [RunLine]) {
    if lines.isEmpty { return Swift.print("no runs") }
    let hasAgents = lines.contains { $0.agent != nil }
    var rows = [
      ["RUN", "NAME"] + (hasAgents ? ["AGENT"] : [])
        + ["RING", "AGE", "PROCS", "MEMORY", "CPU", "DENIED", "STATE", "COMMAND"]
    ]
    for line in lines {
      let denied = line.violations.map { count in
        "\(count)" + (line.lastViolation.map { " (\($0))" } ?? "")
      }
      rows.append(
        [line.id, line.name ?? "-"] + (hasAgents ? [line.agent ?? "-"] : []) + [
          line.ring.map { "\($0)" } ?? "-", line.ageText, "\(line.processes)", line.memoryText,
          line.cpuText, denied ?? "-", line.state, line.command,
        ])
    }
    for line in aligned(rows) { Swift.print(line) }
  }

  /// Columns two blanks apart; the last is as long as it is, cut where a terminal ends.
  static func aligned(_ rows: [[String]]) -> [String] {
    let widths = rows[0].indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
    let limit = Printing.terminalColumns
    return rows.map { row in
      let line = row.indices.map { column in
        column == row.count - 1 ? plain(row[column]) : Printing.padded(row[column], widths[column])
      }.joined(separator: "  ")
      return limit.map { String(line.prefix($0)) } ?? line
    }
  }

  /// Words of a command line come from outside: no control characters reach the terminal.
  private static func plain(_ text: String) -> String {
    String(
      text.map {
        $0.unicodeScalars.contains { $0.properties.generalCategory == .control } ? "?" : $0
      })
  }
}

struct InspectCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "inspect", abstract: "Prints everything that is known of a run, as JSON.",
    discussion:
      "Also of one that the kill switch has ended, by its id: the record, with its evidence.")

  @Argument(help: Runs.reference)
  var reference: String

  func run() throws {
    do throws(RunError) {
      Printing.json(RunInspection.json(try Runs.registry.find(reference)))
    } catch {
      // What the kill switch ended is remembered.
      guard error.status == .notFound, let record = Runs.control.record(of: reference) else {
        throw Printing.fail(error)
      }
      Printing.json(.object(["run": record["run"] ?? .null, "ended": true, "kill": record]))
    }
  }
}

struct WaitCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "wait", abstract: "Waits until a run has ended.",
    discussion: """
      Exit status: that of the run; 125 when its supervisor was killed, 127 when there is no such run.
      """)

  @Argument(help: Runs.reference)
  var reference: String

  @Flag(help: "Print how it ended as JSON.")
  var json = false

  func run() throws {
    let found = try Runs.find(reference)
    let ending: JSONValue?
    do throws(RunError) { ending = try found.waitForEnd() } catch { throw Printing.fail(error) }
    guard let ending else {
      throw Printing.fail(
        RunError(
          .internalFailure, "run \(found.id): its supervisor was killed",
          hint: "agt gc confirms that nothing is left"))
    }
    if json { Printing.json(ending) }
    let status = ending["status"]?.integerValue ?? 0
    if status != 0 { throw ExitCode(Int32(truncatingIfNeeded: status)) }
  }
}

struct GcCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "gc",
    abstract: "Confirms the end of runs whose supervisor was killed, and clears what runs left.",
    discussion: """
      The record of each (supervisor_lost) is kept: agt inspect shows it.
      How a detached run ended, and its log, stay for a day; of those, the newest 32.
      What discarded transactions left on the disk is removed (agt txn sweep).

      Exit status: 0 when nothing is left, 1 when a process cannot be ended (uninterruptible sleep).
      """)

  @Flag(help: "Print JSON.")
  var json = false

  @Flag(help: "Clear detached runs that have ended right now.")
  var ended = false

  func run() throws {
    let findings: [LostRuns.Finding]
    do throws(RunError) {
      findings = try LostRuns.clear(environment: Vectors.environment, isEverything: ended)
    } catch {
      throw Printing.fail(error)
    }
    if json {
      Printing.json(.array(findings.map(\.json)))
    } else {
      for finding in findings {
        let end =
          finding.reason == "ended"
          ? "had ended; its log is removed"
          : finding.terminated
            ? finding.wasAlive ? "killed now; nothing is left" : "nothing is left"
            : "still there: a process of it is in uninterruptible sleep"
        print("\(finding.run)\(finding.name.map { " (\($0))" } ?? ""): \(end)")
      }
    }
    try TransactionCommand.attempt { () throws(TransactionError) in
      try TransactionCommand.store.sweep()
    }
    if findings.contains(where: { !$0.terminated }) { throw ExitCode(1) }
  }
}
