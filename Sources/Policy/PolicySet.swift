internal import Hashing
internal import JSON
internal import Paths
internal import YAML

/// Policies that were read, checked and compiled. Immutable; a reload makes another one.
public struct PolicySet: Sendable {
  /// In the order in which they were read.
  public let rules: [Rule]
  public let documents: [Document]
  /// What may be reached over the network; see `networkRule(host:port:)`.
  public let network: [NetworkRule]
  /// What to do at violations; see `violations(_:windows:nowMilliseconds:)`.
  public let violationTriggers: [ViolationTrigger]
  /// The strictest of each that the documents name.
  public let budgets: Budgets
  /// `sha256:` over the names and contents of all files and the strategy, whatever their order.
  public let digest: String
  /// Overrides what toolkit documents name; nil leaves it to them.
  public let strategy: ConflictStrategy?
  /// The names of all files that were read, those that `extends` names included.
  public let files: [String]
  /// What was read but is suspicious, for lint.
  public let remarks: [PolicyError.Problem]
  let program: Program
  let index: RuleIndex

  init(_ builder: SetBuilder, strategy: ConflictStrategy?) throws(PolicyError) {
    if !builder.problems.isEmpty { throw PolicyError(builder.problems) }
    rules = builder.rules
    documents = builder.documents
    network = builder.network
    violationTriggers = builder.violations
    budgets = builder.budgets
    remarks = builder.remarks
    files = builder.files.map(\.name)
    self.strategy = strategy
    program = Program(builder.program)
    index = RuleIndex(rules, program, documents)
    digest = Self.digest(builder.files, strategy)
    let failed = failedExamples(builder.examples)
    if !failed.isEmpty { throw PolicyError(failed) }
  }

  private static func digest(
    _ files: [(name: String, bytes: [UInt8])], _ strategy: ConflictStrategy?
  ) -> String {
    let lines = files.map { "\(SHA256.text($0.bytes)) \($0.name)\n" }.sorted()
    let text = lines.joined() + "strategy \(strategy?.rawValue ?? "")\n"
    return "sha256:" + SHA256.text(Array(text.utf8))
  }

  private func failedExamples(_ examples: [SetBuilder.Example]) -> [PolicyError.Problem] {
    examples.compactMap { example in
      let rule = rules[example.rule]
      let request = Request(example.request)
      var message = request.problem.map { "the example cannot be judged: \($0)" }
      var evaluation = Evaluation(program, request)
      message = message ?? evaluation.problem.map { "the example cannot be judged: \($0)" }
      if message == nil {
        let truth = evaluation.truth(of: rule)
        let isMatch = truth == .yes || (truth == .unknown && rule.isRestriction)
        if isMatch == example.isMatch && truth != .error { return nil }
        let found =
          truth == .error
          ? "fails with an error"
          : isMatch ? "matches the rule" : "does not match the rule"
        message =
          "this example under \"\(example.isMatch ? "match" : "notMatch")\" \(found) "
          + "\(Text.quote(rule.id)); correct the condition or the example"
      }
      return PolicyError.Problem(
        file: example.place.file, line: example.place.line, column: example.place.column,
        message: message ?? "")
    }
  }
}

/// One file, as bytes that the caller has read.
public struct PolicySource: Sendable {
  /// As messages name it. `extends` is relative to its folder.
  public let name: String
  public let bytes: [UInt8]

  public init(name: String, bytes: [UInt8]) {
    self.name = name
    self.bytes = bytes
  }
}

/// What a loader says about a file that `extends` names.
public enum LoadedFile: Sendable {
  case bytes([UInt8])
  case missing
  /// With the reason, for example "No such file or directory (ENOENT)".
  case unreadable(String)
}

extension PolicySet {
  /// Reads files of any of the three forms as one set.
  ///
  /// - Parameters:
  ///   - sources: In the order in which toolkit documents take precedence; the native form has
  ///     none. An empty list gives a set that denies everything.
  ///   - strategy: For toolkit documents, instead of what they name.
  ///   - loader: Reads a file that `extends` names, by the name that messages give. It should not
  ///     follow symbolic links out of the folder.
  /// - Throws: every problem of every file.
  public static func load(
    _ sources: [PolicySource], strategy: ConflictStrategy? = nil,
    loader: @escaping (String) -> LoadedFile = { _ in
      .unreadable("no further files can be read here")
    }
  ) throws(PolicyError) -> PolicySet {
    var reader = DocumentReader(loader: loader)
    for source in sources {
      reader.read(source)
    }
    return try PolicySet(reader.builder, strategy: strategy)
  }
}

/// Finds the form of each file and follows `extends`.
struct DocumentReader {
  let loader: (String) -> LoadedFile
  var builder = SetBuilder()
  private var seen: Set<String> = []

  init(loader: @escaping (String) -> LoadedFile) { self.loader = loader }

  mutating func read(_ source: PolicySource) {
    do {
      let folder = Self.folder(source.name)
      let name = PolicyPath.normalize(source.name)
      try read(source.bytes, name: name, folder: folder, chain: [name])
    } catch {
      builder.report(error)
    }
  }

  static func folder(_ name: String) -> String {
    guard let slash = name.utf8.lastIndex(of: UInt8(ascii: "/")) else { return "" }
    return String(name[..<slash])
  }

  private mutating func register(_ bytes: [UInt8], name: String, at node: YAMLNode?)
    throws(YAMLError)
  {
    builder.files.append((name, bytes))
    if builder.files.count > PolicyLimits.filesMax {
      throw YAMLError(
        file: name, line: 1, column: 1, message: "more than \(PolicyLimits.filesMax) files")
    }
  }

