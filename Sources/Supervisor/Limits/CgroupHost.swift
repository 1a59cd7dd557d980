internal import Glibc
internal import Kernel
internal import Paths

/// Where this caller can make cgroups for runs (cgroups(7)), at the usual mount points, because reading the
/// table of mounts costs more than the whole rest on a machine with many.
///
/// Version 2: below our own cgroup when that was delegated to us (systemd's Delegate=yes, or a directory that
/// belongs to us), else, for root, in `agt` at the top. Version 1: in `agt` of each controller's hierarchy.
struct CgroupHost: Equatable {
  /// The directory in which runs get theirs, and what they can be limited in.
  struct Unified: Equatable {
    var parent: String
    var controllers: Set<String>
    /// Whether processes of ours are in it, which have to leave before children of it can have limits.
    var isOwn: Bool
  }

  /// Those that limit.
  static let controllers = ["memory", "pids", "cpu"]
  /// Of version 1, besides: what counts, and what freezes.
  static let accounting = "cpuacct"
  static let freezer = "freezer"
  /// What limits the throughput of disks: in version 2, and in version 1.
  static let io = "io"
  static let legacyIO = "blkio"
  static let directoryName = "agt"
  /// Where supervisors go that have to leave a delegated cgroup.
  static let supervisorName = "agt-supervisors"
  private static let top = "/sys/fs/cgroup"

  var unified: Unified?
  /// By controller.
  var legacy: [String: String] = [:]

  /// - Parameters:
  ///   - wantsAll: also a version 2 that limits nothing, and version 1.
  ///   - top: where the file systems are mounted.
  static func find(isRoot: Bool, uid: UInt32, wantsAll: Bool) -> CgroupHost {
    var host = CgroupHost()
    if isMounted(top, Files.cgroup2Type) {
      host.unified = unified(top, isRoot: isRoot, uid: uid)
      return host
    }
    guard wantsAll else { return host }
    let hybrid = top + "/unified"
    if isMounted(hybrid, Files.cgroup2Type) {
      host.unified = unified(hybrid, isRoot: isRoot, uid: uid)
    }
    guard isRoot else { return host }
    for name in controllers + [accounting, freezer, legacyIO] {
      // Two controllers of one hierarchy are two names of one directory.
      let place = (try? Files.canonical(ByteString("\(top)/\(name)")).text) ?? "\(top)/\(name)"
      guard isMounted(place, Files.cgroupType), isWritable(place) else { continue }
      host.legacy[name] = "\(place)/\(directoryName)"
    }
    return host
  }

  /// Containers often show cgroups that nobody in them can change.
  private static func isWritable(_ path: String) -> Bool {
    Files.mayAccess(ByteString(path), 2)
  }

  private static func isMounted(_ path: String, _ type: Int64) -> Bool {
    guard let directory = try? Files.open(ByteString(path), O_RDONLY | O_DIRECTORY) else {
      return false
    }
    return Files.fileSystemType(directory.raw) == type
  }

  private static func unified(_ mount: String, isRoot: Bool, uid: UInt32) -> Unified? {
    let own = ownPath((try? Files.read(ByteString("/proc/self/cgroup"), limit: 1 << 16)) ?? [])
    if let own, own != "/", isDelegated(mount + own, uid: uid), isWritable(mount + own) {
      return Unified(
        parent: mount + own, controllers: words("\(mount)\(own)/cgroup.controllers"), isOwn: true)
    }
    guard isRoot, isWritable(mount) else { return nil }
    return Unified(
      parent: "\(mount)/\(directoryName)", controllers: words("\(mount)/cgroup.controllers"),
      isOwn: false)
  }

  /// Of version 2: the line `0::/path` (cgroups(7)); a supervisor that moved aside counts as where it was.
  static func ownPath(_ table: [UInt8]) -> String? {
    let line = table.text.split(separator: "\n").first { $0.hasPrefix("0::/") }
    guard let path = line.map({ String($0.dropFirst(3)) }) else { return nil }
    return path.hasSuffix("/" + supervisorName) ? PathText.parent(path) : path
  }

  /// systemd marks what it has delegated (systemd.resource-control(5), Delegate=); a directory that belongs to
  /// an ordinary user was delegated by whoever gave it away.
  private static func isDelegated(_ path: String, uid: UInt32) -> Bool {
    guard let place = try? Files.open(ByteString(path), O_RDONLY | O_DIRECTORY) else {
      return false
    }
    for name in ["trusted.delegate", "user.delegate"] {
      let value = try? Files.extendedAttribute(
        ByteString(name), of: ByteString("."), at: place.raw)
      if value == ByteString("1") { return true }
    }
    guard uid != 0, let status = try? Files.status(of: ByteString(path)) else { return false }
    return status.uid == uid && Files.mayAccess(ByteString("\(path)/cgroup.procs"), 2)
  }

  static func words(_ file: String) -> Set<String> {
    let text = (try? Files.read(ByteString(file), limit: 4096).text) ?? ""
    return Set(text.split { $0 == " " || $0 == "\n" }.map { String($0) })
  }
}
