import TestSupport
import Testing

/// What the protocol of a saga promises holds on every way that a small plan can take, with deaths of the runner
/// anywhere (spin(1)): the program is tried along random ways (SagaSimulationTests).
@Suite struct SagaModelTests {
  /// Searches all ways of the model.
  /// - Parameter mutant: a mistake in it; 0 for none.
  private static func search(mutant: Int) -> Completed {
    let scratch = Scratch()
    let model = File.parent(File.parent(#filePath)) + "/SagaModel/saga.pml"
    let script = """
      set -e
      spin -a -DMUTANT=$1 "$2" >spin.log 2>&1 || { cat spin.log; exit 3; }
      gcc -O2 -w -DSAFETY -DCOLLAPSE -o pan pan.c
      ./pan -m100000
      """
    var command = Command.shell(script, ["\(mutant)", model], in: scratch.path)
    command.timeoutSeconds = 120
    return withExtendedLifetime(scratch) { command.run() }
  }

  @Test func everyWay() {
    let run = Self.search(mutant: 0)
    #expect(run.status == 0, "\(run.summary)")
    #expect(run.out.contains("errors: 0"), "\(run.out)")
    #expect(!run.out.contains("search depth too small"), "\(run.out)")
    // A model in which nothing happens would hold as well.
    let states = run.out.split(separator: "\n").first { $0.hasSuffix("states, stored") }
      .flatMap { $0.split(separator: " ").first }.flatMap { Int($0) }
    #expect(states ?? 0 > 100_000, "\(run.out)")
  }

  /// Each mistake that could be made in the protocol is found.
  @Test(arguments: 1...8)
  func mutant(_ number: Int) {
    let run = Self.search(mutant: number)
    #expect(run.out.contains("assertion violated"), "\(run.summary)")
  }
}
