internal import YAML

/// Reads a condition. The grammar is in docs/policy-language.md.
struct ConditionParser {
  private let tokens: [ConditionLexer.Placed]
  private var position = 0
  private var nodeCount = 0
  private let text: String

  static func parse(_ text: String) throws(ConditionProblem) -> Expression {
    var parser = ConditionParser(text: text, tokens: try ConditionLexer.tokens(text))
    if parser.token == .end {
      throw ConditionProblem(
        offset: 0, message: "the condition is empty; write true for a rule that always applies")
    }
    let expression = try parser.disjunction(depth: 0)
    guard parser.token == .end else { throw parser.trailing() }
    return expression
  }

  private init(text: String, tokens: [ConditionLexer.Placed]) {
    self.text = text
    self.tokens = tokens
  }

  private var token: ConditionLexer.Token { tokens[position].token }
  private var range: Range<Int> { tokens[position].range }
  private var lastEnd: Int { position == 0 ? 0 : tokens[position - 1].range.upperBound }

  private mutating func accept(_ token: ConditionLexer.Token) -> Bool {
    guard self.token == token else { return false }
    position += 1
    return true
  }

  private func problem(_ message: String) -> ConditionProblem {
    ConditionProblem(offset: range.lowerBound, message: message)
  }

  private func trailing() -> ConditionProblem {
    guard case .word(let word) = token else {
      if case .symbol(")") = token { return problem("\")\" without \"(\"; remove it") }
      return problem("unexpected \(found); join conditions with \"and\" or \"or\"")
    }
    if ["AND", "OR", "NOT", "IN"].contains(word.uppercased()) && word != word.lowercased() {
      return problem("unknown operator \(Text.quote(word)); write \"\(word.lowercased())\"")
    }
    let words = Operator.allCases.map(\.rawValue).filter { $0.utf8.first! >= UInt8(ascii: "a") }
    guard let nearest = NearestName.find(word, among: ["and", "or"] + words) else {
      return problem(
        "unknown operator \(Text.quote(word)); the operators are == != < <= > >= in, not in, "
          + "in cidr, contains, startswith, endswith, matches, glob, under, and, or")
    }
    return problem("unknown operator \(Text.quote(word)); did you mean \"\(nearest)\"?")
  }

  private var found: String {
    switch token {
    case .end: "end of the condition"
    case .word(let word): Text.quote(word)
    case .symbol(let symbol): "\"\(symbol)\""
    case .literal: Text.quote(slice(range))
    }
  }

  private func slice(_ range: Range<Int>) -> String {
    String(decoding: Array(text.utf8)[range], as: UTF8.self)
  }

  private mutating func make(
    _ content: Expression.Content, from start: Int
  ) throws(ConditionProblem) -> Expression {
    nodeCount += 1
    if nodeCount > PolicyLimits.conditionNodesMax {
      throw problem(
        "more than \(PolicyLimits.conditionNodesMax) parts in one condition; write several rules")
    }
    return Expression(content: content, range: start..<lastEnd)
  }

  private func check(_ depth: Int) throws(ConditionProblem) {
    if depth > PolicyLimits.conditionDepthMax {
      throw problem(
        "nested deeper than \(PolicyLimits.conditionDepthMax) levels; write several rules")
    }
  }

  private mutating func disjunction(depth: Int) throws(ConditionProblem) -> Expression {
    let start = range.lowerBound
    var operands = [try conjunction(depth: depth)]
    while accept(.word("or")) { operands.append(try conjunction(depth: depth)) }
    return operands.count == 1 ? operands[0] : try make(.or(operands), from: start)
  }

  private mutating func conjunction(depth: Int) throws(ConditionProblem) -> Expression {
    let start = range.lowerBound
    var operands = [try negation(depth: depth)]
    while accept(.word("and")) { operands.append(try negation(depth: depth)) }
    return operands.count == 1 ? operands[0] : try make(.and(operands), from: start)
  }

  private mutating func negation(depth: Int) throws(ConditionProblem) -> Expression {
    let start = range.lowerBound
    guard accept(.word("not")) else { return try comparison(depth: depth) }
    try check(depth + 1)
    return try make(.not(try negation(depth: depth + 1)), from: start)
  }

  private mutating func comparison(depth: Int) throws(ConditionProblem) -> Expression {
    let start = range.lowerBound
    let left = try operand(depth: depth)
    guard let op = comparisonOperator() else { return left }
    let right = try operand(depth: depth)
    if case .symbol(let symbol) = token, ["==", "!=", "<", "<=", ">", ">="].contains(symbol) {
      throw problem("comparisons do not chain; write \"a < b and b < c\"")
    }
    return try make(.comparison(op, left, right), from: start)
  }

