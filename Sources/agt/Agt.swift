internal import ArgumentParser
internal import Supervisor

/// The operator's command. `agt-run` starts programs; `agt` looks at machines, rings and runs.
@main
struct Agt: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "agt", abstract: "Looks after privilege rings for AI agents.",
    version: "agt \(Version.text)",
    subcommands: [
      PsCommand.self, InspectCommand.self, WaitCommand.self, KillCommand.self, PauseCommand.self,
      ResumeCommand.self, HoldCommand.self, ReleaseCommand.self, GcCommand.self,
      PendingCommand.self, ApproveCommand.self, DenyCommand.self,
      DoctorCommand.self, VerifyCommand.self, ProfileCommand.self, PolicyCommand.self,
      LintPolicyCommand.self, TransactionCommand.self, SagaCommand.self,
    ])
}
