import Saga
import Testing
import YAML

@Suite struct SagaReaderTests {
  /// The example of the design.
  static let release = """
    apiVersion: agt-run/v1
    kind: Saga
    metadata: {name: release}
    params: {env: {type: string, enum: [staging, prod], default: staging}}
    deadline: 30m
    onFailure: compensate
    onViolation: compensate
    defaults: {ring: 3, timeout: {run: 5m, grace: 10s}}
    steps:
      - id: build
        kind: compensatable
        run: [make, dist, "${params.env}"]
        fs: {mode: transaction, commit: saga}
        retry: {maxAttempts: 3, initial: 1s, factor: 2, max: 30s, jitter: 0.2, on: {exit: [75], timeout: true}}
        outputs: {digest: {from: file, path: out/digest, maxBytes: 4096}}
      - id: migrate
        kind: compensatable
        needs: [build]
        ring: 2
        run: [./migrate, up, "--to=${steps.build.outputs.digest}"]
        idempotency: {key: "${saga.id}/migrate", probe: [./migrate, at, "${steps.build.outputs.digest}"]}
        approval: {group: dba, quorum: 2, expires: 15m}
        compensate: {run: [./migrate, down], when: started}
      - id: publish
        kind: pivot
        needs: [migrate]
        run: [./publish]
        irreversible: customers see it
        approval: {group: release, quorum: 1, expires: 1h}
      - id: notify
        kind: retriable
        needs: [publish]
        run: [./notify]
        idempotency: {key: "${saga.id}/notify"}
    """

  @Test func example() throws {
    let plan = try SagaPlanReader.read(Array(Self.release.utf8), file: "plan.yaml")
    let (findings, graph) = SagaLint.check(plan)
    #expect(findings == [])
    #expect(graph?.pivot == 2)
    #expect(plan.deadlineMilliseconds == 1_800_000)
    #expect(plan.steps[0].retry.attemptsMax == 3)
    #expect(plan.steps[0].retry.statuses == [75])
    #expect(plan.steps[0].command.commitsWithSaga && plan.steps[0].leavesNothing)
    #expect(!plan.steps[1].command.commitsWithSaga && plan.commitsFiles)
    #expect(plan.steps[1].command.ring == 2)
    #expect(plan.steps[1].compensation?.command.ring == 2)
    #expect(plan.steps[1].command.graceMilliseconds == 10_000)
    #expect(plan.steps[1].approval?.quorum == 2)
    #expect(plan.steps[3].retry.attemptsMax == 3)
  }

  @Test func shortDelays() throws {
    let plan = try plan("steps: [{id: a, kind: readonly, run: [x], retry: {max: 100ms}}]")
    #expect(plan.steps[0].retry.initialMilliseconds == 100)
  }

  @Test(arguments: [
    (
      "steps: [{id: a, knid: readonly, kind: readonly, run: [x]}]",
      "6:17: unknown key \"knid\"; did you mean \"kind\"?"
    ),
    (
      "steps: [{id: a, kind: readnly, run: [x]}]",
      "6:23: \"readnly\" is not known here; did you mean \"readonly\"?"
    ),
    ("steps: [{id: 1a, kind: readonly, run: [x]}]", "6:14: \"1a\" is not a name"),
    ("steps: [{id: a, kind: readonly, run: []}]", "6:38: no program is named"),
    (
      "steps: [{id: a, kind: readonly, run: make dist}]",
      "6:38: there is no shell; write [make, dist]"
    ),
    (
      "steps: [{id: a, kind: readonly, run: make > log}]",
      "6:38: there is no shell; write [program, argument]"
    ),
    ("steps: [{id: a, kind: readonly, run: ['']}]", "6:38: the name of the program is empty"),
    (
      "steps: [{id: a, kind: readonly, run: [x], timeout: 5m}]",
      "6:52: a timeout has parts; write {run: 5m}"
    ),
    (
      "steps: [{id: a, kind: pivot, run: [x], approval: {group: '', expires: 1m}}]",
      "6:58: the group is empty"
    ),
    (
      "steps: [{id: a, kind: readonly, run: [x], retry: {initial: 1m}}]",
      "6:60: the first delay is longer than the longest one, max, which is 30000ms"
    ),
    ("steps: []", "6:8: a saga needs at least one step"),
    ("steps: [{id: a, kind: readonly, run: [\"${step.a}\"]}]", "6:39: \"${step.a}\" names nothing"),
    ("steps: [{id: a, kind: readonly, run: [\"${saga.id\"]}]", "6:39: \"${\" has no \"}\""),
    ("steps: [{id: a, kind: readonly, run: [x], ring: 4}]", "6:49: 4 is out of range"),
    (
      "steps: [{id: a, kind: readonly, run: [x], ring: 2, profile: p}]",
      "6:49: ring and profile contradict"
    ),
    (
      "steps: [{id: a, kind: readonly, run: [x], env: {AGT_STEP_ID: b}}]",
      "6:49: \"AGT_STEP_ID\" cannot be set"
    ),
    (
      "steps: [{id: a, kind: readonly, run: [x], outputs: {o: {from: file, path: ../o}}}]",
      "is not a path below the workspace"
    ),
    ("steps: [{id: a, kind: readonly, run: [x], timeout: {run: 0s}}]", "more than nothing"),
    (
      "params: {p: {type: integer, default: x}}\nsteps: [{id: a, kind: readonly, run: [x]}]",
      "6:38: \"x\" is not of the type integer"
    ),
  ])
  func refusals(_ body: String, _ message: String) throws {
    let error = #expect(throws: YAMLError.self) { try plan(body) }
    #expect(error?.description.contains(message) ?? false, "\(error?.description ?? "")")
    #expect(error?.description.hasPrefix("plan.yaml:6:") ?? false)
  }

