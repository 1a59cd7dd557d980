public import JSON
public import YAML

/// A tool that the broker runs for an agent: its own process in its own ring.
public struct Tool: Equatable, Sendable {
  public let name: String
  public let description: String
  /// 0 … 3: where it runs; never above who calls it.
  public let ring: UInt8
  public let arguments: ArgumentSchema
  public let command: [CommandWord]
  /// The argument whose text the tool reads on its standard input.
  public let input: String?
  public let timeoutMilliseconds: UInt64
  /// Of standard output and standard error together; a tool that writes more is ended.
  public let outputMaxBytes: Int
  /// It changes nothing.
  public let isReadOnly: Bool
  /// What it did can be undone.
  public let isReversible: Bool
  /// The call of another tool that undoes a call of this one.
  public let undo: ToolUndo?
  /// File and line, for messages.
  public let place: String

  /// One hour.
  static let timeoutMaxMilliseconds: UInt64 = 3_600_000
  /// An answer is one line, which clients read whole.
  static let outputMaxBytes: UInt64 = 1 << 20
  static let wordsMax = 256

  /// - Throws: with the place, for everything that is wrong or unknown.
  public init(_ bytes: [UInt8], file: String) throws(YAMLError) {
    let root = try YAMLParser.parse(bytes, file: file)
    var reader = try YAMLMappingReader(root, file: file)
    let version = try reader.require("apiVersion")
    let kind = try reader.require("kind")
    guard try version.string(file) == "agt-run/v1", try kind.string(file) == "Tool" else {
      throw version.error(file, "this is no tool; write apiVersion: agt-run/v1, kind: Tool")
    }
    var metadata = try YAMLMappingReader(try reader.require("metadata"), file: file)
    let nameNode = try metadata.require("name")
    name = try nameNode.string(file)
    description = try metadata.require("description").string(file)
    try metadata.finish()
    guard Self.isName(name) else {
      throw nameNode.error(file, "a tool's name has 1 to 64 letters, digits, _ and -")
    }
    ring = UInt8(try reader.require("ring").integer(file, in: 1...3))
    let schema = reader.optional("arguments")
    arguments =
      try schema.map { node throws(YAMLError) in try ArgumentSchema.read(node, file) }
      ?? ArgumentSchema(
        kind: .object(properties: [], isOpen: false), values: [], description: "", fallback: nil)
    guard case .object(let properties, isOpen: false) = arguments.kind else {
      throw (schema ?? root).error(file, "arguments: an object without additionalProperties")
    }
    let commandNode = try reader.require("command")
    var words: [CommandWord] = []
    for node in try commandNode.sequence(file) {
      words.append(try CommandWord(node, file, properties))
    }
    guard let first = words.first, first.isFixed, words.count <= Self.wordsMax else {
      throw commandNode.error(
        file, "a command begins with the program, which no argument chooses")
    }
    command = words
    let inputNode = reader.optional("input")
    input = try inputNode?.string(file)
    if let input, let inputNode, !properties.contains(where: { $0.name == input }) {
      throw inputNode.error(file, "\"\(input)\" is no argument")
    }
    let timeout = reader.optional("timeout")
    timeoutMilliseconds = try timeout?.durationMilliseconds(file) ?? 60_000
    if let timeout, !(1...Self.timeoutMaxMilliseconds).contains(timeoutMilliseconds) {
      throw timeout.error(file, "1ms to 1h is needed")
    }
    let output = reader.optional("output")
    let outputBytes = try output?.sizeBytes(file) ?? 65_536
    if let output, !(1...Self.outputMaxBytes).contains(outputBytes) {
      throw output.error(file, "1 byte to 1MiB is needed")
    }
    outputMaxBytes = Int(outputBytes)
    isReadOnly = try reader.optional("readOnly")?.boolean(file) ?? false
    undo = try reader.optional("undo").map { node throws(YAMLError) in
      try ToolUndo(node, file, properties)
    }
    isReversible =
      try reader.optional("reversible")?.boolean(file) ?? (isReadOnly || undo != nil)
    try reader.finish()
    place = "\(file):\(root.line)"
  }

  private static func isName(_ text: String) -> Bool {
    (1...64).contains(text.utf8.count)
      && text.utf8.allSatisfy {
        (48...57).contains($0) || (65...90).contains($0) || (97...122).contains($0) || $0 == 95
          || $0 == 45
      }
  }

  /// The command and the standard input for these arguments, defaults put in.
  /// - Throws: `invalid_params`.
  public func invocation(
    _ given: JSONObject
  ) throws(BrokerError) -> (words: [String], input: String, arguments: JSONObject) {
    if let problem = arguments.problem(.object(given)) {
      throw BrokerError(.invalidParams, problem)
    }
    var all = given
    if case .object(let properties, _) = arguments.kind {
      for property in properties where all[property.name] == nil {
        if let fallback = property.schema.fallback { all[property.name] = fallback }
      }
    }
    var words: [String] = []
    for word in command { words += word.rendered(all) }
    return (words, input.flatMap { all[$0]?.stringValue } ?? "", all)
  }

  /// The words that no argument changes; in the place of each other one something that names no file.
  public var fixedWords: [String] {
    command.map { $0.isFixed ? $0.rendered([:]).first ?? "" : "/\u{1}" }
  }

  public var json: JSONValue {
    var object: JSONObject = [
      "name": .string(name), "description": .string(description), "ring": JSONValue(ring),
      "inputSchema": arguments.json, "readOnly": .bool(isReadOnly),
      "reversible": .bool(isReversible), "timeoutMilliseconds": JSONValue(timeoutMilliseconds),
      "outputMaxBytes": JSONValue(outputMaxBytes),
    ]
    if let undo { object["undo"] = .string(undo.tool) }
    return .object(object)
  }
}
