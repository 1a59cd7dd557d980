internal import Glibc
internal import JSON
internal import Policy

/// Times of the policy engine: decisions of small and large sets, a pack of regular expressions,
/// loading. Prints p50 and p99 in microseconds beside what must be reached.
enum PolicyBenchmark {
  /// - Parameter arguments: `[ITERATIONS]`, 20,000 without.
  static func run(_ arguments: [String]) {
    let iterations = arguments.first.flatMap { Int($0) } ?? 20_000
    guard iterations > 0 else {
      print("policy benchmark: ITERATIONS is a number above 0")
      return
    }
    print("policy engine, \(iterations) iterations, microseconds")
    decisions(100, must: "p50 2, p99 10", iterations)
    decisions(1_000, must: "p50 10", iterations)
    patterns(1_500, iterations: max(20, iterations / 200))
    loading(100, iterations: max(20, iterations / 200))
    growth(iterations)
  }

  /// Memory in use before and after many decisions, counted ones too.
  private static func growth(_ iterations: Int) {
    let set = load(ordinaryRules(100))
    let requests = (0..<64).map { number in Request(fields(number, 100)) }
    var buckets = TokenBuckets()
    var before = 0
    for round in 0..<2 * iterations {
      if round == iterations { before = residentMaxKiB() }
      _ = set.decide(
        requests[round & 63], buckets: &buckets, nowMilliseconds: UInt64(round))
    }
    print("  growth over \(iterations) decisions: \(residentMaxKiB() - before) KiB (must: 0)")
  }

  /// getrusage(2).
  private static func residentMaxKiB() -> Int {
    var usage = rusage()
    // SAFETY: the pointer is to a local variable.
    unsafe getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    return usage.ru_maxrss
  }

  // MARK: Decisions

  private static func decisions(_ count: Int, must: String, _ iterations: Int) {
    let set = load(ordinaryRules(count))
    let requests = (0..<64).map { number in Request(fields(number, count)) }
    report("\(count) rules, decide", must: must) {
      times(iterations) { round in set.decide(requests[round & 63]).verdict.rawValue }
    }
    let parsed = (0..<64).map { fields($0, count) }
    report("\(count) rules, request and decide", must: "") {
      times(iterations) { round in set.decide(Request(parsed[round & 63])).verdict.rawValue }
    }
  }

  private static func fields(_ number: Int, _ count: Int) -> JSONObject {
    [
      "kind": "tool.call", "tool": .string("tool-\(number * 7 % count)"), "agent": "alice",
      "args": ["--verbose", .string("item-\(number)")], "path": "/workspace/src/main.swift",
      "ring": 2, "host": "api.example.org", "port": 443,
    ]
  }

  /// What people write: mostly about one tool, some about paths, hosts and amounts of any tool.
  private static func ordinaryRules(_ count: Int) -> String {
    var text = "apiVersion: agt-run/v1\nkind: Policy\nmetadata: {name: bench}\nrules:\n"
    for number in 0..<count {
      let condition: String
      switch number % 10 {
      case 0..<6: condition = "tool == 'tool-\(number)' and path under '/workspace'"
      case 6: condition = "tool in ['tool-\(number)', 'other-\(number)'] and ring <= 2"
      case 7: condition = "tool == 'tool-\(number)' and '--force' in args"
      case 8: condition = "tool == 'tool-\(number)' and host glob '*.example.org' and port == 443"
      default:
        condition =
          number % 100 == 9
          ? "exists(path) and path under '/etc'"
          : "tool == 'tool-\(number)' and path matches '\\.(key|pem)$'"
      }
      let verdict = number % 10 == 7 || number % 10 == 9 ? "deny" : "allow"
      text += "  - {id: r\(number), when: \"\(escaped(condition))\", then: \(verdict)}\n"
    }
    return text
  }

  // MARK: Patterns

