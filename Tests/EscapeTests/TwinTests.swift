import Foundation
import Testing

extension EscapeTests {
  /// The same acts with no ring around them. A probe that fails here too proves nothing.
  @Suite(
    .serialized,
    .enabled(if: Binaries.isProgram(Binaries.directory + "/agt-probe"), "agt-probe is not built"))
  struct Twins {
    @Test(arguments: Caller.available)
    func everyTwinSucceeds(_ caller: Caller) {
      let site = Site.of(caller)
      let judgement = probeAll(site)
      var excused: [String: String] = [:]
      var succeeded = 0
      for entry in ProbeEntry.all where entry.judge == "kernel" {
        guard let answer = judgement.answers[entry.name] else {
          Issue.record("\(entry.name): no answer")
          continue
        }
        if entry.worksInRings != nil {
          #expect(answer.outcome == "done", "\(entry.name) must work: \(answer)")
        } else if entry.twin.hasPrefix("nobody: ") {
          #expect(answer.outcome == "refused", "\(entry.name) has a twin after all: \(answer)")
          excused[entry.name] = entry.twin
        } else if !entry.hasTwin(caller) {
          continue
        } else if ["done", "reached"].contains(answer.outcome) {
          succeeded += 1
        } else if let feature = entry.feature {
          excused[entry.name] = "without \(feature): \(answer)"
        } else if let obstacle = unplantable(entry) {
          excused[entry.name] = obstacle
        } else {
          Issue.record("\(entry.name) fails without a ring too: \(answer)")
        }
      }
      note("twins, \(caller)", excused)
      print("twins, \(caller): \(succeeded) succeeded")
      // The reference machine lacks 40 optional features and capabilities; each is named above.
      #expect(excused.count <= 48, "more skips than this suite knows of")
      #expect(succeeded >= 180, "the table has lost its twins")
    }

    @Test("The canaries notice what the twins do", arguments: Caller.available)
    func canariesNotice(_ caller: Caller) {
      let site = Site.of(caller)
      func notices(_ words: String) -> Bool {
        let before = site.snapshot()
        _ = site.bare(words).run()
        return site.snapshot() != before
      }
      for verb in [
        "network.tcp-loopback", "network.udp", "network.abstract-stream",
        "network.pathname-datagram", "process.kill", "process.sigio", "ipc.message-queue",
        "ipc.posix-queue", "file.write-secret", "file.chmod-secret", "file.create-outside",
        "link.planted-directory", "network.workspace-stream", "file.workspace-fifo",
        "descriptor.change-input",
      ] {
        #expect(notices("run-all --only \(verb) \(site.fixtureWords())"), "\(verb)")
      }
      #expect(!notices("run-all --only control.clock \(site.fixtureWords())"))
    }

    /// Without root, nobody can plant a program of another user.
    private func unplantable(_ entry: ProbeEntry) -> String? {
      let planted = [
        "exec.set-user-id", "exec.set-group-id", "exec.file-capability", "file.workspace-device",
      ]
      let needsRoot = planted.contains(entry.name) || entry.name == "network.engine-socket"
      return needsRoot && !Caller.isRoot ? "only root can prepare it" : nil
    }

    private func probeAll(_ site: Site) -> Judgement {
      var judgement = Judgement()
      let main = site.bare("run-all \(site.fixtureWords())").run()
      #expect(main.status == 0, "\(main.status) \(main.errors)")
      judgement.add(Answer.parse(main.output))

      let terminal = Terminal(owner: site.caller.uid)
      let words = site.fixtureWords([
        "terminal": terminal.path, "terminal-device": terminal.device,
      ])
      let onTerminal = site.bare("run-all --group terminal,device \(words)", terminal: terminal)
      judgement.add(Answer.parse(onTerminal.run().output))

      for entry in ProbeEntry.all where entry.group == "limit" {
        let amount = limitAmounts[entry.name] ?? 0
        judgement.add(entry.name, site.bare("\(entry.name) amount=\(amount)").run())
      }

      // A process 1 of the caller's own, as the launcher is the caller's.
      let unshare = Caller.isRoot ? "unshare" : "unshare --user --map-current-user"
      let asInit = site.bare(
        "run-all --group init \(site.fixtureWords())",
        isolation: "\(unshare) --pid --fork --mount-proc --")
      judgement.answers = judgement.answers.filter { !$0.key.hasPrefix("init.") }
      judgement.add(Answer.parse(asInit.run().output))

      if site.caller == .root {
        let directory = site.outside
        let lost = site.command(
          "/bin/sh -c 'mount -t tmpfs none \(directory); cd \(directory); umount -l \(directory); "
            + "exec \(site.probe) working-directory.unreachable'")
        judgement.add("working-directory.unreachable", lost.run())
      }
      return judgement
    }
  }
}
