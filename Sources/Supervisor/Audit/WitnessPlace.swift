public import Audit
internal import Glibc
internal import Hashing
internal import Kernel

/// What a witness keeps: its key, and of each log the last checkpoint that it has cosigned.
public struct WitnessPlace {
  private let directory: String
  private let key: SigningKey
  private let verifier: VerifierKey

  /// - Returns: the public key.
  public static func make(_ directory: String, name: String) throws(RunError) -> String {
    do throws(SyscallError) {
      try Files.makeDirectory(ByteString(directory), mode: 0o700)
      let made = SigningKey.generate(name: name, algorithm: .cosignature)
      try Files.create(
        ByteString(directory + "/key"), mode: 0o600, contents: Array((made.text + "\n").utf8))
      return made.key.verifier(name: name, algorithm: .cosignature).text
    } catch {
      throw RunError(.internalFailure, "\(directory): \(error.description)")
    }
  }

  public init(_ directory: String) throws(RunError) {
    self.directory = directory
    let bytes: [UInt8]
    do throws(SyscallError) {
      bytes = try Files.readRegular(ByteString(directory + "/key"), limit: 4096)
    } catch {
      throw RunError(
        .notFound, "\(directory)/key: \(error.description)", hint: "agt witness init makes it")
    }
    guard let key = SigningKey.read(bytes.text.filter { !$0.isNewline }) else {
      throw RunError(.internalFailure, "\(directory)/key is not a key")
    }
    (self.key, verifier) = key
  }

  /// Cosigns, after the checkpoint is on the disk: a witness that forgets what it has seen is none.
  public func cosign(_ request: WitnessRequest, log: VerifierKey) throws(RunError) -> SignedNote {
    let place = try doing { () throws(SyscallError) in
      let place = try Files.open(ByteString(directory), O_RDONLY | O_DIRECTORY)
      // One at a time, or two could both follow from the same.
      try Descriptors.lock(place.raw)
      return place
    }
    let name = ByteString("seen." + Hexadecimal.encode(SHA256.digest(Array(log.name.utf8))))
    let seen = try seen(name, log, place.raw)
    let note: SignedNote
    do throws(AuditError) {
      note = try request.cosigned(
        seen: seen, log: log, by: key, name: verifier.name,
        timeSeconds: Clock.wallNanoseconds() / 1_000_000_000
      ).note
    } catch { throw RunError(.internalFailure, "\(log.name): \(error.description)") }
    let fresh = ByteString("seen.new")
    try doing { () throws(SyscallError) in
      do throws(SyscallError) { try Files.remove(fresh, at: place.raw) } catch {
        if error.errno != ENOENT { throw error }
      }
      try Files.create(fresh, mode: 0o600, contents: request.checkpoint.bytes, at: place.raw)
      let file = try Files.open(fresh, O_RDONLY, at: place.raw)
      try Files.sync(file.raw)
      try Files.rename(fresh, to: name, at: place.raw)
      try Files.sync(place.raw)
    }
    return note
  }

  private func doing<R: ~Copyable>(
    _ body: () throws(SyscallError) -> R
  ) throws(RunError) -> R {
    do throws(SyscallError) { return try body() } catch {
      throw RunError(.internalFailure, "\(directory): \(error.description)")
    }
  }

  /// nil for a log that this witness has never seen.
  private func seen(
    _ name: ByteString, _ log: VerifierKey, _ place: Int32
  ) throws(RunError) -> Checkpoint? {
    let bytes: [UInt8]
    do throws(SyscallError) {
      bytes = try Files.readRegular(name, limit: SignedNote.sizeMaxBytes, at: place)
    } catch {
      if error.errno == ENOENT { return nil }
      throw RunError(.internalFailure, "\(directory): \(error.description)")
    }
    do throws(AuditError) {
      return try Checkpoint(text: try SignedNote(parsing: bytes).text)
    } catch {
      throw RunError(.internalFailure, "\(directory)/\(name.text): \(error.description)")
    }
  }
}
