internal import CSodium
internal import Hashing

/// A signature algorithm of C2SP signed-note, as its key's first byte names it.
public enum NoteAlgorithm: UInt8, Sendable {
  /// Ed25519 over the text of the note.
  case ed25519 = 1
  /// Ed25519 over `cosignature/v1`, a time and the text (C2SP tlog-cosignature).
  case cosignature = 4
}

/// A public key with its name (C2SP signed-note, "Verifier keys"): `name+8 hexadecimal digits+base 64`.
public struct VerifierKey: Equatable, Sendable {
  public let name: String
  public let algorithm: NoteAlgorithm
  public let publicKey: [UInt8]

  /// nil when the name holds a space or a plus, or the key has not 32 bytes.
  public init?(name: String, algorithm: NoteAlgorithm, publicKey: [UInt8]) {
    guard publicKey.count == Int(crypto_sign_PUBLICKEYBYTES), Self.isName(name) else { return nil }
    self.name = name
    self.algorithm = algorithm
    self.publicKey = publicKey
  }

  /// nil when it is not such a text, or its identifier is not that of the key.
  public init?(_ text: some StringProtocol) {
    let parts = text.split(separator: "+", maxSplits: 2, omittingEmptySubsequences: false)
    guard parts.count == 3, let bytes = Base64.decode(parts[2]), let first = bytes.first,
      let algorithm = NoteAlgorithm(rawValue: first)
    else { return nil }
    self.init(name: String(parts[0]), algorithm: algorithm, publicKey: Array(bytes.dropFirst()))
    guard parts[1] == Hexadecimal.encode(identifier) else { return nil }
  }

  public var text: String {
    "\(name)+\(Hexadecimal.encode(identifier))+\(Base64.encode([algorithm.rawValue] + publicKey))"
  }

  /// The first 4 bytes of SHA-256(name || 0x0A || algorithm || key).
  public var identifier: [UInt8] {
    let input = Array(name.utf8) + [10, algorithm.rawValue] + publicKey
    return Array(Digest.sha256(input).bytes.prefix(4))
  }

  /// Whether a key can have this name: neither blanks, control characters nor plus signs.
  public static func isName(_ name: String) -> Bool { isName(Array(name.utf8)[...]) }

  static func isName(_ name: ArraySlice<UInt8>) -> Bool {
    !name.isEmpty && name.count <= 255
      && name.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "+") }
  }

  func verifies(_ signature: [UInt8], _ message: [UInt8]) -> Bool {
    guard signature.count == Int(crypto_sign_BYTES) else { return false }
    // SAFETY: both lengths were checked, and the message has its true length.
    return unsafe crypto_sign_verify_detached(
      signature, message, UInt64(message.count), publicKey) == 0
  }
}

/// An Ed25519 key (RFC 8032) that signs. Its memory is wiped when it goes.
public final class SigningKey: @unchecked Sendable {
  // Written by the initialiser alone.
  public static let seedBytes = 32
  private var secret = [UInt8](repeating: 0, count: Int(crypto_sign_SECRETKEYBYTES))
  public let publicKey: [UInt8]

  /// - Precondition: 32 random bytes.
  public init(seed: [UInt8]) {
    precondition(seed.count == Self.seedBytes)
    var publicKey = [UInt8](repeating: 0, count: Int(crypto_sign_PUBLICKEYBYTES))
    // SAFETY: the three buffers have the sizes that the function reads and writes.
    unsafe crypto_sign_seed_keypair(&publicKey, &secret, seed)
    self.publicKey = publicKey
  }

  deinit {
    let count = secret.count
    // SAFETY: the buffer is ours and has that size.
    unsafe sodium_memzero(&secret, count)
  }

