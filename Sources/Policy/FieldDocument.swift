internal import JSON
internal import YAML

/// Reads the PolicyDocument form: `condition: {field, operator, value}` and `defaults`.
struct FieldDocument {
  let file: String
  private(set) var rules: [Parsed] = []
  private(set) var header = Header()
  private(set) var scopeNode: YAMLNode?

  struct Header {
    var name = "unnamed"
    var defaultVerdict = Verdict.deny
    var defaultAction = "deny"
    var isInheriting = true
    /// Which paths the document is for (fnmatch(3)); nil for all.
    var scope: String?
    var isAscending = false
    var budgets = Budgets()
    var network: [NetworkRule] = []
    var strategy: ConflictStrategy?
  }

  struct Parsed {
    let node: YAMLNode
    let file: String
    let id: String
    let action: String
    let verdict: Verdict
    let conditions: [FieldCondition]
    let message: String
    let priority: Int
    let isOverride: Bool
    /// Depth of the folder it comes from, see `FolderPolicies`.
    var level = 0
  }

  init(_ root: YAMLNode, file: String, into builder: inout SetBuilder) throws(YAMLError) {
    self.file = file
    var reader = try YAMLMappingReader(root, file: file)
    if let name = reader.optional("name") { header.name = try name.string(file) }
    for key in ["apiVersion", "version", "description", "disclaimer"] {
      _ = try reader.optional(key)?.string(file)
    }
    if let inherit = reader.optional("inherit") {
      header.isInheriting = try inherit.boolean(file)
    }
    if let scope = reader.optional("scope"), !scope.isNull {
      header.scope = try scope.string(file)
      scopeNode = scope
    }
    if let strategy = reader.optional("conflict_strategy") {
      header.strategy = try ToolkitDocument.strategy(strategy, file)
    }
    let tools = reader.optional("tool_allowlist")
    let hosts = reader.optional("network_allowlist")
    var synthesized: [Parsed] = []
    if let defaults = reader.optional("defaults") {
      try readDefaults(defaults, &synthesized)
    }
    let nodes = try reader.optional("rules")?.sequence(file) ?? []
    try reader.finish()
    for node in nodes {
      do {
        if let rule = try rule(node) { rules.append(rule) }
      } catch {
        builder.report(error)
      }
    }
    rules += synthesized
    if let tools { try addToolList(tools) }
    if let hosts { try addHosts(hosts) }
  }

  // MARK: Defaults

  /// Every key has an effect, or is refused.
  private mutating func readDefaults(
    _ node: YAMLNode, _ synthesized: inout [Parsed]
  ) throws(YAMLError) {
    var reader = try YAMLMappingReader(node, file: file)
    let trust = [
      "min_trust_score", "max_delegation_depth", "allowed_namespaces",
      "require_handshake",
    ]
    for key in trust {
      guard let value = reader.optional(key) else { continue }
      // A trust policy allows what its rules and thresholds do not refuse, and counts priorities
      // the other way round.
      header.isAscending = true
      header.defaultVerdict = .allow
      header.defaultAction = "allow"
      if let rule = try trustRule(key, value) { synthesized.append(rule) }
    }
    if let action = reader.optional("action") {
      let kind = try Reading.choice(action, file, "action", FieldDocument.actions)
      header.defaultVerdict = kind.0
      header.defaultAction = kind.1
    }
    if let calls = reader.optional("max_tool_calls") {
      header.budgets.toolCallsMax = try calls.integer(file, in: 0...1_000_000_000)
    }
    if let tokens = reader.optional("max_tokens") {
      let most = try tokens.integer(file, in: 0...Int.max)
      rules.append(threshold("max_tokens", tokens, "token_count", .greater, .integer(Int64(most))))
    }
    if let confidence = reader.optional("confidence_threshold") {
      let least = try confidence.number(file)
      rules.append(
        threshold("confidence_threshold", confidence, "confidence", .less, .number(least)))
    }
    if let processors = reader.optional("max_cpu") {
      let most = try processors.number(file)
      guard (0.01...1000).contains(most) else {
        throw processors.error(file, "\"max_cpu\" is a number of processors from 0.01 to 1000")
      }
      header.budgets.processorsMax = most
    }
    if let memory = reader.optional("max_memory_mb") {
      header.budgets.memoryMaxMiB = try memory.integer(file, in: 1...1 << 30)
    }
    if let timeout = reader.optional("timeout_seconds") {
      header.budgets.timeoutSeconds = try timeout.integer(file, in: 1...1 << 30)
    }
    if let network = reader.optional("network_default") {
      let isDeny = try Reading.choice(network, file, "action", ["deny": true, "allow": false])
      if !isDeny {
        throw network.error(
          file, "network_default: allow would open every host; list hosts under network_allowlist")
      }
    }
    try reader.finish()
  }

