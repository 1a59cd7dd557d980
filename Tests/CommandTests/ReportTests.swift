import JSON
import TestSupport
import Testing

private func parse(_ text: String?) throws -> JSONValue {
  try JSONParser.parse(Array((text ?? "").utf8))
}

extension JSONValue {
  fileprivate var names: [String] { objectValue?.members.map(\.name) ?? [] }
}

/// --result-json: how a run ended, for programs.
@Suite struct ResultTests {
  private static let keys = [
    "run", "ring", "state", "status", "reason", "message", "executed", "transaction", "enforced",
    "notEnforced",
    "started", "ended", "wallMilliseconds", "violationCount", "violations",
  ]

  private func result(
    _ script: String, _ options: [String] = [], ring: String = "2", as starter: Starter = .native
  ) throws -> (run: Completed, json: JSONValue) {
    let scratch = Scratch()
    let run = Command.agtRun(
      ["--ring", ring, "--result-json", "result.json"] + options + ["--", "sh", "-c", script],
      as: starter, in: scratch
    ).run()
    return (run, try parse(scratch.read("result.json")))
  }

  @Test(arguments: Starter.all) func exited(_ starter: Starter) throws {
    let (run, json) = try result("sleep 0.05; exit 9", as: starter)
    #expect(run.status == 9)
    #expect(json.names == Self.keys)
    #expect(json["ring"] == 2)
    #expect(json["state"] == "exited")
    #expect(json["status"] == 9)
    #expect(json["reason"] == .null)
    #expect(json["message"] == .null)
    #expect(json["executed"] == true)
    #expect(json["enforced"] == "full")
    #expect(json["notEnforced"] == [])
    #expect(json["violationCount"] == 0)
    #expect(json["violations"] == [])
    let id = json["run"]?.stringValue ?? ""
    #expect(id.wholeMatch(of: /[0-7][0-9A-HJKMNP-TV-Z]{25}/) != nil, "\(id)")
    for name in ["started", "ended"] {
      let time = json[name]?.stringValue ?? ""
      #expect(time.wholeMatch(of: /20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/) != nil, "\(time)")
    }
    guard case .integer(let wall)? = json["wallMilliseconds"] else {
      Issue.record()
      return
    }
    #expect((50..<5000).contains(wall), "\(wall) ms")
  }

  @Test func signaled() throws {
    let (run, json) = try result("kill -SEGV $$")
    #expect(run.status == 139)
    #expect(json["state"] == "signaled")
    #expect(json["status"] == 139)
    #expect(json["reason"] == "signal 11")
    #expect(json["executed"] == true)
  }

  @Test func timedOut() throws {
    let (run, json) = try result("sleep 20", ["--timeout", "100ms"])
    #expect(run.status == 124)
    #expect(json["state"] == "killed")
    #expect(json["status"] == 124)
    #expect(json["reason"] == "session_timeout")
    #expect(json["message"] == "killed: wall clock of 100 ms ran out")
  }

  @Test func killedForAViolation() throws {
    let (run, json) = try result("mount -t tmpfs x /tmp; sleep 5", ["--on-violation", "kill"])
    #expect(run.status == 137)
    #expect(json["reason"] == "policy_violation")
    #expect(json["violationCount"] == 1)
  }

  @Test(arguments: Starter.all) func violationsAreListed(_ starter: Starter) throws {
    let (run, json) = try result(
      "mount -t tmpfs x /tmp; mount -t proc x /tmp; unshare -U true; true", as: starter)
    #expect(run.status == 0)
    #expect(json["violationCount"] == 3, "\(json)")
    guard case .array(let list)? = json["violations"], list.count == 2 else {
      Issue.record("\(json)")
      return
    }
    #expect(list[0].names == ["call", "executable", "pid", "arguments", "count"])
    #expect(list[0]["call"] == "mount")
    #expect(list[0]["executable"] == "/usr/bin/mount")
    #expect(list[0]["count"] == 2)
    #expect(list[1]["call"] == "unshare")
    #expect(list[1]["arguments"]?.arrayValue?.first == "0x10000000")
  }

