internal import Glibc
internal import JSON
internal import Kernel
internal import Rings

/// The methods of every run: `status` tells how it is, `wait` answers when it ends.
enum StatusMethods {
  static func add(to station: OperatorService) {
    station.handle("status") { _, loop in .now(status(loop)) }
    // The answer is what every client gets at the end.
    station.handle("wait") { _, _ in .later }
  }

  private static func state(_ loop: RunLoop) -> String {
    if loop.killSwitch.isKilling { return "ending" }
    if loop.killSwitch.isPaused { return "paused" }
    return loop.executed ? "running" : "starting"
  }

  static func live(_ loop: RunLoop) -> LiveState {
    let violations = loop.refusals.violations
    return LiveState(
      state: state(loop), violationCount: violations.total, lastCall: violations.last?.call)
  }

  private static func status(_ loop: RunLoop) -> JSONObject {
    let violations = loop.refusals.violations
    return [
      "state": .string(state(loop)),
      "violationCount": JSONValue(violations.total),
      "lastViolation": violations.last.map(\.json) ?? .null,
    ]
  }
}

extension RunStatus {
  /// Of a run that is about to begin; the pid of PID 1 comes later.
  init(_ run: borrowing PreparedRun, _ options: RunOptions, beganNanoseconds: UInt64) {
    let network: String
    if let plan = run.network {
      network = Self.cut(plan.summary)
    } else {
      network =
        switch run.profile.network {
        case .none: "none"
        case .loopback: "loopback"
        case .host: "host"
        }
    }
    self.init(
      id: run.id, name: options.name, agent: options.agent, ring: run.profile.ring,
      profile: run.profile.name, command: options.command.prefix(Self.wordsMax).map(Self.word),
      workspace: run.request.workspace.path, network: network,
      startedNanoseconds: beganNanoseconds, supervisorPid: getpid(), initPid: 0,
      observedNanoseconds: 0, timeoutMilliseconds: run.profile.limits.wallMilliseconds)
  }

  /// A listing shows what a run is by the first words; command lines can have megabytes.
  private static let wordsMax = 32
  private static let wordMaxBytes = 256

  private static func word(_ bytes: [UInt8]) -> String {
    bytes.count <= wordMaxBytes ? bytes.text : Array(bytes.prefix(wordMaxBytes)).text + "…"
  }

  private static let networkMaxCharacters = 1024

  private static func cut(_ text: String) -> String {
    text.count <= networkMaxCharacters ? text : text.prefix(networkMaxCharacters) + "…"
  }
}
