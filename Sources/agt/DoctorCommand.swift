internal import ArgumentParser
internal import Supervisor

struct DoctorCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "doctor",
    abstract: "Shows what this machine can enforce, and how to mend what it cannot.",
    discussion: "Exit status: 0 when ring 3 gives everything that it promises, 1 otherwise.")

  @Flag(help: "Print JSON.")
  var json = false

  func run() throws {
    let doctor: Doctor
    do throws(RunError) { doctor = try Doctor.examine() } catch { throw Printing.fail(error) }
    if json { Printing.json(doctor.json) } else { printTable(doctor) }
    if !doctor.isComplete { throw ExitCode(1) }
  }

  private func printTable(_ doctor: Doctor) {
    print("\(doctor.kernel)\n")
    let width = doctor.findings.map(\.guarantee.count).max() ?? 0
    for finding in doctor.findings {
      let state = Printing.padded(finding.state.rawValue, 8)
      let colour: Printing.Colour =
        switch finding.state {
        case .enforced: .green
        case .degraded: .yellow
        case .absent: .red
        }
      print(
        "\(Printing.padded(finding.guarantee, width))  \(Printing.coloured(state, colour))  \(finding.reason)"
      )
      if let mend = finding.mend { print("\(Printing.padded("", width))  mend:     \(mend)") }
    }
    print(
      doctor.isComplete
        ? "\nRing 3 is fully enforceable here." : "\nRing 3 is not fully enforceable here.")
  }
}
