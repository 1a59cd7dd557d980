internal import CLinux
internal import Glibc

/// Resource limits by their number (getrlimit(2)).
public struct Resource: Equatable, Sendable {
  public let number: UInt32
  public init(number: UInt32) { self.number = number }
  public static let cpuSeconds = Resource(number: 0)
  public static let fileSize = Resource(number: 1)
  public static let data = Resource(number: 2)
  public static let core = Resource(number: 4)
  public static let processes = Resource(number: 6)
  public static let openFiles = Resource(number: 7)
  public static let lockedMemory = Resource(number: 8)
  public static let pendingSignals = Resource(number: 11)
  public static let messageQueues = Resource(number: 12)
  public static let nice = Resource(number: 13)
  public static let realTimePriority = Resource(number: 14)
}

public enum Limits {
  /// Sets the soft and the hard limit to `value`, or to the present hard limit where that is lower.
  public static func lower(_ resource: Resource, to value: UInt64) throws(SyscallError) {
    var now = rlimit()
    // SAFETY: the structure is ours.
    _ = try check(unsafe agt_getrlimit(resource.number, &now), "getrlimit", "\(resource.number)")
    _ = try check(
      agt_setrlimit(resource.number, min(value, UInt64(now.rlim_max))), "setrlimit",
      "\(resource.number)")
  }

  /// Sets the soft limit alone, to at most the hard one.
  public static func setSoft(_ resource: Resource, to value: UInt64) throws(SyscallError) {
    _ = try check(
      agt_set_soft_limit(resource.number, value), "setrlimit", "\(resource.number)")
  }

  public static func current(_ resource: Resource) -> (soft: UInt64, hard: UInt64)? {
    var value = rlimit()
    // SAFETY: the structure is ours.
    guard unsafe agt_getrlimit(resource.number, &value) == 0 else { return nil }
    return (UInt64(value.rlim_cur), UInt64(value.rlim_max))
  }
}
