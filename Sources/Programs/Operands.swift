/// Interpreters whose command line is understood well enough to tell the script from the rest.
enum Runtime: Equatable {
  case python, node, shell, perl, ruby, deno, bun, java

  /// By the file name: `python3.11`, `nodejs`, `bash`.
  init?(_ name: [UInt8]) {
    guard let text = String(validating: name, as: UTF8.self) else { return nil }
    func isVersioned(_ stem: String) -> Bool {
      text.hasPrefix(stem)
        && text.utf8.dropFirst(stem.utf8.count).allSatisfy { (48...57).contains($0) || $0 == dot }
    }
    if isVersioned("python") || isVersioned("pypy") || text.hasSuffix("t") && isFreeThreaded(text) {
      self = .python
    } else if text == "node" || text == "nodejs" {
      self = .node
    } else if ["sh", "bash", "dash", "zsh", "ksh", "ash"].contains(text) {
      self = .shell
    } else if isVersioned("perl") {
      self = .perl
    } else if isVersioned("ruby") {
      self = .ruby
    } else if text == "deno" {
      self = .deno
    } else if text == "bun" {
      self = .bun
    } else if text == "java" {
      self = .java
    } else {
      return nil
    }
  }

  var isJavaScript: Bool { self == .node || self == .deno || self == .bun }
}

/// `python3.13t` of PEP 703.
private func isFreeThreaded(_ text: String) -> Bool {
  text.hasPrefix("python3.")
    && text.dropFirst(8).dropLast().utf8.allSatisfy { (48...57).contains($0) }
}

/// Which of an interpreter's arguments is the script; only that one is mounted, whatever else looks
/// like a path.
struct Operands: Equatable {
  /// Index among the arguments; nil for `-c`, `-m`, `-e`, standard input and no script at all.
  var script: Int?
  /// Python is told not to look into the user's site-packages (-s, -I).
  var ignoresUserSite = false

  init(runtime: Runtime, arguments: [Resolution.Argument]) {
    let words = arguments.map(\.bytes)
    if runtime == .java {
      script = Operands.javaScript(words)
      return
    }
    let grammar = Grammar(runtime)
    var index = 0
    while let found = scan(words, grammar, from: index) {
      let text = String(decoding: words[found], as: UTF8.self)
      if grammar.otherCommands.contains(text) { return }
      guard grammar.transparentCommands.contains(text) else {
        script = found
        return
      }
      index = found + 1
    }
  }

  /// The options of one interpreter, as its manual page lists them.
  private struct Grammar {
    /// Letters after which there is no script.
    var ending = ""
    /// Letters with a value: the rest of the word, or the next word.
    var valued = ""
    /// Letters that take the rest of the word.
    var attached = ""
    var longEnding: Set<String> = []
    var longValued: Set<String> = []
    /// `+x` turns an option off.
    var hasPlus = false
    /// A lone `-` ends the options instead of naming standard input.
    var dashEnds = false
    /// Words before the script that change nothing (`deno run`).
    var transparentCommands: Set<String> = []
    /// Words that mean something else than a script.
    var otherCommands: Set<String> = []

