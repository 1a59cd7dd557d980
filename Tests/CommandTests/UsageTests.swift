import TestSupport
import Testing

/// What a person reads who typed something that cannot be obeyed: the whole text and the status.
@Suite struct UsageTests {
  struct Mistake: Sendable, CustomTestStringConvertible {
    let words: [String]
    let status: Int32
    let text: String
    init(_ line: String, _ text: String, status: Int32 = 2) {
      words = line.split(separator: " ").map(String.init)
      self.text = text
      self.status = status
    }
    var testDescription: String { words.joined(separator: " ") }
  }

  static let mistakes =
    [
      Mistake("", "no program to run\n  hint: agt-run --ring 3 -- python3 agent.py"),
      Mistake("--ring 2", "no program to run\n  hint: agt-run --ring 3 -- python3 agent.py"),
      Mistake("--ring 2 --", "no program to run\n  hint: agt-run --ring 3 -- python3 agent.py"),
      Mistake("--rign 3 -- true", "unknown option --rign\n  hint: did you mean --ring?"),
      Mistake("--tiemout 3s -- true", "unknown option --tiemout\n  hint: did you mean --timeout?"),
      Mistake(
        "--proxy x -- true", "unknown option --proxy\n  hint: agt-run --help lists the options"),
      Mistake("-x -- true", "unknown option -x\n  hint: agt-run --help lists the options"),
      Mistake(
        "-- --ring 3 true",
        "--ring: an option after `--` is taken for the program to run\n"
          + "  hint: agt-run --ring … -- program [arguments]"),
      Mistake(
        "--ring xyz -- true",
        "--ring xyz: there is no such ring\n  hint: 0 system, 1 privileged, 2 standard, 3 sandbox; "
          + "a profile of your own goes to --profile FILE"),
      Mistake(
        "--ring 4 -- true",
        "--ring 4: there is no such ring\n  hint: 0 system, 1 privileged, 2 standard, 3 sandbox; "
          + "a profile of your own goes to --profile FILE"),
      Mistake("--ring 3 --ring 2 -- true", "--ring is given twice\n  hint: leave one of them out"),
      Mistake(
        "--timeout 5s --timeout=6s -- true",
        "--timeout is given twice\n  hint: leave one of them out"),
      Mistake(
        "--on-violation deny --on-violation kill -- true",
        "--on-violation is given twice\n  hint: leave one of them out"),
      Mistake(
        "--quiet -q -- true", "--quiet is given twice\n  hint: leave one of them out"),
      Mistake(
        "--quiet --verbose -- true",
        "--quiet and --verbose contradict each other\n  hint: leave one of them out"),
      Mistake(
        "--ring 3 --profile x -- true",
        "--ring and --profile contradict each other\n  hint: leave one of them out"),
      Mistake(
        "--json -- true",
        "--json goes with --explain\n  hint: --result-json FILE records a run"),
      Mistake(
        "--name a/b -- true",
        "--name a/b: a name has letters, digits, - . and _, and begins with a letter, a digit or _\n"
          + "  hint: --name research-3"),
      Mistake("--explain=1 -- true", "--explain takes no value"),
      Mistake("--help=3", "--help takes no value"),
      Mistake("--version=3", "--version takes no value"),
      Mistake("--ring= -- true", "--ring: the value is empty"),
      Mistake("--profile= -- true", "--profile: the value is empty"),
      Mistake("--read= -- true", "--read: the value is empty"),
      Mistake("--write= -- true", "--write: the value is empty"),
      Mistake("--result-json= -- true", "--result-json: the value is empty"),
      Mistake("--workspace= -- true", "--workspace: the directory is empty\n  hint: --workspace ."),
      Mistake(
        "--workspace :ro -- true", "--workspace: the directory is empty\n  hint: --workspace ."),
      Mistake(
        "--env =x -- true",
        "--env =x: a name is needed\n  hint: --env NAME=VALUE, or --env NAME"),
    ] + amounts
    + [
      "--ring", "--profile", "--workspace", "--read", "--write", "--env", "--timeout", "--grace",
      "--memory", "--pids", "--tmp", "--on-violation", "--result-json", "--status-fd", "--degrade",
    ].flatMap { flag in
      ["\(flag)", "\(flag) -- true"].map {
        Mistake($0, "\(flag) needs a value\n  hint: agt-run --help")
      }
    }

