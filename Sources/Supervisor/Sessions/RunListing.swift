internal import Glibc
public import JSON
internal import Kernel

/// One line of `agt ps`.
public struct RunLine: Sendable {
  public var id: String
  public var name: String?
  public var agent: String?
  public var ring: Int?
  public var ageMilliseconds: UInt64
  public var processes: Int
  /// Resident memory of all processes together; shared pages count in each.
  public var memoryBytes: UInt64
  public var cpuMilliseconds: UInt64
  public var violations: Int?
  /// The call that was refused last.
  public var lastViolation: String?
  /// `starting`, `running`, `paused`, `ending`, `silent` (its supervisor does not answer), `lost` (its
  /// supervisor was killed) or `ended 3` with the status.
  public var state: String
  public var command: String

  public var json: JSONValue {
    .object([
      "run": .string(id), "name": JSONValue(name), "agent": JSONValue(agent),
      "ring": ring.map { JSONValue($0) } ?? .null, "ageMilliseconds": JSONValue(ageMilliseconds),
      "processes": JSONValue(processes), "memoryBytes": JSONValue(memoryBytes),
      "cpuMilliseconds": JSONValue(cpuMilliseconds),
      "violations": violations.map { JSONValue($0) } ?? .null,
      "lastViolation": JSONValue(lastViolation), "state": .string(state),
      "command": .string(command),
    ])
  }
}

/// `agt ps`: what runs, read from the registry, what the runs say of themselves, and one pass over the process table.
public enum RunListing {
  /// A supervisor answers within a millisecond; one that takes longer than this is stuck or stopped.
  private static let answerMilliseconds: Int32 = 500

  /// - Parameter isAll: detached runs that have ended as well.
  public static func lines(
    _ registry: RunRegistry, isAll: Bool = false
  ) throws(RunError) -> [RunLine] {
    let runs = try registry.list().filter { isAll || $0.ending == nil || $0.isSupervised }
    if runs.isEmpty { return [] }
    let table = ProcessSnapshot()
    let now = Clock.wallNanoseconds() / 1_000_000
    var told = runs.map { $0.hasRunningSupervisor(in: table) ? $0.live : nil }
    // Who is being launched has said nothing yet.
    let others = told.indices.filter { told[$0] == nil }
    let answers = RunRegistry.ask(
      others.map { runs[$0] }, ["method": "status"], milliseconds: answerMilliseconds)
    for (index, answer) in zip(others, answers) {
      guard let answer, let state = answer["state"]?.stringValue else { continue }
      told[index] = LiveState(
        state: state, violationCount: Int(clamping: answer["violationCount"]?.integerValue ?? 0),
        lastCall: answer["lastViolation"]?["call"]?.stringValue)
    }
    return zip(runs, told).map { run, live in line(run, live, table, now) }
  }

  private static func line(
    _ run: RegisteredRun, _ live: LiveState?, _ table: ProcessSnapshot, _ now: UInt64
  ) -> RunLine {
    let began = RunIdentifier.wallMilliseconds(of: run.id)
    let status = run.status
    let processes = run.livingInit(in: table).map { table.descendants(of: $0.pid) } ?? []
    let pageBytes = UInt64(getpagesize())
    return RunLine(
      id: run.id, name: status?.name, agent: status?.agent,
      ring: status.map { Int($0.ring) }, ageMilliseconds: now > began ? now - began : 0,
      processes: processes.count,
      memoryBytes: processes.reduce(0) { $0 + $1.residentPages } * pageBytes,
      cpuMilliseconds: processes.reduce(0) { $0 + $1.cpuTicks } * 1000
        / ProcessSample.ticksPerSecond,
      violations: live.map(\.violationCount), lastViolation: live?.lastCall,
      state: live?.state ?? state(run), command: status?.command.joined(separator: " ") ?? "")
  }

  /// Of one that does not say.
  private static func state(_ run: RegisteredRun) -> String {
    if let ending = run.ending {
      return "ended" + (ending["status"]?.integerValue.map { " \($0)" } ?? "")
    }
    if run.isSupervised { return "silent" }
    return run.status == nil && run.isBeginning ? "starting" : "lost"
  }
}

extension RunLine {
  /// `3 min`, `2 h`
  public var ageText: String { Self.time(ageMilliseconds) }
  /// `12.3 s`
  public var cpuText: String { Self.time(cpuMilliseconds) }
  /// `512 MiB`, rounded.
  public var memoryText: String {
    for (unit, shift) in [("GiB", 30), ("MiB", 20), ("KiB", 10)] as [(String, UInt64)]
    where memoryBytes >= 1 << shift {
      let tenths = (memoryBytes * 10) >> shift
      return tenths >= 1000 ? "\(tenths / 10) \(unit)" : "\(tenths / 10).\(tenths % 10) \(unit)"
    }
    return "\(memoryBytes) B"
  }

  private static func time(_ milliseconds: UInt64) -> String {
    let seconds = milliseconds / 1000
    switch seconds {
    case ..<100: return "\(seconds).\(milliseconds % 1000 / 100) s"
    case ..<6000: return "\(seconds / 60) min"
    case ..<360_000: return "\(seconds / 3600) h"
    default: return "\(seconds / 86400) d"
    }
  }
}

/// `agt inspect`: everything that can be known of one run from outside.
public enum RunInspection {
  public static func json(_ run: RegisteredRun) -> JSONValue {
    let answer = RunRegistry.ask([run], ["method": "status"], milliseconds: 1000)[0]
    let table = ProcessSnapshot()
    var object = run.status?.json.objectValue ?? ["run": .string(run.id)]
    object["directory"] = .string("\(run.place)/\(run.id)")
    object["supervised"] = .bool(run.isSupervised)
    object["live"] = answer ?? .null
    object["ended"] = run.ending ?? .null
    let ringInit = run.livingInit
    let processes = ringInit.map { [$0] + table.descendants(of: $0.pid) } ?? []
    object["processes"] = .array(
      processes.map {
        .object([
          "pid": JSONValue($0.pid), "parent": JSONValue($0.parent), "name": .string($0.name),
          "state": .string(String($0.state)), "threads": JSONValue($0.threads),
          "residentBytes": JSONValue($0.residentPages * UInt64(getpagesize())),
          "cpuMilliseconds": JSONValue($0.cpuTicks * 1000 / ProcessSample.ticksPerSecond),
        ])
      })
    return .object(object)
  }
}