    init(_ runtime: Runtime) {
      switch runtime {
      case .python:
        (ending, valued) = ("cm", "WX")
        longValued = ["--check-hash-based-pycs"]
      case .shell:
        (ending, valued, hasPlus, dashEnds) = ("cs", "oO", true, true)
        longValued = ["--rcfile", "--init-file"]
      case .perl: (ending, valued, attached) = ("eE", "I", "FimMxCDV")
      case .ruby:
        (ending, valued, attached) = ("e", "ICEr", "FKTWxi")
        longValued = ["--encoding", "--external-encoding", "--internal-encoding"]
      case .node:
        (ending, valued) = ("ep", "rC")
        longEnding = ["--eval", "--print", "--run"]
        longValued = [
          "--conditions", "--diagnostic-dir", "--disable-warning", "--dns-result-order",
          "--env-file", "--env-file-if-exists", "--experimental-loader", "--icu-data-dir",
          "--import", "--input-type", "--loader", "--openssl-config", "--redirect-warnings",
          "--require", "--test-name-pattern", "--test-reporter", "--test-reporter-destination",
          "--title", "--unhandled-rejections", "--watch-path",
        ]
        transparentCommands = ["inspect"]
      case .deno:
        (valued, attached) = ("cL", "AERWNSI")
        longValued = [
          "--cert", "--config", "--import-map", "--location", "--log-level", "--port", "--seed",
        ]
        transparentCommands = ["run", "serve"]
        otherCommands = [
          "add", "bench", "bundle", "cache", "check", "clean", "compile", "completions",
          "coverage", "doc", "eval", "fmt", "help", "info", "init", "install", "jupyter", "lint",
          "lsp", "outdated", "publish", "remove", "repl", "task", "test", "types", "uninstall",
          "update", "upgrade",
        ]
      case .bun:
        (ending, valued) = ("ep", "rcdl")
        longEnding = ["--eval", "--print"]
        longValued = [
          "--config", "--cwd", "--define", "--env-file", "--loader", "--port", "--preload",
          "--require",
        ]
        transparentCommands = ["run"]
        otherCommands = [
          "add", "audit", "build", "create", "exec", "init", "install", "link", "outdated",
          "patch", "pm", "publish", "remove", "repl", "test", "unlink", "update", "upgrade", "x",
        ]
      case .java: break
      }
    }
  }

  private mutating func scan(_ words: [[UInt8]], _ grammar: Grammar, from start: Int) -> Int? {
    var index = start
    while index < words.count {
      let word = words[index]
      if word.isText("--") || word.isText("-") && grammar.dashEnds {
        return index + 1 < words.count ? index + 1 : nil
      }
      if word.isText("-") { return nil }
      if word.starts(with: "--".utf8) {
        let name = String(decoding: word.prefix { $0 != UInt8(ascii: "=") }, as: UTF8.self)
        if grammar.longEnding.contains(name) { return nil }
        index += grammar.longValued.contains(name) && name.utf8.count == word.count ? 2 : 1
      } else if word.first == dash || grammar.hasPlus && word.first == UInt8(ascii: "+") {
        guard let taken = scanLetters(word.dropFirst(), grammar) else { return nil }
        index += taken
      } else {
        return index
      }
    }
    return nil
  }

  /// How many words a cluster of one-letter options takes; nil when no script follows.
  private mutating func scanLetters(_ letters: ArraySlice<UInt8>, _ grammar: Grammar) -> Int? {
    for (position, letter) in zip(letters.indices, letters) {
      if grammar.ending.utf8.contains(letter) { return nil }
      if grammar.attached.utf8.contains(letter) { return 1 }
      if grammar.valued.utf8.contains(letter) { return position == letters.endIndex - 1 ? 2 : 1 }
      if letter == UInt8(ascii: "s") || letter == UInt8(ascii: "I") { ignoresUserSite = true }
    }
    return 1
  }

  /// `java -jar FILE` and `java FILE.java` (JEP 330).
  private static func javaScript(_ words: [[UInt8]]) -> Int? {
    let valued: Set<String> = [
      "-cp", "-classpath", "--class-path", "-p", "--module-path", "--upgrade-module-path",
      "--add-modules", "--limit-modules", "--add-opens", "--add-exports", "--add-reads",
      "--patch-module", "--source",
    ]
    var index = 0
    while index < words.count {
      let word = String(decoding: words[index], as: UTF8.self)
      if word == "-jar" { return index + 1 < words.count ? index + 1 : nil }
      if word == "-m" || word == "--module" || word.hasPrefix("@") { return nil }
      if !word.hasPrefix("-") { return word.hasSuffix(".java") ? index : nil }
      index += valued.contains(word) ? 2 : 1
    }
    return nil
  }
}
