internal import JSON

/// Which rules a request can concern at all: those whose condition demands `field == text` or
/// `field in [texts]` are looked up by the field's value, the others are always evaluated.
struct RuleIndex: Sendable {
  /// One bit per rule: evaluated for every request.
  private let always: [UInt64]
  private let fields: [Field]
  /// The forms that have judging documents.
  let hasNative: Bool
  let hasToolkit: Bool
  let hasDocument: Bool

  var isNativeOnly: Bool { hasNative && !hasToolkit && !hasDocument }

  private struct Field: Sendable {
    let slot: Int
    var byText: [String: [Int32]] = [:]
    /// Rules that a missing field or one that is not text does not rule out.
    var ifNotText: [Int32] = []
  }

  init(_ rules: [Rule], _ program: Program, _ documents: [Document]) {
    hasNative = documents.contains { $0.isJudging && $0.form == .native }
    hasToolkit = documents.contains { $0.isJudging && $0.form == .toolkit }
    hasDocument = documents.contains { $0.isJudging && $0.form == .document }
    var always = [UInt64](repeating: 0, count: (rules.count + 63) / 64)
    var bySlot: [Int: Field] = [:]
    for (number, rule) in rules.enumerated() {
      guard let key = Self.key(rule.root, program) else {
        always[number >> 6] |= 1 << UInt64(number & 63)
        continue
      }
      var field = bySlot[key.slot] ?? Field(slot: key.slot)
      for text in key.texts { field.byText[text, default: []].append(Int32(number)) }
      if key.isUnknownPossible { field.ifNotText.append(Int32(number)) }
      bySlot[key.slot] = field
    }
    self.always = always
    fields = bySlot.values.sorted { $0.slot < $1.slot }
  }

  private struct Key {
    let slot: Int
    let texts: [String]
    let isUnknownPossible: Bool
  }

  /// The conjunct with the fewest texts.
  private static func key(_ root: Int32, _ program: Program) -> Key? {
    let node = program.nodes[Int(root)]
    switch node.kind {
    case .and:
      var best: Key?
      for child in Int(node.index)..<Int(node.index + node.count) {
        guard let key = key(program.children[child], program) else { continue }
        if key.texts.count < best?.texts.count ?? Int.max { best = key }
      }
      return best
    case .equal:
      guard !node.isNegated, case .field(let slot) = node.left,
        case .constant(let index) = node.right,
        let text = program.constants[Int(index)].stringValue
      else { return nil }
      return Key(slot: Int(slot), texts: [text], isUnknownPossible: isUnknownPossible(node))
    case .inSet:
      let set = program.sets[Int(node.index)]
      guard !node.isNegated, case .field(let slot) = node.left, set.others.isEmpty else {
        return nil
      }
      return Key(
        slot: Int(slot), texts: set.texts.sorted(), isUnknownPossible: isUnknownPossible(node))
    default:
      return nil
    }
  }

  private static func isUnknownPossible(_ node: Node) -> Bool {
    node.missing != .no || node.mismatch != .no
  }

  /// One bit per rule that has to be evaluated.
  func candidates(_ evaluation: borrowing Evaluation) -> [UInt64] {
    var candidates = always
    for field in fields {
      let rules: [Int32]
      if let text = evaluation.values[field.slot]?.stringValue {
        guard let found = field.byText[text] else { continue }
        rules = found
      } else if evaluation.isWithoutName(field.slot) {
        rules = field.byText[""] ?? []
      } else {
        rules = field.ifNotText
      }
      for rule in rules { candidates[Int(rule) >> 6] |= 1 << UInt64(rule & 63) }
    }
    return candidates
  }
}
