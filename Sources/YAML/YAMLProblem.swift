/// What libyaml reports about malformed text, with advice added.
struct YAMLProblem {
  let problem: String
  let context: String?
  let line: Int
  let column: Int
  let contextLine: Int
  let contextColumn: Int

  func error(file: String) -> YAMLError {
    var message = problem
    if let context {
      message += " \(context)"
      if contextLine != line || contextColumn != column {
        message += " that starts at line \(contextLine), column \(contextColumn)"
      }
    }
    return YAMLError(file: file, line: line, column: column, message: "\(message); \(advice)")
  }

  private var advice: String {
    switch problem {
    case "found unexpected end of stream", "found unexpected document indicator":
      return "close the quote"
    case "mapping values are not allowed in this context":
      return "put the key on a line of its own, or put a text that contains \": \" into quotes"
    case "could not find expected ':'":
      return "write \"key: value\", with a colon and a space"
    case "did not find expected key", "did not find expected '-' indicator",
      "block sequence entries are not allowed in this context":
      return "check the indentation of this line and the quotes before it"
    case "did not find expected ',' or ']'", "did not find expected ',' or '}'":
      return "add the comma or the closing bracket"
    case "found character that cannot start any token":
      return "put a text that starts with %, @, ` or a tab into quotes"
    case "found unknown escape character":
      return "write \\\\ for a backslash, or use single quotes"
    default:
      return "correct the text here, or put it into quotes"
    }
  }
}

/// Quotes text of a document for a message: bounded, and without control characters that a
/// terminal would obey.
enum YAMLQuote {
  /// Enough to recognise a key or a value in a message.
  static let lengthMax = 64

  static func quote(_ text: String) -> String {
    var quoted = "\""
    var count = 0
    for scalar in text.unicodeScalars {
      if count == lengthMax {
        quoted += "…"
        break
      }
      count += 1
      switch scalar {
      case "\"", "\\":
        quoted += "\\"
        quoted.unicodeScalars.append(scalar)
      case "\n":
        quoted += "\\n"
      case "\t":
        quoted += "\\t"
      default:
        let isControl =
          scalar.properties.generalCategory == .control
          || scalar.properties.generalCategory == .format
        if isControl {
          quoted += "\\u{\(String(scalar.value, radix: 16))}"
        } else {
          quoted.unicodeScalars.append(scalar)
        }
      }
    }
    return quoted + "\""
  }
}
