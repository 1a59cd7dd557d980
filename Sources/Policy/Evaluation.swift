internal import JSON

/// Evaluates conditions of a program for one request. Makes nothing but what a condition needs:
/// values of fields at once, scans of texts when the first pattern asks for them.
struct Evaluation {
  let program: Program
  /// By slot; nil is a missing field.
  let values: [JSONValue?]
  private let isWithoutTool: Bool
  private var isRestriction = false
  private var scans: [[UInt64]?]
  private var matchState: MatchState?

  init(_ program: Program, _ request: Request) {
    self.program = program
    isWithoutTool = request.isWithoutTool
    var problem: String?
    var values = [JSONValue?]()
    values.reserveCapacity(program.slots.count)
    for (number, index) in program.directIndices.enumerated() {
      values.append(
        index >= 0 ? request.known(index) : Self.value(program.slots[number], request, &problem))
    }
    self.values = values
    scans = program.hasScanners ? Array(repeating: nil, count: program.slots.count) : []
    self.problem = problem
  }

  /// Why the request cannot be judged: a field that has two values, or no canonical spelling.
  let problem: String?

  // MARK: Fields

  private static func value(
    _ slot: Slot, _ request: Request, _ problem: inout String?
  ) -> JSONValue? {
    for lookup in slot.lookups {
      guard let found = value(lookup, request, &problem) else { continue }
      if slot.lookups.count > 1 && found.isNull { continue }
      return canonical(found, slot.type, lookup, &problem)
    }
    return nil
  }

  private static func value(
    _ lookup: Slot.Lookup, _ request: Request, _ problem: inout String?
  ) -> JSONValue? {
    let path = lookup.path
    var value =
      if let index = lookup.index { request.known(index) } else { request[path.root] }
    if path.components.isEmpty { return value }
    for component in path.components {
      switch (component, value) {
      case (.name(let name), .object(let object)): value = object[name]
      case (.index(let index), .array(let items)):
        value = index < items.count ? items[index] : nil
      default: value = nil
      }
    }
    // A caller may also give {"sql.verb": …} flat. Two different values are a way around a rule.
    guard let flatName = lookup.flatName, let flat = request[flatName] else { return value }
    if let value, value != flat {
      problem = "two values for the field \(path): \"\(flatName)\" and the nested one differ"
    }
    return flat
  }

  private static func canonical(
    _ value: JSONValue, _ type: FieldType, _ lookup: Slot.Lookup, _ problem: inout String?
  ) -> JSONValue {
    guard case .string(let text) = value else { return value }
    if !lookup.isCanonical {
      let path = lookup.path
      switch type {
      case .path, .name:
        if Text.hasControl(text, allowsJoiners: type == .path) {
          problem = "\(path) holds a control character"
        }
        return .string(
          Text.normalized(type == .path ? PolicyPath.normalize(text) : text))
      case .host:
        guard let host = try? HostName.canonical(text) else {
          problem = "\(path) is not a host name"
          return value
        }
        return .string(host)
      case .address:
        if let address = IPAddress(text) { return .string(address.description) }
      default: break
      }
    }
    return Text.isASCII(text) ? value : .string(Text.normalized(text))
  }

  // MARK: Conditions

  /// Whether a rule's condition holds.
  ///
  /// In a request that is not about a tool, a restriction takes the tool for a name that equals
  /// none, and what allows takes it for missing: neither `tool == 'x'` nor `tool != 'x'` opens
  /// a file.
  mutating func truth(of rule: Rule) -> Truth {
    isRestriction = rule.isRestriction
    return truth(rule.root)
  }

  /// Whether the index can pass over rules that want a certain name in this field.
  func isWithoutName(_ slot: Int) -> Bool { isWithoutTool && program.slots[slot].isTool }

