public import Audit
public import JSON
internal import Kernel
internal import Network
internal import Paths
internal import Policy
internal import Rings

/// Why something was refused: which layer did it, by which rule, and what would let it through.
public struct Refusal: Equatable, Sendable {
  public enum Layer: String, Sendable {
    case seccomp
    case view = "mount view"
    case readOnly = "read-only mount and Landlock"
    case execution = "mount without execution"
    case landlock = "Landlock"
    case networkName = "network name"
    case networkAddress = "network address"
    case network = "network namespace"
    case limit
    case kill
    case policy
    case approval
  }

  public var layer: Layer
  /// What was refused.
  public var object: String
  /// `Profiles/ring3.yaml:392`, or the option of agt-run.
  public var rule: String
  /// The smallest change that lets it through, in options of agt-run; nil when none within the ring does.
  public var change: String?
  /// The same where it is in a policy, or what a person does.
  public var edit: String?
  /// When there is no change: why.
  public var reason: String?

  public var json: JSONValue {
    .object([
      "layer": .string(layer.rawValue), "object": .string(object), "rule": .string(rule),
      "change": JSONValue(change), "edit": JSONValue(edit), "reason": JSONValue(reason),
    ])
  }
}

/// What was refused to a run, from its log, or what would be, from what it says that was enforced.
public struct Why {
  let entries: [Entry]
  private let profile: RingProfile
  private let places: ProfileLocator
  private let plan: JSONObject
  private let ring: UInt8

  /// - Parameter entries: of the log of one run.
  public init(_ entries: [Entry]) throws(RunError) {
    self.entries = entries
    guard let start = entries.first(where: { $0.kind == .runStart })?.data,
      let ring = start["ring"]?.integerValue.flatMap({ UInt8(exactly: $0) }), ring <= 3
    else {
      throw RunError(.internalFailure, "the log does not say how the run started")
    }
    self.ring = ring
    let file = start["profileFile"]?.stringValue
    profile =
      try file.map { (file) throws(RunError) in
        try ProfileSource.profile(named: file)
      } ?? .shipped(ring)
    places = ProfileLocator(ring: ring, file: file)
    plan = entries.first { $0.kind == .planEnforced }?.data ?? [:]
  }

  /// Everything that the log says was refused, each kind once, and an end that was not the program's own.
  public func refusals() -> [Refusal] {
    var all: [Refusal] = []
    func add(_ refusal: Refusal?) {
      if let refusal, !all.contains(refusal) { all.append(refusal) }
    }
    for entry in entries {
      switch entry.kind {
      case .violation: add(entry.data["call"]?.stringValue.map { refusedCall($0) })
      case .netRefused: add(connection(entry.data))
      case .kill: add(kill(entry.data))
      case .decision: add(decision(entry.data))
      case .approvalExpired, .approvalAnswered: add(approval(entry))
      default: break
      }
    }
    return all
  }

  // MARK: seccomp

  /// Why a system call fails; nil when the ring lets it, whatever it is given.
  public func call(_ name: String) -> Refusal? {
    profile.syscalls.permission(name) == .always ? nil : refusedCall(name)
  }

  private func refusedCall(_ name: String) -> Refusal {
    let unnamed = places.setting(["syscalls", "default"]) ?? "the profile's list"
    var refusal = Refusal(
      layer: .seccomp, object: name, rule: places.refusal(of: name) ?? unnamed)
    // Rings below are wider; 2 is the widest that any program may have.
    let wider = RingProfile.shipped(2).syscalls
    if ring == 3, wider.permission(name) == .always {
      refusal.change = "--ring 2"
    } else if ring == 3, wider.permission(name) == .sometimes,
      wider.mentions(of: name) != profile.syscalls.mentions(of: name)
    {
      refusal.change = "--ring 2"
      refusal.reason = "ring 2 allows \(name) with more arguments than ring 3, not with all"
    } else if profile.syscalls.permission(name) == .sometimes {
      refusal.reason = "ring \(ring) allows \(name) with other arguments; the rule says which"
    } else {
      refusal.reason =
        "ring \(ring) forbids \(name) whatever it is given: it is one of the ways out of a ring"
    }
    return refusal
  }

