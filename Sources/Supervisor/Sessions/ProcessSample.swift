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
  /// With those of the children that it has waited for.
  let totalTicks: UInt64
  let threads: Int
  /// Since boot.
  let startedTicks: UInt64
  let residentPages: UInt64

  /// As far as `rss`.
  private static let fieldsRead = 22

  /// USER_HZ, which is 100 on every architecture that we build for (time(7)).
  static let ticksPerSecond: UInt64 = 100

  /// nil when the process is gone or hidden.
  init?(_ pid: Int32) {
    // The line comes whole with the first read (proc_pid_stat(5)).
    guard let file = try? Files.open(ByteString("/proc/\(pid)/stat"), O_RDONLY),
      let bytes = try? Descriptors.read(file.raw, upTo: 4096)
    else { return nil }
    self.init(line: bytes)
  }

  /// - Parameter line: as in the file. The name may hold blanks and parentheses.
  init?(line: [UInt8]) {
    guard let open = line.firstIndex(of: UInt8(ascii: "(")),
      let close = line.lastIndex(of: UInt8(ascii: ")")), open < close
    else { return nil }
    // From the state, which is field 3: field n is at n − 3. A machine has thousands of processes, so that the line
    // is gone through once.
    var fields: [Int] = []
    fields.reserveCapacity(Self.fieldsRead * 2)
    var index = close + 1
    while fields.count < Self.fieldsRead * 2 {
      while index < line.count, line[index] == 32 { index += 1 }
      let start = index
      while index < line.count, line[index] != 32 { index += 1 }
      guard index > start else { return nil }
      fields.append(start)
      fields.append(index)
    }
    func field<T: FixedWidthInteger>(_ place: Int) -> T? {
      Self.number(line[fields[place * 2]..<fields[place * 2 + 1]])
    }
    let first = line[fields[0]]
    guard let pid: Int32 = Self.number(line[..<open].prefix { $0 != 32 }),
      let parent: Int32 = field(1), let user: UInt64 = field(11), let system: UInt64 = field(12),
      let childrenUser: Int64 = field(13), let childrenSystem: Int64 = field(14),
      let threads: Int = field(17), let started: UInt64 = field(19), let resident: Int64 = field(21)
    else { return nil }
    let state = Character(Unicode.Scalar(first))
    self.pid = pid
    self.name = String(decoding: line[(open + 1)..<close], as: UTF8.self)
    self.state = state
    self.parent = parent
    self.cpuTicks = user + system
    self.totalTicks = user + system + UInt64(max(0, childrenUser + childrenSystem))
    self.threads = threads
    self.startedTicks = started
    self.residentPages = UInt64(max(resident, 0))
  }

  /// Decimal digits, with a minus before them where the type has one; nil for anything else.
  private static func number<T: FixedWidthInteger>(_ digits: ArraySlice<UInt8>) -> T? {
    let isNegative = digits.first == UInt8(ascii: "-")
    var value: T = 0
    let rest = isNegative ? digits.dropFirst() : digits
    guard !rest.isEmpty, T.isSigned || !isNegative else { return nil }
    for digit in rest {
      guard (48...57).contains(digit) else { return nil }
      let (tens, isTooLarge) = value.multipliedReportingOverflow(by: 10)
      let step = T(digit - 48)
      let (sum, isOver) =
        isNegative
        ? tens.subtractingReportingOverflow(step) : tens.addingReportingOverflow(step)
      if isTooLarge || isOver { return nil }
      value = sum
    }
    return value
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