  @Test func whatIsNotEnforced() throws {
    let (_, json) = try result("true", ["--degrade", "landlock", "--degrade", "violations"])
    #expect(json["enforced"] == "partial")
    #expect(
      json["notEnforced"] == [
        [
          "name": "landlock", "loss": "no Landlock: files are bounded by the mount view alone",
        ],
        ["name": "violations", "loss": "forbidden calls are refused but not reported"],
      ])
  }

  /// The loader is hidden, so the kernel finds the program but not what would start it.
  @Test func notStarted() throws {
    let scratch = Scratch()
    scratch.write("script", "#!/bin/sh\n", mode: 0o644)
    let run = Command.agtRun(
      ["--result-json", "result.json", "--", "./script"], in: scratch
    ).run()
    #expect(run.status == 126)
    // Refused before there was a run: no record that could be taken for one.
    #expect(scratch.read("result.json") == nil)
  }

  @Test func directoryThatDoesNotExist() {
    let run = Command.agtRun(
      ["--result-json", "absent/result.json", "--", "true"], in: Scratch()
    ).run()
    #expect(run.status == 125)
    #expect(run.err.hasPrefix("agt-run: --result-json absent/result.json: "), "\(run.err)")
    #expect(run.err.contains("(ENOENT)"), "\(run.err)")
  }

  @Test(.enabled(if: Starter.isRoot, "mounts a small file system")) func fullDisk() {
    let scratch = Scratch()
    let run = Command(
      [
        "/usr/bin/unshare", "-m", "--propagation", "private", "/bin/sh", "-c",
        "mkdir small && mount -t tmpfs -o size=4k tmpfs small && head -c 4096 /dev/zero > small/fill "
          + "&& \"$1\" --result-json small/result.json -- echo RAN; echo $?", "sh", Binaries.agtRun,
      ], in: scratch.path
    ).run()
    #expect(run.out == "RAN\n125\n", "\(run.summary)")
    #expect(
      run.err.hasPrefix("agt-run: --result-json small/result.json: ")
        && run.err.contains("No space left on device (ENOSPC)"), "\(run.err)")
  }

  @Test func fullDevice() {
    let run = Command.agtRun(["--result-json", "/dev/full", "--", "echo", "RAN"], in: Scratch())
      .run()
    #expect(run.status == 125)
    #expect(run.err.contains("(ENOSPC)"), "\(run.err)")
  }
}

/// --status-fd: one JSON line per event while the run goes on.
@Suite struct EventTests {
  private func events(
    _ script: String, _ options: String = "", as starter: Starter = .native
  ) throws -> [JSONValue] {
    let scratch = Scratch()
    let words = Command.agtRun([], as: starter, in: scratch).words.map {
      String(decoding: $0, as: UTF8.self)
    }
    let run = Command.shell(
      "\"$@\" --ring 2 --status-fd 5 \(options) -- sh -c '\(script)' 5>events", words,
      in: scratch.path
    ).run()
    #expect(run.err == "" || options != "", "\(run.summary)")
    return try (scratch.read("events") ?? "").split(separator: "\n").map { try parse(String($0)) }
  }

  @Test(arguments: Starter.all) func ofAPlainRun(_ starter: Starter) throws {
    let events = try events("exit 3", as: starter)
    #expect(events.map { $0["event"] } == ["started", "executed", "ended"])
    guard case .integer(let pid)? = events.first?["pid"] else {
      Issue.record()
      return
    }
    #expect(pid > 1)
    #expect(events.last?["status"] == 3)
  }

  @Test func ofAViolation() throws {
    let events = try events("mount -t tmpfs x /tmp 2>/dev/null; true")
    // PID 1 tells of the first and the kernel of the second: each in its own time.
    let names = events.compactMap { $0["event"]?.stringValue }
    #expect(names.first == "started" && names.last == "ended")
    #expect(names.dropFirst().dropLast().sorted() == ["executed", "violation"], "\(names)")
    let violation = events.first { $0["event"] == "violation" }
    #expect(violation?["violation"]?["call"] == "mount")
  }

  @Test func ofAKill() throws {
    let events = try events("sleep 20", "--timeout 100ms")
    #expect(events.map { $0["event"] } == ["started", "executed", "kill", "ended"])
    #expect(events[2]["reason"] == "session_timeout")
    #expect(events[3]["status"] == 124)
  }

  /// Nobody reads, and the pipe is full: the run goes on.
  @Test func readerThatDoesNotRead() {
    let scratch = Scratch()
    let run = Command.shell(
      "mkfifo pipe; exec 5<>pipe; timeout 0.2 cat /dev/zero >&5; "
        + "timeout 5 \"$1\" --status-fd 5 -- echo RAN", [Binaries.agtRun], in: scratch.path
    ).run()
    #expect(run.out == "RAN\n", "\(run.summary)")
    #expect(run.status == 0)
  }

