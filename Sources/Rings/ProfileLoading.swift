internal import YAML

extension RingProfile {
  /// Reads a profile and everything that it extends.
  ///
  /// A profile that `extends` another states differences: single values replace, lists and groups
  /// append, a group of the same name replaces, `without` takes entries away, and a refusal wins
  /// over an inherited permission. One that extends nothing states everything.
  ///
  /// Narrowing is free. What a profile grants beyond the one that it extends needs a reason: its
  /// entry of `reasons`, the `why` of the path or group, an entry of `reasons` for the section, the
  /// profile's `reason`, or else its description.
  /// `widenings` then holds what the result grants beyond the shipped ring that it claims.
  ///
  /// - Parameters:
  ///   - yaml: at most 1 MiB of UTF-8.
  ///   - file: the name that errors give, and what relative names in `extends` are relative to.
  ///   - resolve: reads the file that `extends` names by its path; the names of rings
  ///     (`ring3`, `3`, `sandbox`) are the shipped profiles and never come here.
  /// - Throws: `RingProfileError.text` with the place, the cause and how to mend it.
  public static func load(
    yaml: [UInt8], file: String,
    resolve: @escaping (_ path: String) throws -> (bytes: [UInt8], file: String)
  ) throws(RingProfileError) -> RingProfile {
    do throws(YAMLError) {
      return try ProfileLoader(resolve: resolve).load(yaml, file: file)
    } catch {
      throw .text(
        file: error.file, line: error.line, column: error.column, message: error.message)
    }
  }

  /// The shipped profile of a ring, 0 … 3.
  public static func shipped(_ ring: UInt8) -> RingProfile {
    switch ring {
    case 0: return shipped0
    case 1: return shipped1
    case 2: return shipped2
    case 3: return shipped3
    default: preconditionFailure("there is no ring \(ring)")
    }
  }

  /// The ring that a name on the command line or in `extends` means: `3`, `ring3` or `sandbox`.
  public static func ring(named name: String) -> UInt8? {
    for (ring, names) in ringNames.enumerated() where names.contains(name) { return UInt8(ring) }
    return nil
  }

  /// How people call it: a shipped ring by its meaning (`sandbox`), another profile by its name.
  public var title: String {
    name == "ring\(ring)" ? Self.ringNames[Int(ring)][2] : name
  }

  /// What each ring may be called, its number first.
  static let ringNames = [
    ["0", "ring0", "system"], ["1", "ring1", "privileged"], ["2", "ring2", "standard"],
    ["3", "ring3", "sandbox"],
  ]

  // One constant for each ring: ring 2 is loaded through ring 3 and ring 1 through ring 0.
  private static let shipped0 = loadShipped(0)
  private static let shipped1 = loadShipped(1)
  private static let shipped2 = loadShipped(2)
  private static let shipped3 = loadShipped(3)

  private static func loadShipped(_ ring: Int) -> RingProfile {
    let embedded = EmbeddedProfiles.all[ring]
    do throws(YAMLError) {
      let loader = ProfileLoader { _ in preconditionFailure("a shipped ring extends a ring") }
      return try loader.load(Array(embedded.text.utf8), file: embedded.file)
    } catch {
      preconditionFailure("\(error.description)")
    }
  }
}

/// One run of `RingProfile.load`.
struct ProfileLoader {
  let resolve: (String) throws -> (bytes: [UInt8], file: String)

  /// A chain of profiles is an organisation, a team and a task; more is a mistake.
  static let extendsMax = 8

  init(resolve: @escaping (String) throws -> (bytes: [UInt8], file: String)) {
    self.resolve = resolve
  }

  func load(_ bytes: [UInt8], file: String) throws(YAMLError) -> RingProfile {
    let level = try loadLevel(bytes, file: file, chain: [file])
    var profile = level.profile
    if level.isShipped { return profile }
    let granted = ProfileComparison.differences(from: .shipped(profile.ring), to: profile)
    for difference in granted where difference.direction == .widened {
      let reason: String
      if let stated = level.reasons[difference.what] {
        reason = stated
      } else {
        reason = try level.document.reason(for: difference, claiming: profile.ring)
      }
      profile.widenings.append(RingProfile.Widening(what: difference.what, reason: reason))
    }
    return profile
  }

