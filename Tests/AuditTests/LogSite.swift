import Audit
import AuditStore
import JSON
import Kernel
import TestSupport

/// A directory with one log in it.
final class LogSite {
  let scratch = Scratch()
  static let name = "agt-run/run/test"
  static let key = SigningKey(seed: Array(0..<32))
  var name: String { Self.name }
  var key: SigningKey { Self.key }
  var path: String { scratch.path + "/log" }
  var verifier: VerifierKey { key.verifier(name: name) }

  init() {
    try! Files.makeDirectory(ByteString(path), mode: 0o700)
  }

  func create(_ calls: LogCalls = .kernel, segmentMaxBytes: Int64 = 256 << 20) throws(LogError)
    -> LogWriter
  {
    try LogWriter.create(
      in: try! Files.open(ByteString(path), 0o200000), origin: name, key: key, calls: calls,
      segmentMaxBytes: segmentMaxBytes)
  }

  func reopen(_ calls: LogCalls = .kernel, segmentMaxBytes: Int64 = 256 << 20) throws(LogError)
    -> LogWriter
  {
    try LogRecovery.open(
      in: try! Files.open(ByteString(path), 0o200000), keys: [key], verifier: verifier,
      timeMilliseconds: 2, calls: calls, segmentMaxBytes: segmentMaxBytes)
  }

  func verify(from: [Checkpoint] = []) throws(LogError) -> LogFinding {
    try LogVerifier(path).verify(key: verifier, from: from)
  }

  /// The complete lines of all segments.
  var entries: [Entry] {
    segments.flatMap { name in
      scratch.read("log/" + name)!.split(separator: "\n").compactMap {
        try? Entry(parsing: Array($0.utf8))
      }
    }
  }

  var segments: [String] { File.names(path)!.filter { $0.hasPrefix("entries.") } }

  func append(_ writer: LogWriter, _ number: Int, commit: Bool = true) throws(LogError) {
    try writer.append(.note, timeMilliseconds: 1, data: ["n": JSONValue(number)])
    if commit { try writer.commit() }
  }

  /// The numbers of the notes.
  var notes: [Int] { entries.compactMap { $0.data["n"]?.integerValue.map(Int.init) } }

  /// Another copy of the files as they are.
  func copy(to other: String) {
    _ = Command(["/bin/cp", "-a", path, other]).run()
  }
}

/// Counts calls, lets one fail, and remembers what a loss of power would take back.
final class FaultyDisk: @unchecked Sendable {
  enum Fault: CaseIterable { case noSpace, input, short, syncFails, killed }
  struct Killed: Error {}

  private(set) var calls = 0
  var failAt = Int.max
  var fault = Fault.input
  /// Whether a kill comes in the middle of a write. What fits into a sector, a disk writes whole or not.
  var tearsWrites = true
  /// After a kill nothing more happens.
  private(set) var isDead = false
  private var unsynced: [(file: Int32, old: [UInt8], offset: Int64, length: Int64)] = []

  var log: LogCalls {
    LogCalls(
      write: { [self] (file, bytes, offset) throws(SyscallError) in
        try write(file, bytes, offset)
      },
      sync: { [self] (file) throws(SyscallError) in
        if try step("fdatasync"), fault != .short {
          throw SyscallError(call: "fdatasync", errno: 5)
        }
        unsynced.removeAll { $0.file == file }
      },
      reserve: { [self] (file, offset, bytes) throws(SyscallError) in
        if try step("fallocate"), fault != .short {
          throw SyscallError(call: "fallocate", errno: 28)
        }
        return true
      })
  }

  /// - Returns: whether this call fails.
  private func step(_ call: String) throws(SyscallError) -> Bool {
    if isDead { throw SyscallError(call: call, errno: 4) }
    calls += 1
    guard calls == failAt else { return false }
    if fault == .killed {
      isDead = true
      throw SyscallError(call: call, errno: 4)
    }
    return true
  }

  /// As at the beginning of a host's log, which is on the disk with its first checkpoint.
  func assumeSynced() { unsynced = [] }

  /// Of what no sync has covered, each file keeps a part of its beginning.
  func losePower(using generator: inout some RandomNumberGenerator) throws {
    isDead = true
    for file in Set(unsynced.map(\.file)) {
      let writes = unsynced.filter { $0.file == file }
      for lost in writes.dropFirst(Int.random(in: 0...writes.count, using: &generator)).reversed() {
        _ = try Files.writeSome(file, lost.old[...], at: lost.offset)
        try Files.truncate(file, toBytes: lost.length)
      }
    }
  }

  private func write(
    _ file: Int32, _ bytes: ArraySlice<UInt8>, _ offset: Int64
  ) throws(SyscallError) -> Int {
    let length = try Files.status(file).sizeBytes
    unsynced.append(
      (file, try Files.read(file, upTo: bytes.count, at: offset), offset, length))
    if fault == .killed, tearsWrites, calls + 1 == failAt {
      // Killed in the middle of the call: a part is in the file.
      _ = try Files.writeSome(file, bytes.prefix(bytes.count / 2), at: offset)
    }
    if try step("pwrite") {
      switch fault {
      case .noSpace: throw SyscallError(call: "pwrite", errno: 28)
      case .short: return try Files.writeSome(file, bytes.prefix((bytes.count + 1) / 2), at: offset)
      default: throw SyscallError(call: "pwrite", errno: 5)
      }
    }
    return try Files.writeSome(file, bytes, at: offset)
  }
}
