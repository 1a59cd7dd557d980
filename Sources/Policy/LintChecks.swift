internal import JSON

extension PolicySet {
  /// What is suspicious in a set that loads.
  func lint() -> [PolicyLint.Finding] {
    var findings = remarks.map { remark in
      PolicyLint.Finding(
        code: "remark", place: Place(file: remark.file, line: remark.line, column: remark.column),
        message: remark.message, isError: false)
    }
    for rule in rules {
      findings += lintCondition(rule)
      findings += lintEffect(rule)
    }
    findings += lintDuplicates() + lintReachability() + lintLetterCase() + lintDefaults()
    findings += network.flatMap(Self.lintNetwork)
    return findings
  }

  private func finding(_ code: String, _ rule: Rule, _ message: String) -> PolicyLint.Finding {
    PolicyLint.Finding(
      code: code, place: Place(file: rule.file, line: rule.line, column: rule.column),
      message: message, isError: false)
  }

  // MARK: One rule

  private func lintEffect(_ rule: Rule) -> [PolicyLint.Finding] {
    var findings: [PolicyLint.Finding] = []
    let parts = conjuncts(rule.root)
    let isNarrowed = parts.contains { part in
      let kind = program.nodes[Int(part)].kind
      return kind != .constant && kind != .exists
    }
    if rule.verdict == .allow && !isNarrowed && rule.action == "allow" {
      findings.append(
        finding(
          "allow-everything", rule,
          "the rule \(rule.id) allows every request; name the tools that it is for"))
    }
    let approval = rule.obligations.contains { if case .approval = $0 { true } else { false } }
    if rule.verdict == .requireApproval && !approval && documents[rule.document].form == .native {
      findings.append(
        finding(
          "approval-without-approvers", rule,
          "the rule \(rule.id) names nobody who could approve; add approvers"))
    }
    if rule.verdict == .allow && isInterpreterAlone(parts) {
      findings.append(
        finding(
          "interpreter-without-arguments", rule,
          "the rule \(rule.id) allows an interpreter whatever it runs, which is everything; add a "
            + "condition on args"))
    }
    return findings
  }

  private static let interpreters: Set<String> = [
    "sh", "bash", "dash", "zsh", "fish", "busybox", "python", "python3", "node", "deno", "bun",
    "perl", "ruby", "php", "lua", "awk", "gawk", "env", "xargs", "ssh", "sudo", "execute_shell",
    "shell", "run_shell", "execute_code",
  ]

  /// Whether a rule names an interpreter and nothing about what it runs.
  private func isInterpreterAlone(_ parts: [Int32]) -> Bool {
    let names = parts.flatMap { part -> [String] in
      guard let texts = texts(part), ["tool", "executable", "tool_name"].contains(texts.field)
      else {
        return []
      }
      return texts.values.map { String($0.split(separator: "/").last ?? "") }
    }
    guard names.contains(where: Self.interpreters.contains) else { return false }
    let others: Set<String> = [
      "tool", "tool_name", "executable", "kind", "agent", "agent.id", "ring",
    ]
    return parts.allSatisfy { part in
      slots(part).allSatisfy { others.contains(program.slots[Int($0)].paths[0].description) }
    }
  }

  /// The field and texts of `field == text` and `field in [texts]`.
  func texts(_ part: Int32) -> (field: String, values: Set<String>)? {
    let node = program.nodes[Int(part)]
    guard !node.isNegated, case .field(let slot) = node.left else { return nil }
    let field = program.slots[Int(slot)].paths[0].description
    switch (node.kind, node.right) {
    case (.equal, .constant(let index)):
      return program.constants[Int(index)].stringValue.map { (field, [$0]) }
    case (.inSet, _):
      let set = program.sets[Int(node.index)]
      return set.others.isEmpty ? (field, set.texts) : nil
    default:
      return nil
    }
  }

