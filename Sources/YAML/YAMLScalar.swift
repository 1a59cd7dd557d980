/// Texts as scalars, for those who write documents.
public enum YAMLScalar {
  /// A double-quoted scalar (YAML 1.2, section 7.3.1).
  public static func quoted(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": result += "\\\""
      case "\\": result += "\\\\"
      case "\n": result += "\\n"
      case "\t": result += "\\t"
      default:
        let category = scalar.properties.generalCategory
        // What no one sees must not reach a terminal or change how the text is shown.
        let isVisible = ![
          .control, .format, .lineSeparator, .paragraphSeparator, .privateUse,
          .unassigned, .surrogate,
        ].contains(category)
        if isVisible {
          result.unicodeScalars.append(scalar)
        } else {
          let digits = String(scalar.value, radix: 16)
          result += "\\U" + String(repeating: "0", count: 8 - digits.count) + digits
        }
      }
    }
    return result + "\""
  }
}
