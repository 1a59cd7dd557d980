internal import Broker
internal import JSON

/// Any bytes of a ring's are requests that the table permits, or refusals; how they are cut changes nothing.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzBrokerLines(_ data: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  // SAFETY: libFuzzer passes `count` readable bytes.
  let bytes = unsafe Array(UnsafeBufferPointer(start: data, count: count))
  let whole = outcomes([bytes])
  let pieces = stride(from: 0, to: bytes.count, by: 7).map {
    Array(bytes[$0..<min($0 + 7, bytes.count)])
  }
  precondition(outcomes(pieces) == whole, "pieces say something else")
  return 0
}

private func outcomes(_ pieces: [[UInt8]]) -> [Session.Outcome] {
  var lines = LineReader()
  var session = Session()
  var rate = TokenBucket(perSecond: 5, burst: 1000, nowMilliseconds: 0)
  var all: [Session.Outcome] = []
  for piece in pieces {
    lines.append(piece)
    while case .line(let line) = lines.next() {
      precondition(line.count <= LineReader.lineMaxBytes && !line.contains(10))
      let outcome = session.take(
        line, descriptors: 0, ring: 3, rate: &rate, nowMilliseconds: 0)
      check(outcome)
      all.append(outcome)
    }
  }
  return all
}

private func check(_ outcome: Session.Outcome) {
  switch outcome {
  case .call(let request, let method):
    precondition(request.method == method.name && method.rings.contains(3))
    precondition(request.id != nil || method.mayNotify)
    precondition(method.members.map { request.params.members.count <= $0.count } ?? true)
  case .refused(let error, let id):
    let line = Answer.error(error, id: id)
    precondition(line.last == 10 && !line.dropLast().contains(10))
    guard let answer = try? JSONParser.parse(Array(line.dropLast())) else {
      fatalError("an answer is no JSON")
    }
    precondition(answer["id"] == id)
  case .dropped: break
  }
}
