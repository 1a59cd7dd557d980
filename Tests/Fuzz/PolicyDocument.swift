internal import JSON
internal import Policy

/// The loader refuses with a place or gives a set that decides, explains and lints without a trap.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzPolicyDocument(_ data: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  // SAFETY: libFuzzer passes `count` readable bytes.
  let bytes = unsafe Array(UnsafeBufferPointer(start: data, count: count))
  let source = PolicySource(name: "f/p.yaml", bytes: bytes)
  let loader: (String) -> LoadedFile = { path in
    precondition(path.hasPrefix("f/"), "extends left its folder: \(path)")
    return .bytes(bytes)
  }
  do {
    let set = try PolicySet.load([source], loader: loader)
    for request in requests {
      let explanation = set.explain(Request(request))
      precondition(!explanation.text.isEmpty && !explanation.decision.reason.isEmpty)
      var buckets = TokenBuckets()
      let counted = set.decide(Request(request), buckets: &buckets, nowMilliseconds: 1)
      precondition(counted.verdict >= explanation.decision.verdict)
    }
    _ = PolicyLint.run([source], format: .sarif, loader: loader)
  } catch {
    for problem in error.problems {
      precondition(problem.line >= 1 && problem.column >= 1 && !problem.message.isEmpty)
    }
  }
  return 0
}

private let requests: [JSONObject] = [
  [:],
  [
    "kind": "tool.call", "tool": "git", "args": ["push", "--force"], "path": "/workspace/../a",
    "host": "Example.ORG", "port": 443, "ip": "10.0.0.1", "ring": 2, "agent": "a",
    "message": "drop table", "output": "AKIA0123456789ABCDEF", "data": ["x": 1],
  ],
  ["tool_name": "x", "action": ["type": "drop"], "trust_score": 100, "v": "abc"],
]
