internal import YAML

/// One file of a profile, before it is laid over what it extends.
struct ProfileDocument {
  let file: String
  let extends: YAMLNode?
  private let section: ProfileSection
  private let name: String
  private let description: String
  /// The profile's own `reason`, for every widening without one.
  private let reason: String?
  private var reasons: [StatedReason] = []
  /// Where each setting is written, by `ProfileComparison.Difference.what`.
  private var places: [String: YAMLNode] = [:]
  /// The `why` of entries and groups, by the same.
  private var whys: [String: String] = [:]

  /// An entry of `reasons`.
  private struct StatedReason {
    let key: YAMLNode
    let setting: String
    let text: String
    var isUsed = false
  }

  static let apiVersion = "agt-run/v1"
  static let kind = "RingProfile"

  private static let keys = [
    "apiVersion", "kind", "metadata", "extends", "ring", "root", "namespaces", "filesystem",
    "environment", "capabilities", "network", "landlock", "syscalls", "limits", "requests",
    "reason", "reasons",
  ]

  init(_ root: YAMLNode, file: String) throws(YAMLError) {
    self.file = file
    section = try ProfileSection(root, file: file, keys: Self.keys)
    try Self.expect(Self.apiVersion, section.require("apiVersion"), file)
    try Self.expect(Self.kind, section.require("kind"), file)
    extends = section["extends"]
    let metadata = try ProfileSection(
      section.require("metadata"), file: file, keys: ["name", "description"])
    name = try Self.name(metadata.require("name"), file)
    description = try metadata["description"]?.string(file) ?? ""
    reason = try section.text("reason")
    for entry in try section["reasons"]?.mapping(file) ?? [] {
      reasons.append(
        StatedReason(
          key: entry.key, setting: try entry.key.string(file),
          text: try ProfileSection.sentence(entry.value, file)))
    }
  }

  private static func expect(
    _ text: String, _ node: YAMLNode, _ file: String
  ) throws(YAMLError) {
    let found = try node.string(file)
    if found != text { throw node.error(file, "\"\(found)\" is not \"\(text)\"; write \(text)") }
  }

  /// Names become parts of file names and of lines for people.
  private static func name(_ node: YAMLNode, _ file: String) throws(YAMLError) -> String {
    let name = try node.string(file)
    let isPlain = name.utf8.allSatisfy {
      switch $0 {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"),
        UInt8(ascii: "."):
        true
      default: false
      }
    }
    guard isPlain, (1...64).contains(name.utf8.count), name.utf8.first != UInt8(ascii: ".") else {
      throw node.error(
        file, "a name has 1 to 64 letters, digits, - _ or ., and does not start with a dot")
    }
    return name
  }

  // MARK: values

  /// The profile of a file that extends nothing: every setting must be there.
  mutating func standalone() throws(YAMLError) -> RingProfile {
    for key in Self.keys where !["extends", "reason", "reasons"].contains(key) {
      _ = try section.require(key, "a profile that extends nothing states everything")
    }
    let blank = RingProfile(
      name: name, description: description, ring: 3, root: .private, namespaces: [],
      filesystem: RingProfile.Filesystem(
        workspace: .readOnly, read: [], write: [], hide: [], scratch: nil, proc: .processes),
      environment: RingProfile.Environment(pass: [], set: []), capabilities: .none,
      network: .none,
      landlock: RingProfile.Landlock(
        files: .full, scopeSignal: true, scopeAbstractUnixSocket: true, denyTCP: true),
      syscalls: SyscallPolicy(defaultAction: .fail(errno: 0), groups: []),
      limits: RingProfile.Limits(),
      requests: RingProfile.Requests(perSecond: 0, burst: 0, concurrentTools: 0), widenings: [])
    return try apply(to: blank, isDerived: false)
  }

  mutating func derived(from base: RingProfile) throws(YAMLError) -> RingProfile {
    try apply(to: base, isDerived: true)
  }

