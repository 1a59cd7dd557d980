import Audit
import AuditStore
import JSON
import Kernel
import TestSupport
import Testing

/// The log of a user's runs: what is begun is in it, and others wait until it is signed for.
@Suite struct HostLogTests {
  private let scratch = Scratch()
  private var path: String { scratch.path + "/host" }

  private func open() throws -> HostLog {
    try HostLog(path, hostName: "h", timeMilliseconds: 1)
  }

  private func note(_ number: Int) -> [(kind: EntryKind, data: JSONObject)] {
    [(.note, ["n": JSONValue(number)])]
  }

  private func entries(_ key: VerifierKey?) throws -> [Entry] {
    _ = try LogVerifier(path).verify(key: try #require(key), from: [])
    let text = try #require(scratch.read("host/entries.00000000000000000000.jsonl"))
    return try text.split(separator: "\n").map { try Entry(parsing: Array($0.utf8)) }
  }

  @Test func othersWaitForTheSignature() throws {
    let (one, other) = (try open(), try open())
    #expect(try one.begin(note(1), timeMilliseconds: 2, isDurable: true) == 1)
    #expect(throws: LogError.busy(20)) {
      try other.add(
        note(2), timeMilliseconds: 3, isDurable: false, withinMilliseconds: 20)
    }
    try one.complete()
    #expect(try other.add(note(2), timeMilliseconds: 3, isDurable: false) == 2)
    // Nothing is left to complete, and the lock is not let go twice.
    #expect(try other.begin(note(3), timeMilliseconds: 4, isDurable: false) == 3)
    try one.complete()
    #expect(throws: LogError.busy(20)) {
      try one.add(note(4), timeMilliseconds: 5, isDurable: false, withinMilliseconds: 20)
    }
    try other.complete()
    #expect(try entries(other.verifier).count == 4)
  }

  @Test func whatWasBegunIsSignedByTheNext() throws {
    let log = try open()
    try log.begin(note(1), timeMilliseconds: 2, isDurable: true)
    #expect(try log.add(note(2), timeMilliseconds: 3, isDurable: false) == 2)
    try log.begin(note(3), timeMilliseconds: 4, isDurable: false)
    let first = log.verifier
    _ = try log.rotateKey(timeMilliseconds: 5)
    try log.add(note(4), timeMilliseconds: 6, isDurable: false)
    let kinds = try entries(first).map(\.kind)
    #expect(kinds == [.logCreated, .note, .note, .note, .keyRotated, .note])
  }

  /// As after the end of a supervisor in between.
  @Test func whatWasBegunOutlivesWhoBeganIt() throws {
    var log: HostLog? = try open()
    try log?.begin(note(1), timeMilliseconds: 2, isDurable: true)
    log = nil
    let next = try open()
    try next.add(note(2), timeMilliseconds: 3, isDurable: false)
    let found = try entries(next.verifier)
    #expect(found.map(\.kind) == [.logCreated, .note, .logRecovered, .note])
    #expect(found[1].data["n"] == 1 && found[2].data["keptEntries"] == 1)
  }

  @Test func whoCannotBeginHoldsNothing() throws {
    let (one, other) = (try open(), try open())
    try Files.rename(ByteString(path + "/key"), to: ByteString(path + "/away"))
    #expect(throws: LogError.self) {
      try one.begin(note(1), timeMilliseconds: 2, isDurable: false)
    }
    try Files.rename(ByteString(path + "/away"), to: ByteString(path + "/key"))
    try other.add(note(1), timeMilliseconds: 2, isDurable: false, withinMilliseconds: 20)
    #expect(try entries(other.verifier).count == 2)
  }
}
