public import JSON

/// What waits for people, and what they said: pure, so that every order of answers and clocks can be tested.
///
/// pending → approved → used; or denied, expired, withdrawn. Whatever a person did not approve in time is
/// denied; an approval is for one request, by its digest, once. It must never count one person twice, nor
/// anybody that the rule does not name, nor hold more than is bounded.
public struct ApprovalDesk: Sendable {
  public enum State: Equatable, Sendable {
    case pending
    case approved
    /// The request was executed, or its requester told.
    case used
    case denied(by: UInt32, reason: String)
    case expired
    /// Its requester is gone.
    case withdrawn
  }

  public struct Answer: Equatable, Sendable {
    public let uid: UInt32
    public let reason: String
  }

  public struct Ticket: Equatable, Sendable {
    public let id: String
    /// What is approved, for people and programs: the supervisor's facts first, the agent's text in `request`.
    public let request: JSONValue
    /// Who asked, to be told.
    public let client: UInt64
    public let quorum: Int
    public fileprivate(set) var expiresMilliseconds: UInt64
    public let useWithinMilliseconds: UInt64
    public fileprivate(set) var state: State
    public fileprivate(set) var approvals: [Answer] = []

    /// Whether nothing more can happen to it.
    public var isOver: Bool { state != .pending && state != .approved }
  }

  public enum Refusal: Error, Equatable, Sendable {
    case unknown
    case over(State)
    case answeredAlready
  }

  /// More wait for nobody.
  public static let pendingMax = 16
  /// What is over is remembered for those who ask late.
  public static let overMax = 64

  /// In the order in which they were made.
  public private(set) var tickets: [Ticket] = []

  public init() {}

  public var pending: [Ticket] { tickets.filter { $0.state == .pending } }

  public subscript(id: String) -> Ticket? { tickets.first { $0.id == id } }

  /// - Returns: nil when too many wait already.
  public mutating func park(
    id: String, request: JSONValue, client: UInt64, quorum: Int, nowMilliseconds: UInt64,
    expiresAfter: UInt64, useWithin: UInt64
  ) -> Ticket? {
    precondition(quorum >= 1 && self[id] == nil)
    let waiting = tickets.filter { !$0.isOver }.count
    guard waiting < Self.pendingMax else { return nil }
    let ticket = Ticket(
      id: id, request: request, client: client, quorum: quorum,
      expiresMilliseconds: Self.after(expiresAfter, nowMilliseconds),
      useWithinMilliseconds: useWithin, state: .pending)
    tickets.append(ticket)
    trim()
    return ticket
  }

  /// One person's yes. The caller has judged that this person may.
  /// - Returns: the ticket, which is approved when the quorum is reached.
  public mutating func approve(
    _ id: String, uid: UInt32, reason: String, nowMilliseconds: UInt64
  ) throws(Refusal) -> Ticket {
    let index = try pendingIndex(id, uid, nowMilliseconds)
    tickets[index].approvals.append(Answer(uid: uid, reason: reason))
    if tickets[index].approvals.count >= tickets[index].quorum {
      tickets[index].state = .approved
      tickets[index].expiresMilliseconds = Self.after(
        tickets[index].useWithinMilliseconds, nowMilliseconds)
    }
    return tickets[index]
  }

  /// One person's no is enough.
  public mutating func deny(
    _ id: String, uid: UInt32, reason: String, nowMilliseconds: UInt64
  ) throws(Refusal) -> Ticket {
    let index = try pendingIndex(id, uid, nowMilliseconds)
    tickets[index].state = .denied(by: uid, reason: reason)
    defer { trim() }
    return tickets[index]
  }

  /// Takes an approval, which is then gone.
  public mutating func use(_ id: String, nowMilliseconds: UInt64) -> Bool {
    _ = expire(nowMilliseconds: nowMilliseconds)
    guard let index = tickets.firstIndex(where: { $0.id == id }), tickets[index].state == .approved
    else { return false }
    tickets[index].state = .used
    trim()
    return true
  }

  /// Nobody is there any more to whom an approval would be of use.
  public mutating func withdraw(client: UInt64) {
    for index in tickets.indices where tickets[index].client == client && !tickets[index].isOver {
      tickets[index].state = .withdrawn
    }
    trim()
  }

  /// - Returns: what has expired now.
  public mutating func expire(nowMilliseconds: UInt64) -> [Ticket] {
    var expired: [Ticket] = []
    for index in tickets.indices
    where !tickets[index].isOver && tickets[index].expiresMilliseconds <= nowMilliseconds {
      tickets[index].state = .expired
      expired.append(tickets[index])
    }
    trim()
    return expired
  }

  /// When the next one expires; nil when none can.
  public var nextMilliseconds: UInt64? {
    tickets.lazy.filter { !$0.isOver }.map(\.expiresMilliseconds).min()
  }

  private func pendingIndex(
    _ id: String, _ uid: UInt32, _ now: UInt64
  ) throws(Refusal) -> Int {
    guard let index = tickets.firstIndex(where: { $0.id == id }) else { throw .unknown }
    let ticket = tickets[index]
    guard ticket.state == .pending else { throw .over(ticket.state) }
    guard ticket.expiresMilliseconds > now else { throw .over(.expired) }
    guard !ticket.approvals.contains(where: { $0.uid == uid }) else { throw .answeredAlready }
    return index
  }

  private mutating func trim() {
    let over = tickets.filter(\.isOver).count
    guard over > Self.overMax else { return }
    var rest = over - Self.overMax
    tickets.removeAll { ticket in
      guard ticket.isOver, rest > 0 else { return false }
      rest -= 1
      return true
    }
  }

  private static func after(_ delay: UInt64, _ now: UInt64) -> UInt64 {
    let (sum, overflow) = now.addingReportingOverflow(delay)
    return overflow ? .max : sum
  }
}

extension ApprovalDesk.State {
  /// As in answers.
  public var name: String {
    switch self {
    case .pending: "pending"
    case .approved: "approved"
    case .used: "used"
    case .denied: "denied"
    case .expired: "expired"
    case .withdrawn: "withdrawn"
    }
  }
}
