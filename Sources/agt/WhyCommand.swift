public import ArgumentParser
internal import Audit
internal import JSON
public import Supervisor

/// `agt why`: from a refusal back to the rule, and on to what would change it.
struct WhyCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "why",
    abstract: "Says which layer refused what, by which rule, and what would let it.",
    discussion: """
      Without a question: everything that the run's log says was refused. The kernel reports forbidden calls \
      and agt-run refused connections and what a policy denies; a path that is not there, or a limit, is reported by nobody: ask for it.

      Exit status: 0 when there is an answer, 1 when nothing was refused.
      """)

  @Argument(help: "A run: its identifier, the beginning of it, or last.")
  var reference = "last"

  @Option(help: ArgumentHelp("A system call that fails.", valueName: "name"))
  var call: String?

  @Option(help: ArgumentHelp("A path that cannot be used, as an absolute path.", valueName: "path"))
  var path: String?

  @Option(name: .customLong("for"), help: "With --path: read, write or execute.")
  var access: Why.Access = .read

  @Option(help: ArgumentHelp("A host that is not reached.", valueName: "host:port"))
  var net: String?

  @Option(
    help: ArgumentHelp(
      "memory, processes, time, cpu-time, disk, requests, tool-calls, egress, output, file-size or scratch."
    ))
  var limit: Why.Limit?

  @Flag(help: "Print JSON.")
  var json = false

  func run() throws {
    if let path, !path.hasPrefix("/") {
      throw Printing.fail(RunError(.usage, "--path \(path): an absolute path is needed"))
    }
    let reader = try LogCommand.reader()
    let why = try Printing.attempt { () throws(RunError) in
      var entries: [Entry] = []
      try reader.entries(try reader.find(reference)) { (entry) throws(RunError) in
        entries.append(entry)
      }
      return try Why(entries)
    }
    var answers: [Refusal] = []
    if let call, let refusal = why.call(call) { answers.append(refusal) }
    if let path, let refusal = why.path(path, access) { answers.append(refusal) }
    if let net { answers.append(why.network(net)) }
    if let limit { answers.append(why.limit(limit)) }
    let isGeneral = call == nil && path == nil && net == nil && limit == nil
    if isGeneral { answers = why.refusals() }
    if json {
      Printing.json(.array(answers.map(\.json)))
    } else {
      for answer in answers { tell(answer) }
      if answers.isEmpty { print("nothing was refused") }
      if answers.isEmpty, isGeneral, let unseen = why.unseen { print("  \(unseen)") }
    }
    if answers.isEmpty { throw ExitCode(1) }
  }

  private func tell(_ refusal: Refusal) {
    print("\(refusal.object): refused by \(refusal.layer.rawValue)")
    print("  rule:   \(refusal.rule)")
    if let change = refusal.change { print("  change: agt-run \(change)") }
    if let edit = refusal.edit { print("  change: \(edit)") }
    if let reason = refusal.reason { print("  change: none; \(reason)") }
  }
}

extension Why.Access: ExpressibleByArgument {}
extension Why.Limit: ExpressibleByArgument {}
