public import YAML

/// Why a set of policies was refused: every problem that was found, each with its place.
///
/// One bad file refuses the whole set, so that no rule goes missing unnoticed.
public struct PolicyError: Error, Equatable, Sendable, CustomStringConvertible {
  public let problems: [Problem]

  /// One cause at one place, with how to mend it.
  public struct Problem: Error, Equatable, Sendable, CustomStringConvertible {
    public let file: String
    /// 1-based.
    public let line: Int
    /// 1-based, in characters.
    public let column: Int
    public let message: String

    public init(file: String, line: Int, column: Int, message: String) {
      self.file = file
      self.line = line
      self.column = column
      self.message = message
    }

    public init(_ error: YAMLError) {
      self.init(file: error.file, line: error.line, column: error.column, message: error.message)
    }

    /// `coding-agent.yaml:14:7: message`
    public var description: String { "\(file):\(line):\(column): \(message)" }
  }

  /// Traps when there is no problem.
  public init(_ problems: [Problem]) {
    precondition(!problems.isEmpty)
    self.problems = problems
  }

  public init(_ problem: Problem) { self.init([problem]) }

  /// One line per problem.
  public var description: String { problems.map(\.description).joined(separator: "\n") }
}

/// Bounds on policy files. A policy is written by people; these leave room for generated packs
/// and keep the time to load and to decide in proportion.
public enum PolicyLimits {
  /// Most rules of a set. The largest published pack has 1,555.
  public static let rulesMax = 20_000
  /// Longest condition in bytes.
  public static let conditionMaxBytes = 16_384
  /// Deepest nesting of parentheses, `not` and lists in a condition: the parser recurses.
  public static let conditionDepthMax = 64
  /// Most nodes of one condition.
  public static let conditionNodesMax = 10_000
  /// Longest regular expression in bytes.
  public static let patternMaxBytes = 4_096
  /// Longest glob in bytes; matching is quadratic in the worst case.
  public static let globMaxBytes = 1_024
  /// Longest chain of `extends`.
  public static let extendsDepthMax = 16
  /// Most files of a set, those named by `extends` included.
  public static let filesMax = 1_024
  /// Most steps of one regular expression on one text: about 1 ms. Beyond it the decision is deny.
  public static let patternStepsMax: UInt32 = 200_000
  /// Most memory of one match in KiB.
  public static let patternHeapMaxKiB: UInt32 = 4_096
}
