/// What one profile grants more or less than another.
public enum ProfileComparison {
  public enum Direction: String, Equatable, Sendable {
    case widened, narrowed
    /// Different, but neither grants more.
    case changed
  }

  public struct Difference: Equatable, Sendable {
    /// `limits.memory`, `filesystem.read ~/data`, `syscalls fork`
    public let what: String
    public let direction: Direction
    public let before: String
    public let after: String

    init(_ what: String, _ direction: Direction, _ before: String, _ after: String) {
      self.what = what
      self.direction = direction
      self.before = before
      self.after = after
    }

    /// The setting without its object: `filesystem.read`.
    var setting: String { String(what.prefix { $0 != " " }) }

    /// Whether a shorter name such as `limits` or `environment.pass` means this difference too.
    func isPart(of setting: String) -> Bool {
      guard what.hasPrefix(setting) else { return false }
      let next = what.utf8.dropFirst(setting.utf8.count).first
      return next == nil || next == UInt8(ascii: ".") || next == UInt8(ascii: " ")
    }
  }

  /// All differences, in the order of a profile's sections, system calls last. Empty when the profiles are equal
  /// except for their names, descriptions and recorded widenings.
  public static func differences(
    from base: RingProfile, to derived: RingProfile
  ) -> [Difference] {
    var found = tables(from: base, to: derived)
    syscalls(base.syscalls, derived.syscalls, &found)
    return found
  }

  /// `differences` without the system calls.
  static func tables(from base: RingProfile, to derived: RingProfile) -> [Difference] {
    var found: [Difference] = []
    found.rank("ring", base.ring, derived.ring, isWider: derived.ring < base.ring) { "\($0)" }
    found.ordered("root", base.root, derived.root, [.private, .host])
    for namespace in RingProfile.Namespace.allCases {
      found.flag(
        "namespaces \(namespace.rawValue)", base.namespaces.contains(namespace),
        derived.namespaces.contains(namespace), wideWhen: false, texts: ("shared", "own"))
    }
    filesystem(base, derived, &found)
    environment(base.environment, derived.environment, &found)
    found.ordered("capabilities", base.capabilities, derived.capabilities, [.none, .inherited])
    found.ordered("network", base.network, derived.network, [.none, .loopback, .host])
    landlock(base.landlock, derived.landlock, &found)
    for limit in RingProfile.Limits.all {
      let (before, after) = (limit.get(base.limits), limit.get(derived.limits))
      found.rank(
        "limits.\(limit.key)", before, after, isWider: after ?? .max > before ?? .max
      ) { ProfileText.limit($0, limit.unit) }
    }
    for field in RingProfile.Requests.all {
      let (before, after) = (
        field.get(base.requests), field.get(derived.requests)
      )
      found.rank("requests.\(field.key)", before, after, isWider: after > before) { "\($0)" }
    }
    return found
  }

  // MARK: files

  private static func filesystem(
    _ base: RingProfile, _ derived: RingProfile, _ found: inout [Difference]
  ) {
    let (old, new) = (base.filesystem, derived.filesystem)
    found.ordered("filesystem.workspace", old.workspace, new.workspace, [.readOnly, .readWrite])
    found.ordered("filesystem.proc", old.proc, new.proc, [.processes, .masked, .full])
    var paths: [String] = []
    for rules in [new.read, new.write, new.hide, old.read, old.write, old.hide] {
      for rule in rules where !paths.contains(rule.path) { paths.append(rule.path) }
    }
    for path in paths { compare(path, base, derived, &found) }
    if base.root == derived.root { scratch(old.scratch, new.scratch, &found) }
  }

  private static func compare(
    _ path: String, _ base: RingProfile, _ derived: RingProfile, _ found: inout [Difference]
  ) {
    let (before, after) = (base.access(path), derived.access(path))
    let (oldRule, newRule) = (base.filesystem.rule(path), derived.filesystem.rule(path))
    let list = (newRule ?? oldRule)?.list ?? "read"
    let what = "filesystem.\(list) \(path)"
    if before != after {
      found.append(
        Difference(what, after > before ? .widened : .narrowed, before.text, after.text))
    } else if base.root == derived.root, oldRule?.rule != newRule?.rule {
      found.append(Difference(what, .changed, text(oldRule), text(newRule)))
    }
  }

