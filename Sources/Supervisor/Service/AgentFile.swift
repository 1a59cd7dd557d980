internal import Glibc
internal import Kernel
internal import YAML

/// An agent's declaration: a command line of agt-run that has a name.
public struct AgentDeclaration: Equatable, Sendable {
  /// Of the agent, and of its run unless the command line says otherwise.
  public var name: String
  /// Options, `--` and the program with its arguments.
  public var words: [[UInt8]]
}

/// Reads an agent's declaration, `/etc/agt/agents/NAME.yaml`: what a unit of systemd runs.
///
///     apiVersion: agt-run/v1
///     kind: Agent
///     metadata: {name: clerk}
///     ring: 2
///     workspace: /srv/clerk
///     net: [api.example.org:443]
///     timeout: none
///     command: [python3, /srv/clerk/agent.py]
///
/// Every key but the first three and `command` is an option of agt-run without its dashes, with the same
/// values. What can go wrong: a key or a value is not understood; then file, line and column are named. A
/// file that somebody else could have written is never obeyed: it would choose the ring.
enum AgentFile {
  static let kind = "Agent"
  static let apiVersion = "agt-run/v1"

  enum Form { case value, list, flag }

  /// What a declaration can state, by the option's name.
  static let keys: [(name: String, form: Form)] = [
    ("ring", .value), ("profile", .value), ("workspace", .value), ("read", .list),
    ("write", .list), ("net", .list), ("policy", .list), ("tools", .list), ("env", .list),
    ("credential", .list), ("timeout", .value), ("grace", .value),
    ("memory", .value), ("pids", .value), ("cpu", .value), ("cpu-time", .value),
    ("disk", .value), ("requests", .value), ("tool-calls", .value),
    ("egress", .value), ("output", .value),
    ("io-read", .value), ("io-write", .value), ("cgroup", .value), ("tmp", .value), ("txn", .value),
    ("allow-executable", .flag), ("on-violation", .value), ("breach", .value), ("degrade", .list),
    ("quiet", .flag),
    ("verbose", .flag),
  ]
  /// Their values are files, which a service's working directory says nothing of.
  static let paths: Set<String> = ["profile", "workspace", "read", "write", "policy", "tools"]

  static func read(_ file: String, _ caller: Caller) throws(RunError) -> AgentDeclaration {
    let bytes: [UInt8]
    do throws(SyscallError) {
      bytes = try OperatorFile.read(
        file, uid: caller.uid, limit: YAMLLimits.default.sizeMaxBytes + 1)
    } catch {
      throw failure(file, error)
    }
    do throws(YAMLError) {
      return try parse(bytes, file: file, home: caller.home)
    } catch {
      throw RunError(.usage, error.description)
    }
  }

  private static func failure(_ file: String, _ error: SyscallError) -> RunError {
    switch error.errno {
    case EPERM:
      RunError(
        .notConfined, "--agent-file \(file): others than you and root could have written it",
        hint: "chown root \(file); chmod go-w \(file)")
    case ENOENT:
      RunError(
        .usage, "--agent-file \(file): there is no such file",
        hint: "agt unit NAME -- command writes one")
    case EISDIR: RunError(.usage, "--agent-file \(file): not a file")
    default:
      RunError(
        .usage, "--agent-file \(file): \(Errno.message(error.errno)) (\(Errno.name(error.errno)))")
    }
  }

  /// - Parameter home: what `~/` stands for.
  static func parse(
    _ bytes: [UInt8], file: String, home: String
  ) throws(YAMLError) -> AgentDeclaration {
    var reader = try YAMLMappingReader(YAMLParser.parse(bytes, file: file), file: file)
    try expect(try reader.require("apiVersion"), apiVersion, file)
    try expect(try reader.require("kind"), kind, file)
    let name = try metadata(try reader.require("metadata"), file)
    var words: [[UInt8]] = []
    for key in keys {
      guard let node = reader.optional(key.name) else { continue }
      for word in try self.words(key.name, key.form, node, file: file, home: home) {
        words.append(Array(word.utf8))
      }
    }
    let command = try reader.require("command")
    try reader.finish()
    words.append(Array("--".utf8))
    for item in try command.sequence(file) {
      let text = try item.string(file)
      if text.utf8.contains(0) { throw item.error(file, "a NUL byte; remove it") }
      words.append(Array(text.utf8))
    }
    guard words.last != Array("--".utf8) else {
      throw command.error(file, "an empty command; write [python3, agent.py]")
    }
    return AgentDeclaration(name: name, words: words)
  }

  private static func expect(
    _ node: YAMLNode, _ wanted: String, _ file: String
  ) throws(YAMLError) {
    let text = try node.string(file)
    if text != wanted { throw node.error(file, "\"\(text)\" is not \(wanted); write \(wanted)") }
  }

  private static func metadata(_ node: YAMLNode, _ file: String) throws(YAMLError) -> String {
    var reader = try YAMLMappingReader(node, file: file)
    let place = try reader.require("name")
    let name = try place.string(file)
    if let problem = Label.problem(name) { throw place.error(file, "\(name): \(problem)") }
    _ = try reader.optional("description")?.string(file)
    try reader.finish()
    return name
  }

  private static func words(
    _ key: String, _ form: Form, _ node: YAMLNode, file: String, home: String
  ) throws(YAMLError) -> [String] {
    switch form {
    case .flag:
      return try node.boolean(file) ? try checked("--\(key)", node, file) : []
    case .value: return try word(key, node, file, home)
    case .list:
      var all: [String] = []
      for item in try node.sequence(file) { all += try word(key, item, file, home) }
      return all
    }
  }

  private static func word(
    _ key: String, _ node: YAMLNode, _ file: String, _ home: String
  ) throws(YAMLError) -> [String] {
    var text = try node.string(file)
    if paths.contains(key) {
      if text.hasPrefix("~/") { text = home + text.dropFirst() }
      guard text.hasPrefix("/") else {
        throw node.error(file, "\(text) is no absolute path; begin with / or ~/")
      }
    }
    return try checked("--\(key)=\(text)", node, file)
  }

  /// The value is judged here, where its place is known.
  private static func checked(
    _ word: String, _ node: YAMLNode, _ file: String
  ) throws(YAMLError) -> [String] {
    do throws(RunError) {
      _ = try RunOptions.words([Array(word.utf8)])
    } catch {
      throw node.error(file, error.message + (error.hint.map { "; \($0)" } ?? ""))
    }
    return [word]
  }
}
