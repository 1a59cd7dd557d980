internal import Glibc
internal import YAML

extension ProfileText {
  /// The effective profile as YAML that states everything and loads back to an equal value
  /// (`agt profile show`).
  public static func show(_ profile: RingProfile) -> String {
    var writer = ProfileWriter()
    writer.head(profile)
    writer.filesystem(profile.filesystem)
    writer.environment(profile.environment)
    writer.enforcement(profile)
    writer.syscalls(profile.syscalls)
    writer.limits(profile.limits, profile.requests)
    writer.reasons(profile.widenings)
    return writer.text
  }
}

/// Writes the sections of a profile that extends nothing.
private struct ProfileWriter {
  var text = ""

  /// Lines are broken here, as in the shipped profiles.
  static let columns = 100

  mutating func line(_ content: String) { text += content + "\n" }

  // MARK: sections

  mutating func head(_ profile: RingProfile) {
    line(
      "# The effective profile \(profile.name): ring \(profile.ring), with inheritance resolved.")
    if profile.widenings.isEmpty {
      line("# It grants nothing beyond the shipped ring \(profile.ring).")
    } else {
      line("# What it grants beyond the shipped ring \(profile.ring) is under reasons, at the end.")
    }
    line("apiVersion: \(ProfileDocument.apiVersion)")
    line("kind: \(ProfileDocument.kind)")
    line("metadata:")
    line("  name: \(Self.word(profile.name))")
    line("  description: \(YAMLScalar.quoted(profile.description))")
    line("ring: \(profile.ring)")
    line("# private: a new root that holds only what is named here; host: the host's tree")
    line("root: \(profile.root.rawValue)")
    let namespaces = RingProfile.Namespace.allCases.filter(profile.namespaces.contains)
    line("namespaces: [\(namespaces.map(\.rawValue).joined(separator: ", "))]")
  }

  mutating func filesystem(_ filesystem: RingProfile.Filesystem) {
    line("")
    line("filesystem:")
    line("  workspace: \(filesystem.workspace.rawValue)")
    line("  # processes: only the ring's own; masked: and the kernel's harmless files; full: all")
    line("  proc: \(filesystem.proc.rawValue)")
    for (list, rules) in [
      ("read", filesystem.read), ("write", filesystem.write), ("hide", filesystem.hide),
    ] where !rules.isEmpty {
      line("  \(list):")
      for rule in rules {
        let optional = rule.optional ? "optional: true, " : ""
        line(
          "    - {path: \(Self.word(rule.path)), \(optional)why: \(YAMLScalar.quoted(rule.why))}")
      }
    }
    if let scratch = filesystem.scratch {
      line(
        "  scratch: {size: \(ProfileText.size(scratch.sizeBytes)), inodes: \(scratch.inodes), "
          + "exec: \(scratch.executable)}")
    } else {
      line("  scratch: none")
    }
  }

  mutating func environment(_ environment: RingProfile.Environment) {
    line("")
    line("# pass: taken over from the caller; nothing else is, but what set says")
    line("environment:")
    flow("  pass: ", environment.pass.map(Self.word))
    if !environment.set.isEmpty {
      line("  set:")
      for (name, value) in environment.set {
        line("    \(Self.word(name)): \(YAMLScalar.quoted(value))")
      }
    }
  }

  mutating func enforcement(_ profile: RingProfile) {
    line("")
    line("capabilities: \(profile.capabilities.rawValue)")
    line("# none: no interface is up; loopback: what leaves goes through the broker")
    line("network: \(profile.network.rawValue)")
    let landlock = profile.landlock
    var scopes: [String] = []
    if landlock.scopeSignal { scopes.append("signal") }
    if landlock.scopeAbstractUnixSocket { scopes.append("abstract-unix-socket") }
    line(
      "landlock: {files: \(landlock.files.rawValue), scope: [\(scopes.joined(separator: ", "))], "
        + "tcp: \(landlock.denyTCP ? "deny" : "allow")}")
  }

  mutating func limits(_ limits: RingProfile.Limits, _ requests: RingProfile.Requests) {
    line("")
    line("limits:")
    for limit in RingProfile.Limits.all {
      line("  \(limit.key): \(ProfileText.limit(limit.get(limits), limit.unit))")
    }
    line("")
    let fields = RingProfile.Requests.all.map { "\($0.key): \($0.get(requests))" }
    line("requests: {\(fields.joined(separator: ", "))}")
  }

  mutating func reasons(_ widenings: [RingProfile.Widening]) {
    if widenings.isEmpty { return }
    line("")
    line("reasons:")
    for widening in widenings {
      line("  \(YAMLScalar.quoted(widening.what)): \(YAMLScalar.quoted(widening.reason))")
    }
  }