  // MARK: files

  public enum Access: String, CaseIterable, Sendable {
    case read, write, execute
  }

  /// Why a path cannot be read, written or executed; nil when the plan lets it.
  /// - Parameter path: absolute.
  public func path(_ path: String, _ access: Access) -> Refusal? {
    let shown = granted(path)
    // What the host has at a place of scratch space is covered by the ring's own.
    let isCovered =
      shown.isScratch && access == .read && (try? Files.status(of: ByteString(path))) != nil
    if shown.access == .none || isCovered {
      if let obstacle = obstacle(path, access) {
        return Refusal(
          layer: .view, object: path,
          rule: places.setting(["filesystem", "read"]) ?? "the profile's filesystem.read",
          reason: obstacle)
      }
      return Refusal(
        layer: .view, object: path,
        rule: places.setting(["filesystem", "read"]) ?? "the profile's filesystem.read",
        change: access == .write ? "--write \(path)" : "--read \(path)")
    }
    switch access {
    case .read: return nil
    case .execute:
      guard shown.isScratch, profile.filesystem.scratch?.executable == false else { return nil }
      let rule = places.setting(["filesystem", "scratch"]) ?? "the profile's filesystem.scratch"
      return Refusal(
        layer: .execution, object: path, rule: rule,
        change: ring == 3 ? "--ring 2" : nil,
        reason: ring == 3 ? nil : "the profile lets nothing in scratch space be executed")
    case .write:
      guard shown.access == .readOnly else { return nil }
      return Refusal(
        layer: ring >= 2 ? .readOnly : .landlock, object: path, rule: shown.rule,
        change: shown.isWorkspace ? "--workspace \(workspace):rw" : "--write \(path)")
    }
  }

  /// What would be in the way if the ring were not: the program is no more than its starter, and nobody when
  /// root starts it.
  private func obstacle(_ path: String, _ access: Access) -> String? {
    guard let status = try? Files.status(of: ByteString(path)) else {
      return access == .write ? nil : "there is no such file outside of the ring either"
    }
    let bit: Int32 = access == .read ? 4 : access == .write ? 2 : 1
    let may =
      Identity.effectiveUID == 0
      ? status.mode & UInt32(bit) != 0 : Files.mayAccess(ByteString(path), bit)
    return may ? nil : "its own permissions keep the program's user out, whatever the ring shows"
  }

  private struct Granted {
    var access: RingProfile.PathAccess
    var rule: String
    var isWorkspace = false
    var isScratch = false
  }

  private var workspace: String { plan["workspace"]?.stringValue ?? "/" }

  /// What the plan gives, by the nearest directory that was named.
  private func granted(_ path: String) -> Granted {
    var best: (length: Int, granted: Granted)?
    func consider(_ directory: String, _ granted: Granted) {
      guard PathText.isInside(path, directory),
        directory.utf8.count >= best?.length ?? 0
      else { return }
      best = (directory.utf8.count, granted)
    }
    for scratch in ["/tmp", "/dev/shm"] where profile.filesystem.scratch != nil {
      consider(scratch, Granted(access: .readWrite, rule: "", isScratch: true))
    }
    for rule in profile.filesystem.read + profile.filesystem.write + profile.filesystem.hide {
      let place = places.pathRule(rule.path) ?? "the profile's filesystem"
      consider(rule.path, Granted(access: profile.access(path), rule: place))
    }
    let isReadOnly = plan["access"]?.stringValue == "ro"
    consider(
      workspace,
      Granted(
        access: isReadOnly ? .readOnly : .readWrite,
        rule: places.setting(["filesystem", "workspace"]) ?? "--workspace", isWorkspace: true))
    for directory in texts("read") {
      consider(directory, Granted(access: .readOnly, rule: "--read \(directory)"))
    }
    for directory in texts("write") {
      consider(directory, Granted(access: .readWrite, rule: "--write \(directory)"))
    }
    return best?.granted
      ?? Granted(
        access: profile.access(path), rule: places.setting(["landlock"]) ?? "the profile's landlock"
      )
  }

