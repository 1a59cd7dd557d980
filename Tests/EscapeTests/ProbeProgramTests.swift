import Foundation
import Testing

extension EscapeTests {
  /// The victim program itself.
  @Suite(
    .serialized,
    .enabled(if: Binaries.isProgram(Binaries.directory + "/agt-probe"), "agt-probe is not built"))
  struct ProbeProgram {
    private func run(_ words: [String]) -> Command.Result {
      Command(arguments: [Binaries.directory + "/agt-probe"] + words).run()
    }

    @Test(arguments: [
      (["control.clock"], 0), (["mount.fsconfig"], 1), (["legacy.unknown-numbers"], 10),
      ([], 2), (["no.such-verb"], 2), (["file.read-secret"], 2), (["control.clock", "x=y"], 2),
      (["control.clock", "nonsense"], 2), (["run-all", "--group", "none"], 2),
      (["run-all", "--only"], 2), (["--list", "--yaml"], 2), (["--help"], 0),
    ])
    func exitStatus(_ words: [String], status: Int) {
      #expect(run(words).status == status)
    }

    @Test func oneLineForEachVerb() {
      let result = run(["run-all", "--group", "splice,numa"])
      let answers = Answer.parse(result.output)
      #expect(result.lines.count == answers.count)
      #expect(answers.count == 10)
      #expect(Set(answers.values.map(\.outcome)).isSubset(of: ["done", "reached", "refused"]))
    }

    @Test func tableIsWhole() {
      let table = ProbeEntry.all
      #expect(Set(table.map(\.name)).count == table.count, "names differ")
      #expect(table.filter { $0.refusedFromRing != nil }.count >= 350)
      #expect(table.filter { $0.worksInRings != nil }.count >= 30)
      for entry in table {
        #expect((entry.refusedFromRing == nil) != (entry.worksInRings == nil), "\(entry.name)")
        #expect(
          ["anyone", "root", "user"].contains(entry.twin) || entry.twin.hasPrefix("nobody: "))
        #expect(entry.judge == "kernel" || entry.judge == "effect")
      }
      // The rows of the ledger that a launched program can act out; the others belong to the
      // broker, the policy and the journal.
      let rows = Set(table.flatMap(\.rows))
      let expected = Set(Array(1...18) + [22, 27, 29, 31, 32, 33, 34, 36])
      #expect(expected.isSubset(of: rows), "rows without a probe: \(expected.subtracting(rows))")
    }
  }
}