  /// A new key, and its text as a file keeps it: `PRIVATE+KEY+name+8 hexadecimal digits+base 64`, the form of
  /// Go's golang.org/x/mod/sumdb/note.
  public static func generate(
    name: String, algorithm: NoteAlgorithm = .ed25519
  ) -> (key: SigningKey, text: String) {
    let seed = randomSeed()
    let key = SigningKey(seed: seed)
    let identifier = Hexadecimal.encode(key.verifier(name: name, algorithm: algorithm).identifier)
    let secret = Base64.encode([algorithm.rawValue] + seed)
    return (key, "PRIVATE+KEY+\(name)+\(identifier)+\(secret)")
  }

  /// Reads what `generate` has written.
  /// - Returns: nil when it is something else.
  public static func read(
    _ text: some StringProtocol
  ) -> (key: SigningKey, verifier: VerifierKey)? {
    let parts = text.split(separator: "+", maxSplits: 4, omittingEmptySubsequences: false)
    guard parts.count == 5, parts[0] == "PRIVATE", parts[1] == "KEY",
      let bytes = Base64.decode(parts[4]), bytes.count == 1 + seedBytes,
      let algorithm = NoteAlgorithm(rawValue: bytes[0])
    else { return nil }
    let key = SigningKey(seed: Array(bytes.dropFirst()))
    guard
      let verifier = VerifierKey(
        name: String(parts[2]), algorithm: algorithm, publicKey: key.publicKey),
      parts[3] == Hexadecimal.encode(verifier.identifier)
    else { return nil }
    return (key, verifier)
  }

  /// Random bytes of the kernel (getrandom(2)).
  public static func randomSeed() -> [UInt8] {
    var generator = SystemRandomNumberGenerator()
    // Each is one call.
    return (0..<seedBytes / 8).flatMap { _ in
      let word = generator.next()
      return (0..<8).map { UInt8(truncatingIfNeeded: word >> UInt64(8 * $0)) }
    }
  }

  public func sign(_ message: [UInt8]) -> [UInt8] {
    var signature = [UInt8](repeating: 0, count: Int(crypto_sign_BYTES))
    // SAFETY: the output has the 64 bytes that are written, the message its true length.
    unsafe crypto_sign_detached(&signature, nil, message, UInt64(message.count), secret)
    return signature
  }

  public func verifier(name: String, algorithm: NoteAlgorithm = .ed25519) -> VerifierKey {
    guard let key = VerifierKey(name: name, algorithm: algorithm, publicKey: publicKey) else {
      preconditionFailure("the name of a key of ours is well formed")
    }
    return key
  }
}

/// A text with signatures (C2SP signed-note).
public struct SignedNote: Equatable, Sendable {
  public struct Signature: Equatable, Sendable {
    public var name: String
    /// Identifier (4 bytes) and signature.
    public var bytes: [UInt8]
  }

  /// Ends in a line feed.
  public let text: String
  public private(set) var signatures: [Signature]

  /// A note of a log is a few hundred bytes; cosignatures of many witnesses fit.
  public static let sizeMaxBytes = 65_536
  private static let signaturesMax = 64

  /// - Precondition: the text ends in a line feed and holds no other control characters.
  public init(text: String) {
    precondition(text.hasSuffix("\n"))
    self.text = text
    signatures = []
  }

  public init(parsing bytes: [UInt8]) throws(AuditError) {
    guard bytes.count <= Self.sizeMaxBytes, bytes.last == 0x0A,
      bytes.allSatisfy({ $0 >= 0x20 || $0 == 0x0A })
    else { throw .malformed("a signed note is at most 64 KiB of UTF-8 lines") }
    // Bytes and not characters: every launch reads one.
    guard
      let end = bytes.indices.dropLast(2).last(where: { bytes[$0] == 0x0A && bytes[$0 + 1] == 0x0A }
      )
    else { throw .malformed("a signed note has a blank line and 1 to 64 signatures after it") }
    guard let text = String(validating: bytes[...end], as: UTF8.self) else {
      throw .malformed("a signed note is at most 64 KiB of UTF-8 lines")
    }
    self.text = text
    signatures = []
    let lines = bytes[(end + 2)...].dropLast().split(
      separator: 0x0A, omittingEmptySubsequences: false)
    guard lines.count <= Self.signaturesMax else {
      throw .malformed("a signed note has a blank line and 1 to 64 signatures after it")
    }
    for line in lines {
      let name = line.dropFirst(Self.mark.count).prefix { $0 != 0x20 }
      guard line.starts(with: Self.mark), name.endIndex < line.endIndex,
        VerifierKey.isName(name), let bytes = Base64.decode(line[(name.endIndex + 1)...]),
        bytes.count > 4
      else { throw .malformed("a signature line is not \"\u{2014} name base64\"") }
      signatures.append(Signature(name: String(decoding: name, as: UTF8.self), bytes: bytes))
    }
  }

