import Testing

@testable import LaunchPlan

@Suite("LaunchPlan encoding") struct LaunchPlanTests {
  static func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

  static let start = StageStart(
    namespaces: 0x7e02_0000,
    identity: .mapped(uid: 1000, gid: 1001, hostUID: 1_900_000_007, hostGID: 1_900_000_008),
    owners: [LaunchPlan.Owner(uid: 0, gid: 5)], outOfMemoryScore: -1000, hostName: bytes("ring3"),
    loopbackUp: true, dropCapabilities: true, lockSecurebits: false,
    hasTerminal: true,
    sockets: [
      LaunchPlan.RingSocket(isDatagram: true, address: [127, 0, 0, 53], port: 53),
      LaunchPlan.RingSocket(
        isDatagram: false, address: [UInt8](repeating: 0, count: 16), port: 65535),
    ],
    overlay: LaunchPlan.Overlay(
      path: bytes("/w"), judged: LaunchPlan.Judged(device: 1, inode: 2),
      layers: bytes("/var/lib/agt/txn/1/layers"),
      layersJudged: LaunchPlan.Judged(device: 3, inode: 4), options: [.noDevices],
      owner: LaunchPlan.Owner(uid: 0, gid: 5), userMarks: true))

  /// A plan in which every field and every kind of step has a value of its own.
  static let full = LaunchPlan(
    ring: 3, start: start, privateRoot: true,
    mounts: [
      .directory(path: bytes("/etc"), mode: 0o755),
      .file(path: bytes("/etc/hosts"), mode: 0o644, contents: [0, 1, 255]),
      .symbolicLink(path: bytes("/bin"), target: bytes("usr/bin")),
      .tmpfs(
        path: bytes("/tmp"), sizeBytes: 1 << 28, inodes: 65536, mode: 0o1777,
        options: [.noDevices, .noExecution], owner: LaunchPlan.Owner(uid: 7, gid: 8)),
      .proc(path: bytes("/proc"), processesOnly: true),
      .devpts(path: bytes("/dev/pts"), owner: nil),
      .bind(
        source: bytes("/w"), target: bytes("/w"), options: [.readOnly, .recursive],
        judged: LaunchPlan.Judged(device: 2049, inode: .max),
        owner: LaunchPlan.Owner(uid: 0, gid: 0)),
      .mask(path: bytes("/proc/kcore")), .protect(path: bytes("/")),
      .overlay(path: bytes("/w")),
    ],
    limits: [LaunchPlan.ResourceLimit(resource: 6, value: 64)],
    landlock: LaunchPlan.LandlockPlan(
      abi: 7, handledFiles: 0xffff, handledNetwork: 3, scopes: 3,
      rules: [LaunchPlan.LandlockRule(path: bytes("/usr"), access: 13)], canary: bytes("/c")),
    seccomp: LaunchPlan.SeccompPlan(
      instructions: [6, 0, 0, 0, 0, 0, 0, 0], reportsViolations: true),
    terminal: 5, executable: bytes("/usr/bin/env"), arguments: [bytes("env"), [0xff, 0xfe]],
    environment: [bytes("A=b")], workingDirectory: bytes("/w"),
    broker: .listener)

  @Test("a plan comes back as it was") func roundTrip() throws {
    #expect(try LaunchPlan(decoding: Self.full.encoded()) == Self.full)
  }

  @Test("every cut and every changed byte is refused or is another valid plan, never a crash")
  func total() {
    let bytes = Self.full.encoded()
    for length in 0..<bytes.count {
      #expect(throws: DecodingError.self) { try LaunchPlan(decoding: Array(bytes[..<length])) }
    }
    for index in bytes.indices {
      for bit in 0..<8 {
        var changed = bytes
        changed[index] ^= 1 << UInt8(bit)
        guard let plan = try? LaunchPlan(decoding: changed) else { continue }
        #expect(plan.encoded() == changed, "byte \(index) has two meanings")
      }
    }
  }

  @Test(
    "what the stage must not follow is refused",
    arguments: [
      ("relative", "etc"), ("dots", "/a/../b"), ("dot", "/a/./b"),
    ])
  func paths(_ name: String, _ path: String) {
    var plan = Self.full
    plan.mounts = [.mask(path: Self.bytes(path))]
    #expect(throws: DecodingError.self) { try LaunchPlan(decoding: plan.encoded()) }
  }

  @Test("NUL in a string for the kernel is refused") func nul() {
    var plan = Self.full
    plan.arguments = [[65, 0, 66]]
    #expect(throws: DecodingError.self) { try LaunchPlan(decoding: plan.encoded()) }
  }

  @Test("a program that is not absolute, or has no name, is refused") func program() {
    var plan = Self.full
    plan.executable = Self.bytes("true")
    #expect(throws: DecodingError.self) { try LaunchPlan(decoding: plan.encoded()) }
    plan = Self.full
    plan.arguments = []
    #expect(throws: DecodingError.self) { try LaunchPlan(decoding: plan.encoded()) }
  }

  @Test("a socket that listens needs a root of its own") func broker() throws {
    var plan = Self.full
    plan.privateRoot = false
    #expect(throws: DecodingError.self) { try LaunchPlan(decoding: plan.encoded()) }
    for broker in [LaunchPlan.Broker.absent, .connection] {
      plan.broker = broker
      #expect(try LaunchPlan(decoding: plan.encoded()) == plan)
    }
  }

  @Test("trailing bytes are refused") func trailing() {
    #expect(throws: DecodingError.self) { try LaunchPlan(decoding: Self.full.encoded() + [0]) }
  }

  @Test(
    "reports come back as they were",
    arguments: [
      StageReport.started(pid: 4711), .terminal, .account(cpuMicroseconds: 7, writtenBytes: .max),
      .listener, .executed, .sockets(numbers: [0, 700]),
      .broker(isListening: true), .broker(isListening: false),
      .stopped(signal: 20),
      .exited(code: 3, signal: 0), .exited(code: 0, signal: 9), .signaledEveryone(19),
      .failed(StageFailure(step: "mounts", call: "move_mount", object: "/usr", errno: 22)),
    ])
  func reports(_ report: StageReport) throws {
    #expect(try StageReport(decoding: report.encoded()) == report)
    #expect(throws: DecodingError.self) { try StageReport(decoding: report.encoded() + [0]) }
  }

  @Test(
    "commands come back as they were",
    arguments: [StageCommand.signal(15), .kill, .everyone(18), .account])
  func commands(_ command: StageCommand) throws {
    #expect(try StageCommand(decoding: command.encoded()) == command)
  }

  @Test("a start comes back as it was, and every cut of it is refused") func starts() throws {
    let bytes = Self.start.encoded()
    #expect(try StageStart(decoding: bytes) == Self.start)
    #expect(bytes.count <= StageStart.maximumBytes)
    for length in 0..<bytes.count {
      #expect(throws: DecodingError.self) { try StageStart(decoding: Array(bytes[..<length])) }
    }
  }
}
