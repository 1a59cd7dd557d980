internal import JSON

/// What a run may use as a whole, however this machine can hold it to that.
struct RunLimits: Equatable {
  var memoryBytes: UInt64?
  var processes: UInt64?
  /// Thousandths of a processor.
  var cpuThousandths: UInt64?
  var cpuTimeMilliseconds: UInt64?
  var diskBytes: UInt64?
  /// Of its broker.
  var requests: UInt64?
  var toolCalls: UInt64?
  /// Sent to each destination of its network, all connections together.
  var egressBytes: UInt64?
  /// Written to its standard output and error together.
  var outputBytes: UInt64?
  /// Of the disks that its workspace is on.
  var io: Throughput?

  /// In bytes each second, for all processes together; on each disk by itself.
  struct Throughput: Equatable {
    var readBytes: UInt64?
    var writeBytes: UInt64?
    var disks: [BlockDevice]

    /// What io.max is told, a disk each (cgroups(7), version 2).
    var lines: [String] {
      func limit(_ bytes: UInt64?) -> String { bytes.map { "\($0)" } ?? "max" }
      return disks.map { "\($0.text) rbps=\(limit(readBytes)) wbps=\(limit(writeBytes))" }
    }

    /// What blkio of version 1 is told: the file, and a line of it.
    var legacyLines: [(file: String, line: String)] {
      [("read", readBytes), ("write", writeBytes)].flatMap { kind, bytes in
        disks.compactMap { disk in
          bytes.map { ("blkio.throttle.\(kind)_bps_device", "\(disk.text) \($0)") }
        }
      }
    }

    /// `1 MiB/s read from and 4 MiB/s written to disk 254:0`
    var text: String {
      let parts = [
        readBytes.map { "\(Amounts.size($0))/s read from" },
        writeBytes.map { "\(Amounts.size($0))/s written to" },
      ]
      return parts.compactMap(\.self).joined(separator: " and ") + " disk "
        + disks.map(\.text).joined(separator: " and ")
    }
  }

  /// Controllers without which it cannot be held to what was asked for, by their names in version 2.
  var needed: Set<String> {
    var names: Set<String> = []
    if cpuThousandths != nil { names.insert("cpu") }
    if io != nil { names.insert("io") }
    return names
  }

  /// The same in version 2, where what is written through the page cache belongs to the run only with its memory.
  var neededUnified: Set<String> {
    io?.writeBytes == nil ? needed : needed.union(["memory"])
  }

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
    if let io { parts.append(io.text) }
    return parts.joined(separator: ", ")
  }

  /// What a run uses up, and is ended for.
  enum Budget {
    case requests, toolCalls, egress, output, cpuTime, disk

    /// Sets it, and gives more.
    var option: String {
      switch self {
      case .requests: "--requests"
      case .toolCalls: "--tool-calls"
      case .egress: "--egress"
      case .output: "--output"
      case .cpuTime: "--cpu-time"
      case .disk: "--disk"
      }
    }
  }

  /// The one that is used up; nil when none is. What is counted as it comes is asked first: a run that ends for
  /// it may use up CPU time on its way, and nothing of the other kind is counted any more in a run that ends.
  func exceeded(by usage: RunUsage) -> Budget? {
    if let limit = requests, usage.requests > limit { return .requests }
    if let limit = toolCalls, usage.toolCalls > limit { return .toolCalls }
    if let limit = outputBytes, usage.outputBytes > limit { return .output }
    if egressBytes != nil, usage.egress?.isExceeded == true { return .egress }
    if let limit = cpuTimeMilliseconds, usage.cpuMicroseconds >= limit * 1000 { return .cpuTime }
    if let limit = diskBytes, usage.writtenBytes > limit { return .disk }
    return nil
  }

  /// As the record of a kill has it.
  func rule(of budget: Budget, _ usage: RunUsage) -> String {
    switch budget {
    case .requests: "request limit of \(requests ?? 0)"
    case .toolCalls: "tool call limit of \(toolCalls ?? 0)"
    case .egress:
      "egress limit of \(Amounts.size(egressBytes ?? 0)) to \(usage.egress?.destination ?? "")"
    case .output: "output limit of \(Amounts.size(outputBytes ?? 0))"
    case .cpuTime: "CPU time limit of \(Amounts.duration(cpuTimeMilliseconds ?? 0))"
    case .disk: "disk limit of \(Amounts.size(diskBytes ?? 0))"
    }
  }

  static func cpus(_ thousandths: UInt64) -> String {
    let rest = thousandths % 1000
    if rest == 0 { return "\(thousandths / 1000)" }
    var digits = "\(1000 + rest)".dropFirst()
    while digits.last == "0" { digits.removeLast() }
    return "\(thousandths / 1000).\(digits)"
  }
}
