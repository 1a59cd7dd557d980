internal import Glibc
public import JSON
internal import Kernel
internal import Paths

/// `agt verify`: the forbidden acts of agt-probe, done for real in each ring on this machine.
///
/// Its user wants evidence, not promises. A probe that could not be tried is listed as such and never
/// counted as contained; a positive control that fails makes the whole verification fail, because a
/// sandbox in which nothing works looks contained.
public struct Verification {
  public struct Answer: Sendable {
    public var outcome: String
    public var errno: String?
    public var detail: String
    /// `contained`, `works`, `escaped`, `broken`, `allowed` or `not tried`.
    public var verdict: String
  }

  public struct Row: Sendable {
    public var probe: String
    public var summary: String
    /// By ring; nil where the ring was not asked.
    public var answers: [Int: Answer]
  }

  public private(set) var rows: [Row] = []
  /// Rings that did not start, with the message.
  public private(set) var failures: [Int: String] = [:]

  public static let rings = [1, 2, 3]

  public var escapes: Int { count("escaped") }
  public var broken: Int { count("broken") }
  public var contained: Int { count("contained") }
  public var isClean: Bool { escapes == 0 && broken == 0 && failures.isEmpty }

  private func count(_ verdict: String) -> Int {
    rows.reduce(0) { $0 + $1.answers.values.filter { $0.verdict == verdict }.count }
  }

  /// Runs the probes in every ring, side by side.
  public static func run() throws(RunError) -> Verification {
    let directory = try ownDirectory()
    do throws(SyscallError) {
      let listing = try Child("\(directory)/agt-probe", ["--list", "--json"])
      var verification = Verification()
      let probes = try parse(try listing.output())
      let workspace = "/tmp/agt-verify-\(getpid())"
      try Files.makeDirectory(ByteString(workspace), mode: 0o755)
      defer { try? Files.remove(ByteString(workspace), directory: true) }
      let launches = try rings.map { ring throws(SyscallError) in
        try Child(
          "\(directory)/agt-run",
          [
            "--ring", "\(ring)", "--quiet", "--timeout", "60s", "--workspace", workspace, "--",
            "\(directory)/agt-probe", "run-all",
          ])
      }
      var answers: [[String: JSONValue]] = []
      for (ring, launch) in zip(rings, launches) {
        let output = try launch.output()
        answers.append(byName(output))
        if launch.status != 0 {
          verification.failures[ring] = "agt-run --ring \(ring) ended with \(launch.status)"
        }
      }
      for probe in probes {
        verification.rows.append(row(probe, answers))
      }
      return verification
    } catch {
      throw RunError(.internalFailure, "verifying: \(error.description)")
    }
  }

  private static func ownDirectory() throws(RunError) -> String {
    guard let own = try? Files.readLink(ByteString("/proc/self/exe")).text else {
      throw RunError(.internalFailure, "reading /proc/self/exe: is /proc mounted?")
    }
    for directory in [PathText.parent(own), PathText.parent(own) + "/../libexec/agt-run"]
    where Files.mayAccess(ByteString(directory + "/agt-probe"), 1) { return directory }
    throw RunError(
      .internalFailure, "agt-probe is not beside \(own)",
      hint: "swift build -c release, or install again")
  }

  private static func parse(_ bytes: [UInt8]) throws(SyscallError) -> [JSONValue] {
    guard let list = try? JSONParser.parse(bytes).arrayValue else {
      throw SyscallError(call: "agt-probe --list --json", errno: EPROTO)
    }
    return list
  }

  private static func byName(_ output: [UInt8]) -> [String: JSONValue] {
    var found: [String: JSONValue] = [:]
    for line in output.split(separator: 10) {
      guard let value = try? JSONParser.parse(Array(line)), let name = value["probe"]?.stringValue
      else { continue }
      found[name] = value
    }
    return found
  }

  private static func row(_ probe: JSONValue, _ answers: [[String: JSONValue]]) -> Row {
    let name = probe["name"]?.stringValue ?? ""
    var row = Row(probe: name, summary: probe["summary"]?.stringValue ?? "", answers: [:])
    for (ring, answers) in zip(rings, answers) {
      guard let answer = answers[name] else { continue }
      let outcome = answer["outcome"]?.stringValue ?? ""
      row.answers[ring] = Answer(
        outcome: outcome, errno: answer["errno"]?.stringValue,
        detail: answer["detail"]?.stringValue ?? "", verdict: verdict(probe, ring, outcome))
    }
    return row
  }

  private static func verdict(_ probe: JSONValue, _ ring: Int, _ outcome: String) -> String {
    if outcome == "skipped" || outcome == "unavailable" { return "not tried" }
    let happened = outcome == "done" || outcome == "reached"
    if let works = probe["worksInRings"]?.arrayValue {
      guard works.contains(JSONValue(ring)) else { return happened ? "allowed" : "contained" }
      return outcome == "done" ? "works" : "broken"
    }
    let from = Int(probe["refusedFromRing"]?.integerValue ?? 0)
    if ring < from { return happened ? "allowed" : "contained" }
    return happened ? "escaped" : "contained"
  }

  public var json: JSONValue {
    .object([
      "clean": .bool(isClean), "contained": JSONValue(contained), "escaped": JSONValue(escapes),
      "broken": JSONValue(broken),
      "failures": .array(
        failures.sorted { $0.key < $1.key }.map {
          .object(["ring": JSONValue($0.key), "message": .string($0.value)])
        }),
      "probes": .array(
        rows.map { row in
          .object([
            "probe": .string(row.probe), "summary": .string(row.summary),
            "rings": .array(
              row.answers.sorted { $0.key < $1.key }.map { ring, answer in
                .object([
                  "ring": JSONValue(ring), "verdict": .string(answer.verdict),
                  "outcome": .string(answer.outcome), "errno": JSONValue(answer.errno),
                  "detail": .string(answer.detail),
                ])
              }),
          ])
        }),
    ])
  }
}

/// A command whose standard output is kept in memory.
private final class Child {
  private let pid: Int32
  private let file: OwnedFD
  private(set) var status: Int = -1

  init(_ path: String, _ arguments: [String]) throws(SyscallError) {
    file = try Descriptors.memory(name: "output")
    let nothing = try Files.open(ByteString("/dev/null"), O_RDONLY)
    pid = try Processes.spawn(
      ByteString(path), arguments: ([path] + arguments).map { ByteString($0) },
      environment: Vectors.environment, descriptors: [(nothing.raw, 0), (file.raw, 1)])
  }

  /// Waits for the end and returns what was written.
  func output() throws(SyscallError) -> [UInt8] {
    if let ended = try Processes.wait(pid, blocking: true) {
      switch ended.status {
      case .exited(let code): status = Int(code)
      case .signaled(let number): status = 128 + Int(number)
      default: break
      }
    }
    return try Files.readFromStart(file.raw, limit: 16 << 20)
  }
}