  mutating func truth(_ index: Int32) -> Truth {
    let node = program.nodes[Int(index)]
    switch node.kind {
    case .constant: return node.index == 1 ? .yes : .no
    case .and:
      var result = Truth.yes
      for child in Int(node.index)..<Int(node.index + node.count) {
        result = result.and(truth(program.children[child]))
        if result == .no { return .no }
      }
      return result
    case .or:
      var result = Truth.no
      for child in Int(node.index)..<Int(node.index + node.count) {
        result = result.or(truth(program.children[child]))
        if result == .yes { return .yes }
      }
      return result
    case .not: return truth(node.index).negated
    case .exists:
      guard case .field(let slot) = node.left, let value = values[Int(slot)] else { return .no }
      return Truth(!value.isNull)
    default: return comparison(node)
    }
  }

  private mutating func comparison(_ node: Node) -> Truth {
    guard let left = value(node.left) else { return node.missing }
    // A null is there only to be compared with null.
    if left.isNull && node.kind != .inSet {
      guard node.kind == .equal, value(node.right) == .null else { return node.missing }
    }
    switch node.kind {
    case .boolean:
      return left.boolValue.map { Truth($0) } ?? node.mismatch
    case .truthy:
      return Truth(Self.isTruthy(left))
    case .inSet:
      return inSet(node, left)
    case .matches, .glob, .inNetwork:
      guard let text = self.text(node, left) else { return node.mismatch }
      let result = constantMatch(node, text)
      return node.isNegated ? result.negated : result
    default:
      guard let right = value(node.right) else { return node.missing }
      let result = comparison(node, left, right)
      return result.map { Truth($0 != node.isNegated) } ?? node.mismatch
    }
  }

  /// nil for values of other types than the operator compares.
  private mutating func comparison(_ node: Node, _ left: JSONValue, _ right: JSONValue) -> Bool? {
    switch node.kind {
    case .equal:
      if case .string(let first) = left, case .string(let second) = right {
        return first == second
      }
      guard left.familyCode == right.familyCode else { return nil }
      return Self.isEqual(left, right)
    case .less, .lessOrEqual, .greater, .greaterOrEqual:
      return Self.order(node, left, right)
    case .listContains:
      return left.arrayValue?.contains { Self.isEqual($0, right) }
    case .contains, .textContains:
      return contains(node, left, right)
    case .startsWith, .endsWith, .under:
      guard case .string(let text) = left, case .string(let part) = right else { return nil }
      switch node.kind {
      case .startsWith: return text.utf8.starts(with: part.utf8)
      case .endsWith: return text.utf8.reversed().starts(with: part.utf8.reversed())
      default:
        // A relative path is in no known place.
        guard text.utf8.first == UInt8(ascii: "/"), part.utf8.first == UInt8(ascii: "/") else {
          return nil
        }
        // Loose: one side is not known to be normalised.
        return node.isLoose
          ? PolicyPath.isPath(PolicyPath.normalize(text), under: PolicyPath.normalize(part))
          : PolicyPath.isPath(text, under: part)
      }
    default:
      preconditionFailure("not a comparison of two values")
    }
  }

  private func value(_ operand: Node.Operand) -> JSONValue? {
    switch operand {
    case .none: nil
    case .field(let slot): values[Int(slot)] ?? absent(slot)
    case .constant(let index): program.constants[Int(index)]
    case .size(let slot):
      switch values[Int(slot)] {
      case .string(let text): .integer(Int64(text.unicodeScalars.count))
      case .array(let items): .integer(Int64(items.count))
      case .object(let object): .integer(Int64(object.members.count))
      default: nil
      }
    }
  }

  private func absent(_ slot: Int32) -> JSONValue? {
    isWithoutTool && isRestriction && program.slots[Int(slot)].isTool ? "" : nil
  }

  private func inSet(_ node: Node, _ left: JSONValue) -> Truth {
    let set = program.sets[Int(node.index)]
    if case .string(let text) = left, !set.texts.isEmpty {
      return Truth(set.texts.contains(text) != node.isNegated)
    }
    if set.others.contains(where: { Self.isEqual($0, left) }) { return Truth(!node.isNegated) }
    if left.isNull { return node.missing }
    return set.families.contains(left.familyCode) ? Truth(node.isNegated) : node.mismatch
  }

