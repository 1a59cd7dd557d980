internal import JSON
internal import Kernel
internal import LaunchPlan
internal import Policy
internal import Rings

/// A plan as a person reads it, in the order in which the stage executes it.
enum Explanation {
  /// `ring 3 (sandbox): workspace /work read-only, no network, 512 MiB, 64 processes, 10 min`
  static func oneLine(_ run: borrowing PreparedRun) -> String {
    let profile = run.profile
    var parts = [
      "workspace \(run.request.workspace.path) \(accessText(run.request.workspace))"
    ]
    parts.append(run.network.map { "network: \($0.summary)" } ?? networkText(profile.network))
    let limits = profile.limits
    if let bytes = limits.memoryBytes { parts.append(Amounts.size(bytes)) }
    if let count = limits.processes { parts.append("\(count) processes") }
    if let time = limits.wallMilliseconds { parts.append(Amounts.duration(time)) }
    return "ring \(profile.ring) (\(profile.title)): " + parts.joined(separator: ", ")
  }

  private static func accessText(_ workspace: LaunchRequest.Workspace) -> String {
    if workspace.layers != nil { return "in a transaction" }
    return workspace.access == .readOnly ? "read-only" : "read-write"
  }

  private static func networkText(_ network: RingProfile.Network) -> String {
    switch network {
    case .none: "no network"
    case .loopback: "own loopback only"
    case .host: "network of the host"
    }
  }

  static func text(_ run: borrowing PreparedRun) -> String {
    var lines = [oneLine(run), ""]
    for sentence in run.trail { lines.append("  \(sentence)") }
    if !run.trail.isEmpty { lines.append("") }
    for (index, step) in steps(run).enumerated() {
      lines.append("\(index + 1 < 10 ? " " : "")\(index + 1). \(step.name): \(step.summary)")
      for detail in step.details { lines.append("      \(detail)") }
    }
    lines.append("")
    lines.append(
      run.losses.isEmpty
        ? "Enforced: full."
        : "Enforced: partial. Not: "
          + run.losses.map { "\($0.name) (\($0.explanation))" }.joined(separator: "; "))
    for widening in run.profile.widenings {
      lines.append("Widened: \(widening.what): \(widening.reason)")
    }
    return lines.joined(separator: "\n") + "\n"
  }

  static func json(_ run: borrowing PreparedRun) -> String {
    let value: JSONValue = .object([
      "ring": JSONValue(run.profile.ring), "profile": .string(run.profile.name),
      "workspace": .string(run.request.workspace.path),
      "access": .string(run.request.workspace.access.rawValue),
      "transaction": run.request.workspace.layers.map { .string($0.path) } ?? .null,
      "program": .string(run.plan.executable.text),
      "arguments": .array(run.plan.arguments.map { .string($0.text) }),
      "found": .array(run.trail.map { .string($0) }),
      "steps": .array(
        steps(run).map {
          .object([
            "step": .string($0.name), "summary": .string($0.summary),
            "details": .array($0.details.map { .string($0) }),
          ])
        }),
      "enforced": run.losses.isEmpty ? "full" : "partial",
      "notEnforced": .array(
        run.losses.map { .object(["name": .string($0.name), "loss": .string($0.explanation)]) }),
      "widenings": .array(
        run.profile.widenings.map {
          .object(["what": .string($0.what), "reason": .string($0.reason)])
        }),
    ])
    return String(decoding: JSONWriter.pretty(value), as: UTF8.self) + "\n"
  }

  struct Step {
    var name: String
    var summary: String
    var details: [String] = []
  }

  /// What a plan's limits are held by is decided beside it.
  private static func steps(_ run: borrowing PreparedRun) -> [Step] {
    var all = steps(run.plan)
    all.insert(Step(name: "cgroup", summary: run.cgroupPlan.text(run.limits)), at: 1)
    if let budgets = run.cgroupPlan.budgetText(run.limits) {
      all.insert(Step(name: "budgets", summary: budgets), at: 2)
    }
    return all
  }

