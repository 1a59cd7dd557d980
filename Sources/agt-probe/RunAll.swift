internal import CProbe
internal import Glibc

/// Many verbs in one launch.
///
/// Where a ring lets a process have children, each verb has one of its own, so that whatever it
/// changes or breaks stays there. In a ring of one process the verbs run one after the other in
/// this process, and those that would end it are reported as skipped, to be run singly.
enum RunAll {
  /// After this many seconds a blocked call is interrupted: longer than any honest answer takes,
  /// short enough that a ring that lets many calls block is still reported.
  static let deadlineSeconds = 3

  static func main(_ arguments: [String]) {
    var groups: [String] = []
    var only: [String] = []
    var skipped: [String] = []
    var rest: [String] = []
    var index = 0
    while index < arguments.count {
      switch arguments[index] {
      case "--group", "--only", "--skip":
        guard index + 1 < arguments.count else {
          AgtProbe.fail("\(arguments[index]) needs a list of names")
        }
        let names = arguments[index + 1].split(separator: ",").map(String.init)
        switch arguments[index] {
        case "--group": groups += names
        case "--only": only += names
        default: skipped += names
        }
        index += 2
      default:
        rest.append(arguments[index])
        index += 1
      }
    }
    guard let fixtures = Fixtures(rest) else {
      AgtProbe.fail("run-all takes NAME=VALUE", hint: "agt-probe --help")
    }
    for group in groups where !Probe.all.contains(where: { $0.group == group }) {
      AgtProbe.fail("no group \(group)", hint: "agt-probe --list")
    }
    for name in only + skipped where !Probe.all.contains(where: { $0.name == name }) {
      AgtProbe.fail("no verb \(name)", hint: "agt-probe --list")
    }
    let chosen = Probe.all.filter {
      (groups.isEmpty || groups.contains($0.group)) && (only.isEmpty || only.contains($0.name))
        && !skipped.contains($0.name)
    }
    run(chosen, fixtures)
  }

  private static func run(_ probes: [Probe], _ fixtures: Fixtures) {
    let mayFork = canFork()
    for probe in probes {
      let missing = fixtures.missing(of: probe.needs)
      if probe.judge == .effect {
        skip(probe, "only the host can judge it")
      } else if !missing.isEmpty {
        skip(probe, "needs " + missing.map(\.rawValue).joined(separator: ", "))
      } else if mayFork {
        inChild(probe, fixtures)
      } else if probe.alone {
        skip(probe, "needs a process of its own")
      } else {
        Listing.print(withDeadline { probe.act(fixtures) }, of: probe.name)
      }
    }
  }

  private static func skip(_ probe: Probe, _ reason: String) {
    Listing.print(Outcome(kind: .skipped, errno: 0, detail: reason), of: probe.name)
  }

  private static func canFork() -> Bool {
    let pid = Int(probe_fork())
    if pid == 0 { leave(0) }
    if pid < 0 { return false }
    _ = wait(for: pid)
    return true
  }

  private static func inChild(_ probe: Probe, _ fixtures: Fixtures) {
    let pid = Int(probe_fork())
    if pid == 0 {
      let outcome = withDeadline { probe.act(fixtures) }
      Listing.print(outcome, of: probe.name)
      leave(outcome.kind.exitStatus)
    }
    if pid < 0 {
      Listing.print(.unavailable("fork: \(ErrnoName.of(Int32(-pid)))"), of: probe.name)
      return
    }
    let status = wait(for: pid)
    let signal = status & 0x7f
    if signal == 0 { return }
    Listing.print(ended(by: signal), of: probe.name)
  }

  /// A filter kills with SIGSYS, a limit with SIGKILL; anything else is the probe's own fault.
  static func ended(by signal: Int32) -> Outcome {
    switch signal {
    case SIGSYS: .refused("killed by SIGSYS")
    case SIGKILL: .refused("killed by SIGKILL")
    case SIGXFSZ: .refused("killed by SIGXFSZ")
    default: Outcome(kind: .reached, errno: 0, detail: "killed by signal \(signal)")
    }
  }

  static func withDeadline(_ body: () -> Outcome) -> Outcome {
    // A peer that hangs up is an answer, not the end of the run.
    probe_ignore(Int(SIGPIPE), 1)
    probe_deadline(deadlineSeconds)
    defer { probe_deadline(0) }
    return body()
  }
}
