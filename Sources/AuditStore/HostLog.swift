public import Audit
internal import Glibc
internal import Hashing
public import JSON
internal import Kernel

/// The log of a user's runs: many supervisors write it, one at a time.
///
/// Its directory holds the files of a log, the key that signs it (`key`, 0600, made on first use), and
/// `key.pub`, the first key that it ever had. Each addition takes the directory's lock (flock(2)), makes sure
/// that the log is what was signed, adds, and lets go.
public final class HostLog {
  private let path: String
  private let directory: OwnedFD
  private let calls: LogCalls
  private var writer: LogWriter?
  public private(set) var verifier: VerifierKey?

  static let keyName = ByteString("key")
  static let nextName = ByteString("key.next")
  static let publicName = ByteString("key.pub")
  static let keyMaxBytes = 4096

  /// Opens the log, or begins one.
  /// - Parameters:
  ///   - path: of its directory; the one above exists and is its user's alone.
  ///   - hostName: for the origin of a new one.
  public init(
    _ path: String, hostName: @autoclosure () -> String, timeMilliseconds: UInt64,
    calls: LogCalls = .kernel
  ) throws(LogError) {
    self.path = path
    self.calls = calls
    if let there = try Self.openExisting(path) {
      directory = there
    } else {
      try Self.create(path, hostName(), timeMilliseconds, calls)
      guard let made = try Self.openExisting(path) else {
        throw .system(SyscallError(call: "openat", object: path, errno: ENOENT))
      }
      directory = made
    }
  }

