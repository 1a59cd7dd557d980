internal import JSON

/// `agt policy diff`: what two sets decide differently, each with an example.
public enum PolicyDiff {
  struct Change {
    let request: JSONObject
    let old: Decision
    let new: Decision
  }

  struct Reach {
    let host: String
    let port: Int
    let isReachable: Bool
  }

  /// - Returns: status 0 no difference was found, 1 differences, 2 cannot be loaded.
  public static func run(
    old: [PolicySource], new: [PolicySource], strategy: ConflictStrategy?, isJSON: Bool,
    loader: @escaping (String) -> LoadedFile
  ) -> ToolOutput {
    let sets: (PolicySet, PolicySet)
    do {
      sets = (
        try PolicySet.load(old, strategy: strategy, loader: loader),
        try PolicySet.load(new, strategy: strategy, loader: loader)
      )
    } catch {
      return .refused(error, isJSON: isJSON)
    }
    let changes = changes(sets.0, sets.1)
    let reaches = reaches(sets.0, sets.1)
    let status: Int32 = changes.isEmpty && reaches.isEmpty ? 0 : 1
    return isJSON
      ? .json(json(changes, reaches), status: status)
      : ToolOutput(text: text(changes, reaches), status: status)
  }

  /// One change for each pair of deciding rules, with the shortest request.
  private static func changes(_ old: PolicySet, _ new: PolicySet) -> [Change] {
    var found: [String: Change] = [:]
    for fields in Witness.requests(old) + Witness.requests(new) {
      let request = Request(fields)
      guard request.problem == nil else { continue }
      let change = Change(request: fields, old: old.decide(request), new: new.decide(request))
      if change.old.verdict == change.new.verdict { continue }
      let key = [change.old, change.new].map { decision in
        "\(decision.verdict.name) \(decision.decidingRule.map { "\($0.file) \($0.id)" } ?? "-")"
      }.joined(separator: " ")
      if let known = found[key], length(known.request) <= length(fields) { continue }
      found[key] = change
    }
    return found.sorted { $0.key < $1.key }.map(\.value).sorted {
      ($0.new.verdict.rawValue, length($0.request)) < ($1.new.verdict.rawValue, length($1.request))
    }
  }

  private static func length(_ request: JSONObject) -> Int {
    JSONWriter.compact(.object(request)).count
  }

  private static func reaches(_ old: PolicySet, _ new: PolicySet) -> [Reach] {
    var reaches: [Reach] = []
    for rule in old.network + new.network {
      let host: String
      switch rule.destination {
      case .host(let name): host = name
      case .subdomains(let suffix): host = "x." + suffix
      case .network(let network): host = network.address.description
      }
      for port in rule.ports {
        let before = old.networkRule(host: host, port: port) != nil
        let after = new.networkRule(host: host, port: port) != nil
        let isKnown = reaches.contains { $0.host == host && $0.port == port }
        if before != after && !isKnown {
          reaches.append(Reach(host: host, port: port, isReachable: after))
        }
      }
    }
    return reaches
  }

  private static func text(_ changes: [Change], _ reaches: [Reach]) -> String {
    var lines: [String] = []
    for change in changes {
      let request = String(decoding: JSONWriter.compact(.object(change.request)), as: UTF8.self)
      lines.append(
        "\(change.old.verdict.name) → \(change.new.verdict.name): "
          + Text.printable(request, bytesMax: 1_000))
      lines.append("  old: \(Text.printable(change.old.operatorReason, bytesMax: 500))")
      lines.append("  new: \(Text.printable(change.new.operatorReason, bytesMax: 500))")
    }
    for reach in reaches {
      lines.append(
        "network: \(reach.host):\(reach.port) is "
          + (reach.isReachable ? "now reachable" : "no longer reachable"))
    }
    let count = changes.count + reaches.count
    lines.append(count == 0 ? "no difference found" : "\(count) differences")
    return lines.joined(separator: "\n") + "\n"
  }

  private static func json(_ changes: [Change], _ reaches: [Reach]) -> JSONValue {
    [
      "changes": .array(
        changes.map { change in
          [
            "request": .object(change.request), "old": .object(change.old.json),
            "new": .object(change.new.json),
          ]
        }),
      "network": .array(
        reaches.map { reach in
          [
            "host": .string(reach.host), "port": .integer(Int64(reach.port)),
            "reachable": .bool(reach.isReachable),
          ]
        }),
    ]
  }
}
