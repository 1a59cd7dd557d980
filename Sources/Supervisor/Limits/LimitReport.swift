internal import JSON

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
  /// nil when nobody counted.
  var usage: RunUsage?

  /// Of a run that has ended; nil when nothing held it but resource limits.
  /// - Parameters:
  ///   - seen: by the watch of its budgets, while it ran.
  ///   - metered: what was counted as it came.
  ///   - whole: of everything in the ring, when the kernel told.
  static func make(
    _ run: borrowing PreparedRun, _ seen: RunUsage?, metered: RunUsage?, _ whole: RunUsage?
  ) -> LimitReport? {
    guard run.cgroup != nil || seen != nil || metered != nil else { return nil }
    var report = run.cgroup?.report ?? LimitReport(flavour: "rlimit")
    // Whoever ignores the end of its children hides what they used from the kernel's sum.
    var usage = metered ?? RunUsage()
    usage.cpuMicroseconds = max(
      seen?.cpuMicroseconds ?? 0, whole?.cpuMicroseconds ?? 0, run.cgroup?.cpuMicroseconds ?? 0)
    usage.writtenBytes = max(seen?.writtenBytes ?? 0, whole?.writtenBytes ?? 0)
    report.usage = usage
    return report
  }

  /// In words; nil when it met none.
  func sentence(_ limits: RunLimits) -> String? {
    guard memoryKills > 0 else { return nil }
    let limit = limits.memoryBytes.map { " of \(Amounts.size($0))" } ?? ""
    let peak = memoryPeakBytes.map { ", peak \(Amounts.size($0))" } ?? ""
    return "memory limit\(limit) exceeded\(peak)"
  }

  /// In words: which budget is used up, and how far; nil when none is.
  func budgetSentence(_ limits: RunLimits) -> String? {
    guard let usage, let budget = limits.exceeded(by: usage) else { return nil }
    let used =
      switch budget {
      // The first one beyond it was not carried out.
      case .requests, .toolCalls, .output: ""
      case .egress: ", \(Amounts.size(usage.egress?.sentBytes ?? 0)) sent"
      case .cpuTime: ", used \(Amounts.duration(usage.cpuMicroseconds / 1000))"
      case .disk: ", \(Amounts.size(usage.writtenBytes)) written"
      }
    return "\(limits.rule(of: budget, usage)) exceeded\(used)"
  }

  func json(_ limits: RunLimits) -> JSONValue {
    func amount(_ value: UInt64?) -> JSONValue { value.map { JSONValue($0) } ?? .null }
    let written = limits.diskBytes == nil ? nil : usage?.writtenBytes
    let requests = limits.requests.flatMap { limit in usage.map { min(limit, $0.requests) } }
    let toolCalls = limits.toolCalls.flatMap { limit in usage.map { min(limit, $0.toolCalls) } }
    var object: JSONObject = [
      "enforcedBy": .string(flavour), "memoryBytes": amount(limits.memoryBytes),
      "memoryPeakBytes": amount(memoryPeakBytes), "memoryKills": JSONValue(memoryKills),
      "processes": amount(limits.processes), "processPeak": amount(processPeak),
      "processRefusals": JSONValue(processRefusals),
    ]
    object["cpus"] = limits.cpuThousandths.map { JSONValue(Double($0) / 1000) } ?? .null
    object["ioReadBytesPerSecond"] = amount(limits.io?.readBytes)
    object["ioWriteBytesPerSecond"] = amount(limits.io?.writeBytes)
    object["ioDisks"] = limits.io.map { JSONValue($0.disks.map(\.text)) } ?? .null
    object["throttledPeriods"] = JSONValue(throttledPeriods)
    object["cpuTimeMilliseconds"] = amount(limits.cpuTimeMilliseconds)
    object["cpuTimeUsedMilliseconds"] = amount(usage.map { $0.cpuMicroseconds / 1000 })
    object["diskBytes"] = amount(limits.diskBytes)
    object["diskWrittenBytes"] = amount(written)
    object["requests"] = amount(limits.requests)
    object["requestsMade"] = amount(requests)
    object["toolCalls"] = amount(limits.toolCalls)
    object["toolCallsMade"] = amount(toolCalls)
    let output = limits.outputBytes.flatMap { limit in usage.map { min(limit, $0.outputBytes) } }
    object["outputBytes"] = amount(limits.outputBytes)
    object["outputWrittenBytes"] = amount(output)
    let egress = limits.egressBytes == nil ? nil : usage?.egress
    object["egressBytes"] = amount(limits.egressBytes)
    object["egressSentBytes"] = amount(egress?.sentBytes)
    object["egressDestination"] = JSONValue(egress?.destination)
    return .object(object)
  }
}
