internal import JSON

extension PolicySet {
  private func finding(_ code: String, _ rule: Rule, _ message: String) -> PolicyLint.Finding {
    PolicyLint.Finding(
      code: code, place: Place(file: rule.file, line: rule.line, column: rule.column),
      message: message, isError: false)
  }

  // MARK: Rules beside each other

  func lintDuplicates() -> [PolicyLint.Finding] {
    var first: [String: Rule] = [:]
    var findings: [PolicyLint.Finding] = []
    for rule in rules {
      guard let other = first[rule.id] else {
        first[rule.id] = rule
        continue
      }
      findings.append(
        finding(
          "duplicate-id", rule,
          "the id \(Text.quote(rule.id)) is also at \(other.file):\(other.line):\(other.column); "
            + "rename one, so that a record names one rule"))
    }
    return findings
  }

  /// Comparing every pair costs time beyond this; packs of that size are generated.
  private static let comparedRulesMax = 2_000

  func lintReachability() -> [PolicyLint.Finding] {
    guard rules.count <= Self.comparedRulesMax else { return [] }
    var findings: [PolicyLint.Finding] = []
    let parts = rules.map { conjuncts($0.root) }
    for (number, rule) in rules.enumerated() {
      let other = rules.indices.first { other in
        other != number && parts[other].count <= parts[number].count
          && covers(parts[other], parts[number]) && decides(other, instead: number)
          && (rules[other].stage == nil || rules[other].stage == rule.stage)
      }
      guard let other else { continue }
      findings.append(
        finding(
          "unreachable-rule", rule,
          "the rule \(rule.id) has no effect: \(rules[other].id) at \(place(rules[other])) applies "
            + "to every request that it is for"))
    }
    return findings
  }

  /// Whether one matching rule makes another of no account.
  private func decides(_ other: Int, instead number: Int) -> Bool {
    let (first, second) = (rules[other], rules[number])
    let (document, own) = (documents[first.document], documents[second.document])
    guard document.form == own.form, second.obligations.isEmpty else { return false }
    let strategy: ConflictStrategy
    switch document.form {
    case .native: strategy = .denyOverrides
    case .toolkit: strategy = self.strategy ?? document.strategy ?? .denyOverrides
    case .document: strategy = self.strategy ?? document.strategy ?? .priorityFirstMatch
    }
    let isBefore =
      first.priority == second.priority
      ? other < number
      : (first.priority > second.priority) != document.isAscending
    switch strategy {
    case .denyOverrides:
      return first.verdict == second.verdict ? isBefore : first.verdict > second.verdict
    case .priorityFirstMatch:
      return isBefore
    case .allowOverrides, .mostSpecificWins:
      return false
    }
  }

  /// Whether a condition holds whenever another does, as far as their conjuncts show.
  private func covers(_ general: [Int32], _ special: [Int32]) -> Bool {
    general.allSatisfy { demand in
      special.contains { isImplied(demand, by: $0) }
        || program.nodes[Int(demand)].kind == .constant && program.nodes[Int(demand)].index == 1
    }
  }

  private func isImplied(_ demand: Int32, by part: Int32) -> Bool {
    if isSame(demand, part) { return true }
    guard
      case (.field(let first), .field(let second)) =
        (program.nodes[Int(demand)].left, program.nodes[Int(part)].left), first == second
    else { return false }
    guard let wide = texts(demand), let narrow = texts(part) else { return false }
    return wide.field == narrow.field && wide.values.isSuperset(of: narrow.values)
  }

  private func isSame(_ first: Int32, _ second: Int32) -> Bool {
    let (left, right) = (program.nodes[Int(first)], program.nodes[Int(second)])
    guard left.kind == right.kind, left.isNegated == right.isNegated,
      isSame(left.left, right.left), isSame(left.right, right.right)
    else { return false }
    switch left.kind {
    case .and, .or:
      guard left.count == right.count else { return false }
      return (0..<Int(left.count)).allSatisfy {
        isSame(
          program.children[Int(left.index) + $0], program.children[Int(right.index) + $0])
      }
    case .not: return isSame(left.index, right.index)
    case .inSet:
      let sets = (program.sets[Int(left.index)], program.sets[Int(right.index)])
      return sets.0.texts == sets.1.texts && sets.0.others == sets.1.others
    case .inNetwork: return program.networks[Int(left.index)] == program.networks[Int(right.index)]
    case .glob:
      return program.globs[Int(left.index)].pattern == program.globs[Int(right.index)].pattern
    default: return left.index == right.index
    }
  }

