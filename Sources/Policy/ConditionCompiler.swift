internal import JSON
internal import YAML

/// Checks one condition against the fields that are known, and adds it to a program.
struct ConditionCompiler {
  let semantics: Semantics
  /// Declared fields: dotted path to type.
  let declared: [String: FieldType]

  func compile(
    _ expression: Expression, into builder: inout ProgramBuilder, isInsideNot: Bool = false
  ) throws(ConditionProblem) -> Int32 {
    switch expression.content {
    case .and(let operands), .or(let operands):
      var nodes: [Int32] = []
      for operand in operands {
        nodes.append(try compile(operand, into: &builder, isInsideNot: isInsideNot))
      }
      if case .and = expression.content {
        return builder.appendGroup(.and, nodes, expression.range)
      }
      return builder.appendGroup(.or, nodes, expression.range)
    case .not(let operand):
      let node = try compile(operand, into: &builder, isInsideNot: true)
      return builder.append(Node(kind: .not, index: node), expression.range)
    case .exists(let path):
      let slot = try slot(path, expression, &builder)
      return builder.append(Node(kind: .exists, left: .field(slot.index)), expression.range)
    case .literal(.boolean(let value)):
      return builder.append(Node(kind: .constant, index: value ? 1 : 0), expression.range)
    case .field(let path):
      let slot = try slot(path, expression, &builder)
      guard slot.type.family == .any || slot.type.family == .boolean else {
        throw problem(
          expression, "\(path) is \(slot.type.described), not a condition; compare it with ==")
      }
      var node = Node(kind: .boolean, left: .field(slot.index))
      if semantics == .toolkit {
        node.kind = .truthy
        node.missing = isInsideNot ? .unknown : .no
      }
      return builder.append(node, expression.range)
    case .comparison(let op, let left, let right):
      let context = Comparison(
        op: op, expression: expression, isLenient: semantics == .toolkit && !isInsideNot)
      return try comparison(context, left, right, &builder)
    case .literal, .list, .size:
      throw problem(expression, "this is a value, not a condition; compare it with a field")
    }
  }

  struct Comparison {
    let op: Operator
    let expression: Expression
    /// Whether a missing field decides as in the toolkit.
    let isLenient: Bool
  }

  struct Operand {
    let node: Node.Operand
    let type: FieldType
    let literal: Literal?
    var family: FieldType.Family {
      switch literal {
      case nil: type.family
      case .null: .null
      case .boolean: .boolean
      case .integer, .number: .number
      case .text: .text
      case .durationMilliseconds: .duration
      case .sizeBytes: .size
      }
    }
  }

  private func problem(_ expression: Expression, _ message: String) -> ConditionProblem {
    ConditionProblem(offset: expression.range.lowerBound, message: message)
  }

  // MARK: Fields

  func slot(
    _ path: FieldPath, _ expression: Expression, _ builder: inout ProgramBuilder
  ) throws(ConditionProblem) -> (index: Int32, type: FieldType) {
    let type = try type(of: path, expression)
    let paths = semantics == .toolkit ? ToolkitNames.paths(path) : [path]
    return (builder.slot(paths, type), type)
  }

  private func type(
    of path: FieldPath, _ expression: Expression
  ) throws(ConditionProblem) -> FieldType {
    // Toolkit documents take their fields from the caller's context. Known names keep their
    // spelling rules, their types are not checked.
    if semantics == .toolkit {
      let type = path.components.isEmpty ? Vocabulary.types[path.root] ?? .any : .any
      return [.path, .host, .address].contains(type) ? type : .any
    }
    if let flat = path.flatName, let type = declared[flat] { return type }
    guard let root = declared[path.root] ?? Vocabulary.types[path.root] else {
      let known = Array(declared.keys.sorted()) + Vocabulary.fields.map(\.name)
      let hint =
        NearestName.find(path.root, among: known).map { "did you mean \"\($0)\"?" }
        ?? "declare it under \"fields:\", for example \"fields: {\(path.root): text}\""
      throw problem(expression, "unknown field \(Text.quote(path.root)); \(hint)")
    }
    if path.components.isEmpty { return root }
    switch root {
    case .any, .object: return .any
    case .list:
      if case .index? = path.components.first { return .any }
    default: break
    }
    throw problem(
      expression, "\(path.root) is \(root.described) and has no part \(Text.quote("\(path)"))")
  }

