/// A plan whose names are resolved and whose order is known: what the machine runs.
/// Made by `SagaLint.check` only, so that every rule holds for it.
public struct SagaGraph: Sendable {
  public let plan: SagaPlan
  /// Steps that each step names in `needs`.
  public let needs: [[Int]]
  /// The steps that wait for each step, by name or by its fan-out.
  public let dependents: [[Int]]
  /// Members of each fan-out.
  public let groups: [[Int]]
  /// The fan-out of each step.
  public let group: [Int?]
  /// A topological order, stable in the order of the plan.
  public let order: [Int]
  public let pivot: Int?
  private let ancestors: [StepSet]
  private let indices: [String: Int]

  public func index(of id: String) -> Int? { indices[id] }

  /// Whether `first` comes before `second` on some path.
  public func isAncestor(_ first: Int, of second: Int) -> Bool { ancestors[second].contains(first) }

  public func policy(of group: Int) -> SagaFanOut.Policy { plan.fanOuts[group].policy }

  init(
    plan: SagaPlan, needs: [[Int]], groups: [[Int]], order: [Int], indices: [String: Int]
  ) {
    self.plan = plan
    self.needs = needs
    self.groups = groups
    self.order = order
    self.indices = indices
    let count = plan.steps.count
    var group = [Int?](repeating: nil, count: count)
    for (number, members) in groups.enumerated() { for step in members { group[step] = number } }
    self.group = group
    var dependents = [[Int]](repeating: [], count: count)
    var ancestors = [StepSet](repeating: StepSet(count: count), count: count)
    for step in order {
      for need in needs[step] {
        // A need of one member of a fan-out waits for the fan-out.
        for member in group[need].map({ groups[$0] }) ?? [need] {
          dependents[member].append(step)
          ancestors[step].insert(member)
          ancestors[step].formUnion(ancestors[member])
        }
      }
    }
    self.dependents = dependents
    self.ancestors = ancestors
    pivot = plan.steps.firstIndex { $0.kind == .pivot }
  }
}

/// A set of small numbers as bits: lint of 1,000 steps compares every pair.
struct StepSet: Equatable, Sendable {
  private var words: [UInt64]

  init(count: Int) { words = Array(repeating: 0, count: (count + 63) / 64) }

  func contains(_ number: Int) -> Bool { words[number >> 6] >> UInt64(number & 63) & 1 == 1 }
  mutating func insert(_ number: Int) { words[number >> 6] |= 1 << UInt64(number & 63) }
  mutating func formUnion(_ other: StepSet) {
    for index in words.indices { words[index] |= other.words[index] }
  }
}