  /// The steps of docs/decisions/0002 with what this plan puts into each.
  static func steps(_ plan: LaunchPlan) -> [Step] {
    var steps = [Step(name: "descriptors", summary: "only 0, 1 and 2 stay open")]
    let namespaces = NamespaceSet(rawValue: plan.start.namespaces)
    steps.append(
      Step(name: "namespaces", summary: namespaces.isEmpty ? "none" : namespaces.names))
    steps.append(Step(name: "uid and gid maps", summary: identityText(plan.start.identity)))
    steps.append(
      Step(
        name: "session",
        summary: "a new session, keyring and PID 1"
          + (plan.terminal != 0 ? "; a terminal of its own" : "")))
    if namespaces.contains(.uts) {
      steps.append(Step(name: "host name", summary: plan.start.hostName.text))
    }
    if namespaces.contains(.network) {
      steps.append(
        Step(
          name: "network",
          summary: plan.start.loopbackUp ? "loopback of its own" : "none, loopback down",
          details: plan.start.sockets.isEmpty
            ? []
            : [
              "every address leads to the supervisor, which relays what a rule names",
              "listened to: "
                + plan.start.sockets.map { "\(socketText($0))" }.joined(separator: ", "),
            ]))
    }
    if namespaces.contains(.mount) {
      steps.append(
        Step(
          name: "mounts",
          summary: plan.privateRoot ? "a new root that holds only" : "the host's tree, changed",
          details: plan.mounts.compactMap { mountText($0, plan.start.overlay) }))
    }
    if plan.privateRoot {
      steps.append(Step(name: "pivot_root", summary: "the host's tree is gone"))
    }
    steps.append(
      Step(
        name: "limits", summary: plan.limits.isEmpty ? "none" : "per process or user",
        details: plan.limits.map(limitText)))
    steps.append(
      Step(
        name: "capabilities",
        summary: !plan.start.dropCapabilities
          ? "as started"
          : plan.start.identity == .unchanged
            ? "all sets but the bounding set empty, verified" : "all five sets empty, verified"))
    steps.append(
      Step(name: "securebits", summary: plan.start.lockSecurebits ? "locked" : "as started"))
    if plan.broker != .absent {
      steps.append(
        Step(
          name: "broker",
          summary: plan.broker == .listener
            ? "listens at \(LaunchPlan.brokerPath)"
            : "one connection, descriptor \(LaunchPlan.brokerDescriptor)"))
    }
    steps.append(Step(name: "no_new_privs", summary: "set"))
    if let landlock = plan.landlock {
      steps.append(
        Step(
          name: "landlock", summary: landlockText(landlock),
          details: landlock.rules.map { "\($0.path.text): \(rightsText($0.access))" }))
    }
    if let seccomp = plan.seccomp {
      steps.append(
        Step(
          name: "seccomp",
          summary: "\(seccomp.instructions.count / 8) instructions"
            + (seccomp.reportsViolations ? ", forbidden calls are reported" : "")))
    }
    steps.append(
      Step(
        name: "execute", summary: plan.arguments.map(\.text).joined(separator: " "),
        details: ["in \(plan.workingDirectory.text)"] + plan.environment.map(\.text)))
    return steps
  }

  private static func socketText(_ socket: LaunchPlan.RingSocket) -> String {
    let isAny = socket.address.allSatisfy { $0 == 0 }
    let address = IPAddress(bytes: socket.address)?.description ?? ""
    let place = isAny ? "*" : socket.address.count == 4 ? address : "[\(address)]"
    return "\(socket.isDatagram ? "udp" : "tcp") \(place):\(socket.port)"
  }

  private static func identityText(_ identity: LaunchPlan.Identity) -> String {
    switch identity {
    case .unchanged: "as started"
    case .own(let uid, let gid): "uid \(uid) and gid \(gid), as started"
    case .mapped(let uid, let gid, let hostUID, let hostGID):
      "uid \(uid) and gid \(gid) inside; outside uid \(hostUID) and gid \(hostGID), which own nothing"
    case .host(let uid, let gid): "uid \(uid) and gid \(gid), which own nothing"
    }
  }

  private static func mountText(
    _ step: LaunchPlan.MountStep, _ overlay: LaunchPlan.Overlay?
  ) -> String? {
    switch step {
    case .directory: nil
    case .file(let path, _, let contents):
      contents.isEmpty ? nil : "\(path.text): made for the ring"
    case .symbolicLink(let path, let target): "\(path.text) -> \(target.text)"
    case .tmpfs(let path, let sizeBytes, _, _, let options, _):
      "\(path.text): private, empty, \(Amounts.size(sizeBytes))\(flagsText(options))"
    case .proc(let path, let processesOnly):
      "\(path.text): the ring's processes\(processesOnly ? " and nothing else" : "")"
    case .devpts(let path, _): "\(path.text): terminals of its own"
    case .bind(let source, _, let options, _, let owner):
      "\(source.text): \(options.contains(.readOnly) ? "read-only" : "read-write")\(flagsText(options))"
        + (owner.map { ", uid \($0.uid) shown as the program's" } ?? "")
    case .mask(let path): "\(path.text): hidden"
    case .protect(let path): "\(path.text): read-only with everything below"
    case .overlay(let path):
      "\(path.text): a transaction; what is written goes to \(overlay?.layers.text ?? "")"
        + (overlay?.owner.map { ", uid \($0.uid) shown as the program's" } ?? "")
    }
  }

  private static func flagsText(_ options: LaunchPlan.MountOptions) -> String {
    (options.contains(.noExecution) ? ", nothing executable" : "")
  }

  private static let resourceNames: [UInt32: String] = [
    0: "CPU seconds", 1: "file size", 2: "data", 4: "core file", 6: "processes", 7: "open files",
    8: "locked memory",
    13: "nice", 14: "real-time priority",
  ]

  private static func limitText(_ limit: LaunchPlan.ResourceLimit) -> String {
    let name = resourceNames[limit.resource] ?? "resource \(limit.resource)"
    let isSize = [1, 2, 8].contains(limit.resource)
    return "\(name): \(isSize ? Amounts.size(limit.value) : "\(limit.value)")"
  }

  private static func landlockText(_ plan: LaunchPlan.LandlockPlan) -> String {
    var parts = ["ABI \(plan.abi)"]
    if plan.handledNetwork != 0 { parts.append("no TCP") }
    if plan.scopes & 2 != 0 { parts.append("signals only inside") }
    if plan.scopes & 1 != 0 { parts.append("abstract sockets only inside") }
    return parts.joined(separator: ", ")
  }

  private static func rightsText(_ access: UInt64) -> String {
    var parts: [String] = []
    if access & 0b1100 != 0 { parts.append("read") }
    if access & 1 != 0 { parts.append("execute") }
    if access & 0b10 != 0 { parts.append("write") }
    return parts.joined(separator: ", ")
  }
}