  // MARK: system calls

  mutating func syscalls(_ policy: SyscallPolicy) {
    line("")
    line("# violation: refused with EPERM and reported; deny: EPERM; fail: another errno.")
    line("# Rules with conditions come first; of two that hold, the refusal wins.")
    line("syscalls:")
    line("  default: \(Self.answer(policy.defaultAction))")
    line("  groups:")
    var last: String?
    for (index, group) in policy.groups.enumerated() {
      if group.name != last {
        line("    - name: \(YAMLScalar.quoted(group.name))")
        line("      why: \(YAMLScalar.quoted(group.why))")
      }
      last = group.name
      switch group.action {
      case .allow: calls("      allow:", group.calls, indent: 8)
      case .violation: calls("      violation:", group.calls, indent: 8)
      case .fail(EPERM): calls("      deny:", group.calls, indent: 8)
      case .fail(let errno):
        let isFirst = index == 0 || !Self.isFailure(policy.groups[index - 1], of: group.name)
        if isFirst { line("      fail:") }
        line("        - errno: \(SyscallConstants.errnoName(errno) ?? "\(errno)")")
        calls("          calls:", group.calls, indent: 12)
      }
    }
    if policy.groups.isEmpty { text.replaceSuffix("  groups:\n", with: "  groups: []\n") }
  }

  private static func isFailure(_ group: SyscallPolicy.Group, of name: String) -> Bool {
    guard group.name == name, case .fail(let errno) = group.action else { return false }
    return errno != EPERM
  }

  private static func answer(_ action: SyscallPolicy.Default) -> String {
    switch action {
    case .allow: "allow"
    case .fail(let errno): SyscallConstants.errnoName(errno) ?? "\(errno)"
    }
  }

  private mutating func calls(_ key: String, _ calls: [SyscallPolicy.Call], indent: Int) {
    if calls.allSatisfy(\.when.isEmpty) {
      flow(key + " ", calls.map(\.name))
      return
    }
    line(key)
    let margin = String(repeating: " ", count: indent)
    for call in calls {
      if call.when.isEmpty {
        line("\(margin)- \(call.name)")
        continue
      }
      line("\(margin)- call: \(call.name)")
      line("\(margin)  when:")
      for condition in call.when { self.condition(condition, of: call, margin + "    ") }
    }
  }

  private mutating func condition(
    _ condition: SyscallPolicy.Condition, of call: SyscallPolicy.Call, _ margin: String
  ) {
    let family = SyscallConstants.family(call, argument: condition.argument)
    func number(_ value: UInt64) -> String {
      if let name = family?.text(value) { return name }
      return value < 10 ? "\(value)" : "0x" + String(value, radix: 16)
    }
    line("\(margin)- argument: \(condition.argument)")
    if condition.mask != .max { line("\(margin)  mask: \(number(condition.mask))") }
    if condition.wide { line("\(margin)  wide: true") }
    switch condition.comparison {
    case .isIn(let values): flow("\(margin)  in: ", values.map(number))
    case .isNotIn(let values): flow("\(margin)  notIn: ", values.map(number))
    }
  }

  // MARK: scalars

  /// `key [a, b, …]`, broken into lines.
  private mutating func flow(_ key: String, _ items: [String]) {
    let margin = String(repeating: " ", count: key.prefix { $0 == " " }.count + 2)
    var current = key + "["
    for (index, item) in items.enumerated() {
      let piece = item + (index == items.count - 1 ? "]" : ",")
      if current.count + 1 + piece.count > Self.columns {
        line(current)
        current = margin + piece
      } else {
        current += (current.hasSuffix("[") ? "" : " ") + piece
      }
    }
    line(items.isEmpty ? current + "]" : current)
  }

  /// A scalar without quotes when no reader can take it for anything but a string.
  private static func word(_ text: String) -> String {
    let isPlain = text.utf8.allSatisfy {
      switch $0 {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "."),
        UInt8(ascii: "/"), UInt8(ascii: "-"), UInt8(ascii: "+"), UInt8(ascii: "~"):
        true
      default: false
      }
    }
    let first = text.unicodeScalars.first
    let startsPlainly =
      first == "/" || text.hasPrefix("~/") || first?.properties.isAlphabetic == true
    let reserved = ["null", "true", "false", "yes", "no", "on", "off", "y", "n"]
    return isPlain && startsPlainly && !reserved.contains(text.lowercased())
      ? text : YAMLScalar.quoted(text)
  }
}

extension String {
  fileprivate mutating func replaceSuffix(_ suffix: String, with replacement: String) {
    precondition(hasSuffix(suffix))
    removeLast(suffix.count)
    self += replacement
  }
}