  private func lintCondition(_ rule: Rule) -> [PolicyLint.Finding] {
    var findings: [PolicyLint.Finding] = []
    var known: [String: Set<String>] = [:]
    for part in conjuncts(rule.root) {
      guard let (field, values) = texts(part) else { continue }
      let rest = known[field].map { $0.intersection(values) } ?? values
      if rest.isEmpty {
        findings.append(
          finding(
            "never-true", rule,
            "the condition of \(rule.id) can never hold: \(field) would need two values at once"))
      }
      known[field] = rest
    }
    findings += leaves(rule.root).flatMap { lintLeaf($0, rule) }
    if documents[rule.document].form == .native && rule.isRestriction {
      findings += lintMissing(rule)
    }
    return findings
  }

  /// The comparisons of a condition.
  func leaves(_ root: Int32) -> [Int32] {
    let node = program.nodes[Int(root)]
    switch node.kind {
    case .and, .or:
      return (Int(node.index)..<Int(node.index + node.count)).flatMap {
        leaves(program.children[$0])
      }
    case .not: return leaves(node.index)
    default: return [root]
    }
  }

  private func lintLeaf(_ leaf: Int32, _ rule: Rule) -> [PolicyLint.Finding] {
    let node = program.nodes[Int(leaf)]
    guard case .field(let slotIndex) = node.left else { return [] }
    let slot = program.slots[Int(slotIndex)]
    var findings: [PolicyLint.Finding] = []
    var values: [String] = []
    if case .constant(let index) = node.right, let text = program.constants[Int(index)].stringValue
    {
      values = [text]
    }
    if node.kind == .inSet { values = program.sets[Int(node.index)].texts.sorted() }
    let isWhole = node.kind == .equal || node.kind == .inSet
    for value in values where isWhole && (value.hasPrefix(" ") || value.hasSuffix(" ")) {
      findings.append(
        finding(
          "blank-in-name", rule,
          "\(Text.quote(value)) in \(rule.id) has blanks at its ends and only equals a text that "
            + "has them too"))
    }
    let field = slot.paths[0].description
    if node.kind == .startsWith, let value = values.first, value.hasPrefix("/") {
      if slot.type != .path {
        findings.append(
          finding(
            "path-prefix", rule,
            "\(field) is compared with \(Text.quote(value)) as text, so that "
              + "\(Text.quote(value + "/../x")) is taken for a path in it; write: \(field) under "
              + "'\(PolicyPath.normalize(value))'"))
      } else if !value.hasSuffix("/") {
        findings.append(
          finding(
            "path-prefix", rule,
            "startswith \(Text.quote(value)) also holds for \(Text.quote(value + "-other")); "
              + "write: \(field) under '\(PolicyPath.normalize(value))'"))
      }
    }
    for value in values
    where slot.type == .path && (isWhole || node.kind == .startsWith) && !value.hasPrefix("/") {
      let hint = value.hasPrefix("~") ? "; \"~\" is not expanded" : ""
      findings.append(
        finding(
          "relative-path", rule,
          "\(field) is compared with the relative path \(Text.quote(value)), and requests have "
            + "absolute ones\(hint)"))
    }
    return findings
  }

  /// Fields of requests of every kind, or of those that the broker always sends.
  private static let usualFields: Set<String> = [
    "kind", "tool", "agent", "agent.id", "ring", "run", "stage",
  ]

  private func lintMissing(_ rule: Rule) -> [PolicyLint.Finding] {
    let parts = conjuncts(rule.root)
    // Any condition on the kind of request confines the rule to requests that have the field.
    let isConfined = parts.contains { part in
      let node = program.nodes[Int(part)]
      if node.kind == .exists { return true }
      guard let texts = texts(part) else { return false }
      return ["kind", "tool", "action"].contains(texts.field)
    }
    if isConfined { return [] }
    let fields = parts.flatMap(slots).map { program.slots[Int($0)].paths[0].description }
    guard let field = fields.first(where: { !Self.usualFields.contains($0) }) else { return [] }
    return [
      finding(
        "deny-on-missing-field", rule,
        "the rule \(rule.id) also restricts every request without \(field); write "
          + "\"exists(\(field)) and …\", or name the tools that it is for")
    ]
  }
}
