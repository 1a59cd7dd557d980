internal import Glibc
internal import Kernel
internal import LaunchPlan

/// Who the program is and what it may do as that user.
enum Credentials {
  /// Bounding set → securebits locked → groups → users → all five sets. The securebits come before the
  /// users change: with SECBIT_NO_SETUID_FIXUP the kernel leaves the sets alone, so that they are
  /// emptied here, explicitly and verified, and not as a side effect.
  static func drop(_ start: StageStart, userNamespace: Int32?) throws(StageFailure) {
    try Stage.step("user namespace") { () throws(SyscallError) in
      guard let userNamespace else { return }
      try Namespaces.join(userNamespace, .user)
      _ = OwnedFD(userNamespace)
    }
    if start.dropCapabilities {
      try Stage.step("bounding set") { () throws(SyscallError) in try Identity.dropBoundingSet() }
    }
    if start.lockSecurebits {
      try Stage.step("securebits") { () throws(SyscallError) in try Identity.lockSecurebits() }
    }
    try Stage.step("groups and users") { () throws(SyscallError) in
      switch start.identity {
      case .unchanged: break
      case .own(let uid, let gid):
        // setgroups(2) is switched off where an ordinary user wrote the maps.
        try Identity.become(uid: uid, gid: gid)
      case .mapped(let uid, let gid, _, _), .host(let uid, let gid):
        try Identity.dropSupplementaryGroups()
        try Identity.become(uid: uid, gid: gid)
      }
    }
    if start.dropCapabilities {
      try Stage.step("capabilities") { () throws(SyscallError) in try Identity.dropCapabilities() }
    }
    // Changing ids may have made the process dumpable by its new user.
    try Stage.step("capabilities") { () throws(SyscallError) in try Processes.setNotDumpable() }
  }
}
