internal import JSON
internal import YAML

/// Reads the toolkit's string form: `apiVersion: governance.toolkit/v1`, conditions as text.
struct ToolkitDocument {
  let file: String
  /// Rules of the files that this one extends, outermost first, by name.
  private(set) var own: [Parsed] = []
  private(set) var header: Header

  struct Header {
    var name = "unnamed"
    var agents: [String]?
    var scope = PolicyScope.global
    var defaultVerdict = Verdict.deny
    var strategy: ConflictStrategy?
    var extends: [(path: String, node: YAMLNode)] = []
  }

  /// A rule before it is compiled: agents come from the document that extends.
  struct Parsed {
    let node: YAMLNode
    let file: String
    let id: String
    let action: String
    let verdict: Verdict
    let condition: YAMLNode
    let description: String
    let stage: Stage
    let obligations: [Obligation]
    let limit: RateLimit?
    let priority: Int
  }

  init(_ root: YAMLNode, file: String, into builder: inout SetBuilder) throws(YAMLError) {
    self.file = file
    var reader = try YAMLMappingReader(root, file: file)
    if let version = reader.optional("apiVersion") { _ = try version.string(file) }
    header = Header()
    if let name = reader.optional("name") { header.name = try name.string(file) }
    for key in ["version", "description", "created_at", "updated_at"] {
      _ = try reader.optional(key)?.string(file)
    }
    var agents: [String] = []
    if let agent = reader.optional("agent") { agents.append(try agent.string(file)) }
    if let list = reader.optional("agents") { agents += try Reading.texts(list, file) }
    header.agents = agents.isEmpty || agents.contains("*") ? nil : agents
    if let scope = reader.optional("scope") {
      header.scope = try Reading.choice(
        scope, file, "scope",
        ["global": .global, "tenant": .tenant, "organization": .organization, "agent": .agent])
    }
    if let action = reader.optional("default_action") {
      header.defaultVerdict = try Reading.choice(
        action, file, "default action", ["allow": Verdict.allow, "deny": .deny])
    }
    if let strategy = reader.optional("conflict_strategy") {
      header.strategy = try ToolkitDocument.strategy(strategy, file)
    }
    if let extends = reader.optional("extends") {
      if case .sequence(let items) = extends.content {
        for item in items { header.extends.append((try item.string(file), item)) }
      } else {
        header.extends = [(try extends.string(file), extends)]
      }
    }
    let rules = try reader.optional("rules")?.sequence(file) ?? []
    try reader.finish()
    var names: [String: YAMLNode] = [:]
    for node in rules {
      do throws(YAMLError) {
        guard let rule = try Self.rule(node, file) else { continue }
        if let first = names[rule.id] {
          throw node.error(
            file,
            "duplicate name \(Text.quote(rule.id)); it is already at line \(first.line); "
              + "rename one")
        }
        names[rule.id] = node
        own.append(rule)
      } catch {
        builder.report(error)
      }
    }
  }

  static func strategy(_ node: YAMLNode, _ file: String) throws(YAMLError) -> ConflictStrategy {
    try Reading.choice(
      node, file, "strategy",
      [
        "deny_overrides": .denyOverrides, "allow_overrides": .allowOverrides,
        "priority_first_match": .priorityFirstMatch, "most_specific_wins": .mostSpecificWins,
      ])
  }

