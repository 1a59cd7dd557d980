internal import JSON

/// All conditions of a set, compiled into one array of nodes. Nodes are plain numbers, so that
/// evaluating them touches no reference count.
final class Program: Sendable {
  let nodes: [Node]
  /// Children of `and` and `or`, as node indices.
  let children: [Int32]
  let constants: [JSONValue]
  let sets: [ConstantSet]
  let patterns: [Pattern]
  let globs: [Glob]
  let networks: [[IPNetwork]]
  let slots: [Slot]
  /// By slot the position in the vocabulary of a field that is taken as it is there, or -1.
  let directIndices: [Int]
  let scanners: [LiteralScanner?]
  let hasScanners: Bool

  init(_ builder: ProgramBuilder) {
    nodes = builder.nodes
    children = builder.children
    constants = builder.constants
    sets = builder.sets
    patterns = builder.patterns
    globs = builder.globs
    networks = builder.networks
    slots = builder.slots
    directIndices = builder.slots.map { slot in
      guard slot.lookups.count == 1, let lookup = slot.lookups.first, lookup.isCanonical,
        lookup.path.components.isEmpty
      else { return -1 }
      return lookup.index ?? -1
    }
    scanners = builder.scanners()
    hasScanners = scanners.contains { $0 != nil }
  }
}

struct Node: Sendable {
  enum Kind: UInt8, Sendable {
    case constant, and, or, not, truthy, boolean, exists
    case equal, less, lessOrEqual, greater, greaterOrEqual
    case inSet, contains, listContains, textContains, startsWith, endsWith, matches, glob, under,
      inNetwork
  }

  enum Operand: Sendable {
    case none
    case field(Int32)
    case size(Int32)
    case constant(Int32)
  }

  var kind: Kind
  /// What a missing field gives.
  var missing: Truth = .unknown
  /// What a value of another type gives.
  var mismatch: Truth = .unknown
  /// Whether the result is turned around (`!=`, `not in`), except for missing and mismatch.
  var isNegated = false
  /// Whether numbers are compared with text as in the toolkit: `"200" > 100`, and `matches` on 200.
  var isLoose = false
  var left: Operand = .none
  var right: Operand = .none
  /// `and`, `or`: first index into `children`; `not`: the node; else an index by kind.
  var index: Int32 = 0
  var count: Int32 = 0
  /// Byte range in the rule's condition, for `explain`.
  var start: Int32 = 0
  var end: Int32 = 0
}

/// A field that a condition names. Toolkit documents have a second name for some.
final class Slot: Sendable {
  struct Key: Hashable {
    let paths: [FieldPath]
    let type: FieldType
  }

  let paths: [FieldPath]
  let type: FieldType
  let lookups: [Lookup]
  /// Whether it is the name of the tool.
  let isTool: Bool

  /// How one of the paths is found.
  struct Lookup: Sendable {
    let path: FieldPath
    /// Position of the root in the vocabulary, if it is there.
    let index: Int?
    /// `a.b` as one name.
    let flatName: String?
    /// Whether a request has brought the field into its spelling already.
    let isCanonical: Bool
  }

  init(_ key: Key) {
    paths = key.paths
    type = key.type
    isTool = key.paths.contains(FieldPath(root: "tool"))
    lookups = key.paths.map { path in
      Lookup(
        path: path, index: Vocabulary.indices[path.root],
        flatName: path.components.isEmpty ? nil : path.flatName,
        isCanonical: ![.path, .name, .host, .address].contains(key.type)
          || path.components.isEmpty && Vocabulary.types[path.root] == key.type)
    }
  }
}

/// Members of a literal list.
struct ConstantSet: Sendable {
  let texts: Set<String>
  /// What is not text.
  let others: [JSONValue]
  let families: Set<UInt8>

  init(_ values: [JSONValue]) {
    texts = Set(values.compactMap(\.stringValue))
    others = values.filter { $0.stringValue == nil }
    families = Set(values.map(\.familyCode))
  }
}

extension JSONValue {
  /// Values of different codes never compare equal, and comparing them is a type error.
  var familyCode: UInt8 {
    switch self {
    case .null: 0
    case .bool: 1
    case .integer, .number: 2
    case .string: 3
    case .array: 4
    case .object: 5
    }
  }
}
