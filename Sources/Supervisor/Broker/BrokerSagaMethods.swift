internal import Broker
internal import JSON
internal import Policy
internal import Saga

/// `saga.begin`, `saga.step`, `saga.commit` and `saga.abort`. A step is judged as what it is, and its tool and the one
/// that undoes it as `tool.call` is; what denies one of them denies the step. All of that when the step is
/// registered: nobody is there to be asked later.
extension BrokerMethods {
  func saga(
    _ call: BrokerCall, _ counters: inout BrokerCounters
  ) throws(BrokerError) -> BrokerReply {
    let answer: AgentSagas.Answer = { result in
      switch result {
      case .success(let value): call.later(value)
      case .failure(let error): call.laterRefused(error)
      }
    }
    let params = call.request.params
    switch call.request.method {
    case "saga.begin":
      try sagas.begin(
        name: params["name"]?.stringValue ?? "saga", client: call.client, answer: answer)
    case "saga.step":
      return try sagaStep(call, &counters, answer)
    case "saga.commit":
      try sagas.commit(try sagas.find(params["saga"], client: call.client), answer: answer)
    default:
      let saga = try sagas.find(params["saga"], client: call.client)
      let said = UntrustedText.cleaned(params["reason"]?.stringValue ?? "", maxCharacters: 500)
      sagas.abort(
        saga, reason: said.isEmpty ? "its agent aborted it" : "its agent aborted it: \(said)",
        answer: answer)
    }
    return BrokerReply(result: .later)
  }

  private func sagaStep(
    _ call: BrokerCall, _ counters: inout BrokerCounters, _ answer: @escaping AgentSagas.Answer
  ) throws(BrokerError) -> BrokerReply {
    let params = call.request.params
    let saga = try sagas.find(params["saga"], client: call.client)
    guard let step = params["step"]?.stringValue, SagaName.isValid(step) else {
      throw BrokerError(.invalidParams, "step: \(AgentSagas.nameRule)")
    }
    guard saga.steps[step] == nil else {
      throw BrokerError(.invalidParams, "step: the saga has had a step \(step)")
    }
    guard let id = call.request.id else {
      throw BrokerError(.invalidRequest, "a step is answered")
    }
    let asks = try Self.asks(params)
    var triggers: [ViolationTrigger] = []
    var open: [Decision] = []
    do throws(BrokerError) {
      var tool: SagaCall?
      if let asked = params["tool"] { tool = try checked(asked, "tool") }
      var undo: SagaCall?
      if let asked = params["undo"] {
        undo = try checked(asked, "undo")
      } else if let tool, let declared = tool.tool.undo {
        undo = try checked(
          [
            "name": .string(declared.tool),
            "arguments": .object(declared.arguments(for: tool.arguments)),
          ], "undo")
      }
      guard undo != nil || tool?.tool.isReadOnly == true else {
        throw BrokerError(
          .invalidParams, "undo: what undoes it is needed: {\"name\": a tool, \"arguments\": …}")
      }
      _ = try judged(
        Self.fields(saga, step, tool, undo), kind: "saga.step", asks, call, &counters, &triggers,
        &open)
      try judge(&tool, asks, call, &counters, &triggers, &open)
      try judge(&undo, asks, call, &counters, &triggers, &open)
      let asked = AskedStep(saga: saga, name: step, request: id, tool: tool, undo: undo)
      if !open.isEmpty {
        try park(asked, open, call)
        return BrokerReply(result: .later, triggers: triggers)
      }
      try begin(asked, answer)
      if tool != nil { counters.tools += 1 }
      return BrokerReply(result: .later, triggers: triggers)
    } catch { return BrokerReply(result: .refused(error), triggers: triggers) }
  }

  /// A step that was judged.
  private struct AskedStep {
    let saga: AgentSaga
    let name: String
    let request: JSONValue
    var tool: SagaCall?
    var undo: SagaCall?

    /// What is executed for it now, and to undo it.
    var commands: Commands {
      [("tool", tool?.words), ("undo", undo?.words)].compactMap { name, words in
        words.map { (name, $0) }
      }
    }
  }

  private func begin(
    _ asked: AskedStep, _ answer: @escaping AgentSagas.Answer
  ) throws(BrokerError) {
    try sagas.step(
      asked.saga, asked.name, call: asked.tool, undo: asked.undo, request: asked.request,
      mayBegin: { [unowned self] () throws(BrokerError) in try mayBegin() }, answer: answer)
  }

