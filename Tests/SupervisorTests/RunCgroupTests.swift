import TestSupport
import Testing

@testable import Supervisor

/// Who is in a cgroup decides whether it is killed and whether its end is confirmed.
@Suite struct RunCgroupTests {
  @Test func everybodyIsFound() {
    let scratch = Scratch()
    #expect(RunCgroup.processes(in: scratch.path) == [])
    let pids = (1...5000).map { Int32(4_000_000 + $0) }
    scratch.write("cgroup.procs", pids.map { "\($0)\n" }.joined())
    #expect(RunCgroup.processes(in: scratch.path) == pids)
  }

  /// What cannot be read is not empty.
  @Test func whatCannotBeToldIsNotEmpty() {
    let scratch = Scratch()
    #expect(Command(["/bin/mkdir", scratch.path + "/cgroup.procs"]).run().status == 0)
    #expect(RunCgroup.processes(in: scratch.path) == nil)
  }
}
