internal import JSON

/// What a run may use as a whole, however this machine can hold it to that.
struct RunLimits: Equatable {
  var memoryBytes: UInt64?
  var processes: UInt64?
  /// Thousandths of a processor.
  var cpuThousandths: UInt64?

  /// Of cpu.max and cpu.cfs_period_us: the kernel's default.
  static let cpuPeriodMicroseconds: UInt64 = 100_000

  /// Of each period, for all processors together.
  var cpuQuotaMicroseconds: UInt64? {
    cpuThousandths.map { max($0 * Self.cpuPeriodMicroseconds / 1000, 1000) }
  }

  /// `512 MiB of memory, 64 processes and threads, 0.5 CPUs`
  var text: String {
    var parts: [String] = []
    if let bytes = memoryBytes { parts.append("\(Amounts.size(bytes)) of memory") }
    if let count = processes { parts.append("\(count) processes and threads") }
    if let cpu = cpuThousandths { parts.append("\(Self.cpus(cpu)) CPUs") }
    return parts.joined(separator: ", ")
  }

  static func cpus(_ thousandths: UInt64) -> String {
    let rest = thousandths % 1000
    if rest == 0 { return "\(thousandths / 1000)" }
    var digits = "\(1000 + rest)".dropFirst()
    while digits.last == "0" { digits.removeLast() }
    return "\(thousandths / 1000).\(digits)"
  }
}

/// What a run met of its limits.
struct LimitReport: Equatable {
  /// `v2`, `v1` or `rlimit`.
  var flavour: String
  var memoryPeakBytes: UInt64?
  var processPeak: UInt64?
  /// How often the kernel ended a process of the run for want of memory.
  var memoryKills: UInt64 = 0
  /// How often the kernel refused a process for the count.
  var processRefusals: UInt64 = 0
  /// Periods in which it was kept from running.
  var throttledPeriods: UInt64 = 0

  /// In words; nil when it met none.
  func sentence(_ limits: RunLimits) -> String? {
    guard memoryKills > 0 else { return nil }
    let limit = limits.memoryBytes.map { " of \(Amounts.size($0))" } ?? ""
    let peak = memoryPeakBytes.map { ", peak \(Amounts.size($0))" } ?? ""
    return "memory limit\(limit) exceeded\(peak)"
  }

  func json(_ limits: RunLimits) -> JSONValue {
    .object([
      "enforcedBy": .string(flavour),
      "memoryBytes": limits.memoryBytes.map { JSONValue($0) } ?? .null,
      "memoryPeakBytes": memoryPeakBytes.map { JSONValue($0) } ?? .null,
      "memoryKills": JSONValue(memoryKills),
      "processes": limits.processes.map { JSONValue($0) } ?? .null,
      "processPeak": processPeak.map { JSONValue($0) } ?? .null,
      "processRefusals": JSONValue(processRefusals),
      "cpus": limits.cpuThousandths.map { JSONValue(Double($0) / 1000) } ?? .null,
      "throttledPeriods": JSONValue(throttledPeriods),
    ])
  }
}
