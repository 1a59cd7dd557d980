internal import JSON

/// How a document form reads a condition when a field is missing or of another type.
enum Semantics: Sendable {
  /// Unknown: a rule that restricts applies, a rule that allows does not. Types are checked.
  case native
  /// As the toolkit evaluates strings, where it can read them; unknown where it cannot.
  case toolkit
}

/// Checks conditions and compiles them into the arrays of a `Program`.
struct ProgramBuilder {
  var nodes: [Node] = []
  var children: [Int32] = []
  var constants: [JSONValue] = []
  var sets: [ConstantSet] = []
  var patterns: [Pattern] = []
  var globs: [Glob] = []
  var networks: [[IPNetwork]] = []
  private(set) var slots: [Slot] = []
  private var slotIndices: [Slot.Key: Int32] = [:]
  private var patternIndices: [String: Int32] = [:]
  /// Per slot, what a text must contain for a pattern or a `contains` to hold.
  private var literals: [Int: [[String]]] = [:]

  /// A scan costs as much as a handful of searches.
  private static let scannedLiteralsMin = 8

  /// Bounds the table: 16 rows a text, up to 230 columns of 4 bytes.
  private static let scannedLiteralsMax = 10_000

  mutating func append(_ node: Node, _ range: Range<Int> = 0..<0) -> Int32 {
    var node = node
    node.start = Int32(range.lowerBound)
    node.end = Int32(range.upperBound)
    nodes.append(node)
    return Int32(nodes.count - 1)
  }

  mutating func appendGroup(
    _ kind: Node.Kind, _ operands: [Int32], _ range: Range<Int> = 0..<0
  ) -> Int32 {
    let first = Int32(children.count)
    children += operands
    return append(Node(kind: kind, index: first, count: Int32(operands.count)), range)
  }

  mutating func constant(_ value: JSONValue) -> Int32 {
    let value = value.stringValue.map { JSONValue.string(Text.normalized($0)) } ?? value
    constants.append(value)
    return Int32(constants.count - 1)
  }

  mutating func set(_ values: [JSONValue]) -> Int32 {
    sets.append(
      ConstantSet(
        values.map { $0.stringValue.map { JSONValue.string(Text.normalized($0)) } ?? $0 }))
    return Int32(sets.count - 1)
  }

  mutating func slot(_ paths: [FieldPath], _ type: FieldType) -> Int32 {
    let key = Slot.Key(paths: paths, type: type)
    if let index = slotIndices[key] { return index }
    slots.append(Slot(key))
    slotIndices[key] = Int32(slots.count - 1)
    return Int32(slots.count - 1)
  }

  mutating func pattern(_ text: String) throws(Pattern.Problem) -> Int32 {
    let text = Text.normalized(text)
    if let index = patternIndices[text] { return index }
    patterns.append(try Pattern(text))
    patternIndices[text] = Int32(patterns.count - 1)
    return Int32(patterns.count - 1)
  }

  /// Registers texts of which a value of `slot` must contain one; the result goes into a node's
  /// `count`: 0 means that nothing is known.
  mutating func require(oneOf texts: [String]?, in slot: Int32) -> Int32 {
    guard let texts, !texts.isEmpty else { return 0 }
    literals[Int(slot), default: []].append(texts)
    return Int32(literals[Int(slot)]!.count)
  }

  func scanners() -> [LiteralScanner?] {
    slots.indices.map { slot in
      guard let texts = literals[slot], texts.count >= Self.scannedLiteralsMin,
        texts.reduce(0, { $0 + $1.count }) <= Self.scannedLiteralsMax
      else { return nil }
      return LiteralScanner(texts)
    }
  }
}
