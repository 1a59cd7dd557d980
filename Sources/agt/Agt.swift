internal import ArgumentParser
internal import Glibc
internal import Supervisor

/// `agt ps` and `agt ps --json` are asked every second by people and programs; the parser takes longer than
/// they do, so that these two go without it.
@main
enum Main {
  static func main() {
    switch CommandLine.arguments.dropFirst() {
    case ["ps"]: exit(RunTable.show(json: false))
    case ["ps", "--json"]: exit(RunTable.show(json: true))
    default: Agt.main()
    }
  }
}

/// The operator's command. `agt-run` starts programs; `agt` looks at machines, rings and runs.
struct Agt: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "agt", abstract: "Looks after privilege rings for AI agents.",
    version: "agt \(Version.text)",
    subcommands: [
      PsCommand.self, InspectCommand.self, WaitCommand.self, KillCommand.self, PauseCommand.self,
      ResumeCommand.self, HoldCommand.self, ReleaseCommand.self, GcCommand.self,
      TopCommand.self, LogsCommand.self, AttachCommand.self,
      PendingCommand.self, ApproveCommand.self, DenyCommand.self, UnitCommand.self,
      LogCommand.self, WhyCommand.self, WitnessCommand.self,
      DoctorCommand.self, VerifyCommand.self, ProfileCommand.self, PolicyCommand.self,
      LintPolicyCommand.self, TransactionCommand.self, SagaCommand.self, CompletionCommand.self,
    ])
}
