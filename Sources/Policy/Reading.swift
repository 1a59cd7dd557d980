internal import JSON
internal import YAML

/// Reading of the parts that several document forms share.
enum Reading {
  /// A YAML value as JSON by the YAML 1.2 core schema. Spellings that YAML versions read
  /// differently (`no`, `on`, `0644`) are refused.
  static func json(_ node: YAMLNode, _ file: String) throws(YAMLError) -> JSONValue {
    switch node.content {
    case .sequence(let items):
      var values: [JSONValue] = []
      for item in items { values.append(try json(item, file)) }
      return .array(values)
    case .mapping(let entries):
      var object = JSONObject()
      for entry in entries {
        object[try entry.key.string(file)] = try json(entry.value, file)
      }
      return .object(object)
    case .scalar(let text, .plain):
      return try plain(text, node, file)
    case .scalar(let text, _):
      return .string(text)
    }
  }

  private static let ambiguous: Set<String> = ["yes", "no", "on", "off"]

  private static func plain(
    _ text: String, _ node: YAMLNode, _ file: String
  ) throws(YAMLError) -> JSONValue {
    if node.isNull { return .null }
    if text == "true" || text == "True" || text == "TRUE" { return true }
    if text == "false" || text == "False" || text == "FALSE" { return false }
    if ambiguous.contains(text.lowercased()) {
      throw node.error(
        file,
        "\(text) is a boolean in YAML 1.1 and text in YAML 1.2; write true, false, or "
          + "\"\(text)\" in quotes")
    }
    guard let first = text.utf8.first,
      ConditionLexer.isDigit(first) || "-+.".utf8.contains(first)
    else { return .string(text) }
    if (try? node.integer(file)) == nil, text.utf8.allSatisfy(ConditionLexer.isDigit),
      text.utf8.count > 1, first == UInt8(ascii: "0")
    {
      // Throws the message about leading zeros.
      return .integer(Int64(try node.integer(file)))
    }
    if let integer = try? node.integer(file) { return .integer(Int64(integer)) }
    if let number = try? node.number(file) { return JSONValue(number) }
    return .string(text)
  }

  /// One text or a list of texts.
  static func texts(_ node: YAMLNode, _ file: String) throws(YAMLError) -> [String] {
    guard case .sequence(let items) = node.content else { return [try node.string(file)] }
    var texts: [String] = []
    for item in items { texts.append(try item.string(file)) }
    return texts
  }

  /// One of the names of `choices`.
  static func choice<Value>(
    _ node: YAMLNode, _ file: String, _ what: String, _ choices: KeyValuePairs<String, Value>
  ) throws(YAMLError) -> Value {
    let text = try node.string(file)
    if let found = choices.first(where: { $0.key == text }) { return found.value }
    let names = choices.map(\.key)
    let hint =
      NearestName.find(text, among: names).map { "did you mean \(Text.quote($0))?" }
      ?? "write one of \(names.joined(separator: ", "))"
    throw node.error(file, "unknown \(what) \(Text.quote(text)); \(hint)")
  }

  /// `100/hour`, `3/minute`, `20/30s`.
  static func rateLimit(_ node: YAMLNode, _ file: String) throws(YAMLError) -> RateLimit {
    let text = try node.string(file)
    let parts = text.split(separator: "/", omittingEmptySubsequences: false).map(trimmed)
    let periods: [String: UInt64] = [
      "second": 1_000, "minute": 60_000, "hour": 3_600_000, "day": 86_400_000, "s": 1_000,
      "m": 60_000, "h": 3_600_000, "d": 86_400_000,
    ]
    guard parts.count == 2, !parts[0].isEmpty, parts[0].utf8.allSatisfy(ConditionLexer.isDigit),
      let count = Int(parts[0]), count <= 1_000_000_000
    else {
      throw node.error(
        file, "\(Text.quote(text)) is not a limit; write a count and a period, for example 100/hour"
      )
    }
    let period = periods[parts[1].lowercased()] ?? (try? Quantity.milliseconds(parts[1]))
    guard let period, period > 0, period <= 366 * 86_400_000 else {
      throw node.error(
        file,
        "unknown period \(Text.quote(parts[1])); write second, minute, hour, day, or a duration "
          + "such as 30s")
    }
    return RateLimit(count: count, periodMilliseconds: period)
  }

  private static func trimmed(_ text: Substring) -> String {
    var text = text
    while text.first == " " { text.removeFirst() }
    while text.last == " " { text.removeLast() }
    return String(text)
  }

  /// A list of names, or `{users, group, groups, quorum, expires, useWithin}`.
  static func approval(_ node: YAMLNode, _ file: String) throws(YAMLError) -> Approval {
    var approval = Approval()
    guard case .mapping = node.content else {
      approval.approvers = try texts(node, file)
      if approval.approvers.isEmpty { throw node.error(file, noApprover) }
      return approval
    }
    var reader = try YAMLMappingReader(node, file: file)
    if let users = reader.optional("users") { approval.approvers = try texts(users, file) }
    if let group = reader.optional("group") { approval.groups = [try group.string(file)] }
    if let groups = reader.optional("groups") { approval.groups += try texts(groups, file) }
    if let quorum = reader.optional("quorum") {
      approval.quorum = try quorum.integer(file, in: 1...100)
    }
    if let expires = reader.optional("expires") {
      approval.expiresMilliseconds = try expires.durationMilliseconds(file)
    }
    if let within = reader.optional("useWithin") {
      approval.useWithinMilliseconds = try within.durationMilliseconds(file)
    }
    try reader.finish()
    if approval.approvers.isEmpty && approval.groups.isEmpty { throw node.error(file, noApprover) }
    if approval.groups.isEmpty && approval.quorum > Set(approval.approvers).count {
      throw node.error(
        file,
        "a quorum of \(approval.quorum) among \(Set(approval.approvers).count) users can never be "
          + "reached; name more users or a group")
    }
    return approval
  }

  private static let noApprover =
    "nobody is named who could approve; write a list of users, or {group: NAME}"

  /// The place of a byte of a condition in its file.
  static func place(_ node: YAMLNode, _ file: String, _ text: String, offset: Int) -> Place {
    let bytes = Array(text.utf8.prefix(offset))
    let characters = bytes.count { $0 & 0xC0 != 0x80 }
    switch node.content {
    case .scalar(_, .plain):
      return Place(file: file, line: node.line, column: node.column + characters)
    case .scalar(_, .quoted):
      // Escapes and doubled quotes take more columns than characters; the start is then the best.
      return Place(file: file, line: node.line, column: node.column + 1 + characters)
    default:
      let lines = bytes.count { $0 == 0x0A }
      return Place(file: file, line: node.line + 1 + lines, column: 1)
    }
  }
}