  private mutating func read(
    _ bytes: [UInt8], name: String, folder: String, chain: [String]
  ) throws(YAMLError) {
    // A file that several extend counts once: its rules are the same.
    guard seen.insert(name).inserted else { return }
    try register(bytes, name: name, at: nil)
    let root = try YAMLParser.parse(bytes, file: name)
    switch try Self.form(root, name) {
    case .native:
      var document = NativeDocument(file: name)
      for extended in try document.read(root, into: &builder) {
        do throws(YAMLError) {
          let (path, bytes) = try load(extended, from: name, folder: folder, chain: chain)
          let other = try Self.form(try YAMLParser.parse(bytes, file: path), path)
          guard other == .native else {
            throw extended.node.error(
              name, "\(path) is not of the form agt-run/v1; name both files when loading")
          }
          try read(bytes, name: path, folder: folder, chain: chain + [path])
        } catch {
          builder.report(error)
        }
      }
    case .toolkit:
      let document = try ToolkitDocument(root, file: name, into: &builder)
      let parents = try parents(of: document, folder: folder, chain: chain)
      document.add(parents, to: &builder)
    case .document:
      let document = try FieldDocument(root, file: name, into: &builder)
      if let scope = document.scopeNode {
        let message = "\"scope\" only works in a governance.yaml that is found by folder"
        guard FolderPolicies.isGovernanceFile(name) else {
          throw scope.error(name, "\(message); remove it, or rename the file")
        }
        builder.remark(scope, name, message)
      }
      FieldDocument.add(document.header, document.rules, file: name, to: &builder)
    }
  }

  /// The rules of extended toolkit files, outermost first, each name once.
  private mutating func parents(
    of document: ToolkitDocument, folder: String, chain: [String]
  ) throws(YAMLError) -> [ToolkitDocument.Parsed] {
    var rules: [ToolkitDocument.Parsed] = []
    var names: Set<String> = []
    for extended in document.header.extends {
      let (path, bytes) = try load(extended, from: document.file, folder: folder, chain: chain)
      if !builder.files.contains(where: { $0.name == path }) {
        try register(bytes, name: path, at: extended.node)
      }
      let root = try YAMLParser.parse(bytes, file: path)
      guard try Self.form(root, path) == .toolkit else {
        throw extended.node.error(
          document.file,
          "\(path) is not of the form governance.toolkit/v1; name both files when "
            + "loading")
      }
      let parent = try ToolkitDocument(root, file: path, into: &builder)
      let inherited = try parents(of: parent, folder: folder, chain: chain + [path])
      let denied = Set(inherited.filter { $0.verdict == .deny }.map(\.id))
      let own = parent.own.filter { !($0.verdict == .allow && denied.contains($0.id)) }
      for rule in inherited + own where names.insert(rule.id).inserted {
        rules.append(rule)
      }
    }
    return rules
  }

  /// A file that `extends` names: inside the folder of the file that was asked for, without a
  /// cycle.
  private func load(
    _ extended: (path: String, node: YAMLNode), from file: String, folder: String, chain: [String]
  ) throws(YAMLError) -> (String, [UInt8]) {
    let node = extended.node
    let own = Self.folder(file)
    let path = PolicyPath.normalize(own.isEmpty ? extended.path : own + "/" + extended.path)
    let root = PolicyPath.normalize(folder)
    let isInside =
      folder.isEmpty
      ? path.utf8.first != UInt8(ascii: "/") && !PathText.isInside(path, "..")
      : PathText.isInside(path, root)
    if extended.path.utf8.first == UInt8(ascii: "/") || !isInside || Text.hasControl(path) {
      throw node.error(
        file,
        "\(Text.quote(extended.path)) leads out of the policy's folder; extend files in it, "
          + "by a relative path")
    }
    if chain.contains(path) {
      throw node.error(
        file, "a cycle of extends: \((chain + [path]).joined(separator: " → ")); remove one")
    }
    if chain.count > PolicyLimits.extendsDepthMax {
      throw node.error(
        file, "extends more than \(PolicyLimits.extendsDepthMax) files deep; flatten the chain")
    }
    switch loader(path) {
    case .bytes(let bytes): return (path, bytes)
    case .missing:
      throw node.error(file, "cannot read \(Text.quote(path)): there is no such file")
    case .unreadable(let reason):
      throw node.error(file, "cannot read \(Text.quote(path)): \(reason)")
    }
  }

  static func form(_ root: YAMLNode, _ file: String) throws(YAMLError) -> DocumentForm {
    let entries = try root.mapping(file)
    let value = { (key: String) in
      entries.first { (try? $0.key.string(file)) == key }?.value
    }
    let rules = (try? value("rules")?.sequence(file)) ?? []
    let conditions = rules.lazy.compactMap { rule in
      (try? rule.mapping(file))?.first { (try? $0.key.string(file)) == "condition" }?.value
    }
    var isText = value("default_action") != nil
    if let first = conditions.first, case .scalar = first.content { isText = true }
    if let version = value("apiVersion") {
      switch try version.string(file) {
      case "agt-run/v1": return .native
      case "governance.toolkit/v1", "1.0": return .toolkit
      case let text:
        throw version.error(
          file,
          "unknown apiVersion \(Text.quote(text)); write agt-run/v1 or "
            + "governance.toolkit/v1")
      }
    }
    if isText { return .toolkit }
    if value("rules") != nil || value("defaults") != nil { return .document }
    throw root.error(
      file,
      "this is no policy: neither apiVersion nor rules; write apiVersion: agt-run/v1, "
        + "kind: Policy")
  }
}
