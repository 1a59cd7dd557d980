internal import JSON
internal import YAML

/// `{field: tool_name, operator: eq, value: send_email}`.
///
/// A missing field makes it false whatever the operator, and comparing values of different types
/// is an error and so deny: both as in the toolkit.
struct FieldCondition {
  enum Operator: String, CaseIterable {
    case equal = "eq"
    case notEqual = "ne"
    case greater = "gt"
    case less = "lt"
    case greaterOrEqual = "gte"
    case lessOrEqual = "lte"
    case isIn = "in"
    case notIn = "not_in"
    case matches = "matches"
    case regex = "regex"
    case contains = "contains"
    case startsWith = "startswith"
    case endsWith = "endswith"
    case exists = "exists"
  }

  let field: String
  let op: Operator
  let value: JSONValue
  /// Where it was read; the value is there too.
  var node: YAMLNode?
  private var valueNode: YAMLNode?

  init(field: String, op: Operator, value: JSONValue) {
    self.field = field
    self.op = op
    self.value = value
  }

  init(_ node: YAMLNode, _ file: String) throws(YAMLError) {
    var reader = try YAMLMappingReader(node, file: file)
    let fieldNode = try reader.require("field")
    field = try fieldNode.string(file)
    guard !field.isEmpty, !Text.hasControl(field) else {
      throw fieldNode.error(file, "the field has no name, or a control character in it")
    }
    let operatorNode = try reader.require("operator")
    let name = try operatorNode.string(file)
    guard let op = Operator(rawValue: name) else {
      let names = Operator.allCases.map(\.rawValue)
      let hint =
        NearestName.find(name, among: names).map { "did you mean \(Text.quote($0))?" }
        ?? "the operators are \(names.joined(separator: ", "))"
      throw operatorNode.error(file, "unknown operator \(Text.quote(name)); \(hint)")
    }
    self.op = op
    let valueNode = try reader.require("value")
    value = try Reading.json(valueNode, file)
    try reader.finish()
    self.node = node
    self.valueNode = valueNode
    try checkValue(valueNode, file)
  }

  private func checkValue(_ node: YAMLNode, _ file: String) throws(YAMLError) {
    if value.isNull {
      throw node.error(
        file, "no condition holds for a missing field; write operator: exists, value: false")
    }
    switch op {
    case .isIn, .notIn:
      guard let items = value.arrayValue else {
        throw node.error(file, "\"\(op.rawValue)\" needs a list; write [\(Self.text(value))]")
      }
      if items.isEmpty {
        throw node.error(
          file,
          "the list is empty, so that the condition "
            + (op == .isIn ? "never holds" : "always holds") + "; name values or remove the rule")
      }
    case .greater, .less, .greaterOrEqual, .lessOrEqual:
      guard value.numberValue != nil || value.stringValue != nil else {
        throw node.error(file, "\"\(op.rawValue)\" needs a number")
      }
    case .matches, .regex, .startsWith, .endsWith:
      guard value.stringValue != nil else {
        throw node.error(file, "\"\(op.rawValue)\" needs text; put it into quotes")
      }
    case .exists:
      guard value.boolValue != nil else {
        throw node.error(file, "\"exists\" needs true or false")
      }
    case .contains where value.stringValue?.isEmpty == true:
      throw node.error(file, "every text contains an empty one; name a part of it")
    case .equal, .notEqual, .contains: break
    }
  }

  /// For `explain`.
  var description: String { "\(field) \(op.rawValue) \(Self.text(value))" }

  private static func text(_ value: JSONValue) -> String {
    String(decoding: JSONWriter.compact(value), as: UTF8.self)
  }

  func compile(
    _ file: String, _ range: Range<Int>, into builder: inout ProgramBuilder
  ) throws(YAMLError) -> Int32 {
    let path = FieldPath(dotted: field)
    let known = path.components.isEmpty ? Vocabulary.types[path.root] ?? .any : .any
    let type = [.path, .host, .address].contains(known) ? known : FieldType.any
    let slot = builder.slot(ToolkitNames.paths(path), type)
    var node = Node(kind: .equal, missing: .no, mismatch: .no, left: .field(slot))
    let value = canonical(type)
    switch op {
    case .equal, .notEqual:
      node.isNegated = op == .notEqual
      node.mismatch = Truth(node.isNegated)
      node.right = .constant(builder.constant(value))
    case .greater, .less, .greaterOrEqual, .lessOrEqual:
      node.kind =
        [.greater: .greater, .less: .less, .greaterOrEqual: .greaterOrEqual][op] ?? .lessOrEqual
      node.mismatch = .error
      node.right = .constant(builder.constant(value))
    case .isIn, .notIn:
      node.kind = .inSet
      node.isNegated = op == .notIn
      node.mismatch = Truth(node.isNegated)
      node.index = builder.set(value.arrayValue ?? [])
    case .matches, .regex:
      try compilePattern(file, &node, slot, into: &builder)
    case .contains, .startsWith, .endsWith:
      node.kind = op == .contains ? .contains : op == .startsWith ? .startsWith : .endsWith
      node.mismatch = .error
      node.right = .constant(builder.constant(value))
      if op == .contains, let text = value.stringValue {
        node.count = builder.require(oneOf: [Text.normalized(text)], in: slot)
      }
    case .exists:
      node.kind = .exists
      guard self.value == false else { break }
      let exists = builder.append(node, range)
      return builder.append(Node(kind: .not, index: exists), range)
    }
    return builder.append(node, range)
  }

  private func compilePattern(
    _ file: String, _ node: inout Node, _ slot: Int32, into builder: inout ProgramBuilder
  ) throws(YAMLError) {
    let text = value.stringValue ?? ""
    node.kind = .matches
    node.mismatch = .error
    node.isLoose = true
    do {
      node.index = try builder.pattern(text)
    } catch {
      let at = valueNode ?? self.node!
      throw at.error(
        file,
        "the regular expression \(Text.quote(text)), at byte \(error.offset): \(error.message)")
    }
    node.count = builder.require(oneOf: RequiredLiterals.find(Text.normalized(text)), in: slot)
  }

  /// Values in the spelling of the field.
  private func canonical(_ type: FieldType) -> JSONValue {
    switch (type, value) {
    case (_, .array(let items)):
      .array(items.map { FieldCondition(field: field, op: .equal, value: $0).canonical(type) })
    case (.path, .string(let text)) where op == .equal || op == .notEqual:
      .string(PolicyPath.normalize(text))
    case (.host, .string(let text)) where op == .equal || op == .notEqual:
      .string((try? HostName.canonical(text)) ?? text)
    case (.address, .string(let text)) where op == .equal || op == .notEqual:
      .string(IPAddress(text)?.description ?? text)
    default: value
    }
  }
}
