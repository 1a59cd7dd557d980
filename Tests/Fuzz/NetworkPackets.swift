internal import Network
internal import Policy

/// Any bytes from the ring or from a server outside are an answer, a wait or a refusal.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzNetworkPackets(_ data: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  // SAFETY: libFuzzer passes `count` readable bytes.
  let bytes = unsafe Array(UnsafeBufferPointer(start: data, count: count))
  _ = ClientHello.read(bytes)
  // As the body of a hello, whose outer lengths are right.
  let body = Array(bytes.prefix(16_380))
  let message = [1, 0, UInt8(body.count >> 8), UInt8(body.count & 255)] + body
  let record = [22, 3, 1, UInt8(message.count >> 8), UInt8(message.count & 255)] + message
  precondition(ClientHello.read(record) != .incomplete, "a whole hello is not read to its end")

  let rules = NetworkRules([
    try! NetworkRule(argument: "*.example.org:443"), try! NetworkRule(argument: "0.0.0.0/0:80"),
  ])
  var service = NameService(rules: rules, pool: SyntheticPool(["a.example.org"]))
  switch service.handle(bytes) {
  case .ignore: precondition(!NameService.isQuery(bytes), "a query is not answered")
  case .reply(let reply): check(reply)
  case .resolve(let pending):
    precondition(rules.isResolvable(pending.name), "a name that no rule names is looked up")
    check(
      service.reply(
        to: pending, .addresses([IPAddress("93.184.216.34")!], timeToLiveSeconds: 1)))
  }
  answer(bytes)
  return 0
}

private func check(_ reply: [UInt8]) {
  precondition(reply.count <= 1232, "too long for a datagram")
  guard let message = try? DNSMessage(decoding: reply) else { fatalError("a reply is no message") }
  for record in message.answers {
    guard case .address(let address) = record.content else { continue }
    let isLocal = address == IPAddress("127.0.0.1") || address == IPAddress("::1")
    precondition(isLocal || SyntheticPool.contains(address), "an address outside the pool")
  }
}

/// The bytes as a server's answer, with the number and the question that it has to have.
private func answer(_ bytes: [UInt8]) {
  struct Fixed: RandomNumberGenerator {
    mutating func next() -> UInt64 { 0x0101_0101_0101_0101 }
  }
  var random = Fixed()
  let configuration = ResolverConfiguration(String(decoding: bytes, as: UTF8.self))
  var whole = HostsSearch("a.example.org")
  var parts = whole
  whole.take(bytes)
  whole.finish()
  for byte in bytes { parts.take([byte]) }
  parts.finish()
  precondition(whole.addresses == parts.addresses, "parts of a hosts file say something else")
  var lookup = Lookup(name: "a.example.org", configuration, nowMilliseconds: 0)
  for effect in lookup.start(nowMilliseconds: 0, using: &random) {
    guard case .send(let family, _, _, let query, _) = effect else { continue }
    let head =
      Array(query[..<2]) + [0x81, bytes.first ?? 0x80, 0, 1, 0, bytes.last ?? 0, 0, 0, 0, 0]
    _ = lookup.receive(
      head + query[12..<(query.count - 11)] + bytes, family, nowMilliseconds: 1, using: &random)
  }
  _ = lookup.expire(nowMilliseconds: 60_000, using: &random)
}
