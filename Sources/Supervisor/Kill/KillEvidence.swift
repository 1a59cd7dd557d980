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
    /// nil when they could not be read in time (`ArgumentsReader`).
    var arguments: [String]?
    /// `3 → socket:[4711]`, the first of them.
    var descriptors: [String]
    var descriptorCount: Int

    init(_ directory: ProcessDirectory, _ sample: ProcessSample) {
      pid = directory.pid
      parent = sample.parent
      name = sample.name
      state = String(sample.state)
      executable = Self.text(directory.link("exe"))
      let numbers = directory.descriptors(upTo: descriptorCountMax)
      descriptors = numbers.prefix(descriptorsMax).map {
        "\($0) → \(Self.text(directory.link("fd/\($0)")))"
      }
      descriptorCount = numbers.count
    }

    static func text(_ bytes: some Sequence<UInt8>) -> String {
      ByteString(bytes.prefix(wordMaxBytes)).text
    }
  }

  /// Nobody reads more of them; the rest is counted.
  static let processesMax = 64
  static let argumentsMax = 32
  static let wordMaxBytes = 256
  static let descriptorsMax = 32
  static let descriptorCountMax = 1024
  /// After the first time no more is read of single processes, after the second they are not even counted.
  static let detailNanoseconds: UInt64 = 600_000
  static let countNanoseconds: UInt64 = 1_200_000
  /// So long their command lines are waited for.
  static let argumentsNanoseconds: UInt64 = 1_000_000

  private(set) var processes: [Process] = []
  /// How many there were, without PID 1 of the ring.
  private(set) var count = 0
  /// Whether all were counted.
  private(set) var isComplete = true
  var violations: JSONValue = .array([])

  /// - Parameter ringInit: PID 1 of the ring, below which all of it is.
  init(below ringInit: Int32, clock: () -> UInt64 = Clock.monotonicNanoseconds) {
    ArgumentsReader.shared.begin()
    look(below: ringInit, clock)
    takeArguments()
  }

  private mutating func takeArguments() {
    let found = ArgumentsReader.shared.answers(withinNanoseconds: Self.argumentsNanoseconds)
    for index in processes.indices { processes[index].arguments = found[processes[index].pid] }
  }

  private mutating func look(below ringInit: Int32, _ clock: () -> UInt64) {
    let began = clock()
    var waiting = Self.children(of: ringInit) ?? []
    var mayCount = true
    while let pid = waiting.popLast() {
      count += 1
      let spent = clock() - began
      // One at least, however busy the machine is.
      let mayRead =
        (spent < Self.detailNanoseconds && processes.count < Self.processesMax) || processes.isEmpty
      if !mayRead, mayCount {
        mayCount = false
        if let all = Self.count(
          below: ringInit, until: { clock() - began > Self.countNanoseconds })
        {
          (count, isComplete) = (max(count, all.count), all.isComplete)
          return
        }
      }
      if spent > Self.countNanoseconds {
        isComplete = false
        return
      }
      var children: [Int32]?
      if mayRead, let directory = ProcessDirectory(pid), let sample = directory.sample {
        ArgumentsReader.shared.ask(directory)
        processes.append(Process(directory, sample))
        children = directory.children(threads: sample.threads)
      } else {
        children = Self.children(of: pid)
      }
      if let children { waiting += children } else { isComplete = false }
    }
  }

  /// Of a ring with one process, which cannot change under the look at it but by ending: stopping it would take
  /// longer.
  /// - Returns: nil when there are more, or none.
  static func alone(
    below ringInit: Int32
  ) -> (evidence: KillEvidence, program: ProcessDirectory)? {
    // PID 1 has one thread.
    guard let children = list("/proc/\(ringInit)/task/\(ringInit)/children"), children.count == 1,
      let directory = ProcessDirectory(children[0]), let sample = directory.sample,
      directory.children(threads: sample.threads)?.isEmpty == true
    else { return nil }
    return (KillEvidence(of: directory, sample), directory)
  }

  /// Looks at ourselves and forgets it. Nothing of the program's is read, which could make us wait.
  static func rehearse() {
    let own = getpid()
    _ = alone(below: own)
    _ = children(of: own)
    guard let directory = ProcessDirectory(own), let sample = directory.sample else { return }
    _ = directory.children(threads: sample.threads)
    _ = KillEvidence(of: directory, sample)
    _ = directory.open("ns/mnt")
  }

  private init(of directory: ProcessDirectory, _ sample: ProcessSample) {
    // The only thread of all sleeps: nobody has the lock of its memory.
    let isCalm = sample.threads == 1 && sample.state == "S"
    if !isCalm {
      ArgumentsReader.shared.begin()
      ArgumentsReader.shared.ask(directory)
    }
    processes = [Process(directory, sample)]
    count = 1
    if isCalm {
      processes[0].arguments = ArgumentsReader.read(directory)
    } else {
      takeArguments()
    }
  }

  /// How many the ring's own procfs shows besides PID 1, which costs a tenth of going from each to its children.
  /// - Parameter stop: when there is no more time.
  /// - Returns: nil when that is not ours to see, or belongs to another namespace as well.
  private static func count(
    below ringInit: Int32, until stop: () -> Bool
  ) -> (count: Int, isComplete: Bool)? {
    guard let place = try? Files.open(ByteString("/proc/\(ringInit)/root/proc"), O_DIRECTORY),
      Files.fileSystemType(place.raw) == Files.procType,
      // Who reads this link is not in that namespace (ENOENT).
      (try? Files.readLink(ByteString("self"), at: place.raw)) == nil
    else { return nil }
    var count = 0
    var isComplete = true
    let names = try? Files.names(
      in: place,
      until: { name in
        if Int32(name.text) != nil { count += 1 }
        // Not at each: asking for the time costs as much as a name.
        if count % 64 == 63, stop() { isComplete = false }
        return !isComplete
      })
    return names == nil ? nil : (max(count - 1, 0), isComplete)
  }

  /// Of all of its threads (proc_pid_task(5)); nil when it is gone.
  static func children(of pid: Int32) -> [Int32]? {
    let tasks = ByteString("/proc/\(pid)/task")
    guard let status = try? Files.status(of: tasks) else { return nil }
    // Two links and one for each thread.
    if status.links <= 3 { return list("/proc/\(pid)/task/\(pid)/children") }
    guard let names = try? Files.names(in: tasks) else { return nil }
    return names.flatMap { list("/proc/\(pid)/task/\($0.text)/children") ?? [] }
  }

  private static func list(_ path: String) -> [Int32]? {
    guard let file = try? Files.open(ByteString(path), O_RDONLY) else { return nil }
    return ProcessDirectory.numbers(file.raw)
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
            "arguments": $0.arguments.map { JSONValue($0) } ?? .null,
            "descriptors": JSONValue($0.descriptors),
            "descriptorCount": JSONValue($0.descriptorCount),
          ])
        }), "count": JSONValue(count), "complete": .bool(isComplete), "violations": violations,
    ])
  }
}