  static let amounts = [
    Mistake(
      "--timeout 0s -- true", "--timeout 0s: nothing can run in no time\n  hint: --timeout 90s"),
    Mistake(
      "--timeout 5 -- true",
      "--timeout 5: no unit in the duration \"5\"; write ms, s, m or h after the number, "
        + "for example 30s\n  hint: --timeout 90s"),
    Mistake(
      "--timeout -5s -- true",
      "--timeout -5s: \"-5s\" is not a whole number with a unit; write for example 30s\n"
        + "  hint: --timeout 90s"),
    Mistake(
      "--memory 0 -- true", "--memory 0: nothing can run in no space\n  hint: --memory 512MiB"),
    Mistake(
      "--memory 1.5G -- true",
      "--memory 1.5G: unknown unit in the size \"1.5G\"; write KiB, MiB or GiB (powers of 1024), "
        + "or k, M or G (powers of 1000)\n  hint: --memory 512MiB"),
    Mistake(
      "--tmp lots -- true",
      "--tmp lots: \"lots\" is not a whole number with a unit; write for example 512MiB\n"
        + "  hint: --tmp 512MiB"),
    Mistake(
      "--pids 0 -- true", "--pids 0: a whole number from 1 to 4194304 is needed"),
    Mistake(
      "--pids 4194305 -- true", "--pids 4194305: a whole number from 1 to 4194304 is needed"),
    Mistake("--pids 2x -- true", "--pids 2x: a whole number from 1 to 4194304 is needed"),
    Mistake(
      "--status-fd 2 -- true", "--status-fd 2: a whole number from 3 to 1048575 is needed"),
    Mistake(
      "--status-fd x -- true", "--status-fd x: a whole number from 3 to 1048575 is needed"),
    Mistake(
      "--status-fd 77 -- true",
      "--status-fd 77: the descriptor is not open\n  hint: agt-run --status-fd 77 … 77>events.json"),
    Mistake(
      "--on-violation kil -- true",
      "--on-violation kil: one of deny, kill, rollback is needed\n  hint: did you mean kill?"),
    Mistake(
      "--on-violation xyzzy -- true", "--on-violation xyzzy: one of deny, kill, rollback is needed"),
    Mistake(
      "--degrade namespace -- true",
      "--degrade namespace: one of namespaces, landlock, seccomp, violations is needed\n"
        + "  hint: did you mean namespaces?"),
    Mistake(
      "--degrade xyzzy -- true",
      "--degrade xyzzy: one of namespaces, landlock, seccomp, violations is needed"),
  ]

  @Test(arguments: mistakes) func saysWhatIsWrong(_ mistake: Mistake) {
    let scratch = Scratch()
    let run = Command.agtRun(mistake.words, in: scratch).run()
    #expect(run.err == "agt-run: \(mistake.text)\n")
    #expect(run.out == "")
    #expect(run.status == mistake.status)
  }

  @Test func valueThatIsNoUTF8() {
    let scratch = Scratch()
    var command = Command.agtRun(["--ring"], in: scratch)
    command.words += [[0xff], Array("--".utf8), Array("true".utf8)]
    let run = command.run()
    #expect(run.err == "agt-run: --ring: the value is not UTF-8\n  hint: use a name in UTF-8\n")
    #expect(run.status == 2)
  }

  @Test(arguments: ["--help", "-h"]) func help(_ flag: String) {
    let run = Command.agtRun([flag], in: Scratch()).run()
    #expect(run.status == 0)
    #expect(run.err == "")
    #expect(run.out.hasPrefix("usage: agt-run [options] -- program [arguments…]\n"))
    // Each option that the parser takes is in the text, and the text fits a terminal.
    for flag in [
      "--ring", "--profile", "--workspace", "--read", "--write", "--env", "--timeout", "--memory",
      "--pids", "--tmp", "--on-violation", "--degrade", "--explain", "--json", "--result-json",
      "--status-fd", "-q, --quiet", "-v, --verbose", "-V, --version", "-h, --help",
    ] { #expect(run.out.contains("  \(flag)"), "\(flag)") }
    for status in ["2 usage", "124 ", "125 ", "126 ", "127 ", "128+n", "137 "] {
      #expect(run.out.contains(status), "\(status)")
    }
    for line in run.out.split(separator: "\n") { #expect(line.count <= 100, "\(line)") }
  }

  @Test(arguments: ["--version", "-V"]) func version(_ flag: String) throws {
    let run = Command.agtRun([flag], in: Scratch()).run()
    #expect(run.out.wholeMatch(of: /agt-run [0-9]+\.[0-9]+\.[0-9]+\n/) != nil)
    #expect(run.err == "")
    #expect(run.status == 0)
  }

  /// What comes first decides; what a wrong option after it would have said does not matter.
  @Test func helpWins() {
    let run = Command.agtRun(["--help", "--nonsense"], in: Scratch()).run()
    #expect(run.status == 0)
  }

  @Test func optionsOfTheProgramAreItsOwn() {
    let run = Command.agtRun(["echo", "--ring", "9", "--", "-x"], in: Scratch()).run()
    #expect(run.out == "--ring 9 -- -x\n")
    #expect(run.status == 0)
  }

  @Test(arguments: ["3", "sandbox", "2", "standard", "1", "privileged", "0", "system"])
  func ringsByNumberAndName(_ ring: String) {
    let run = Command.agtRun(["--ring=\(ring)", "--", "sh", "-c", "echo $AGT_RING"], in: Scratch())
      .run()
    let number = ["sandbox": "3", "standard": "2", "privileged": "1", "system": "0"][ring] ?? ring
    #expect(run.out == number + "\n", "\(run.summary)")
    #expect(run.status == 0)
  }
}
