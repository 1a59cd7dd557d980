/// The first line of a script as the kernel reads it (execve(2), Interpreter scripts).
struct Shebang: Equatable {
  /// As written: absolute, or relative to the working directory.
  var interpreter: [UInt8]
  /// The rest of the line as one argument, blanks inside kept; nil when there is none.
  var argument: [UInt8]?

  enum Failure: Error, Equatable {
    case empty
    /// The kernel reads 256 bytes and would cut the line.
    case tooLong
    case containsNUL
  }

  /// BINPRM_BUF_SIZE (linux/binfmts.h).
  static let lineBytesMax = 256

  /// nil when the file does not begin with `#!`.
  init?(head: [UInt8]) throws(Failure) {
    guard head.starts(with: "#!".utf8) else { return nil }
    let buffer = head.prefix(Shebang.lineBytesMax)
    guard let end = buffer.firstIndex(of: newline) ?? (head.count < 256 ? head.count : nil) else {
      throw .tooLong
    }
    let blank: (UInt8) -> Bool = { $0 == 32 || $0 == 9 }
    guard !buffer[..<end].contains(0) else { throw .containsNUL }
    let line = buffer[2..<end].drop(while: blank)
    let name = line.prefix { !blank($0) }
    guard !name.isEmpty else { throw .empty }
    interpreter = Array(name)
    // The kernel cuts blanks at both ends and nothing else: a carriage return stays.
    let rest = line[name.endIndex...].drop(while: blank)
    let kept = Array(Array(rest.reversed().drop(while: blank)).reversed())
    argument = kept.isEmpty ? nil : kept
  }

  /// The interpreter and its options when a `/bin/sh` script only starts it: pip, distlib, uv and
  /// conda write this where a path is too long for a `#!` line or contains a blank.
  ///
  ///     #!/bin/sh
  ///     '''exec' "/long path/python" -E "$0" "$@"
  ///
  /// - Parameter directory: where the script is, for uv's relocatable form.
  static func trampoline(head: [UInt8], directory: Path) -> [[UInt8]]? {
    let lines = head.split(separator: newline, maxSplits: 2, omittingEmptySubsequences: false)
    guard lines.count == 3, let line = lines.dropFirst().first else { return nil }
    let opening = "'''exec' "
    let closing = " \"$0\" \"$@\""
    let text = line.trimmed
    guard text.starts(with: opening.utf8), text.count > opening.utf8.count + closing.utf8.count,
      text.suffix(closing.utf8.count).elementsEqual(closing.utf8)
    else { return nil }
    var command = Array(text.dropFirst(opening.utf8.count).dropLast(closing.utf8.count))
    let relocatable = "\"$(dirname -- \"$(realpath -- \"$0\")\")\"/"
    if command.starts(with: relocatable.utf8) {
      // Quoted for the splitting below; a directory with a quote in it is not understood.
      guard !directory.bytes.contains(UInt8(ascii: "'")) else { return nil }
      let rest = command.dropFirst(relocatable.utf8.count)
      command = Array("'".utf8) + directory.bytes + Array("/'".utf8) + rest
    }
    return plainWords(command)
  }

  /// Words of a shell command without anything that a shell would expand; nil otherwise.
  private static func plainWords(_ text: [UInt8]) -> [[UInt8]]? {
    var words: [[UInt8]] = []
    var word: [UInt8]?
    var quote: UInt8?
    for byte in text {
      if "$`\\;&|<>()*?[~#\n".utf8.contains(byte) && quote != UInt8(ascii: "'") { return nil }
      if let open = quote {
        if byte == open { quote = nil } else { word?.append(byte) }
      } else if byte == UInt8(ascii: "'") || byte == UInt8(ascii: "\"") {
        quote = byte
        word = word ?? []
      } else if byte == 32 || byte == 9 {
        if let finished = word { words.append(finished) }
        word = nil
      } else {
        word = (word ?? []) + [byte]
      }
    }
    guard quote == nil else { return nil }
    if let finished = word { words.append(finished) }
    return words.isEmpty || words[0].isEmpty ? nil : words
  }
}

/// What env(1) of coreutils would do with its arguments.
struct EnvCommand: Equatable {
  var assignments: [ResolvedProgram.Variable] = []
  /// The program and its arguments, at least one.
  var command: [[UInt8]] = []

  struct Failure: Error, Equatable {
    let description: String
    let hint: String?
  }

  /// Words that `-S` may make of one string.
  static let wordsMax = 256

