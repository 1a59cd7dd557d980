internal import JSON
internal import YAML

extension ArgumentSchema {
  /// - Throws: with the place, for a keyword that is not of the subset, or limits that contradict each other.
  static func read(_ node: YAMLNode, _ file: String, depth: Int = 0) throws(YAMLError)
    -> ArgumentSchema
  {
    guard depth < depthMax else {
      throw node.error(file, "schemas more than \(depthMax) deep; flatten it")
    }
    var reader = try YAMLMappingReader(node, file: file)
    let type = try reader.require("type")
    let kind: Kind
    switch try type.string(file) {
    case "string":
      kind = .string(
        lengths: try range(&reader, "minLength", "maxLength", most: lengthMax, file, node))
    case "integer":
      let least = try reader.optional("minimum")?.integer(file, in: Int.min...Int.max)
      let most = try reader.optional("maximum")?.integer(file, in: Int.min...Int.max)
      guard least ?? .min <= most ?? .max else {
        throw node.error(file, "minimum is above maximum, so that no number fits")
      }
      kind = .integer(range: Int64(least ?? .min)...Int64(most ?? .max))
    case "number": kind = .number
    case "boolean": kind = .boolean
    case "array":
      let items = try read(try reader.require("items"), file, depth: depth + 1)
      kind = .array(
        items: items, counts: try range(&reader, "minItems", "maxItems", most: itemsMax, file, node)
      )
    case "object": kind = try object(&reader, file, depth)
    case let other:
      throw type.error(
        file, "unknown type \"\(other)\"; string, integer, number, boolean, array or object")
    }
    let values = try reader.optional("enum")?.sequence(file) ?? []
    let description = try reader.optional("description")?.string(file) ?? ""
    let fallback = reader.optional("default")
    try reader.finish()
    let bare = ArgumentSchema(kind: kind, values: [], description: description, fallback: nil)
    var known: [JSONValue] = []
    for value in values { known.append(try bare.value(value, file)) }
    let schema = ArgumentSchema(
      kind: kind, values: known, description: description, fallback: nil)
    guard let fallback else { return schema }
    return ArgumentSchema(
      kind: kind, values: known, description: description,
      fallback: try schema.value(fallback, file))
  }

  private static func object(
    _ reader: inout YAMLMappingReader, _ file: String, _ depth: Int
  ) throws(YAMLError) -> Kind {
    let entries = try reader.optional("properties")?.mapping(file) ?? []
    let required = try reader.optional("required")?.sequence(file) ?? []
    let isOpen = try reader.optional("additionalProperties")?.boolean(file) ?? false
    var needed: Set<String> = []
    for node in required { needed.insert(try node.string(file)) }
    var properties: [Property] = []
    for entry in entries {
      let name = try entry.key.string(file)
      properties.append(
        Property(
          name: name, schema: try read(entry.value, file, depth: depth + 1),
          isRequired: needed.contains(name)))
    }
    for node in required {
      let name = try node.string(file)
      guard !properties.contains(where: { $0.name == name }) else { continue }
      throw node.error(file, "\"\(name)\" is required but is no property; add it")
    }
    return .object(properties: properties, isOpen: isOpen)
  }

  private static func range(
    _ reader: inout YAMLMappingReader, _ least: String, _ most: String, most limit: Int,
    _ file: String, _ node: YAMLNode
  ) throws(YAMLError) -> ClosedRange<Int> {
    let lower = try reader.optional(least)?.integer(file, in: 0...limit) ?? 0
    let upper = try reader.optional(most)?.integer(file, in: 0...limit) ?? limit
    guard lower <= upper else {
      throw node.error(file, "\(least) is above \(most), so that nothing fits")
    }
    return lower...upper
  }

  /// A value that a tool file gives, as its own schema reads it.
  private func value(_ node: YAMLNode, _ file: String) throws(YAMLError) -> JSONValue {
    let value: JSONValue
    switch kind {
    case .string: value = .string(try node.string(file))
    case .integer: value = JSONValue(try node.integer(file, in: Int.min...Int.max))
    case .number: value = JSONValue(try node.number(file))
    case .boolean: value = .bool(try node.boolean(file))
    case .array(let items, _):
      var elements: [JSONValue] = []
      for element in try node.sequence(file) { elements.append(try items.value(element, file)) }
      value = .array(elements)
    case .object: throw node.error(file, "an object has no default and no enum here")
    }
    if let problem = problem(value, at: "it") { throw node.error(file, problem) }
    return value
  }
}
