internal import Glibc
internal import Kernel

/// A user id of the host that no other run uses, for runs that root starts. The lock lasts as long as the
/// supervisor; nothing has to be cleaned after a crash.
struct HostIDs: ~Copyable {
  /// Above what systemd-nspawn takes for containers (524288 … 1879048191) and below its foreign ids
  /// (2147352576 …); systemd's "Users, Groups, UIDs and GIDs" lists neither service nor container here.
  static let base: UInt32 = 1_900_000_000
  static let count: UInt32 = 65536
  private static let directory = "/run/agt/ids"
  /// After so many taken slots in a row something else is wrong.
  private static let maximumTries = 64

  let id: UInt32
  private let lock: OwnedFD?

  /// Stands for the ids where none are taken.
  static var none: HostIDs { HostIDs(id: base, lock: nil) }

  private init(id: UInt32, lock: consuming OwnedFD?) {
    self.id = id
    self.lock = lock
  }

  static func claim() throws(RunError) -> HostIDs {
    do throws(SyscallError) {
      return try claimSlot()
    } catch {
      throw RunError(
        .internalFailure, "reserving a user id in \(directory): \(error.description)",
        hint: "check that /run is writable and not full")
    }
  }

  private static func claimSlot() throws(SyscallError) -> HostIDs {
    let place = try openDirectory()
    var generator = SystemRandomNumberGenerator()
    for _ in 0..<maximumTries {
      let slot = UInt32.random(in: 0..<count, using: &generator)
      let file = try Files.open(
        ByteString("\(slot)"), O_RDWR | O_CREAT | O_NOFOLLOW, mode: 0o600, at: place.raw)
      if try Descriptors.tryLock(file.raw) { return HostIDs(id: base + slot, lock: file) }
    }
    throw SyscallError(call: "flock", object: directory, errno: EUSERS)
  }

  private static func openDirectory() throws(SyscallError) -> OwnedFD {
    let path = ByteString(directory)
    if let there = try? Files.open(path, O_DIRECTORY | O_RDONLY | O_NOFOLLOW) { return there }
    for part in ["/run/agt", directory] {
      do throws(SyscallError) {
        try Files.makeDirectory(ByteString(part), mode: part == directory ? 0o700 : 0o755)
      } catch {
        if error.errno != EEXIST { throw error }
      }
    }
    return try Files.open(path, O_DIRECTORY | O_RDONLY | O_NOFOLLOW)
  }
}
