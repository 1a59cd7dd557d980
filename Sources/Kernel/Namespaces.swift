internal import CLinux
internal import Glibc

/// Namespaces as flags of clone(2) (namespaces(7)).
public struct NamespaceSet: OptionSet, Sendable {
  public let rawValue: UInt64
  public init(rawValue: UInt64) { self.rawValue = rawValue }
  public static let mount = NamespaceSet(rawValue: AGT_CLONE_NEWNS)
  public static let cgroup = NamespaceSet(rawValue: AGT_CLONE_NEWCGROUP)
  public static let uts = NamespaceSet(rawValue: AGT_CLONE_NEWUTS)
  public static let ipc = NamespaceSet(rawValue: AGT_CLONE_NEWIPC)
  public static let user = NamespaceSet(rawValue: AGT_CLONE_NEWUSER)
  public static let pid = NamespaceSet(rawValue: AGT_CLONE_NEWPID)
  public static let network = NamespaceSet(rawValue: AGT_CLONE_NEWNET)

  /// `user,mount,pid`
  public var names: String {
    var parts: [String] = []
    if contains(.user) { parts.append("user") }
    if contains(.mount) { parts.append("mount") }
    if contains(.pid) { parts.append("pid") }
    if contains(.network) { parts.append("network") }
    if contains(.ipc) { parts.append("ipc") }
    if contains(.uts) { parts.append("uts") }
    if contains(.cgroup) { parts.append("cgroup") }
    return parts.joined(separator: ",")
  }
}

public enum Namespaces {
  /// Moves the calling process into new namespaces; a pid namespace begins with the next child.
  public static func unshare(_ set: NamespaceSet) throws(SyscallError) {
    _ = try check(agt_unshare(set.rawValue), "unshare", set.names)
  }

  /// Joins a namespace that a descriptor refers to (setns(2)).
  public static func join(_ namespace: Int32, _ kind: NamespaceSet) throws(SyscallError) {
    _ = try check(
      agt_setns(namespace, Int32(truncatingIfNeeded: kind.rawValue)), "setns", kind.names)
  }

  /// Maps one user and one group of this process's new user namespace, as the process itself may do
  /// (user_namespaces(7)): setgroups(2) is switched off first.
  public static func mapSelf(uid: UInt32, gid: UInt32, outsideUID: UInt32, outsideGID: UInt32)
    throws(SyscallError)
  {
    try Files.overwrite("/proc/self/setgroups".bytes, "deny")
    try Files.overwrite("/proc/self/uid_map".bytes, "\(uid) \(outsideUID) 1\n")
    try Files.overwrite("/proc/self/gid_map".bytes, "\(gid) \(outsideGID) 1\n")
  }

  /// A user namespace that maps one user and one group, kept by descriptor. Needs CAP_SETUID and
  /// CAP_SETGID in the current one. A short-lived process that shares our memory holds it meanwhile,
  /// because forking would copy our page tables.
  public static func createUser(uid: UInt32, gid: UInt32, outsideUID: UInt32, outsideGID: UInt32)
    throws(SyscallError) -> OwnedFD
  {
    let holder = try check(agt_user_namespace_holder(), "clone(CLONE_NEWUSER)", "")
    defer {
      _ = agt_kill(holder, SIGKILL)
      var status: Int32 = 0
      // SAFETY: the status is ours; the child is ours and dying.
      while unsafe waitpid(holder, &status, 0) < 0, errno == EINTR {}
    }
    try Files.overwrite("/proc/\(holder)/uid_map".bytes, "\(uid) \(outsideUID) 1\n")
    try Files.overwrite("/proc/\(holder)/gid_map".bytes, "\(gid) \(outsideGID) 1\n")
    return try Files.open("/proc/\(holder)/ns/user".bytes, O_RDONLY)
  }

  public static func setHostName(_ name: ByteString) throws(SyscallError) {
    // SAFETY: the length is that of the string.
    _ = try check(name.withCString { unsafe sethostname($0, name.count) }, "sethostname", name.text)
  }

  /// The current network namespace by descriptor (SIOCGSKNS of sockios.h, Linux 4.10): unlike
  /// /proc/self/ns/net it needs no /proc. Needs CAP_NET_ADMIN there.
  public static func currentNetwork() throws(SyscallError) -> OwnedFD {
    let socket = try anySocket()
    return OwnedFD(
      try check(agt_network_namespace(socket.raw), "ioctl(SIOCGSKNS)", ""))
  }

  private static func anySocket() throws(SyscallError) -> OwnedFD {
    OwnedFD(
      try check(
        Glibc.socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0), "socket",
        "AF_UNIX"))
  }

  /// Brings up `lo` in the current network namespace (netdevice(7)).
  public static func bringLoopbackUp() throws(SyscallError) {
    let socket = try anySocket()
    // SAFETY: the name is NUL-terminated for the call.
    _ = try check(
      "lo".bytes.withCString { unsafe agt_interface_up(socket.raw, $0) }, "ioctl(SIOCSIFFLAGS)",
      "lo")
  }
}