  /// Denies what says of itself that it is beyond, before any other rule; what says nothing is not concerned.
  private func threshold(
    _ key: String, _ node: YAMLNode, _ field: String, _ op: FieldCondition.Operator,
    _ value: JSONValue
  ) -> Parsed {
    denial(key, node, FieldCondition(field: field, op: op, value: value), priority: first)
  }

  /// Of the rule that is looked at before any other.
  private var first: Int { header.isAscending ? Int.min : Int.max }

  /// A rule that a key of the document stands for.
  private func denial(
    _ key: String, _ node: YAMLNode, _ condition: FieldCondition, message: String = "",
    priority: Int
  ) -> Parsed {
    var condition = condition
    condition.node = node
    return Parsed(
      node: node, file: file, id: key, action: "deny", verdict: .deny, conditions: [condition],
      message: message, priority: priority, isOverride: false)
  }

  private func trustRule(_ key: String, _ node: YAMLNode) throws(YAMLError) -> Parsed? {
    let condition: FieldCondition
    switch key {
    case "min_trust_score":
      condition = FieldCondition(
        field: "trust_score", op: .less, value: .integer(Int64(try node.integer(file))))
    case "max_delegation_depth":
      condition = FieldCondition(
        field: "delegation_depth", op: .greater, value: .integer(Int64(try node.integer(file))))
    case "allowed_namespaces":
      let names = try Reading.texts(node, file)
      if names.contains("*") { return nil }
      condition = FieldCondition(
        field: "agent_namespace", op: .notIn, value: JSONValue(names))
    default:
      if try !node.boolean(file) { return nil }
      condition = FieldCondition(field: "handshake", op: .equal, value: false)
    }
    return denial(key, node, condition, priority: Int.max)
  }

  private mutating func addToolList(_ node: YAMLNode) throws(YAMLError) {
    let names = try Reading.texts(node, file)
    if names.isEmpty { return }
    let condition = FieldCondition(field: "tool_name", op: .notIn, value: JSONValue(names))
    rules.insert(
      denial(
        "tool_allowlist", node, condition, message: "The tool is not on the policy's list.",
        priority: first), at: 0)
  }

  /// The toolkit names no ports; these are the ones of the web.
  private mutating func addHosts(_ node: YAMLNode) throws(YAMLError) {
    for item in try node.sequence(file) {
      header.network.append(
        NetworkRule(
          destination: try NetworkRule.host(item, file), ports: [80, 443],
          why: "network_allowlist", allowsEncryptedHello: false,
          place: Place(file: file, line: item.line, column: item.column)))
    }
  }

  // MARK: Rules

  static let actions: KeyValuePairs<String, (Verdict, String)> = [
    "allow": (.allow, "allow"), "deny": (.deny, "deny"), "audit": (.allow, "audit"),
    "block": (.deny, "block"), "escalate": (.requireApproval, "escalate"),
    "require_approval": (.requireApproval, "require_approval"), "warn": (.allow, "warn"),
    "log": (.allow, "log"),
  ]