  private func isSame(_ first: Node.Operand, _ second: Node.Operand) -> Bool {
    switch (first, second) {
    case (.none, .none): true
    case (.field(let left), .field(let right)), (.size(let left), .size(let right)): left == right
    case (.constant(let left), .constant(let right)):
      program.constants[Int(left)] == program.constants[Int(right)]
    default: false
    }
  }

  func lintLetterCase() -> [PolicyLint.Finding] {
    var spellings: [String: String] = [:]
    var findings: [PolicyLint.Finding] = []
    for rule in rules {
      for leaf in leaves(rule.root) {
        guard let (field, values) = texts(leaf) else { continue }
        for value in values.sorted() {
          let key = field + " " + value.lowercased()
          guard let other = spellings[key] else {
            spellings[key] = value
            continue
          }
          if other != value {
            findings.append(
              finding(
                "letter-case", rule,
                "\(field) is compared with \(Text.quote(value)) here and with "
                  + "\(Text.quote(other)) elsewhere; letter case matters"))
          }
        }
      }
    }
    return findings
  }

  func lintDefaults() -> [PolicyLint.Finding] {
    var findings: [PolicyLint.Finding] = []
    for form in [DocumentForm.toolkit, .document] {
      let judging = documents.filter { $0.form == form }
      guard let first = judging.first,
        let other = judging.first(where: { $0.defaultVerdict != first.defaultVerdict })
      else { continue }
      findings.append(
        PolicyLint.Finding(
          code: "mixed-defaults", place: Place(file: other.file, line: 1, column: 1),
          message: "the default here is \(other.defaultVerdict.name), but that of \(first.file) "
            + "(\(first.defaultVerdict.name)) counts because it is read first",
          isError: false))
    }
    return findings
  }

  // MARK: Network

  /// Suffixes with two labels under which strangers register names (publicsuffix.org); with one
  /// label all are.
  private static let publicSuffixes: Set<String> = [
    "co.uk", "org.uk", "ac.uk", "gov.uk", "me.uk", "com.au", "net.au", "org.au", "co.nz", "co.jp",
    "ne.jp", "or.jp", "com.br", "com.cn", "net.cn", "org.cn", "com.mx", "com.tr", "com.tw",
    "com.sg", "com.hk", "co.in", "co.kr", "co.za", "com.ar", "com.ua", "com.pl", "github.io",
    "gitlab.io", "pages.dev", "workers.dev", "vercel.app", "netlify.app", "herokuapp.com",
    "web.app", "firebaseapp.com", "appspot.com", "run.app", "cloudfront.net", "amazonaws.com",
    "azurewebsites.net", "windows.net", "blogspot.com", "ngrok.io", "ngrok.app",
    "trycloudflare.com",
    "fly.dev", "onrender.com", "repl.co", "glitch.me", "surge.sh", "duckdns.org", "nip.io",
    "sslip.io",
  ]

  static func lintNetwork(_ rule: NetworkRule) -> [PolicyLint.Finding] {
    var message: (code: String, text: String)?
    switch rule.destination {
    case .host: break
    case .subdomains(let suffix):
      if !suffix.utf8.contains(UInt8(ascii: ".")) || publicSuffixes.contains(suffix) {
        message = (
          "public-suffix-wildcard",
          "anyone can register a name under \(suffix); name the hosts that are meant"
        )
      }
    case .network(let network):
      let least = network.address.isIPv4 ? 8 : 32
      let metadata = ["169.254.169.254", "100.100.100.200", "fd00:ec2::254"].compactMap {
        IPAddress($0)
      }
      if network.prefixLength < least {
        message = ("wide-network", "the network is a large part of the internet; narrow it")
      } else if metadata.contains(where: network.contains) {
        message = (
          "wide-network",
          "the network holds a cloud's metadata service, which hands out credentials; narrow it"
        )
      }
    }
    return message.map {
      [PolicyLint.Finding(code: $0.code, place: rule.place, message: $0.text, isError: false)]
    } ?? []
  }
}
