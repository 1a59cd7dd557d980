internal import Glibc

/// The victim: performs one forbidden act and prints the kernel's answer as one line of JSON.
@main
struct AgtProbe {
  static func main() {
    let arguments = Array(CommandLine.arguments.dropFirst())
    _ = launcherPID
    switch arguments.first {
    case "--help", "-h":
      print(usage)
    case "--list":
      switch Array(arguments.dropFirst()) {
      case []: Listing.printTable()
      case ["--json"]: Listing.printJSON()
      default: fail("--list takes nothing but --json")
      }
    case "run-all":
      RunAll.main(Array(arguments.dropFirst()))
    case nil:
      fail("no verb given")
    case .some(let name):
      single(name, Array(arguments.dropFirst()))
    }
  }

  static let usage = """
    usage: agt-probe VERB [NAME=VALUE…]
           agt-probe run-all [--group GROUP,…] [--only VERB,…] [--skip VERB,…] [NAME=VALUE…]
           agt-probe --list [--json]

    Performs one forbidden act and prints the kernel's answer as one line of JSON.
    Exit status: 0 done, 1 let through but failed, 10 refused, 11 cannot be tried here,
    2 wrong usage. run-all exits with 0 when it got to the end.
    """

  private static func single(_ name: String, _ arguments: [String]) {
    if let body = HiddenVerb.named(name) { leave(body(arguments)) }
    guard let probe = Probe.all.first(where: { $0.name == name }) else {
      fail("no verb \(name)", hint: "agt-probe --list names all of them")
    }
    guard let fixtures = Fixtures(arguments) else {
      fail(
        "\(name) takes NAME=VALUE", hint: Fixture.allCases.map(\.rawValue).joined(separator: " "))
    }
    let missing = fixtures.missing(of: probe.needs)
    guard missing.isEmpty else {
      fail("\(name) needs " + missing.map { $0.rawValue + "=…" }.joined(separator: " "))
    }
    let outcome = RunAll.withDeadline { probe.act(fixtures) }
    Listing.print(outcome, of: probe.name)
    leave(outcome.kind.exitStatus)
  }

  static func fail(_ message: String, hint: String = "agt-probe --help") -> Never {
    _ = write(2, Array("agt-probe: \(message)\n  hint: \(hint)\n".utf8))
    leave(2)
  }
}
