internal import Glibc
internal import JSON
internal import Kernel
internal import Rings

/// What agt-run itself says: errors always, the rest only to a person at a terminal.
enum Output {
  static func write(_ text: String) { try? Descriptors.write(1, Array(text.utf8)) }

  static func complain(_ error: RunError) {
    say("agt-run: \(error.message)")
    if let hint = error.hint { say("  hint: \(hint)") }
  }

  static func say(_ line: String) { try? Descriptors.write(2, Array((line + "\n").utf8)) }

  /// One line before the start, and every widening and loss, wherever stderr goes.
  static func announce(_ run: borrowing PreparedRun, _ options: RunOptions) {
    guard !options.quiet else { return }
    for loss in run.losses { say("agt-run: not enforced: \(loss.name): \(loss.explanation)") }
    for widening in run.profile.widenings {
      say("agt-run: profile \(run.profile.name) widens \(widening.what): \(widening.reason)")
    }
    if Descriptors.isTerminal(2) || options.verbose { say("agt-run: \(Explanation.oneLine(run))") }
    if options.verbose { for sentence in run.trail { say("agt-run: \(sentence)") } }
  }

  /// What the agent has left, wherever stderr goes.
  private static func conclude(_ saga: JSONValue, isQuiet: Bool) {
    guard let id = saga["saga"]?.stringValue, let state = saga["state"]?.stringValue,
      state != "completed", state != "failed"
    else { return }
    if state == "compensated" || state == "cancelled" {
      if !isQuiet { say("agt-run: saga \(id) was undone") }
    } else if state == "needs-operator" {
      say("agt-run: saga \(id) is not undone: agt saga show \(id)")
    } else {
      say("agt-run: saga \(id) is \(state): agt saga resume \(id)")
    }
  }

  /// After the end: why it was not the program's own, and what was refused.
  static func conclude(_ record: RunRecord, _ options: RunOptions) {
    if let complaint = record.complaint {
      say("agt-run: \(complaint)")
      if let hint = record.hint { say("  hint: \(hint)") }
    }
    if let transaction = record.transaction, !options.quiet {
      // Whoever has to decide needs the identifier, wherever stderr goes.
      if transaction.state == .kept || transaction.state == .committing
        || Descriptors.isTerminal(2) || options.verbose
      {
        say("agt-run: \(transaction.sentence)")
      }
    }
    for saga in record.sagas { conclude(saga, isQuiet: options.quiet) }
    guard !options.quiet, Descriptors.isTerminal(2) || options.verbose else { return }
    if let refusals = record.network?.refusals {
      say("agt-run: ring \(record.ring) did not reach \(refusals)")
      say("  hint: --net HOST:PORT names what may be reached")
    }
    if record.violations.total > 0 {
      let count = record.violations.total
      say(
        "agt-run: ring \(record.ring) refused \(count) forbidden call\(count == 1 ? "" : "s"): "
          + record.violations.summary)
    }
  }
}
