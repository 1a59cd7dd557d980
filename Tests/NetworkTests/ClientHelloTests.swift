import Network
import Testing

@Suite struct ClientHelloTests {
  private static func vector(_ size: Int, _ bytes: [UInt8]) -> [UInt8] {
    (0..<size).map { UInt8(truncatingIfNeeded: bytes.count >> (8 * (size - 1 - $0))) } + bytes
  }

  private static func serverName(_ name: String) -> [UInt8] {
    [0, 0] + vector(2, vector(2, [0] + vector(2, Array(name.utf8))))
  }

  /// A handshake message; nil extensions leave even their length out.
  private static func message(_ extensions: [UInt8]?) -> [UInt8] {
    var body: [UInt8] = [3, 3] + [UInt8](repeating: 7, count: 32)
    body += vector(1, [UInt8](repeating: 9, count: 32)) + vector(2, [0x13, 0x01]) + vector(1, [0])
    if let extensions { body += vector(2, extensions) }
    return [1] + vector(3, body)
  }

  private static func records(_ message: [UInt8], size: Int = 16384) -> [UInt8] {
    stride(from: 0, to: message.count, by: size).flatMap { start in
      [22, 3, 1] + vector(2, Array(message[start..<min(start + size, message.count)]))
    }
  }

  private static let other: [UInt8] = [0, 43] + vector(2, [2, 3, 4])

  @Test(arguments: [1, 2, 3, 7, 50, 16384]) func nameInRecords(_ size: Int) {
    let hello = Self.records(
      Self.message(Self.other + Self.serverName("example.org")), size: size)
    #expect(ClientHello.read(hello) == .hello(serverName: "example.org", isEncrypted: false))
    // What follows belongs to the next flight.
    #expect(
      ClientHello.read(hello + [23, 3, 3, 0, 1])
        == .hello(
          serverName: "example.org", isEncrypted: false))
    for length in 0..<hello.count {
      #expect(ClientHello.read(Array(hello.prefix(length))) == .incomplete, "\(length)")
    }
  }

  /// Servers pass over some records before the hello; who names a server behind one is refused.
  @Test func behindAnotherRecord() {
    let hello = Self.records(Self.message(Self.serverName("other.example")))
    for first in [20, 21, 23, 24] as [UInt8] {
      let bytes = [first, 3, 1, 0, 2, 1, 90] + hello
      #expect(ClientHello.read(Array(bytes.prefix(1))) == .incomplete)
      #expect(
        ClientHello.read(bytes) == .malformed("another record comes before the hello"), "\(first)")
    }
    #expect(ClientHello.read([21, 4]) == .notTLS)
  }

  @Test func withoutName() {
    #expect(
      ClientHello.read(Self.records(Self.message(Self.other)))
        == .hello(serverName: nil, isEncrypted: false))
    #expect(
      ClientHello.read(Self.records(Self.message(nil)))
        == .hello(serverName: nil, isEncrypted: false))
  }

  @Test func encrypted() {
    let hidden: [UInt8] = [0xfe, 0x0d] + Self.vector(2, [0, 1, 2, 3])
    #expect(
      ClientHello.read(Self.records(Self.message(Self.serverName("outer.example") + hidden)))
        == .hello(serverName: "outer.example", isEncrypted: true))
  }

  @Test func otherProtocols() {
    for text in ["GET / HTTP/1.1\r\n", "SSH-2.0-x\r\n", "PRI * HTTP/2.0", "\0\0\0\u{8}", "\u{16}x"]
    {
      #expect(ClientHello.read(Array(text.utf8)) == .notTLS)
    }
  }

  @Test func malformed() {
    let name = Self.serverName("example.org")
    for (bytes, why) in [
      ([22, 3, 1, 0, 0], "a record of 0 bytes"), ([22, 3, 1, 0x40, 1], "a record of 16385 bytes"),
      (Self.records([2, 0, 0, 0]), "the first message is no hello"),
      (Self.records([1, 0xff, 0xff, 0xff]), "the hello is too long"),
      (Self.records(Self.message(name + name)), "two server names"),
      (Self.records(Self.message([0, 0, 0, 9])), "a length in the hello is wrong"),
      (Self.records(Self.message([0, 0] + Self.vector(2, []))), "a length in the hello is wrong"),
      (Self.records(Self.message(Self.serverName(""))), "the server name is malformed"),
      (Self.records(Self.message(Self.serverName("a\0b"))), "the server name is malformed"),
      (Self.records(Self.message(Self.serverName("a b"))), "the server name is malformed"),
      (
        [22, 3, 1, 0, 1, 1] + [23, 3, 1, 0, 1, 1],
        "the hello is interrupted by another record"
      ),
    ] as [([UInt8], String)] {
      #expect(ClientHello.read(bytes) == .malformed(why))
    }
    var long = Self.message(nil)
    long[1...3] = [0, 0x7f, 0xff]
    long += [UInt8](repeating: 0, count: 40_000)
    guard case .malformed = ClientHello.read(Self.records(long, size: 1)) else {
      Issue.record("no end")
      return
    }
  }
}
