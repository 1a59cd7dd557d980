/// Names of runs and agents: they become file names and words of command lines and logs.
public enum Label {
  private static let lengthMax = 63

  /// Why a run is killed or launches are held, in a person's words.
  /// - Returns: nil when it is one line that a terminal can show.
  public static func problem(ofReason text: String) -> String? {
    guard (1...reasonMaxBytes).contains(text.utf8.count) else {
      return "a reason has 1 to \(reasonMaxBytes) bytes"
    }
    let hasControl = text.unicodeScalars.contains { $0.properties.generalCategory == .control }
    return hasControl ? "a reason is one line without control characters" : nil
  }

  private static let reasonMaxBytes = 512

  /// - Returns: nil when the name may be used.
  public static func problem(_ text: String) -> String? {
    guard (1...lengthMax).contains(text.utf8.count) else {
      return "a name has 1 to \(lengthMax) characters"
    }
    let isPlain = text.utf8.allSatisfy {
      (48...57).contains($0) || (65...90).contains($0) || (97...122).contains($0) || $0 == 45
        || $0 == 46 || $0 == 95
    }
    guard isPlain, let first = text.utf8.first, first != 45, first != 46 else {
      return "a name has letters, digits, - . and _, and begins with a letter, a digit or _"
    }
    if RunIdentifier.isValid(text) { return "it looks like the id of a run" }
    return nil
  }
}