  @Test func parameters() throws {
    let plan = try plan(
      "steps: [{id: a, kind: readonly, run: [x, \"${params.n}\"]}]",
      head: "params: {n: {type: integer}, e: {type: string, enum: [a, b], default: b}}")
    #expect(try plan.resolveParameters(["n": "-4"]) == ["n": "-4", "e": "b"])
    for (given, message) in [
      ([:], "the parameter n has no value; add --param n=VALUE"),
      (["n": "04"], "not of the type integer"),
      (["n": "1", "e": "c"], "write one of \"a\", \"b\""),
      (["n": "1", "x": "y"], "no parameter \"x\""),
    ] as [([String: String], String)] {
      let error = #expect(throws: SagaProblem.self) { try plan.resolveParameters(given) }
      #expect(error?.description.contains(message) ?? false, "\(error?.description ?? "")")
    }
  }
}

@Suite struct SagaLintTests {
  private static func step(_ id: String, _ rest: String) -> String { "  - {id: \(id), \(rest)}\n" }

  /// Each rule with the smallest plan that breaks it.
  @Test(arguments: [
    ("unknown-step", "- {id: a, kind: readonly, run: [x], needs: [b]}"),
    ("duplicate-step", "- {id: a, kind: readonly, run: [x]}\n- {id: a, kind: readonly, run: [x]}"),
    (
      "cycle",
      "- {id: a, kind: readonly, run: [x], needs: [b]}\n- {id: b, kind: readonly, run: [x], needs: [a]}"
    ),
    ("no-compensation", "- {id: a, kind: compensatable, run: [x]}"),
    ("compensation-unused", "- {id: a, kind: readonly, run: [x], compensate: {run: [y]}}"),
    (
      "compensation-above-ring",
      "- {id: a, kind: compensatable, run: [x], compensate: {run: [y], ring: 1}}"
    ),
    (
      "compensation-needs-probe",
      "- {id: a, kind: compensatable, run: [x], compensate: {run: [y], when: succeeded}}"
    ),
    (
      "files-unordered",
      """
      - {id: a, kind: readonly, run: [x], fs: {mode: transaction, commit: saga}}
      - {id: b, kind: readonly, run: [x], fs: {mode: transaction, commit: saga}}
      """
    ),
    (
      "files-of-undo",
      "- {id: a, kind: compensatable, run: [x], compensate: {run: [y], fs: {mode: transaction, commit: saga}}}"
    ),
    ("retriable-without-pivot", "- {id: a, kind: retriable, run: [x], idempotency: {key: k}}"),
    (
      "retriable-without-key",
      "- {id: p, kind: pivot, run: [x]}\n- {id: a, kind: retriable, needs: [p], run: [x]}"
    ),
    (
      "two-pivots", "- {id: a, kind: pivot, run: [x]}\n- {id: b, kind: pivot, needs: [a], run: [x]}"
    ),
    (
      "not-retriable-after-pivot",
      "- {id: p, kind: pivot, run: [x]}\n- {id: a, kind: compensatable, needs: [p], run: [x], compensate: {run: [y]}}"
    ),
    (
      "retriable-before-pivot",
      "- {id: p, kind: pivot, run: [x]}\n- {id: a, kind: retriable, run: [x], idempotency: {key: k}}"
    ),
    (
      "unordered-with-pivot",
      "- {id: p, kind: pivot, run: [x]}\n- {id: a, kind: compensatable, run: [x], compensate: {run: [y]}}"
    ),
    ("irreversible-without-approval", "- {id: p, kind: pivot, run: [x], irreversible: gone}"),
    ("unknown-parameter", "- {id: a, kind: readonly, run: [x, \"${params.p}\"]}"),
    (
      "unknown-output",
      "- {id: a, kind: readonly, run: [x]}\n- {id: b, kind: readonly, needs: [a], run: [x, \"${steps.a.outputs.o}\"]}"
    ),
    (
      "output-not-needed",
      "- {id: a, kind: readonly, run: [x], outputs: {o: {from: stdout}}}\n- {id: b, kind: readonly, run: [x, \"${steps.a.outputs.o}\"]}"
    ),
    (
      "program-from-output",
      "- {id: a, kind: readonly, run: [x], outputs: {o: {from: stdout}}}\n- {id: b, kind: readonly, needs: [a], run: [\"${steps.a.outputs.o}\"]}"
    ),
    (
      "own-output",
      "- {id: a, kind: compensatable, run: [x], outputs: {o: {from: stdout}}, compensate: {run: [y, \"${steps.a.outputs.o}\"]}}"
    ),
  ])
  func errors(_ rule: String, _ steps: String) throws {
    let (findings, graph) = SagaLint.check(try plan("steps:\n" + steps))
    #expect(findings.contains { $0.rule == rule && $0.isError }, "\(findings)")
    #expect(graph == nil)
    #expect(findings.allSatisfy { $0.place.line > 5 && $0.place.column > 1 })
  }

