import Glibc
import TestSupport
import Testing

/// agt-run under a service manager, and agt unit, through the built binaries. What systemd itself makes of it is
/// shown by Scripts/vm-test.
@Suite struct ServiceCommandTests {
  /// A manager in Python: prints every message and its sender, and ends when the command has.
  private static let manager = """
    import os, socket, subprocess, sys, threading
    name, watchdog, command = sys.argv[1], sys.argv[2], sys.argv[3:]
    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    s.bind("\\0" + name[1:] if name[0] == "@" else name)
    if name[0] != "@": os.chmod(name, 0o777)
    e = dict(os.environ, NOTIFY_SOCKET=name, LISTEN_FDS="0")
    if watchdog.isdigit(): e["WATCHDOG_USEC"] = watchdog
    if watchdog == "1000": e["WATCHDOG_PID"] = "1"
    def messages():
        while True:
            m = s.recv(4096).decode()
            if m == "over": return
            print("<" + m.replace("\\n", "|") + ">", flush=True)
            if watchdog == "stop" and "READY" in m: p.terminate()
    p = subprocess.Popen(command, env=e)
    t = threading.Thread(target=messages)
    t.start()
    p.wait()
    o = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    o.sendto(b"over", s.getsockname())
    t.join()
    print("status", p.returncode)
    """

  private func run(
    _ words: [String], name: String? = nil, watchdog: String = "none",
    as starter: Starter = .native
  ) -> Completed {
    let scratch = Scratch()
    let command = Command.agtRun(words, as: starter, in: scratch)
    let agtRun = command.words.map { String(decoding: $0, as: UTF8.self) }
    return Command(
      ["/usr/bin/python3", "-c", Self.manager, name ?? scratch.home + "/notify", watchdog] + agtRun,
      in: scratch.path
    ).with { $0.environment[1] = "HOME=\(scratch.home)" }.run()
  }

