/// The first message of a TLS client (RFC 8446, section 4.1.2), read as far as the name that it asks for
/// (server_name, RFC 6066, section 3).
public enum ClientHello: Equatable, Sendable {
  /// Not a TLS handshake: the protocol is another one.
  case notTLS
  /// More bytes are needed.
  case incomplete
  /// It begins as TLS and is none.
  case malformed(String)
  /// `serverName` as the client wrote it; nil when it asks for no name.
  case hello(serverName: String?, isEncrypted: Bool)

  /// A hello with post-quantum keys takes 2 KiB, RFC 8446 allows 64 KiB and more; what is longer than this
  /// is refused before it is collected.
  public static let maximumBytes = 32_768

  private static let handshake: UInt8 = 22
  /// change_cipher_spec, alert, handshake, application_data, heartbeat: servers pass over some of them before the hello.
  private static let recordTypes: ClosedRange<UInt8> = 20...24
  /// Encrypted Client Hello (RFC 9849, section 5).
  private static let encryptedHello: UInt16 = 0xfe0d

  /// - Parameter bytes: everything that the client has sent so far.
  public static func read(_ bytes: [UInt8]) -> ClientHello {
    guard let first = bytes.first else { return .incomplete }
    // A record in some version 3.x; no other protocol in use begins with these bytes.
    guard recordTypes.contains(first) else { return .notTLS }
    guard bytes.count > 1 else { return .incomplete }
    guard bytes[1] == 3 else { return .notTLS }
    guard first == handshake else { return .malformed("another record comes before the hello") }
    do throws(Failure) {
      return try message(bytes)
    } catch {
      switch error {
      case .incomplete:
        return bytes.count > maximumBytes ? .malformed("the hello is too long") : .incomplete
      case .malformed(let why): return .malformed(why)
      }
    }
  }

  private enum Failure: Error {
    case incomplete
    case malformed(String)
  }

  /// The handshake message out of the records that it is split into.
  private static func message(_ bytes: [UInt8]) throws(Failure) -> ClientHello {
    var message: [UInt8] = []
    var offset = 0
    while true {
      guard bytes.count - offset >= 5 else { throw .incomplete }
      guard bytes[offset] == handshake, bytes[offset + 1] == 3 else {
        throw .malformed("the hello is interrupted by another record")
      }
      let count = Int(bytes[offset + 3]) << 8 | Int(bytes[offset + 4])
      // RFC 8446, section 5.1: no empty fragments, at most 2^14 bytes.
      guard count > 0, count <= 16_384 else { throw .malformed("a record of \(count) bytes") }
      let end = min(bytes.count, offset + 5 + count)
      message += bytes[offset + 5..<end]
      if message.count >= 4 {
        guard message[0] == 1 else { throw .malformed("the first message is no hello") }
        let length = Int(message[1]) << 16 | Int(message[2]) << 8 | Int(message[3])
        guard length <= maximumBytes else { throw .malformed("the hello is too long") }
        if message.count >= 4 + length {
          return try body(Array(message[4..<4 + length]))
        }
      }
      guard end == offset + 5 + count else { throw .incomplete }
      offset = end
    }
  }

  private static func body(_ bytes: [UInt8]) throws(Failure) -> ClientHello {
    var from = TLSReader(bytes)
    _ = try taken(from.take(2 + 32))
    _ = try taken(from.vector(1))
    _ = try taken(from.vector(2))
    _ = try taken(from.vector(1))
    var name: String?
    var isEncrypted = false
    var hasName = false
    // Before TLS 1.2 there may be no extensions at all.
    if from.isAtEnd { return .hello(serverName: nil, isEncrypted: false) }
    var extensions = TLSReader(try taken(from.vector(2)))
    guard from.isAtEnd else { throw .malformed("bytes behind the extensions") }
    while !extensions.isAtEnd {
      let kind = try taken(extensions.take(2))
      let data = try taken(extensions.vector(2))
      switch UInt16(kind[0]) << 8 | UInt16(kind[1]) {
      case 0:
        guard !hasName else { throw .malformed("two server names") }
        hasName = true
        name = try serverName(data)
      case encryptedHello: isEncrypted = true
      default: continue
      }
    }
    return .hello(serverName: name, isEncrypted: isEncrypted)
  }

  private static func serverName(_ bytes: [UInt8]) throws(Failure) -> String {
    var from = TLSReader(bytes)
    var list = TLSReader(try taken(from.vector(2)))
    let kind = try taken(list.take(1))
    let name = try taken(list.vector(2))
    // One name of the only kind that there is (RFC 6066).
    guard kind == [0], list.isAtEnd, from.isAtEnd, !name.isEmpty,
      name.allSatisfy({ $0 > 0x20 && $0 < 0x7f })
    else { throw .malformed("the server name is malformed") }
    return String(decoding: name, as: UTF8.self)
  }

  private static func taken(_ bytes: [UInt8]?) throws(Failure) -> [UInt8] {
    guard let bytes else { throw .malformed("a length in the hello is wrong") }
    return bytes
  }
}

private struct TLSReader {
  private let bytes: [UInt8]
  private var offset = 0

  init(_ bytes: [UInt8]) { self.bytes = bytes }

  var isAtEnd: Bool { offset == bytes.count }

  mutating func take(_ count: Int) -> [UInt8]? {
    guard bytes.count - offset >= count else { return nil }
    defer { offset += count }
    return Array(bytes[offset..<offset + count])
  }

  /// Bytes with their length in front, which takes `size` bytes.
  mutating func vector(_ size: Int) -> [UInt8]? {
    guard let length = take(size) else { return nil }
    return take(length.reduce(0) { $0 << 8 | Int($1) })
  }
}
