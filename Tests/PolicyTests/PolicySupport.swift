internal import JSON
internal import Testing

@testable internal import Policy

/// One file as a set.
func load(
  _ text: String, file: String = "p.yaml", strategy: ConflictStrategy? = nil,
  others: [String: String] = [:]
) throws -> PolicySet {
  try PolicySet.load(
    [PolicySource(name: file, bytes: Array(text.utf8))], strategy: strategy,
    loader: { path in
      others[path].map { .bytes(Array($0.utf8)) } ?? .unreadable("No such file or directory")
    })
}

/// The messages of a refusal; empty when the text loads.
func refusals(_ text: String, file: String = "p.yaml", others: [String: String] = [:]) -> [String] {
  do {
    _ = try load(text, file: file, others: others)
    return []
  } catch let error as PolicyError {
    return error.problems.map(\.description)
  } catch {
    return ["\(error)"]
  }
}

func request(_ json: String) throws -> Request {
  let value = try JSONParser.parse(Array(json.utf8))
  return Request(try #require(value.objectValue))
}

extension PolicySet {
  func verdict(_ json: String) throws -> Verdict { decide(try request(json)).verdict }
}

/// A native policy with the given rules.
func native(_ rules: String, extra: String = "") -> String {
  "apiVersion: agt-run/v1\nkind: Policy\nmetadata: {name: test}\n\(extra)\nrules:\n\(rules)\n"
}

/// Whether a condition holds for a request: by a rule that allows.
func holds(_ condition: String, _ json: String, extra: String = "") throws -> Truth {
  let quoted = condition.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"")
  let set = try load(native("  - {id: r, then: allow, when: \"\(quoted)\"}", extra: extra))
  let request = try request(json)
  var evaluation = Evaluation(set.program, request)
  if request.problem != nil || evaluation.problem != nil { return .error }
  return evaluation.truth(set.rules[0].root)
}
