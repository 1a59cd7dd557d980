internal import JSON

@testable internal import Policy

/// Random conditions over a few fields, in our language and in Cedar's.
struct RandomPolicies {
  var random: SeededRandom
  /// Whether fields may be used without asking whether they exist.
  let isTotal: Bool

  static let fields = "fields: {flags: list, opt: text, ok: boolean, amount: integer}"
  static let texts = ["git", "mail", "read", "write"]
  static let flags = ["--force", "-v", "main"]
  static let networks = ["10.0.0.0/8", "10.20.0.0/16", "192.0.2.0/24"]

  struct Pair {
    let ours: String
    let cedar: String
  }

  private mutating func pick(_ values: [String]) -> String {
    values.randomElement(using: &random) ?? ""
  }

  mutating func condition(_ depth: Int = 0) -> Pair {
    if depth < 3 {
      switch Int.random(in: 0..<8, using: &random) {
      case 0, 1:
        let (left, right) = (condition(depth + 1), condition(depth + 1))
        return Pair(
          ours: "(\(left.ours) and \(right.ours))", cedar: "(\(left.cedar) && \(right.cedar))")
      case 2:
        let (left, right) = (condition(depth + 1), condition(depth + 1))
        return Pair(
          ours: "(\(left.ours) or \(right.ours))", cedar: "(\(left.cedar) || \(right.cedar))")
      case 3:
        let inner = condition(depth + 1)
        return Pair(ours: "not (\(inner.ours))", cedar: "!(\(inner.cedar))")
      default: break
      }
    }
    return leaf()
  }

  private mutating func leaf() -> Pair {
    switch Int.random(in: 0..<10, using: &random) {
    case 0, 1:
      let text = pick(Self.texts)
      let op = pick(["==", "!="])
      return Pair(ours: "tool \(op) '\(text)'", cedar: "context.tool \(op) \"\(text)\"")
    case 2:
      let (first, second) = (pick(Self.texts), pick(Self.texts))
      return Pair(
        ours: "tool in ['\(first)', '\(second)']",
        cedar: "[\"\(first)\", \"\(second)\"].contains(context.tool)")
    case 3:
      let (first, second) = (pick(Self.texts), pick(Self.texts))
      return Pair(
        ours: "tool not in ['\(first)', '\(second)']",
        cedar: "!([\"\(first)\", \"\(second)\"].contains(context.tool))")
    case 4:
      let flag = pick(Self.flags)
      return Pair(
        ours: pick(["'\(flag)' in flags", "flags contains '\(flag)'"]),
        cedar: "context.flags.contains(\"\(flag)\")")
    case 5:
      let op = pick(["==", "!=", "<", "<=", ">", ">="])
      let number = Int.random(in: -2...2, using: &random)
      return Pair(ours: "amount \(op) \(number)", cedar: "context.amount \(op) (\(number))")
    case 6:
      return Pair(ours: pick(["ok", "ok == true"]), cedar: "context.ok")
    case 7:
      let text = pick(Self.texts)
      return isTotal
        ? Pair(
          ours: "(exists(opt) and opt == '\(text)')",
          cedar: "(context has opt && context.opt == \"\(text)\")")
        : Pair(ours: "opt == '\(text)'", cedar: "")
    case 8:
      let part = pick(["r", "it", "ma", "e"])
      switch Int.random(in: 0..<3, using: &random) {
      case 0:
        return Pair(ours: "tool startswith '\(part)'", cedar: "context.tool like \"\(part)*\"")
      case 1: return Pair(ours: "tool endswith '\(part)'", cedar: "context.tool like \"*\(part)\"")
      default:
        return Pair(ours: "tool contains '\(part)'", cedar: "context.tool like \"*\(part)*\"")
      }
    default:
      let network = pick(Self.networks)
      return Pair(
        ours: "ip in cidr '\(network)'", cedar: "context.ip.isInRange(ip(\"\(network)\"))")
    }
  }

  mutating func request(isComplete: Bool) -> JSONObject {
    let all: [(String, JSONValue)] = [
      ("tool", .string(pick(Self.texts))),
      ("flags", JSONValue(Self.flags.filter { _ in random.isOneIn(2) })),
      ("amount", .integer(Int64.random(in: -3...3, using: &random))),
      ("ok", .bool(random.isOneIn(2))),
      ("ip", .string(pick(["10.1.2.3", "10.20.1.1", "192.0.2.7", "203.0.113.9"]))),
    ]
    var request = JSONObject()
    for (name, value) in all where isComplete || !random.isOneIn(5) { request[name] = value }
    if random.isOneIn(2) { request["opt"] = .string(pick(Self.texts)) }
    return request
  }

  /// One rule line of the native form.
  mutating func rule(_ id: Int, then verdict: String) -> String {
    "  - {id: r\(id), when: \"\(condition().ours)\", then: \(verdict)}"
  }

  mutating func verdict() -> String { pick(["allow", "allow", "deny", "require_approval"]) }
}
