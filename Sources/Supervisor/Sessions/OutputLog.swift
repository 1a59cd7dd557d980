internal import Glibc
internal import Kernel

/// What a detached run has written, the newest part of it, in two files of the run's directory.
///
/// A run may write for ever and its directory is in memory, so that the older file goes when the newer one is
/// full: between half a megabyte and one is always there. A directory that cannot be written costs the log and
/// never the run.
struct OutputLog: ~Copyable {
  static let fileMaxBytes = 512 << 10
  static let current = "output.log"
  static let previous = "output.1"
  /// Whoever reads while the files are turned looks again, so often.
  private static let looksMax = 8

  private let directory: OwnedFD
  private var file: OwnedFD?
  private var sizeBytes = 0

  /// - Parameter directory: of the run.
  init(in directory: Int32) throws(SyscallError) {
    let own = try Descriptors.duplicate(directory)
    let made = try Self.create(in: own.raw)
    self.directory = consume own
    file = consume made
  }

  private static func create(in directory: Int32) throws(SyscallError) -> OwnedFD {
    try Files.open(
      ByteString(current), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o600, at: directory)
  }

  mutating func append(_ bytes: [UInt8]) {
    var rest = bytes[...]
    while !rest.isEmpty {
      if sizeBytes >= Self.fileMaxBytes { turn() }
      guard let number = file.raw,
        let count = try? Descriptors.writeSome(
          number, rest.prefix(Self.fileMaxBytes - sizeBytes)), count > 0
      else { return }
      sizeBytes += count
      rest = rest.dropFirst(count)
    }
  }

  private mutating func turn() {
    // Whatever stands at the name moves or fails; a link is never followed.
    try? Files.rename(ByteString(Self.current), to: ByteString(Self.previous), at: directory.raw)
    file = try? Self.create(in: directory.raw)
    sizeBytes = 0
  }

  /// Everything that is there, oldest first; nil when the run is not a detached one.
  static func read(in directory: Int32) -> [UInt8]? {
    var newest: (bytes: [UInt8], identity: FileIdentity)?
    var older: (bytes: [UInt8], identity: FileIdentity)?
    for _ in 0..<looksMax {
      newest = part(current, directory)
      older = part(previous, directory)
      // The same file under both names was turned between the two looks.
      if newest != nil, newest?.identity != older?.identity { break }
      if newest == nil, older == nil { return nil }
    }
    if newest?.identity == older?.identity { older = nil }
    return (older?.bytes ?? []) + (newest?.bytes ?? [])
  }

  private static func part(
    _ name: String, _ directory: Int32
  ) -> (bytes: [UInt8], identity: FileIdentity)? {
    // No link is followed, and a pipe would keep us waiting.
    guard
      let file = try? Files.open(
        ByteString(name), O_RDONLY | O_NOFOLLOW | O_NONBLOCK, at: directory),
      let status = try? Files.status(file.raw), status.kind == .regular,
      let bytes = try? Descriptors.readAll(file.raw, limit: fileMaxBytes)
    else { return nil }
    return (bytes, status.identity)
  }
}
