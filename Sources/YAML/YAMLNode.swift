/// A node of a YAML document with the place it was read from.
public struct YAMLNode: Equatable, Sendable {
  /// How a scalar was written; a quoted scalar is always a string.
  public enum ScalarStyle: Equatable, Sendable { case plain, quoted, block }

  public struct Entry: Equatable, Sendable {
    public let key: YAMLNode
    public let value: YAMLNode
    public init(key: YAMLNode, value: YAMLNode) {
      self.key = key
      self.value = value
    }
  }

  public enum Content: Equatable, Sendable {
    case scalar(String, ScalarStyle)
    case sequence([YAMLNode])
    case mapping([Entry])
  }

  public let content: Content
  /// 1-based line and column of the first character.
  public let line: Int
  public let column: Int

  public init(content: Content, line: Int, column: Int) {
    self.content = content
    self.line = line
    self.column = column
  }
}

/// A refusal to read a document, with its place and how to mend it.
public struct YAMLError: Error, Equatable, Sendable, CustomStringConvertible {
  public let file: String
  public let line: Int
  public let column: Int
  public let message: String

  public init(file: String, line: Int, column: Int, message: String) {
    self.file = file
    self.line = line
    self.column = column
    self.message = message
  }

  /// `Profiles/ring2.yaml:14:7: message`
  public var description: String { "\(file):\(line):\(column): \(message)" }
}
