internal import YAML

/// A mapping whose keys are all known.
struct ProfileSection {
  let node: YAMLNode
  private let file: String
  private var values: [String: YAMLNode] = [:]

  /// - Throws: `YAMLError` at the first unknown key, with the nearest known one.
  init(_ node: YAMLNode, file: String, keys: [String]) throws(YAMLError) {
    self.node = node
    self.file = file
    var reader = try YAMLMappingReader(node, file: file)
    for key in keys { values[key] = reader.optional(key) }
    try reader.finish()
  }

  subscript(key: String) -> YAMLNode? { values[key] }

  /// - Parameter because: what the message says after the key.
  func require(_ key: String, _ because: String = "add it") throws(YAMLError) -> YAMLNode {
    guard let value = values[key] else {
      throw node.error(file, "missing key \"\(key)\"; \(because)")
    }
    return value
  }

  /// A sentence for people, when it is there.
  func text(_ key: String) throws(YAMLError) -> String? {
    guard let node = values[key] else { return nil }
    return try Self.sentence(node, file)
  }

  /// A text for people that says something.
  static func sentence(_ node: YAMLNode, _ file: String) throws(YAMLError) -> String {
    let text = try node.string(file)
    guard text.contains(where: { !$0.isWhitespace }), text.utf8.count <= sentenceMaxBytes else {
      throw node.error(file, "a reason is a sentence of 1 to \(sentenceMaxBytes) bytes")
    }
    return text
  }

  /// Reasons are printed at start and recorded with every run.
  static let sentenceMaxBytes = 1024
}

/// Reads the sections of one profile file.
struct ProfileReader {
  let file: String
  /// A derived profile may leave settings out.
  let isDerived: Bool
  /// Where settings are written and why, by `ProfileComparison.Difference.what`.
  var places: [String: YAMLNode] = [:]
  var whys: [String: String] = [:]

  init(file: String, isDerived: Bool) {
    self.file = file
    self.isDerived = isDerived
  }

  /// The value of a key that a profile without `extends` must state.
  func value(_ section: ProfileSection, _ key: String) throws(YAMLError) -> YAMLNode? {
    isDerived ? section[key] : try section.require(key, "a profile that extends nothing states it")
  }

  // MARK: words

  mutating func choice<T: RawRepresentable & CaseIterable>(
    _ node: YAMLNode, _ what: String
  ) throws(YAMLError) -> T where T.RawValue == String {
    places[what] = node
    return try word(node)
  }

  /// A list of words without repetition.
  mutating func choices<T: RawRepresentable & CaseIterable & Hashable>(
    _ node: YAMLNode, _ what: String
  ) throws(YAMLError) -> [T] where T.RawValue == String {
    places[what] = node
    var found: [T] = []
    for item in try node.sequence(file) {
      let value: T = try word(item)
      if found.contains(value) { throw item.error(file, "\(value.rawValue) is there twice") }
      found.append(value)
    }
    return found
  }

  private func word<T: RawRepresentable & CaseIterable>(
    _ node: YAMLNode
  ) throws(YAMLError) -> T where T.RawValue == String {
    let text = try node.string(file)
    if let value = T(rawValue: text) { return value }
    let all = T.allCases.map(\.rawValue)
    throw node.error(
      file,
      "unknown value \"\(text)\""
        + Suggestion.text(text, among: all, else: "write one of \(all.joined(separator: ", "))"))
  }

  // MARK: environment

