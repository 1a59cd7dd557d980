internal import ArgumentParser
internal import Supervisor

struct VerifyCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "verify",
    abstract:
      "Does forbidden acts in rings 1, 2 and 3 on this machine and shows what was contained.",
    discussion: "Exit status: 0 when everything was contained and everything that must work worked."
  )

  @Flag(help: "Print JSON.")
  var json = false

  @Flag(help: "Print every probe, not only what is not contained.")
  var all = false

  func run() throws {
    let verification: Verification
    do throws(RunError) { verification = try Verification.run() } catch {
      throw Printing.fail(error)
    }
    if json { Printing.json(verification.json) } else { printTable(verification) }
    if !verification.isClean { throw ExitCode(1) }
  }

  private func printTable(_ verification: Verification) {
    let width = verification.rows.map(\.probe.count).max() ?? 0
    let rings = Verification.rings
    func line(_ cells: [String]) -> String { cells.map { Printing.padded($0, 10) }.joined() }
    print(
      Printing.padded("PROBE", width) + "  " + line(rings.map { "RING \($0)" }) + "WHAT IT DOES")
    for row in verification.rows {
      let verdicts = rings.map { row.answers[$0]?.verdict ?? "not tried" }
      let bad = verdicts.contains { $0 == "escaped" || $0 == "broken" }
      guard all || bad else { continue }
      let cells = verdicts.map { verdict in
        let text = Printing.padded(verdict, 10)
        switch verdict {
        case "escaped", "broken": return Printing.coloured(text, .red)
        case "contained", "works": return Printing.coloured(text, .green)
        default: return text
        }
      }
      print(Printing.padded(row.probe, width) + "  " + cells.joined() + row.summary)
    }
    for (ring, message) in verification.failures.sorted(by: { $0.key < $1.key }) {
      print("ring \(ring): \(message)")
    }
    let tried = verification.rows.count
    print(
      "\n\(tried) probes in rings 1, 2 and 3: \(verification.contained) refusals, "
        + "\(verification.escapes) escapes, \(verification.broken) broken controls."
        + (all ? "" : " --all shows each."))
  }
}
