internal import Glibc
internal import Hashing
internal import JSON
internal import Kernel

/// What the processes of a run were when it was ended: read from procfs while they are stopped.
///
/// A fork bomb must not delay its own end, so that everything here is bounded in number and in time.
struct KillEvidence: Equatable {
  struct Process: Equatable {
    var pid: Int32
    var parent: Int32
    var name: String
    var state: String
    var executable: String
    var arguments: [String]
    /// `3 → socket:[4711]`, the first of them.
    var descriptors: [String]
    var descriptorCount: Int
  }

  /// Nobody reads more of them; the rest is counted.
  static let processesMax = 64
  static let argumentsMax = 32
  static let wordMaxBytes = 256
  static let descriptorsMax = 32
  /// After the first time no more is read of single processes, after the second they are not even counted.
  static let detailNanoseconds: UInt64 = 1_000_000
  static let countNanoseconds: UInt64 = 2_500_000

  private(set) var processes: [Process] = []
  /// How many there were, without PID 1 of the ring.
  private(set) var count = 0
  /// Whether all were counted.
  private(set) var isComplete = true
  var violations: JSONValue = .array([])

  /// - Parameter ringInit: PID 1 of the ring, below which all of it is.
  init(below ringInit: Int32, clock: () -> UInt64 = Clock.monotonicNanoseconds) {
    let began = clock()
    var waiting = [ringInit]
    while let parent = waiting.popLast() {
      guard let children = Self.children(of: parent) else {
        isComplete = false
        continue
      }
      for pid in children {
        count += 1
        let spent = clock() - began
        if spent > Self.countNanoseconds {
          isComplete = false
          return
        }
        // One at least, however busy the machine is.
        let mayRead = spent < Self.detailNanoseconds || processes.isEmpty
        if mayRead, processes.count < Self.processesMax,
          let process = Self.process(pid)
        {
          processes.append(process)
        }
      }
      waiting += children
    }
  }

  /// Of all of its threads (proc_pid_task(5)); nil when it is gone.
  static func children(of pid: Int32) -> [Int32]? {
    let tasks = ByteString("/proc/\(pid)/task")
    guard let status = try? Files.status(of: tasks) else { return nil }
    // Two links and one for each thread.
    if status.links <= 3 { return numbers("/proc/\(pid)/task/\(pid)/children") }
    guard let names = try? Files.names(in: tasks) else { return nil }
    return names.flatMap { numbers("/proc/\(pid)/task/\($0.text)/children") ?? [] }
  }

  private static func numbers(_ file: String) -> [Int32]? {
    guard let text = try? Files.read(ByteString(file), limit: 1 << 20) else { return nil }
    return text.split(separator: 32).compactMap { Int32(String(decoding: $0, as: UTF8.self)) }
  }

  private static func process(_ pid: Int32) -> Process? {
    guard let sample = ProcessSample(pid) else { return nil }
    let line = (try? Files.read(ByteString("/proc/\(pid)/cmdline"), limit: 1 << 16)) ?? []
    let words = line.split(separator: 0).prefix(argumentsMax).map {
      ByteString($0.prefix(wordMaxBytes)).text
    }
    let open = (try? Files.names(in: ByteString("/proc/\(pid)/fd"))) ?? []
    let numbers = open.compactMap { Int32($0.text) }.sorted()
    return Process(
      pid: pid, parent: sample.parent, name: sample.name, state: String(sample.state),
      executable: link("/proc/\(pid)/exe"), arguments: words,
      descriptors: numbers.prefix(descriptorsMax).map {
        "\($0) → \(link("/proc/\(pid)/fd/\($0)"))"
      },
      descriptorCount: numbers.count)
  }

  private static func link(_ path: String) -> String {
    ByteString(((try? Files.readLink(ByteString(path))) ?? []).prefix(wordMaxBytes)).text
  }

  /// `sha256:…` of the canonical text.
  static func digest(_ json: JSONValue) -> String {
    "sha256:" + SHA256.text((try? JSONWriter.canonical(json)) ?? JSONWriter.compact(json))
  }

  var json: JSONValue {
    .object([
      "processes": .array(
        processes.map {
          .object([
            "pid": JSONValue($0.pid), "parent": JSONValue($0.parent), "name": .string($0.name),
            "state": .string($0.state), "executable": .string($0.executable),
            "arguments": JSONValue($0.arguments), "descriptors": JSONValue($0.descriptors),
            "descriptorCount": JSONValue($0.descriptorCount),
          ])
        }), "count": JSONValue(count), "complete": .bool(isComplete), "violations": violations,
    ])
  }
}
