internal import Broker
internal import JSON
internal import Kernel
internal import Policy

/// `tool.call`: a declared tool as its own process in its own ring, or in that of a lease.
extension BrokerMethods {
  func runner() throws(BrokerError) -> ToolRunner {
    guard let tools else {
      throw BrokerError(.invalidParams, "there is no tool; agt-run --tools names them")
    }
    return tools
  }

  /// - Parameter member: of the request, for the error.
  static func arguments(_ value: JSONValue?, _ member: String) throws(BrokerError) -> JSONObject {
    switch value {
    case nil: return [:]
    case .object(let object)?: return object
    default: throw BrokerError(.invalidParams, "\(member): an object is needed")
    }
  }

  /// A call of a tool, as it is judged.
  static func fields(_ tool: Tool, _ arguments: JSONObject, ring: UInt8) -> JSONObject {
    [
      "tool": .string(tool.name), "args": .object(arguments), "target_ring": JSONValue(ring),
      "read_only": .bool(tool.isReadOnly), "reversible": .bool(tool.isReversible),
    ]
  }

  func callTool(
    _ call: BrokerCall, _ counters: inout BrokerCounters
  ) throws(BrokerError) -> BrokerReply {
    let params = call.request.params
    guard let name = params["name"]?.stringValue, let id = call.request.id else {
      throw BrokerError(.invalidParams, "name: a text is needed")
    }
    let runner = try runner()
    let lease = elevations.lease(for: name, client: call.client, now: call.now)
    let tool = try runner.tool(name, in: lease?.ring ?? ring)
    let toolRing = lease?.ring ?? tool.ring
    let given = try Self.arguments(params["arguments"], "arguments")
    guard !runner.isRunning(id, client: call.client) else {
      throw BrokerError(.invalidRequest, "id: a call with this id is under way")
    }
    let (words, input, arguments) = try tool.invocation(given)
    let looksOn = try Self.flag(params, "progress", "true tells while the tool works")
    let (decision, triggers) = judge(
      Self.fields(tool, arguments, ring: toolRing), kind: "tool.call", call, &counters)
    let why: JSONObject = ["decision": JSONValue(decisions), "pid": JSONValue(call.peer.pid)]
    let wanted = Wanted(
      invocation: ToolInvocation(
        tool: tool, words: words, input: input, ring: toolRing, lease: lease?.id), lease: lease,
      id: id, client: call.client, why: why, progress: looksOn ? call.tellProgress : nil)
    let asks = try Self.asks(params)
    if decision.verdict == .requireApproval, asks {
      try look([(name, words)] + wanted.leased(by: elevations).commands, expecting: [:]) { found in
        call.goOn { [unowned self] _ throws(BrokerError) in
          try parkTool(wanted, try found.get(), decision, call)
        }
      }
      return BrokerReply(result: .later, triggers: triggers)
    }
    if let refusal = refusal(decision) {
      return BrokerReply(result: .refused(refusal), triggers: triggers)
    }
    guard lease != nil else {
      try begin(wanted, done: call.later)
      counters.tools += 1
      return BrokerReply(result: .later, triggers: triggers)
    }
    let leased = wanted.leased(by: elevations)
    try look([(name, words)] + leased.commands, expecting: leased.programs) { found in
      call.goOn { [unowned self] counters throws(BrokerError) in
        _ = try found.get()
        try begin(wanted, done: call.later)
        counters.tools += 1
        return BrokerReply(result: .later)
      }
    }
    return BrokerReply(result: .later, triggers: triggers)
  }

  /// A call that was judged.
  private struct Wanted {
    let invocation: ToolInvocation
    let lease: ElevationDesk.Lease?
    let id: JSONValue
    let client: UInt64
    let why: JSONObject
    let progress: ((JSONObject) -> Bool)?

    /// What the lease was given for: what the tool executes whatever its arguments are.
    func leased(by elevations: Elevations) -> (commands: Commands, programs: Programs) {
      guard let lease, let program = elevations.program(of: invocation.tool.name, lease) else {
        return ([], [:])
      }
      let name = "the tool \(invocation.tool.name)"
      return ([(name, invocation.tool.fixedWords)], [name: program])
    }
  }

  private func begin(
    _ wanted: Wanted, done: @escaping (JSONValue) -> Void
  ) throws(BrokerError) {
    let mayBegin = { [unowned self] () throws(BrokerError) in
      try self.mayBegin()
      if let lease = wanted.lease { try elevations.require(lease) }
    }
    try mayBegin()
    let runner = try runner()
    guard !runner.isRunning(wanted.id, client: wanted.client) else {
      throw BrokerError(.invalidRequest, "id: a call with this id is under way")
    }
    try runner.call(
      wanted.invocation, id: wanted.id, client: wanted.client, why: wanted.why, mayBegin: mayBegin,
      progress: wanted.progress, done: done)
  }

  private func parkTool(
    _ wanted: Wanted, _ programs: Programs, _ decision: Decision, _ call: BrokerCall
  ) throws(BrokerError) -> BrokerReply {
    let invocation = wanted.invocation
    var more: JSONObject = [
      "method": "tool.call", "tool": .string(invocation.tool.name),
      "declared": .string(invocation.tool.place), "toolRing": JSONValue(invocation.ring),
      "executes": programs[invocation.tool.name]?.json ?? .null,
    ]
    for member in try runner().facts.members { more[member.name] = member.value }
    more["command"] = JSONValue(invocation.words)
    more["input"] = .string(invocation.input)
    let ticket = try approvals.park(
      [decision], facts: facts(call, more), client: call.client, now: AlarmClock.nowMilliseconds
    ) { [unowned self] done throws(BrokerError) in
      try mayBegin()
      let leased = wanted.leased(by: elevations)
      try look(
        [(invocation.tool.name, invocation.words)] + leased.commands,
        expecting: programs.merging(leased.programs) { _, lease in lease }
      ) { [unowned self] found in
        do throws(BrokerError) {
          _ = try found.get()
          guard call.isOpen() else { return }
          try begin(wanted, done: done)
        } catch {
          done([
            "outcome": "not_started", "code": .string(error.code.rawValue),
            "message": .string(error.message),
          ])
        }
      }
    }
    return BrokerReply(result: .refused(Self.asked(ticket, decision, call)))
  }
}
