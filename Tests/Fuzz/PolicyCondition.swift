internal import JSON
internal import Policy

/// Any text as a condition of each form with text: refused, or decided for requests of all types.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzPolicyCondition(_ data: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  // SAFETY: libFuzzer passes `count` readable bytes.
  let bytes = unsafe Array(UnsafeBufferPointer(start: data, count: count))
  let text = String(decoding: bytes, as: UTF8.self)
  let quoted = String(decoding: JSONWriter.compact(.string(text)), as: UTF8.self)
  check(
    """
    apiVersion: agt-run/v1
    kind: Policy
    metadata: {name: f}
    rules: [{id: r, then: deny, when: \(quoted)}, {id: all, then: allow, when: "true"}]
    """)
  check(
    """
    apiVersion: governance.toolkit/v1
    default_action: allow
    rules: [{name: r, action: deny, condition: \(quoted)}]
    """)
  return 0
}

private func check(_ text: String) {
  let source = PolicySource(name: "f", bytes: Array(text.utf8))
  guard let set = try? PolicySet.load([source]) else { return }
  for value in values {
    var request: JSONObject = ["args": value, "data": ["x": value]]
    if case .string = value { request["tool"] = value }
    let first = set.decide(Request(request))
    precondition(first.verdict == set.decide(Request(request)).verdict)
  }
}

private let values: [JSONValue] = [
  nil, true, 0, -1, 1.5, "", "a", "git", ["a", 1, nil], ["x": ["y": "z"]],
]
