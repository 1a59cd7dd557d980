import Foundation
import Testing

extension EscapeTests {
  /// The launcher itself as the victim: its arguments, its search path, its workspace.
  @Suite(.serialized, .enabled(if: Binaries.missing == nil, "\(Binaries.missing ?? "")"))
  struct Launches {
    /// Row 30 of the ledger: what stands behind `--` is the program's.
    @Test(arguments: Caller.available)
    func optionsOfTheProgramAreNotTheLaunchers(_ caller: Caller) {
      let site = Site.of(caller)
      let result = site.contained(
        ring: 3, "identity.filter --ring 0 --degrade seccomp"
      ).run()
      // agt-probe takes no options there and says so; agt-run would have gone to ring 0.
      #expect(result.status == 2, "\(result)")
      #expect(result.errors.contains("agt-probe:"), "\(result)")
    }

    /// Row 28: whoever controls PATH or the workspace does not control what the launcher executes.
    @Test(arguments: Caller.available)
    func nothingFromPathIsExecuted(_ caller: Caller) throws {
      let site = Site.of(caller)
      let (trap, mark) = (site.base + "/trap", site.outside + "/trapped")
      let names = [
        "newuidmap", "newgidmap", "ip", "nft", "iptables", "mount", "umount", "sh", "bash", "env",
        "ld.so", "ldconfig", "ldd", "getent", "id", "python3", "agt-stage", "agt-probe", "cp",
        "true",
      ]
      let script = """
        set -e; mkdir -p \(trap)
        for name in \(names.joined(separator: " ")); do
          printf '#!/bin/sh\\necho trapped >\(mark)\\n' >\(trap)/$name; chmod 755 \(trap)/$name
        done
        """
      #expect(Command(arguments: ["/bin/sh", "-c", script]).run().status == 0)
      defer { try? FileManager.default.removeItem(atPath: mark) }
      for ring in [1, 2, 3] {
        let options = "--ring \(ring) --quiet --workspace \(site.work)"
        let words = "\(site.bin)/agt-run \(options) -- \(site.probe) control.clock"
        _ = site.command("/usr/bin/env PATH=\(trap):/usr/bin:/bin \(words)").run()
        #expect(!FileManager.default.fileExists(atPath: mark), "ring \(ring) ran a trap")
      }
      _ = site.command("/usr/bin/env PATH=\(trap):/usr/bin:/bin /usr/bin/env ip").run()
      #expect(FileManager.default.fileExists(atPath: mark), "the traps do not work")
    }

    /// One descriptor on the caller's terminal is enough to type into it.
    @Test(arguments: Caller.available, [">", "2>", "<"])
    func noDescriptorIsTheCallersTerminal(_ caller: Caller, redirection: String) {
      let site = Site.of(caller)
      let terminal = Terminal(owner: caller.uid)
      // Everything but one descriptor goes elsewhere; the report is a file of the workspace.
      let others = ["<": "</dev/null", ">": ">\(site.home)/report", "2>": "2>/dev/null"]
      let elsewhere = others.filter { $0.key != redirection }.values.joined(separator: " ")
      let verbs = "terminal.caller,terminal.push-input,device.foreign-terminals,terminal.tiocsti"
      let words =
        "run-all --only \(verbs) terminal=\(terminal.path) terminal-device=\(terminal.device)"
      func answers(_ launch: String) -> [String: Answer] {
        let result = site.command(
          "/bin/sh -c '\(launch) \(site.probe) \(words) \(elsewhere)'", terminal: terminal
        ).run()
        let report = (try? String(contentsOfFile: site.home + "/report", encoding: .utf8)) ?? ""
        return Answer.parse(redirection == ">" ? result.output : report)
      }
      for ring in [2, 3] {
        let options = "--ring \(ring) --quiet --workspace \(site.work)"
        let got = answers("\(site.bin)/agt-run \(options) --")
        #expect(got.count == 4, "ring \(ring): \(got)")
        for (name, answer) in got {
          #expect(answer.outcome == "refused", "ring \(ring), \(name): \(answer)")
        }
      }
      #expect(answers("")["terminal.caller"]?.outcome == "done", "the twin proves nothing")
    }

    /// A workspace is wherever its owner works; also behind a link, as /var/run is one.
    @Test(arguments: Caller.available, ["/tmp", "/var/tmp", "home", "link"])
    func workspaceMayBeAnywhere(_ caller: Caller, place: String) {
      let site = Site.of(caller)
      let name = "agt-escape-workspace-\(getpid())"
      let directory =
        switch place {
        case "home": site.home + "/" + name
        case "link": site.base + "/link/" + name
        default: place + "/" + name
        }
      let prepare = """
        set -e; mkdir -p \(site.base)/real; [ -e \(site.base)/link ] || ln -s real \(site.base)/link
        mkdir -p \(directory); cp \(site.probe) \(directory)/; echo x >\(directory)/planted-file
        [ "$(id -u)" != 0 ] || chown -R \(caller.uid):\(caller.uid) \(directory)
        """
      let prepared = Command(arguments: ["/bin/sh", "-c", prepare]).run()
      #expect(prepared.status == 0, "\(prepared.errors)")
      defer { try? FileManager.default.removeItem(atPath: directory) }
      for ring in [2, 3] {
        let result = site.command(
          "\(site.bin)/agt-run --ring \(ring) --quiet --workspace \(directory) -- "
            + "\(directory)/agt-probe run-all --only control.workspace-read,file.read-secret "
            + "planted=yes secret=\(site.outside)/secret"
        ).run()
        let answers = Answer.parse(result.output)
        #expect(answers["control.workspace-read"]?.outcome == "done", "ring \(ring): \(result)")
        #expect(answers["file.read-secret"]?.outcome == "refused", "ring \(ring): \(result)")
      }
    }
  }
}
