internal import JSON
internal import YAML

/// Reads `apiVersion: agt-run/v1, kind: Policy`.
struct NativeDocument {
  let file: String
  private var fields: [String: FieldType] = [:]
  private var agents: [String]?
  private var document = 0
  private var ids: [String: YAMLNode] = [:]

  init(file: String) { self.file = file }

  /// Adds the document; returns the files that it extends, each with its place.
  mutating func read(
    _ root: YAMLNode, into builder: inout SetBuilder
  ) throws(YAMLError) -> [(path: String, node: YAMLNode)] {
    var reader = try YAMLMappingReader(root, file: file)
    _ = try reader.require("apiVersion").string(file)
    let kind = try reader.require("kind")
    guard try kind.string(file) == "Policy" else {
      throw kind.error(file, "kind is not Policy; policies are read here")
    }
    var metadata = try YAMLMappingReader(try reader.require("metadata"), file: file)
    let name = try metadata.require("name").string(file)
    _ = try metadata.optional("description")?.string(file)
    try metadata.finish()
    if let list = reader.optional("agents") { agents = try Reading.texts(list, file) }
    if agents?.isEmpty == true {
      throw root.error(file, "\"agents\" is empty, so that no rule applies; remove it or name some")
    }
    if let declared = reader.optional("fields") { try readFields(declared) }
    let extends = try extended(reader.optional("extends"))
    let rules = reader.optional("rules")
    let network = reader.optional("network")
    let violations = reader.optional("violations")
    try reader.finish()
    document = builder.documents.count
    builder.documents.append(
      Document(
        name: name, file: file, form: .native, defaultVerdict: .deny, defaultObligations: [],
        agents: agents, scope: .global, isJudging: rules != nil, isAscending: false, strategy: nil))
    for node in try rules?.sequence(file) ?? [] {
      do { try readRule(node, &builder) } catch { builder.report(error) }
    }
    for node in try network?.sequence(file) ?? [] {
      do {
        builder.network.append(try NetworkRule.read(node, file))
      } catch {
        builder.report(error)
      }
    }
    let compiler = ConditionCompiler(semantics: .native, declared: fields)
    for node in try violations?.sequence(file) ?? [] {
      do {
        builder.violations.append(try ViolationTrigger.read(node, file, compiler, &builder))
      } catch {
        builder.report(error)
      }
    }
    return extends
  }

  private func extended(_ node: YAMLNode?) throws(YAMLError) -> [(path: String, node: YAMLNode)] {
    guard let node else { return [] }
    guard case .sequence(let items) = node.content else { return [(try node.string(file), node)] }
    var paths: [(path: String, node: YAMLNode)] = []
    for item in items { paths.append((try item.string(file), item)) }
    return paths
  }

  /// `fields: {amount: number, args.path: path}`.
  private mutating func readFields(_ node: YAMLNode) throws(YAMLError) {
    for entry in try node.mapping(file) {
      let name = try entry.key.string(file)
      guard
        name.split(separator: ".", omittingEmptySubsequences: false)
          .allSatisfy({ FieldPath.isIdentifier(String($0)) })
      else {
        throw entry.key.error(
          file, "\(Text.quote(name)) is not a field; write letters, digits, _ and dots")
      }
      let text = try entry.value.string(file)
      guard let type = FieldType(rawValue: text) else {
        let names = FieldType.allCases.map(\.rawValue)
        let hint =
          NearestName.find(text, among: names).map { "did you mean \"\($0)\"?" }
          ?? "the types are \(names.joined(separator: ", "))"
        throw entry.value.error(file, "unknown type \(Text.quote(text)); \(hint)")
      }
      if let known = Vocabulary.types[name], known != type, known != .any {
        throw entry.key.error(
          file, "the field \(name) is known and is \(known.rawValue); leave it out here")
      }
      fields[name] = type
    }
  }