  private static func text(_ found: (list: String, rule: RingProfile.PathRule)?) -> String {
    guard let found else { return "as the directory above" }
    return (found.rule.optional ? "optional, " : "") + found.rule.why
  }

  private static func scratch(
    _ old: RingProfile.Scratch?, _ new: RingProfile.Scratch?, _ found: inout [Difference]
  ) {
    guard let old, let new else {
      if old == new { return }
      found.append(
        Difference(
          "filesystem.scratch", new == nil ? .narrowed : .widened, old == nil ? "none" : "private",
          new == nil ? "none" : "private"))
      return
    }
    found.rank(
      "filesystem.scratch.size", old.sizeBytes, new.sizeBytes,
      isWider: new.sizeBytes > old.sizeBytes
    ) { ProfileText.size($0) }
    found.rank(
      "filesystem.scratch.inodes", old.inodes, new.inodes, isWider: new.inodes > old.inodes
    ) { "\($0)" }
    found.flag(
      "filesystem.scratch.exec", old.executable, new.executable, wideWhen: true,
      texts: ("false", "true"))
  }

  // MARK: environment and Landlock

  private static func environment(
    _ old: RingProfile.Environment, _ new: RingProfile.Environment, _ found: inout [Difference]
  ) {
    for name in new.pass where !old.pass.contains(name) {
      let direction: Direction = old.passes(name) ? .changed : .widened
      found.append(Difference("environment.pass \(name)", direction, "removed", "passed"))
    }
    for name in old.pass where !new.pass.contains(name) {
      let direction: Direction = new.passes(name) ? .changed : .narrowed
      found.append(Difference("environment.pass \(name)", direction, "passed", "removed"))
    }
    let names = old.set.map(\.name) + new.set.map(\.name)
    for name in Set(names).sorted() {
      let before = old.set.first { $0.name == name }?.value
      let after = new.set.first { $0.name == name }?.value
      if before != after {
        found.append(
          Difference("environment.set \(name)", .changed, before ?? "unset", after ?? "unset"))
      }
    }
  }

  private static func landlock(
    _ old: RingProfile.Landlock, _ new: RingProfile.Landlock, _ found: inout [Difference]
  ) {
    found.ordered("landlock.files", old.files, new.files, [.full, .write, .none])
    found.flag(
      "landlock.scope signal", old.scopeSignal, new.scopeSignal, wideWhen: false,
      texts: ("absent", "present"))
    found.flag(
      "landlock.scope abstract-unix-socket", old.scopeAbstractUnixSocket,
      new.scopeAbstractUnixSocket, wideWhen: false, texts: ("absent", "present"))
    found.flag(
      "landlock.tcp", old.denyTCP, new.denyTCP, wideWhen: false, texts: ("allow", "deny"))
  }
}

extension RingProfile.Filesystem {
  /// The rule for exactly this path, and the list that it is in.
  func rule(_ path: String) -> (list: String, rule: RingProfile.PathRule)? {
    for (list, rules) in [("hide", hide), ("read", read), ("write", write)] {
      if let rule = rules.first(where: { $0.path == path }) { return (list, rule) }
    }
    return nil
  }
}

extension RingProfile.Environment {
  /// Whether every variable that a name or prefix stands for is passed.
  func passes(_ name: String) -> Bool {
    pass.contains { $0 == name || ($0.hasSuffix("*") && name.hasPrefix($0.dropLast())) }
  }
}

extension [ProfileComparison.Difference] {
  mutating func rank<T: Equatable>(
    _ what: String, _ before: T, _ after: T, isWider: Bool, text: (T) -> String
  ) {
    if before == after { return }
    let direction: ProfileComparison.Direction = isWider ? .widened : .narrowed
    append(ProfileComparison.Difference(what, direction, text(before), text(after)))
  }

  /// - Parameter order: from the narrowest value to the widest.
  mutating func ordered<T: RawRepresentable & Equatable>(
    _ what: String, _ before: T, _ after: T, _ order: [T]
  ) where T.RawValue == String {
    let isWider = order.firstIndex(of: after) ?? 0 > order.firstIndex(of: before) ?? 0
    rank(what, before, after, isWider: isWider) { $0.rawValue }
  }

  /// - Parameter texts: for false and for true.
  mutating func flag(
    _ what: String, _ before: Bool, _ after: Bool, wideWhen: Bool, texts: (String, String)
  ) {
    rank(what, before, after, isWider: after == wideWhen) { $0 ? texts.1 : texts.0 }
  }
}
