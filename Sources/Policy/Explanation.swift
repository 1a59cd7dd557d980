public import JSON

/// A decision with what led to it: every rule, and why each did not match.
public struct Explanation: Sendable {
  public let decision: Decision
  /// The request as rules see it: names, paths and hosts in their canonical spelling.
  public let effectiveRequest: JSONObject
  /// The rule that came closest to matching, if any did not.
  public let nearest: NearMiss?

  /// A rule that did not match.
  public struct NearMiss: Sendable {
    public let rule: Rule
    /// The first part of its condition that does not hold.
    public let condition: String
    /// What the request has instead.
    public let cause: String
  }
}

extension PolicySet {
  /// Judges a request and says why.
  public func explain(_ request: Request) -> Explanation {
    let decision = decide(request)
    var evaluation = Evaluation(program, request)
    var best: (miss: Explanation.NearMiss, score: Double)?
    if request.problem == nil && evaluation.problem == nil {
      for rule in rules where rule.stage == nil || rule.stage == request.stage {
        guard let found = nearMiss(rule, decision.verdict, &evaluation) else { continue }
        if found.score > best?.score ?? 0 { best = found }
      }
    }
    return Explanation(
      decision: decision, effectiveRequest: request.fields, nearest: best?.miss)
  }

  /// How many of a rule's conditions hold, and the first that does not; nil when all do.
  private func nearMiss(
    _ rule: Rule, _ verdict: Verdict, _ evaluation: inout Evaluation
  ) -> (miss: Explanation.NearMiss, score: Double)? {
    let parts = conjuncts(rule.root)
    var failed: Int32?
    var holding = 0
    _ = evaluation.truth(of: rule)
    for part in parts {
      if evaluation.truth(part) == .yes {
        holding += 1
      } else if failed == nil {
        failed = part
      }
    }
    guard let failed else { return nil }
    var score = (Double(holding) + 0.5) / Double(parts.count + 1)
    // After a deny people ask what would have allowed it, and the other way round.
    if (rule.verdict == .deny) != (verdict == .deny) { score += 0.25 }
    let miss = Explanation.NearMiss(
      rule: rule, condition: text(of: failed, in: rule), cause: cause(failed, evaluation))
    return (miss, score)
  }

  /// The operands of nested `and`.
  func conjuncts(_ root: Int32) -> [Int32] {
    let node = program.nodes[Int(root)]
    guard node.kind == .and else { return [root] }
    return (Int(node.index)..<Int(node.index + node.count)).flatMap {
      conjuncts(program.children[$0])
    }
  }

  func text(of index: Int32, in rule: Rule) -> String {
    let node = program.nodes[Int(index)]
    guard node.end > node.start else { return "agent is one of the policy's agents" }
    let bytes = Array(rule.condition.utf8)
    return String(decoding: bytes[Int(node.start)..<min(Int(node.end), bytes.count)], as: UTF8.self)
  }

  /// What the fields of a condition hold.
  private func cause(_ index: Int32, _ evaluation: Evaluation) -> String {
    var causes: [String] = []
    for slot in slots(index) where causes.count < 4 {
      let name = program.slots[Int(slot)].paths[0].description
      guard let value = evaluation.values[Int(slot)] else {
        causes.append("\(name) is missing")
        continue
      }
      let text = String(decoding: JSONWriter.compact(value), as: UTF8.self)
      causes.append("\(name) is \(Text.printable(text, bytesMax: 200))")
    }
    return causes.joined(separator: ", ")
  }

  /// The fields that a condition reads, each once.
  func slots(_ index: Int32) -> [Int32] {
    let node = program.nodes[Int(index)]
    var found: [Int32] = []
    switch node.kind {
    case .and, .or:
      for child in Int(node.index)..<Int(node.index + node.count) {
        found += slots(program.children[child])
      }
    case .not:
      found = slots(node.index)
    default:
      for operand in [node.left, node.right] {
        switch operand {
        case .field(let slot), .size(let slot): found.append(slot)
        case .none, .constant: break
        }
      }
    }
    var seen: Set<Int32> = []
    return found.filter { seen.insert($0).inserted }
  }
}