  private func rule(_ node: YAMLNode) throws(YAMLError) -> Parsed? {
    var reader = try YAMLMappingReader(node, file: file)
    // The shared schema of the toolkit calls it id.
    let nameNode: YAMLNode
    if let node = reader.optional("id") {
      nameNode = node
    } else {
      nameNode = try reader.require("name")
    }
    let name = try nameNode.string(file)
    let description = try reader.optional("description")?.string(file) ?? ""
    let message = try reader.optional("message")?.string(file) ?? description
    var conditions: [FieldCondition] = []
    if let list = reader.optional("conditions") {
      for item in try list.sequence(file) { conditions.append(try FieldCondition(item, file)) }
      if conditions.isEmpty { throw list.error(file, "no condition; the rule would always apply") }
    } else {
      let condition = try reader.require("condition")
      guard case .mapping = condition.content else {
        throw condition.error(
          file,
          "a condition of this form is {field, operator, value}; add "
            + "\"apiVersion: governance.toolkit/v1\" for conditions as text")
      }
      conditions = [try FieldCondition(condition, file)]
    }
    let action = try Reading.choice(try reader.require("action"), file, "action", Self.actions)
    let priority = try reader.optional("priority")?.integer(
      file, in: -1_000_000_000...1_000_000_000)
    let isOverride = try reader.optional("override")?.boolean(file) ?? false
    let isEnabled = try reader.optional("enabled")?.boolean(file) ?? true
    try reader.finish()
    guard isEnabled else { return nil }
    return Parsed(
      node: node, file: file, id: name, action: action.1, verdict: action.0,
      conditions: conditions, message: message,
      priority: priority ?? (header.isAscending ? 100 : 0), isOverride: isOverride)
  }

  /// Adds the rules as one document.
  static func add(
    _ header: Header, _ rules: [Parsed], file: String, to builder: inout SetBuilder
  ) {
    let index = builder.documents.count
    builder.documents.append(
      Document(
        name: header.name, file: file, form: .document, defaultVerdict: header.defaultVerdict,
        defaultObligations: ["audit", "warn", "log"].contains(header.defaultAction)
          ? [.audit] : [],
        agents: nil, scope: .global, isJudging: true, isAscending: header.isAscending,
        strategy: header.strategy))
    builder.network += header.network
    builder.budgets.tighten(header.budgets)
    for parsed in rules {
      do {
        try add(parsed, index, to: &builder)
      } catch {
        builder.report(error)
      }
    }
  }

  private static func add(
    _ parsed: Parsed, _ document: Int, to builder: inout SetBuilder
  ) throws(YAMLError) {
    if builder.rules.count >= PolicyLimits.rulesMax {
      throw parsed.node.error(
        parsed.file, "more than \(PolicyLimits.rulesMax) rules in one set")
    }
    var roots: [Int32] = []
    var text = ""
    for condition in parsed.conditions {
      if !text.isEmpty { text += " and " }
      let start = text.utf8.count
      text += condition.description
      roots.append(
        try condition.compile(parsed.file, start..<text.utf8.count, into: &builder.program))
    }
    let root = roots.count == 1 ? roots[0] : builder.program.appendGroup(.and, roots)
    var obligations: [Obligation] = []
    switch parsed.action {
    case "audit", "log": obligations = [.audit]
    case "warn": obligations = [.warn(parsed.message.isEmpty ? parsed.id : parsed.message), .audit]
    default: break
    }
    let say =
      parsed.message.isEmpty
      ? NativeDocument.defaultSay(parsed.verdict, parsed.id) : parsed.message
    let node = parsed.conditions[0].node ?? parsed.node
    builder.rules.append(
      Rule(
        id: parsed.id, file: parsed.file, line: parsed.node.line, column: parsed.node.column,
        verdict: parsed.verdict, condition: text, say: say, why: "", stage: nil,
        obligations: obligations, limit: nil, priority: parsed.priority, document: document,
        action: parsed.action, level: parsed.level, root: root,
        conditionPlace: Place(file: parsed.file, line: node.line, column: node.column)))
  }
}
