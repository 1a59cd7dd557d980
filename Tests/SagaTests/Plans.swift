import Saga
import Testing
import YAML

/// Plans for the tests: the head is common.
func plan(_ body: String, head: String = "") throws -> SagaPlan {
  let text = """
    apiVersion: agt-run/v1
    kind: Saga
    metadata: {name: test}
    defaults: {timeout: {run: 1m}}
    \(head)
    \(body)
    """
  return try SagaPlanReader.read(Array(text.utf8), file: "plan.yaml")
}

func graph(_ body: String, head: String = "") throws -> SagaGraph {
  let (findings, graph) = SagaLint.check(try plan(body, head: head))
  let errors = findings.filter(\.isError).map { $0.description(file: "plan.yaml") }
  return try #require(graph, "\(errors)")
}

func machine(_ graph: SagaGraph, parameters: [String: String] = [:]) -> SagaMachine {
  SagaMachine(graph: graph, sagaID: "01S", parameters: parameters, begunAt: 1000, seed: 1)
}

extension [SagaEffect] {
  var started: [SagaAction] {
    compactMap { if case .start(let action) = $0 { action } else { nil } }
  }
  var records: [SagaRecord] {
    compactMap { if case .append(let record) = $0 { record } else { nil } }
  }
}