  private func texts(_ name: String) -> [String] {
    plan[name]?.arrayValue?.compactMap(\.stringValue) ?? []
  }

  // MARK: network

  /// What the log says of a refused connection or name. A rule lets through only what a rule refused.
  private func connection(_ data: JSONObject) -> Refusal? {
    guard let destination = data["destination"]?.stringValue else { return nil }
    let why = data["refusal"]?.stringValue ?? ""
    if EgressAllowance.isRefusal(why) { return limit(.egress) }
    var refusal = network(destination)
    guard NetworkRules.Refusal.isByRule(why) else {
      refusal.change = nil
      refusal.reason = why
      return refusal
    }
    return refusal
  }

  /// Why a host is not reached.
  /// - Parameter destination: `HOST:PORT`, or a name alone that was not resolved.
  public func network(_ destination: String) -> Refusal {
    let hasPort = destination.split(separator: ":").last.map { UInt16($0) != nil } ?? false
    let named = hasPort ? destination : "\(destination):PORT"
    // What --net does not take, such as the ring's own loopback.
    let objection = hasPort ? RunOptions.problem(ofHost: destination) : nil
    switch profile.network {
    case .host:
      return Refusal(
        layer: .network, object: destination, rule: "none: the ring uses the host's network",
        reason: "ring \(ring) does not stand in between: look at the host's own network")
    case .none:
      return Refusal(
        layer: .network, object: destination,
        rule: places.setting(["network"]) ?? "the profile's network",
        change: ring == 3 && objection == nil ? "--ring 2 --net \(named)" : nil,
        reason: ring == 3 ? objection : "the profile gives no network")
    case .loopback:
      let isAddress =
        destination.utf8.first == UInt8(ascii: "[")
        || destination.utf8.allSatisfy { ($0 >= 48 && $0 <= 58) || $0 == 46 }
      return Refusal(
        layer: isAddress ? .networkAddress : .networkName, object: destination,
        rule: "--net \(plan["network"]?.stringValue ?? "")",
        change: objection == nil ? "--net \(named)" : nil, reason: objection)
    }
  }

  /// What a run can have met that nobody reports; nil when there is nothing of the kind.
  public var unseen: String? {
    let network = plan["network"]?.stringValue
    guard profile.network == .none || network == RingProfile.Network.loopback.rawValue else {
      return nil
    }
    let option = profile.network == .none ? "--ring 2 --net HOST:PORT" : "--net HOST:PORT"
    return
      "it had no network: a host that it did not reach is reported by nobody; agt-run \(option) "
      + "lets it reach one"
  }

  // MARK: limits and the kill switch

  public enum Limit: String, CaseIterable, Sendable {
    case memory, processes, time
    case cpuTime = "cpu-time"
    case disk
    case requests
    case toolCalls = "tool-calls"
    case egress, output
    case fileSize = "file-size"
    case scratch
  }

