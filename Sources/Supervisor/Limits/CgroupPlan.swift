internal import Kernel

/// `--cgroup`: how limits of the whole run are enforced.
public enum CgroupChoice: String, CaseIterable, Sendable {
  /// Version 2 where it can limit; version 1 for what nothing else can; else resource limits.
  case auto
  /// Resource limits alone.
  case none
  /// Version 2, also where it can limit nothing: it kills and freezes.
  case v2
  /// Version 1, for root: entering it costs milliseconds.
  case v1
}

/// What holds a run to its limits on this machine; decided before anything is made.
enum CgroupPlan: Equatable {
  case none
  case v2(CgroupHost.Unified)
  case v1([String: String])

  /// - Parameter freezes: the run has no process namespace, so that nothing else stops or ends all of it.
  static func choose(
    _ choice: CgroupChoice, _ limits: RunLimits, _ caller: Caller, freezes: Bool = false
  ) throws(RunError) -> CgroupPlan {
    if choice == .none, limits.needed.isEmpty { return .none }
    let wantsAll =
      choice != .auto || freezes || !limits.needed.isEmpty || limits.cpuTimeMilliseconds != nil
    return try choose(
      choice, limits, CgroupHost.find(isRoot: caller.isRoot, uid: caller.uid, wantsAll: wantsAll),
      freezes: freezes)
  }

  static func choose(
    _ choice: CgroupChoice, _ limits: RunLimits, _ host: CgroupHost, freezes: Bool = false
  ) throws(RunError) -> CgroupPlan {
    var host = host
    // Each hierarchy costs milliseconds to enter.
    if limits.cpuTimeMilliseconds == nil { host.legacy[CgroupHost.accounting] = nil }
    if !freezes { host.legacy[CgroupHost.freezer] = nil }
    if limits.io == nil { host.legacy[CgroupHost.legacyIO] = nil }
    let plan: CgroupPlan
    switch choice {
    case .none: plan = .none
    case .auto:
      let limiting = host.unified.flatMap {
        $0.controllers.isDisjoint(with: limits.needed.union(CgroupHost.controllers)) ? nil : $0
      }
      if let limiting, limits.neededUnified.isSubset(of: limiting.controllers) {
        plan = .v2(limiting)
      } else if !limits.needed.isEmpty {
        let legacy = CgroupPlan.v1(host.legacy)
        plan = limits.needed.allSatisfy(legacy.has) ? legacy : .none
      } else if let unified = host.unified, freezes || limits.cpuTimeMilliseconds != nil {
        // It limits nothing, and yet it freezes, kills and counts CPU time.
        plan = .v2(unified)
      } else {
        let freezer = host.legacy.filter { $0.key == CgroupHost.freezer }
        plan = freezer.isEmpty ? .none : .v1(freezer)
      }
    case .v2:
      guard let unified = host.unified else { throw missing("--cgroup v2") }
      plan = .v2(unified)
    case .v1:
      guard !host.legacy.isEmpty else { throw missing("--cgroup v1") }
      plan = .v1(host.legacy)
    }
    guard limits.io == nil || plan.holdsThroughput(limits) else {
      throw RunError(
        .notConfined,
        "--io-read and --io-write: no cgroup that this user may make can limit the throughput of "
          + "disks" + (limits.cpuThousandths == nil ? "" : ", and processors as well"),
        hint: "agt doctor says what is there, and what mends it")
    }
    guard limits.cpuThousandths == nil || plan.has("cpu") else {
      throw RunError(
        .notConfined,
        "--cpu or a policy's max_cpu: no cgroup that this user may make can limit processors",
        hint: "agt doctor says what is there, and what mends it")
    }
    return plan
  }

  private static func missing(_ what: String) -> RunError {
    RunError(
      .notConfined, "\(what): there is none in which this user may make cgroups",
      hint: "agt doctor says what is there; --cgroup none goes on with resource limits alone")
  }

  /// - Parameter controller: by its name in version 2.
  func has(_ controller: String) -> Bool {
    switch self {
    case .none: false
    case .v2(let unified): unified.controllers.contains(controller)
    case .v1(let legacy):
      legacy[controller == CgroupHost.io ? CgroupHost.legacyIO : controller] != nil
    }
  }

  private func holdsThroughput(_ limits: RunLimits) -> Bool {
    guard case .v2(let unified) = self else { return has(CgroupHost.io) }
    return limits.neededUnified.isSubset(of: unified.controllers.union(["cpu"]))
  }

  /// Those of ours that it has.
  var controllers: Set<String> {
    switch self {
    case .none: []
    case .v2(let unified): unified.controllers.intersection(CgroupHost.controllers)
    case .v1(let legacy): Set(legacy.keys).intersection(CgroupHost.controllers)
    }
  }

  /// For --explain: `version 2 in /sys/fs/cgroup/agt: 512 MiB of memory, 64 processes and threads together`
  func text(_ limits: RunLimits) -> String {
    var held = limits
    if !controllers.contains("memory") { held.memoryBytes = nil }
    if !controllers.contains("pids") { held.processes = nil }
    let what = held.text.isEmpty ? "kills and freezes, limits nothing" : held.text + " together"
    switch self {
    case .none: return "none; limits are per process and per user"
    case .v2(let unified): return "version 2 in \(unified.parent): \(what)"
    case .v1: return "version 1: \(what)"
    }
  }

  /// For --explain: how what a run uses up is counted; nil when nothing is.
  func budgetText(_ limits: RunLimits) -> String? {
    var parts: [String] = []
    if let time = limits.cpuTimeMilliseconds {
      let how: String
      switch self {
      case .v2: how = "counted by cgroup v2"
      case .v1(let legacy) where legacy[CgroupHost.accounting] != nil:
        how = "counted by cgroup v1"
      default: how = "counted per process and added up"
      }
      parts.append("\(Amounts.duration(time)) of CPU time, \(how)")
    }
    if let bytes = limits.diskBytes {
      parts.append("\(Amounts.size(bytes)) written to disks, counted per process and added up")
    }
    if let count = limits.requests { parts.append("\(count) requests to the broker") }
    if let count = limits.toolCalls { parts.append("\(count) calls of tools") }
    if let bytes = limits.egressBytes {
      parts.append("\(Amounts.size(bytes)) sent to each destination")
    }
    if let bytes = limits.outputBytes { parts.append("\(Amounts.size(bytes)) of output") }
    return parts.isEmpty ? nil : parts.joined(separator: "; ")
  }
}
