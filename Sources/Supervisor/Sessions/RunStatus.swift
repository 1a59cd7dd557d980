internal import JSON
internal import Kernel

/// What a run says of itself in status.json: what does not change while it lasts, and what someone needs
/// to end it when its supervisor cannot any more.
struct RunStatus: Equatable {
  var id: String
  var name: String?
  var agent: String?
  var ring: UInt8
  var profile: String
  var command: [String]
  var workspace: String
  var network: String
  /// Nanoseconds since 1970-01-01 00:00 UTC.
  var startedNanoseconds: UInt64
  var supervisorPid: Int32
  /// PID 1 of the ring, as the supervisor sees it.
  var initPid: Int32
  /// Nanoseconds since boot when both pids were known to be these processes: whatever has one of them and
  /// began later is another (pids are used again).
  var observedNanoseconds: UInt64
  var timeoutMilliseconds: UInt64?

  var json: JSONValue {
    .object([
      "version": 1, "run": .string(id), "name": JSONValue(name), "agent": JSONValue(agent),
      "ring": JSONValue(ring), "profile": .string(profile), "command": JSONValue(command),
      "workspace": .string(workspace), "network": .string(network),
      "started": .string(Amounts.timestamp(startedNanoseconds)),
      "startedNanoseconds": JSONValue(startedNanoseconds),
      "supervisorPid": JSONValue(supervisorPid), "initPid": JSONValue(initPid),
      "observedNanoseconds": JSONValue(observedNanoseconds),
      "timeoutMilliseconds": timeoutMilliseconds.map { JSONValue($0) } ?? .null,
    ])
  }

  /// nil for anything that `json` does not produce.
  init?(_ json: JSONValue) {
    guard json["version"]?.integerValue == 1, let id = json["run"]?.stringValue,
      RunIdentifier.isValid(id),
      let ring = json["ring"]?.integerValue.flatMap(UInt8.init(exactly:)),
      let profile = json["profile"]?.stringValue, let workspace = json["workspace"]?.stringValue,
      let network = json["network"]?.stringValue,
      let started = Self.unsigned(json["startedNanoseconds"]),
      let supervisor = Self.pid(json["supervisorPid"]), let ringInit = Self.pid(json["initPid"]),
      let observed = Self.unsigned(json["observedNanoseconds"])
    else { return nil }
    let name = json["name"]?.stringValue
    let agent = json["agent"]?.stringValue
    for label in [name, agent] {
      if let label, Label.problem(label) != nil { return nil }
    }
    self.init(
      id: id, name: name, agent: agent, ring: ring,
      profile: profile,
      command: (json["command"]?.arrayValue ?? []).compactMap(\.stringValue),
      workspace: workspace, network: network, startedNanoseconds: started,
      supervisorPid: supervisor, initPid: ringInit, observedNanoseconds: observed,
      timeoutMilliseconds: Self.unsigned(json["timeoutMilliseconds"]))
  }

  init(
    id: String, name: String?, agent: String?, ring: UInt8, profile: String, command: [String],
    workspace: String, network: String, startedNanoseconds: UInt64, supervisorPid: Int32,
    initPid: Int32, observedNanoseconds: UInt64, timeoutMilliseconds: UInt64?
  ) {
    self.id = id
    self.name = name
    self.agent = agent
    self.ring = ring
    self.profile = profile
    self.command = command
    self.workspace = workspace
    self.network = network
    self.startedNanoseconds = startedNanoseconds
    self.supervisorPid = supervisorPid
    self.initPid = initPid
    self.observedNanoseconds = observedNanoseconds
    self.timeoutMilliseconds = timeoutMilliseconds
  }

  /// A signal to 0 or below would reach whole groups (kill(2)).
  private static func pid(_ value: JSONValue?) -> Int32? {
    value?.integerValue.flatMap(Int32.init(exactly:)).flatMap { $0 > 1 ? $0 : nil }
  }

  private static func unsigned(_ value: JSONValue?) -> UInt64? {
    value?.integerValue.flatMap(UInt64.init(exactly:))
  }
}
