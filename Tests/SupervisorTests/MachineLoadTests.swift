import Testing

@testable import Supervisor

@Suite struct MachineLoadTests {
  @Test(arguments: [
    ("0.71 1.03 0.92 3/512 4711\n", 3), ("0.00 0.00 0.00 1/97 1\n", 1),
    ("99.9 80.1 9.00 512/1024 77\n", 512),
  ])
  func runnable(_ text: String, _ count: Int) {
    #expect(MachineLoad.runnable(Array(text.utf8)) == count)
  }

  /// Then a ring is stopped before it is ended, as if everything ran.
  @Test(arguments: ["", "0.71 1.03 0.92", "0.71 1.03 0.92 3 4711", "0 0 0 x/1 1", "0 0 0 1/2 3 4"])
  func nothingIsTold(_ text: String) {
    #expect(MachineLoad.runnable(Array(text.utf8)) == nil)
  }
}
