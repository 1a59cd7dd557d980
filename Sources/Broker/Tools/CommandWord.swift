internal import JSON
internal import YAML

/// One word of a tool's command: text with arguments in it. What is put in is never split again, and no shell
/// sees it.
///
/// `{path}` is the argument; `--depth={depth}` puts it into a word; `{words...}` as a whole word makes a word
/// of each element of a list. A word whose argument is missing is left out. `{{` and `}}` are braces.
public struct CommandWord: Equatable, Sendable {
  enum Part: Equatable, Sendable {
    case text(String)
    case argument(String)
  }

  let parts: [Part]
  /// Set when the whole word stands for the elements of a list.
  let list: String?

  var isFixed: Bool {
    list == nil && !parts.isEmpty
      && parts.allSatisfy { part in
        if case .text = part { return true }
        return false
      }
  }

  init(_ node: YAMLNode, _ file: String, _ properties: [ArgumentSchema.Property])
    throws(YAMLError)
  {
    let text = try node.string(file)
    if text.utf8.contains(0) { throw node.error(file, "NUL in a word of a command") }
    if text.hasPrefix("{"), text.hasSuffix("...}") {
      let name = String(text.dropFirst().dropLast(4))
      guard let property = properties.first(where: { $0.name == name }),
        case .array(let items, _) = property.schema.kind, items.isScalar
      else {
        throw node.error(file, "\"\(name)\" is no argument that is a list of texts or numbers")
      }
      list = name
      parts = []
      return
    }
    list = nil
    var parts: [Part] = []
    var literal = ""
    var rest = text[...]
    while let character = rest.popFirst() {
      if character == "{" || character == "}", rest.first == character {
        rest.removeFirst()
        literal.append(character)
      } else if character == "{" {
        guard let end = rest.firstIndex(of: "}") else {
          throw node.error(file, "a brace that is not closed; write {{ for a brace")
        }
        let name = String(rest[..<end])
        rest = rest[rest.index(after: end)...]
        guard let property = properties.first(where: { $0.name == name }), property.schema.isScalar
        else {
          throw node.error(
            file, "\"\(name)\" is no argument that is one text, number or truth value")
        }
        if !literal.isEmpty { parts.append(.text(literal)) }
        literal = ""
        parts.append(.argument(name))
      } else if character == "}" {
        throw node.error(file, "a brace that was not opened; write }} for a brace")
      } else {
        literal.append(character)
      }
    }
    if !literal.isEmpty || parts.isEmpty { parts.append(.text(literal)) }
    self.parts = parts
  }

  /// As it is declared.
  var template: String {
    if let list { return "{\(list)...}" }
    return parts.map { part in
      switch part {
      case .text(let text): text
      case .argument(let name): "{\(name)}"
      }
    }.joined()
  }

  func rendered(_ arguments: JSONObject) -> [String] {
    if let list { return (arguments[list]?.arrayValue ?? []).map(Self.text) }
    var word = ""
    for part in parts {
      switch part {
      case .text(let text): word += text
      case .argument(let name):
        guard let value = arguments[name] else { return [] }
        word += Self.text(value)
      }
    }
    return [word]
  }

  private static func text(_ value: JSONValue) -> String {
    value.stringValue ?? String(decoding: JSONWriter.compact(value), as: UTF8.self)
  }
}

extension ArgumentSchema {
  var isScalar: Bool {
    switch kind {
    case .string, .integer, .number, .boolean: true
    case .array, .object: false
    }
  }
}
