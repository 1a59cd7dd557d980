public import JSON

/// Profiles for programs: the `--json` output of `agt profile`. Keys are those of the YAML form,
/// with the unit appended where YAML writes one beside the number; null is "none".
public enum ProfileJSON {
  /// The shipped rings.
  public static func list() -> JSONValue {
    .array(
      (0...3 as ClosedRange<UInt8>).map { ring in
        let profile = RingProfile.shipped(ring)
        return .object([
          "ring": JSONValue(ring),
          "name": .string(profile.name),
          "aliases": JSONValue(RingProfile.ringNames[Int(ring)]),
          "description": .string(profile.description),
          "sha256": .string(EmbeddedProfiles.all[Int(ring)].sha256),
        ])
      })
  }

  /// The effective profile.
  public static func show(_ profile: RingProfile) -> JSONValue {
    .object([
      "name": .string(profile.name),
      "description": .string(profile.description),
      "ring": JSONValue(profile.ring),
      "root": .string(profile.root.rawValue),
      "namespaces": JSONValue(
        RingProfile.Namespace.allCases.filter(profile.namespaces.contains).map(\.rawValue)),
      "filesystem": filesystem(profile.filesystem),
      "environment": .object([
        "pass": JSONValue(profile.environment.pass),
        "set": .array(
          profile.environment.set.map {
            .object(["name": .string($0.name), "value": .string($0.value)])
          }),
      ]),
      "capabilities": .string(profile.capabilities.rawValue),
      "network": .string(profile.network.rawValue),
      "landlock": .object([
        "files": .string(profile.landlock.files.rawValue),
        "scopeSignal": .bool(profile.landlock.scopeSignal),
        "scopeAbstractUnixSocket": .bool(profile.landlock.scopeAbstractUnixSocket),
        "denyTCP": .bool(profile.landlock.denyTCP),
      ]),
      "syscalls": syscalls(profile.syscalls),
      "limits": limits(profile.limits),
      "requests": .object([
        "perSecond": JSONValue(profile.requests.perSecond),
        "burst": JSONValue(profile.requests.burst),
        "concurrentTools": JSONValue(profile.requests.concurrentTools),
      ]),
      "widenings": .array(
        profile.widenings.map {
          .object(["what": .string($0.what), "reason": .string($0.reason)])
        }),
    ])
  }

  /// What the second profile grants more (`widened`) or less (`narrowed`) than the first.
  public static func diff(from base: RingProfile, to derived: RingProfile) -> JSONValue {
    .array(
      ProfileComparison.differences(from: base, to: derived).map {
        .object([
          "direction": .string($0.direction.rawValue), "what": .string($0.what),
          "before": .string($0.before), "after": .string($0.after),
        ])
      })
  }

  /// What `ProfileLint.findings` found.
  public static func lint(_ findings: [ProfileLint.Finding]) -> JSONValue {
    .array(
      findings.map { .object(["what": .string($0.what), "advice": .string($0.advice)]) })
  }

  private static func filesystem(_ filesystem: RingProfile.Filesystem) -> JSONValue {
    func rules(_ rules: [RingProfile.PathRule]) -> JSONValue {
      .array(
        rules.map {
          .object([
            "path": .string($0.path), "optional": .bool($0.optional), "why": .string($0.why),
          ])
        })
    }
    var scratch = JSONValue.null
    if let value = filesystem.scratch {
      scratch = .object([
        "sizeBytes": JSONValue(value.sizeBytes), "inodes": JSONValue(value.inodes),
        "exec": .bool(value.executable),
      ])
    }
    return .object([
      "workspace": .string(filesystem.workspace.rawValue),
      "proc": .string(filesystem.proc.rawValue),
      "read": rules(filesystem.read), "write": rules(filesystem.write),
      "hide": rules(filesystem.hide), "scratch": scratch,
    ])
  }

  private static func limits(_ limits: RingProfile.Limits) -> JSONValue {
    func number(_ value: UInt64?) -> JSONValue { value.map { JSONValue($0) } ?? .null }
    return .object([
      "memoryBytes": number(limits.memoryBytes), "processes": number(limits.processes),
      "openFiles": number(limits.openFiles),
      "fileSizeBytes": number(limits.fileSizeBytes),
      "lockedMemoryBytes": number(limits.lockedMemoryBytes),
      "wallMilliseconds": number(limits.wallMilliseconds),
      "cpuTimeMilliseconds": number(limits.cpuTimeMilliseconds),
      "diskBytes": number(limits.diskBytes),
      "requests": number(limits.requests), "toolCalls": number(limits.toolCalls),
      "egressBytes": number(limits.egressBytes),
    ])
  }

  private static func syscalls(_ policy: SyscallPolicy) -> JSONValue {
    .object([
      "default": .string(policy.defaultAction.action.word),
      "groups": .array(
        policy.groups.map { group in
          .object([
            "name": .string(group.name), "why": .string(group.why),
            "action": .string(group.action.word), "calls": .array(group.calls.map(call)),
          ])
        }),
    ])
  }

  private static func call(_ call: SyscallPolicy.Call) -> JSONValue {
    let conditions = call.when.map { condition in
      let (key, values) =
        switch condition.comparison {
        case .isIn(let values): ("in", values)
        case .isNotIn(let values): ("notIn", values)
        }
      // Numbers of 64 bits do not survive JSON readers that use doubles.
      return JSONValue.object([
        "argument": JSONValue(condition.argument), "mask": .string(hex(condition.mask)),
        "wide": .bool(condition.wide), key: JSONValue(values.map(hex)),
      ])
    }
    return .object(["call": .string(call.name), "when": .array(conditions)])
  }

  private static func hex(_ value: UInt64) -> String { "0x" + String(value, radix: 16) }
}

extension SyscallPolicy.Action {
  /// `allow`, `violation` or the name of the errno.
  fileprivate var word: String {
    switch self {
    case .allow: "allow"
    case .violation: "violation"
    case .fail(let errno): SyscallConstants.errnoName(errno) ?? "errno \(errno)"
    }
  }
}
