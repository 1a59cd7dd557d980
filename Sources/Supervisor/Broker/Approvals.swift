internal import Audit
internal import Broker
internal import Hashing
internal import JSON
internal import Kernel
internal import Policy

/// The approvals of a run: what its broker parked, who may answer, and who waits for the answer.
///
/// A person approves a digest, and what the digest stands for is what is executed, from memory. Whoever cannot be
/// reached cannot approve: then the request is denied at once and not when its time is over.
final class Approvals {
  private var desk = ApprovalDesk()
  private var entries: [String: Entry] = [:]
  private let run: String
  private let owner = Identity.effectiveUID
  private let accounts: Accounts
  private let events: RunEvents
  private let audit: RunAudit
  private let notifier: ApprovalNotifier
  private var remembered: RememberedApprovals
  /// Of the files of what is remembered; nil for a user who has no place for them.
  private let rememberedDirectory: String?
  private var count: UInt64 = 0

  /// What a parked request needs besides its ticket.
  private struct Entry {
    let rules: [Approval]
    /// Executes the stored request once it is approved; nil when its requester does that.
    let execute: ((_ done: @escaping (JSONValue) -> Void) throws(BrokerError) -> Void)?
    /// Who waits for the end.
    var waiter: ((JSONValue) -> Void)?
  }

  /// For an answer, unless the rule says otherwise.
  private static let expiresMilliseconds: UInt64 = 300_000
  /// After an approval, unless the rule says otherwise.
  private static let useWithinMilliseconds: UInt64 = 300_000
  /// Whoever asks must not choose the id, or it would be that of what a person has just read.
  private static let idBytes = 6

  init(
    run: String, _ caller: Caller, _ notifier: ApprovalNotifier, _ events: RunEvents,
    _ audit: RunAudit
  ) {
    self.run = run
    self.events = events
    self.audit = audit
    self.notifier = notifier
    accounts = Accounts()
    rememberedDirectory = OperatorFile.directory(caller).map {
      $0 + "/" + RememberedApprovals.directoryName
    }
    remembered = RememberedApprovals(
      directory: rememberedDirectory, uid: owner, now: AuditClock.milliseconds)
    for problem in remembered.problems {
      events.emit("approval.unreadable", ["message": .string(problem)])
    }
  }

  // MARK: asking

  /// - Parameter decisions: those that want an approval; one person's yes answers all of them.
  /// - Returns: the ticket, or why nobody will be asked.
  func park(
    _ decisions: [Decision], facts: JSONObject, client: UInt64, now: UInt64,
    execute: ((_ done: @escaping (JSONValue) -> Void) throws(BrokerError) -> Void)?
  ) throws(BrokerError) -> ApprovalDesk.Ticket {
    var rules: [Approval] = []
    for case .approval(let approval) in decisions.flatMap(\.obligations) { rules.append(approval) }
    let quorum = rules.map(\.quorum).max() ?? 1
    let reachable = Set([owner, 0]).filter { mayAnswer($0, rules) }
    guard reachable.count >= quorum else {
      throw BrokerError(
        .denied,
        "this needs the approval of \(quorum == 1 ? "somebody" : "\(quorum) people") who cannot be reached"
      )
    }
    count += 1
    var request = facts
    request["number"] = JSONValue(count)
    request["rules"] = .array(decisions.flatMap(\.rules).map { .string($0.id) })
    request["policy"] = JSONValue(decisions.first?.policyDigest)
    let kept =
      quorum == 1
      ? remembered.entry(for: request, now: AuditClock.milliseconds) { mayAnswer($0, rules) } : nil
    guard let bytes = try? JSONWriter.canonical(.object(request)) else {
      throw BrokerError(.invalidParams, "a number in it is beyond what can be approved exactly")
    }
    let digest = SHA256.text(bytes)
    request["digest"] = .string("sha256:" + digest)
    let id = Hexadecimal.encode(Array(SigningKey.randomSeed().prefix(Self.idBytes)))
    guard
      desk[id] == nil,
      let ticket = desk.park(
        id: id, request: .object(request), client: client, quorum: quorum, nowMilliseconds: now,
        expiresAfter: rules.map(\.expiresMilliseconds).min() ?? Self.expiresMilliseconds,
        useWithin: rules.compactMap(\.useWithinMilliseconds).min() ?? Self.useWithinMilliseconds)
    else {
      throw BrokerError(.busy, "\(ApprovalDesk.pendingMax) requests wait for approval already")
    }
    entries[id] = Entry(rules: rules, execute: execute)
    events.emit("approval.pending", ["approval": .string(id), "quorum": JSONValue(quorum)])
    audit.record(
      .approvalPending,
      [
        "approval": .string(id), "quorum": JSONValue(quorum),
        "rules": .array(decisions.flatMap(\.rules).map { .string($0.rule.place) }),
        "expiresInMilliseconds": JSONValue(ticket.expiresMilliseconds - now),
      ])
    if let kept {
      approve(id, kept, now)
    } else {
      notifier.tell(id, describe(ticket, now))
    }
    return ticket
  }

