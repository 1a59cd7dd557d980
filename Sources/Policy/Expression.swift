internal import JSON

/// A condition as it was written: the tree that the parser makes and the compiler checks.
struct Expression: Sendable {
  indirect enum Content: Sendable {
    case literal(Literal)
    case list([Expression])
    case field(FieldPath)
    case size(Expression)
    case exists(FieldPath)
    case not(Expression)
    case and([Expression])
    case or([Expression])
    case comparison(Operator, Expression, Expression)
  }

  let content: Content
  /// Byte range in the condition's text.
  let range: Range<Int>
}

enum Literal: Equatable, Sendable {
  case null
  case boolean(Bool)
  case integer(Int64)
  case number(Double)
  case text(String)
  case durationMilliseconds(Int64)
  case sizeBytes(Int64)

  var value: JSONValue {
    switch self {
    case .null: .null
    case .boolean(let value): .bool(value)
    case .integer(let value), .durationMilliseconds(let value), .sizeBytes(let value):
      .integer(value)
    case .number(let value): .number(value)
    case .text(let value): .string(value)
    }
  }
}

enum Operator: String, Sendable, CaseIterable {
  case equal = "=="
  case notEqual = "!="
  case less = "<"
  case lessOrEqual = "<="
  case greater = ">"
  case greaterOrEqual = ">="
  case isIn = "in"
  case isNotIn = "not in"
  case inNetwork = "in cidr"
  case notInNetwork = "not in cidr"
  case contains = "contains"
  case startsWith = "startswith"
  case endsWith = "endswith"
  case matches = "matches"
  case glob = "glob"
  case under = "under"
}

/// Where a field is in a request: `args[0].name`.
public struct FieldPath: Hashable, Sendable, CustomStringConvertible {
  public enum Component: Hashable, Sendable {
    case name(String)
    /// 0-based.
    case index(Int)
  }

  public let root: String
  public let components: [Component]

  public init(root: String, components: [Component] = []) {
    self.root = root
    self.components = components
  }

  /// A dotted path such as `action.type`, without brackets.
  init(dotted: String) {
    let parts = dotted.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
    self.init(root: parts[0], components: parts.dropFirst().map(Component.name))
  }

  /// The dotted text when all components are names.
  var flatName: String? {
    var text = root
    for component in components {
      guard case .name(let name) = component else { return nil }
      text += "." + name
    }
    return text
  }

  public var description: String {
    components.reduce(root) { text, component in
      switch component {
      case .index(let index): text + "[\(index)]"
      case .name(let name):
        Self.isIdentifier(name) ? text + "." + name : text + "['\(name)']"
      }
    }
  }

  static func isIdentifier(_ name: String) -> Bool {
    guard let first = name.utf8.first, ConditionLexer.isNameStart(first) else { return false }
    return name.utf8.allSatisfy(ConditionLexer.isNameByte)
  }
}

/// Why a condition was not understood, at a byte offset of its text.
struct ConditionProblem: Error, Equatable {
  let offset: Int
  let message: String
}
