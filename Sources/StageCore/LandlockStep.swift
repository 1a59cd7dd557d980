internal import Glibc
internal import Kernel
internal import LaunchPlan

/// Landlock, read back: a ruleset that restricts nothing is as bad as none (ESCAPES row 23).
enum LandlockStep {
  /// What a rule on a file that is no directory may hold: execute, write, read, truncate, ioctl.
  private static let fileRights: UInt64 = 1 | 2 | 4 | 1 << 14 | 1 << 15

  static func restrict(_ plan: LaunchPlan.LandlockPlan) throws(StageFailure) {
    try Stage.step("landlock") { () throws(SyscallError) in
      let ruleset = try Landlock.Ruleset(
        files: plan.handledFiles, network: plan.handledNetwork, scopes: plan.scopes,
        abi: Int(plan.abi))
      for rule in plan.rules {
        let place = try Files.open(rule.path, 0o10000000)
        let isDirectory = try Files.status(place.raw).kind == .directory
        try ruleset.allow(
          isDirectory ? rule.access : rule.access & fileRights, below: place.raw,
          object: rule.path.text)
      }
      if let canary = plan.canary { _ = try Files.open(canary, O_RDONLY) }
      try ruleset.restrict()
      if let canary = plan.canary { try verify(canary) }
    }
  }

  private static func verify(_ canary: ByteString) throws(SyscallError) {
    do throws(SyscallError) {
      _ = try Files.open(canary, O_RDONLY)
    } catch {
      if error.errno == EACCES { return }
      throw error
    }
    throw SyscallError(call: "landlock_restrict_self", object: canary.text, errno: EPROTO)
  }
}
