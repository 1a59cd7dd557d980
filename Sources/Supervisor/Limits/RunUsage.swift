internal import Glibc
internal import Kernel

/// What a run's processes have used together so far.
struct RunUsage: Equatable {
  var cpuMicroseconds: UInt64 = 0
  /// To file systems on disks: pages that were made dirty, once each until they are on the disk. Not tmpfs, and
  /// not space that was reserved and never written.
  var writtenBytes: UInt64 = 0
  /// Asked of the broker (`BudgetMeter`).
  var requests: UInt64 = 0
  /// The one beyond the limit included, which did not begin.
  var toolCalls: UInt64 = 0
  /// What was seen beyond the limit included, which was not passed on.
  var outputBytes: UInt64 = 0
  /// Of the destination that was sent most; nil when none was sent anything.
  var egress: Egress?

  struct Egress: Equatable {
    /// As the rule names it: `*.example.org:443`.
    var destination: String
    var sentBytes: UInt64
    /// More was to be sent.
    var isExceeded = false
  }

  /// Adds up the accounts of those that live (proc_pid_stat(5), proc_pid_io(5)); a process's own holds those of the
  /// children that it has waited for.
  ///
  /// Whoever ends while this looks is missing until the next look, and nobody is counted twice: a parent is read
  /// before its children, and what PID 1 has reaped was read before all of them.
  /// - Parameter gone: what PID 1 says of itself and of those that it has reaped.
  init(below ringInit: Int32, gone: RunUsage, countsWritten: Bool) {
    self = gone
    var waiting = KillEvidence.children(of: ringInit) ?? []
    while let pid = waiting.popLast() {
      if let sample = ProcessSample(pid) {
        cpuMicroseconds += sample.totalTicks * (1_000_000 / ProcessSample.ticksPerSecond)
      }
      if countsWritten { writtenBytes += Self.writtenBytes(of: "\(pid)") ?? 0 }
      waiting += KillEvidence.children(of: pid) ?? []
    }
  }

  init(cpuMicroseconds: UInt64 = 0, writtenBytes: UInt64 = 0) {
    self.cpuMicroseconds = cpuMicroseconds
    self.writtenBytes = writtenBytes
  }

  /// Whether the kernel keeps such accounts (CONFIG_TASK_IO_ACCOUNTING).
  static var canCountWritten: Bool { writtenBytes(of: "self") != nil }

  private static func writtenBytes(of process: String) -> UInt64? {
    let text = try? Files.read(ByteString("/proc/\(process)/io"), limit: 4096).text
    return text.flatMap { accounts($0)["write_bytes"] }
  }

  /// Lines `name: value`.
  static func accounts(_ text: String) -> [String: UInt64] {
    var found: [String: UInt64] = [:]
    for line in text.split(separator: "\n") {
      let parts = line.split(separator: ":", maxSplits: 1)
      guard parts.count == 2, let value = UInt64(parts[1].drop { $0 == " " }) else { continue }
      found[String(parts[0])] = value
    }
    return found
  }
}
