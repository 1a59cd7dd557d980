internal import CCapability
internal import CLinux
internal import Glibc

/// Users, groups, capabilities and securebits (credentials(7), capabilities(7)).
public enum Identity {
  // PR_CAP_AMBIENT of prctl(2), which Glibc's module map lacks.
  private static let prCapAmbient: Int32 = 47
  private static let prCapAmbientIsSet: UInt = 1
  private static let prCapAmbientClearAll: UInt = 4

  public static var effectiveUID: UInt32 { geteuid() }
  public static var effectiveGID: UInt32 { getegid() }

  /// Leaves every supplementary group, even when there is none to leave (setgroups(2)).
  public static func dropSupplementaryGroups() throws(SyscallError) {
    _ = try check(agt_setgroups_empty(), "setgroups")
    guard supplementaryGroupCount == 0 else { throw SyscallError(call: "getgroups", errno: EPROTO) }
  }

  public static var supplementaryGroupCount: Int { Int(agt_getgroups_count()) }

  /// Real, effective and saved ids, groups before users, read back.
  public static func become(uid: UInt32, gid: UInt32) throws(SyscallError) {
    _ = try check(agt_setresgid(gid, gid, gid), "setresgid", "\(gid)")
    _ = try check(agt_setresuid(uid, uid, uid), "setresuid", "\(uid)")
    guard getuid() == uid, geteuid() == uid, getgid() == gid, getegid() == gid else {
      throw SyscallError(call: "getresuid", object: "\(uid)", errno: EPROTO)
    }
  }

  /// Keeps permitted capabilities across setresuid(2), so that the sets can be emptied afterwards in order.
  public static func keepCapabilities() throws(SyscallError) {
    try Processes.prctl(PR_SET_KEEPCAPS, 1, "PR_SET_KEEPCAPS")
  }

  /// Empties the bounding set; every capability that the kernel knows is dropped.
  public static func dropBoundingSet() throws(SyscallError) {
    for capability in 0..<UInt(cap_max_bits()) {
      try Processes.prctl(PR_CAPBSET_DROP, capability, "PR_CAPBSET_DROP \(capability)")
    }
  }

  /// Whose files this process makes and reaches (setfsuid(2)); the capabilities stay as they are
  /// (SECBIT_NO_SETUID_FIXUP).
  public static func actOnFiles(uid: UInt32, gid: UInt32) throws(SyscallError) {
    try Processes.prctl(PR_SET_SECUREBITS, 4, "PR_SET_SECUREBITS")
    // Both answer with the id that was; asking with an impossible one changes nothing.
    _ = agt_setfsgid(gid)
    _ = agt_setfsuid(uid)
    guard agt_setfsuid(.max) == Int32(bitPattern: uid), agt_setfsgid(.max) == Int32(bitPattern: gid)
    else { throw SyscallError(call: "setfsuid", object: "\(uid)", errno: EPERM) }
  }

  /// As it is usual, by the effective ids.
  public static func actOnFilesAsSelf() throws(SyscallError) {
    try actOnFiles(uid: effectiveUID, gid: effectiveGID)
  }

  /// SECBIT_NOROOT, NO_SETUID_FIXUP, NO_CAP_AMBIENT_RAISE, KEEP_CAPS off, each locked.
  public static func lockSecurebits() throws(SyscallError) {
    try Processes.prctl(PR_SET_SECUREBITS, 0xef, "PR_SET_SECUREBITS")
  }

  /// Empties the ambient, effective, permitted and inheritable sets through libcap and reads them back.
  /// - Parameter withoutBoundingSet: fails as well unless the bounding set is empty.
  public static func dropCapabilities(withoutBoundingSet: Bool) throws(SyscallError) {
    _ = try check(
      agt_prctl(prCapAmbient, prCapAmbientClearAll, 0, 0, 0), "prctl",
      "PR_CAP_AMBIENT_CLEAR_ALL")
    // SAFETY: cap_init allocates an empty set that is freed below.
    guard let empty = unsafe cap_init() else { throw SyscallError(call: "cap_init", errno: errno) }
    defer { unsafe cap_free(UnsafeMutableRawPointer(empty)) }
    _ = try check(unsafe cap_set_proc(empty), "capset")
    try verifyNoCapabilities(withoutBoundingSet: withoutBoundingSet)
  }

  /// Fails unless these sets of this process are empty.
  static func verifyNoCapabilities(withoutBoundingSet: Bool) throws(SyscallError) {
    // SAFETY: both sets are freed below.
    guard let current = unsafe cap_get_proc(), let empty = unsafe cap_init() else {
      throw SyscallError(call: "capget", errno: errno)
    }
    defer {
      unsafe cap_free(UnsafeMutableRawPointer(current))
      unsafe cap_free(UnsafeMutableRawPointer(empty))
    }
    guard unsafe cap_compare(current, empty) == 0 else {
      throw SyscallError(call: "capget", errno: EPROTO)
    }
    for capability in 0..<UInt(cap_max_bits()) {
      guard !withoutBoundingSet || agt_prctl(PR_CAPBSET_READ, capability, 0, 0, 0) == 0,
        agt_prctl(prCapAmbient, prCapAmbientIsSet, capability, 0, 0) == 0
      else {
        throw SyscallError(call: "prctl", object: "PR_CAPBSET_READ \(capability)", errno: EPROTO)
      }
    }
  }

  /// Whether the process holds CAP_SYS_ADMIN (21) over its own namespace now.
  public static var isAdministrator: Bool {
    agt_prctl(PR_CAPBSET_READ, 21, 0, 0, 0) == 1 && hasEffective(21)
  }

  static func hasEffective(_ capability: Int32) -> Bool {
    // SAFETY: the set is freed below; the flag is ours.
    guard let current = unsafe cap_get_proc() else { return false }
    defer { unsafe cap_free(UnsafeMutableRawPointer(current)) }
    var value = CAP_CLEAR
    return unsafe cap_get_flag(current, capability, CAP_EFFECTIVE, &value) == 0 && value == CAP_SET
  }
}
