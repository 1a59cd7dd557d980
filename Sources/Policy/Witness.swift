internal import JSON

/// Makes requests for which the conditions of a set hold, or just fail: examples of what a set
/// says. They are guesses; whoever uses them decides them.
struct Witness {
  private let program: Program

  /// Values by field.
  typealias Assignment = [FieldPath: JSONValue]

  /// Most assignments of one condition: the product of alternatives grows fast.
  private static let alternativesMax = 12
  /// Most requests of a set.
  static let requestsMax = 20_000
  /// Rules of which every pair is combined.
  private static let pairedRulesMax = 150

  init(_ set: PolicySet) { program = set.program }

  /// Requests of a set, without repetition.
  static func requests(_ set: PolicySet) -> [JSONObject] {
    let witness = Witness(set)
    var assignments: [Assignment] = [[:], [FieldPath(root: "tool"): "other"]]
    var grants: [Assignment] = []
    var restrictions: [Assignment] = []
    for rule in set.rules {
      var holding = witness.assignments(rule.root, isTrue: true)
      if let stage = rule.stage, stage != .preTool {
        let name = JSONValue.string(stage.rawValue)
        holding = holding.map { $0.merging([FieldPath(root: "stage"): name]) { old, _ in old } }
      }
      assignments += holding
      assignments += witness.assignments(rule.root, isTrue: false)
      if rule.verdict == .allow { grants += holding.prefix(3) }
      if rule.verdict != .allow { restrictions += holding.prefix(3) }
    }
    for grant in grants.prefix(pairedRulesMax) {
      for restriction in restrictions.prefix(pairedRulesMax)
      where assignments.count < requestsMax {
        if let both = merge(grant, restriction) { assignments.append(both) }
      }
    }
    var seen: Set<[UInt8]> = []
    return assignments.prefix(requestsMax).map(request).filter {
      seen.insert(JSONWriter.compact(.object($0))).inserted
    }
  }

  /// nil when one field would need two values; lists are joined.
  private static func merge(_ first: Assignment, _ second: Assignment) -> Assignment? {
    var merged = first
    for (path, value) in second {
      guard let known = merged[path], known != value else {
        merged[path] = value
        continue
      }
      guard case .array(let items) = known, case .array(let others) = value else { return nil }
      merged[path] = .array(items + others.filter { !items.contains($0) })
    }
    return merged
  }

  private static func request(_ assignment: Assignment) -> JSONObject {
    var request = JSONObject()
    for (path, value) in assignment.sorted(by: { "\($0.key)" < "\($1.key)" }) {
      let root = request[path.root] ?? .object(JSONObject())
      request[path.root] = set(value, in: root, path.components[...])
    }
    return request
  }

  private static func set(
    _ value: JSONValue, in container: JSONValue, _ path: ArraySlice<FieldPath.Component>
  ) -> JSONValue {
    guard let first = path.first else { return value }
    switch first {
    case .name(let name):
      var object = container.objectValue ?? JSONObject()
      object[name] = set(value, in: object[name] ?? .object(JSONObject()), path.dropFirst())
      return .object(object)
    case .index(let index):
      var items = container.arrayValue ?? []
      while items.count <= min(index, 100) { items.append("x") }
      items[min(index, 100)] = set(value, in: .object(JSONObject()), path.dropFirst())
      return .array(items)
    }
  }

  // MARK: Conditions

  private func assignments(_ index: Int32, isTrue: Bool) -> [Assignment] {
    let node = program.nodes[Int(index)]
    switch node.kind {
    case .constant: return (node.index == 1) == isTrue ? [[:]] : []
    case .not: return assignments(node.index, isTrue: !isTrue)
    case .and, .or:
      let children = (Int(node.index)..<Int(node.index + node.count)).map {
        program.children[$0]
      }
      return (node.kind == .and) == isTrue
        ? all(children, isTrue) : one(children, isTrue)
    default:
      return values(node, isTrue: isTrue != node.isNegated)
    }
  }

  private func all(_ children: [Int32], _ isTrue: Bool) -> [Assignment] {
    var found: [Assignment] = [[:]]
    for child in children {
      let options = assignments(child, isTrue: isTrue)
      found = found.flatMap { known in options.compactMap { Self.merge(known, $0) } }
      found = Array(found.prefix(Self.alternativesMax))
    }
    return found
  }

  /// One child decides; the others hold the other way where that is possible.
  private func one(_ children: [Int32], _ isTrue: Bool) -> [Assignment] {
    var found: [Assignment] = []
    let children = children.prefix(Self.alternativesMax)
    for child in children {
      let rest = all(children.filter { $0 != child }, !isTrue).first ?? [:]
      for option in assignments(child, isTrue: isTrue).prefix(3) {
        found.append(Self.merge(option, rest) ?? option)
      }
    }
    return Array(found.prefix(Self.alternativesMax))
  }

