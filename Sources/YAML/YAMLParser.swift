/// How large a document may be. Configuration is written by hand, so the defaults leave a wide
/// margin above the largest real profile (some hundred lines) and still bound time and memory.
public struct YAMLLimits: Equatable, Sendable {
  /// Longest input in bytes.
  public var sizeMaxBytes: Int
  /// Deepest nesting of sequences and mappings; a document that is one scalar has depth 0.
  public var depthMax: Int
  /// Most scalars (keys included), sequences and mappings in one input.
  public var nodesMax: Int

  /// The composer recurses once per level: a bound that any thread's stack can hold.
  public static let depthMaxHighest = 256

  public static let `default` = YAMLLimits(
    sizeMaxBytes: 1 << 20, depthMax: 64, nodesMax: 100_000)

  /// Traps when `depthMax` is above `depthMaxHighest` or a limit is negative.
  public init(sizeMaxBytes: Int, depthMax: Int, nodesMax: Int) {
    precondition(sizeMaxBytes >= 0 && nodesMax >= 0)
    precondition((0...Self.depthMaxHighest).contains(depthMax))
    self.sizeMaxBytes = sizeMaxBytes
    self.depthMax = depthMax
    self.nodesMax = nodesMax
  }
}

/// Reads the subset of YAML 1.1 on which all YAML readers agree: block and flow collections and
/// plain, quoted and block scalars. Anchors, aliases, merge keys, tags, duplicate keys and keys
/// that are not scalars are refused, so that a document means what a reviewer sees.
public enum YAMLParser {
  /// Reads exactly one document.
  ///
  /// - Parameters:
  ///   - bytes: UTF-8, with or without a byte order mark.
  ///   - file: The name that errors give.
  /// - Throws: `YAMLError` with the place, the cause and how to mend it.
  public static func parse(
    _ bytes: [UInt8], file: String, limits: YAMLLimits = .default
  ) throws(YAMLError) -> YAMLNode {
    try compose(bytes, file: file, limits: limits, isStream: false)[0]
  }

  /// Reads one or more documents, separated by `---` lines. None of them may be empty.
  public static func parseDocuments(
    _ bytes: [UInt8], file: String, limits: YAMLLimits = .default
  ) throws(YAMLError) -> [YAMLNode] {
    try compose(bytes, file: file, limits: limits, isStream: true)
  }

  private static func compose(
    _ bytes: [UInt8], file: String, limits: YAMLLimits, isStream: Bool
  ) throws(YAMLError) -> [YAMLNode] {
    let text = try YAMLText(checking: bytes, file: file, limits: limits)
    let body = { (buffer: UnsafeBufferPointer<UInt8>) throws(YAMLError) -> [YAMLNode] in
      // SAFETY: the reader is destroyed before this closure returns, so it never outlives buffer.
      let reader = unsafe YAMLEventReader(buffer, text: text, file: file)
      var composer = YAMLComposer(reader: reader, file: file, limits: limits)
      return try composer.documents(isStream: isStream)
    }
    // SAFETY: see the closure.
    return try unsafe bytes.withUnsafeBufferPointer(body)
  }
}

/// Builds nodes from events, within the limits.
private struct YAMLComposer: ~Copyable {
  let reader: YAMLEventReader
  let file: String
  let limits: YAMLLimits
  var nodeCount = 0

  /// Mappings up to this size are searched for duplicate keys without a hash table.
  static let smallMappingCount = 12

  init(reader: consuming YAMLEventReader, file: String, limits: YAMLLimits) {
    self.reader = reader
    self.file = file
    self.limits = limits
  }

  mutating func documents(isStream: Bool) throws(YAMLError) -> [YAMLNode] {
    var documents: [YAMLNode] = []
    while true {
      let event = try reader.next()
      switch event.kind {
      case .streamStart, .documentEnd:
        continue
      case .streamEnd:
        if documents.isEmpty { throw error(event, "the document is empty; \(Self.writeMapping)") }
        return documents
      case .documentStart:
        if !isStream && !documents.isEmpty {
          throw error(
            event, "a second document starts here; keep one document in this file, without \"---\"")
        }
        let first = try reader.next()
        let root = try node(first, depth: 0)
        if root.isEmptyPlain {
          throw error(first, "the document is empty; \(Self.writeMapping)")
        }
        documents.append(root)
      default:
        throw error(event, "unexpected content after the document; indent it as part of it")
      }
    }
  }

  private static let writeMapping = "write at least one \"key: value\" line"

  private mutating func node(_ event: YAMLEvent, depth: Int) throws(YAMLError) -> YAMLNode {
    nodeCount += 1
    if nodeCount > limits.nodesMax {
      throw error(event, "more than \(limits.nodesMax) values in one file; split the file")
    }
    let content: YAMLNode.Content
    switch event.kind {
    case .scalar(let text, let style):
      content = .scalar(text, style)
    case .sequenceStart:
      try checkDepth(depth + 1, event)
      content = .sequence(try items(depth: depth + 1))
    case .mappingStart:
      try checkDepth(depth + 1, event)
      content = .mapping(try entries(depth: depth + 1))
    default:
      throw error(event, "expected a value here")
    }
    return YAMLNode(content: content, line: event.line, column: event.column)
  }

  private mutating func items(depth: Int) throws(YAMLError) -> [YAMLNode] {
    var items: [YAMLNode] = []
    while true {
      let event = try reader.next()
      if case .sequenceEnd = event.kind { return items }
      items.append(try node(event, depth: depth))
    }
  }

  private mutating func entries(depth: Int) throws(YAMLError) -> [YAMLNode.Entry] {
    var entries: [YAMLNode.Entry] = []
    var index: [String: Int] = [:]
    while true {
      let event = try reader.next()
      if case .mappingEnd = event.kind { return entries }
      let name = try key(event)
      let key = try node(event, depth: depth)
      if let first = Self.position(of: name, in: entries, index: &index) {
        let place = entries[first].key
        throw error(
          event,
          "duplicate key \(YAMLQuote.quote(name)); it is already at line \(place.line), "
            + "column \(place.column); remove one of the two")
      }
      let value = try node(try reader.next(), depth: depth)
      entries.append(YAMLNode.Entry(key: key, value: value))
    }
  }

  /// Where an equal key was written before. Strings compare by canonical equivalence, so two
  /// spellings of `é` that look the same are the same key.
  private static func position(
    of name: String, in entries: [YAMLNode.Entry], index: inout [String: Int]
  ) -> Int? {
    if entries.count <= smallMappingCount {
      return entries.firstIndex { $0.key.text == name }
    }
    for position in index.count..<entries.count {
      index[entries[position].key.text ?? ""] = position
    }
    return index[name]
  }

  private func key(_ event: YAMLEvent) throws(YAMLError) -> String {
    guard case .scalar(let name, let style) = event.kind else {
      throw error(
        event,
        "a key must be a word or a quoted string, not a sequence or a mapping; "
          + "put { or [ into quotes if it is part of the text")
    }
    if style == .plain && name.isEmpty {
      throw error(event, "the key before \":\" is missing; write a key or remove the line")
    }
    if style == .plain && name == "<<" {
      throw error(
        event, "merge keys (<<) are not supported; write the merged keys out in full")
    }
    return name
  }

  private func checkDepth(_ depth: Int, _ event: YAMLEvent) throws(YAMLError) {
    if depth > limits.depthMax {
      throw error(event, "nested deeper than \(limits.depthMax) levels; flatten the document")
    }
  }

  private func error(_ event: YAMLEvent, _ message: String) -> YAMLError {
    YAMLError(file: file, line: event.line, column: event.column, message: message)
  }
}
