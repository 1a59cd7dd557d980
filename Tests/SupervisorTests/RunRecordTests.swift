import JSON
import Kernel
import LaunchPlan
import Rings
import Testing

@testable import Supervisor

/// What a launch looks up on this machine.
@Suite struct HostFilesTests {
  @Test func everyFileOfTheKernelsIsListedAndNoProcess() throws {
    let all = try Files.names(in: ByteString("/proc")).map(\.text)
    let expected = all.filter { Int($0) == nil && $0 != "self" && $0 != "thread-self" }
    let found = HostFiles().kernelFiles().filter { $0 != "self" && $0 != "thread-self" }
    #expect(found.sorted() == expected.sorted())
    #expect(found.contains("cmdline"))
  }
}

/// From how a run ended to its exit status, its state and its one line.
@Suite struct RunRecordTests {
  private struct EmptyMachine: HostView {
    func kind(of path: String) -> HostFileKind? {
      path.hasPrefix("/dev/") ? .device : path == "/work" ? .directory : nil
    }
    func linkTarget(of path: String) -> String? { nil }
    func kernelFiles() -> [String] { [] }
  }

  private func record(
    _ end: RunOutcome.End, ring: UInt8 = 0, executed: Bool = true, losses: [Loss] = []
  ) throws -> RunRecord {
    var profile = RingProfile.shipped(ring)
    profile.limits.wallMilliseconds = 90_000
    let share = LaunchRequest.Share(
      path: "/work", judged: LaunchPlan.Judged(device: 1, inode: 2), owner: nil)
    let request = LaunchRequest(
      profile: profile, seccomp: [],
      program: LaunchRequest.Program(
        executable: "/bin/p", arguments: [], reads: [], links: [], environment: [], searchPath: []),
      workspace: LaunchRequest.Workspace(share: share, access: .readWrite), reads: [], writes: [],
      starter: .ordinary(uid: 5, gid: 6), userName: "u", home: "/h", workingDirectory: "/work",
      callerEnvironment: [], environment: [], terminal: 0, landlockABI: 6, degraded: [])
    let run = PreparedRun(
      id: "ID", profile: profile, plan: try Lowering.lower(request, host: EmptyMachine()),
      request: request, trail: [], losses: losses, transaction: nil, network: nil, policies: nil,
      tools: [], toolPrograms: nil, audit: nil, stage: nil, directory: nil, ids: .none)
    var violations = ViolationRecorder()
    violations.record(
      Violation(pid: 1, executable: "/bin/m", call: "mount", arguments: [], count: 1))
    return RunRecord(
      run, outcome: RunOutcome(end: end, executed: executed), violations: violations,
      beganNanoseconds: Clock.wallNanoseconds() - 5_000_000)
  }

  @Test(arguments: [0, 1, 123, 124, 255] as [UInt8]) func exits(_ code: UInt8) throws {
    let record = try record(.exited(code))
    #expect(record.status == code)
    #expect(record.state == "exited" && record.reason == nil && record.complaint == nil)
  }

  @Test(arguments: [(1, 129), (9, 137), (15, 143), (64, 192)] as [(Int32, UInt8)])
  func signals(_ number: Int32, _ status: UInt8) throws {
    let record = try record(.signaled(number))
    #expect(record.status == status)
    #expect(record.state == "signaled" && record.reason == "signal \(number)")
    #expect(record.complaint == nil)
  }

  @Test func foreignABI() throws {
    let record = try record(.signaled(31))
    #expect(record.status == 159)
    #expect(record.complaint?.contains("SIGSYS") == true)
  }

