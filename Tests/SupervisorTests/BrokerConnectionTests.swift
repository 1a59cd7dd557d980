import Broker
import Glibc
import Kernel
import Testing

@testable import Supervisor

/// What was received and left in the socket comes once, in order, and does not stay.
@Suite struct BrokerConnectionTests {
  private struct Ends: ~Copyable {
    let agent: OwnedFD
    let connection: BrokerConnection
  }

  private func connected() throws -> Ends {
    let pair = try UnixSockets.streamPair()
    let agent = try pair.first.duplicate(atLeast: 3)
    let own = try pair.second.duplicate(atLeast: 3)
    try Descriptors.setNonBlocking(own.raw, true)
    let connection = BrokerConnection(own, BrokerPeer(pid: getpid(), uid: 0, gid: 0), number: 1)
    try connection.prepare()
    return Ends(agent: agent, connection: connection)
  }

  private func take(_ connection: BrokerConnection) -> [String] {
    var lines: [String] = []
    while let (next, descriptors) = connection.nextLine() {
      guard case .line(let line) = next else { break }
      lines.append(
        String(decoding: line, as: UTF8.self) + (descriptors > 0 ? " +\(descriptors)" : ""))
    }
    return lines
  }

  @Test func whatIsLeftComesOnce() throws {
    let ends = try connected()
    let connection = ends.connection
    func receive(_ bytes: String, leaving: Bool) throws -> [String] {
      if !bytes.isEmpty { try Descriptors.write(ends.agent.raw, Array(bytes.utf8)) }
      let hasCome = try connection.receive(leaving: leaving, nowMilliseconds: 0)
      #expect(hasCome != bytes.isEmpty)
      return take(connection)
    }
    #expect(try receive("a\n", leaving: false) == ["a"])
    #expect(Messages.isTaken(ends.agent.raw))
    #expect(try receive("b\n", leaving: true) == ["b"])
    #expect(try receive("c\nd\ne", leaving: true) == ["c", "d"])
    #expect(try receive("", leaving: true) == [])
    #expect(!Messages.isTaken(ends.agent.raw))
    // Whether it is cleared before or by what takes the next.
    #expect(try receive("f\n", leaving: false) == ["ef"])
    #expect(Messages.isTaken(ends.agent.raw))
    #expect(try receive("g\n", leaving: true) == ["g"])
    try connection.clear()
    #expect(Messages.isTaken(ends.agent.raw))
    #expect(try receive("", leaving: false) == [])
    #expect(try receive("h\ni\n", leaving: true) == ["h", "i"])
    #expect(try receive("j\n", leaving: true) == ["j"])
    #expect(!connection.hasEnded)
  }

  /// As much as the socket holds, in many pieces.
  @Test func muchMayBeLeft() throws {
    let ends = try connected()
    try Descriptors.setNonBlocking(ends.agent.raw, true)
    var (sent, come) = (0, 0)
    let line = [UInt8](repeating: UInt8(ascii: "x"), count: 999) + [10]
    while (try? Descriptors.writeSome(ends.agent.raw, line[...])) == line.count { sent += 1 }
    while try ends.connection.receive(leaving: true, nowMilliseconds: 0) {
      come += take(ends.connection).count
    }
    #expect(come >= sent && sent > 50)
    try ends.connection.clear()
    #expect(Messages.isTaken(ends.agent.raw))
    #expect((try? Descriptors.writeSome(ends.agent.raw, line[...])) == line.count)
  }

  /// Both the look and the taking bring them; neither keeps any.
  @Test func descriptorsThatComeAreClosed() throws {
    let ends = try connected()
    let pipe = try Descriptors.pipe()
    let reader = try pipe.reader.duplicate(atLeast: 3)
    do {
      let writer = try pipe.writer.duplicate(atLeast: 3)
      try Messages.send(ends.agent.raw, Array("a\n".utf8), descriptors: [writer.raw, writer.raw])
      try Messages.send(ends.agent.raw, Array("b\n".utf8), descriptors: [writer.raw])
    }
    _ = consume pipe
    #expect(try ends.connection.receive(leaving: true, nowMilliseconds: 0))
    #expect(take(ends.connection) == ["a +2"])
    #expect(try ends.connection.receive(leaving: true, nowMilliseconds: 0))
    #expect(take(ends.connection) == ["b +1"])
    try ends.connection.clear()
    #expect(try Descriptors.read(reader.raw, upTo: 1).isEmpty)
  }

  @Test func theEndComesAfterWhatWasSent() throws {
    let ends = try connected()
    try Descriptors.write(ends.agent.raw, Array("a\n".utf8))
    _ = shutdown(ends.agent.raw, Int32(SHUT_WR))
    #expect(try ends.connection.receive(leaving: true, nowMilliseconds: 0))
    #expect(take(ends.connection) == ["a"])
    #expect(!ends.connection.hasEnded)
    #expect(try ends.connection.receive(leaving: true, nowMilliseconds: 0))
    #expect(ends.connection.hasEnded)
    try ends.connection.clear()
  }
}
