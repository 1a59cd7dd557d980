import Audit
import AuditStore
import JSON
import Kernel
import TestSupport
import Testing

@Suite struct StoreTests {
  @Test func whatIsCommittedIsThereAndVerifies() throws {
    let site = LogSite()
    let writer = try site.create()
    for number in 0..<10 { try site.append(writer, number) }
    let finding = try site.verify()
    #expect(finding.checkpoint.size == 10 && finding.unsignedEntries == 0)
    #expect(finding.checkpoint.root == writer.head.root)
    #expect(site.notes == Array(0..<10))
    // The file's checkpoint is a note of the standard form.
    let note = try SignedNote(parsing: try #require(File.bytes(site.path + "/checkpoint.0")))
    #expect(note.isSigned(by: site.verifier))
  }

  @Test func everyKindIsDocumented() throws {
    let file = File.parent(File.parent(File.parent(#filePath))) + "/docs/audit.md"
    let text = try #require(File.read(file))
    for kind in EntryKind.allCases {
      #expect(text.contains("| `\(kind.rawValue)` |"), "docs/audit.md: \(kind.rawValue)")
    }
  }

  @Test func itGoesOnInSeveralSegments() throws {
    let site = LogSite()
    do {
      let writer = try site.create(segmentMaxBytes: 300)
      for number in 0..<20 { try site.append(writer, number) }
    }
    for round in 0..<3 {
      let writer = try site.reopen(segmentMaxBytes: 300)
      try site.append(writer, 20 + round)
    }
    #expect(site.segments.count > 5)
    #expect(site.notes == Array(0..<23))
    #expect(try site.verify().checkpoint.size == 23)
    #expect(!site.entries.contains { $0.kind == .logRecovered })
  }

  /// Nobody has touched the files: they are not read again. Somebody has: they are.
  @Test func aLogThatWasTouchedIsReadAgain() throws {
    let site = LogSite()
    do {
      let writer = try site.create()
      for number in 0..<5 { try site.append(writer, number) }
    }
    let file = "log/" + site.segments[0]
    let text = try #require(site.scratch.read(file))
    site.scratch.write(file, text, mode: 0o600)
    do {
      let writer = try site.reopen()
      try site.append(writer, 5)
    }
    #expect(try site.verify().checkpoint.size == 6)
    site.scratch.write(file, text.replacing("\"n\":2", with: "\"n\":7"), mode: 0o600)
    #expect(throws: LogError.self) { try site.reopen() }
    #expect(throws: LogError.self) { try site.verify() }
  }

  /// Any of 1,000 random bits; every entry removed, doubled, swapped with its neighbour; entries inserted;
  /// the end cut off.
  @Test func whateverIsChangedIsFound() throws {
    let site = LogSite()
    do {
      let writer = try site.create()
      for number in 0..<40 { try site.append(writer, number) }
    }
    let file = "log/" + site.segments[0]
    let good = try #require(File.bytes(site.path + "/" + site.segments[0]))
    func isFound(_ changed: [UInt8], _ what: String) {
      site.scratch.write(file, bytes: changed, mode: 0o600)
      #expect(throws: LogError.self, "\(what)") { try site.verify() }
      // Opening it for more cuts what no checkpoint covers and refuses the rest.
      if changed.count >= good.count { return }
      #expect(throws: LogError.self, "\(what)") { try site.reopen() }
    }
    var generator = SystemRandomNumberGenerator()
    for _ in 0..<1000 {
      var changed = good
      let bit = Int.random(in: 0..<(good.count * 8), using: &generator)
      changed[bit / 8] ^= 1 << UInt8(bit % 8)
      isFound(changed, "bit \(bit)")
    }
    let lines = good.split(separator: 10).map { Array($0) + [10] }
    for index in lines.indices {
      var some = lines
      some.remove(at: index)
      isFound(Array(some.joined()), "without \(index)")
      some = lines
      some.insert(lines[index], at: index)
      if index < lines.count - 1 {
        isFound(Array(some.joined()), "\(index) twice")
        some = lines
        some.swapAt(index, index + 1)
        isFound(Array(some.joined()), "\(index) swapped")
      }
      isFound(Array(lines[..<index].joined()), "cut before \(index)")
    }
    site.scratch.write(file, bytes: good, mode: 0o600)
    #expect(try site.verify().checkpoint.size == 40)
  }

  /// A whole other log by somebody with another key; an older state of the same log.
  @Test func anotherLogIsNotThisOne() throws {
    let site = LogSite()
    let writer = try site.create()
    for number in 0..<4 { try site.append(writer, number) }
    site.copy(to: site.scratch.path + "/old")
    let kept = writer.head
    try site.append(writer, 4)
    let later = writer.head
    #expect(try site.verify(from: [kept, later]).checkpoint.size == 5)
    let old = try LogVerifier(site.scratch.path + "/old")
    #expect(try old.verify(key: site.verifier, from: [kept]).checkpoint.size == 4)
    #expect(throws: LogError.self) { try old.verify(key: site.verifier, from: [later]) }
    let other = SigningKey(seed: Array(32..<64)).verifier(name: site.name)
    #expect(throws: LogError.self) { try LogVerifier(site.path).verify(key: other) }
    let forged = Checkpoint(origin: site.name, size: 3, root: Digest.sha256([1]))
    #expect(throws: LogError.self) { try site.verify(from: [forged]) }
  }

  @Test func aTornTailIsCutAndRecorded() throws {
    let site = LogSite()
    do {
      let writer = try site.create()
      try site.append(writer, 0)
      try site.append(writer, 1, commit: false)
      try writer.flush()
    }
    let file = "log/" + site.segments[0]
    let bytes = try #require(File.bytes(site.path + "/" + site.segments[0]))
    site.scratch.write(file, bytes: bytes + Array("{\"data\":{".utf8), mode: 0o600)
    _ = try site.reopen()
    #expect(site.notes == [0, 1])
    let last = try #require(site.entries.last)
    #expect(last.kind == .logRecovered)
    #expect(last.data["keptEntries"] == 1 && last.data["cutBytes"] == 9)
    #expect(last.data["checkpoint"] == 1)
    #expect(try site.verify().checkpoint.size == 3)
  }

  @Test func aFullDiskLeavesRoomForKills() throws {
    let site = LogSite()
    let disk = FaultyDisk()
    let writer = try site.create(disk.log)
    try site.append(writer, 0)
    // The next reservation fails, and what does not fit into the old one is refused.
    let large: JSONObject = ["text": .string(String(repeating: "x", count: 60_000))]
    disk.fault = .noSpace
    disk.failAt = disk.calls + 1
    for _ in 1...2 { try writer.append(.note, timeMilliseconds: 1, data: large) }
    #expect(throws: LogError.full) { try writer.commit() }
    try writer.append(.kill, timeMilliseconds: 1, data: ["reason": "manual"])
    try writer.commit()
    #expect(site.entries.map(\.kind) == [.note, .kill])
    #expect(try site.verify().checkpoint.size == 2)
  }
}