  private func values(_ node: Node, isTrue: Bool) -> [Assignment] {
    let slot: Int32
    var isSize = false
    switch node.left {
    case .field(let index): slot = index
    case .size(let index):
      slot = index
      isSize = true
    default: return []
    }
    let path = Self.path(program.slots[Int(slot)])
    let type = program.slots[Int(slot)].type
    if node.kind == .exists { return isTrue ? [[path: Self.sample(type)]] : [[:]] }
    var values = isTrue ? holding(node, type) : failing(node, type)
    if isSize {
      values = values.compactMap { value in
        guard let count = value.integerValue, (0...64).contains(count) else { return nil }
        return .array(Array(repeating: "x", count: Int(count)))
      }
    }
    return values.map { [path: $0] }
  }

  /// The name under which every form finds a field.
  private static func path(_ slot: Slot) -> FieldPath {
    for name in ["tool", "agent"] where slot.paths.contains(FieldPath(root: name)) {
      return FieldPath(root: name)
    }
    return slot.paths[0]
  }

  private static func sample(_ type: FieldType) -> JSONValue {
    switch type.family {
    case .number, .duration, .size: 1
    case .boolean: true
    case .list: ["x"]
    case .object: ["x": "x"]
    default: type == .path ? "/x" : type == .address ? "192.0.2.1" : "x"
    }
  }

  private func holding(_ node: Node, _ type: FieldType) -> [JSONValue] {
    let constant: JSONValue? =
      if case .constant(let index) = node.right { program.constants[Int(index)] } else { nil }
    switch node.kind {
    case .boolean, .truthy: return [true]
    case .inSet:
      let set = program.sets[Int(node.index)]
      return Array((set.texts.sorted().map(JSONValue.string) + set.others).prefix(4))
    case .glob: return [.string(program.globs[Int(node.index)].sample)]
    case .inNetwork:
      return program.networks[Int(node.index)].prefix(2).map { .string($0.address.description) }
    case .matches: return Self.samples(program.patterns[Int(node.index)].text)
    default: break
    }
    guard let constant else { return [] }
    switch node.kind {
    case .equal: return [constant]
    case .less, .greater: return Self.shifted(constant, by: node.kind == .less ? -1 : 1)
    case .lessOrEqual, .greaterOrEqual: return [constant]
    case .listContains: return [.array([constant])]
    case .contains, .textContains:
      let text = constant.stringValue.map { JSONValue.string("a \($0) b") }
      if type.family == .text { return text.map { [$0] } ?? [] }
      return [.array([constant])] + (text.map { [$0] } ?? [])
    case .startsWith: return [.string((constant.stringValue ?? "") + "x")]
    case .endsWith: return [.string("x" + (constant.stringValue ?? ""))]
    case .under:
      let folder = constant.stringValue ?? ""
      return [.string(folder == "/" ? "/x" : folder + "/x")]
    default: return []
    }
  }

  private func failing(_ node: Node, _ type: FieldType) -> [JSONValue] {
    let constant: JSONValue? =
      if case .constant(let index) = node.right { program.constants[Int(index)] } else { nil }
    switch node.kind {
    case .boolean, .truthy: return [false]
    case .less, .greaterOrEqual:
      return constant.map { node.kind == .less ? [$0] : Self.shifted($0, by: -1) } ?? []
    case .greater, .lessOrEqual:
      return constant.map { node.kind == .greater ? [$0] : Self.shifted($0, by: 1) } ?? []
    case .equal:
      switch constant {
      case .bool(let flag): return [.bool(!flag)]
      case .integer, .number: return constant.map { Self.shifted($0, by: 1) } ?? []
      default: return [Self.other(type)]
      }
    case .listContains: return [["other"]]
    case .contains: return type.family == .text ? ["other"] : [["other"]]
    default: return [Self.other(type)]
    }
  }

  private static func other(_ type: FieldType) -> JSONValue {
    switch type {
    case .path: "/other"
    case .host: "other.example"
    case .address: "192.0.2.1"
    case .integer, .number, .size, .duration: 1
    default: "other"
    }
  }

  private static func shifted(_ value: JSONValue, by step: Int64) -> [JSONValue] {
    switch value {
    case .integer(let number): [.integer(number &+ step)]
    case .number(let number): [JSONValue(number + Double(step))]
    default: []
    }
  }

  /// Texts that a simple regular expression is likely to find.
  private static func samples(_ pattern: String) -> [JSONValue] {
    let literals = RequiredLiterals.find(pattern) ?? []
    let plain = pattern.unicodeScalars.filter { !"^$\\()?*+[]".unicodeScalars.contains($0) }
    return (literals.prefix(3) + [String(String.UnicodeScalarView(plain))]).map(JSONValue.string)
  }
}
