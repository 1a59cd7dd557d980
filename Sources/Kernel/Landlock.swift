internal import CLinux
internal import Glibc

/// landlock(7): rules that a process lays on itself and cannot lift.
public enum Landlock {
  /// The version of the interface; 0 when the kernel has none or it is switched off.
  public static var abi: Int { max(0, Int(agt_landlock_abi())) }

  public struct Ruleset: ~Copyable {
    let descriptor: OwnedFD

    /// - Parameters: bits of landlock(7), already cut to what this kernel's ABI knows.
    public init(files: UInt64, network: UInt64, scopes: UInt64, abi: Int) throws(SyscallError) {
      let attributes = agt_landlock_ruleset(
        handled_access_fs: files, handled_access_net: network, scoped: scopes)
      let size = abi >= 6 ? 24 : abi >= 4 ? 16 : 8
      descriptor = OwnedFD(
        try check(agt_landlock_create(attributes, size), "landlock_create_ruleset"))
    }

    /// Allows `access` on the file, or on everything below the directory, that `parent` refers to.
    public func allow(_ access: UInt64, below parent: Int32, object: String) throws(SyscallError) {
      _ = try check(
        agt_landlock_add_path(descriptor.raw, access, parent), "landlock_add_rule", object)
    }

    /// Lays the rules on this thread and its children; needs no_new_privs.
    public consuming func restrict() throws(SyscallError) {
      _ = try check(agt_landlock_restrict(descriptor.raw, 0), "landlock_restrict_self")
    }
  }
}