  /// nil when there is none.
  static func openExisting(_ path: String) throws(LogError) -> OwnedFD? {
    do throws(SyscallError) {
      let directory = try Files.open(ByteString(path), O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
      let status = try Files.status(directory.raw)
      guard status.uid == Identity.effectiveUID, status.mode & 0o077 == 0 else {
        throw SyscallError(call: "openat", object: path, errno: EACCES)
      }
      return directory
    } catch {
      if error.errno == ENOENT { return nil }
      throw .system(error)
    }
  }

  // MARK: adding

  /// Whoever adds something is done in some milliseconds, unless the disk is busy or somebody has stopped it.
  public static let patienceMilliseconds: UInt64 = 30_000

  private func lock(withinMilliseconds patience: UInt64) throws(LogError) {
    let isOurs = try calling { () throws(SyscallError) in
      try Descriptors.lock(directory.raw, withinMilliseconds: patience)
    }
    if !isOurs { throw .busy(patience) }
  }

  /// Adds entries under the lock.
  /// - Parameters:
  ///   - isDurable: on the disk when this returns; else in the kernel's hands, and the signature says so.
  ///   - patience: how long others may have the lock.
  /// - Returns: the index of the first.
  @discardableResult
  public func add(
    _ entries: [(kind: EntryKind, data: JSONObject)], timeMilliseconds: UInt64, isDurable: Bool,
    withinMilliseconds patience: UInt64 = patienceMilliseconds
  ) throws(LogError) -> UInt64 {
    try lock(withinMilliseconds: patience)
    defer { Descriptors.unlock(directory.raw) }
    let writer = try current(timeMilliseconds)
    let first = writer.nextIndex
    for (kind, data) in entries {
      try writer.append(kind, timeMilliseconds: timeMilliseconds, data: data)
    }
    try writer.flush()
    if isDurable { try writer.sync() }
    try writer.sign()
    return first
  }

  /// The writer, which knows where the log stands.
  private func current(_ timeMilliseconds: UInt64) throws(LogError) -> LogWriter {
    if let writer, writer.isCurrent { return writer }
    writer = nil
    let opened = try reopen(timeMilliseconds)
    writer = opened
    return opened
  }

  private func reopen(_ timeMilliseconds: UInt64) throws(LogError) -> LogWriter {
    let place = directory.raw
    let old = try Self.key(Self.keyName, place)
    guard let old else { throw .audit(.malformed("\(path)/key is missing")) }
    guard let next = try Self.key(Self.nextName, place) else {
      verifier = old.verifier
      return try recover([old.key], old.verifier, timeMilliseconds)
    }
    return try finishRotation(old, next, timeMilliseconds)
  }

  private func recover(
    _ keys: [SigningKey], _ verifier: VerifierKey, _ timeMilliseconds: UInt64
  ) throws(LogError) -> LogWriter {
    try LogRecovery.open(
      in: try calling { () throws(SyscallError) in try directory.duplicate() }, keys: keys,
      verifier: verifier, timeMilliseconds: timeMilliseconds, calls: calls)
  }

  // MARK: keys

  typealias Key = (key: SigningKey, verifier: VerifierKey)

  static func key(_ name: ByteString, _ directory: Int32) throws(LogError) -> Key? {
    let bytes: [UInt8]
    do throws(SyscallError) {
      bytes = try Files.readRegular(name, limit: keyMaxBytes, at: directory)
    } catch {
      if error.errno == ENOENT { return nil }
      throw .system(error)
    }
    guard let key = SigningKey.read(bytes.text.filter { !$0.isNewline }) else {
      throw .audit(.malformed("\(name.text) is not a key"))
    }
    return key
  }

  private static func write(
    _ text: String, _ name: ByteString, _ directory: Int32
  ) throws(LogError) {
    try calling { () throws(SyscallError) in
      try Files.create(name, mode: 0o600, contents: Array((text + "\n").utf8), at: directory)
      let file = try Files.open(name, O_RDONLY | O_NOFOLLOW, at: directory)
      try Files.sync(file.raw)
      try Files.sync(directory)
    }
  }

  /// What both keys sign when one follows the other.
  static func rotationText(_ old: VerifierKey, _ new: VerifierKey) -> String {
    "agt-run key rotation\n\(old.name)\n\(old.text)\n\(new.text)\n"
  }

  /// Another key signs from now on. Both sign that it follows, and the checkpoint in which it does.
  /// - Returns: the new key.
  public func rotateKey(timeMilliseconds: UInt64) throws(LogError) -> VerifierKey {
    try lock(withinMilliseconds: Self.patienceMilliseconds)
    defer { Descriptors.unlock(directory.raw) }
    let writer = try current(timeMilliseconds)
    guard let old = try Self.key(Self.keyName, directory.raw) else {
      throw .audit(.malformed("\(path)/key is missing"))
    }
    let made = SigningKey.generate(name: old.verifier.name)
    let new = made.key.verifier(name: old.verifier.name)
    try Self.write(made.text, Self.nextName, directory.raw)
    var note = SignedNote(text: Self.rotationText(old.verifier, new))
    note.sign(old.key, name: new.name)
    note.sign(made.key, name: new.name)
    try writer.append(
      .keyRotated, timeMilliseconds: timeMilliseconds,
      data: [
        "from": .string(old.verifier.text), "to": .string(new.text),
        "note": .string(String(decoding: note.bytes, as: UTF8.self)),
      ])
    writer.use([old.key, made.key])
    try writer.commit()
    try adopt(writer, made.key, new)
    return new
  }

  private func adopt(
    _ writer: LogWriter, _ key: SigningKey, _ new: VerifierKey
  ) throws(LogError) {
    // Before the old key goes, the checkpoint that the new one has signed is on the disk.
    try writer.syncSlots()
    try calling { () throws(SyscallError) in
      try Files.rename(Self.nextName, to: Self.keyName, at: directory.raw)
      try Files.sync(directory.raw)
    }
    writer.use([key])
    verifier = new
  }

  /// A rotation that was interrupted is finished when its entry is in the log, else it never was.
  private func finishRotation(
    _ old: Key, _ next: Key, _ timeMilliseconds: UInt64
  ) throws(LogError) -> LogWriter {
    let isSigned = !(try LogSlots.read(in: directory.raw, key: next.verifier).isEmpty)
    let writer = try recover(
      [old.key, next.key], isSigned ? next.verifier : old.verifier, timeMilliseconds)
    if isSigned || writer.recoveredKey == next.verifier.text {
      try writer.commit()
      try adopt(writer, next.key, next.verifier)
      return writer
    }
    try calling { () throws(SyscallError) in
      try Files.remove(Self.nextName, at: directory.raw)
    }
    writer.use([old.key])
    verifier = old.verifier
    return writer
  }

  // MARK: beginning

  /// Made beside and renamed: a log that is there has a key and a checkpoint.
  private static func create(
    _ path: String, _ hostName: String, _ timeMilliseconds: UInt64, _ calls: LogCalls
  ) throws(LogError) {
    let slash = path.lastIndex(of: "/")!
    let name = ByteString(String(path[path.index(after: slash)...]))
    let parent = try calling { () throws(SyscallError) in
      try Files.open(ByteString(String(path[..<slash])), O_RDONLY | O_DIRECTORY)
    }
    let fresh = ByteString(".\(name.text).\(getpid())")
    let directory = try calling { () throws(SyscallError) in
      try? Files.removeTree(fresh, at: parent.raw)
      try Files.makeDirectory(fresh, mode: 0o700, at: parent.raw)
      return try Files.open(fresh, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, at: parent.raw)
    }
    let suffix = Hexadecimal.encode(Array(SigningKey.randomSeed().prefix(4)))
    let made = SigningKey.generate(name: "agt-run/host/\(label(hostName))-\(suffix)")
    guard let read = SigningKey.read(made.text) else {
      throw .audit(.malformed("the new key cannot be read back"))
    }
    try write(made.text, keyName, directory.raw)
    try write(read.verifier.text, publicName, directory.raw)
    let writer = try LogWriter.create(
      in: try calling { () throws(SyscallError) in try directory.duplicate() },
      origin: read.verifier.name, key: made.key, calls: calls)
    try writer.append(
      .logCreated, timeMilliseconds: timeMilliseconds,
      data: ["origin": .string(read.verifier.name), "key": .string(read.verifier.text)])
    try writer.commit()
    try writer.syncSlots()
    do throws(SyscallError) {
      try Files.rename(fresh, to: name, at: parent.raw)
      try Files.sync(parent.raw)
    } catch {
      try? Files.removeTree(fresh, at: parent.raw)
      // Another supervisor was first.
      guard error.errno == EEXIST || error.errno == ENOTEMPTY else { throw .system(error) }
    }
  }

  /// What the name of a key may hold, at most 64 bytes, so that a checkpoint is less than a disk's sector.
  private static func label(_ name: String) -> String {
    let letters = name.utf8.prefix(64).map { byte in
      let isPlain =
        (byte >= 48 && byte <= 57) || (byte >= 65 && byte <= 90) || (byte >= 97 && byte <= 122)
        || byte == 45 || byte == 46
      return isPlain ? byte : UInt8(ascii: "-")
    }
    return letters.isEmpty ? "host" : String(decoding: letters, as: UTF8.self)
  }
}
