public import JSON
internal import YAML

/// How a call of a tool is undone: a call of another one, made from the same arguments.
///
///     undo: {tool: remove_user, arguments: {name: "{name}", reason: "undone: {name}"}}
///
/// `{name}` alone hands the argument over as it is, in a text it is put in; what stands for a missing argument is
/// left out.
public struct ToolUndo: Equatable, Sendable {
  public let tool: String
  let arguments: [(name: String, value: Value)]
  /// File and line, for messages.
  let place: String

  enum Value: Equatable, Sendable {
    case argument(String)
    case text(CommandWord)
  }

  init(
    _ node: YAMLNode, _ file: String, _ properties: [ArgumentSchema.Property]
  ) throws(YAMLError) {
    place = "\(file):\(node.line)"
    var reader = try YAMLMappingReader(node, file: file)
    tool = try reader.require("tool").string(file)
    var arguments: [(String, Value)] = []
    for entry in try reader.optional("arguments")?.mapping(file) ?? [] {
      let name = try entry.key.string(file)
      let text = try entry.value.string(file)
      if let property = properties.first(where: { "{\($0.name)}" == text }) {
        arguments.append((name, .argument(property.name)))
      } else {
        arguments.append((name, .text(try CommandWord(entry.value, file, properties))))
      }
    }
    try reader.finish()
    self.arguments = arguments
  }

  public static func == (one: ToolUndo, other: ToolUndo) -> Bool {
    one.tool == other.tool && one.place == other.place
      && one.arguments.elementsEqual(other.arguments) { $0.name == $1.name && $0.value == $1.value }
  }

  /// The arguments of the call that undoes one with these, defaults put in.
  public func arguments(for given: JSONObject) -> JSONObject {
    var made: JSONObject = [:]
    for (name, value) in arguments {
      switch value {
      case .argument(let other): if let value = given[other] { made[name] = value }
      case .text(let word): if let text = word.rendered(given).first { made[name] = .string(text) }
      }
    }
    return made
  }

  /// Why it undoes nothing with these tools; nil when it may.
  public func problem(among tools: [Tool]) -> String? {
    guard let other = tools.first(where: { $0.name == tool }) else {
      return "\(place): undo names the tool \"\(tool)\", which is not declared"
    }
    guard case .object(let properties, _) = other.arguments.kind else { return nil }
    for (name, _) in arguments where !properties.contains(where: { $0.name == name }) {
      return "\(place): the tool \(tool) has no argument \"\(name)\""
    }
    for property in properties where property.isRequired {
      if !arguments.contains(where: { $0.name == property.name }) {
        return "\(place): the tool \(tool) needs the argument \"\(property.name)\""
      }
    }
    return nil
  }
}
