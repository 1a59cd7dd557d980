/// A JSON text as a value.
///
/// The parser makes `.integer` of every whole number that fits into 64 bits and `.number` of the
/// others; the initialisers and literals here do the same.
public enum JSONValue: Equatable, Sendable {
  case null
  case bool(Bool)
  case integer(Int64)
  case number(Double)
  case string(String)
  case array([JSONValue])
  case object(JSONObject)
}

/// The members of an object in the order in which they were written; names differ.
/// Two objects with the same members in another order are equal.
public struct JSONObject: Sendable {
  public struct Member: Equatable, Sendable {
    public let name: String
    public let value: JSONValue

    public init(name: String, value: JSONValue) {
      self.name = name
      self.value = value
    }
  }

  public private(set) var members: [Member]

  public init() {
    members = []
  }

  /// - Parameter members: Known to have different names.
  public init(unique members: [Member]) {
    self.members = members
  }

  /// The value of a member, found by a linear search. Setting replaces the value in its place or
  /// appends a member; setting nil removes it.
  public subscript(name: String) -> JSONValue? {
    get { members.first { $0.name == name }?.value }
    set {
      let index = members.firstIndex { $0.name == name }
      switch (index, newValue) {
      case (let index?, let value?): members[index] = Member(name: name, value: value)
      case (let index?, nil): members.remove(at: index)
      case (nil, let value?): members.append(Member(name: name, value: value))
      case (nil, nil): break
      }
    }
  }
}

extension JSONObject: Equatable {
  public static func == (first: JSONObject, second: JSONObject) -> Bool {
    guard first.members.count == second.members.count else { return false }
    for index in first.members.indices {
      guard first.members[index].name == second.members[index].name else {
        return equalsInOrder(first, second)
      }
      guard first.members[index].value == second.members[index].value else { return false }
    }
    return true
  }

  private static func equalsInOrder(_ first: JSONObject, _ second: JSONObject) -> Bool {
    first.members.sorted { $0.name < $1.name } == second.members.sorted { $0.name < $1.name }
  }
}

extension JSONObject {
  /// Whether both are written the same, member by member. Texts that Unicode takes for equal can have other bytes.
  public func isIdentical(to other: JSONObject) -> Bool {
    guard members.count == other.members.count else { return false }
    for (one, second) in zip(members, other.members) {
      guard one.name.isIdentical(to: second.name), one.value.isIdentical(to: second.value) else {
        return false
      }
    }
    return true
  }
}

extension JSONValue {
  fileprivate func isIdentical(to other: JSONValue) -> Bool {
    switch (self, other) {
    case (.string(let one), .string(let second)): one.isIdentical(to: second)
    case (.array(let one), .array(let second)):
      one.count == second.count && zip(one, second).allSatisfy { $0.isIdentical(to: $1) }
    case (.object(let one), .object(let second)): one.isIdentical(to: second)
    default: self == other
    }
  }
}

extension String {
  fileprivate func isIdentical(to other: String) -> Bool {
    let (one, second) = (utf8Span.span, other.utf8Span.span)
    guard one.count == second.count else { return false }
    for index in one.indices where one[index] != second[index] { return false }
    return true
  }
}

extension JSONValue {
  /// A whole number that fits into 64 bits becomes `.integer`; minus zero is zero.
  public init(_ value: Double) {
    // Int64(exactly:) would need trunc of libm, which a leaf module does not link.
    if value >= -0x1p63 && value < 0x1p63, Double(Int64(value)) == value {
      self = .integer(Int64(value))
    } else {
      self = .number(value)
    }
  }

  /// A number beyond the range of Int64 becomes the nearest double.
  public init(_ value: some BinaryInteger) {
    self = Int64(exactly: value).map(JSONValue.integer) ?? .number(Double(value))
  }

  public init(_ value: String) { self = .string(value) }
  public init(_ value: Bool) { self = .bool(value) }
  public init(_ values: [String]) { self = .array(values.map(JSONValue.string)) }

  /// `.null` for nil.
  public init(_ value: String?) { self = value.map(JSONValue.string) ?? .null }

  public var isNull: Bool { self == .null }

  public var boolValue: Bool? {
    guard case .bool(let value) = self else { return nil }
    return value
  }

  public var integerValue: Int64? {
    guard case .integer(let value) = self else { return nil }
    return value
  }

  /// A number of either kind; an integer beyond 2^53 loses its last digits.
  public var numberValue: Double? {
    switch self {
    case .integer(let value): Double(value)
    case .number(let value): value
    default: nil
    }
  }

  public var stringValue: String? {
    guard case .string(let value) = self else { return nil }
    return value
  }

  public var arrayValue: [JSONValue]? {
    guard case .array(let value) = self else { return nil }
    return value
  }

  public var objectValue: JSONObject? {
    guard case .object(let value) = self else { return nil }
    return value
  }

  /// The member of an object; nil when there is none or the value is not an object.
  public subscript(name: String) -> JSONValue? {
    guard case .object(let object) = self else { return nil }
    return object[name]
  }
}

extension JSONValue: ExpressibleByNilLiteral, ExpressibleByBooleanLiteral,
  ExpressibleByIntegerLiteral, ExpressibleByFloatLiteral, ExpressibleByStringInterpolation,
  ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
  public init(nilLiteral: ()) { self = .null }
  public init(booleanLiteral value: Bool) { self = .bool(value) }
  public init(integerLiteral value: Int64) { self = .integer(value) }
  public init(floatLiteral value: Double) { self.init(value) }
  public init(stringLiteral value: String) { self = .string(value) }
  public init(arrayLiteral elements: JSONValue...) { self = .array(elements) }

  /// Traps in a debug build when a name occurs twice.
  public init(dictionaryLiteral elements: (String, JSONValue)...) {
    self = .object(JSONObject(uniqueElements: elements))
  }
}

extension JSONObject: ExpressibleByDictionaryLiteral {
  /// Traps in a debug build when a name occurs twice.
  public init(dictionaryLiteral elements: (String, JSONValue)...) {
    self.init(uniqueElements: elements)
  }

  fileprivate init(uniqueElements elements: [(String, JSONValue)]) {
    // Literals are short: comparing each with each is cheaper than a set.
    assert(
      elements.indices.allSatisfy { index in
        elements[..<index].allSatisfy { $0.0 != elements[index].0 }
      }, "duplicate member name")
    members = elements.map { Member(name: $0.0, value: $0.1) }
  }
}