extension Explanation {
  /// Keys: `verdict`, `reason`, `operatorReason`, `rules`, `nearest`, `obligations`,
  /// `policyDigest`, `request`.
  public var json: JSONValue {
    var object = decision.json
    object["nearest"] =
      nearest.map { miss in
        var rule = Decision.json(miss.rule)
        rule["condition"] = .string(miss.condition)
        rule["cause"] = .string(miss.cause)
        return .object(rule)
      } ?? .null
    object["request"] = .object(effectiveRequest)
    return .object(object)
  }

  /// For a terminal.
  public var text: String {
    var lines = ["\(decision.verdict.name): \(Text.printable(decision.reason, bytesMax: 1_000))"]
    lines.append("  decided by: \(Text.printable(decision.operatorReason, bytesMax: 1_000))")
    for match in decision.rules {
      let rule = match.rule
      let note = match.isUncertain ? " (a field that it needs is missing)" : ""
      lines.append(
        "  matched: \(rule.file):\(rule.line):\(rule.column): \(rule.id) "
          + "→ \(rule.action)\(note)")
    }
    if let nearest {
      let rule = nearest.rule
      lines.append(
        "  nearest: \(rule.file):\(rule.line):\(rule.column): \(rule.id) "
          + "→ \(rule.action)")
      lines.append("    does not hold: \(Text.printable(nearest.condition, bytesMax: 500))")
      lines.append("    because \(nearest.cause)")
    }
    for obligation in decision.obligations {
      let text = String(decoding: JSONWriter.compact(obligation.json), as: UTF8.self)
      lines.append("  obligation: \(Text.printable(text, bytesMax: 500))")
    }
    let request = String(
      decoding: JSONWriter.compact(.object(effectiveRequest)), as: UTF8.self)
    lines.append("  request: \(Text.printable(request, bytesMax: 4_000))")
    lines.append("  policy: \(decision.policyDigest)")
    return lines.joined(separator: "\n") + "\n"
  }
}

extension Decision {
  /// For the audit log and `--json`.
  public var json: JSONObject {
    [
      "verdict": .string(verdict.name), "reason": .string(reason),
      "operatorReason": .string(operatorReason),
      "rules": .array(rules.map { .object(Self.json($0.rule)) }),
      "obligations": .array(obligations.map(\.json)), "policyDigest": .string(policyDigest),
    ]
  }

  static func json(_ rule: Rule) -> JSONObject {
    [
      "id": .string(rule.id), "file": .string(rule.file), "line": .integer(Int64(rule.line)),
      "column": .integer(Int64(rule.column)), "verdict": .string(rule.verdict.name),
    ]
  }
}

extension Obligation {
  /// `{"name": "warn", "text": …}` and the like.
  public var json: JSONValue {
    var object: JSONObject = ["name": .string(name)]
    switch self {
    case .audit, .kill, .rollback: break
    case .warn(let text): object["text"] = .string(text)
    case .demote(let ring): object["ring"] = .integer(Int64(ring))
    case .rateLimit(let limit):
      object["count"] = .integer(Int64(limit.count))
      object["periodMilliseconds"] = limit.periodMilliseconds.map { JSONValue($0) } ?? .null
    case .approval(let approval):
      object["approvers"] = JSONValue(approval.approvers)
      object["groups"] = JSONValue(approval.groups)
      object["quorum"] = .integer(Int64(approval.quorum))
      object["expiresMilliseconds"] = JSONValue(approval.expiresMilliseconds)
      object["useWithinMilliseconds"] =
        approval.useWithinMilliseconds.map { JSONValue($0) } ?? .null
    }
    return .object(object)
  }
}