  /// A pack as communities publish it: most expressions have a word that a text must contain,
  /// some are only character classes.
  private static func patterns(_ count: Int, iterations: Int) {
    let set = load(patternPack(count))
    let words = ["please", "summarise", "the", "report", "for", "quarter", "and", "send", "it"]
    var text = ""
    var number = 0
    while text.utf8.count < 1_024 {
      text += words[number % words.count] + " item\(number * 37 % 1000) "
      number += 1
    }
    let request = Request(["tool": "chat", "message": .string(String(text.prefix(1_024)))])
    report("\(count) regular expressions over 1 KiB", must: "p50 1000") {
      times(iterations) { _ in set.decide(request).verdict.rawValue }
    }
  }

  private static func patternPack(_ count: Int) -> String {
    let verbs = ["ignore", "disregard", "bypass", "reveal", "override", "forget", "leak", "dump"]
    let objects = ["instructions", "prompt", "rules", "credentials", "secrets", "policy", "keys"]
    var text = "apiVersion: agt-run/v1\nkind: Policy\nmetadata: {name: pack}\nrules:\n"
    for number in 0..<count {
      let verb = verbs[number % verbs.count]
      let object = objects[number % objects.count]
      let pattern: String
      switch number % 20 {
      case 0: pattern = "\\b\\d{3}-\\d{2}-\\d{\(4 + number % 3)}\\b"
      case 1..<6: pattern = "(?i)\\b\(verb)\\s+(all\\s+)?(previous|prior) \(object)\(number)\\b"
      case 6..<11: pattern = "(?i)(curl|wget)\\s+.*host\(number)\\.example.*\\|\\s*(ba)?sh"
      case 11..<15: pattern = "AKIA\(number)[0-9A-Z]{16}"
      case 15..<18: pattern = "(?i)(api|secret)[_-]?key\(number)\\s*[:=]\\s*['\\\"][^'\\\"]{8,}"
      default: pattern = "/etc/(shadow|passwd|sudoers)\\.\(number)"
      }
      let condition = "message matches '\(pattern.replacing("'", with: "''"))'"
      text += "  - {id: p\(number), when: \"\(escaped(condition))\", then: deny}\n"
    }
    return text
  }

  // MARK: Loading

  private static func loading(_ count: Int, iterations: Int) {
    let text = Array(ordinaryRules(count).utf8)
    report("loading \(count) rules", must: "p50 3000") {
      times(iterations) { _ in
        let set = try? PolicySet.load([PolicySource(name: "bench.yaml", bytes: text)])
        return set?.rules.count ?? 0
      }
    }
  }

  // MARK: Measuring

  private static func escaped(_ text: String) -> String {
    text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"")
  }

  private static func load(_ text: String) -> PolicySet {
    do {
      return try PolicySet.load([PolicySource(name: "bench.yaml", bytes: Array(text.utf8))])
    } catch {
      preconditionFailure("the benchmark's policy does not load: \(error)")
    }
  }

  private static func times(_ iterations: Int, _ body: (Int) -> Int) -> [UInt64] {
    var sum = 0
    for round in 0..<min(iterations, 1_000) { sum &+= body(round) }
    var times: [UInt64] = []
    times.reserveCapacity(iterations)
    for round in 0..<iterations {
      let start = nanoseconds()
      sum &+= body(round)
      times.append(nanoseconds() - start)
    }
    precondition(sum != Int.min)
    return times.sorted()
  }

  private static func nanoseconds() -> UInt64 {
    var time = timespec()
    // SAFETY: the pointer is to a local variable.
    unsafe clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
  }

  private static func report(_ name: String, must: String, _ measure: () -> [UInt64]) {
    let times = measure()
    let p50 = format(times[times.count / 2])
    let p99 = format(times[min(times.count - 1, times.count * 99 / 100)])
    print("  \(name): p50 \(p50), p99 \(p99)" + (must.isEmpty ? "" : " (must: \(must))"))
  }

  /// Microseconds with two places.
  private static func format(_ nanoseconds: UInt64) -> String {
    let hundredths = String(nanoseconds % 1_000 / 10)
    return "\(nanoseconds / 1_000)." + (hundredths.utf8.count == 1 ? "0" : "") + hundredths
  }
}