  private func text(_ node: Node, _ value: JSONValue) -> String? {
    if case .string(let text) = value { return text }
    guard node.isLoose else { return nil }
    switch value {
    case .integer(let number): return String(number)
    case .number(let number): return "\(number)"
    case .bool(let flag): return flag ? "True" : "False"
    default: return nil
    }
  }

  private mutating func constantMatch(_ node: Node, _ text: String) -> Truth {
    switch node.kind {
    case .glob: return Truth(program.globs[Int(node.index)].matches(text))
    case .inNetwork:
      guard let address = IPAddress(text) else { return node.mismatch }
      return Truth(program.networks[Int(node.index)].contains { $0.contains(address) })
    default:
      if !isCandidate(node, text) { return .no }
      let state = matchState ?? MatchState()
      matchState = state
      let isFound = program.patterns[Int(node.index)].isFound(in: text.utf8Span.span, using: state)
      return isFound.map { Truth($0) } ?? .error
    }
  }

  /// Whether the scan of the field leaves it possible that the node's pattern is found.
  private mutating func isCandidate(_ node: Node, _ text: String) -> Bool {
    guard node.count > 0, case .field(let slot) = node.left,
      program.scanners[Int(slot)] != nil
    else { return true }
    if scans[Int(slot)] == nil {
      scans[Int(slot)] = program.scanners[Int(slot)]!.scan(text.utf8Span.span)
    }
    let candidate = Int(node.count - 1)
    return scans[Int(slot)]![candidate >> 6] & (1 << UInt64(candidate & 63)) != 0
  }

  private mutating func contains(_ node: Node, _ left: JSONValue, _ right: JSONValue) -> Bool? {
    switch (left, right) {
    case (.string(let text), .string(let part)):
      if !isCandidate(node, text) { return false }
      return text.utf8Span.span.containsBytes(part.utf8Span.span)
    case (.array(let items), _):
      return items.contains { Self.isEqual($0, right) }
    default:
      return nil
    }
  }

  // MARK: Values

  static func isEqual(_ left: JSONValue, _ right: JSONValue) -> Bool {
    switch (left, right) {
    case (.integer(let first), .number(let second)), (.number(let second), .integer(let first)):
      // Exact: a double above 2^53 equals the one integer that it stands for.
      return Int64(exactlyWhole: second) == first
    default:
      return left == right
    }
  }

  private static func order(_ node: Node, _ left: JSONValue, _ right: JSONValue) -> Bool? {
    if case .integer(let first) = left, case .integer(let second) = right {
      return order(node.kind, first, second)
    }
    guard let first = number(left, node), let second = number(right, node) else { return nil }
    return order(node.kind, first, second)
  }

  private static func number(_ value: JSONValue, _ node: Node) -> Double? {
    if let number = value.numberValue { return number }
    guard node.isLoose, case .string(let text) = value, text.utf8.count <= 64,
      text.utf8.allSatisfy({ ConditionLexer.isDigit($0) || $0 == 0x2E || $0 == 0x2D }),
      let number = Double(text), number.isFinite
    else { return nil }
    return number
  }

  private static func order<Number: Comparable>(
    _ kind: Node.Kind, _ first: Number, _ second: Number
  ) -> Bool {
    switch kind {
    case .less: first < second
    case .lessOrEqual: first <= second
    case .greater: first > second
    default: first >= second
    }
  }

  /// Python's truth of a value.
  private static func isTruthy(_ value: JSONValue) -> Bool {
    switch value {
    case .null: false
    case .bool(let flag): flag
    case .integer(let number): number != 0
    case .number(let number): number != 0
    case .string(let text): !text.isEmpty
    case .array(let items): !items.isEmpty
    case .object(let object): !object.members.isEmpty
    }
  }
}

extension Int64 {
  /// Without trunc of libm, which a leaf module does not link.
  init?(exactlyWhole value: Double) {
    guard value >= -0x1p63, value < 0x1p63, Double(Int64(value)) == value else { return nil }
    self = Int64(value)
  }
}
