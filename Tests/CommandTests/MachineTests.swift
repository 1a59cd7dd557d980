import TestSupport
import Testing

@testable import Rings

/// Machines that cannot do everything: one line that names the operation and the mend, or the loss that
/// was asked for by name, and what remains of the ring.
@Suite struct MachineTests {
  private static func text(_ words: [[UInt8]]) -> [String] {
    words.map { String(decoding: $0, as: UTF8.self) }
  }

  @Test(.enabled(if: Starter.isRoot, "becomes another user first"))
  func noUserNamespaces() {
    let scratch = Scratch()
    let command = Command.agtRun(["--", "echo", "RAN"], as: .ordinary, in: scratch)
    let words = Self.text(command.words).drop { !$0.hasPrefix("/tmp") }
    let run = Command(
      Starter.ordinary.prefix + [
        "/usr/bin/unshare", "-U", "-c", "--keep-caps", "/bin/sh", "-c",
        "echo 0 > /proc/sys/user/max_user_namespaces; "
          + "exec /usr/bin/setpriv --ambient-caps=-all --inh-caps=-all \"$@\"", "sh",
      ] + words, in: scratch.path
    ).with { $0.scratch = scratch }.run()
    #expect(run.out == "")
    #expect(run.status == 126)
    #expect(
      run.err == "agt-run: ring 3: namespaces: unshare(\"user,mount,ipc,uts\"): "
        + "No space left on device (ENOSPC)\n"
        + "  hint: the limit of namespaces is reached: sysctl -w user.max_user_namespaces=15000\n")
  }

  /// The root changes while PID 1 does its part of the launch: it makes the network, and no mount.
  @Test(.enabled(if: File.exists("/usr/bin/strace"), "needs strace")) func pid1FollowsNoPath()
    throws
  {
    let scratch = Scratch()
    let run = Command(
      [
        "/usr/bin/strace", "-f", "-qq", "-o", "trace", "-e", "trace=unshare,open_tree",
        Binaries.agtRun, "--", "/bin/true",
      ], in: scratch.path
    ).run()
    #expect(run.status == 0, "\(run.summary)")
    let calls = (scratch.read("trace") ?? "").split(separator: "\n").map {
      $0.split(separator: " ", maxSplits: 1).map(String.init)
    }
    let first = try #require(calls.first { $0[1].contains("unshare(CLONE_NEWNET") })[0]
    let copies = calls.filter { $0[1].contains("open_tree(") }
    #expect(!copies.contains { $0[0] == first }, "\(copies)")
    #expect(copies.contains { $0[0] != first && $0[1].contains("AT_FDCWD, \"/dev/null\"") })
  }

  /// What a ring's own /proc hides is known from the host's: where that shows only processes, or cannot be read, nothing runs.
  @Test(
    .enabled(if: Starter.isRoot, "mounts a /proc of its own"),
    arguments: ["1", "2", "3"], Starter.all)
  func aHostWithoutKernelFilesInProc(_ ring: String, _ starter: Starter) {
    let scratch = Scratch()
    let command = Command.agtRun(
      ["--ring", ring, "--", "/bin/echo", "RAN"], as: starter, in: scratch)
    let run = Command(
      [
        "/usr/bin/unshare", "-m", "/bin/sh", "-c",
        "mount -t proc -o subset=pid proc /proc && exec \"$@\"", "sh",
      ] + Self.text(command.words), in: scratch.path
    ).with { $0.environment = command.environment }.run()
    #expect(run.out == "" && run.status == 126, "\(run.summary)")
    #expect(
      run.err.contains(
        "/proc does not list the kernel's own files, so that nobody knows what is to be hidden of them\n"
          + "  hint: start it where /proc is mounted without subset=pid"), "\(run.err)")
  }

  /// A launch that is refused while it is prepared leaves no process to whoever started it.
  @Test func noStageIsLeft() {
    let scratch = Scratch()
    let run = Command(
      [
        "/usr/bin/python3", "-c",
        """
        import ctypes, os, subprocess, sys
        ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
        print(subprocess.run(sys.argv[1:], stderr=subprocess.DEVNULL).returncode)
        try: print(os.waitpid(-1, 0))
        except ChildProcessError: print('nobody')
        """, Binaries.agtRun, "--", "no-such-program",
      ], in: scratch.path
    ).run()
    #expect(run.out == "127\nnobody\n", "\(run.summary)")
  }

  /// RLIMIT_NPROC counts every process of the user, wherever it is, and what init has not reaped yet: each
  /// limit has a user of its own.
  @Test(.enabled(if: Starter.isRoot, "becomes another user first"))
  func processesReached() {
    let scratch = Scratch()
    _ = Command.agtRun([], as: .ordinary, in: scratch)
    var seen: Set<Int32> = []
    for limit in 1...8 {
      let run = Command(
        [
          "/usr/bin/setpriv", "--reuid=\(61_240 + limit)", "--regid=61235", "--clear-groups",
          "--bounding-set=-all", "--inh-caps=-all", "--", "/usr/bin/prlimit", "--nproc=\(limit)",
          Binaries.agtRun, "--", "echo", "RAN",
        ], in: scratch.path
      ).run()
      seen.insert(run.status)
      if run.status == 0 { continue }
      #expect(run.out == "")
      #expect(run.err.contains("Resource temporarily unavailable (EAGAIN)\n  hint: "), "\(run.err)")
      #expect(run.err.contains("the limit of processes is reached"), "\(run.err)")
    }
    #expect(seen.isSubset(of: [0, 125, 126]) && seen.count >= 2, "\(seen)")
  }

  // MARK: inside other sandboxes

  private func nested(_ outer: [String], _ inner: [String], as starter: Starter) -> Completed {
    Command.agtRun(
      outer + ["--quiet", "--read", Binaries.directory, "--", Binaries.agtRun] + inner
        + ["--", "echo", "RAN"], as: starter, in: Scratch()
    ).run()
  }

  @Test(arguments: Starter.all) func insideRing2(_ starter: Starter) {
    for (inner, step) in [
      (["--ring", "3"], "namespaces: unshare(\"user,mount,ipc,uts\")"),
      (["--ring", "3", "--degrade", "namespaces"], "out-of-memory score: openat("),
    ] {
      let run = nested(["--ring", "2"], inner, as: starter)
      #expect(run.out == "")
      #expect(run.status == 126, "\(run.summary)")
      #expect(
        run.err.contains("agt-run: ring 3: " + step) && run.err.contains("\n  hint: "), "\(run.err)"
      )
    }
  }

  /// An outer sandbox that listens: one listener for each chain of filters (seccomp_unotify(2)).
  @Test(arguments: Starter.all) func outerListener(_ starter: Starter) {
    let refused = nested(["--ring", "0"], ["--ring", "3"], as: starter)
    #expect(refused.out == "")
    #expect(refused.status == 126, "\(refused.summary)")
    #expect(
      refused.err == "agt-run: ring 3: seccomp: seccomp(SECCOMP_SET_MODE_FILTER): Device or "
        + "resource busy (EBUSY)\n  hint: an outer sandbox listens to system calls already: "
        + "--degrade violations refuses them unreported\n")
    let degraded = nested(["--ring", "0"], ["--degrade", "violations"], as: starter)
    #expect(degraded.out == "RAN\n", "\(degraded.summary)")
    #expect(
      degraded.err
        == "agt-run: not enforced: violations: forbidden calls are refused but not reported\n")
    // The twin: without an outer listener nothing is busy.
    let free = nested(["--ring", "0", "--degrade", "violations"], ["--ring", "3"], as: starter)
    #expect(free.out == "RAN\n", "\(free.summary)")
  }

  // MARK: a container with Docker's default

  /// What Docker's default filter refuses to a container without CAP_SYS_ADMIN.
  private static let container = SyscallPolicy(
    defaultAction: .allow,
    groups: [
      SyscallPolicy.Group(
        name: "namespaces and mounts", why: "docker", action: .fail(errno: 1),
        calls: [
          "unshare", "setns", "mount", "umount2", "pivot_root", "open_tree", "move_mount", "fsopen",
          "fsconfig", "fsmount", "fspick", "mount_setattr", "keyctl", "add_key", "request_key",
          "bpf", "perf_event_open", "userfaultfd", "kexec_load", "init_module",
        ].map { SyscallPolicy.Call(name: $0, when: []) }
          + [
            // CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET
            SyscallPolicy.Call(
              name: "clone",
              when: [
                .init(argument: 0, mask: 0x7e02_0000, comparison: .isNotIn([0]), wide: false)
              ])
          ]),
      SyscallPolicy.Group(
        name: "clone3", why: "its flags cannot be seen", action: .fail(errno: 38),
        calls: [SyscallPolicy.Call(name: "clone3", when: [])]),
    ])

  /// The fourteen capabilities that Docker leaves to root.
  private static let capabilities = [
    "chown", "dac_override", "fowner", "fsetid", "kill", "setgid", "setuid", "setpcap",
    "net_bind_service", "net_raw", "sys_chroot", "mknod", "audit_write", "setfcap",
  ]

  /// agt-run as in `docker run`: Docker's filter, capabilities and a masked /proc.
  private func contained(
    _ words: [String], as starter: Starter, _ prepare: (Scratch) -> Void = { _ in }
  ) throws -> Completed {
    let scratch = Scratch()
    let program = try SeccompFilter.compile(Self.container, notify: false)
    let place = Scratch()
    let filter = place.write("filter", bytes: program.instructions)
    prepare(scratch)
    let command = Self.text(Command.agtRun(words, as: starter, in: scratch).words)
    return Command(
      [
        "/bin/sh", "-c",
        "filter=$1; shift; exec /usr/bin/bwrap --dev-bind / / --ro-bind /dev/null /proc/keys "
          + "--cap-drop ALL "
          + Self.capabilities.map { "--cap-add CAP_\($0.uppercased()) " }.joined()
          + "--seccomp 9 -- \"$@\" 9<$filter", "sh", filter,
      ] + command, in: scratch.path
    ).with { $0.scratch = scratch }.run()
  }

  private static let containerIsPossible =
    Starter.isRoot && File.exists("/usr/bin/bwrap")

  @Test(
    .enabled(if: containerIsPossible, "needs root and bubblewrap"), arguments: Starter.all)
  func containerWithoutNamespaces(_ starter: Starter) throws {
    for ring in ["1", "2", "3"] {
      let run = try contained(["--ring", ring, "--", "echo", "RAN"], as: starter)
      #expect(run.out == "")
      #expect(run.status == 126, "\(run.summary)")
      #expect(run.err.hasPrefix("agt-run: ring \(ring): namespaces: unshare("), "\(run.err)")
      #expect(
        run.err.hasSuffix(
          "(EPERM)\n  hint: an outer container forbids namespaces: start it with them allowed, or "
            + "--degrade namespaces keeps Landlock, seccomp, capabilities and limits\n"),
        "\(run.err)")
    }
  }

  /// What is left of rings 2 and 3 there, by its effects.
  @Test(
    .enabled(if: containerIsPossible, "needs root and bubblewrap"), arguments: Starter.all,
    ["2", "3"])
  func theFloorRemains(_ starter: Starter, _ ring: String) throws {
    let secret = Scratch()
    secret.write("secret", "do not read\n", mode: 0o644)
    let script = """
      import ctypes, os, resource, socket
      def tries(name, act):
          try:
              print(name, act())
          except OSError as error:
              print(name, os.strerror(error.errno))
      status = dict(line.split(':', 1) for line in open('/proc/self/status'))
      for key in ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb', 'NoNewPrivs', 'Seccomp']:
          print(key, status[key].strip())
      print('root', os.getuid() == 0 or os.getgid() == 0)
      tries('secret', lambda: open('\(secret.path)/secret').read())
      tries('passwords', lambda: open('/etc/shadow').read())
      tries('work', lambda: open('seen').read().strip())
      tries('tree', lambda: os.mkdir('/usr/made'))
      tries('packets', lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW))
      libc = ctypes.CDLL(None, use_errno=True)
      def call(*arguments):
          if libc.syscall(*arguments) < 0:
              raise OSError(ctypes.get_errno(), 'syscall')
      tries('personality', lambda: call(135, 8))
      tries('ptrace', lambda: call(101, 0, 0, 0, 0))
      print('core', resource.getrlimit(resource.RLIMIT_CORE)[1])
      print('processes', 0 < resource.getrlimit(resource.RLIMIT_NPROC)[1] <= 512)
      print('data', 0 < resource.getrlimit(resource.RLIMIT_DATA)[1] <= 4 << 30)
      """
    let run = try contained(
      ["--ring", ring, "--degrade", "namespaces", "--", "/usr/bin/python3", "-c", script],
      as: starter
    ) { $0.write("seen", "the workspace\n") }
    #expect(
      run.err.hasPrefix(
        "agt-run: not enforced: namespaces: no namespaces: host processes, network and the names "
          + "of files outside stay visible\n"), "\(run.err)")
    #expect(run.status == 0, "\(run.summary)")
    let zero = "0000000000000000"
    let expected = [
      "CapInh \(zero)", "CapPrm \(zero)", "CapEff \(zero)", "CapBnd \(zero)", "CapAmb \(zero)",
      "NoNewPrivs 1", "Seccomp 2", "root False", "secret Permission denied",
      "passwords Permission denied", "work the workspace", "tree Permission denied",
      "packets", "personality Operation not permitted", "ptrace Operation not permitted", "core 0",
      "processes True", "data True",
    ]
    let lines = run.out.split(separator: "\n").map(String.init)
    #expect(lines.count == expected.count, "\(run.out)")
    for (line, wanted) in zip(lines, expected) { #expect(line.hasPrefix(wanted)) }
    #expect(lines.contains { $0.hasPrefix("packets ") && !$0.contains("socket") }, "\(run.out)")
    // The twin: without a ring, the same program in the same container reads the secret.
    let twin = Command(["/bin/cat", secret.path + "/secret"]).run()
    #expect(twin.out == "do not read\n")
  }

  /// The record says what is missing.
  @Test(.enabled(if: containerIsPossible, "needs root and bubblewrap"))
  func theLossIsRecorded() throws {
    let place = Scratch()
    let run = try contained(
      [
        "--ring", "2", "--degrade", "namespaces", "--result-json", place.path + "/result.json",
        "--",
        "true",
      ], as: .root)
    #expect(run.status == 0, "\(run.summary)")
    let text = place.read("result.json") ?? ""
    #expect(text.contains("\"enforced\": \"partial\""), "\(text)")
    #expect(text.contains("\"name\": \"namespaces\""), "\(text)")
  }

  /// Descendants end with the program although there is no PID namespace.
  @Test(.enabled(if: containerIsPossible, "needs root and bubblewrap"), arguments: Starter.all)
  func nothingOutlivesADegradedRun(_ starter: Starter) throws {
    let mark = "agt-mark-\(UInt32.random(in: 0...9_999_999))"
    let run = try contained(
      [
        "--ring", "2", "--degrade", "namespaces", "--timeout", "500ms", "--", "sh", "-c",
        "(setsid sh -c 'trap \"\" TERM; sleep 60; : \(mark)' &); sleep 60; : \(mark)",
      ], as: starter)
    #expect(run.status == 124, "\(run.summary)")
    #expect(Clock.eventually(1) { ProcessTable.pids(withWord: mark).isEmpty })
  }
}