  /// An em dash and a blank.
  private static let mark: [UInt8] = [0xE2, 0x80, 0x94, 0x20]

  public var bytes: [UInt8] {
    var whole = text + "\n"
    for signature in signatures {
      whole += "\u{2014} \(signature.name) \(Base64.encode(signature.bytes))\n"
    }
    return Array(whole.utf8)
  }

  public mutating func sign(_ key: SigningKey, name: String) {
    let verifier = key.verifier(name: name)
    signatures.append(
      Signature(name: name, bytes: verifier.identifier + key.sign(Array(text.utf8))))
  }

  /// - Parameter timeSeconds: since 1970, when the witness saw the checkpoint.
  public mutating func cosign(_ key: SigningKey, name: String, timeSeconds: UInt64) {
    let verifier = key.verifier(name: name, algorithm: .cosignature)
    let signature = key.sign(cosigned(timeSeconds))
    signatures.append(
      Signature(
        name: name, bytes: verifier.identifier + Self.bigEndian(timeSeconds) + signature))
  }

  public mutating func add(_ signature: Signature) {
    if !signatures.contains(signature) { signatures.append(signature) }
  }

  /// Whether the key has signed. Several lines of one key must all hold: a wrong one is never passed over.
  /// - Parameter own: the key that signs, when the caller has it. To sign again and to compare costs a third of
  ///   verifying, and whoever has signed with it has written the same bytes (RFC 8032, 5.1.6).
  public func isSigned(by key: VerifierKey, own: SigningKey? = nil) -> Bool {
    signature(of: key, own) != nil
  }

  /// When the witness cosigned, in seconds since 1970; nil when it has not.
  public func cosignatureTime(of key: VerifierKey) -> UInt64? {
    guard key.algorithm == .cosignature, let bytes = signature(of: key) else { return nil }
    return bytes.prefix(8).reduce(0) { $0 << 8 | UInt64($1) }
  }

  private func signature(of key: VerifierKey, _ own: SigningKey? = nil) -> [UInt8]? {
    let identifier = key.identifier
    let mine = signatures.filter { $0.name == key.name && Array($0.bytes.prefix(4)) == identifier }
    guard let first = mine.first else { return nil }
    for signature in mine where !holds(Array(signature.bytes.dropFirst(4)), key, own) {
      return nil
    }
    return Array(first.bytes.dropFirst(4))
  }

  private func holds(_ bytes: [UInt8], _ key: VerifierKey, _ own: SigningKey?) -> Bool {
    switch key.algorithm {
    case .ed25519:
      let message = Array(text.utf8)
      if let own, own.publicKey == key.publicKey, own.sign(message) == bytes { return true }
      return key.verifies(bytes, message)
    case .cosignature:
      guard bytes.count == 72 else { return false }
      let time = bytes.prefix(8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
      return key.verifies(Array(bytes.dropFirst(8)), cosigned(time))
    }
  }

  private func cosigned(_ timeSeconds: UInt64) -> [UInt8] {
    Array("cosignature/v1\ntime \(timeSeconds)\n\(text)".utf8)
  }

  private static func bigEndian(_ value: UInt64) -> [UInt8] {
    (0..<8).map { UInt8(truncatingIfNeeded: value >> UInt64(56 - 8 * $0)) }
  }
}
