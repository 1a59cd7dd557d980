/// Text of an agent's, made fit to be shown to a person: no character in it can move a cursor, colour a line,
/// reorder what stands beside it, or hide.
public enum UntrustedText {
  /// Control and format characters (bidirectional ones among them), line separators, surrogates and what
  /// Unicode does not define become one blank each, and the whole is cut.
  public static func cleaned(_ text: String, maxCharacters: Int = 512) -> String {
    if text.utf8.count <= maxCharacters, text.utf8.allSatisfy({ 0x20..<0x7F ~= $0 }) { return text }
    var clean = ""
    for (count, scalar) in text.unicodeScalars.enumerated() {
      if count == maxCharacters { return clean + "…" }
      clean.unicodeScalars.append(isShown(scalar) ? scalar : " ")
    }
    return clean
  }

  /// In quotes, for messages.
  static func quoted(_ text: String) -> String { "\"\(cleaned(text, maxCharacters: 64))\"" }

  private static func isShown(_ scalar: Unicode.Scalar) -> Bool {
    if scalar.value < 0x7F { return scalar.value >= 0x20 }
    switch scalar.properties.generalCategory {
    case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .unassigned,
      .privateUse:
      return false
    default: return true
    }
  }
}
