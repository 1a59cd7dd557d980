import CProbe
import Foundation
import Testing

extension EscapeTests {
  /// When the run ends, nothing of it is alive, however it ends.
  @Suite(.serialized, .enabled(if: Binaries.missing == nil, "\(Binaries.missing ?? "")"))
  struct Lifetime {
    /// Promise 4.
    private let graceSeconds = 3.0

    @Test(
      arguments: Caller.available, ["orphan.daemon", "orphan.stopped", "orphan.many"])
    func nothingIsLeft(_ caller: Caller, verb: String) {
      let site = Site.of(caller)
      for ring in [1, 2, 3] {
        let mark = newMark()
        let result = site.contained(ring: ring, "\(verb) mark=\(mark)").run()
        let acted = Answer.parse(result.output)[verb]?.outcome
        #expect(acted == (ring == 3 ? "refused" : "done"), "ring \(ring): \(result)")
        let gone = HostProcesses.wait(seconds: graceSeconds) { HostProcesses.marked(mark).isEmpty }
        #expect(gone, "ring \(ring): \(HostProcesses.marked(mark).count) left")
        end(mark)
      }
      let mark = newMark()
      _ = site.bare("\(verb) mark=\(mark)").run()
      #expect(!HostProcesses.marked(mark).isEmpty, "without a ring nothing is left either")
      end(mark)
    }

    @Test(arguments: Caller.available, [1, 2, 3])
    func killedSupervisorTakesTheRunWithIt(_ caller: Caller, ring: Int) {
      let site = Site.of(caller)
      let mark = newMark()
      stay(site.contained(ring: ring, "orphan.stay mark=\(mark)"), SIGKILL)
      let gone = HostProcesses.wait(seconds: graceSeconds) { HostProcesses.marked(mark).isEmpty }
      #expect(gone, "\(HostProcesses.marked(mark).count) left")
      end(mark)
    }

    @Test(arguments: Caller.available)
    func killedShellLeavesItsProgram(_ caller: Caller) {
      let site = Site.of(caller)
      let mark = newMark()
      stay(site.bare("orphan.stay mark=\(mark)"), SIGKILL)
      #expect(!HostProcesses.marked(mark).isEmpty, "the twin proves nothing")
      end(mark)
    }

    /// One ring for each caller: a program that heeds no signal gets the whole grace period.
    @Test(arguments: Caller.available)
    func terminatedSupervisorEndsTheRun(_ caller: Caller) {
      let site = Site.of(caller)
      let ring = caller == .root ? 3 : 2
      let mark = newMark()
      stay(site.contained(ring: ring, "orphan.stay mark=\(mark)"), SIGTERM)
      let gone = HostProcesses.wait(seconds: graceSeconds) { HostProcesses.marked(mark).isEmpty }
      #expect(gone, "\(HostProcesses.marked(mark).count) left")
      end(mark)
    }

    @Test(arguments: Caller.available)
    func processGroupIsNotShared(_ caller: Caller) {
      let site = Site.of(caller)
      /// How the canary ended, as wait tells: of the first fatal signal, and 137 is ours.
      func end(_ words: String) -> String {
        // It gets time to become sleep(1); until then the shell's trap is its own too.
        let script =
          "trap : USR1; sleep 20 & c=$!; sleep 0.2; \(words); kill -9 $c; wait $c; echo ended $?"
        let result = site.command("/bin/sh -c '\(script)'").run()
        return result.lines.last ?? result.errors
      }
      let verb = "\(site.probe) process.kill-group mark=x"
      for ring in [1, 2, 3] {
        let options = "--ring \(ring) --quiet --workspace \(site.work)"
        #expect(end("\(site.bin)/agt-run \(options) -- \(verb)") == "ended 137", "ring \(ring)")
      }
      #expect(end(verb) == "ended \(128 + SIGUSR1)", "without a ring the signal does not arrive")
    }

    private func newMark() -> String { "mark-\(UUID().uuidString)" }

    /// Starts a program that heeds no signal, and ends what it was started by.
    private func stay(_ command: Command, _ signal: Int32) {
      let run = command.start()
      _ = HostProcesses.wait(seconds: 10) { run.output.contains("orphan.stay") || !run.isRunning }
      #expect(run.output.contains("orphan.stay"), "it did not start")
      run.kill(signal)
      _ = run.wait()
    }

    /// The suite itself leaves nothing behind.
    private func end(_ mark: String) {
      for pid in HostProcesses.marked(mark) { _ = kill(pid, SIGKILL) }
    }
  }
}
