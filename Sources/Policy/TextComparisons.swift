internal import JSON

extension ConditionCompiler {
  /// `contains`, `startswith`, `endswith`, `matches`, `glob`, `under`.
  func textComparison(
    _ context: Comparison, _ left: Expression, _ right: Expression,
    _ builder: inout ProgramBuilder
  ) throws(ConditionProblem) -> Int32 {
    let name = context.op.rawValue
    guard case .field(let path) = left.content else {
      throw ConditionProblem(
        offset: left.range.lowerBound, message: "\"\(name)\" needs a field on its left")
    }
    let field = try slot(path, left, &builder)
    let allowed: [FieldType.Family] =
      context.op == .contains ? [.any, .text, .list] : [.any, .text]
    guard allowed.contains(field.type.family) else {
      throw ConditionProblem(
        offset: left.range.lowerBound,
        message: "\(path) is \(field.type.described); \"\(name)\" needs text")
    }
    var node = Node(kind: .contains, left: .field(field.index))
    switch right.content {
    case .literal(.text(let text)):
      try literal(text, context.op, right, field, &node, &builder)
    case .literal(let literal) where context.op == .contains && field.type.family != .text:
      node.right = .constant(builder.constant(literal.value))
    case .field(let other) where [.contains, .startsWith, .endsWith, .under].contains(context.op):
      node.right = .field(try slot(other, right, &builder).index)
      node.kind = Self.kind(context.op)
      node.isLoose = true
    default:
      throw ConditionProblem(
        offset: right.range.lowerBound, message: "\"\(name)\" needs text in quotes on its right")
    }
    return builder.append(node, context.expression.range)
  }

  private static func kind(_ op: Operator) -> Node.Kind {
    switch op {
    case .startsWith: .startsWith
    case .endsWith: .endsWith
    case .matches: .matches
    case .glob: .glob
    case .under: .under
    default: .contains
    }
  }

  private func literal(
    _ text: String, _ op: Operator, _ right: Expression, _ field: (index: Int32, type: FieldType),
    _ node: inout Node, _ builder: inout ProgramBuilder
  ) throws(ConditionProblem) {
    let start = right.range.lowerBound
    node.kind = Self.kind(op)
    switch op {
    case .matches:
      do {
        node.index = try builder.pattern(text)
      } catch {
        throw ConditionProblem(
          offset: start + 1 + error.offset,
          message: "the regular expression \(Text.quote(text)): \(error.message)")
      }
      node.count = builder.require(
        oneOf: RequiredLiterals.find(Text.normalized(text)), in: field.index)
    case .glob:
      // Host names are compared in lower case.
      let pattern = field.type == .host ? text.lowercased() : text
      do {
        builder.globs.append(try Glob(Text.normalized(pattern)))
      } catch {
        throw ConditionProblem(
          offset: start, message: "the glob \(Text.quote(text)) has \(error.message)")
      }
      node.index = Int32(builder.globs.count - 1)
    case .under:
      guard text.utf8.first == UInt8(ascii: "/") else {
        throw ConditionProblem(
          offset: start,
          message: "\"under\" needs an absolute path; write for example under '/workspace'")
      }
      node.right = .constant(builder.constant(.string(PolicyPath.normalize(text))))
      node.isLoose = field.type != .path
    default:
      if text.isEmpty {
        throw ConditionProblem(
          offset: start, message: "\"\(op.rawValue) ''\" holds for every text; name a part of it")
      }
      let spelled = field.type == .host ? text.lowercased() : text
      node.right = .constant(builder.constant(.string(spelled)))
      if op == .contains {
        if field.type.family == .text { node.kind = .textContains }
        node.count = builder.require(oneOf: [Text.normalized(spelled)], in: field.index)
      }
    }
  }
}