  /// Finds out what would be executed, and asks for an approval of exactly that.
  private func park(
    _ asked: AskedStep, _ decisions: [Decision], _ call: BrokerCall
  ) throws(BrokerError) {
    try look(asked.commands) { found in
      call.goOn { [unowned self] _ throws(BrokerError) in
        let programs = try found.get()
        var asked = asked
        asked.tool?.expected = programs["tool"]
        asked.undo?.expected = programs["undo"]
        let ticket = try parkStep(asked, programs, decisions, call)
        return BrokerReply(result: .refused(Self.asked(ticket, decisions[0], call)))
      }
    }
  }

  /// A person approves the step and what undoes it together: nobody is there to be asked when it is undone.
  private func parkStep(
    _ asked: AskedStep, _ programs: Programs, _ decisions: [Decision], _ call: BrokerCall
  ) throws(BrokerError) -> ApprovalDesk.Ticket {
    var told: JSONObject = [
      "method": "saga.step", "saga": .string(asked.saga.id), "step": .string(asked.name),
    ]
    for member in (tools?.facts ?? [:]).members { told[member.name] = member.value }
    if let tool = asked.tool {
      told["tool"] = .string(tool.tool.name)
      told["declared"] = .string(tool.tool.place)
      told["toolRing"] = JSONValue(tool.tool.ring)
      told["executes"] = programs["tool"]?.json ?? .null
      told["command"] = JSONValue(tool.words)
      told["input"] = .string(tool.input)
    }
    if let undo = asked.undo {
      told["undoTool"] = .string(undo.tool.name)
      told["undoDeclared"] = .string(undo.tool.place)
      told["undoRing"] = JSONValue(undo.tool.ring)
      told["undoExecutes"] = programs["undo"]?.json ?? .null
      told["undoCommand"] = JSONValue(undo.words)
      told["undoInput"] = .string(undo.input)
    }
    return try approvals.park(
      decisions, facts: facts(call, told), client: call.client, now: AlarmClock.nowMilliseconds
    ) { [unowned self] done throws(BrokerError) in
      try mayBegin()
      // Much can have happened to the saga since.
      _ = try sagas.find(.string(asked.saga.id), client: call.client)
      try begin(asked) { result in
        switch result {
        case .success(let value): done(value)
        case .failure(let error):
          done([
            "outcome": "not_started", "code": .string(error.code.rawValue),
            "message": .string(error.message),
          ])
        }
      }
    }
  }

  /// What a step is, for policies.
  private static func fields(
    _ saga: AgentSaga, _ step: String, _ tool: SagaCall?, _ undo: SagaCall?
  ) -> JSONObject {
    var fields: JSONObject = [
      "saga": .string(saga.name), "step": .string(step), "reversible": true,
      "read_only": .bool(tool?.tool.isReadOnly == true),
    ]
    if let undo { fields["undo"] = .string(undo.tool.name) }
    if let tool {
      fields["tool"] = .string(tool.tool.name)
      fields["args"] = .object(tool.arguments)
      fields["target_ring"] = JSONValue(tool.tool.ring)
    }
    return fields
  }

  private func checked(_ asked: JSONValue, _ member: String) throws(BrokerError) -> SagaCall {
    guard case .object(let object) = asked, let name = object["name"]?.stringValue,
      object.members.allSatisfy({ $0.name == "name" || $0.name == "arguments" })
    else {
      throw BrokerError(.invalidParams, "\(member): an object with name and arguments is needed")
    }
    let given = try Self.arguments(object["arguments"], "\(member).arguments")
    let tool = try runner().tool(name, in: ring)
    let (words, input, arguments) = try tool.invocation(given)
    return SagaCall(tool: tool, words: words, input: input, arguments: arguments)
  }

  /// - Returns: what the log says of the decision.
  private func judged(
    _ fields: JSONObject, kind: String, _ asks: Bool, _ call: BrokerCall,
    _ counters: inout BrokerCounters, _ triggers: inout [ViolationTrigger],
    _ open: inout [Decision]
  ) throws(BrokerError) -> JSONObject {
    let (decision, more) = judge(fields, kind: kind, call, &counters)
    triggers += more
    if decision.verdict == .requireApproval, asks {
      open.append(decision)
    } else if let refusal = refusal(decision) {
      throw refusal
    }
    return ["decision": JSONValue(decisions), "pid": JSONValue(call.peer.pid)]
  }

  /// As a call of the tool would be.
  private func judge(
    _ asked: inout SagaCall?, _ asks: Bool, _ call: BrokerCall,
    _ counters: inout BrokerCounters, _ triggers: inout [ViolationTrigger],
    _ open: inout [Decision]
  ) throws(BrokerError) {
    guard let tool = asked?.tool, let arguments = asked?.arguments else { return }
    asked?.why = try judged(
      Self.fields(tool, arguments, ring: tool.ring), kind: "tool.call", asks, call, &counters,
      &triggers, &open)
  }
}
