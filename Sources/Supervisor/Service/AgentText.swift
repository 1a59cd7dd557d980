internal import YAML

/// A declaration as text, which `AgentFile.parse` reads back to the same words.
enum AgentText {
  /// - Parameters:
  ///   - options: in the spelling of the command line; a value is nil where the option takes none or has a
  ///     usual one (`--txn`).
  ///   - directory: what relative paths begin with.
  /// - Throws: for an option that no declaration can state.
  static func make(
    name: String, options: [(flag: String, value: String?)], command: [String], directory: String
  ) throws(RunError) -> String {
    var stated: [(key: String, form: AgentFile.Form, values: [String])] = []
    for option in options {
      guard let key = AgentFile.keys.first(where: { long(option.flag) == "--\($0.name)" }) else {
        throw RunError(
          .usage, "\(option.flag): a declaration cannot state it",
          hint: "its options are "
            + AgentFile.keys.map { "--\($0.name)" }.joined(separator: ", "))
      }
      var value = option.value ?? (key.form == .flag ? "true" : "keep")
      if AgentFile.paths.contains(key.name) { value = absolute(value, directory) }
      if let index = stated.firstIndex(where: { $0.key == key.name }) {
        stated[index].values.append(value)
      } else {
        stated.append((key.name, key.form, [value]))
      }
    }
    var text = """
      # Written by agt unit; agt-run(1) explains the options.
      apiVersion: \(AgentFile.apiVersion)
      kind: \(AgentFile.kind)
      metadata: {name: \(quoted(name))}

      """
    for (key, form, values) in stated {
      switch form {
      case .flag: text += "\(key): true\n"
      case .value: text += "\(key): \(quoted(values[0]))\n"
      case .list:
        text += "\(key):\n" + values.map { "  - \(quoted($0))\n" }.joined()
      }
    }
    return text + "command:\n" + command.map { "  - \(quoted($0))\n" }.joined()
  }

  private static func long(_ flag: String) -> String {
    switch flag {
    case "-q": "--quiet"
    case "-v": "--verbose"
    default: flag
    }
  }

  private static func absolute(_ path: String, _ directory: String) -> String {
    if path.hasPrefix("/") { return path }
    let base = directory == "/" ? "" : directory
    if path == "." { return directory }
    for suffix in [".:ro", ".:rw", ".:txn"] where path == suffix {
      return directory + suffix.dropFirst()
    }
    return base + "/" + (path.hasPrefix("./") ? String(path.dropFirst(2)) : path)
  }

  /// A double-quoted scalar (YAML 1.2, section 7.3.1), or the text itself where no reader can take it for
  /// anything but a string or a number that means the same.
  static func quoted(_ text: String) -> String {
    let isPlain = text.utf8.allSatisfy {
      switch $0 {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "."),
        UInt8(ascii: "/"), UInt8(ascii: "-"), UInt8(ascii: "+"), UInt8(ascii: "="):
        true
      default: false
      }
    }
    let first = text.utf8.first.map { $0 == UInt8(ascii: "/") || $0 >= UInt8(ascii: "0") } ?? false
    let words = ["null", "true", "false", "yes", "no", "on", "off", "y", "n"]
    if isPlain, first, text.utf8.first != UInt8(ascii: "="), !words.contains(text.lowercased()) {
      return text
    }
    return YAMLScalar.quoted(text)
  }
}
