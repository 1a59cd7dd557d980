import Kernel
import Testing

@testable import Supervisor

/// What is kept of a detached run's output.
@Suite struct OutputLogTests {
  /// A directory that goes with the test.
  private final class Place {
    let path: String
    let directory: OwnedFD
    init() throws {
      path = "/tmp/agt-log-\(UInt64.random(in: 0 ... .max))"
      try Files.makeDirectory(ByteString(path), mode: 0o700)
      directory = try Files.open(ByteString(path), 0)
    }
    deinit {
      for name in (try? Files.names(in: ByteString(path))) ?? [] {
        try? Files.remove(name, at: directory.raw)
      }
      try? Files.remove(ByteString(path), directory: true)
    }
    var raw: Int32 { directory.raw }
  }

  @Test func theNewestIsKept() throws {
    let place = try Place()
    #expect(OutputLog.read(in: place.raw) == nil)
    var log = try OutputLog(in: place.raw)
    #expect(OutputLog.read(in: place.raw) == [])
    var all: [UInt8] = []
    // No border of a file is one of what is appended.
    for part in 0..<40 {
      let bytes = [UInt8](repeating: UInt8(part), count: 60_001)
      log.append(bytes)
      all += bytes
      let kept = try #require(OutputLog.read(in: place.raw))
      #expect(kept.count <= 2 * OutputLog.fileMaxBytes && kept == Array(all.suffix(kept.count)))
      #expect(kept.count >= min(all.count, OutputLog.fileMaxBytes))
    }
    for name in [OutputLog.current, OutputLog.previous] {
      #expect(try Files.status(of: ByteString(name), at: place.raw).mode == 0o600)
    }
  }

  /// A reader between the renaming and the new file, and one that sees the same file twice.
  @Test func aTurningLogIsReadWhole() throws {
    let place = try Place()
    var log = try OutputLog(in: place.raw)
    log.append(Array("first".utf8))
    try Files.rename(
      ByteString(OutputLog.current), to: ByteString(OutputLog.previous), at: place.raw)
    #expect(OutputLog.read(in: place.raw) == Array("first".utf8))
  }

  @Test func aPlantedLinkIsNeitherWrittenNorRead() throws {
    let place = try Place()
    let victim = try Place()
    try Files.create(
      ByteString("secret"), mode: 0o600, contents: Array("secret".utf8), at: victim.raw)
    let target = ByteString(victim.path + "/secret")
    var log = try OutputLog(in: place.raw)
    for name in [OutputLog.current, OutputLog.previous] {
      try? Files.remove(ByteString(name), at: place.raw)
      try Files.makeSymbolicLink(ByteString(name), to: target, at: place.raw)
    }
    #expect(OutputLog.read(in: place.raw) == nil)
    let much = [UInt8](repeating: 0x78, count: OutputLog.fileMaxBytes + 10)
    log.append(much)
    log.append(much)
    #expect(try Files.read(target, limit: 100) == Array("secret".utf8))
    // One at the name of a new log stops it before the run begins.
    let other = try Place()
    try Files.makeSymbolicLink(ByteString(OutputLog.current), to: target, at: other.raw)
    #expect(throws: SyscallError.self) { _ = try OutputLog(in: other.raw) }
    #expect(try Files.read(target, limit: 100) == Array("secret".utf8))
  }
}
