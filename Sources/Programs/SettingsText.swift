internal import JSON

/// The few forms of configuration that version managers use, read as far as versions need. Anything
/// else in a file is skipped; a version that comes out wrong is refused by `VersionName`.

/// `.tool-versions`: a tool and its versions on each line, `#` begins a comment.
func toolVersions(_ text: [UInt8]) -> [(tool: String, versions: [[UInt8]])] {
  var entries: [(tool: String, versions: [[UInt8]])] = []
  for line in text.split(separator: newline).prefix(linesMax) {
    let words = line.prefix { $0 != UInt8(ascii: "#") }.words
    guard let first = words.first, let tool = String(validating: first, as: UTF8.self),
      words.count > 1
    else { continue }
    entries.append((tool, Array(words.dropFirst())))
  }
  return entries
}

/// `[tools]` and `[tools.NAME]` of mise's TOML: a string, a list of strings, or a table with
/// `version`.
func miseVersions(_ text: [UInt8]) -> [(tool: String, versions: [[UInt8]])] {
  var entries: [(tool: String, versions: [[UInt8]])] = []
  for assignment in tomlAssignments(text) {
    let value = assignment.value
    if assignment.table == "tools" {
      let strings: [[UInt8]] =
        switch value.first {
        case UInt8(ascii: "["): tomlStrings(value)
        case UInt8(ascii: "{"): tomlInlineVersion(value).map { [$0] } ?? []
        default: tomlStrings(value).first.map { [$0] } ?? [value]
        }
      entries.append((assignment.key, strings))
    } else if assignment.table.hasPrefix("tools."), assignment.key == "version" {
      let tool = tomlKey(Array(assignment.table.utf8.dropFirst(6)))
      entries.append((tool, tomlStrings(value).first.map { [$0] } ?? []))
    }
  }
  return entries
}

/// The string that a key of a TOML table has; the table "" is the top of the file.
func tomlString(_ key: String, in table: String, _ text: [UInt8]) -> [UInt8]? {
  tomlAssignments(text).first { $0.table == table && $0.key == key }
    .flatMap { tomlStrings($0.value).first }
}

/// Lines of a file that are looked at; real ones have tens.
private let linesMax = 2000

/// `key = value` lines with the table that they are in; values are not read further.
private func tomlAssignments(_ text: [UInt8]) -> [(table: String, key: String, value: [UInt8])] {
  var result: [(table: String, key: String, value: [UInt8])] = []
  var table = ""
  for line in text.split(separator: newline).prefix(linesMax) {
    let line = line.trimmed
    if line.first == UInt8(ascii: "#") { continue }
    if line.first == UInt8(ascii: "[") {
      let name = line.dropFirst().prefix { $0 != UInt8(ascii: "]") }.trimmed
      table = String(decoding: name, as: UTF8.self)
    } else if let equals = tomlEquals(line) {
      result.append((table, tomlKey(line[..<equals].trimmed), line[(equals + 1)...].trimmed))
    }
  }
  return result
}

/// The equals sign after a key, which may be quoted.
private func tomlEquals(_ line: [UInt8]) -> Int? {
  if let quote = line.first, quote == UInt8(ascii: "\"") || quote == UInt8(ascii: "'") {
    guard let end = line.dropFirst().firstIndex(of: quote) else { return nil }
    return line[end...].firstIndex(of: UInt8(ascii: "="))
  }
  return line.firstIndex(of: UInt8(ascii: "="))
}

private func tomlKey(_ key: [UInt8]) -> String {
  String(decoding: tomlStrings(key).first ?? key, as: UTF8.self)
}

/// The quoted strings of a value, in order. Escapes are kept as written: no version has any.
private func tomlStrings(_ value: [UInt8]) -> [[UInt8]] {
  var strings: [[UInt8]] = []
  var index = 0
  while index < value.count {
    let byte = value[index]
    if byte == UInt8(ascii: "#") { break }
    if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "'") {
      guard let end = value[(index + 1)...].firstIndex(of: byte) else { break }
      strings.append(Array(value[(index + 1)..<end]))
      index = end
    }
    index += 1
  }
  return strings
}

private func tomlInlineVersion(_ value: [UInt8]) -> [UInt8]? {
  for part in value.dropFirst().split(separator: UInt8(ascii: ",")) {
    guard let equals = part.firstIndex(of: UInt8(ascii: "=")),
      tomlKey(part[..<equals].trimmed) == "version"
    else { continue }
    return tomlStrings(Array(part[(equals + 1)...])).first
  }
  return nil
}

/// The string at a path of keys in a JSON object; nil when it is absent or no string, or when the
/// text is not JSON.
func jsonString(at keys: [String], in text: [UInt8]) -> [UInt8]? {
  guard var value = try? JSONParser.parse(text, limits: .default) else { return nil }
  for key in keys {
    guard let inner = value[key] else { return nil }
    value = inner
  }
  return value.stringValue.map { Array($0.utf8) }
}
