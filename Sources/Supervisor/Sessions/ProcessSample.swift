internal import Glibc
internal import Kernel

/// One line of the process table (proc_pid_stat(5)).
struct ProcessSample: Equatable {
  let pid: Int32
  /// At most 15 bytes that the process may choose itself.
  let name: String
  /// `R`, `S`, `D`, `T`, `t`, `Z`, …
  let state: Character
  let parent: Int32
  let cpuTicks: UInt64
  let threads: Int
  /// Since boot.
  let startedTicks: UInt64
  let residentPages: UInt64

  /// USER_HZ, which is 100 on every architecture that we build for (time(7)).
  static let ticksPerSecond: UInt64 = 100

  /// nil when the process is gone or hidden.
  init?(_ pid: Int32) {
    guard let bytes = try? Files.read(ByteString("/proc/\(pid)/stat"), limit: 4096) else {
      return nil
    }
    self.init(line: bytes)
  }

  /// - Parameter line: as in the file. The name may hold blanks and parentheses.
  init?(line: [UInt8]) {
    guard let open = line.firstIndex(of: UInt8(ascii: "(")),
      let close = line.lastIndex(of: UInt8(ascii: ")")), open < close
    else { return nil }
    let fields = line[(close + 1)...].split(whereSeparator: { $0 == 32 || $0 == 10 }).map {
      String(decoding: $0, as: UTF8.self)
    }
    // From the state, which is field 3: field n is at n − 3.
    guard fields.count > 21, let state = fields[0].first,
      let pid = Int32(String(decoding: line[..<open], as: UTF8.self).filter(\.isNumber)),
      let parent = Int32(fields[1]), let user = UInt64(fields[11]), let system = UInt64(fields[12]),
      let threads = Int(fields[17]), let started = UInt64(fields[19]),
      let resident = Int64(fields[21])
    else { return nil }
    self.pid = pid
    self.name = String(decoding: line[(open + 1)..<close], as: UTF8.self)
    self.state = state
    self.parent = parent
    self.cpuTicks = user + system
    self.threads = threads
    self.startedTicks = started
    self.residentPages = UInt64(max(resident, 0))
  }

  /// Whether this can be the process that had the pid at that time, in nanoseconds since boot.
  func existed(atNanoseconds time: UInt64) -> Bool {
    startedTicks * (1_000_000_000 / Self.ticksPerSecond) <= time
  }
}

/// The processes of the machine, read once, by parent.
struct ProcessSnapshot {
  private(set) var samples: [Int32: ProcessSample] = [:]
  private var children: [Int32: [Int32]] = [:]

  init() {
    for name in (try? Files.names(in: ByteString("/proc"))) ?? [] {
      guard let pid = Int32(name.text), let sample = ProcessSample(pid) else { continue }
      samples[pid] = sample
      children[sample.parent, default: []].append(pid)
    }
  }

  /// Everything below a process, without itself: all of a ring, whose orphans stay below its PID 1.
  func descendants(of pid: Int32) -> [ProcessSample] {
    var found: [ProcessSample] = []
    var waiting = children[pid] ?? []
    while let next = waiting.popLast() {
      if let sample = samples[next] { found.append(sample) }
      waiting += children[next] ?? []
    }
    return found.sorted { $0.pid < $1.pid }
  }
}