  /// Files alone need nothing else that undoes them.
  @Test func filesOfTheSaga() throws {
    let steps = """
      steps:
      - {id: a, kind: compensatable, run: [x], fs: {mode: transaction, commit: saga}}
      - {id: b, kind: compensatable, needs: [a], run: [x], fs: {mode: transaction, commit: saga}}
      """
    #expect(SagaLint.check(try plan(steps)).findings == [])
    #expect(throws: YAMLError.self) {
      try plan("steps: [{id: a, kind: readonly, run: [x], fs: {mode: ro, commit: saga}}]")
    }
  }

  @Test func timeouts() throws {
    let text =
      "apiVersion: agt-run/v1\nkind: Saga\nmetadata: {name: t}\nsteps: [{id: a, kind: readonly, run: [x]}]"
    let plan = try SagaPlanReader.read(Array(text.utf8), file: "p")
    #expect(SagaLint.check(plan).findings.map(\.rule) == ["no-timeout"])
  }

  private static let three = """
    steps:
    - {id: a, kind: readonly, run: [x]}
    - {id: b, kind: readonly, run: [x]}
    - {id: c, kind: readonly, run: [x], needs: [a]}
    """

  @Test(arguments: [
    ("fan-out-small", "fanOut: [{steps: [a], policy: all}]"),
    ("fan-out-twice", "fanOut: [{steps: [a, b], policy: all}, {steps: [b, c], policy: any}]"),
    ("fan-out-order", "fanOut: [{steps: [a, c], policy: any}]"),
    ("cycle", "fanOut: [{steps: [a, c], policy: any}]"),
  ])
  func fanOuts(_ rule: String, _ fanOut: String) throws {
    let (findings, graph) = SagaLint.check(try plan(Self.three + "\n" + fanOut))
    // A member that needs another waits for itself.
    let isFound = findings.contains {
      $0.rule == rule || rule == "fan-out-order" && $0.rule == "cycle"
    }
    #expect(isFound, "\(findings)")
    #expect(graph == nil)
  }

  @Test func warnings() throws {
    let (findings, graph) = SagaLint.check(
      try plan(
        """
        params: {p: {type: string, default: x}}
        deadline: 10s
        steps:
        - {id: a, kind: readonly, run: [x], outputs: {o: {from: stdout}}}
        - {id: p, kind: pivot, run: [x], idempotency: {key: same}}
        """))
    #expect(
      Set(findings.map(\.rule)) == [
        "dead-output", "unused-parameter", "pivot-without-reason", "key-not-unique",
        "deadline-shorter",
      ])
    #expect(graph != nil)
  }

  @Test func cyclesAreNamed() throws {
    let (findings, _) = SagaLint.check(
      try plan(
        """
        steps:
        - {id: a, kind: readonly, run: [x], needs: [c]}
        - {id: b, kind: readonly, run: [x], needs: [a]}
        - {id: c, kind: readonly, run: [x], needs: [b]}
        """))
    let message = try #require(findings.first?.message)
    #expect(
      ["a → b → c → a", "b → c → a → b", "c → a → b → c"].contains { message.contains($0) },
      "\(message)")
  }
}
