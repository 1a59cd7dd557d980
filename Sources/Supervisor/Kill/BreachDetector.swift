internal import Rings

/// From how many points on a run counts as breaking out, `--breach LOW,MEDIUM,HIGH,CRITICAL`.
public struct BreachLevels: Equatable, Sendable {
  public let low, medium, high, critical: UInt64

  public static let usual = BreachLevels(low: 2, medium: 5, high: 10, critical: 20)
  static let pointsMax: UInt64 = 1_000_000

  init(low: UInt64, medium: UInt64, high: UInt64, critical: UInt64) {
    (self.low, self.medium, self.high, self.critical) = (low, medium, high, critical)
  }

  /// nil for what is not four growing numbers of 1 to 1,000,000.
  init?(_ text: String) {
    let parts = text.split(separator: ",", omittingEmptySubsequences: false)
    let numbers = parts.compactMap { UInt64($0) }
    guard parts.count == 4, numbers.count == 4, numbers[0] >= 1, numbers[3] <= Self.pointsMax,
      zip(numbers, numbers.dropFirst()).allSatisfy({ $0 < $1 })
    else { return nil }
    self.init(low: numbers[0], medium: numbers[1], high: numbers[2], critical: numbers[3])
  }

  public var text: String { "\(low),\(medium),\(high),\(critical)" }
}

enum BreachLevel: String, CaseIterable {
  case low, medium, high, critical
}

/// Notices that a run does again and again what it may not.
///
/// Whoever starts an agent and looks away gives `--breach`. Each refused call has points (`BreachPoints`), each
/// denied request of the broker one; what they amount to within a minute is compared with four levels. From
/// `high` on every request is denied for a minute; `critical` ends the run. A program that tries a few things to
/// see what it has must not be ended, so that nothing is counted unless it was asked for. However much an
/// agent tries, this takes the same memory.
struct BreachDetector {
  static let windowSeconds = 60
  /// How long everything is denied.
  static let coolDownMilliseconds: UInt64 = 60_000

  let levels: BreachLevels
  /// Points of each second; that of `newest` is at `newest % windowSeconds`.
  private var seconds = [UInt64](repeating: 0, count: windowSeconds)
  private var newest: UInt64 = 0

  init(_ levels: BreachLevels) { self.levels = levels }

  /// Everything is to be denied.
  var isHigh: Bool { points >= levels.high }

  /// Within the last minute.
  var points: UInt64 { seconds.reduce(0, +) }

  /// - Returns: the level, when it is higher than before; one that was left can be reached again.
  mutating func add(_ points: UInt64, nowMilliseconds: UInt64) -> BreachLevel? {
    let now = max(newest, nowMilliseconds / 1000)
    let count = UInt64(Self.windowSeconds)
    for second in newest..<min(now, newest + count) { seconds[Int((second + 1) % count)] = 0 }
    newest = now
    let before = level(self.points)
    seconds[Int(now % count)] += min(points, BreachLevels.pointsMax)
    let after = level(self.points)
    return after == before ? nil : after
  }

  private func level(_ points: UInt64) -> BreachLevel? {
    if points >= levels.critical { return .critical }
    if points >= levels.high { return .high }
    if points >= levels.medium { return .medium }
    return points >= levels.low ? .low : nil
  }
}

/// What a forbidden call counts: how many rings it is away, and twice for what would take the machine over.
struct BreachPoints {
  let ring: UInt8
  private var known: [String: UInt64] = [:]

  init(ring: UInt8) { self.ring = ring }

  mutating func of(_ call: String) -> UInt64 {
    if let points = known[call] { return points }
    let points = distance(call) * (Self.takeover.contains(call) ? 2 : 1)
    // Calls without a name have as many numbers as the agent likes.
    if known.count < ViolationRecorder.maximumKinds { known[call] = points }
    return points
  }

  /// To the nearest ring that has the call for some arguments; one more than there are when none has.
  private func distance(_ call: String) -> UInt64 {
    for step in UInt8(1)...max(1, ring) where step <= ring {
      if RingProfile.shipped(ring - step).syscalls.permission(call) != .never {
        return UInt64(step)
      }
    }
    return UInt64(ring) + 1
  }

  /// Into the kernel, other processes, or other views of the machine.
  static let takeover: Set<String> = [
    "ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "pidfd_getfd", "kcmp",
    "init_module", "finit_module", "delete_module", "kexec_load", "kexec_file_load", "bpf",
    "perf_event_open", "userfaultfd", "mount", "umount2", "move_mount", "open_tree", "fsopen",
    "fsmount", "fsconfig", "mount_setattr", "pivot_root", "chroot", "setns", "unshare",
    "open_by_handle_at", "reboot", "swapon", "swapoff", "iopl", "ioperm", "acct", "quotactl",
    "add_key", "request_key", "keyctl", "settimeofday", "clock_settime", "adjtimex", "syslog",
  ]
}
