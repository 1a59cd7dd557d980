internal import JSON
internal import Testing

@testable internal import Policy

@Suite struct ConditionTests {
  static let sample = #"""
    {"tool": "git", "args": ["push", "--force", 3], "path": "/workspace/./src//a.swift",
     "host": "API.Example.ORG.", "port": 443, "ip": "10.20.3.4", "ttl": 60000, "bytes": 2048,
     "reversible": true, "data": {"n": 1.5, "i": 3, "s": "Héllo", "null": null, "deep": [{"x": 1}],
     "dry-run": false}, "message": "rm -rf /tmp and more"}
    """#

  @Test(arguments: [
    "tool == 'git'", "tool == \"git\"", "'git' == tool", "tool != 'ls'", "not tool == 'ls'",
    "not (tool == 'ls' or tool == 'rm')", "tool == 'git' and port == 443 or tool == 'x'",
    "tool == 'x' or tool == 'git' and port == 443", "port in [80, 443]", "port not in [80]",
    "tool in ['git', 'hg']", "'--force' in args", "3 in args", "'--no' not in args",
    "args contains 'push'", "args[0] == 'push'", "size(args) == 3", "data.deep[0].x == 1",
    "data['dry-run'] == false", "not data['dry-run']", "reversible", "reversible == true",
    "data.i == 3.0", "data.n > 1", "data.n < 2", "data.n >= 1.5", "data.n <= 1.5", "data.i > -1",
    "data.s == 'He\u{301}llo'", "data.s startswith 'H\u{e9}'", "data.s endswith 'llo'",
    "message contains ' and '", "message contains 'rm -rf'", "message matches '^rm\\s+-rf'",
    "message matches '(?i)TMP'", "path == '/workspace/src/a.swift'", "path under '/workspace'",
    "path under '/workspace/'", "path under '/'", "not (path under '/work')",
    "path glob '/workspace/**/*.swift'", "path glob '/workspace/src/[a-c].swift'",
    "not (path glob '/workspace/*.swift')", "host == 'api.example.org'",
    "host == 'API.EXAMPLE.org'",
    "host glob '*.example.org'", "host endswith '.Example.org'", "ip in cidr '10.20.0.0/16'",
    "ip in cidr ['192.168.0.0/16', '10.0.0.0/8']", "ip not in cidr '10.21.0.0/16'",
    "ttl <= 5m", "ttl == 1m", "ttl == 60s", "bytes == 2KiB", "bytes < 1MiB", "bytes > 2k",
    "exists(data.s)", "not exists(data.null)", "not exists(data.gone)", "data.null == null",
    "data.s != null", "true", "not false", "size(data.s) == 5",
  ])
  func holdsFor(_ condition: String) throws {
    #expect(try holds(condition, Self.sample) == .yes, "\(condition)")
    #expect(try holds("not (\(condition))", Self.sample) == .no, "\(condition)")
  }

  @Test(arguments: [
    "cwd == '/'", "cwd != '/'", "data.gone > 1", "data.gone in ['a']", "not data.gone",
    "data.s > 1", "data.i == 'three'", "data.i contains 'x'", "data.s matches 'x' and data.gone",
    "data.gone == 1 or tool == 'x'", "tool == 'git' and data.gone == 1", "size(data.i) == 1",
    "data.i in cidr '10.0.0.0/8'", "data.null == 'x'", "args[9] == 'x'", "data.s.x == 1",
    "data.s under '/'",
  ])
  func isUnknownFor(_ condition: String) throws {
    let expected: Truth = condition.contains("matches 'x'") ? .no : .unknown
    #expect(try holds(condition, Self.sample) == expected, "\(condition)")
  }

  @Test(arguments: [
    ("tol == 'x'", "1: unknown field \"tol\"; did you mean \"tool\"?"),
    ("zebra == 'x'", "1: unknown field \"zebra\"; declare it under \"fields:\""),
    ("tool = 'x'", "6: \"=\" is not an operator; write \"==\""),
    ("!reversible", "1: \"!\" is not an operator; write \"not\""),
    ("tool == 'x' && port == 1", "13: unexpected \"&\"; write \"and\""),
    ("tool == 'x' || port == 1", "13: unexpected \"|\"; write \"or\""),
    ("tool == 'x' AND port == 1", "13: unknown operator \"AND\"; write \"and\""),
    ("tool startwith 'x'", "6: unknown operator \"startwith\"; did you mean \"startswith\"?"),
    ("tool like 'x'", "6: unknown operator \"like\"; the operators are"),
    ("lenght(args) > 1", "1: unknown function \"lenght\"; the functions are size() and exists()"),
    ("exist(args)", "1: unknown function \"exist\"; did you mean \"exists\"?"),
    ("tool == 'x", "9: a string without its closing quote"),
    ("(tool == 'x'", "13: expected \")\", found end of the condition"),
    ("tool == 'x')", "12: \")\" without \"(\""),
    ("tool == 'x' port == 1", "13: unknown operator \"port\""),
    ("tool ==", "8: expected a field or a value, found end of the condition"),
    ("", "1: the condition is empty"),
    ("tool", "1: tool is text, not a condition; compare it with =="),
    ("'x'", "1: this is a value, not a condition"),
    ("tool == 5", "1: this can never be true: text is compared with number"),
    ("port == 'x'", "1: this can never be true: a number is compared with text"),
    ("tool > 5", "1: > compares numbers, and this is text"),
    ("ttl < 5", "1: a duration and another value are compared; write a duration with its unit"),
    ("bytes < 5m", "1: a duration and another value are compared"),
    ("port < 5x", "8: \"5x\" is not a number; units are ms, s, m, h"),
    ("port == 007", "9: a number with a leading zero"),
    ("port == 99999999999999999999", "9: \"99999999999999999999\" does not fit into 64 bits"),
    ("1 < port < 3", "10: comparisons do not chain"),
    ("1 == 1", "1: two constants are compared"),
    ("tool in []", "9: the list is empty"),
    ("tool in 'x'", "9: \"in\" needs a list"),
    ("'x' in tool", "8: \"in\" needs a list"),
    ("tool == ['x']", "9: a list is allowed only behind \"in\""),
    ("tool matches '('", "16: the regular expression \"(\": missing closing parenthesis"),
    ("tool matches '(a+)+$'", "15: the regular expression \"(a+)+$\": takes more than"),
    ("tool glob '['", "11: the glob \"[\" has a \"[\" without \"]\""),
    ("path under 'src'", "12: \"under\" needs an absolute path"),
    ("ip in cidr '10.20.0.1/16'", "12: \"10.20.0.1/16\" has address bits behind the prefix"),
    ("ip in cidr '10.20.0.0/33'", "12: \"10.20.0.0/33\" is not a network"),
    ("ip == '10.20.0.0/16'", "7: \"10.20.0.0/16\" is not an IP address"),
    ("host == '*.example.org'", "9: the host \"*.example.org\" has a character that host names"),
    ("tool contains ''", "15: \"contains ''\" holds for every text"),
    ("exists('x')", "8: exists() takes a field"),
    ("port.x == 1", "1: port is a number and has no part \"port.x\""),
    ("tool == True", "9: True is not a value here; write true"),
    ("tool == ‘x’", "9: unexpected \"‘\"; use straight quotes"),
    ("and tool == 'x'", "1: expected a field or a value, found the operator \"and\""),
  ])
  func refuses(_ condition: String, _ expected: String) {
    let rule = "  - id: r\n    then: deny\n    when: \"\(condition.replacing("\\", with: "\\\\"))\""
    let messages = refusals(native(rule))
    // The text starts behind `    when: "`.
    let column = Int(expected.prefix { $0 != ":" })! + 11
    let message = "p.yaml:8:\(column)" + expected.drop { $0 != ":" }
    #expect(messages.count == 1 && messages[0].hasPrefix(message), "\(messages) \(message)")
  }

  @Test func placesInBlockAndPlainScalars() {
    let rule = "  - id: r\n    then: deny\n    when: tool == 'a' and tol == 'b'"
    #expect(refusals(native(rule))[0].hasPrefix("p.yaml:8:27: unknown field \"tol\""))
    let block = "  - id: r\n    then: deny\n    when: |\n      tool == 'a'\n      and tol == 'b'"
    #expect(refusals(native(block))[0].hasPrefix("p.yaml:10:1: unknown field \"tol\""))
  }

  @Test func depthAndSizeAreBounded() {
    let deep = String(repeating: "(", count: 5000) + "true" + String(repeating: ")", count: 5000)
    #expect(refusals(native("  - {id: r, then: deny, when: \"\(deep)\"}"))[0].contains("deeper"))
    let nots = String(repeating: "not ", count: 3000) + "true"
    #expect(refusals(native("  - {id: r, then: deny, when: \"\(nots)\"}"))[0].contains("deeper"))
    let long = Array(repeating: "tool == 'aaaaaaaaaa'", count: 2000).joined(separator: " or ")
    #expect(refusals(native("  - {id: r, then: deny, when: \"\(long)\"}"))[0].contains("bytes"))
  }

  @Test func declaredFieldsAreCanonical() throws {
    let extra = "fields: {args.file: path, amount: number, target: object, target.host: host}"
    let path = #"{"args": {"file": "/w/../etc"}}"#
    #expect(try holds("args.file startswith '/w/'", path, extra: extra) == .no)
    let host = #"{"target": {"host": "A.org"}}"#
    #expect(try holds("target.host == 'a.org'", host, extra: extra) == .yes)
    let bad = #"{"target": {"host": "a b"}}"#
    #expect(try holds("target.host == 'a.org'", bad, extra: extra) == .error)
    #expect(try holds("amount > 3", #"{"amount": 4}"#, extra: extra) == .yes)
  }

  @Test func flatAndNestedSpellings() throws {
    #expect(try holds("data.kind == 'x'", #"{"data.kind": "x"}"#) == .yes)
    #expect(try holds("data.kind == 'x'", #"{"data": {"kind": "x"}, "data.kind": "x"}"#) == .yes)
    #expect(try holds("data.kind == 'x'", #"{"data": {"kind": "y"}, "data.kind": "x"}"#) == .error)
  }

  /// The interpreter, which is used where memory cannot be made executable, has the same bounds.
  @Test(arguments: ["", "(*NO_JIT)"])
  func patternsAreBounded(_ prefix: String) throws {
    let pattern = try Pattern(prefix + "^(ab|abab)+c")
    if prefix.isEmpty { #expect(pattern.isCompiledToMachineCode) }
    let state = MatchState()
    #expect(pattern.isFound(in: "ababc".utf8Span.span, using: state) == true)
    #expect(pattern.isFound(in: "abab".utf8Span.span, using: state) == false)
    let long = String(repeating: "ab", count: 60) + "xc"
    #expect(pattern.isFound(in: long.utf8Span.span, using: state) == nil)
    let deep = try Pattern(prefix + "^(?:(a)|b)*$")
    let text = String(repeating: "ab", count: 50_000)
    // Found, or a bound was reached; never a crash.
    _ = deep.isFound(in: text.utf8Span.span, using: state)
  }

  @Test func matchThatTakesTooLongDenies() throws {
    // Harmless on the texts that are tried when a pattern is loaded.
    let set = try load(
      native(
        """
          - {id: slow, when: "message matches '^(ab|abab)+c'", then: deny}
          - {id: all, when: "true", then: allow}
        """))
    let text = String(repeating: "ab", count: 60) + "xc"
    let decision = set.decide(try request(#"{"message": "\#(text)"}"#))
    #expect(decision.verdict == .deny)
    #expect(decision.operatorReason.contains("the condition of slow could not be computed"))
    #expect(try set.verdict(#"{"message": "abab"}"#) == .allow)
  }
}
