internal import Glibc
internal import JSON
internal import Kernel

/// The records of runs that were ended by the kill switch, one file each, named by the run. They outlive the
/// run's directory, so that `agt inspect` can say afterwards why a run is gone.
struct KillStore {
  private static let part = "kills"
  /// With 64 processes and the longest words, a record is less than this.
  private static let recordMaxBytes = 4 << 20
  /// What an operator may still ask about; `agt gc` removes older ones.
  static let recordsMax = 1000

  private let state: StateDirectory

  init(_ caller: Caller) { state = StateDirectory(caller) }

  func write(_ record: KillRecord) throws(SyscallError) {
    try state.write(
      JSONWriter.compact(record.stored) + [10], to: record.run.id + ".json", in: Self.part)
  }

  /// - Returns: nil when the run was not killed, or its record cannot be read.
  func read(_ run: String) -> JSONValue? {
    guard RunIdentifier.isValid(run), let place = try? state.openExisting(Self.part) else {
      return nil
    }
    let bytes = try? Files.readRegular(
      ByteString(run + ".json"), limit: Self.recordMaxBytes, at: place.raw)
    return bytes.flatMap { try? JSONParser.parse($0) }
  }

  /// The runs whose ids begin so.
  func runs(beginning text: String) -> [String] {
    guard let names = try? Files.names(in: ByteString(state.path(Self.part))) else { return [] }
    return names.map(\.text).filter { $0.hasSuffix(".json") && $0.hasPrefix(text) }
      .map { String($0.dropLast(5)) }.filter { RunIdentifier.isValid($0) }.sorted()
  }

  /// Removes all but the newest.
  func prune() {
    let all = runs(beginning: "")
    guard all.count > Self.recordsMax, let place = try? state.openExisting(Self.part) else {
      return
    }
    for run in all.dropLast(Self.recordsMax) {
      try? Files.remove(ByteString(run + ".json"), at: place.raw)
    }
  }
}
