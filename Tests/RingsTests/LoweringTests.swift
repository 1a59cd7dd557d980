import Foundation
import LaunchPlan
import Testing

@testable import Rings

/// A machine as a table: what is not in it is not there.
private struct Machine: HostView {
  static let directories: Set<String> = [
    "/", "/dev", "/dev/pts", "/dev/shm", "/etc", "/etc/ssl", "/home", "/home/u", "/home/u/work",
    "/home/u/work/.ssh", "/home/u/work/deep", "/home/u/work/keys", "/home/u/work/a",
    "/home/u/work/a/\u{301}x", "/proc", "/proc/bus", "/root", "/run", "/sys", "/tmp", "/usr",
    "/usr/bin",
    "/usr/lib", "/var", "/opt", "/opt/tool",
  ]
  static let files: Set<String> = [
    "/etc/ld.so.cache", "/etc/shadow", "/proc/kcore", "/proc/version", "/usr/bin/p",
  ]
  var hidesKernelFiles = false
  static let links = [
    "/bin": "usr/bin", "/lib": "usr/lib", "/dev/fd": "/proc/self/fd",
    "/home/u/.gnupg": "down/./../.ssh", "/home/u/.netrc": "nowhere",
    "/home/u/.docker": "work/a/\u{301}x/../../keys", "/home/u/down": "/home/u/work/deep",
    "/tmp/.ICE-unix": "/home/u/work",
  ]

  func kind(of path: String) -> HostFileKind? {
    if Self.links[path] != nil { return .symbolicLink }
    if Self.directories.contains(path) { return .directory }
    if Self.files.contains(path) { return .file }
    let devices = ["null", "zero", "full", "random", "urandom", "tty", "ptmx"]
    return devices.contains { path == "/dev/" + $0 } ? .device : nil
  }

  func linkTarget(of path: String) -> String? { Self.links[path] }

  func kernelFiles() -> [String] {
    if hidesKernelFiles { return [] }
    return Self.directories.union(Self.files).filter { $0.hasPrefix("/proc/") }.map {
      String($0.split(separator: "/")[1])
    }.sorted()
  }
}

/// A plan as text, a line for each fact, so that a change of a plan is read as a change of lines.
private enum PlanText {
  static func lines(_ plan: LaunchPlan) -> [String] {
    let start = plan.start
    var lines = [
      "ring \(plan.ring), namespaces \(hex(start.namespaces)), \(start.identity)",
      "owners \(start.owners.map { "\($0.uid):\($0.gid)" })",
      "out of memory \(start.outOfMemoryScore), host name \(text(start.hostName)), "
        + "loopback \(start.loopbackUp), capabilities dropped \(start.dropCapabilities), "
        + "securebits \(start.lockSecurebits), terminal \(plan.terminal) \(start.hasTerminal)",
      "private root \(plan.privateRoot)",
    ]
    lines += plan.mounts.map(step)
    lines += plan.limits.map { "limit \($0.resource) = \($0.value)" }
    if let landlock = plan.landlock {
      lines.append(
        "landlock \(landlock.abi): files \(hex(landlock.handledFiles)), network "
          + "\(landlock.handledNetwork), scopes \(landlock.scopes), canary "
          + "\(landlock.canary.map(text) ?? "none")")
      lines += landlock.rules.map { "allow \(text($0.path)) \(hex($0.access))" }
    } else {
      lines.append("no landlock")
    }
    lines.append(
      plan.seccomp.map { "seccomp \($0.instructions.count) bytes, reports \($0.reportsViolations)" }
        ?? "no seccomp")
    lines.append("execute \(text(plan.executable)) \(plan.arguments.map(text))")
    lines.append("in \(text(plan.workingDirectory))")
    return lines + plan.environment.map { "set \(text($0))" }
  }

  private static func step(_ step: LaunchPlan.MountStep) -> String {
    switch step {
    case .directory(let path, let mode): "directory \(text(path)) \(String(mode, radix: 8))"
    case .file(let path, let mode, let contents):
      "file \(text(path)) \(String(mode, radix: 8)) \(text(contents).debugDescription)"
    case .symbolicLink(let path, let target): "link \(text(path)) -> \(text(target))"
    case .tmpfs(let path, let size, let inodes, let mode, let options, let owner):
      "tmpfs \(text(path)) \(size) \(inodes) \(String(mode, radix: 8)) \(flags(options))"
        + " \(owner.map { "\($0.uid):\($0.gid)" } ?? "root")"
    case .proc(let path, let processesOnly): "proc \(text(path)) processes only \(processesOnly)"
    case .devpts(let path, let owner):
      "devpts \(text(path)) \(owner.map { "\($0.uid):\($0.gid)" } ?? "root")"
    case .bind(let source, let target, let options, let judged, let owner):
      "bind \(text(source))\(source == target ? "" : " on \(text(target))") \(flags(options))"
        + (judged.map { " judged \($0.device):\($0.inode)" } ?? "")
        + (owner.map { " owner \($0.uid):\($0.gid)" } ?? "")
    case .mask(let path): "mask \(text(path))"
    case .protect(let path): "protect \(text(path))"
    case .overlay(let path): "overlay \(text(path))"
    }
  }

