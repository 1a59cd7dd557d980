/// What a field holds. Names, paths, hosts and addresses are text in one spelling: a request is
/// brought into it, or refused, before any rule sees it.
public enum FieldType: String, Sendable, CaseIterable {
  case any, text, name, path, host, address, integer, number, boolean, list, object
  /// Milliseconds.
  case duration
  /// Bytes.
  case size

  enum Family: Equatable { case any, text, number, duration, size, boolean, list, object, null }

  var family: Family {
    switch self {
    case .any: .any
    case .text, .name, .path, .host, .address: .text
    case .integer, .number: .number
    case .boolean: .boolean
    case .list: .list
    case .object: .object
    case .duration: .duration
    case .size: .size
    }
  }

  /// For messages.
  var described: String {
    switch family {
    case .any: "any value"
    case .text: "text"
    case .number: "a number"
    case .duration: "a duration"
    case .size: "a size"
    case .boolean: "true or false"
    case .list: "a list"
    case .object: "an object"
    case .null: "null"
    }
  }
}

/// The fields that a request of the broker or an event of the kernel can have. The native form
/// refuses others unless the document declares them under `fields:`.
public enum Vocabulary {
  public struct Field: Sendable {
    public let name: String
    public let type: FieldType
    public let meaning: String
  }

  /// In the order of docs/policy-language.md.
  public static let fields: [Field] = [
    Field(name: "kind", type: .text, meaning: "what is asked or was seen: tool.call, file.open …"),
    Field(name: "tool", type: .name, meaning: "name of the tool"),
    Field(name: "args", type: .any, meaning: "arguments: a list of words or an object"),
    Field(name: "action", type: .any, meaning: "name of the action, or an object with type"),
    Field(name: "agent", type: .any, meaning: "name of the agent, or an object with id"),
    Field(name: "stage", type: .text, meaning: "pre_input, pre_tool, post_tool or pre_output"),
    Field(name: "run", type: .name, meaning: "id of the run"),
    Field(name: "session", type: .name, meaning: "id of the session"),
    Field(name: "ring", type: .integer, meaning: "ring of the caller, 0 to 3"),
    Field(name: "target_ring", type: .integer, meaning: "ring that is asked for"),
    Field(name: "ttl", type: .duration, meaning: "how long an elevation lasts"),
    Field(name: "reason", type: .text, meaning: "what the agent says; untrusted"),
    Field(name: "path", type: .path, meaning: "file, normalised; only file.open follows links"),
    Field(name: "mode", type: .text, meaning: "read, write, append, create"),
    Field(name: "cwd", type: .path, meaning: "working directory"),
    Field(name: "executable", type: .path, meaning: "caller's program, from the kernel; a hint"),
    Field(name: "host", type: .host, meaning: "name that is connected to"),
    Field(name: "port", type: .integer, meaning: "port that is connected to"),
    Field(name: "ip", type: .address, meaning: "address that is connected to"),
    Field(name: "protocol", type: .text, meaning: "tcp, udp or unix"),
    Field(name: "url", type: .text, meaning: "as the tool gave it"),
    Field(name: "method", type: .text, meaning: "method of a protocol request"),
    Field(name: "bytes", type: .size, meaning: "amount of data"),
    Field(name: "count", type: .integer, meaning: "number of things"),
    Field(name: "saga", type: .name, meaning: "name of the plan"),
    Field(name: "step", type: .name, meaning: "name of the step"),
    Field(name: "undo", type: .name, meaning: "name of the tool that undoes the step"),
    Field(name: "reversible", type: .boolean, meaning: "whether the step can be undone"),
    Field(name: "read_only", type: .boolean, meaning: "whether the tool only reads"),
    Field(name: "user", type: .name, meaning: "user that started the run"),
    Field(name: "uid", type: .integer, meaning: "its number"),
    Field(name: "pid", type: .integer, meaning: "process of the caller, from the kernel"),
    Field(name: "name", type: .name, meaning: "of a violation: the system call"),
    Field(name: "errno", type: .integer, meaning: "of a violation: the kernel's answer"),
    Field(name: "trust_score", type: .number, meaning: "trust in the agent"),
    Field(name: "environment", type: .any, meaning: "deployment environment"),
    Field(name: "message", type: .text, meaning: "text from the agent or a user"),
    Field(name: "content", type: .text, meaning: "text that is written or sent"),
    Field(name: "command", type: .text, meaning: "command line as one text"),
    Field(name: "code", type: .text, meaning: "source text that is run"),
    Field(name: "input", type: .any, meaning: "what a tool gets"),
    Field(name: "output", type: .any, meaning: "what a tool gave"),
    Field(name: "data", type: .any, meaning: "further facts"),
    Field(name: "context", type: .any, meaning: "further facts"),
    Field(name: "resource", type: .any, meaning: "what is acted on"),
  ]

  static let types: [String: FieldType] = Dictionary(
    uniqueKeysWithValues: fields.map { ($0.name, $0.type) })

  /// By position in `fields`.
  static let typeList: [FieldType] = fields.map(\.type)

  /// Positions in `fields`.
  static let indices: [String: Int] = Dictionary(
    uniqueKeysWithValues: fields.enumerated().map { ($0.element.name, $0.offset) })
}