  private mutating func comparisonOperator() -> Operator? {
    switch token {
    case .symbol(let symbol):
      guard let op = Operator(rawValue: symbol) else { return nil }
      position += 1
      return op
    case .word("in"):
      position += 1
      return isNetworkWord() ? .inNetwork : .isIn
    case .word("not") where tokens[position + 1].token == .word("in"):
      position += 2
      return isNetworkWord() ? .notInNetwork : .isNotIn
    case .word(let word):
      guard let op = Operator(rawValue: word) else { return nil }
      position += 1
      return op
    default:
      return nil
    }
  }

  /// `cidr` is an operator's second word only before a literal: a field may have that name.
  private mutating func isNetworkWord() -> Bool {
    guard token == .word("cidr") else { return false }
    switch tokens[position + 1].token {
    case .literal, .symbol("["):
      position += 1
      return true
    default:
      return false
    }
  }

  private mutating func operand(depth: Int) throws(ConditionProblem) -> Expression {
    let start = range.lowerBound
    switch token {
    case .literal(let literal):
      position += 1
      return try make(.literal(literal), from: start)
    case .symbol("("):
      try check(depth + 1)
      position += 1
      let inner = try disjunction(depth: depth + 1)
      guard accept(.symbol(")")) else {
        if case .word = token { throw trailing() }
        throw problem("expected \")\", found \(found); close the parenthesis")
      }
      return Expression(content: inner.content, range: start..<lastEnd)
    case .symbol("["):
      try check(depth + 1)
      return try list(depth: depth + 1)
    case .word(let word):
      return try wordOperand(word, depth: depth)
    case .symbol, .end:
      throw problem("expected a field or a value, found \(found)")
    }
  }

  private mutating func list(depth: Int) throws(ConditionProblem) -> Expression {
    let start = range.lowerBound
    position += 1
    var items: [Expression] = []
    while token != .symbol("]") {
      items.append(try operand(depth: depth))
      if token != .symbol("]"), !accept(.symbol(",")) {
        throw problem("expected \",\" or \"]\", found \(found)")
      }
    }
    position += 1
    return try make(.list(items), from: start)
  }

  private static let reserved: Set<String> = [
    "and", "or", "not", "in", "contains", "startswith", "endswith", "matches", "glob", "under",
  ]

  private mutating func wordOperand(
    _ word: String, depth: Int
  ) throws(ConditionProblem) -> Expression {
    let start = range.lowerBound
    switch word {
    case "true", "false":
      position += 1
      return try make(.literal(.boolean(word == "true")), from: start)
    case "null":
      position += 1
      return try make(.literal(.null), from: start)
    case "True", "False", "None":
      let spelling = word == "None" ? "null" : word.lowercased()
      throw problem("\(word) is not a value here; write \(spelling)")
    default: break
    }
    if Self.reserved.contains(word) {
      throw problem("expected a field or a value, found the operator \"\(word)\"")
    }
    if tokens[position + 1].token == .symbol("(") { return try call(word, depth: depth) }
    return try make(.field(try fieldPath()), from: start)
  }

  private mutating func call(_ name: String, depth: Int) throws(ConditionProblem) -> Expression {
    let start = range.lowerBound
    guard name == "size" || name == "exists" else {
      let hint =
        NearestName.find(name, among: ["size", "exists"]).map { "did you mean \"\($0)\"?" }
        ?? "the functions are size() and exists()"
      throw problem("unknown function \(Text.quote(name)); \(hint)")
    }
    try check(depth + 1)
    position += 2
    let argument = try operand(depth: depth + 1)
    guard accept(.symbol(")")) else {
      throw problem("expected \")\" behind the argument of \(name)(), found \(found)")
    }
    if name == "size" { return try make(.size(argument), from: start) }
    guard case .field(let path) = argument.content else {
      throw ConditionProblem(
        offset: argument.range.lowerBound,
        message: "exists() takes a field, for example exists(args.path)")
    }
    return try make(.exists(path), from: start)
  }

  private mutating func fieldPath() throws(ConditionProblem) -> FieldPath {
    guard case .word(let root) = token else { throw problem("expected a field, found \(found)") }
    position += 1
    var components: [FieldPath.Component] = []
    while true {
      if accept(.symbol(".")) {
        guard case .word(let name) = token else {
          throw problem("expected a name behind \".\", found \(found)")
        }
        components.append(.name(name))
        position += 1
      } else if token == .symbol("["), range.lowerBound == lastEnd {
        position += 1
        components.append(try index())
        guard accept(.symbol("]")) else { throw problem("expected \"]\", found \(found)") }
      } else {
        return FieldPath(root: root, components: components)
      }
      if components.count > PolicyLimits.conditionDepthMax {
        throw problem("more than \(PolicyLimits.conditionDepthMax) parts in a field; shorten it")
      }
    }
  }

  private mutating func index() throws(ConditionProblem) -> FieldPath.Component {
    switch token {
    case .literal(.integer(let value)) where (0...1_000_000).contains(value):
      position += 1
      return .index(Int(value))
    case .literal(.text(let name)):
      position += 1
      return .name(name)
    default:
      throw problem("expected a position such as 0, or a name in quotes, found \(found)")
    }
  }
}
