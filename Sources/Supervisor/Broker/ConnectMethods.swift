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
    guard call.mayTakeDescriptor() else {
      throw BrokerError(.busy, "take the descriptors that were sent, and ask then")
    }
    let fields: JSONObject = [
      "host": .string(host), "port": JSONValue(port), "protocol": "tcp",
    ]
    // The network section says what may be reached; a rule can only take from that.
    if !isByDefault(fields, kind: "net.connect", call) {
      let (decision, triggers) = judge(fields, kind: "net.connect", call, &counters)
      if let refusal = refusal(decision) {
        return BrokerReply(result: .refused(refusal), triggers: triggers)
      }
    }
    do throws(NetworkService.Refused) {
      guard let network else {
        throw NetworkService.Refused("nothing may be reached; --net names it")
      }
      let mayBegin = { [unowned self] in !isHeld }
      try network.connect(host: host, port: port, mayBegin: mayBegin) { ending in
        switch ending {
        case .success(let socket):
          call.laterGives(
            ["host": .string(host), "port": JSONValue(port), "descriptor": true], socket)
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
    return BrokerReply(result: .later)
  }
}
