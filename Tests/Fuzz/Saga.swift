internal import Saga

/// Any bytes are a plan or a refusal with a place, a journal or a refusal; a plan that passes the lint runs
/// to a rest when everything succeeds.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzSaga(_ data: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  // SAFETY: libFuzzer passes `count` readable bytes.
  let bytes = unsafe Array(UnsafeBufferPointer(start: data, count: count))
  if let contents = try? SagaJournal.read(bytes) {
    precondition(contents.validBytes <= count)
  }
  do {
    let plan = try SagaPlanReader.read(bytes, file: "f")
    if let graph = SagaLint.check(plan).graph { run(graph) }
  } catch {
    precondition(error.line >= 1 && error.column >= 1 && !error.message.isEmpty)
  }
  return 0
}

private func run(_ graph: SagaGraph) {
  guard let parameters = try? graph.plan.resolveParameters([:]) else { return }
  var machine = SagaMachine(
    graph: graph, sagaID: "01F", parameters: parameters, begunAt: 0, seed: 1)
  var effects = machine.handle(.tick, at: 0)
  while true {
    var more: [SagaEffect] = []
    for case .start(let action) in effects {
      var outputs: [String: String] = [:]
      for output in action.outputs { outputs[output.name.text] = "v" }
      more += machine.handle(
        .ended(
          step: action.step, action.kind, attempt: action.attempt, .succeeded(outputs: outputs)),
        at: 0)
    }
    effects = more
    if machine.inFlight.isEmpty { break }
  }
  precondition(machine.phase.isResting || machine.wakeTime != nil, "it waits for nothing")
}
