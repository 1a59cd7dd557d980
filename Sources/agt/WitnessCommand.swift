internal import ArgumentParser
internal import Audit
internal import Glibc
internal import JSON
internal import Supervisor

/// `agt witness`: sees to it, on another machine or under another account, that a log only grows.
struct WitnessCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "witness",
    abstract: "Cosigns checkpoints of a log that only grows (C2SP tlog-cosignature).",
    discussion: """
      Only somebody who has neither the log's key nor its files can tell that its end was cut off. A witness \
      keeps the last checkpoint that it has seen of each log in its directory.
      """,
    subcommands: [Init.self, Cosign.self])

  struct Init: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Makes a witness's directory and key, and prints its public key.")
    @Argument(help: "The directory; it must not be there.")
    var directory: String
    @Option(help: ArgumentHelp("Of the witness, such as witness.example.org.", valueName: "name"))
    var name: String

    func run() throws {
      guard VerifierKey.isName(name) else {
        throw Printing.fail(
          RunError(.usage, "--name \(name): neither blanks nor plus signs, at most 255 bytes"))
      }
      print(
        try Printing.attempt { () throws(RunError) in
          try WitnessPlace.make(directory, name: name)
        })
    }
  }

  struct Cosign: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Reads a request on standard input and prints the cosigned checkpoint.",
      discussion: """
        agt log export --format witness-request makes the request. Exit status: 0 cosigned, 1 refused, \
        because the log does not begin with what was seen; the checkpoint that was seen is untouched then.
        """)
    @Argument(help: "The witness's directory.")
    var directory: String
    @Option(help: ArgumentHelp("The key of the log.", valueName: "key"))
    var log: String

    func run() throws {
      let key = try LogCommand.key(log)
      let bytes = try Printing.attempt { () throws(RunError) in
        try OperatorFiles.standardInput()
      }
      let request = try LogCommand.judge { () throws(AuditError) in
        try WitnessRequest(parsing: bytes)
      }
      let place = try Printing.attempt { () throws(RunError) in try WitnessPlace(directory) }
      do throws(RunError) {
        let note = try place.cosign(request, log: key)
        try OperatorFiles.write(note.bytes, to: nil)
      } catch {
        _ = Printing.fail(error)
        throw ExitCode(1)
      }
    }
  }
}