  /// What a person has said before holds for this one too.
  private func approve(_ id: String, _ kept: RememberedApprovals.Entry, _ now: UInt64) {
    let until = Timestamp.text(milliseconds: kept.expiresMilliseconds)
    guard
      let ticket = try? desk.approve(
        id, uid: kept.uid, reason: "remembered until \(until)", nowMilliseconds: now)
    else { return }
    var told: JSONObject = [
      "approval": .string(id), "uid": JSONValue(kept.uid), "verdict": "approve",
      "state": .string(ticket.state.name), "remembered": .string(kept.file),
    ]
    events.emit("approval.answered", told)
    told["reason"] = .string("remembered until \(until)")
    audit.record(.approvalAnswered, told)
  }

  func status(_ id: String, client: UInt64, now: UInt64) throws(BrokerError) -> JSONValue {
    expire(now)
    return .object(Self.describe(try own(id, client), now))
  }

  /// - Parameter done: gets the end, and for a stored request its result.
  /// - Returns: what is known already, or nil when `done` will have it.
  func wait(
    _ id: String, client: UInt64, now: UInt64, done: @escaping (JSONValue) -> Void
  ) throws(BrokerError) -> JSONValue? {
    expire(now)
    let ticket = try own(id, client)
    guard entries[id]?.waiter == nil else {
      throw BrokerError(.invalidRequest, "somebody waits for it already")
    }
    if ticket.isOver { return .object(Self.describe(ticket, now)) }
    if ticket.state == .approved, entries[id]?.execute == nil {
      return take(id, now) ? ["state": "approved"] : ["state": "expired"]
    }
    entries[id]?.waiter = done
    do throws(BrokerError) {
      if ticket.state == .approved { try use(id, now) }
    } catch {
      entries[id]?.waiter = nil
      forget()
      throw error
    }
    return nil
  }

  func withdraw(client: UInt64) {
    for ticket in desk.tickets where ticket.client == client { entries[ticket.id]?.waiter = nil }
    desk.withdraw(client: client)
    forget()
  }

  private func own(_ id: String, _ client: UInt64) throws(BrokerError) -> ApprovalDesk.Ticket {
    guard let ticket = desk[id], ticket.client == client else {
      throw BrokerError(.invalidParams, "approval: this connection has asked for no such approval")
    }
    return ticket
  }

  // MARK: answering

  /// - Parameters:
  ///   - uid: as the kernel says.
  ///   - memory: how long a yes holds for equal requests, in milliseconds; nil for this one only.
  func answer(
    _ id: String, uid: UInt32, isYes: Bool, digest: String?, reason: String,
    remember memory: UInt64? = nil, now: UInt64
  ) throws(OperatorRefusal) -> JSONObject {
    expire(now)
    guard let rules = entries[id]?.rules, let request = desk[id]?.request else {
      throw OperatorRefusal(message: "no request \(id) waits", hint: "agt pending lists them")
    }
    if isYes, digest != request["digest"]?.stringValue {
      throw OperatorRefusal(
        message: "request \(id) is not the one that was shown", hint: "agt pending shows it")
    }
    guard mayAnswer(uid, rules) else {
      throw OperatorRefusal(message: "user \(uid) is not one of those who may approve it")
    }
    // Before anything is answered: nothing is approved for once by somebody who wanted more.
    let kept = try memory.map { memory throws(OperatorRefusal) in try plan(id, uid, memory) }
    let ticket: ApprovalDesk.Ticket
    do throws(ApprovalDesk.Refusal) {
      let text = UntrustedText.cleaned(reason)
      ticket =
        isYes
        ? try desk.approve(id, uid: uid, reason: text, nowMilliseconds: now)
        : try desk.deny(id, uid: uid, reason: text, nowMilliseconds: now)
    } catch {
      switch error {
      case .unknown: throw OperatorRefusal(message: "no request \(id) waits")
      case .over(let state):
        throw OperatorRefusal(message: "request \(id) is \(state.name) already")
      case .answeredAlready:
        throw OperatorRefusal(message: "you have approved it already; another person has to")
      }
    }
    var told: JSONObject = [
      "approval": .string(id), "uid": JSONValue(uid), "verdict": isYes ? "approve" : "deny",
      "state": .string(ticket.state.name),
    ]
    events.emit("approval.answered", told)
    told["reason"] = .string(UntrustedText.cleaned(reason))
    if let memory { told["rememberMilliseconds"] = JSONValue(memory) }
    audit.record(.approvalAnswered, told)
    var answer: JSONObject = ["state": .string(ticket.state.name)]
    if let kept {
      remembered.add(kept.entry)
      answer["file"] = .string(kept.entry.file)
      answer["text"] = .string(kept.text)
    }
    if ticket.state == .approved, entries[id]?.waiter != nil {
      do throws(BrokerError) { try use(id, now) } catch {
        finish(id, ["state": "approved", "error": .string(error.message)])
      }
    } else if ticket.isOver {
      finish(id, Self.describe(ticket, now))
    }
    return answer
  }