  private static func flags(_ options: LaunchPlan.MountOptions) -> String {
    let names: [(LaunchPlan.MountOptions, String)] = [
      (.readOnly, "ro"), (.noSetUserID, "nosuid"), (.noDevices, "nodev"), (.noExecution, "noexec"),
      (.recursive, "rec"),
    ]
    return names.filter { options.contains($0.0) }.map(\.1).joined(separator: ",")
  }

  private static func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }
  private static func hex(_ bits: UInt64) -> String { "0x" + String(bits, radix: 16) }
}

/// Golden plans: what the shipped rings become on a small machine.
@Suite struct LoweringTests {
  static let root = LaunchRequest.Starter.root(hostUID: 1_900_000_007, hostGID: 1_900_000_007)
  static let user = LaunchRequest.Starter.ordinary(uid: 1001, gid: 1002)

  static func request(
    _ ring: UInt8, _ starter: LaunchRequest.Starter, degraded: Set<Degradation> = [],
    access: RingProfile.Access? = nil, terminal: UInt8 = 0, landlockABI: Int = 6
  ) -> LaunchRequest {
    let profile = RingProfile.shipped(ring)
    let share = { (path: String, inode: UInt64) in
      LaunchRequest.Share(
        path: path, judged: LaunchPlan.Judged(device: 8, inode: inode),
        owner: LaunchPlan.Owner(uid: 1001, gid: 1002))
    }
    return LaunchRequest(
      profile: profile, seccomp: [1, 2, 3, 4, 5, 6, 7, 8],
      program: LaunchRequest.Program(
        executable: "/usr/bin/p", arguments: ["p", "x"].map { Array($0.utf8) },
        reads: [share("/opt/tool", 77)], links: [], environment: [], searchPath: ["/usr/bin"]),
      workspace: LaunchRequest.Workspace(
        share: share("/home/u/work", 42), access: access ?? profile.filesystem.workspace),
      reads: [], writes: [], starter: starter, userName: "u", home: "/home/u",
      workingDirectory: "/home/u/work",
      callerEnvironment: ["LANG=C", "SECRET=x", "TERM=dumb"].map { Array($0.utf8) },
      environment: [("NAME", Array("value".utf8))], terminal: terminal, landlockABI: landlockABI,
      degraded: degraded)
  }

  static func lines(
    _ request: LaunchRequest
  ) throws -> [String] { PlanText.lines(try Lowering.lower(request, host: Machine())) }

  /// Plans as text. After a wanted change: AGT_UPDATE_GOLDEN=1 swift test --filter LoweringTests.
  private func expect(_ request: LaunchRequest, _ name: String) throws {
    let text = try Self.lines(request).joined(separator: "\n") + "\n"
    let file = ProfileTextTests.golden.appending(path: "plan-\(name).txt")
    if ProcessInfo.processInfo.environment["AGT_UPDATE_GOLDEN"] != nil {
      try text.write(to: file, atomically: true, encoding: .utf8)
    }
    #expect(text == (try String(contentsOf: file, encoding: .utf8)))
  }

  @Test func ring3OfRoot() throws { try expect(Self.request(3, Self.root), "ring3-root") }
  @Test func ring2OfAUser() throws {
    try expect(Self.request(2, Self.user, terminal: 7), "ring2-user-terminal")
  }
  @Test func ring1OfRoot() throws { try expect(Self.request(1, Self.root), "ring1-root") }
  @Test func ring0OfRoot() throws { try expect(Self.request(0, Self.root), "ring0-root") }
  @Test func ring3OfAUserWithoutNamespaces() throws {
    try expect(Self.request(3, Self.user, degraded: [.namespaces]), "ring3-user-no-namespaces")
  }

  // MARK: what differs from a golden plan

