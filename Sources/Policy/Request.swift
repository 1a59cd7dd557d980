public import JSON

/// When in an agent's turn a request is judged.
public enum Stage: String, Sendable, CaseIterable {
  case preInput = "pre_input"
  case preTool = "pre_tool"
  case postTool = "post_tool"
  case preOutput = "pre_output"
}

/// What is known of whoever asks, brought into its spelling once for many requests.
public final class CallerFacts: Sendable {
  fileprivate let request: Request

  /// - Parameter fields: of the vocabulary.
  public init(_ fields: JSONObject) { request = Request(fields) }

  public var fields: JSONObject { request.own }
}

/// One action to judge, or one event to look up in `violations`.
///
/// Making one brings names, paths and hosts into the spelling that rules compare. What has no such
/// spelling (a NUL or control character in a name, a host that is none, two values for one field)
/// is kept as `problem`, and every decision about the request is deny.
public struct Request: Sendable {
  /// The effective request as far as it says so itself: what rules see.
  public let own: JSONObject
  /// What rules see besides.
  public let caller: CallerFacts?
  public let stage: Stage
  /// `agent` when it is a text, `agent.id` when it is an object.
  public let agent: String?
  /// Why nothing about this request can be allowed, or nil.
  public let problem: String?
  /// Whether `kind` says that the request is about something else than a tool, such as a file. A rule
  /// that restricts a tool then does not concern it, and one that allows a tool does not allow it.
  let isWithoutTool: Bool
  /// Where the vocabulary has each of the own fields; `notKnown` for others, and for what has no spelling.
  private let positions: [Int]

  private static let notKnown = -1

  /// - Parameters:
  ///   - fields: See `Vocabulary`; `stage` is `pre_tool` when it is missing.
  ///   - caller: counts, whatever `fields` says of the same.
  public init(_ fields: JSONObject, from caller: CallerFacts? = nil) {
    var own: [JSONObject.Member] = []
    var positions: [Int] = []
    own.reserveCapacity(fields.members.count)
    positions.reserveCapacity(fields.members.count)
    var problem = caller?.request.problem
    for member in fields.members {
      var value = member.value
      var position = Self.notKnown
      if let index = Vocabulary.indices[member.name] {
        if let caller, caller.request.names(index) { continue }
        position = index
        switch Self.canonical(value, Vocabulary.typeList[index]) {
        case .unchanged: break
        case .changed(let text): value = .string(text)
        case .refused(let cause):
          problem = problem ?? "\(member.name) \(cause)"
          position = Self.notKnown
        }
      } else if Text.hasControl(member.name) {
        problem = problem ?? "a control character in the field name \(Text.quote(member.name))"
      }
      own.append(JSONObject.Member(name: member.name, value: value))
      positions.append(position)
    }
    func known(_ position: Int) -> JSONValue? {
      Self.known(position, own, positions) ?? caller?.request.known(position)
    }
    let kind = known(Self.kindIndex)?.stringValue
    isWithoutTool = known(Self.toolIndex) == nil && kind.map { !Self.wantsTool($0) } ?? false
    var stage = Stage.preTool
    if let text = known(Self.stageIndex)?.stringValue {
      if let named = Stage(rawValue: text) {
        stage = named
      } else {
        problem = problem ?? "unknown stage \(Text.quote(text))"
      }
    }
    let agent = known(Self.agentIndex)
    self.agent = agent?.stringValue ?? agent?["id"]?.stringValue
    if let name = self.agent, Text.hasControl(name) {
      problem = problem ?? "agent holds a control character"
    }
    self.own = JSONObject(unique: own)
    self.caller = caller
    self.positions = positions
    self.stage = stage
    self.problem = problem
  }

  /// The effective request, made for each who asks.
  public var fields: JSONObject {
    guard let caller else { return own }
    return JSONObject(unique: own.members + caller.fields.members)
  }

  public subscript(name: String) -> JSONValue? { own[name] ?? caller?.fields[name] }

  /// An effective field by its position in the vocabulary, a text in Normalization Form C: prepared once, however
  /// many conditions read it.
  func known(_ position: Int) -> JSONValue? {
    Self.known(position, own.members, positions) ?? caller?.request.known(position)
  }

  private static func known(
    _ position: Int, _ members: [JSONObject.Member], _ positions: [Int]
  ) -> JSONValue? {
    for index in positions.indices where positions[index] == position {
      return members[index].value
    }
    return nil
  }

  /// Also when it is refused.
  private func names(_ position: Int) -> Bool {
    positions.contains(position) || problem != nil && own[Vocabulary.fields[position].name] != nil
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
  private static func wantsTool(_ kind: String) -> Bool {
    kind == "tool.call" || kind == "policy.decide"
  }

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
    let isPlain = Text.isPrintableASCII(text)
    switch type {
    case .any, .text, .name:
      if isPlain { return .unchanged }
      if type == .name, Text.hasControl(text) { return .refused("holds a control character") }
      return changed(Text.normalized(text), from: text)
    case .path:
      if isPlain, PolicyPath.isNormal(text) { return .unchanged }
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
