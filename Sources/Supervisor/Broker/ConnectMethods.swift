internal import Broker
internal import JSON
internal import Policy

/// `net.connect`: a stream to a named host and port, for a program that cannot or will not connect by itself.
///
/// What may be reached is what the ring's network may reach, judged by the same rules, and relayed by the same
/// relay: the program holds one end of a Unix stream, never the connection itself, so that what is looked at,
/// counted and ended of others is of this one too.
extension BrokerMethods {
  func connect(_ call: BrokerCall, _ counters: inout BrokerCounters) throws(BrokerError)
    -> BrokerReply
  {
    guard let text = call.request.params["host"]?.stringValue else {
      throw BrokerError(.invalidParams, "host: a name or an address is needed")
    }
    let host: String
    do { host = try HostName.canonical(text) } catch {
      throw BrokerError(.invalidParams, "host: a name or an address is needed")
    }
    guard let port = call.request.params["port"]?.integerValue.flatMap({ UInt16(exactly: $0) }),
      port > 0
    else { throw BrokerError(.invalidParams, "port: 1 to 65535 is needed") }
    let asks = try Self.asks(call.request.params)
    let room = try call.descriptorRoom()
    let fields: JSONObject = [
      "host": .string(host), "port": JSONValue(port), "protocol": "tcp",
    ]
    var triggers: [ViolationTrigger] = []
    // The network section says what may be reached; a rule can only take from that.
    if !isByDefault(fields, kind: "net.connect", call) {
      let (decision, more) = judge(fields, kind: "net.connect", call, &counters)
      triggers = more
      if decision.verdict == .requireApproval, asks {
        return try parkConnection(host, port, decision, call, &counters, triggers)
      }
      if let refusal = refusal(decision) {
        return BrokerReply(result: .refused(refusal), triggers: triggers)
      }
    }
    do throws(NetworkService.Refused) {
      try reach(host, port, room) { ending in
        switch ending {
        case .success(let socket): call.laterGives(Self.connected(host, port), socket)
        case .failure(let refused):
          call.laterRefused(
            BrokerError(refused.isByRule ? .denied : .failed, refused.why))
        }
      }
    } catch {
      if error.why == NetworkService.Refused.full { throw BrokerError(.busy, error.why) }
      return forbid(
        fields, kind: "net.connect", BrokerError(.denied, error.why), call, &counters)
    }
    return BrokerReply(result: .later, triggers: triggers)
  }

  private static func connected(_ host: String, _ port: UInt16) -> JSONValue {
    ["host": .string(host), "port": JSONValue(port), "descriptor": true]
  }

  private func reach(
    _ host: String, _ port: UInt16, _ room: DescriptorRoom,
    done: @escaping (Result<DonatedDescriptor, NetworkService.Refused>) -> Void
  ) throws(NetworkService.Refused) {
    guard let network else {
      throw NetworkService.Refused("nothing may be reached; --net names it")
    }
    let mayBegin = { [unowned self] in obstacle == nil }
    try network.connect(host: host, port: port, mayBegin: mayBegin) { ending in
      room.end()
      done(ending)
    }
  }

  /// A person approves a host and a port; where that leads is judged when it is connected.
  private func parkConnection(
    _ host: String, _ port: UInt16, _ decision: Decision, _ call: BrokerCall,
    _ counters: inout BrokerCounters, _ triggers: [ViolationTrigger]
  ) throws(BrokerError) -> BrokerReply {
    do throws(NetworkService.Refused) {
      guard let network else {
        throw NetworkService.Refused("nothing may be reached; --net names it")
      }
      try network.check(host: host, port: port)
    } catch {
      // No person is asked for what the network does not let through.
      return forbid(
        ["host": .string(host), "port": JSONValue(port), "protocol": "tcp"], kind: "net.connect",
        BrokerError(.denied, error.why), call, &counters)
    }
    var approval = ""
    let ticket = try approvals.park(
      [decision],
      facts: facts(
        call, ["method": "net.connect", "host": .string(host), "port": JSONValue(port)]),
      client: call.client, now: call.now
    ) { [unowned self] done throws(BrokerError) in
      try mayBegin()
      let room = try call.descriptorRoom()
      do throws(NetworkService.Refused) {
        try reach(host, port, room) { [unowned self] ending in
          switch ending {
          case .success(let socket):
            donations[approval] = socket
            done(Self.connected(host, port))
          case .failure(let refused):
            done(["outcome": "failed", "message": .string(refused.why)])
          }
        }
      } catch { throw BrokerError(.failed, error.why) }
    }
    approval = ticket.id
    return BrokerReply(result: .refused(Self.asked(ticket, decision, call)), triggers: triggers)
  }
}
