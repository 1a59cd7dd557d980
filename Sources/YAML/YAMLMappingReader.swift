/// Decodes a mapping key by key and refuses what was not asked for.
///
///     var reader = try YAMLMappingReader(node, file: file)
///     let name = try reader.require("name").string(file)
///     let wall = try reader.optional("wall")?.durationMilliseconds(file)
///     try reader.finish()
public struct YAMLMappingReader: Sendable {
  public let node: YAMLNode
  public let file: String
  private let entries: [YAMLNode.Entry]
  private var isConsumed: [Bool]
  private var knownKeys: [String] = []

  /// - Throws: `YAMLError` when `node` is not a mapping.
  public init(_ node: YAMLNode, file: String) throws(YAMLError) {
    self.node = node
    self.file = file
    entries = try node.mapping(file)
    isConsumed = Array(repeating: false, count: entries.count)
  }

  /// The value of `key`, which must be there.
  public mutating func require(_ key: String) throws(YAMLError) -> YAMLNode {
    if let value = optional(key) { return value }
    let unread = entries.indices.filter { !isConsumed[$0] }.compactMap { entries[$0].key.text }
    if let similar = NearestName.find(key, among: unread) {
      throw node.error(
        file, "missing key \(YAMLQuote.quote(key)); is \(YAMLQuote.quote(similar)) a misspelling?")
    }
    throw node.error(file, "missing key \(YAMLQuote.quote(key)); add it")
  }

  /// The value of `key`, or nil when the mapping does not have it.
  public mutating func optional(_ key: String) -> YAMLNode? {
    knownKeys.append(key)
    guard let index = entries.firstIndex(where: { $0.key.text == key }) else { return nil }
    isConsumed[index] = true
    return entries[index].value
  }

  /// Refuses the first key that neither `require` nor `optional` named, with the nearest of those
  /// that they did.
  public func finish() throws(YAMLError) {
    guard let index = isConsumed.firstIndex(of: false) else { return }
    let key = entries[index].key
    let name = key.text ?? ""
    var message = "unknown key \(YAMLQuote.quote(name))"
    if let nearest = NearestName.find(name, among: knownKeys) {
      message += "; did you mean \(YAMLQuote.quote(nearest))?"
    } else if knownKeys.isEmpty {
      message += "; this mapping takes no keys"
    } else {
      message += "; the keys here are \(knownKeys.joined(separator: ", "))"
    }
    throw key.error(file, message)
  }
}