  /// Covered before a share is shown over them, and again after it; but a share that is just that place stays.
  @Test func whatIsHiddenInsideAShareIsCoveredLast() throws {
    let share = "bind /home/u/work nosuid,nodev,rec judged 8:42"
    var request = Self.request(1, Self.user)
    func after(_ line: String) throws -> ArraySlice<String> {
      let lines = try Self.lines(request)
      return lines[(try #require(lines.firstIndex(of: line)))...].dropFirst()
    }
    // By way of two links: what is at the end of the way is covered.
    #expect(try after(share).contains("mask /home/u/work/.ssh"))
    // By bytes: the slash and the mark after it are one Character.
    #expect(try after(share).contains("mask /home/u/work/keys"))
    // What leads nowhere is covered by its name.
    #expect(try Self.lines(request).contains("mask /home/u/.netrc"))
    // Anybody can put this link there: it covers nothing of a share, and refuses none.
    #expect(try !after(share).contains { $0 == "mask /home/u/work" || $0 == "mask /tmp/.ICE-unix" })
    #expect(try !after(share).contains("mask /etc/shadow"))
    request.home = "/home/u/work"
    #expect(try after(share).contains("mask /home/u/work/.ssh"))
    func other(_ path: String) -> LaunchRequest.Share {
      LaunchRequest.Share(
        path: path, judged: LaunchPlan.Judged(device: 8, inode: 43), owner: nil)
    }
    request.writes = [other("/home/u/work/.ssh")]
    #expect(try !after(share).contains("mask /home/u/work/.ssh"))
    request.writes = [other("/etc")]
    #expect(try after("bind /etc nosuid,nodev,rec judged 8:43").contains("mask /etc/shadow"))
  }

  @Test func whatLiesBelowAHiddenPlaceIsRefused() {
    var request = Self.request(1, Self.user)
    request.home = "/home/u/work"
    request.writes = [
      LaunchRequest.Share(
        path: "/home/u/work/.ssh/x", judged: LaunchPlan.Judged(device: 8, inode: 43), owner: nil)
    ]
    #expect(
      throws: LoweringError(
        message: "/home/u/work/.ssh/x lies inside /home/u/work/.ssh, which profile ring1 hides",
        hint:
          "name another one, or show /home/u/work/.ssh as well: --write /home/u/work/.ssh, named first"
      )
    ) { try Self.lines(request) }
    for change in [\LaunchRequest.workingDirectory, \.program.executable] {
      var request = Self.request(1, Self.user)
      request.home = "/home/u/work"
      request[keyPath: change] = "/home/u/work/.ssh/x"
      let error = #expect(throws: LoweringError.self) { try Self.lines(request) }
      #expect(
        error?.message.hasPrefix("/home/u/work/.ssh/x lies inside /home/u/work/.ssh,") == true)
    }
  }

