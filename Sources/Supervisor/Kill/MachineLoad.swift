internal import Kernel

/// What runs on this machine at this moment.
enum MachineLoad {
  /// Whether every process that can run has a processor: with a fork bomb in a ring that is never so.
  static var nobodyWaits: Bool {
    guard let processors = Processes.processorCount,
      let text = try? Files.read(ByteString("/proc/loadavg"), limit: 256),
      let runnable = runnable(text)
    else { return false }
    return runnable <= processors
  }

  /// Of the whole machine, whoever reads it included; nil when it is not told.
  /// - Parameter text: of /proc/loadavg, `0.71 1.03 0.92 3/512 4711` (proc_loadavg(5)).
  static func runnable(_ text: [UInt8]) -> Int? {
    let words = text.split(separator: 0x20)
    guard words.count == 5 else { return nil }
    let counts = words[3].split(separator: 0x2F)
    return counts.count == 2 ? Int(Array(counts[0]).text) : nil
  }
}