  mutating func environment(
    _ node: YAMLNode, _ environment: inout RingProfile.Environment
  ) throws(YAMLError) {
    let section = try ProfileSection(
      node, file: file, keys: isDerived ? ["pass", "set", "without"] : ["pass", "set"])
    for item in try section["without"]?.sequence(file) ?? [] {
      let name = try item.string(file)
      let known = environment.pass + environment.set.map(\.name)
      guard known.contains(name) else {
        throw item.error(
          file,
          "\"\(name)\" is not inherited"
            + Suggestion.text(name, among: known, else: "remove it"))
      }
      environment.pass.removeAll { $0 == name }
      environment.set.removeAll { $0.name == name }
    }
    for item in try value(section, "pass")?.sequence(file) ?? [] {
      let name = try variable(item, prefixAllowed: true)
      places["environment.pass \(name)"] = item
      if !environment.pass.contains(name) { environment.pass.append(name) }
    }
    for entry in try section["set"]?.mapping(file) ?? [] {
      let name = try variable(entry.key, prefixAllowed: false)
      let value = try entry.value.string(file)
      if let index = environment.set.firstIndex(where: { $0.name == name }) {
        environment.set[index].value = value
      } else {
        environment.set.append((name, value))
      }
    }
    let count = environment.pass.count + environment.set.count
    guard count <= ProfileLimits.variablesMax else {
      throw node.error(file, "\(count) variables; at most \(ProfileLimits.variablesMax) are read")
    }
  }

  /// A name of environ(7) as a shell writes it, or a prefix of names.
  private func variable(_ node: YAMLNode, prefixAllowed: Bool) throws(YAMLError) -> String {
    let text = try node.string(file)
    let name = prefixAllowed && text.hasSuffix("*") ? text.dropLast() : text[...]
    let isName =
      name.utf8.allSatisfy {
        switch $0 {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
          UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"):
          true
        default: false
        }
      } && (name.utf8.first.map { !(UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) } ?? false)
    let isAll = prefixAllowed && text == "*"
    guard isAll || (isName && name.utf8.count <= ProfileLimits.nameMaxBytes) else {
      throw node.error(
        file,
        "\"\(text)\" is no name of a variable; write letters, digits and _"
          + (prefixAllowed ? ", and a * at the end for every name that begins so" : ""))
    }
    return text
  }

  // MARK: landlock

  private enum Scope: String, CaseIterable {
    case signal
    case abstractUnixSocket = "abstract-unix-socket"
  }

  private enum TCP: String, CaseIterable { case allow, deny }

  mutating func landlock(
    _ node: YAMLNode, _ landlock: inout RingProfile.Landlock
  ) throws(YAMLError) {
    let section = try ProfileSection(node, file: file, keys: ["files", "scope", "tcp"])
    if let files = try value(section, "files") {
      landlock.files = try choice(files, "landlock.files")
    }
    if let scope = try value(section, "scope") {
      let scopes: [Scope] = try choices(scope, "landlock.scope")
      landlock.scopeSignal = scopes.contains(.signal)
      landlock.scopeAbstractUnixSocket = scopes.contains(.abstractUnixSocket)
    }
    if let tcp = try value(section, "tcp") {
      let choice: TCP = try choice(tcp, "landlock.tcp")
      landlock.denyTCP = choice == .deny
    }
  }

  // MARK: limits and requests

  mutating func limits(
    _ node: YAMLNode, _ limits: inout RingProfile.Limits
  ) throws(YAMLError) {
    let section = try ProfileSection(
      node, file: file, keys: RingProfile.Limits.all.map(\.key))
    for limit in RingProfile.Limits.all {
      guard
        let node = limit.isOptional ? section[limit.key] : try value(section, limit.key)
      else { continue }
      places["limits.\(limit.key)"] = node
      if try node.text(file) == "none" {
        limit.set(&limits, nil)
        continue
      }
      let value: UInt64 =
        switch limit.unit {
        case .bytes: try node.sizeBytes(file)
        case .milliseconds: try node.durationMilliseconds(file)
        case .count: UInt64(try node.integer(file, in: 0...Int.max))
        }
      guard value > 0 else {
        throw node.error(file, "a limit of 0 lets nothing run; write none for no limit")
      }
      limit.set(&limits, value)
    }
  }

