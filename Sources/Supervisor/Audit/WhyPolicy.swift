internal import Audit
internal import JSON

/// What policies and people refused.
extension Why {
  /// nil for what was allowed.
  func decision(_ data: JSONObject) -> Refusal? {
    guard let verdict = data["verdict"]?.stringValue, verdict != "allow" else { return nil }
    let subject = data["subject"]?.stringValue ?? ""
    let rule = data["rule"]?.stringValue
    var refusal = Refusal(
      layer: verdict == "deny" ? .policy : .approval,
      object: "\(data["kind"]?.stringValue ?? "request") of \(subject)",
      rule: rule ?? "none: the default of \(files.joined(separator: ", "))")
    if verdict != "deny" {
      refusal.edit = "ask with approval: true, and answer with agt approve"
    } else if let rule, let place = rule.split(separator: " ").first {
      // Written for the rule that decided; one that stands behind it can deny as well, and is named then.
      refusal.edit = "\(place): then: allow"
    } else if let file = files.first, let field = data["field"]?.stringValue,
      Self.isPlain(subject)
    {
      refusal.edit =
        "\(file): a rule {id: allow-\(subject), when: \(field) == '\(subject)', then: allow}"
    } else {
      refusal.reason = "no rule of \(files.joined(separator: ", ")) allows it"
    }
    return refusal
  }

  /// Whether a name is nothing but a name: it is the agent's, and somebody will paste it into a policy.
  private static func isPlain(_ name: String) -> Bool {
    !name.isEmpty
      && name.utf8.allSatisfy { byte in
        (byte >= 48 && byte <= 57) || (byte | 32 >= 97 && byte | 32 <= 122) || byte == 95
          || byte == 46 || byte == 45
      }
  }

  /// nil for a yes.
  func approval(_ entry: Entry) -> Refusal? {
    let id = entry.data["approval"]?.stringValue ?? ""
    let asked = entries.first {
      $0.kind == .approvalPending && $0.data["approval"]?.stringValue == id
    }
    let rules = asked?.data["rules"]?.arrayValue?.compactMap(\.stringValue) ?? []
    var refusal = Refusal(
      layer: .approval, object: "request \(id)", rule: rules.joined(separator: ", "))
    if entry.kind == .approvalExpired {
      let time = asked?.data["expiresInMilliseconds"]?.integerValue ?? 0
      refusal.edit =
        "agt approve within \(Amounts.duration(UInt64(max(0, time)))), "
        + "or \(rules.first?.split(separator: " ").first ?? "the rule"): approvers: {expires: …} gives longer"
      return refusal
    }
    guard entry.data["verdict"] == "deny" else { return nil }
    let uid = entry.data["uid"]?.integerValue ?? 0
    let words = entry.data["reason"]?.stringValue ?? ""
    refusal.reason = "user \(uid) said no" + (words.isEmpty ? "" : ": \(words)")
    return refusal
  }

  private var files: [String] {
    entries.first { $0.kind == .policyLoaded }?.data["files"]?.arrayValue?.compactMap(
      \.stringValue) ?? []
  }
}