  @Test func readerThatIsGone() {
    let scratch = Scratch()
    let run = Command.shell(
      "{ sleep 0.1; \"$1\" --status-fd 5 -- echo RAN >&2; echo $? >&2; } 5>&1 | :",
      [Binaries.agtRun], in: scratch.path
    ).run()
    #expect(run.err == "RAN\n0\n", "\(run.summary)")
  }

  @Test func theProgramDoesNotGetTheDescriptor() {
    let scratch = Scratch()
    let run = Command.shell(
      "\"$1\" --ring 2 --status-fd 5 -- ls /proc/self/fd 5>events", [Binaries.agtRun],
      in: scratch.path
    ).run()
    #expect(run.out == "0\n1\n2\n3\n")
  }
}

/// --explain prints the plan and starts nothing.
@Suite struct ExplainTests {
  @Test(arguments: Starter.all, ["0", "1", "2", "3"])
  func asText(_ starter: Starter, _ ring: String) {
    let run = Command.agtRun(
      ["--ring", ring, "--explain", "--", "echo", "hello"], as: starter, in: Scratch()
    ).run()
    #expect(run.status == 0, "\(run.summary)")
    #expect(run.err == "")
    let names = ["0": "system", "1": "privileged", "2": "standard", "3": "sandbox"]
    #expect(run.out.hasPrefix("ring \(ring) (\(names[ring]!)): workspace /tmp/"), "\(run.out)")
    // The order of docs/decisions/0002.
    var rest = run.out[...]
    let steps = ["descriptors: ", "namespaces: ", "uid and gid maps: ", "session: "]
    let last = ["limits: ", "capabilities: ", "securebits: ", "no_new_privs: ", "seccomp: "]
    let middle = ring >= "2" ? ["host name: ", "network: ", "mounts: ", "pivot_root: "] : []
    for step in steps + middle + last + ["execute: echo hello"] {
      guard let range = rest.firstRange(of: ". " + step) else {
        Issue.record("ring \(ring): no \(step) in its place: \(run.out)")
        return
      }
      rest = rest[range.upperBound...]
    }
    #expect(run.out.hasSuffix("\nEnforced: full.\n"))
  }

  @Test(arguments: Starter.all, ["0", "1", "2", "3"])
  func asJSON(_ starter: Starter, _ ring: String) throws {
    let run = Command.agtRun(
      ["--ring", ring, "--explain", "--json", "--", "echo", "hello"], as: starter, in: Scratch()
    ).run()
    #expect(run.status == 0, "\(run.summary)")
    let json = try parse(run.out)
    #expect(
      json.names == [
        "ring", "profile", "workspace", "access", "transaction", "program", "arguments", "found",
        "steps",
        "enforced", "notEnforced", "widenings",
      ])
    #expect(json["program"] == "/usr/bin/echo")
    #expect(json["arguments"] == ["echo", "hello"])
    #expect(json["enforced"] == "full")
    let steps = json["steps"]?.arrayValue ?? []
    #expect(steps.allSatisfy { $0.names == ["step", "summary", "details"] })
    #expect(steps.first?["step"] == "descriptors")
    #expect(steps.last?["step"] == "execute")
  }

  @Test func sameErrorsAsARun() {
    for words in [["--workspace", "/"], ["--ring", "9"], ["--read", "/nonexistent"]] {
      let scratch = Scratch()
      let explained = Command.agtRun(words + ["--explain", "--", "true"], in: scratch).run()
      let run = Command.agtRun(words + ["--", "true"], in: scratch).run()
      #expect(explained.err == run.err)
      #expect(explained.status == run.status)
    }
  }

  /// Every process that is made and every mount is a system call: there is none.
  @Test(.enabled(if: File.exists("/usr/bin/strace"), "needs strace")) func startsNothing() {
    let scratch = Scratch()
    for extra in [[], ["--json"]] as [[String]] {
      let run = Command(
        [
          "/usr/bin/strace", "-f", "-qq", "-o", "trace", "-e",
          "trace=process,mount,umount2,open_tree,move_mount,fsopen,unshare,setns,mkdir,mkdirat,"
            + "unlink,unlinkat,socketpair,memfd_create", Binaries.agtRun, "--explain",
        ] + extra + ["--", "sh", "-c", "echo RAN > made"], in: scratch.path
      ).run()
      #expect(run.status == 0, "\(run.summary)")
      let calls = (scratch.read("trace") ?? "").split(separator: "\n").filter {
        !$0.contains("execve(") && !$0.contains("exit_group(") && !$0.contains("exited with")
      }
      #expect(calls == [])
      #expect(scratch.read("made") == nil)
    }
  }
}