  /// Nothing of /proc would be masked.
  @Test(arguments: [UInt8(1), 2, 3]) func withoutAListOfProcNothingRuns(_ ring: UInt8) {
    let error = #expect(throws: LoweringError.self) {
      try Lowering.lower(Self.request(ring, Self.user), host: Machine(hidesKernelFiles: true))
    }
    #expect(error?.message.hasPrefix("/proc does not list the kernel's own files") == true)
  }

  /// Lines that only the first has, and lines that only the second has.
  private func difference(
    _ first: LaunchRequest, _ second: LaunchRequest
  ) throws -> (gone: [String], new: [String]) {
    let before = try Self.lines(first)
    let after = try Self.lines(second)
    return (before.filter { !after.contains($0) }, after.filter { !before.contains($0) })
  }

  @Test func aUsersRing3IsTheUsersOwn() throws {
    let change = try difference(Self.request(3, Self.root), Self.request(3, Self.user))
    #expect(change.new.contains("ring 3, namespaces 0x7e020000, own(uid: 1001, gid: 1002)"))
    // Its owner is on disk already what the program is.
    #expect(change.new.contains("bind /home/u/work ro,nosuid,nodev,rec judged 8:42"))
    #expect(
      change.gone.contains("bind /home/u/work ro,nosuid,nodev,rec judged 8:42 owner 1001:1002"))
    #expect(change.new.contains("owners []"))
    #expect(
      !change.gone.contains { $0.hasPrefix("allow") }
        && !change.new.contains { $0.hasPrefix("allow") })
  }

  @Test func aWritableWorkspaceChangesItsMountAndItsRule() throws {
    let change = try difference(
      Self.request(3, Self.user), Self.request(3, Self.user, access: .readWrite))
    #expect(
      change.gone == [
        "bind /home/u/work ro,nosuid,nodev,rec judged 8:42", "allow /home/u/work 0x400d",
      ])
    #expect(
      change.new == ["bind /home/u/work nosuid,nodev,rec judged 8:42", "allow /home/u/work 0x77bf"])
  }

  /// Rules let truncate where the mount refuses it, so that the kernel's search for a rule ends there: nowhere else.
  @Test(arguments: [2, 3] as [UInt8], [Degradation?.none, .namespaces])
  func truncateIsLetWithoutWritingOnlyWhereTheMountIsReadOnly(
    _ ring: UInt8, _ degradation: Degradation?
  ) throws {
    let request = Self.request(
      ring, Self.user, degraded: degradation.map { [$0] } ?? [], access: .readOnly)
    let plan = try Lowering.lower(request, host: Machine())
    let readOnly = plan.mounts.compactMap { step -> String? in
      guard case .bind(_, let target, let options, _, _) = step, options.contains(.readOnly) else {
        return nil
      }
      return String(decoding: target, as: UTF8.self)
    }
    let lax = try #require(plan.landlock).rules.filter {
      $0.access & 1 << 14 != 0 && $0.access & LandlockAccess.writeFile == 0
    }.map { String(decoding: $0.path, as: UTF8.self) }
    #expect(lax.isEmpty == (degradation != nil))
    for path in lax {
      // The root itself is read-only once it is the root.
      #expect(
        path == "/etc" || readOnly.contains { path == $0 || path.hasPrefix($0 + "/") }, "\(path)")
    }
  }

  @Test func aTerminalInRing3BringsItsDevices() throws {
    let change = try difference(
      Self.request(3, Self.user), Self.request(3, Self.user, terminal: 7))
    #expect(change.gone.count == 1 && change.gone[0].hasSuffix("terminal 0 false"))
    #expect(change.new[0].hasSuffix("terminal 7 true"))
    #expect(
      change.new.dropFirst() == [
        "directory /dev/pts 755", "devpts /dev/pts 1001:1002", "link /dev/ptmx -> pts/ptmx",
        "allow /dev/pts 0x800e",
      ])
  }

  @Test func givenUpByName() throws {
    for starter in [Self.root, Self.user] {
      let whole = Self.request(2, starter)
      #expect(
        try difference(whole, Self.request(2, starter, degraded: [.seccomp])).new == ["no seccomp"])
      #expect(
        try difference(whole, Self.request(2, starter, degraded: [.violations])).new
          == ["seccomp 8 bytes, reports false"])
      let without = try difference(whole, Self.request(2, starter, degraded: [.landlock]))
      #expect(without.new == ["no landlock"])
      #expect(without.gone.allSatisfy { $0.hasPrefix("landlock ") || $0.hasPrefix("allow ") })
    }
  }

  /// Every bit that a kernel of this age does not know is cut, and no rule has more than is handled.
  @Test(arguments: 1...6) func olderLandlock(_ abi: Int) throws {
    let plan = try Lowering.lower(
      Self.request(3, Self.user, landlockABI: abi), host: Machine())
    let landlock = try #require(plan.landlock)
    #expect(landlock.handledFiles == LandlockAccess.known(abi: abi))
    #expect(landlock.handledNetwork == (abi >= 4 ? 3 : 0))
    #expect(landlock.scopes == (abi >= 6 ? 3 : 0))
    for rule in landlock.rules { #expect(rule.access & ~landlock.handledFiles == 0) }
  }

  /// The caller's environment does not reach a ring; what `--env` names does.
  /// Where each ring finds its broker, whatever `--env` says.
  @Test func broker() throws {
    for (ring, degraded, broker, place) in [
      (0, [], LaunchPlan.Broker.connection, "fd:3"), (1, [], .connection, "fd:3"),
      (2, [], .listener, "unix:/run/agt/broker.sock"), (2, [.namespaces], .connection, "fd:3"),
      (3, [], .connection, "fd:3"),
    ] as [(UInt8, Set<Degradation>, LaunchPlan.Broker, String)] {
      var request = Self.request(ring, Self.user, degraded: degraded)
      request.environment = [("AGT_BROKER", Array("off".utf8))]
      request.hasBroker = true
      let plan = try Lowering.lower(request, host: Machine())
      #expect(plan.broker == broker)
      #expect(plan.environment.contains(Array("AGT_BROKER=\(place)".utf8)), "ring \(ring)")
      request.hasBroker = false
      request.environment = []
      let other = try Lowering.lower(request, host: Machine())
      #expect(other.broker == .absent)
      #expect(!other.environment.contains { $0.starts(with: Array("AGT_BROKER".utf8)) })
    }
  }

  @Test func environmentIsBuilt() throws {
    for ring in 1...3 as ClosedRange<UInt8> {
      let lines = try Self.lines(Self.request(ring, Self.user))
      #expect(!lines.contains("set SECRET=x") && lines.contains("set NAME=value"))
    }
  }
}
