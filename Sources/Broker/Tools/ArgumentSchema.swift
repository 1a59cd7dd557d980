public import JSON

/// What a tool's arguments have to look like: the part of JSON Schema (2020-12) that tools use. Keywords that
/// are not in it are an error when the tool is loaded, and never skipped.
///
/// `type` (one name, and only that), `properties`, `required`, `additionalProperties` (true or false; false
/// without), `items`, `minItems`, `maxItems`, `enum`, `minLength`, `maxLength` (in Unicode scalars), `minimum`,
/// `maximum` (of whole numbers), `description`, `default`.
public struct ArgumentSchema: Equatable, Sendable {
  public indirect enum Kind: Equatable, Sendable {
    case string(lengths: ClosedRange<Int>)
    case integer(range: ClosedRange<Int64>)
    case number
    case boolean
    case array(items: ArgumentSchema, counts: ClosedRange<Int>)
    case object(properties: [Property], isOpen: Bool)
  }

  public struct Property: Equatable, Sendable {
    public let name: String
    public let schema: ArgumentSchema
    public let isRequired: Bool
  }

  public let kind: Kind
  /// One of these, when there are any.
  public let values: [JSONValue]
  public let description: String
  /// Taken when an argument is missing.
  public let fallback: JSONValue?

  /// Schemas inside each other.
  static let depthMax = 8
  /// A text longer than a request cannot come.
  static let lengthMax = LineReader.lineMaxBytes
  static let itemsMax = BrokerRequest.elementsMax

  /// - Returns: nil when the value is as it should be; otherwise what is wrong, with the place in it.
  public func problem(_ value: JSONValue, at place: String = "arguments") -> String? {
    if !values.isEmpty, !values.contains(value) {
      let names = values.map { String(decoding: JSONWriter.compact($0), as: UTF8.self) }
      return "\(place): one of \(names.joined(separator: ", ")) is needed"
    }
    switch (kind, value) {
    case (.string(let lengths), .string(let text)):
      // The kernel's strings end there.
      if text.utf8.contains(0) { return "\(place): NUL is not allowed" }
      return lengths.contains(text.unicodeScalars.count)
        ? nil : "\(place): \(lengths.lowerBound) to \(lengths.upperBound) characters are needed"
    case (.integer(let range), .integer(let number)):
      return range.contains(number)
        ? nil : "\(place): \(range.lowerBound) to \(range.upperBound) is needed"
    case (.number, .integer), (.number, .number), (.boolean, .bool): return nil
    case (.array(let items, let counts), .array(let elements)):
      guard counts.contains(elements.count) else {
        return "\(place): \(counts.lowerBound) to \(counts.upperBound) elements are needed"
      }
      for (index, element) in elements.enumerated() {
        if let problem = items.problem(element, at: "\(place)[\(index)]") { return problem }
      }
      return nil
    case (.object(let properties, let isOpen), .object(let object)):
      return problem(object, properties, isOpen, place)
    default: return "\(place): \(name) is needed"
    }
  }

  private func problem(
    _ object: JSONObject, _ properties: [Property], _ isOpen: Bool, _ place: String
  ) -> String? {
    for property in properties {
      guard let value = object[property.name] else {
        if property.isRequired { return "\(place).\(property.name) is missing" }
        continue
      }
      if let problem = property.schema.problem(value, at: "\(place).\(property.name)") {
        return problem
      }
    }
    if isOpen { return nil }
    for member in object.members where !properties.contains(where: { $0.name == member.name }) {
      return "\(place) has no \(UntrustedText.quoted(member.name))"
    }
    return nil
  }

  /// For messages.
  private var name: String {
    switch kind {
    case .string: "a text"
    case .integer: "a whole number"
    case .number: "a number"
    case .boolean: "true or false"
    case .array: "a list"
    case .object: "an object"
    }
  }

  /// As JSON Schema, for those who call the tool.
  public var json: JSONValue {
    var object: JSONObject = [:]
    switch kind {
    case .string(let lengths):
      object = ["type": "string"]
      if lengths.lowerBound > 0 { object["minLength"] = JSONValue(lengths.lowerBound) }
      object["maxLength"] = JSONValue(lengths.upperBound)
    case .integer(let range):
      object = ["type": "integer"]
      if range.lowerBound != .min { object["minimum"] = JSONValue(range.lowerBound) }
      if range.upperBound != .max { object["maximum"] = JSONValue(range.upperBound) }
    case .number: object = ["type": "number"]
    case .boolean: object = ["type": "boolean"]
    case .array(let items, let counts):
      object = ["type": "array", "items": items.json]
      if counts.lowerBound > 0 { object["minItems"] = JSONValue(counts.lowerBound) }
      object["maxItems"] = JSONValue(counts.upperBound)
    case .object(let properties, let isOpen):
      var named: JSONObject = [:]
      for property in properties { named[property.name] = property.schema.json }
      object = [
        "type": "object", "properties": .object(named),
        "required": .array(properties.filter(\.isRequired).map { .string($0.name) }),
        "additionalProperties": .bool(isOpen),
      ]
    }
    if !values.isEmpty { object["enum"] = .array(values) }
    if !description.isEmpty { object["description"] = .string(description) }
    if let fallback { object["default"] = fallback }
    return .object(object)
  }
}
