import TestSupport
import Testing

/// A launch that fails while its stage is still busy.
@Suite struct OrphanTests {
  /// The stage starts before the program is looked up, and is killed at whatever point it has reached.
  /// Its own helpers have to go with it, or they keep the caller's pipes open: without the holder's
  /// death signal (CLinux.c) one run of sixty leaves a process.
  @Test(arguments: Starter.all) func failedLaunchesLeaveNoProcess(_ starter: Starter) {
    let scratch = Scratch()
    let script = """
      i=0; while [ $i -lt 300 ]; do "$@" -- agt-no-such-program 2>/dev/null || i=$((i+1)); done
      """
    var command = Command.agtRun([], as: starter, in: scratch)
    let agtRun = command.words
    command.words = Command(["/bin/sh", "-c", script, "sh"]).words + agtRun
    command.timeoutSeconds = 60
    let run = command.run()
    #expect(run.status == 0, "\(run.summary)")
    #expect(Clock.eventually(2) { stages().isEmpty }, "left behind: \(stages())")
  }

  /// What runs the tests' own copy of agt-stage and has nobody to answer to.
  private func stages() -> [Int32] {
    (File.names("/proc") ?? []).compactMap(Int32.init).filter { pid in
      File.linkTarget("/proc/\(pid)/exe") == Binaries.stage
        && File.read("/proc/\(pid)/status")?.contains("\nPPid:\t1\n") == true
    }
  }
}
