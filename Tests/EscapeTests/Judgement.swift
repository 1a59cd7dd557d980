import Foundation
import Testing

/// The amounts that the probes of limits go for, and the options that keep the ring below them.
/// Harmless to the host, where the twins get all of it.
let limitAmounts: [String: Int] = [
  "limit.memory": 384, "limit.scratch": 48, "limit.shared-memory": 384,
  "limit.home": 48, "limit.scratch-files": 3000, "limit.descriptors": 15_000,
  "limit.processes": 200, "limit.threads": 200, "limit.locked-memory": 64, "limit.file-size": 0,
]
let limitOptions = "--memory 128MiB --pids 48 --tmp 16MiB"

/// What all launches of one table say together.
struct Judgement {
  var answers: [String: Answer] = [:]
  /// Verbs whose launch failed, which has been recorded as one issue.
  var unlaunched: Set<String> = []

  /// Later answers replace what was skipped before.
  mutating func add(_ more: [String: Answer]) {
    for (name, answer) in more where answer.outcome != "skipped" || answers[name] == nil {
      answers[name] = answer
    }
  }

  /// Verbs that no launch has tried.
  func untried(_ entries: [ProbeEntry]) -> [ProbeEntry] {
    entries.filter { (answers[$0.name]?.outcome ?? "skipped") == "skipped" }
  }

  /// The answer of one verb in a launch of its own. A program that was killed said nothing itself.
  mutating func add(_ name: String, _ result: Command.Result) {
    if let answer = Answer.parse(result.output)[name] {
      add([name: answer])
    } else if result.status == 128 + Int(SIGSYS) {
      answers[name] = Answer(outcome: "refused", errno: nil, detail: "killed by SIGSYS")
    } else if name.hasPrefix("limit."), result.status == 128 + Int(SIGKILL) {
      answers[name] = Answer(outcome: "refused", errno: nil, detail: "killed by SIGKILL")
    } else if name == "exec.loader", result.status == 127 {
      answers[name] = Answer(outcome: "refused", errno: nil, detail: "the loader gave up")
    } else {
      answers[name] = Answer(
        outcome: "lost", errno: nil,
        detail: "status \(result.status), nothing printed; \(result.errors)")
    }
  }
}

/// Counts what was not tested, with its reason: a skip is never silent.
func note(_ title: String, _ excused: [String: String]) {
  if excused.isEmpty { return }
  let lines = excused.sorted { $0.key < $1.key }.map { "  \($0.key): \($0.value)" }
  print("\(title): \(excused.count) not tried\n" + lines.joined(separator: "\n"))
}
