internal import Broker
internal import JSON
internal import Kernel
internal import Policy

/// `ring.elevate` and `ring.release`.
extension BrokerMethods {
  /// Names of one request.
  private static let elevatedToolsMax = 64

  func elevate(
    _ call: BrokerCall, _ counters: inout BrokerCounters
  ) throws(BrokerError) -> BrokerReply {
    let params = call.request.params
    let names = try Self.toolNames(params)
    guard let ring = params["ring"]?.integerValue else {
      throw BrokerError(.invalidParams, "ring: a whole number is needed")
    }
    let seconds: Int64
    switch params["ttl"] {
    case nil: seconds = ElevationDesk.ttlSeconds
    case .integer(let number)?: seconds = number
    default: throw BrokerError(.invalidParams, "ttl: a whole number of seconds is needed")
    }
    if let reason = params["reason"], reason.stringValue == nil {
      throw BrokerError(.invalidParams, "reason: a text is needed")
    }
    let asks = try Self.asks(params)
    let runner = try runner()
    for name in names where !runner.tools.contains(where: { $0.name == name }) {
      throw BrokerError(
        .invalidParams, "tools: there is no \(UntrustedText.cleaned(name)); tool.list names them")
    }
    var fields: JSONObject = [
      "target_ring": .integer(ring), "args": .object(["tools": JSONValue(names)]),
    ]
    if let reason = params["reason"] { fields["reason"] = reason }
    do throws(ElevationDesk.Denial) {
      try ElevationDesk.judge(ring: ring, callerRing: self.ring, ttlSeconds: seconds)
      if elevations.isDuplicate(names, client: call.client, now: call.now) { throw .duplicate }
    } catch {
      return forbid(fields, kind: "ring.elevate", Elevations.refusal(error), call, &counters)
    }
    let target = UInt8(ring)
    let ttl = UInt64(seconds) * 1000
    fields["ttl"] = JSONValue(ttl)
    let declared = try names.map { name throws(BrokerError) in try runner.tool(name, in: target) }
    let (decision, triggers) = judge(fields, kind: "ring.elevate", call, &counters)
    switch decision.verdict {
    case .allow where target == 1:
      // What a policy says alone is no person's word.
      let error = Elevations.refusal(
        .noSponsorship, "ring 1 needs a person's approval: a rule with then: require_approval")
      return forbid(fields, kind: "ring.elevate", error, call, &counters)
    case .allow: break
    case .deny:
      return BrokerReply(
        result: .refused(elevationRefusal(decision, .insufficientTrust)), triggers: triggers)
    case .requireApproval where !asks:
      return BrokerReply(
        result: .refused(elevationRefusal(decision, .noSponsorship)), triggers: triggers)
    case .requireApproval: break
    }
    var why: JSONObject = ["decision": JSONValue(decisions), "pid": JSONValue(call.peer.pid)]
    if let reason = params["reason"]?.stringValue {
      why["untrustedReason"] = .string(UntrustedText.cleaned(reason))
    }
    let asked = Asked(
      tools: declared, names: names, ring: target, ttlMilliseconds: ttl,
      reason: params["reason"], why: why, decision: decision, callerRing: self.ring)
    try look(asked.commands) { found in
      call.goOn { [unowned self] counters throws(BrokerError) in
        let programs = try found.get()
        try mayBegin()
        guard decision.verdict == .allow else { return try parkElevation(asked, programs, call) }
        try grant(asked, programs, call, approval: nil) { result in
          switch result {
          case .success(let lease): call.later(lease)
          case .failure(let error): call.laterRefused(error)
          }
        }
        return BrokerReply(result: .later)
      }
    }
    return BrokerReply(result: .later, triggers: triggers)
  }

  /// A wish that nothing but an approval is missing of.
  private struct Asked {
    let tools: [Tool]
    let names: [String]
    let ring: UInt8
    let ttlMilliseconds: UInt64
    /// The agent's own.
    let reason: JSONValue?
    let why: JSONObject
    let decision: Decision
    /// As which it was judged.
    let callerRing: UInt8

    var commands: BrokerMethods.Commands { tools.map { ($0.name, $0.fixedWords) } }
  }

