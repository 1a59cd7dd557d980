internal import Glibc
internal import JSON
internal import Kernel
internal import Saga

/// What a saga costs: reading and checking a large plan, and each step beside the same command under agt-run.
enum SagaBenchmark {
  private static let steps = 1000
  private static let long = 60
  private static let short = 10
  private static let rounds = 7

  static func run() throws {
    try plan()
    try perStep()
  }

  // MARK: a plan of 1,000 steps

  private static func plan() throws {
    var text = head("")
    for number in 0..<steps {
      // Layers of 20; each step needs three of the layer before and uses the output of one.
      let layer = number / 20
      let needs = layer == 0 ? [] : (0..<3).map { (layer - 1) * 20 + (number + $0 * 7) % 20 }
      let names = needs.map { "s\($0)" }.joined(separator: ", ")
      let argument = needs.first.map { ", \"${steps.s\($0).outputs.o}\"" } ?? ""
      text += """
        - id: s\(number)
          kind: compensatable
          needs: [\(names)]
          run: [/bin/step, "${saga.id}", --\(argument)]
          outputs: {o: {from: stdout}}
          compensate: {run: [/bin/undo, s\(number)]}

        """
    }
    let bytes = Array(text.utf8)
    var read: [UInt64] = []
    var all: [UInt64] = []
    for _ in 0..<20 {
      let began = Clock.monotonicNanoseconds()
      let plan = try SagaPlanReader.read(bytes, file: "plan.yaml")
      read.append(Clock.monotonicNanoseconds() - began)
      guard let graph = SagaLint.check(plan).graph else { AgtBench.fail("the plan is not sound") }
      var machine = SagaMachine(
        graph: graph, sagaID: "01", parameters: [:], begunAt: 0, seed: 1)
      guard !machine.handle(.tick, at: 0).isEmpty else { AgtBench.fail("nothing starts") }
      all.append(Clock.monotonicNanoseconds() - began)
    }
    Bench.say("a plan of \(steps) steps, \(bytes.count / 1024) KiB, 20 runs, median ms")
    Bench.say(
      "  read                              " + Bench.fixed(Bench.Spread(read).median / 1e6, 2))
    Bench.say(
      "  read, linted, first steps planned " + Bench.fixed(Bench.Spread(all).median / 1e6, 2))
    Bench.say("")
  }

  private static func head(_ more: String) -> String {
    "apiVersion: agt-run/v1\nkind: Saga\nmetadata: {name: bench}\n"
      + "defaults: {ring: 2, timeout: {run: 1m}}\n\(more)steps:\n"
  }

  // MARK: each step

  private static func perStep() throws {
    let directory = try Bench.ownDirectory()
    let place = "/var/tmp/agt-bench-saga-\(getpid())"
    try Files.makeDirectory(ByteString(place), mode: 0o755)
    defer { _ = try? Bench.time(Bench.Command(name: "", words: ["/bin/rm", "-rf", place])) }
    for count in [short, long] {
      var text = head("")
      for number in 0..<count {
        let needs = number == 0 ? "" : "s\(number - 1)"
        text += "- {id: s\(number), kind: readonly, needs: [\(needs)], run: [/bin/true]}\n"
      }
      try Files.create(
        ByteString("\(place)/\(count).yaml"), mode: 0o644, contents: Array(text.utf8))
    }
    var slopes: [UInt64] = []
    var syncs: [UInt64] = []
    var alone: [UInt64] = []
    for _ in 0..<rounds {
      let few = try saga(directory, place, short)
      let many = try saga(directory, place, long)
      let steps = UInt64(long - short)
      slopes.append((max(many.took, few.took) - few.took) / steps)
      syncs.append((max(many.synced, few.synced) - few.synced) / steps)
      for _ in 0..<(long - short) { alone.append(try Bench.time(single(directory, place))) }
    }
    let slope = Bench.Spread(slopes).median / 1e6
    let sync = Bench.Spread(syncs).median / 1e6
    let bare = Bench.Spread(alone).median / 1e6
    Bench.say(
      "a step (/bin/true in ring 2) in a chain: \(long) steps less \(short), \(rounds) rounds, median ms"
    )
    Bench.say("  agt-run alone, same options       " + Bench.fixed(bare, 2))
    Bench.say("  a step of a saga                  " + Bench.fixed(slope, 2))
    Bench.say("    of it fdatasync of the journal  " + Bench.fixed(sync, 2) + " (one a step)")
    Bench.say("  overhead without the sync         " + Bench.fixed(max(0, slope - sync - bare), 2))
    Bench.say("")
  }

  private static func single(_ directory: String, _ place: String) -> Bench.Command {
    Bench.Command(
      name: "",
      words: [
        "\(directory)/agt-run", "--quiet", "--result-json", place + "/result.json", "--timeout",
        "66000ms", "--grace", "5000ms", "--on-violation", "kill", "--ring", "2", "--workspace",
        place, "--env", "AGT_SAGA_ID=1", "--env", "AGT_STEP_ID=s", "--env", "AGT_ATTEMPT=1",
        "--env", "AGT_IDEMPOTENCY_KEY=1/s", "--env", "TRACEPARENT=00-0-0-01", "--", "/bin/true",
      ])
  }

  /// Runs the saga and removes it.
  private static func saga(
    _ directory: String, _ place: String, _ count: Int
  ) throws -> (took: UInt64, synced: UInt64) {
    let output = try Descriptors.memory(name: "events")
    let began = Clock.monotonicNanoseconds()
    let pid = try Processes.spawn(
      ByteString("\(directory)/agt"),
      arguments: ["agt", "saga", "run", "--json", "--workspace", place, "\(place)/\(count).yaml"]
        .map {
          ByteString($0)
        }, environment: ["PATH=/usr/bin:/bin", "HOME=\(place)", "LANG=C"].map { ByteString($0) },
      descriptors: [(output.raw, 1)])
    let ended = try Processes.wait(pid, blocking: true)
    let took = Clock.monotonicNanoseconds() - began
    guard ended?.status == .exited(0) else { AgtBench.fail("the saga did not complete") }
    let lines = try Files.readFromStart(output.raw, limit: 1 << 24).split(separator: 0x0A)
    guard let last = lines.last, let end = try? JSONParser.parse(Array(last)),
      let id = end["saga"]?.stringValue, let synced = end["journalSyncMicroseconds"]?.integerValue
    else { AgtBench.fail("the saga did not tell how it ended") }
    let home = Identity.effectiveUID == 0 ? "/var/lib/agt/saga" : "\(place)/.local/state/agt/saga"
    _ = try Bench.time(Bench.Command(name: "", words: ["/bin/rm", "-rf", "\(home)/\(id)"]))
    return (took, UInt64(synced) * 1000)
  }
}