  /// A profile with the reasons that its chain gave so far.
  private struct Level {
    var profile: RingProfile
    var document: ProfileDocument
    var reasons: [String: String]
    /// The text is a shipped ring's: it is the definition of that ring and widens nothing.
    var isShipped: Bool
  }

  private func loadLevel(
    _ bytes: [UInt8], file: String, chain: [String]
  ) throws(YAMLError) -> Level {
    let root = try YAMLParser.parse(bytes, file: file)
    var document = try ProfileDocument(root, file: file)
    let isShipped = EmbeddedProfiles.all.contains { $0.text.utf8.elementsEqual(bytes) }
    var base: (profile: RingProfile, reasons: [String: String])?
    if let extends = document.extends { base = try self.base(extends, file: file, chain: chain) }
    let profile: RingProfile
    if let base {
      profile = try document.derived(from: base.profile)
    } else {
      profile = try document.standalone()
    }
    var reasons = base?.reasons ?? [:]
    if base != nil || !isShipped {
      // A profile of its own is measured by the shipped ring that it claims.
      let differences = ProfileComparison.differences(
        from: base?.profile ?? .shipped(profile.ring), to: profile)
      for difference in differences where difference.direction == .widened {
        reasons[difference.what] = try document.reason(for: difference)
      }
      try document.refuseUnusedReasons()
    }
    return Level(profile: profile, document: document, reasons: reasons, isShipped: isShipped)
  }

  /// The profile that `extends` names.
  private func base(
    _ node: YAMLNode, file: String, chain: [String]
  ) throws(YAMLError) -> (profile: RingProfile, reasons: [String: String]) {
    let name = try node.string(file)
    if let ring = RingProfile.ring(named: name) {
      // A shipped ring extends only the ring below it in the table, so this ends.
      return (.shipped(ring), [:])
    }
    let isPath = name.contains("/") || name.hasSuffix(".yaml") || name.hasSuffix(".yml")
    guard isPath else {
      let names = RingProfile.ringNames.flatMap { $0 }
      throw node.error(
        file,
        "there is no ring \"\(name)\""
          + Suggestion.text(
            name, among: names, else: "write ring0 to ring3, or a file such as ./base.yaml"))
    }
    let path = Self.path(name, besides: file)
    if let start = chain.firstIndex(of: path) {
      let circle = (chain[start...] + [path]).joined(separator: " → ")
      throw node.error(file, "extends itself: \(circle); let one of them extend a ring")
    }
    guard chain.count < Self.extendsMax else {
      throw node.error(file, "more than \(Self.extendsMax) profiles extend each other; join some")
    }
    let found: (bytes: [UInt8], file: String)
    do {
      found = try resolve(path)
    } catch {
      throw node.error(file, "cannot read \"\(path)\": \(error)")
    }
    let level = try loadLevel(found.bytes, file: found.file, chain: chain + [path])
    return (level.profile, level.reasons)
  }

  /// A name in a file's `extends`, relative to that file's directory.
  static func path(_ name: String, besides file: String) -> String {
    guard !name.hasPrefix("/"), let slash = file.lastIndex(of: "/") else {
      return name.hasPrefix("./") ? String(name.dropFirst(2)) : name
    }
    return String(file[...slash] + (name.hasPrefix("./") ? name.dropFirst(2) : name[...]))
  }
}

/// The end of a message about an unknown name.
enum Suggestion {
  /// `; did you mean "…"?` when a name is near, else `; ` and the advice.
  static func text(_ name: String, among candidates: [String], else advice: String) -> String {
    NearestName.find(name, among: candidates).map { "; did you mean \"\($0)\"?" } ?? "; \(advice)"
  }
}