  mutating func requests(
    _ node: YAMLNode, _ requests: inout RingProfile.Requests
  ) throws(YAMLError) {
    let section = try ProfileSection(
      node, file: file, keys: RingProfile.Requests.all.map(\.key))
    for field in RingProfile.Requests.all {
      guard let node = try value(section, field.key) else { continue }
      places["requests.\(field.key)"] = node
      field.set(
        &requests, UInt64(try node.integer(file, in: 1...ProfileLimits.requestsMax)))
    }
  }
}

/// Bounds on what a profile may hold. Profiles are written by hand: each bound is some ten times
/// what the largest real one needs, and keeps loading, comparing and the filter small.
enum ProfileLimits {
  static let variablesMax = 512
  static let pathsMax = 1024
  static let groupsMax = 256
  static let callsMax = 4096
  /// Values of one condition: a jump over them must stay inside the program.
  static let valuesMax = 128
  /// PATH_MAX of limits.h
  static let pathMaxBytes = 4096
  static let nameMaxBytes = 256
  static let requestsMax = 1_000_000
}

extension YAMLNode {
  /// The text of a scalar, for words beside numbers such as `none`.
  func text(_ file: String) throws(YAMLError) -> String { try string(file) }
}

extension RingProfile.Limits {
  enum Unit { case bytes, milliseconds, count }

  struct Field: Sendable {
    let key: String
    let unit: Unit
    /// A ring without it leaves nothing of the machine's open that the other limits do not bound.
    var isOptional = false
    let get: @Sendable (RingProfile.Limits) -> UInt64?
    let set: @Sendable (inout RingProfile.Limits, UInt64?) -> Void
  }

  /// The limits in the order in which they are written.
  static let all: [Field] = [
    Field(
      key: "memory", unit: .bytes, get: { $0.memoryBytes }, set: { $0.memoryBytes = $1 }),
    Field(
      key: "processes", unit: .count, get: { $0.processes }, set: { $0.processes = $1 }),
    Field(
      key: "openFiles", unit: .count, get: { $0.openFiles }, set: { $0.openFiles = $1 }),
    Field(
      key: "fileSize", unit: .bytes, get: { $0.fileSizeBytes }, set: { $0.fileSizeBytes = $1 }),
    Field(
      key: "lockedMemory", unit: .bytes, get: { $0.lockedMemoryBytes },
      set: { $0.lockedMemoryBytes = $1 }),
    Field(
      key: "wall", unit: .milliseconds, get: { $0.wallMilliseconds },
      set: { $0.wallMilliseconds = $1 }),
    Field(
      key: "cpuTime", unit: .milliseconds, isOptional: true, get: { $0.cpuTimeMilliseconds },
      set: { $0.cpuTimeMilliseconds = $1 }),
    Field(
      key: "disk", unit: .bytes, isOptional: true, get: { $0.diskBytes },
      set: { $0.diskBytes = $1 }),
    Field(
      key: "requests", unit: .count, isOptional: true, get: { $0.requests },
      set: { $0.requests = $1 }),
    Field(
      key: "toolCalls", unit: .count, isOptional: true, get: { $0.toolCalls },
      set: { $0.toolCalls = $1 }),
    Field(
      key: "egress", unit: .bytes, isOptional: true, get: { $0.egressBytes },
      set: { $0.egressBytes = $1 }),
  ]
}

extension RingProfile.Requests {
  struct Field: Sendable {
    let key: String
    let get: @Sendable (RingProfile.Requests) -> UInt64
    let set: @Sendable (inout RingProfile.Requests, UInt64) -> Void
  }

  static let all: [Field] = [
    Field(key: "perSecond", get: { $0.perSecond }, set: { $0.perSecond = $1 }),
    Field(key: "burst", get: { $0.burst }, set: { $0.burst = $1 }),
    Field(key: "concurrentTools", get: { $0.concurrentTools }, set: { $0.concurrentTools = $1 }),
  ]
}
