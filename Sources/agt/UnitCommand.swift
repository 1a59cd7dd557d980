internal import ArgumentParser
internal import Supervisor

struct UnitCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "unit", abstract: "Makes an agent a service of systemd.",
    usage: "agt unit [--replace] [--print] <name> [options of agt-run] -- <command> …",
    discussion: """
      Writes /etc/agt/agents/NAME.yaml, or ~/.config/agt/agents/NAME.yaml for an ordinary user, after the same checks as \
      at a start, and the template agt-agent@.service where systemd has none. Nothing is started: the commands that \
      come next are printed. Without --workspace the agent works in the service's own state directory.

        agt unit clerk --ring 2 --net api.example.org:443 --timeout none -- python3 /srv/clerk/agent.py
      """)

  @Flag(help: "Write an agent of this name anew.")
  var replace = false

  @Flag(help: "Print the declaration and write nothing.")
  var print = false

  @Argument(help: "The agent's name, and that of its runs.")
  var name: String

  @Argument(parsing: .captureForPassthrough, help: "Options of agt-run, --, the program.")
  var words: [String] = []

  func run() throws {
    do throws(RunError) {
      let unit = try AgentUnit(
        name: name, arguments: words.map { Array($0.utf8) }, environment: Vectors.environment)
      if print { return Swift.print(unit.text, terminator: "") }
      let written = try unit.install(replace: replace)
      for file in written { Swift.print("wrote \(file)") }
      Swift.print("next:")
      for line in unit.advice(written: written) { Swift.print("  \(line)") }
    } catch { throw Printing.fail(error) }
  }
}