  // MARK: Operands

  private func operand(
    _ expression: Expression, _ builder: inout ProgramBuilder
  ) throws(ConditionProblem) -> Operand {
    switch expression.content {
    case .field(let path):
      let slot = try slot(path, expression, &builder)
      return Operand(node: .field(slot.index), type: slot.type, literal: nil)
    case .size(let argument):
      guard case .field(let path) = argument.content else {
        throw problem(argument, "size() takes a field, for example size(args)")
      }
      let slot = try slot(path, argument, &builder)
      guard [.any, .text, .list, .object].contains(slot.type.family) else {
        throw problem(argument, "\(path) is \(slot.type.described) and has no size")
      }
      return Operand(node: .size(slot.index), type: .integer, literal: nil)
    case .literal(let literal):
      return Operand(
        node: .constant(builder.constant(literal.value)), type: .any, literal: literal)
    case .list:
      throw problem(expression, "a list is allowed only behind \"in\" and \"not in\"")
    default:
      throw problem(
        expression, "a condition cannot be compared; join conditions with \"and\" or \"or\"")
    }
  }

  /// A literal in the spelling of the field that it is compared with.
  private func literal(
    _ expression: Expression, for type: FieldType
  ) throws(ConditionProblem) -> JSONValue {
    guard case .literal(let literal) = expression.content else {
      throw problem(expression, "a list holds only values; compare fields one by one")
    }
    guard case .text(let text) = literal else { return literal.value }
    switch type {
    case .path: return .string(PolicyPath.normalize(text))
    case .host:
      do {
        return .string(try HostName.canonical(text))
      } catch {
        let hint = text.contains("*") ? "; for a wildcard write: glob '\(text)'" : ""
        throw problem(expression, "the host \(Text.quote(text)) \(error.message)\(hint)")
      }
    case .address:
      guard let address = IPAddress(text) else {
        throw problem(
          expression, "\(Text.quote(text)) is not an IP address; for a network write: in cidr")
      }
      return .string(address.description)
    default: return literal.value
    }
  }

  // MARK: Comparisons

  private func comparison(
    _ context: Comparison, _ left: Expression, _ right: Expression,
    _ builder: inout ProgramBuilder
  ) throws(ConditionProblem) -> Int32 {
    switch context.op {
    case .isIn, .isNotIn:
      return try membership(context, left, right, &builder)
    case .inNetwork, .notInNetwork:
      return try network(context, left, right, &builder)
    case .equal, .notEqual:
      return try equality(context, left, right, &builder)
    case .less, .lessOrEqual, .greater, .greaterOrEqual:
      return try ordering(context, left, right, &builder)
    case .contains, .startsWith, .endsWith, .matches, .glob, .under:
      return try textComparison(context, left, right, &builder)
    }
  }

  private func equality(
    _ context: Comparison, _ left: Expression, _ right: Expression,
    _ builder: inout ProgramBuilder
  ) throws(ConditionProblem) -> Int32 {
    var first = try operand(left, &builder)
    var second = try operand(right, &builder)
    if first.literal != nil && second.literal != nil {
      throw problem(context.expression, "two constants are compared; one side must be a field")
    }
    if first.literal != nil { swap(&first, &second) }
    try checkFamilies(context, first, second)
    if second.literal != nil {
      let source = isLiteral(right) ? right : left
      second = Operand(
        node: .constant(builder.constant(try literal(source, for: first.type))),
        type: second.type, literal: second.literal)
    }
    var node = Node(kind: .equal, left: first.node, right: second.node)
    node.isNegated = context.op == .notEqual
    if context.isLenient {
      node.missing = Truth(node.isNegated)
      node.mismatch = Truth(node.isNegated)
    }
    if second.literal == .null { node.mismatch = Truth(node.isNegated) }
    return builder.append(node, context.expression.range)
  }

  private func isLiteral(_ expression: Expression) -> Bool {
    if case .literal = expression.content { return true }
    return false
  }

