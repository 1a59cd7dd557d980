internal import ArgumentParser
internal import Audit
internal import AuditStore
internal import Glibc
internal import JSON
internal import Supervisor

/// `agt log`: what runs did, and whether the log of it can be believed.
struct LogCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "log", abstract: "Shows, verifies and proves what the audit log holds.",
    subcommands: [
      Show.self, Verify.self, Prove.self, CheckProof.self, Export.self, RotateKey.self, Note.self,
    ],
    defaultSubcommand: Show.self)

  static let reference = ArgumentHelp(
    "A run: its identifier, the beginning of it, or last. Without one, the log of all runs.",
    valueName: "run")

  static func reader() throws -> AuditReader {
    try Printing.attempt { () throws(RunError) in try AuditReader(environment: Vectors.environment)
    }
  }

  static func key(_ text: String) throws -> VerifierKey {
    guard let key = VerifierKey(text) else {
      throw Printing.fail(
        RunError(.usage, "\(text): not a verifier key", hint: "NAME+12345678+BASE64, as in key.pub")
      )
    }
    return key
  }

  static func bytes(of file: String) throws -> [UInt8] {
    try Printing.attempt { () throws(RunError) in try OperatorFiles.read(file) }
  }

  /// Runs what reads formats of the log.
  static func judge<R>(_ body: () throws(AuditError) -> R) throws -> R {
    do throws(AuditError) { return try body() } catch {
      throw Printing.fail(RunError(.internalFailure, error.description))
    }
  }

  struct Show: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Prints entries: of a run, or of the log of all runs.",
      discussion: "Nothing is verified here; agt log verify does.")
    @Argument(help: LogCommand.reference)
    var reference: String?
    @Flag(help: "One JSON object a line, as it is in the log.")
    var json = false
    @Flag(name: .shortAndLong, help: "Go on as entries are added, until interrupted.")
    var follow = false
    @Option(help: ArgumentHelp("Only entries of this kind; may be repeated.", valueName: "kind"))
    var kind: [String] = []

    func run() throws {
      for name in kind where EntryKind(rawValue: name) == nil {
        let names = EntryKind.allCases.map(\.rawValue).joined(separator: ", ")
        throw Printing.fail(RunError(.usage, "--kind \(name): one of \(names) is needed"))
      }
      let reader = try LogCommand.reader()
      let log = try Printing.attempt { () throws(RunError) in try reader.find(reference) }
      var next: UInt64 = 0
      repeat {
        try Printing.attempt { () throws(RunError) in
          try reader.entries(log, from: next) { (entry) throws(RunError) in
            next = entry.index + 1
            if kind.isEmpty || kind.contains(entry.kind.rawValue) { show(entry) }
          }
        }
        if follow {
          fflush(nil)
          usleep(200_000)
        }
      } while follow
    }

    private func show(_ entry: Entry) {
      if json {
        let line: JSONValue = .object([
          "data": .object(entry.data), "index": JSONValue(entry.index),
          "kind": .string(entry.kind.rawValue), "time": .string(entry.time),
        ])
        return print(String(decoding: JSONWriter.compact(line), as: UTF8.self))
      }
      let colour: Printing.Colour? =
        switch entry.kind {
        case .violation, .netRefused: .yellow
        case .kill, .logRecovered: .red
        default: nil
        }
      let kind = Printing.padded(entry.kind.rawValue, 15)
      print(
        "\(entry.time)  \(colour.map { Printing.coloured(kind, $0) } ?? kind)  \(Self.text(entry.data))"
      )
    }

    /// What only machines compare; --json has it.
    private static let machines: Set<String> = [
      "key", "origin", "root", "argumentsDigest", "variablesDigest", "requestDigest",
      "commandDigest",
    ]

    /// `name=value` for what is there; no control characters reach a terminal.
    private static func text(_ data: JSONObject) -> String {
      data.members.compactMap { member in
        if member.value.isNull || machines.contains(member.name) { return nil }
        if let list = member.value.arrayValue, list.isEmpty { return nil }
        if let text = member.value.stringValue, !text.isEmpty,
          text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != 0x22 })
        {
          return "\(member.name)=\(text)"
        }
        return "\(member.name)="
          + String(decoding: JSONWriter.compact(member.value), as: UTF8.self)
      }.joined(separator: " ")
    }
  }

  struct Verify: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Checks every entry against the signatures.",
      discussion: """
        Reads the log of all runs, and that of every run against what the first says of its key and its \
        end. That the end of the log is missing, with the checkpoint that covered it, is seen only against \
        a checkpoint that was kept elsewhere: --from. Exit status: 0 sound, 1 not.
        """)
    @Option(
      help: ArgumentHelp("The first key of the log, instead of its own key.pub.", valueName: "key"))
    var key: String?
    @Option(help: ArgumentHelp("A checkpoint that was kept; may be repeated.", valueName: "file"))
    var from: [String] = []
    @Option(
      help: ArgumentHelp(
        "Keys of witnesses, one a line; each checkpoint of --from must carry the cosignature of one.",
        valueName: "file"))
    var witness: String?
    @Flag(help: "Print JSON.")
    var json = false

    func run() throws {
      let reader = try LogCommand.reader()
      let first = try key.map { try LogCommand.key($0) }
      let checkpoints = try kept()
      let finding: AuditReader.Finding
      do throws(RunError) { finding = try reader.verifyAll(key: first, from: checkpoints) } catch {
        _ = Printing.fail(error)
        throw ExitCode(1)
      }
      if json { Printing.json(json(finding)) } else { tell(finding) }
      if !finding.isSound { throw ExitCode(1) }
    }

    /// The checkpoints of --from. Their signatures by the log are not looked at: their roots are compared.
    private func kept() throws -> [Checkpoint] {
      if witness != nil && from.isEmpty {
        throw Printing.fail(
          RunError(.usage, "--witness goes with --from", hint: "--from CHECKPOINT --witness KEYS"))
      }
      let witnesses = try witness.map { file in
        try String(decoding: LogCommand.bytes(of: file), as: UTF8.self).split(separator: "\n").map {
          try LogCommand.key(String($0))
        }
      }
      return try from.map { file in
        let bytes = try LogCommand.bytes(of: file)
        let note = try LogCommand.judge { () throws(AuditError) in try SignedNote(parsing: bytes) }
        if let witnesses, !witnesses.contains(where: { note.cosignatureTime(of: $0) != nil }) {
          throw Printing.fail(
            RunError(.internalFailure, "\(file): no witness has cosigned this checkpoint"))
        }
        return try LogCommand.judge { () throws(AuditError) in try Checkpoint(text: note.text) }
      }
    }

    private func tell(_ finding: AuditReader.Finding) {
      let host = finding.host
      print(
        "\(host.checkpoint.origin): \(host.checkpoint.size) entries, signed by \(host.key.text)")
      if host.rotations > 0 { print("  the key was changed \(host.rotations) times, by both keys") }
      if host.unsignedEntries > 0 || host.tornBytes > 0 {
        print(
          "  behind the last checkpoint: \(host.unsignedEntries) entries and \(host.tornBytes) bytes "
            + "that nothing vouches for")
      }
      let sound = finding.runs.filter { $0.problem == nil }
      let open = sound.filter { !$0.hasEnded }.count
      print(
        "\(sound.count) logs of runs hold what was signed"
          + (open > 0
            ? "; \(open) of them have no end: they run, or their supervisor was killed" : ""))
      let unsigned = finding.runs.reduce(0) { $0 + $1.unsignedEntries }
      if unsigned > 0 { print("\(unsigned) entries of them are behind the last signature") }
      if finding.removedRuns > 0 { print("\(finding.removedRuns) logs of runs were removed") }
      for run in finding.runs {
        if let problem = run.problem { print("\(run.run): \(problem)") }
      }
      print(finding.isSound ? "sound" : Printing.coloured("NOT SOUND", .red))
    }

    private func json(_ finding: AuditReader.Finding) -> JSONValue {
      .object([
        "sound": .bool(finding.isSound), "origin": .string(finding.host.checkpoint.origin),
        "entries": JSONValue(finding.host.checkpoint.size),
        "root": .string(finding.host.checkpoint.root.base64),
        "key": .string(finding.host.key.text), "rotations": JSONValue(finding.host.rotations),
        "unsignedEntries": JSONValue(finding.host.unsignedEntries),
        "tornBytes": JSONValue(finding.host.tornBytes),
        "removedRuns": JSONValue(finding.removedRuns),
        "runs": .array(
          finding.runs.map {
            .object([
              "run": .string($0.run), "entries": JSONValue($0.entries),
              "unsignedEntries": JSONValue($0.unsignedEntries),
              "hasEnded": .bool($0.hasEnded), "problem": JSONValue($0.problem),
            ])
          }),
      ])
    }
  }

  struct Prove: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Writes a proof that an entry is in the log (C2SP tlog-proof).",
      discussion:
        "agt log check-proof, or any other verifier of the format, checks it with the key.")
    @Argument(help: "The index of the entry.")
    var entry: UInt64
    @Argument(help: LogCommand.reference)
    var reference: String?
    @Option(name: .shortAndLong, help: "The file to write, instead of standard output.")
    var output: String?

    func run() throws {
      let reader = try LogCommand.reader()
      let proof = try Printing.attempt { () throws(RunError) in
        try reader.prove(entry, in: try reader.find(reference))
      }
      try Printing.attempt { () throws(RunError) in
        try OperatorFiles.write(proof.bytes, to: output)
      }
    }
  }

  struct CheckProof: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "check-proof", abstract: "Checks a proof, and prints the entry that it is of.",
      discussion: "Needs nothing but the proof and the key. Exit status: 0 proven, 1 not.")
    @Argument(help: "The proof.")
    var file: String
    @Option(help: ArgumentHelp("The key of the log.", valueName: "key"))
    var key: String

    func run() throws {
      let key = try LogCommand.key(key)
      let bytes = try LogCommand.bytes(of: file)
      do throws(AuditError) {
        let proof = try LogProof(parsing: bytes)
        guard let entry = proof.extra else {
          throw .malformed("the proof does not hold its entry")
        }
        let head = try proof.check(entry, key: key)
        print(String(decoding: entry, as: UTF8.self))
        print("entry \(proof.index) of the \(head.size) of \(head.origin)")
      } catch {
        _ = Printing.fail(RunError(.internalFailure, "\(file): \(error.description)"))
        throw ExitCode(1)
      }
    }
  }

  struct Note: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Adds a remark of the operator's to the log of all runs.")
    @Argument(help: "The remark.")
    var text: String
    func run() throws {
      try Printing.attempt { () throws(RunError) in
        try OperatorAudit.record(.note, ["text": .string(text)])
      }
    }
  }

  struct RotateKey: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "rotate-key", abstract: "Lets another key sign the log of all runs from now on.",
      discussion: "Both keys sign that one follows the other. Prints the new key.")
    func run() throws {
      let reader = try LogCommand.reader()
      print(try Printing.attempt { () throws(RunError) in try reader.rotateKey() }.text)
    }
  }
}