  private static func rule(_ node: YAMLNode, _ file: String) throws(YAMLError) -> Parsed? {
    var reader = try YAMLMappingReader(node, file: file)
    let name = try reader.require("name").string(file)
    let description = try reader.optional("description")?.string(file) ?? ""
    let message = try reader.optional("message")?.string(file)
    let condition = try reader.require("condition")
    if case .mapping = condition.content {
      throw condition.error(
        file,
        "a condition of this form is text, for example \"tool_name == 'send_email'\"; "
          + "{field, operator, value} belongs to documents without apiVersion")
    }
    // The TypeScript SDK writes ruleAction.
    let action = reader.optional("action") ?? reader.optional("ruleAction")
    let kind =
      try action.map { (node) throws(YAMLError) in
        try Reading.choice(node, file, "action", Self.actions)
      } ?? (Verdict.deny, "deny")
    var obligations: [Obligation] = []
    switch kind.1 {
    case "warn":
      obligations = [.warn(message ?? (description.isEmpty ? name : description)), .audit]
    case "log", "audit": obligations = [.audit]
    default: break
    }
    if let approvers = reader.optional("approvers"), kind.0 == .requireApproval {
      obligations.append(.approval(try Reading.approval(approvers, file)))
    }
    let limitNode = reader.optional("limit")
    let limit = try limitNode.map { (node) throws(YAMLError) in
      try Reading.rateLimit(node, file)
    }
    if kind.1 == "rate_limit" && limit == nil {
      throw node.error(file, "rate_limit without \"limit\"; add for example limit: 100/hour")
    }
    if let limitNode, kind.0 == .deny {
      throw limitNode.error(file, "\"limit\" has no effect on deny; remove it")
    }
    if let limit { obligations.append(.rateLimit(limit)) }
    var stage = Stage.preTool
    if let node = reader.optional("stage") { stage = try NativeDocument.stage(node, file) }
    let priority = try reader.optional("priority")?.integer(file) ?? 0
    let isEnabled = try reader.optional("enabled")?.boolean(file) ?? true
    try reader.finish()
    guard isEnabled else { return nil }
    return Parsed(
      node: node, file: file, id: name, action: kind.1, verdict: kind.0, condition: condition,
      description: message ?? description, stage: stage, obligations: obligations, limit: limit,
      priority: priority)
  }

  private static let actions: KeyValuePairs<String, (Verdict, String)> = [
    "allow": (.allow, "allow"), "deny": (.deny, "deny"), "warn": (.allow, "warn"),
    "log": (.allow, "log"), "audit": (.allow, "audit"), "block": (.deny, "block"),
    "require_approval": (.requireApproval, "require_approval"),
    "rate_limit": (.allow, "rate_limit"),
  ]

  /// Adds the document with the rules of those that it extends in front.
  ///
  /// A rule that would weaken a parent's deny of the same name is left out, as in the toolkit.
  func add(_ parents: [Parsed], to builder: inout SetBuilder) {
    let index = builder.documents.count
    builder.documents.append(
      Document(
        name: header.name, file: file, form: .toolkit, defaultVerdict: header.defaultVerdict,
        defaultObligations: [], agents: header.agents, scope: header.scope, isJudging: true,
        isAscending: false, strategy: header.strategy))
    let denied = Set(parents.filter { $0.verdict == .deny }.map(\.id))
    let compiler = ConditionCompiler(semantics: .toolkit, declared: [:])
    for rule in parents {
      do { try add(rule, compiler, index, to: &builder) } catch { builder.report(error) }
    }
    for rule in own {
      if denied.contains(rule.id) && rule.verdict == .allow {
        builder.remark(
          rule.node, rule.file,
          "the rule \(Text.quote(rule.id)) would weaken a deny of an extended file and is left "
            + "out; rename it if it is another rule")
        continue
      }
      do { try add(rule, compiler, index, to: &builder) } catch { builder.report(error) }
    }
  }

  private func add(
    _ parsed: Parsed, _ compiler: ConditionCompiler, _ document: Int, to builder: inout SetBuilder
  ) throws(YAMLError) {
    if builder.rules.count >= PolicyLimits.rulesMax {
      throw parsed.node.error(
        parsed.file, "more than \(PolicyLimits.rulesMax) rules in one set")
    }
    let condition = try builder.condition(
      parsed.condition, parsed.file, compiler, agents: header.agents)
    let say =
      parsed.description.isEmpty
      ? NativeDocument.defaultSay(parsed.verdict, parsed.id) : parsed.description
    builder.rules.append(
      Rule(
        id: parsed.id, file: parsed.file, line: parsed.node.line, column: parsed.node.column,
        verdict: parsed.verdict, condition: condition.text, say: say, why: "",
        stage: parsed.stage, obligations: parsed.obligations, limit: parsed.limit,
        priority: parsed.priority, document: document, action: parsed.action,
        root: condition.root, conditionPlace: condition.place))
  }
}