  private mutating func readRule(
    _ node: YAMLNode, _ builder: inout SetBuilder
  ) throws(YAMLError) {
    if builder.rules.count >= PolicyLimits.rulesMax {
      throw node.error(file, "more than \(PolicyLimits.rulesMax) rules in one set")
    }
    var reader = try YAMLMappingReader(node, file: file)
    let idNode = try reader.require("id")
    let id = try idNode.string(file)
    if let first = ids[id] {
      throw idNode.error(
        file, "duplicate id \(Text.quote(id)); it is already at line \(first.line); rename one")
    }
    ids[id] = idNode
    let verdict = try Reading.choice(
      try reader.require("then"), file, "verdict",
      ["allow": Verdict.allow, "deny": .deny, "require_approval": .requireApproval])
    let say = try reader.optional("say")?.string(file)
    let why = try reader.optional("why")?.string(file) ?? ""
    var obligations: [Obligation] = []
    if let list = reader.optional("obligations") {
      obligations = try Self.obligations(list, file)
    }
    if let approvers = reader.optional("approvers") {
      if verdict != .requireApproval {
        throw approvers.error(
          file, "\"approvers\" has no effect on \(verdict.name); write then: require_approval")
      }
      obligations.append(.approval(try Reading.approval(approvers, file)))
    }
    let limitNode = reader.optional("limit")
    let limit = try limitNode.map { (node) throws(YAMLError) in
      try Reading.rateLimit(node, file)
    }
    if let limitNode, verdict == .deny {
      throw limitNode.error(file, "\"limit\" has no effect on deny; remove it")
    }
    var stage: Stage? = .preTool
    if let node = reader.optional("stage") {
      stage = try node.string(file) == "any" ? nil : try Self.stage(node, file)
    }
    let examples = reader.optional("examples")
    let when = try reader.require("when")
    let compiler = ConditionCompiler(semantics: .native, declared: fields)
    let condition = try builder.condition(when, file, compiler, agents: agents)
    try reader.finish()
    builder.rules.append(
      Rule(
        id: id, file: file, line: node.line, column: node.column, verdict: verdict,
        condition: condition.text, say: say ?? Self.defaultSay(verdict, id), why: why,
        stage: stage, obligations: obligations + (limit.map { [.rateLimit($0)] } ?? []),
        limit: limit, priority: 0, document: document, action: verdict.name, root: condition.root,
        conditionPlace: condition.place))
    if let examples { try readExamples(examples, &builder) }
  }

  static func stage(_ node: YAMLNode, _ file: String) throws(YAMLError) -> Stage {
    try Reading.choice(
      node, file, "stage",
      [
        "pre_input": Stage.preInput, "pre_tool": .preTool, "post_tool": .postTool,
        "pre_output": .preOutput,
      ])
  }

  static func defaultSay(_ verdict: Verdict, _ id: String) -> String {
    switch verdict {
    case .allow: "Allowed by the rule \(id)."
    case .requireApproval: "The rule \(id) requires approval by a person."
    case .deny: "Denied by the rule \(id)."
    }
  }

  /// `[audit, kill, {warn: text}, {demote: 3}]`.
  static func obligations(_ node: YAMLNode, _ file: String) throws(YAMLError) -> [Obligation] {
    var obligations: [Obligation] = []
    for item in try node.sequence(file) {
      guard case .mapping = item.content else {
        obligations.append(
          try Reading.choice(
            item, file, "obligation",
            ["audit": Obligation.audit, "kill": .kill, "rollback": .rollback]))
        continue
      }
      var reader = try YAMLMappingReader(item, file: file)
      if let text = reader.optional("warn") {
        obligations.append(.warn(try text.string(file)))
      }
      if let ring = reader.optional("demote") {
        obligations.append(.demote(try ring.integer(file, in: 0...3)))
      }
      try reader.finish()
    }
    return obligations
  }

  private func readExamples(
    _ node: YAMLNode, _ builder: inout SetBuilder
  ) throws(YAMLError) {
    var reader = try YAMLMappingReader(node, file: file)
    for (key, isMatch) in [("match", true), ("notMatch", false)] {
      for item in try reader.optional(key)?.sequence(file) ?? [] {
        guard case .object(let request) = try Reading.json(item, file) else {
          throw item.error(file, "an example is a request; write {tool: NAME, …}")
        }
        builder.examples.append(
          SetBuilder.Example(
            rule: builder.rules.count - 1, request: request, isMatch: isMatch,
            place: Place(file: file, line: item.line, column: item.column)))
      }
    }
    try reader.finish()
  }
}
