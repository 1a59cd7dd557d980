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
  /// Whether `kind` says that the request is about something else than a tool, such as a file. A rule
  /// that restricts a tool then does not concern it, and one that allows a tool does not allow it.
  let isWithoutTool: Bool
  /// The effective fields of the vocabulary by their position in it, texts in Normalization Form C:
  /// prepared once, however many conditions read them.
  let known: [JSONValue?]

  /// - Parameter fields: See `Vocabulary`; `stage` is `pre_tool` when it is missing.
  public init(_ fields: JSONObject) {
    var effective = fields
    var known = [JSONValue?](repeating: nil, count: Vocabulary.typeList.count)
    var problem: String?
    for member in fields.members {
      guard let index = Vocabulary.indices[member.name] else {
        if Text.hasControl(member.name) {
          problem = problem ?? "a control character in the field name \(Text.quote(member.name))"
        }
        continue
      }
      switch Self.canonical(member.value, Vocabulary.typeList[index]) {
      case .unchanged: known[index] = member.value
      case .changed(let text):
        effective[member.name] = .string(text)
        known[index] = .string(text)
      case .refused(let cause): problem = problem ?? "\(member.name) \(cause)"
      }
    }
    let kind = known[Self.kindIndex]?.stringValue
    isWithoutTool =
      known[Self.toolIndex] == nil && kind.map { !Self.kindsWithTool.contains($0) } ?? false
    var stage = Stage.preTool
    if let text = known[Self.stageIndex]?.stringValue {
      if let named = Stage(rawValue: text) {
        stage = named
      } else {
        problem = problem ?? "unknown stage \(Text.quote(text))"
      }
    }
    let agent = known[Self.agentIndex]
    self.agent = agent?.stringValue ?? agent?["id"]?.stringValue
    if let name = self.agent, Text.hasControl(name) {
      problem = problem ?? "agent holds a control character"
    }
    self.fields = effective
    self.stage = stage
    self.problem = problem
    self.known = known
  }

  private static func position(_ name: String) -> Int {
    guard let index = Vocabulary.indices[name] else { preconditionFailure("no field \(name)") }
    return index
  }

  private static let kindIndex = position("kind")
  private static let toolIndex = position("tool")
  private static let stageIndex = position("stage")
  private static let agentIndex = position("agent")

  /// Kinds of requests in which a missing tool is suspicious.
  private static let kindsWithTool: Set<String> = ["tool.call", "policy.decide"]

  private enum Canonical {
    case unchanged
    case changed(String)
    case refused(String)
  }

  /// Brings one value into the spelling of its field, in Normalization Form C.
  private static func canonical(_ value: JSONValue, _ type: FieldType) -> Canonical {
    guard case .string(let text) = value else {
      return isOfType(value, type) ? .unchanged : .refused("is not \(type.described)")
    }
    switch type {
    case .any, .text:
      return changed(Text.normalized(text), from: text)
    case .name:
      if Text.hasControl(text) { return .refused("holds a control character") }
      return changed(Text.normalized(text), from: text)
    case .path:
      if Text.hasControl(text, allowsJoiners: true) {
        return .refused("holds a control character")
      }
      return changed(Text.normalized(PolicyPath.normalize(text)), from: text)
    case .host:
      do {
        return changed(try HostName.canonical(text), from: text)
      } catch {
        return .refused(error.message)
      }
    case .address:
      guard let address = IPAddress(text) else { return .refused("is not an IP address") }
      return changed(address.description, from: text)
    case .integer, .number, .boolean, .list, .object, .duration, .size:
      return .refused("is not \(type.described)")
    }
  }

  private static func changed(_ canonical: String, from text: String) -> Canonical {
    // By bytes: two spellings of one character are equal strings.
    canonical.utf8.elementsEqual(text.utf8) ? .unchanged : .changed(canonical)
  }

  private static func isOfType(_ value: JSONValue, _ type: FieldType) -> Bool {
    switch (type, value) {
    case (.any, _), (_, .null), (.boolean, .bool), (.integer, .integer), (.size, .integer),
      (.duration, .integer), (.number, .integer), (.number, .number), (.list, .array),
      (.object, .object):
      true
    default: false
    }
  }
}
