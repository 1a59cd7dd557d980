internal import ArgumentParser
internal import Audit
internal import AuditStore
internal import JSON
internal import Supervisor

extension LogCommand {
  /// `agt log export`: the log in forms that others read.
  struct Export: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Writes the log for other programs.",
      discussion: """
        checkpoint: the last signed checkpoint (C2SP tlog-checkpoint). witness-request: what a witness needs \
        that has seen --old entries (C2SP tlog-witness). tlog-tiles: a directory of tiles, entries and the \
        checkpoint (C2SP tlog-tiles), which has to be new. One entry a line: cloudevents (CloudEvents 1.0), \
        ocsf (OCSF 1.3), otlp-json (OpenTelemetry logs). journal: the export format of systemd's journal.
        """)

    enum Format: String, CaseIterable, ExpressibleByArgument {
      case checkpoint
      case witnessRequest = "witness-request"
      case tlogTiles = "tlog-tiles"
      case cloudevents, ocsf, journal
      case otlp = "otlp-json"
    }

    @Option(
      help: ArgumentHelp(
        "One of \(Format.allCases.map(\.rawValue).joined(separator: ", ")).", valueName: "format"))
    var format: Format
    @Argument(help: LogCommand.reference)
    var reference: String?
    @Option(help: ArgumentHelp("With witness-request: entries that were seen.", valueName: "count"))
    var old: UInt64?
    @Option(
      name: .shortAndLong,
      help: "The file to write, instead of standard output; with tlog-tiles the directory to make.")
    var output: String?

    func run() throws {
      if old != nil && format != .witnessRequest {
        throw Printing.fail(RunError(.usage, "--old goes with --format witness-request"))
      }
      let reader = try LogCommand.reader()
      let log = try Printing.attempt { () throws(RunError) in try reader.find(reference) }
      if format == .witnessRequest && log != .host {
        throw Printing.fail(
          RunError(.usage, "witnesses see the log of all runs", hint: "leave the run out"))
      }
      if format == .tlogTiles {
        guard let output else {
          throw Printing.fail(RunError(.usage, "--format tlog-tiles needs -o DIRECTORY"))
        }
        return try Printing.attempt { () throws(RunError) in
          try reader.exportTiles(of: log, to: output)
        }
      }
      let bytes = try Printing.attempt { () throws(RunError) -> [UInt8] in
        switch format {
        case .checkpoint: try reader.verified(log).note.bytes
        case .witnessRequest: try reader.witnessRequest(from: old ?? 0, key: nil).bytes
        case .tlogTiles: []
        case .cloudevents: try each(reader, log) { $0.cloudEvent($1) }
        case .ocsf: try each(reader, log) { $0.ocsf($1) }
        case .journal: try each(reader, log) { $0.journal($1) }
        case .otlp: try each(reader, log) { $0.otlp($1) }
        }
      }
      try Printing.attempt { () throws(RunError) in
        try OperatorFiles.write(bytes, to: output)
      }
    }

    private func each(
      _ reader: AuditReader, _ log: AuditReader.Log, _ form: (LogFormat, Entry) -> [UInt8]
    ) throws(RunError) -> [UInt8] {
      let format = LogFormat(origin: try reader.key(of: log).name)
      var bytes: [UInt8] = []
      try reader.entries(log) { (entry) throws(RunError) in bytes += form(format, entry) }
      return bytes
    }
  }
}