  /// What bounds something, and the option that gives more.
  public func limit(_ limit: Limit) -> Refusal {
    let amounts = plan["limits"]?.objectValue ?? [:]
    func amount(_ name: String) -> UInt64 {
      amounts[name]?.integerValue.flatMap { UInt64(exactly: $0) } ?? 0
    }
    func made(_ keys: [String], _ object: String, _ change: String?) -> Refusal {
      Refusal(
        layer: .limit, object: object,
        rule: places.setting(keys) ?? "the profile's \(keys.joined(separator: "."))",
        change: change,
        reason: change == nil ? "a profile of your own gives more: limits.fileSize" : nil)
    }
    switch limit {
    case .memory:
      let bytes = amount("memoryBytes")
      return made(
        ["limits", "memory"], "memory of each process: \(Amounts.size(bytes))",
        "--memory \(bytes / 1_048_576 * 2)MiB")
    case .processes:
      let count = amount("processes")
      return made(
        ["limits", "processes"], "processes and threads: \(count)", "--pids \(count * 2)")
    case .time:
      let milliseconds = amount("wallMilliseconds")
      return made(
        ["limits", "wall"], "wall clock: \(Amounts.duration(milliseconds))",
        "--timeout \(milliseconds * 2)ms")
    case .cpuTime:
      return budget(
        amount("cpuTimeMilliseconds"), ["limits", "cpuTime"], "--cpu-time",
        "CPU time of all processes", Amounts.duration, { "\($0 * 2)ms" })
    case .disk:
      return budget(
        amount("diskBytes"), ["limits", "disk"], "--disk", "written to disks by all processes",
        Amounts.size, { "\(max(1, $0 / 1_048_576) * 2)MiB" })
    case .requests:
      return budget(
        amount("requests"), ["limits", "requests"], "--requests", "requests to the broker",
        { "\($0)" }, { "\($0 * 2)" })
    case .toolCalls:
      return budget(
        amount("toolCalls"), ["limits", "toolCalls"], "--tool-calls", "calls of tools",
        { "\($0)" }, { "\($0 * 2)" })
    case .egress:
      return budget(
        amount("egressBytes"), ["limits", "egress"], "--egress", "sent to each destination",
        Amounts.size, { "\(max(1, $0 / 1_048_576) * 2)MiB" })
    case .output:
      return budget(
        amount("outputBytes"), ["limits", "output"], "--output",
        "written to standard output and error", Amounts.size,
        { "\(max(1, $0 / 1_048_576) * 2)MiB" })
    case .fileSize:
      return made(
        ["limits", "fileSize"], "size of a file: \(Amounts.size(amount("fileSizeBytes")))", nil)
    case .scratch:
      let bytes = amount("scratchBytes")
      return made(
        ["filesystem", "scratch"], "space in /tmp and at home, each: \(Amounts.size(bytes))",
        "--tmp \(bytes / 1_048_576 * 2)MiB")
    }
  }

  /// What a run may use up; the rings set no such limit.
  private func budget(
    _ amount: UInt64, _ keys: [String], _ option: String, _ object: String,
    _ text: (UInt64) -> String, _ more: (UInt64) -> String
  ) -> Refusal {
    guard amount > 0 else {
      return Refusal(
        layer: .limit, object: "\(object): not limited", rule: "none: the run had no \(option)",
        reason: "there is nothing to change")
    }
    return Refusal(
      layer: .limit, object: "\(object): \(text(amount))",
      rule: places.setting(keys) ?? option, change: "\(option) \(more(amount))")
  }

  /// By the words that the record of the kill begins with (`RunLimits.rule(of:)`).
  private static func budget(ofRule rule: String) -> Limit {
    let kinds: [(String, Limit)] = [
      ("disk", .disk), ("request", .requests), ("tool call", .toolCalls),
      ("egress", .egress), ("output", .output),
    ]
    return kinds.first { rule.hasPrefix($0.0 + " limit") }?.1 ?? .cpuTime
  }

  private func kill(_ data: JSONObject) -> Refusal? {
    let reason = data["reason"]?.stringValue ?? ""
    let rule = data["rule"]?.stringValue
    return switch KillReason(rawValue: reason) {
    case .sessionTimeout: limit(.time)
    case .budgetExceeded: limit(Self.budget(ofRule: rule ?? ""))
    case .policyViolation where rule == "--on-violation":
      Refusal(
        layer: .kill, object: "the run, at its first forbidden call",
        rule: "--on-violation \(plan["onViolation"]?.stringValue ?? "kill")",
        change: "--on-violation deny")
    case .policyViolation:
      Refusal(
        layer: .kill, object: "the run", rule: rule ?? reason,
        reason: "a rule of the policy's violations ends it")
    case .ringBreach:
      Refusal(
        layer: .kill, object: "the run, after much that was refused", rule: rule ?? reason,
        change: "--breach off")
    default:
      Refusal(
        layer: .kill, object: "the run", rule: reason,
        reason: "somebody asked for it: by a signal to agt-run, or with agt")
    }
  }
}
