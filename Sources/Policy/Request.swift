public import JSON

/// When in an agent's turn a request is judged.
public enum Stage: String, Sendable, CaseIterable {
  case preInput = "pre_input"
  case preTool = "pre_tool"
  case postTool = "post_tool"
  case preOutput = "pre_output"
}

/// One action to judge, or one event to look up in `violations`.
///
/// Making one brings names, paths and hosts into the spelling that rules compare. What has no such
/// spelling (a NUL or control character in a name, a host that is none, two values for one field)
/// is kept as `problem`, and every decision about the request is deny.
public struct Request: Sendable {
  /// The effective request: what rules see.
  public let fields: JSONObject
  public let stage: Stage
  /// `agent` when it is a text, `agent.id` when it is an object.
  public let agent: String?
  /// Why nothing about this request can be allowed, or nil.
  public let problem: String?
  /// The effective fields of the vocabulary by their position in it, texts in Normalization Form C:
  /// prepared once, however many conditions read them.
  let known: [JSONValue?]

  /// - Parameter fields: See `Vocabulary`; `stage` is `pre_tool` when it is missing, and `tool` is
  ///   empty when `kind` says that the request is about something else.
  public init(_ fields: JSONObject) {
    var effective = fields
    var problem: String?
    for member in fields.members {
      if Text.hasControl(member.name) {
        problem = problem ?? "a control character in the field name \(Text.quote(member.name))"
      }
      guard let index = Vocabulary.indices[member.name] else { continue }
      let type = Vocabulary.fields[index].type
      if let cause = Self.canonicalize(member, type, in: &effective) {
        problem = problem ?? "\(member.name) \(cause)"
      }
    }
    var stage = Stage.preTool
    if let text = fields["stage"]?.stringValue {
      if let named = Stage(rawValue: text) {
        stage = named
      } else {
        problem = problem ?? "unknown stage \(Text.quote(text))"
      }
    }
    // A rule about a tool is not about opening a file: there the field is not missing, it is empty.
    if let kind = fields["kind"]?.stringValue, !Self.kindsWithTool.contains(kind),
      fields["tool"] == nil
    {
      effective["tool"] = ""
    }
    let agent = effective["agent"]
    self.agent = agent?.stringValue ?? agent?["id"]?.stringValue
    if let name = self.agent, Text.hasControl(name) {
      problem = problem ?? "agent holds a control character"
    }
    self.fields = effective
    var known = [JSONValue?](repeating: nil, count: Vocabulary.fields.count)
    for member in effective.members {
      guard let index = Vocabulary.indices[member.name] else { continue }
      if case .string(let text) = member.value {
        known[index] = .string(Text.normalized(text))
      } else {
        known[index] = member.value
      }
    }
    self.known = known
    self.stage = stage
    self.problem = problem
  }

  /// Kinds of requests in which a missing tool is suspicious.
  private static let kindsWithTool: Set<String> = ["tool.call", "policy.decide"]

  /// Brings one field into its spelling; returns why that is impossible.
  private static func canonicalize(
    _ member: JSONObject.Member, _ type: FieldType, in fields: inout JSONObject
  ) -> String? {
    switch (type, member.value) {
    case (.any, _), (.text, .string), (.boolean, .bool), (.integer, .integer), (.size, .integer),
      (.duration, .integer), (.number, .integer), (.number, .number):
      return nil
    case (.name, .string(let text)):
      return Text.hasControl(text) ? "holds a control character" : nil
    case (.path, .string(let text)):
      if Text.hasControl(text, allowsJoiners: true) { return "holds a control character" }
      let path = PolicyPath.normalize(text)
      if path != text { fields[member.name] = .string(path) }
      return nil
    case (.host, .string(let text)):
      do {
        let host = try HostName.canonical(text)
        if host != text { fields[member.name] = .string(host) }
        return nil
      } catch {
        return error.message
      }
    case (.address, .string(let text)):
      guard let address = IPAddress(text) else { return "is not an IP address" }
      if address.description != text { fields[member.name] = .string(address.description) }
      return nil
    case (_, .null):
      return nil
    default:
      return "is not \(type.described)"
    }
  }
}