  private func plan(
    _ id: String, _ uid: UInt32, _ memory: UInt64
  ) throws(OperatorRefusal) -> (entry: RememberedApprovals.Entry, text: String) {
    guard uid == owner, let directory = rememberedDirectory else {
      throw OperatorRefusal(
        message: "approve: only what user \(owner), whose run it is, approves is remembered",
        hint: "approve it without --remember")
    }
    guard let ticket = desk[id], ticket.quorum == 1, var request = ticket.request.objectValue else {
      throw OperatorRefusal(
        message: "approve: what several people have to approve is not remembered",
        hint: "approve it without --remember")
    }
    request["digest"] = nil
    return try RememberedApprovals.plan(
      id, request, for: memory, uid: uid, directory: directory, now: AuditClock.milliseconds)
  }

  func pending(uid: UInt32, now: UInt64) -> JSONValue {
    expire(now)
    return .array(
      desk.pending.map { ticket in
        var object = describe(ticket, now)
        object["mayAnswer"] = .bool(mayAnswer(uid, entries[ticket.id]?.rules ?? []))
        return .object(object)
      })
  }

  /// For people, and for programs that tell them.
  private func describe(_ ticket: ApprovalDesk.Ticket, _ now: UInt64) -> JSONObject {
    [
      "id": .string(ticket.id), "run": .string(run), "request": ticket.request,
      "quorum": JSONValue(ticket.quorum), "approvals": JSONValue(ticket.approvals.count),
      "expiresInMilliseconds": JSONValue(ticket.expiresMilliseconds - now),
      "text": .string(Self.text(ticket.request)),
    ]
  }

  /// The agent's own text last, and named as such.
  private static func text(_ request: JSONValue) -> String {
    var parts: [String] = []
    for member in request.objectValue?.members ?? [] where !untrusted.contains(member.name) {
      let value = member.value.stringValue ?? compact(member.value)
      parts.append("\(member.name): \(UntrustedText.cleaned(value))")
    }
    let said = request.objectValue?.members.filter { untrusted.contains($0.name) } ?? []
    for member in said {
      parts.append("\(member.name) (untrusted): \(UntrustedText.cleaned(compact(member.value)))")
    }
    return parts.joined(separator: "\n")
  }

  private static let untrusted: Set<String> = [
    "asked", "command", "input", "undoCommand", "undoInput",
  ]

  private static func compact(_ value: JSONValue) -> String {
    String(decoding: JSONWriter.compact(value), as: UTF8.self)
  }

  /// Every rule that asks for an approval has to know the person; one that names nobody takes every operator.
  private func mayAnswer(_ uid: UInt32, _ rules: [Approval]) -> Bool {
    rules.allSatisfy { rule in
      if rule.approvers.isEmpty && rule.groups.isEmpty { return true }
      return rule.approvers.contains { accounts.isNamed($0, uid) }
        || rule.groups.contains { accounts.isMember(uid, of: $0) }
    }
  }

  // MARK: the end

  /// When something expires next.
  var nextMilliseconds: UInt64? { desk.nextMilliseconds }

  func expire(_ now: UInt64) {
    for ticket in desk.expire(nowMilliseconds: now) {
      events.emit("approval.expired", ["approval": .string(ticket.id)])
      audit.record(.approvalExpired, ["approval": .string(ticket.id)])
      finish(ticket.id, Self.describe(ticket, now))
    }
  }

  /// Takes the approval for whoever waits, and goes on waiting if nothing begins.
  private func use(_ id: String, _ now: UInt64) throws(BrokerError) {
    guard take(id, now), let entry = entries[id], let waiter = entry.waiter else { return }
    guard let execute = entry.execute else { return finish(id, ["state": "approved"]) }
    try execute { result in waiter(["state": "approved", "result": result]) }
    entries[id]?.waiter = nil
    forget()
  }

  /// Each approval is good for one use.
  private func take(_ id: String, _ now: UInt64) -> Bool {
    guard desk.use(id, nowMilliseconds: now) else { return false }
    audit.record(.approvalUsed, ["approval": .string(id)])
    return true
  }

  private func finish(_ id: String, _ end: JSONObject) {
    entries[id]?.waiter?(.object(end))
    entries[id]?.waiter = nil
    forget()
  }

  private func forget() { entries = entries.filter { desk[$0.key] != nil } }

  private static func describe(_ ticket: ApprovalDesk.Ticket, _ now: UInt64) -> JSONObject {
    var object: JSONObject = ["state": .string(ticket.state.name)]
    if !ticket.isOver {
      object["expiresInMilliseconds"] = JSONValue(
        ticket.expiresMilliseconds - min(now, ticket.expiresMilliseconds))
      object["approvals"] = JSONValue(ticket.approvals.count)
      object["quorum"] = JSONValue(ticket.quorum)
    }
    if case .denied(let uid, let reason) = ticket.state {
      object["by"] = JSONValue(uid)
      if !reason.isEmpty { object["reason"] = .string(reason) }
    }
    return object
  }
}