  private func ordering(
    _ context: Comparison, _ left: Expression, _ right: Expression,
    _ builder: inout ProgramBuilder
  ) throws(ConditionProblem) -> Int32 {
    let first = try operand(left, &builder)
    let second = try operand(right, &builder)
    if first.literal != nil && second.literal != nil {
      throw problem(context.expression, "two constants are compared; one side must be a field")
    }
    for (side, expression) in [(first, left), (second, right)] {
      guard [.any, .number, .duration, .size].contains(side.family) else {
        let kind = side.literal == nil ? side.type.described : "not a number"
        throw problem(
          expression, "\(context.op.rawValue) compares numbers, and this is \(kind)")
      }
    }
    try checkFamilies(context, first, second)
    let kinds: [Operator: Node.Kind] = [
      .less: .less, .lessOrEqual: .lessOrEqual, .greater: .greater,
      .greaterOrEqual: .greaterOrEqual,
    ]
    var node = Node(kind: kinds[context.op]!, left: first.node, right: second.node)
    node.isLoose = semantics == .toolkit
    return builder.append(node, context.expression.range)
  }

  private func checkFamilies(
    _ context: Comparison, _ first: Operand, _ second: Operand
  ) throws(ConditionProblem) {
    let families = [first.family, second.family]
    if semantics == .toolkit || families[0] == families[1] || families.contains(.any)
      || families.contains(.null)
    {
      return
    }
    for (family, hint) in [
      (FieldType.Family.duration, "write a duration with its unit, for example 5m"),
      (.size, "write a size with its unit, for example 10MiB"),
    ] where families.contains(family) {
      throw problem(context.expression, "a \(family) and another value are compared; \(hint)")
    }
    let described = [first, second].map { side in
      side.literal == nil ? side.type.described : "\(side.family)"
    }
    throw problem(
      context.expression,
      "this can never be true: \(described[0]) is compared with \(described[1])")
  }

  private func membership(
    _ context: Comparison, _ left: Expression, _ right: Expression,
    _ builder: inout ProgramBuilder
  ) throws(ConditionProblem) -> Int32 {
    let isNegated = context.op == .isNotIn
    let element = try operand(left, &builder)
    guard case .list(let items) = right.content else {
      let list = try operand(right, &builder)
      guard list.literal == nil, [.any, .list].contains(list.family) else {
        throw problem(
          right,
          "\"in\" needs a list, for example in ['a', 'b']; for a part of a text write: "
            + "contains")
      }
      var node = Node(kind: .listContains, left: list.node, right: element.node)
      node.isNegated = isNegated
      return builder.append(node, context.expression.range)
    }
    if element.literal != nil {
      throw problem(context.expression, "two constants are compared; one side must be a field")
    }
    var values: [JSONValue] = []
    for item in items {
      let value = try operand(item, &builder)
      try checkFamilies(context, element, value)
      values.append(try literal(item, for: element.type))
    }
    if items.isEmpty {
      throw problem(right, "the list is empty; remove the rule, or name the values")
    }
    var node = Node(kind: .inSet, left: element.node, index: builder.set(values))
    node.isNegated = isNegated
    if context.isLenient && !isNegated {
      node.missing = .no
      node.mismatch = .no
    }
    return builder.append(node, context.expression.range)
  }

  private func network(
    _ context: Comparison, _ left: Expression, _ right: Expression,
    _ builder: inout ProgramBuilder
  ) throws(ConditionProblem) -> Int32 {
    let address = try operand(left, &builder)
    guard address.literal == nil, [.any, .text].contains(address.family) else {
      throw problem(left, "\"in cidr\" needs a field that holds an address, such as ip")
    }
    var networks: [IPNetwork] = []
    var items = [right]
    if case .list(let list) = right.content { items = list }
    for item in items {
      guard case .literal(.text(let text)) = item.content else {
        throw problem(item, "\"in cidr\" needs a network such as '10.20.0.0/16'")
      }
      do {
        networks.append(try IPNetwork(text))
      } catch {
        throw problem(item, "\(Text.quote(text)) \(error.message)")
      }
    }
    builder.networks.append(networks)
    var node = Node(
      kind: .inNetwork, left: address.node, index: Int32(builder.networks.count - 1))
    node.isNegated = context.op == .notInNetwork
    return builder.append(node, context.expression.range)
  }

}