  private mutating func apply(
    to base: RingProfile, isDerived: Bool
  ) throws(YAMLError) -> RingProfile {
    var profile = base
    profile.name = name
    profile.description = description
    profile.widenings = []
    var reader = ProfileReader(file: file, isDerived: isDerived)
    if let node = section["ring"] {
      reader.places["ring"] = node
      profile.ring = UInt8(try node.integer(file, in: 0...3))
    }
    if let node = section["root"] { profile.root = try reader.choice(node, "root") }
    if let node = section["namespaces"] {
      profile.namespaces = Set(try reader.choices(node, "namespaces"))
    }
    if let node = section["filesystem"] { try reader.filesystem(node, &profile.filesystem) }
    if let node = section["environment"] { try reader.environment(node, &profile.environment) }
    if let node = section["capabilities"] {
      profile.capabilities = try reader.choice(node, "capabilities")
    }
    if let node = section["network"] { profile.network = try reader.choice(node, "network") }
    if let node = section["landlock"] { try reader.landlock(node, &profile.landlock) }
    if let node = section["syscalls"] { try reader.syscalls(node, &profile.syscalls) }
    if let node = section["limits"] { try reader.limits(node, &profile.limits) }
    if let node = section["requests"] { try reader.requests(node, &profile.requests) }
    places = reader.places
    whys = reader.whys
    try checkConsistency(profile)
    return profile
  }

  /// Settings that contradict each other.
  private func checkConsistency(_ profile: RingProfile) throws(YAMLError) {
    let hasNetworkNamespace = profile.namespaces.contains(.network)
    if hasNetworkNamespace == (profile.network == .host) {
      throw place("network", "namespaces").error(
        file,
        hasNetworkNamespace
          ? "network: host needs the host's network namespace; take network out of namespaces"
          : "network: \(profile.network) needs a namespace of its own; add network to namespaces")
    }
    guard profile.namespaces.contains(.mount) else {
      throw place("namespaces", "root").error(
        file, "no ring works without a mount namespace; add mount to namespaces")
    }
    if profile.root == .private, let rule = profile.filesystem.hide.first {
      throw place("filesystem.hide \(rule.path)", "root").error(
        file, "hide needs root: host; a private root shows only what read and write name")
    }
  }

  private func place(_ what: String...) -> YAMLNode {
    for setting in what {
      // The setting itself, or the nearest one around it that is written down.
      var name = setting[...]
      while true {
        if let node = places[String(name)] { return node }
        guard let end = name.lastIndex(where: { $0 == "." || $0 == " " }) else { break }
        name = name[..<end]
      }
    }
    return section.node
  }

  // MARK: reasons

  /// The reason that this file gives for a widening.
  mutating func reason(for difference: ProfileComparison.Difference) throws(YAMLError) -> String {
    // An entry of `reasons` for exactly this setting, then the entry's own `why`, then the entry
    // that names the setting most exactly, so that `limits` can serve for all of them.
    if let why = whys[difference.what], !reasons.contains(where: { $0.setting == difference.what })
    {
      return why
    }
    let best = reasons.indices.filter { difference.isPart(of: reasons[$0].setting) }
      .max { reasons[$0].setting.utf8.count < reasons[$1].setting.utf8.count }
    if let best {
      reasons[best].isUsed = true
      return reasons[best].text
    }
    if let reason { return reason }
    if !description.isEmpty { return description }
    throw place(difference.what, difference.setting).error(
      file,
      "\(difference.what) is widened from \(difference.before) to \(difference.after) without "
        + "a reason; add reason: or metadata.description")
  }

  /// The reason for what a profile grants beyond the shipped ring that it claims.
  func reason(
    for difference: ProfileComparison.Difference, claiming ring: UInt8
  ) throws(YAMLError) -> String {
    var copy = self
    do throws(YAMLError) {
      return try copy.reason(for: difference)
    } catch {
      throw place("ring").error(
        file,
        "claims ring \(ring) and grants more: \(difference.what) is \(difference.after) "
          + "instead of \(difference.before); add reason: or metadata.description")
    }
  }

  /// A reason for something that is not widened would be read for nothing.
  func refuseUnusedReasons() throws(YAMLError) {
    guard let unused = reasons.first(where: { !$0.isUsed }) else { return }
    throw unused.key.error(
      file,
      "nothing is widened at \"\(unused.setting)\"; remove the reason, or write the setting "
        + "as agt profile diff shows it")
  }
}
