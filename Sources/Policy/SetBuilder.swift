internal import JSON
internal import YAML

/// Collects documents into one program, and every problem on the way.
struct SetBuilder {
  var program = ProgramBuilder()
  var rules: [Rule] = []
  var documents: [Document] = []
  var network: [NetworkRule] = []
  var violations: [ViolationTrigger] = []
  var budgets = Budgets()
  var problems: [PolicyError.Problem] = []
  var remarks: [PolicyError.Problem] = []
  var examples: [Example] = []
  /// Names and digests of the files, for the digest of the set.
  var files: [(name: String, bytes: [UInt8])] = []

  /// A request that a rule says it matches, or does not.
  struct Example {
    let rule: Int
    let request: JSONObject
    let isMatch: Bool
    let place: Place
  }

  mutating func report(_ error: YAMLError) {
    problems.append(PolicyError.Problem(error))
  }

  mutating func report(_ place: Place, _ message: String) {
    problems.append(
      PolicyError.Problem(
        file: place.file, line: place.line, column: place.column, message: message))
  }

  mutating func remark(_ node: YAMLNode, _ file: String, _ message: String) {
    remarks.append(
      PolicyError.Problem(file: file, line: node.line, column: node.column, message: message))
  }

  /// A condition as text, compiled with the conditions on agents in front of it.
  mutating func condition(
    _ node: YAMLNode, _ file: String, _ compiler: ConditionCompiler, agents: [String]?
  ) throws(YAMLError) -> (text: String, root: Int32, place: Place) {
    let text = try node.string(file)
    do {
      let expression = try ConditionParser.parse(text)
      let root = try compiler.compile(expression, into: &program)
      let place = Reading.place(node, file, text, offset: 0)
      return (text, with(agents: agents, root), place)
    } catch {
      let place = Reading.place(node, file, text, offset: error.offset)
      throw YAMLError(
        file: file, line: place.line, column: place.column,
        message: "\(error.message) (in the condition \(Text.quote(text)))")
    }
  }

  /// The condition, for requests of these agents only. A request without an agent is unknown.
  mutating func with(agents: [String]?, _ root: Int32) -> Int32 {
    guard let agents, !agents.contains("*") else { return root }
    let slot = program.slot(ToolkitNames.agentPaths, .any)
    let set = program.set(agents.map(JSONValue.string))
    let node = program.append(Node(kind: .inSet, left: .field(slot), index: set))
    return program.appendGroup(.and, [node, root])
  }
}

/// Second names of fields: what toolkit documents call what the broker sends.
enum ToolkitNames {
  static let agentPaths = [FieldPath(dotted: "agent.id"), FieldPath(root: "agent")]

  /// Where a field of a toolkit condition is looked for, in this order.
  static func paths(_ path: FieldPath) -> [FieldPath] {
    switch path.flatName {
    case "tool_name": [path, FieldPath(root: "tool")]
    case "tool": [path, FieldPath(root: "tool_name")]
    case "action.type": [path, FieldPath(root: "action"), FieldPath(root: "tool")]
    case "action": [path, FieldPath(root: "tool")]
    case "agent_id", "agent_did": [path] + agentPaths
    default: [path]
    }
  }
}