  private func grant(
    _ asked: Asked, _ programs: Programs, _ call: BrokerCall, approval: String?,
    done: @escaping (Result<JSONValue, BrokerError>) -> Void
  ) throws(BrokerError) {
    let mayBegin = { [unowned self] () throws(BrokerError) in
      try self.mayBegin()
      guard ring <= asked.callerRing else {
        throw BrokerError(.notPermitted, "the run was demoted to ring \(ring) meanwhile")
      }
    }
    try mayBegin()
    var why = asked.why
    why["approval"] = JSONValue(approval)
    try elevations.grant(
      Elevations.Wish(
        tools: asked.names, ring: asked.ring, ttlMilliseconds: asked.ttlMilliseconds,
        client: call.client, programs: programs, why: why),
      now: AlarmClock.nowMilliseconds, mayBegin: mayBegin, done: done)
  }

  private func parkElevation(
    _ asked: Asked, _ programs: Programs, _ call: BrokerCall
  ) throws(BrokerError) -> BrokerReply {
    var said: JSONObject = [:]
    if let reason = asked.reason { said["reason"] = reason }
    var more: JSONObject = [
      "method": "ring.elevate", "targetRing": JSONValue(asked.ring),
      "ttlMilliseconds": JSONValue(asked.ttlMilliseconds),
      "tools": .array(
        asked.tools.map { tool in
          [
            "tool": .string(tool.name), "declared": .string(tool.place),
            "toolRing": JSONValue(tool.ring), "command": JSONValue(tool.template),
            "executes": programs[tool.name]?.json ?? .null,
          ]
        }),
    ]
    for member in try runner().facts.members { more[member.name] = member.value }
    more["asked"] = .object(said)
    var approval: String?
    let ticket: ApprovalDesk.Ticket
    do throws(BrokerError) {
      ticket = try approvals.park(
        [asked.decision], facts: facts(call, more), client: call.client,
        now: AlarmClock.nowMilliseconds,
        execute: { [unowned self] done throws(BrokerError) in
          let finish = { (result: Result<JSONValue, BrokerError>) in
            switch result {
            case .success(let lease): done(lease)
            case .failure(let error):
              done([
                "outcome": "not_granted", "code": .string(error.code.rawValue),
                "message": .string(error.message),
              ])
            }
          }
          try mayBegin()
          try look(asked.commands, expecting: programs) { [unowned self] found in
            do throws(BrokerError) {
              let programs = try found.get()
              guard call.isOpen() else { return }
              try grant(asked, programs, call, approval: approval, done: finish)
            } catch { finish(.failure(error)) }
          }
        })
    } catch {
      guard error.code == .denied else { throw error }
      throw Elevations.refusal(.noSponsorship, error.message)
    }
    approval = ticket.id
    return BrokerReply(result: .refused(Self.asked(ticket, asked.decision, call)))
  }

  /// The policy's refusal with its name among the reasons.
  private func elevationRefusal(
    _ decision: Decision, _ denial: ElevationDesk.Denial
  ) -> BrokerError {
    guard let error = refusal(decision) else { preconditionFailure("an allowed request") }
    var details = error.details
    details["reason"] = .string(denial.rawValue)
    return BrokerError(error.code, error.message, details)
  }

  private static func toolNames(_ params: JSONObject) throws(BrokerError) -> [String] {
    let list = params["tools"]?.arrayValue ?? []
    let names = list.compactMap(\.stringValue)
    guard names.count == list.count, (1...elevatedToolsMax).contains(names.count),
      Set(names).count == names.count
    else {
      throw BrokerError(
        .invalidParams, "tools: 1 to \(elevatedToolsMax) different names are needed")
    }
    return names
  }

  func release(_ call: BrokerCall) throws(BrokerError) -> BrokerReply {
    guard let id = call.request.params["lease"]?.stringValue else {
      throw BrokerError(.invalidParams, "lease: the text that ring.elevate has given is needed")
    }
    var isNow = true
    var ended: JSONValue?
    let before = try elevations.release(id, client: call.client, now: call.now) { count in
      let result: JSONValue = ["ended": "released", "calls": JSONValue(count)]
      if isNow { ended = result } else { call.later(result) }
    }
    isNow = false
    if let before { return BrokerReply(result: .now(["ended": .string(before.rawValue)])) }
    return BrokerReply(result: ended.map { .now($0) } ?? .later)
  }
}