  @Test func kills() throws {
    let timeout = try record(.killed(.sessionTimeout))
    #expect(timeout.status == 124 && timeout.reason == "session_timeout")
    #expect(timeout.complaint == "killed: wall clock of 90 s ran out")
    #expect(timeout.hint == "--timeout gives more time")
    let violation = try record(.killed(.policyViolation))
    #expect(violation.status == 137 && violation.reason == "policy_violation")
    #expect(violation.complaint == "killed: forbidden call mount by /bin/m")
    let manual = try record(.killed(.manual))
    #expect(manual.status == 137 && manual.reason == "manual")
    #expect(manual.complaint == "killed: asked to end by a signal")
  }

  @Test(
    arguments: [
      ("mounts", "move_mount", "/usr", 1, 126, "ring 0: mounts: move_mount(\"/usr\"): "),
      ("execute", "execve", "/bin/p", 2, 127, "ring 0: execute: execve(\"/bin/p\"): "),
      ("execute", "execve", "/bin/p", 13, 126, "ring 0: execute: execve(\"/bin/p\"): "),
      ("mounts", "openat2", "/usr", 2, 126, "ring 0: mounts: openat2(\"/usr\"): "),
      ("session", "setsid", "", 1, 126, "ring 0: session: setsid: "),
      ("program", "", "it ended early", 0, 126, "ring 0: program: it ended early"),
    ] as [(String, String, String, Int32, UInt8, String)])
  func failedSteps(
    _ step: String, _ call: String, _ object: String, _ errno: Int32, _ status: UInt8,
    _ prefix: String
  ) throws {
    let failure = StageFailure(step: step, call: call, object: object, errno: errno)
    let record = try record(.notStarted(failure), executed: false)
    #expect(record.status == status)
    #expect(record.state == "not_started" && record.reason == step)
    #expect(record.complaint?.hasPrefix(prefix) == true, "\(record.complaint ?? "")")
    #expect(!record.executed)
  }

  @Test func lostSupervision() throws {
    let record = try record(.lost)
    #expect(record.status == 125 && record.state == "lost")
  }

  @Test func asJSON() throws {
    let full = try record(.exited(3))
    #expect(full.json["run"] == "ID" && full.json["status"] == 3 && full.json["ring"] == 0)
    #expect(full.json["enforced"] == "full" && full.json["violationCount"] == 1)
    let partial = try record(.exited(3), losses: [Loss(name: "seccomp", explanation: "gone")])
    #expect(partial.json["enforced"] == "partial")
    #expect(partial.json["notEnforced"] == [["name": "seccomp", "loss": "gone"]])
  }

  /// What would mend it, for the failures that a machine's owner can do something about.
  @Test(
    arguments: [
      ("namespaces", "unshare", 28, "sysctl -w user.max_user_namespaces"),
      ("namespaces", "clone3", 11, "limit of processes"),
      ("program", "clone3", 11, "limit of processes"),
      ("namespaces", "unshare", 22, "--degrade namespaces"),
      ("mounts", "openat2", 116, "run again"),
      ("mounts", "mount_setattr(MOUNT_ATTR_IDMAP)", 22, "9p"),
      ("mounts", "fsmount", 1, "unmasked /proc"), ("new root", "fsconfig", 28, "--tmp"),
      ("landlock", "landlock_create_ruleset", 95, "--degrade landlock"),
      ("seccomp", "seccomp", 16, "--degrade violations"),
      ("seccomp", "seccomp", 22, "--degrade seccomp"),
      ("execute", "execve", 2, "--read"), ("execute", "execve", 13, "mode"),
      ("execute", "execve", 8, "#!"), ("limits", "setrlimit", 1, "ulimit -Ha"),
    ] as [(String, String, Int32, String)])
  func hints(_ step: String, _ call: String, _ errno: Int32, _ word: String) {
    let failure = StageFailure(step: step, call: call, object: "", errno: errno)
    #expect(Hints.hint(for: failure)?.contains(word) == true, "\(step) \(call) \(errno)")
  }

  @Test func noHintWhereNoneIsKnown() {
    #expect(
      Hints.hint(for: StageFailure(step: "session", call: "setsid", object: "", errno: 1)) == nil)
  }
}