  @Test(arguments: Starter.all) func tellsItsManager(_ starter: Starter) {
    for name in [nil, "@agt-test-\(getpid())-\(starter)"] {
      let done = run(["--ring", "2", "--", "sh", "-c", "env; exit 3"], name: name, as: starter)
      #expect(done.out.contains("<READY=1|STATUS=ring 2 (standard): workspace"), "\(done.summary)")
      #expect(done.out.contains("<STOPPING=1>\n<STATUS=ended with status 3>\nstatus 3\n"))
      for secret in ["NOTIFY_SOCKET", "LISTEN_FDS"] { #expect(!done.out.contains("\n\(secret)=")) }
    }
  }

  @Test func theProgramNeverGetsTheManagersVariables() {
    let done = run(
      ["--ring", "0", "--env", "NOTIFY_SOCKET", "--", "env"], watchdog: "5000000")
    #expect(done.out.contains("\nAGT_RING=0\n"), "\(done.summary)")
    for secret in ["NOTIFY_SOCKET", "WATCHDOG_USEC", "LISTEN_FDS"] {
      #expect(!done.out.contains("\n\(secret)="))
    }
  }

  @Test func theLoopFeedsTheWatchdog() {
    let done = run(["--", "sleep", "1"], watchdog: "400000")
    let count = done.out.split(separator: "\n").filter { $0 == "<WATCHDOG=1>" }.count
    #expect((3...6).contains(count), "\(done.summary)")
    // Another process's watchdog.
    #expect(!run(["--", "sleep", "0.2"], watchdog: "1000").out.contains("WATCHDOG"))
  }

  @Test func aFailedStartIsNeverReady() {
    let done = run(["--", "no-such-program"])
    #expect(!done.out.contains("READY") && done.out.contains("status 127"), "\(done.summary)")
    #expect(done.out.contains("<STATUS=no-such-program: "))
    let late = run(["--ring", "2", "--", "./broken"])
    #expect(!late.out.contains("READY"), "\(late.summary)")
  }

  @Test func beingAskedToEnd() {
    let done = run(
      [
        "--ring", "2", "--grace", "2s", "--", "sh", "-c",
        "trap 'sleep 0.2; exit 5' TERM; while :; do sleep 0.05; done",
      ], watchdog: "stop")
    #expect(
      done.out.contains(">\n<STOPPING=1|STATUS=asked to end|EXTEND_TIMEOUT_USEC=12000000>\n"),
      "\(done.summary)")
    #expect(
      done.out.hasSuffix("<STATUS=ended with status 5>\nstatus 5\n")
        || done.out.hasSuffix("<STATUS=ended with status 143>\nstatus 143\n"), "\(done.summary)")
  }

  @Test func aManagerThatIsNotThereIsNoTrouble() {
    let scratch = Scratch()
    for name in [
      "/nonexistent/x", "@agt-nobody", "vsock:2:3", "", String(repeating: "/", count: 200),
    ] {
      let done = Command.agtRun(["--", "echo", "in"], in: scratch).with {
        $0.environment += ["NOTIFY_SOCKET=\(name)", "WATCHDOG_USEC=x"]
      }.run()
      #expect(done.status == 0 && done.out == "in\n", "\(done.summary)")
    }
  }

  // MARK: declarations

  @Test(arguments: Starter.all) func runsADeclaration(_ starter: Starter) {
    let scratch = Scratch()
    let file = scratch.write(
      "clerk.yaml",
      """
      apiVersion: agt-run/v1
      kind: Agent
      metadata: {name: clerk-\(starter.rawValue)}
      ring: 2
      workspace: \(scratch.path)
      env: [MODE=fast]
      command: [sh, -c, "echo $AGT_RING $MODE $EXTRA; pwd"]
      """)
    let done = Command.agtRun(
      ["--agent-file", file, "--env", "EXTRA=more"], as: starter, in: scratch
    ).run()
    #expect(done.out == "2 fast more\n\(scratch.path)\n", "\(done.summary)")
    _ = Command(["/bin/chmod", "666", file]).run()
    let refused = Command.agtRun(["--agent-file", file], as: starter, in: scratch).run()
    #expect(
      refused.status == 126
        && refused.err.hasPrefix(
          "agt-run: --agent-file \(file): others than you and root could have written it\n"),
      "\(refused.summary)")
  }

  @Test func complaintsHaveAPlace() {
    let scratch = Scratch()
    let file = scratch.write(
      "a.yaml", "apiVersion: agt-run/v1\nkind: Agent\nmetadata: {name: a}\nrign: 2\ncommand: [a]\n")
    let done = Command.agtRun(["--agent-file", file], in: scratch).run()
    #expect(done.status == 2)
    #expect(
      done.err == "agt-run: \(file):4:1: unknown key \"rign\"; did you mean \"ring\"?\n",
      "\(done.summary)")
  }

  /// An agent that writes its own declaration would choose its ring at the next start.
  @Test func declarationsAreHiddenFromTheRing() {
    let scratch = Scratch()
    let done = Command.agtRun(
      [
        "--ring", "2", "--workspace", scratch.home, "--", "sh", "-c",
        "mkdir -p .config/agt/agents 2>/dev/null; echo x >.config/agt/agents/me.yaml; "
          + "mv .config .other; ls -d .config",
      ], as: .ordinary, in: scratch
    ).run()
    #expect(done.out.contains(".config\n"), "\(done.summary)")
    #expect(!File.exists(scratch.home + "/.config/agt/agents/me.yaml"))
  }

  private func unit(_ words: [String], in scratch: Scratch) -> Completed {
    scratch.give(to: .ordinary)
    return Command(Starter.ordinary.prefix + [Binaries.agt, "unit"] + words, in: scratch.path)
      .with { $0.environment[1] = "HOME=\(scratch.home)" }.run()
  }

  @Test func agtUnitWritesAndNeverOverwrites() {
    let scratch = Scratch()
    let words = [
      "clerk", "--ring", "2", "--workspace", ".", "--env", "KEY", "--", "sh", "-c", "exit 4",
    ]
    let done = unit(words, in: scratch)
    let file = scratch.home + "/.config/agt/agents/clerk.yaml"
    let template = scratch.home + "/.config/systemd/user/agt-agent@.service"
    #expect(done.status == 0, "\(done.summary)")
    #expect(done.out.hasPrefix("wrote \(file)\nwrote \(template)\nnext:\n"))
    #expect(done.out.contains("put KEY=… into \(file.dropLast(5)).env (chmod 600)"))
    #expect(done.out.contains("systemctl --user enable --now agt-agent@clerk\n"))
    let mode = Command(["/usr/bin/stat", "-c", "%a", file]).run().out
    #expect(mode == "600\n")
    let text = Command(["/bin/cat", template]).run().out
    #expect(text.contains("/agt-run --agent-file %E/agt/agents/%i.yaml"))
    let started = Command.agtRun(["--agent-file", file], as: .ordinary, in: scratch).run()
    #expect(started.status == 4, "\(started.summary)")
    let again = unit(words, in: scratch)
    #expect(again.status == 2)
    #expect(
      again.err == "agt: \(file): there is an agent of this name\n"
        + "  hint: agt unit --replace clerk … writes it anew\n")
    let replaced = unit(["--replace"] + words.dropLast() + ["exit 6"], in: scratch)
    #expect(replaced.out.hasPrefix("wrote \(file)\nnext:\n"), "\(replaced.summary)")
    #expect(Command.agtRun(["--agent-file", file], as: .ordinary, in: scratch).run().status == 6)
  }

  /// What the agent's own unit has to give it; gone with a declaration that asks for none.
  @Test func agtUnitHasCredentialsLoaded() {
    let scratch = Scratch()
    let words = ["clerk", "--ring", "2", "--workspace", "."]
    let program = ["--", "sh", "-c", "cat $CREDENTIALS_DIRECTORY/*"]
    let done = unit(
      words + ["--credential", "mail-key", "--credential", "b"] + program, in: scratch)
    let place = scratch.home + "/.config/agt/agents/clerk.credentials"
    let lines = scratch.home + "/.config/systemd/user/agt-agent@clerk.service.d/credentials.conf"
    #expect(done.status == 0, "\(done.summary)")
    #expect(done.out.contains("wrote \(lines)\n"), "\(done.summary)")
    #expect(done.out.contains("put the credential into \(place)/mail-key (chmod 600"))
    let text = Command(["/bin/cat", lines]).run().out
    #expect(
      text.hasSuffix(
        "[Service]\nLoadCredential=mail-key:\(place)/mail-key\nLoadCredential=b:\(place)/b\n"),
      "\(text)")
    let file = scratch.home + "/.config/agt/agents/clerk.yaml"
    let given = scratch.home + "/given"
    _ = Command.shell(
      "mkdir \"$1\"; echo one >\"$1/mail-key\"; echo two >\"$1/b\"", [given], in: "/"
    ).run()
    let started = Command.agtRun(["--agent-file", file], as: .ordinary, in: scratch)
      .with { $0.environment.append("CREDENTIALS_DIRECTORY=\(given)") }.run()
    #expect(started.out == "two\none\n", "\(started.summary)")
    #expect(unit(["--replace"] + words + program, in: scratch).status == 0)
    #expect(!File.exists(lines))
  }

  @Test(
    arguments: [
      (["../x", "--", "sh"], 2), (["a", "--rnig", "2", "--", "sh"], 2),
      (["a", "--", "no-such-program"], 127), (["a"], 2), (["a", "--explain", "--", "sh"], 2),
      (["a", "--profile", "/none", "--", "sh"], 2),
    ] as [([String], Int32)])
  func agtUnitChecksFirst(_ words: [String], _ status: Int32) {
    let scratch = Scratch()
    let done = unit(words, in: scratch)
    #expect(done.status == status && !done.err.isEmpty, "\(done.summary)")
    #expect(!File.exists(scratch.home + "/.config/agt"))
  }
}
