internal import CSeccomp
internal import Glibc

/// Names and numbers of system calls on the machine's own architecture.
///
/// libseccomp knows the calls of its release; `newer` holds those after release 2.5.4, the oldest
/// that we build with, so that no name of a deny list is lost.
public enum SyscallTable {
  public enum Lookup: Equatable, Sendable {
    case number(UInt32)
    /// A call that other architectures have and this one lacks, such as open(2) on aarch64.
    case otherArchitecture
    case unknown
  }

  /// The number of a call by its name in the kernel's tables.
  public static func lookup(_ name: String) -> Lookup {
    // What follows a NUL would not be seen by C.
    if name.utf8.contains(0) { return .unknown }
    // SAFETY: libseccomp reads the NUL-terminated copy during the call only.
    let number = unsafe name.withCString { unsafe seccomp_syscall_resolve_name($0) }
    if number >= 0 { return .number(UInt32(number)) }
    if let newer = newer.first(where: { $0.name == name }) { return .number(newer.number) }
    return number == failure ? .unknown : .otherArchitecture
  }

  /// The name of a call, or nil when neither libseccomp nor `newer` knows the number.
  public static func name(_ number: UInt32) -> String? {
    if let newer = newer.first(where: { $0.number == number }) { return newer.name }
    guard number < numberEnd else { return nil }
    // SAFETY: the result is ours (seccomp_syscall_resolve_num_arch(3)), NUL-terminated, and freed
    // after String has copied it.
    guard let text = unsafe seccomp_syscall_resolve_num_arch(nativeToken, Int32(number)) else {
      return nil
    }
    let name = unsafe String(cString: text)
    unsafe free(text)
    return name
  }

  /// Every name that `lookup` gives a number, for suggestions.
  public static var names: [String] { (0..<numberEnd).compactMap(name) }

  /// The numbers that have a name, ascending.
  public static let knownRanges: [ClosedRange<UInt32>] = {
    var ranges: [ClosedRange<UInt32>] = []
    for number in 0..<numberEnd where name(number) != nil {
      if let last = ranges.last, last.upperBound + 1 == number {
        ranges[ranges.count - 1] = last.lowerBound...number
      } else {
        ranges.append(number...number)
      }
    }
    return ranges
  }()

  /// One above the highest number that is looked at. Linux 6.18 ends at 470; the kernel hands
  /// numbers out one by one, so this holds for decades.
  public static let numberEnd: UInt32 = 1024

  /// AUDIT_ARCH_* of the native ABI, as `seccomp_data.arch` shows it (seccomp(2)).
  public static var nativeArchitecture: UInt32 { seccomp_arch_native() }

  /// SCMP_ARCH_NATIVE
  private static let nativeToken: UInt32 = 0
  /// __NR_SCMP_ERROR
  private static let failure: Int32 = -1

  /// Calls that libseccomp 2.5.4 does not know. Numbers from 424 on are the same on all
  /// architectures that we build for (include/uapi/asm-generic/unistd.h of Linux 6.18).
  static let newer: [(name: String, number: UInt32)] = {
    var calls: [(name: String, number: UInt32)] = [
      ("cachestat", 451), ("fchmodat2", 452), ("map_shadow_stack", 453), ("futex_wake", 454),
      ("futex_wait", 455), ("futex_requeue", 456), ("statmount", 457), ("listmount", 458),
      ("lsm_get_self_attr", 459), ("lsm_set_self_attr", 460), ("lsm_list_modules", 461),
      ("mseal", 462), ("setxattrat", 463), ("getxattrat", 464), ("listxattrat", 465),
      ("removexattrat", 466), ("open_tree_attr", 467), ("file_getattr", 468),
      ("file_setattr", 469),
    ]
    #if arch(x86_64)
      calls += [("uretprobe", 335), ("uprobe", 336)]
    #endif
    return calls
  }()
}
