/// Why something about a saga was refused: the cause and how to mend it.
public struct SagaProblem: Error, Equatable, Sendable, CustomStringConvertible {
  public let description: String

  public init(_ description: String) { self.description = description }
}

/// Text of a plan or a journal in messages: bounded, and without characters that a terminal obeys.
public enum SagaText {
  /// Enough to recognise a value.
  private static let lengthMax = 80

  public static func quote(_ text: String) -> String { "\"\(plain(text))\"" }

  /// The text without control and format characters, cut when it is long.
  public static func plain(_ text: String) -> String {
    var shown = ""
    var count = 0
    for scalar in text.unicodeScalars {
      if count == lengthMax { return shown + "…" }
      count += 1
      let category = scalar.properties.generalCategory
      if category == .control || category == .format {
        shown += "\\u{\(String(scalar.value, radix: 16))}"
      } else {
        shown.unicodeScalars.append(scalar)
      }
    }
    return shown
  }
}
