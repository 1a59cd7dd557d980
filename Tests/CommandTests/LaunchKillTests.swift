import Glibc
import TestSupport
import Testing

/// A launch is ended at every system call of the processes that it makes: by SIGKILL to its supervisor, by a signal
/// that asks for the end, and by `agt kill` while it hangs there. Whatever there was is gone afterwards.
@Suite(.enabled(if: File.exists(Binaries.tests + "/fault-injector"), "swift build --build-tests"))
struct LaunchKillTests {
  /// Tells the program from others.
  private let mark = "l\(UInt32.random(in: 0...999_999_999))"
  private var waits: [String] { ["/bin/sh", "-c", "while :; do read x; done; : \(mark)"] }

  private func isEmpty(_ site: FaultSite) -> Bool {
    site.leftBehind == []
      && Clock.eventually(1) { ProcessTable.pids(withWord: mark).isEmpty }
  }

  /// AGT_FAULTS=all takes every call; without it, every sixteenth, and each process's first and last.
  private func selected(_ calls: [FaultSite.Call], offset: Int) -> [FaultSite.Call] {
    if Binaries.environment("AGT_FAULTS") == "all" { return calls }
    return calls.enumerated().filter { index, call in
      index % 16 == offset
        || index == 0 || calls[index - 1].process != call.process
        || index + 1 == calls.count || calls[index + 1].process != call.process
    }.map(\.element)
  }

  /// 9 takes the supervisor with it at once; 15 makes the kill switch end what there is.
  @Test(arguments: Starter.all, [SIGKILL, SIGTERM])
  func signalsAtEveryCall(_ starter: Starter, _ signal: Int32) {
    endAtEveryCall(signal, FaultSite(ring: "2", as: starter))
  }

  /// No process namespace takes the ring's processes with it, and PID 1 has not root's ids any more while the program's
  /// process has.
  @Test(arguments: Starter.all) func withoutNamespaces(_ starter: Starter) {
    let options = [
      "--degrade", "namespaces", "--degrade", "violations", "--cgroup", "none",
    ]
    endAtEveryCall(SIGKILL, FaultSite(ring: "2", as: starter, options: options))
  }

  private func endAtEveryCall(_ signal: Int32, _ site: FaultSite) {
    #expect(site.record().status == 0)
    var met = 0
    let calls = selected(site.calls, offset: signal == SIGKILL ? 0 : 8)
    for call in calls {
      var command = site.command(
        process: call.process, ordinal: call.ordinal, errno: -signal, program: waits)
      command.input = .silent
      let running = command.start()
      if Clock.eventually(1, { site.injected != nil }) {
        met += 1
      } else {
        // Processes run side by side, so that it came to less calls this time.
        running.signal(signal)
      }
      // Asked twice, nobody waits for the grace.
      if signal == SIGTERM { running.signal(SIGTERM) }
      let ended = running.wait()
      let place = "process \(call.process), call \(call.ordinal), \(call.name)"
      #expect(!ended.timedOut, "\(place): \(ended.summary)")
      #expect(isEmpty(site), "\(place): \(site.leftBehind)")
    }
    #expect(met * 4 > calls.count * 3, "\(met) of \(calls.count)")
    _ = site.agt("gc")
  }

  /// A launch that hangs for good cannot be told from one that is slow; it is killed all the same, and with it
  /// what it has started.
  @Test func aLaunchThatHangsIsKilled() {
    let site = FaultSite(ring: "2", as: .ordinary)
    #expect(site.record().status == 0)
    let calls = site.calls
    var met = 0
    for step in 1...6 {
      let call = calls[step * (calls.count - 1) / 6]
      var command = site.command(
        process: call.process, ordinal: call.ordinal, errno: FaultSite.hold, program: waits,
        name: mark)
      command.input = .silent
      let running = command.start()
      if Clock.eventually(2, { site.injected != nil }) { met += 1 }
      // By its name: other tests have runs of the same user. It may not have been registered yet.
      var killed = site.agt("kill", mark)
      _ = Clock.eventually(5) {
        if killed.status == 0 { return true }
        killed = site.agt("kill", mark)
        return false
      }
      let place = "process \(call.process), call \(call.ordinal), \(call.name)"
      #expect(
        killed.status == 0 && killed.out.contains("nothing is left"), "\(place): \(killed.summary)")
      running.signal(SIGKILL)
      _ = running.wait()
      #expect(isEmpty(site), "\(place): \(site.leftBehind)")
    }
    #expect(met > 3)
  }
}
