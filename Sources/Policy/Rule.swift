/// What may happen with a request; a greater verdict is stricter.
public enum Verdict: Int, Sendable, Comparable, CaseIterable {
  case allow, requireApproval, deny

  public static func < (first: Verdict, second: Verdict) -> Bool {
    first.rawValue < second.rawValue
  }

  /// As in files and JSON.
  public var name: String {
    switch self {
    case .allow: "allow"
    case .requireApproval: "require_approval"
    case .deny: "deny"
    }
  }

  public init?(name: String) {
    guard let verdict = Self.allCases.first(where: { $0.name == name }) else { return nil }
    self = verdict
  }
}

/// What has to be done besides following the verdict.
public enum Obligation: Equatable, Sendable {
  /// An entry of the audit log of its own, however many equal requests there are.
  case audit
  /// Tell the agent and the audit log.
  case warn(String)
  /// Kill the run.
  case kill
  /// Roll back the workspace transaction or the saga.
  case rollback
  /// Judge the run's further requests as those of this ring, 0 to 3.
  case demote(Int)
  /// Count the request against this limit; `decide(_:buckets:nowMilliseconds:)` does.
  case rateLimit(RateLimit)
  /// Who has to approve.
  case approval(Approval)

  /// As in files and JSON.
  public var name: String {
    switch self {
    case .audit: "audit"
    case .warn: "warn"
    case .kill: "kill"
    case .rollback: "rollback"
    case .demote: "demote"
    case .rateLimit: "rate_limit"
    case .approval: "approval"
    }
  }
}

/// At most `count` requests in a period, as a token bucket: full at first, refilled evenly.
public struct RateLimit: Equatable, Hashable, Sendable {
  /// 0 refuses every request.
  public let count: Int
  /// nil for a budget that is never refilled.
  public let periodMilliseconds: UInt64?
}

/// Who may approve a request, how many of them, and how long that is valid.
public struct Approval: Equatable, Sendable {
  public var approvers: [String] = []
  public var groups: [String] = []
  /// Different approvers that are needed, at least 1.
  public var quorum = 1
  /// After this time without approval the request is denied.
  public var expiresMilliseconds: UInt64 = 300_000
  /// How long after the approval it may be used; nil is the broker's default.
  public var useWithinMilliseconds: UInt64?
}

/// One rule as it was read, with its place. A class, so that decisions share it.
public final class Rule: Sendable {
  public let id: String
  public let file: String
  /// 1-based.
  public let line: Int
  /// 1-based, in characters.
  public let column: Int
  public let verdict: Verdict
  /// The condition as text.
  public let condition: String
  /// What the agent is told.
  public let say: String
  /// Why the rule is there, for the operator; may be empty.
  public let why: String
  /// nil for every stage.
  public let stage: Stage?
  public let obligations: [Obligation]
  public let limit: RateLimit?
  /// Of the toolkit's forms; higher is first.
  public let priority: Int
  /// Index into `PolicySet.documents`.
  public let document: Int
  /// As written, for messages: allow, deny, warn, block …
  public let action: String
  /// Depth of the folder that the rule comes from: what a folder denies, deeper ones cannot allow.
  let level: Int
  /// Its node in the program.
  let root: Int32
  /// Where the condition's text starts, for lint.
  let conditionPlace: Place

  /// Whether the rule only takes away: unknown conditions then count as true.
  var isRestriction: Bool { verdict != .allow }

  init(
    id: String, file: String, line: Int, column: Int, verdict: Verdict, condition: String,
    say: String, why: String, stage: Stage?, obligations: [Obligation], limit: RateLimit?,
    priority: Int, document: Int, action: String, level: Int = 0, root: Int32, conditionPlace: Place
  ) {
    self.id = id
    self.file = file
    self.line = line
    self.column = column
    self.verdict = verdict
    self.condition = condition
    self.say = say
    self.why = why
    self.stage = stage
    self.obligations = obligations
    self.limit = limit
    self.priority = priority
    self.document = document
    self.action = action
    self.level = level
    self.root = root
    self.conditionPlace = conditionPlace
  }
}

/// A place in a file, 1-based.
public struct Place: Equatable, Sendable, CustomStringConvertible {
  public let file: String
  public let line: Int
  public let column: Int

  /// `coding-agent.yaml:14:7`
  public var description: String { "\(file):\(line):\(column)" }
}

/// The three forms of documents.
public enum DocumentForm: String, Sendable {
  /// `apiVersion: agt-run/v1`.
  case native
  /// `governance.toolkit/v1`: conditions are strings.
  case toolkit
  /// PolicyDocument: conditions are {field, operator, value}.
  case document
}

/// One policy document of a set.
public struct Document: Sendable {
  public let name: String
  public let file: String
  public let form: DocumentForm
  /// What happens when no rule matches; always deny in the native form.
  public let defaultVerdict: Verdict
  /// Whether the default is only recorded (`audit`).
  let defaultObligations: [Obligation]
  /// nil for every agent.
  public let agents: [String]?
  public let scope: PolicyScope
  /// Whether the document has a list of rules; one with only `network` judges nothing.
  let isJudging: Bool
  /// A trust policy of the toolkit: a lower priority is first.
  let isAscending: Bool
  /// Own strategy, if it names one.
  let strategy: ConflictStrategy?
}

/// Breadth of a toolkit policy; a greater one is more specific.
public enum PolicyScope: String, Sendable, CaseIterable {
  case global, tenant, organization, agent

  var specificity: Int { Self.allCases.firstIndex(of: self)! }
}

/// How toolkit documents settle several matching rules.
public enum ConflictStrategy: String, Sendable, CaseIterable {
  case denyOverrides = "deny_overrides"
  case allowOverrides = "allow_overrides"
  case priorityFirstMatch = "priority_first_match"
  case mostSpecificWins = "most_specific_wins"
}