  /// - Parameter arguments: without argv[0].
  init(arguments: [[UInt8]], variable: (String) -> [UInt8]?) throws(Failure) {
    var pending = Array(arguments)
    while let word = pending.first {
      pending.removeFirst()
      if let text = EnvCommand.splitString(word, next: pending.first) {
        if text.usesNext { pending.removeFirst() }
        pending = try EnvCommand.split(text.string, variable: variable) + pending
        guard pending.count <= EnvCommand.wordsMax + arguments.count else {
          throw Failure(description: "env -S makes too many words", hint: nil)
        }
      } else if word.isText("--") {
        break
      } else if word.first == dash {
        throw Failure(
          description: "the option \(shown(word)) of env is not resolved before the start",
          hint: "name the interpreter itself in the #! line")
      } else {
        pending.insert(word, at: 0)
        break
      }
    }
    try takeAssignments(&pending)
    command = pending
    guard let name = pending.first, !name.isEmpty else {
      throw Failure(description: "env is given no program", hint: nil)
    }
    if command.count == 1, arguments.count == 1, name == arguments[0], name.contains(32) {
      throw Failure(
        description: "env looks for one program named \"\(shown(name))\"",
        hint: "write #!/usr/bin/env -S \(shown(name))")
    }
  }

  private mutating func takeAssignments(_ pending: inout [[UInt8]]) throws(Failure) {
    while let word = pending.first, let equals = word.firstIndex(of: UInt8(ascii: "=")) {
      let name = word[..<equals]
      guard let text = String(validating: name, as: UTF8.self), !text.isEmpty else {
        throw Failure(description: "env is given a variable without a name", hint: nil)
      }
      assignments.append(.init(name: text, value: Array(word[(equals + 1)...])))
      pending.removeFirst()
    }
  }

  private static func splitString(
    _ word: [UInt8], next: [UInt8]?
  ) -> (string: [UInt8], usesNext: Bool)? {
    for form in ["--split-string=", "-S"] where word.starts(with: form.utf8) {
      let rest = Array(word.dropFirst(form.utf8.count))
      if !rest.isEmpty || form != "-S" { return (rest, false) }
    }
    if word.isText("-S") || word.isText("--split-string") {
      return next.map { ($0, true) }
    }
    return nil
  }

  /// The quoting of `env -S` (coreutils manual, "env invocation").
  private static func split(
    _ text: [UInt8], variable: (String) -> [UInt8]?
  ) throws(Failure) -> [[UInt8]] {
    var words: [[UInt8]] = []
    var word: [UInt8]?
    var quote: UInt8?
    var index = 0
    let single = UInt8(ascii: "'")
    let double = UInt8(ascii: "\"")
    func finish() {
      if let finished = word { words.append(finished) }
      word = nil
    }
    scan: while index < text.count {
      let byte = text[index]
      index += 1
      switch byte {
      case UInt8(ascii: "\\"):
        guard index < text.count else {
          throw Failure(description: "env -S ends in a backslash", hint: nil)
        }
        let escaped = text[index]
        index += 1
        if quote == single && escaped != UInt8(ascii: "\\") && escaped != single {
          word = (word ?? []) + [byte, escaped]
        } else if escaped == UInt8(ascii: "c") && quote == nil {
          break scan
        } else if escaped == UInt8(ascii: "_") && quote == nil {
          finish()
        } else {
          word = (word ?? []) + [try unescaped(escaped)]
        }
      case single where quote != double, double where quote != single:
        quote = quote == nil ? byte : nil
        word = word ?? []
      case UInt8(ascii: "$") where quote != single:
        word = (word ?? []) + (try expansion(text, &index, variable))
      case UInt8(ascii: "#") where quote == nil && word == nil: break scan
      case 32, 9...13:
        if quote == nil { finish() } else { word = (word ?? []) + [byte] }
      default: word = (word ?? []) + [byte]
      }
    }
    guard quote == nil else {
      throw Failure(description: "env -S has a quote without its end", hint: nil)
    }
    finish()
    return words
  }

  private static func unescaped(_ byte: UInt8) throws(Failure) -> UInt8 {
    switch byte {
    case UInt8(ascii: "f"): return 12
    case UInt8(ascii: "n"): return 10
    case UInt8(ascii: "r"): return 13
    case UInt8(ascii: "t"): return 9
    case UInt8(ascii: "v"): return 11
    case UInt8(ascii: "_"): return 32
    case UInt8(ascii: "#"), UInt8(ascii: "$"), UInt8(ascii: "\\"), UInt8(ascii: "'"),
      UInt8(ascii: "\""):
      return byte
    default:
      throw Failure(description: "env -S does not know \\\(shown([byte]))", hint: nil)
    }
  }

  /// `${NAME}`, the only form that env knows; `index` is after the dollar.
  private static func expansion(
    _ text: [UInt8], _ index: inout Int, _ variable: (String) -> [UInt8]?
  ) throws(Failure) -> [UInt8] {
    guard index < text.count, text[index] == UInt8(ascii: "{"),
      let end = text[index...].firstIndex(of: UInt8(ascii: "}")),
      let name = String(validating: text[(index + 1)..<end], as: UTF8.self)
    else {
      throw Failure(description: "env -S knows only ${NAME}", hint: nil)
    }
    index = end + 1
    return variable(name) ?? []
  }
}
