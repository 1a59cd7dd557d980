internal import Audit
internal import Hashing
internal import JSON
internal import Kernel
internal import LaunchPlan
internal import Policy
internal import Rings

/// What the entries of a run say of it. What may be secret, arguments and values of variables, appears only as
/// a digest with a salt that lies in a file of its own: whoever erases `salt` makes it unrecognizable.
enum AuditEntries {
  static func salt() -> String {
    Hexadecimal.encode(Array(SigningKey.randomSeed().prefix(16)))
  }

  static func start(
    id: String, _ options: RunOptions, _ profile: RingProfile, workspace: String, caller: Caller,
    salt: String
  ) -> JSONObject {
    let values = options.environment.compactMap(\.value)
    let file = options.profileFile.map { (try? Files.canonical(ByteString($0)).text) ?? $0 }
    return [
      "run": .string(id), "ring": JSONValue(profile.ring), "profile": .string(profile.name),
      "profileFile": JSONValue(file), "name": JSONValue(options.name),
      "agent": JSONValue(options.agent), "uid": JSONValue(caller.uid),
      "workspace": .string(workspace), "program": .string(options.command[0].text),
      "argumentCount": JSONValue(options.command.count - 1),
      "argumentsDigest": .string(digest(salt, options.command.dropFirst())),
      "variables": .array(options.environment.map { .string($0.name) }),
      "variablesDigest": .string(digest(salt, values[...])),
    ]
  }

  /// How a request was judged.
  /// - Parameter reason: told unless it is allowed.
  static func decision(
    _ verdict: Verdict, rule: String?, rules: [String], obligations: [Obligation],
    reason: @autoclosure () -> String, _ number: UInt64, _ request: Request, _ kind: String,
    pid: Int32, cgroup: String?, salt: String
  ) -> JSONObject {
    let subject = BrokerCounters.subject(request)
    // In the canonical order: such entries are many.
    var entry: JSONObject = [
      "cgroup": JSONValue(cgroup), "decision": JSONValue(number), "field": JSONValue(subject.field),
      "kind": .string(kind),
      "pid": JSONValue(pid), "requestDigest": .string(digest(salt, request.fields)),
      "rule": JSONValue(rule), "rules": JSONValue(rules), "subject": .string(subject.text),
      "verdict": .string(verdict.name),
    ]
    if verdict != .allow { entry["reason"] = .string(reason()) }
    let told = obligations.filter(\.concernsRun)
    if !told.isEmpty { entry["obligations"] = .array(told.map(\.json)) }
    return entry
  }

  /// Of a request as the policy judged it, in canonical form.
  static func digest(_ salt: String, _ request: JSONObject) -> String {
    let bytes =
      (try? JSONWriter.canonical(.object(request))) ?? JSONWriter.compact(.object(request))
    return digest(salt, [bytes])
  }

  /// SHA-256 of the salt's text and of each part with its length (8 bytes, the largest first) before it.
  private static func digest(_ salt: String, _ parts: ArraySlice<[UInt8]>) -> String {
    var hash = SHA256()
    var front = Array(salt.utf8)
    for part in parts {
      let count = UInt64(part.count)
      for shift in stride(from: UInt64(56), through: 0, by: -8) {
        front.append(UInt8(truncatingIfNeeded: count >> shift))
      }
      hash.update(front)
      hash.update(part)
      front.removeAll(keepingCapacity: true)
    }
    return Hexadecimal.encode(hash.finish())
  }

  /// What was enforced and what was not.
  static func plan(_ run: borrowing PreparedRun, _ options: RunOptions) -> JSONObject {
    let limits = run.profile.limits
    func amount(_ value: UInt64?) -> JSONValue { value.map { JSONValue($0) } ?? .null }
    return [
      "enforced": run.losses.isEmpty ? "full" : "partial",
      "notEnforced": .array(run.losses.map { .string($0.name) }),
      "executable": .string(run.plan.executable.text),
      "workspace": .string(run.request.workspace.path),
      "access": .string(
        run.request.workspace.layers != nil ? "txn" : run.request.workspace.access.rawValue),
      "read": JSONValue(options.reads), "write": JSONValue(options.writes),
      "network": .string(run.network?.summary ?? run.profile.network.rawValue),
      "limits": .object([
        "memoryBytes": amount(limits.memoryBytes), "processes": amount(limits.processes),
        "fileSizeBytes": amount(limits.fileSizeBytes),
        "scratchBytes": amount(run.profile.filesystem.scratch?.sizeBytes),
        "wallMilliseconds": amount(limits.wallMilliseconds),
        "cpuTimeMilliseconds": amount(limits.cpuTimeMilliseconds),
        "diskBytes": amount(limits.diskBytes),
        "requests": amount(limits.requests), "toolCalls": amount(limits.toolCalls),
        "egressBytes": amount(limits.egressBytes), "outputBytes": amount(run.limits.outputBytes),
      ]),
      "onViolation": .string(options.onViolation.rawValue),
      "breach": JSONValue(options.breachLevels?.text),
    ]
  }
}

extension Obligation {
  /// Limits and approvals are told of where they have an effect.
  fileprivate var concernsRun: Bool {
    switch self {
    case .audit, .warn, .kill, .rollback, .demote: true
    case .rateLimit, .approval: false
    }
  }
}
