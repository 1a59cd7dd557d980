import Foundation
import Testing

/// Everything here drives the built programs. The suites run one after the other: they share two
/// sites, and their canaries see everything that happens.
@Suite(.serialized) struct EscapeTests {}

extension EscapeTests {
  /// Every probe in every ring, as root and as an ordinary user.
  @Suite(
    .serialized,
    .enabled(if: Binaries.missing == nil, "\(Binaries.missing ?? "")"))
  struct Containment {
    @Test(arguments: Caller.available, [3, 2, 1])
    func everyProbeIsRefused(_ caller: Caller, ring: Int) {
      let site = Site.of(caller)
      let before = site.snapshot()
      guard let judgement = probeAll(site, ring) else { return }
      let after = site.snapshot()
      var excused: [String: String] = [:]
      for entry in ProbeEntry.all where entry.judge == "kernel" && entry.concerns(ring: ring) {
        if judgement.unlaunched.contains(entry.name) { continue }
        guard let answer = judgement.answers[entry.name] else {
          Issue.record("\(entry.name): no answer")
          continue
        }
        if answer.outcome == "unavailable" && entry.feature != nil {
          excused[entry.name] = answer.detail
        } else if answer.outcome == "skipped" && !missingFixtures(entry, site).isEmpty {
          excused[entry.name] = answer.detail
        } else if entry.worksInRings != nil {
          #expect(answer.outcome == "done", "\(entry.name) must work: \(answer)")
        } else {
          #expect(answer.outcome == "refused", "\(entry.name) got through: \(answer)")
        }
      }
      if ring == 3 {
        #expect(before == after, "the canary has noticed something")
      } else if ring == 2 {
        // Sockets and pipes that lie in the workspace are within reach (SECURITY.md, "What is not promised").
        #expect(
          beyondWorkspace(before) == beyondWorkspace(after), "the canary has noticed something")
      }
      note("ring \(ring), \(caller)", excused)
      #expect(excused.count <= 8, "more skips than this suite knows of")
    }

    /// A rule for somebody else at the very port on which the host listens opens nothing of the host.
    @Test(arguments: Caller.available)
    func aRuleOpensOnlyWhatItNames(_ caller: Caller) throws {
      let site = Site.of(caller)
      let port = try #require(site.fixtures["tcp-port"])
      let words = "run-all --group network \(site.fixtureWords())"
      let before = site.snapshot()
      let exact = site.contained(ring: 2, options: "--net example.org:\(port)", words).run()
      #expect(exact.status == 0, "\(exact.status) \(exact.errors)")
      let answers = Answer.parse(exact.output)
      #expect(answers.count >= 10)
      for entry in ProbeEntry.all where entry.group == "network" && entry.concerns(ring: 2) {
        guard let answer = answers[entry.name], entry.worksInRings == nil else { continue }
        #expect(
          answer.outcome == "refused" || answer.outcome == "unavailable" && entry.feature != nil
            || answer.outcome == "skipped" && !missingFixtures(entry, site).isEmpty,
          "\(entry.name) got through: \(answer)")
      }
      // Where every address has a listener, connecting succeeds, to nobody: the canary is the judge.
      let wide = site.contained(
        ring: 2, options: "--net *.example.org:\(port) --net 0.0.0.0/0:\(port)", words
      ).run()
      #expect(wide.status == 0, "\(wide.status) \(wide.errors)")
      #expect(beyondWorkspace(before) == beyondWorkspace(site.snapshot()), "the canary noticed")
    }

    private func beyondWorkspace(_ snapshot: String) -> Substring {
      snapshot.firstRange(of: "\"messages\"").map { snapshot[$0.lowerBound...] } ?? snapshot[...]
    }

    @Test("The root half runs", .enabled(if: Caller.isRoot, "started without root"))
    func rootHalf() { #expect(Caller.available.contains(.root)) }

    /// What this site cannot offer: another address, or a container engine without root.
    private func missingFixtures(_ entry: ProbeEntry, _ site: Site) -> [String] {
      entry.needs.filter {
        ["address", "engine-socket"].contains($0) && site.fixtures[$0] == nil
      }
    }

    private func probeAll(_ site: Site, _ ring: Int) -> Judgement? {
      var judgement = Judgement()
      let main = site.contained(ring: ring, "run-all \(site.fixtureWords())").run()
      #expect(main.status == 0, "ring \(ring), \(site.caller): \(main.status) \(main.errors)")
      guard main.status == 0 else { return nil }
      judgement.add(Answer.parse(main.output))

      let terminal = Terminal(owner: site.caller.uid)
      let words = site.fixtureWords([
        "terminal": terminal.path, "terminal-device": terminal.device,
      ])
      let onTerminal = site.contained(
        ring: ring, "run-all --group terminal,device \(words)", terminal: terminal
      ).run()
      #expect(onTerminal.status == 0, "on a terminal: \(onTerminal.status) \(onTerminal.output)")
      #expect(!onTerminal.output.contains("#"), "a character reached the terminal's input")
      judgement.add(Answer.parse(onTerminal.output))
      if onTerminal.status != 0 {
        judgement.unlaunched.formUnion(
          ProbeEntry.all.filter { $0.needs.contains("terminal") }.map(\.name))
      }

      // In a ring of one process, what ends the process gets one of its own.
      let rest = judgement.untried(ProbeEntry.all.filter { $0.alone && $0.group != "limit" })
      for entry in rest where entry.concerns(ring: ring) {
        let onTerminal = entry.needs.contains("terminal")
        let arguments = entry.needs.isEmpty ? "" : words
        judgement.add(
          entry.name,
          site.contained(
            ring: ring, "\(entry.name) \(arguments)", terminal: onTerminal ? terminal : nil
          ).run())
      }
      for entry in ProbeEntry.all where entry.group == "limit" && entry.concerns(ring: ring) {
        let amount = limitAmounts[entry.name] ?? 0
        let options =
          entry.name == "limit.scratch-files"
          ? "--profile \(site.fewFilesProfile(ring: ring))" : limitOptions
        judgement.add(
          entry.name,
          site.contained(ring: ring, options: options, "\(entry.name) amount=\(amount)").run())
      }
      return judgement
    }
  }
}
