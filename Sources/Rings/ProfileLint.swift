/// What is allowed in a profile and still is likely a mistake (`agt profile lint`).
public enum ProfileLint {
  public struct Finding: Equatable, Sendable {
    /// What is doubtful, with the setting's name.
    public let what: String
    /// What would mend it.
    public let advice: String
  }

  /// - Throws: `RingProfileError.filter` when the profile cannot be compiled.
  public static func findings(_ profile: RingProfile) throws(RingProfileError) -> [Finding] {
    try order(profile) + paths(profile) + environment(profile) + limits(profile)
      + unreachable(profile.syscalls)
  }

  /// A profile that claims a ring stays within the shipped ring above it.
  ///
  /// Parts of the host that it names are its purpose (the data of one task) and no breach; `paths`
  /// judges them by what ring 1 protects.
  private static func order(_ profile: RingProfile) throws(RingProfileError) -> [Finding] {
    guard profile.ring > 0 else { return [] }
    let above = RingProfile.shipped(profile.ring - 1)
    var compared = profile
    compared.filesystem.read = []
    compared.filesystem.write = []
    compared.filesystem.hide = above.filesystem.hide
    if profile.root == .host { compared.filesystem.read = above.filesystem.read }
    let breaches = try RingOrder.verify([
      CompiledProfile(compiling: above), CompiledProfile(compiling: compared),
    ])
    return breaches.map {
      Finding(
        what: "breaks the order of rings: \($0.what)",
        advice: "narrow it, or claim ring: \(profile.ring - 1)")
    }
  }

  // MARK: files

  private static func paths(_ profile: RingProfile) -> [Finding] {
    guard profile.ring > 1 else { return [] }
    var findings: [Finding] = []
    let guarded = RingProfile.shipped(1).filesystem
    let shipped = RingProfile.shipped(profile.ring).filesystem
    for (list, rules) in [("read", profile.filesystem.read), ("write", profile.filesystem.write)] {
      for rule in rules where !(shipped.read + shipped.write).contains(rule) {
        findings += exposure(list, rule.path, guarded)
        let others = profile.filesystem.read + profile.filesystem.write
        let around = list == "read" ? others : profile.filesystem.write
        let cover = around.first {
          $0.path != rule.path && RingProfile.isUnder(rule.path, $0.path)
        }
        if let cover {
          findings.append(
            Finding(
              what: "filesystem.\(list) \(rule.path) is below \(cover.path), which grants as much",
              advice: "remove one of the two"))
        }
      }
    }
    return findings
  }

  /// Secrets and parts of the system that even ring 1 is kept from.
  private static func exposure(
    _ list: String, _ path: String, _ guarded: RingProfile.Filesystem
  ) -> [Finding] {
    var findings: [Finding] = []
    for rule in guarded.hide
    where RingProfile.isUnder(path, rule.path) || RingProfile.isUnder(rule.path, path) {
      findings.append(
        Finding(
          what: "filesystem.\(list) \(path) shows \(rule.path), which ring 1 hides: \(rule.why)",
          advice: "name only what is needed"))
    }
    for rule in guarded.read where list == "write" && RingProfile.isUnder(path, rule.path) {
      findings.append(
        Finding(
          what: "filesystem.write \(path) is read-only even in ring 1: \(rule.why)",
          advice: "write into the workspace or scratch space"))
    }
    return findings
  }

  // MARK: environment and limits

  /// Parts of names that mean a secret, and names that load code into every program.
  private static let secretWords = [
    "TOKEN", "SECRET", "PASSWORD", "PASSWD", "PASSPHRASE", "CREDENTIAL", "_KEY", "APIKEY",
    "PRIVATE", "COOKIE", "SESSION", "SSH_AUTH_SOCK", "DBUS_", "KUBECONFIG",
  ]
  private static let loadingNames = [
    "LD_", "PYTHONPATH", "PYTHONSTARTUP", "PYTHONHOME", "NODE_OPTIONS", "NODE_PATH", "PERL5LIB",
    "PERL5OPT", "RUBYOPT", "RUBYLIB", "JAVA_TOOL_OPTIONS", "BASH_ENV", "ENV", "GCONV_PATH",
    "GIT_SSH_COMMAND", "GIT_EXTERNAL_DIFF",
  ]

  private static func environment(_ profile: RingProfile) -> [Finding] {
    guard profile.ring > 0 else { return [] }
    var findings: [Finding] = []
    for name in profile.environment.pass {
      let stem = name.hasSuffix("*") ? String(name.dropLast()) : name
      if stem.isEmpty || secretWords.contains(where: stem.uppercased().contains) {
        findings.append(
          Finding(
            what: "environment.pass \(name) hands a secret of the caller to the ring",
            advice: "let the broker use the secret, or pass it by name with --env"))
      }
      if loadingNames.contains(where: { $0.hasSuffix("_") ? stem.hasPrefix($0) : stem == $0 }) {
        findings.append(
          Finding(
            what: "environment.pass \(name) lets the caller's environment load code",
            advice: "set the value under environment.set"))
      }
    }
    return findings
  }

  private static func limits(_ profile: RingProfile) -> [Finding] {
    guard profile.ring > 1 else { return [] }
    var findings: [Finding] = []
    for limit in RingProfile.Limits.all where !limit.isOptional && limit.get(profile.limits) == nil
    {
      findings.append(
        Finding(
          what: "limits.\(limit.key) is none: one run can take the machine from the others",
          advice: "state a limit"))
    }
    return findings
  }

  // MARK: system calls

  /// Rules that never decide, because one before them always does.
  private static func unreachable(_ policy: SyscallPolicy) -> [Finding] {
    var findings: [Finding] = []
    for (name, rules) in policy.rulesByCall() {
      for (index, rule) in rules.enumerated() where !rule.when.isEmpty {
        if let earlier = rules[..<index].first(where: { $0.when == rule.when }) {
          findings.append(
            Finding(
              what: "syscalls \(name): the same conditions are answered by \(earlier.action.text) "
                + "and \(rule.action.text); the first decides",
              advice: "remove one of the two"))
        }
      }
    }
    return findings
  }
}
