import Testing

@testable import Rings

@Suite struct ProfileLoadingTests {
  struct Missing: Error, CustomStringConvertible {
    let description = "No such file or directory (ENOENT)"
  }

  static func load(
    _ yaml: String, file: String = "p.yaml", files: [String: String] = [:]
  ) throws -> RingProfile {
    try RingProfile.load(yaml: Array(yaml.utf8), file: file) { path in
      guard let text = files[path] else { throw Missing() }
      return (Array(text.utf8), path)
    }
  }

  static func derived(_ body: String, from base: String = "ring3") -> String {
    "apiVersion: agt-run/v1\nkind: RingProfile\nmetadata: {name: t, description: d}\n"
      + "extends: \(base)\n" + body
  }

  @Test(arguments: [0, 1, 2, 3] as [UInt8])
  func shippedRingsClaimTheirNumber(_ ring: UInt8) {
    let profile = RingProfile.shipped(ring)
    #expect(profile.ring == ring)
    #expect(profile.name == "ring\(ring)")
    #expect(profile.widenings == [])
    for name in ["\(ring)", "ring\(ring)", RingProfile.ringNames[Int(ring)][2]] {
      #expect(RingProfile.ring(named: name) == ring)
    }
    #expect(RingProfile.ring(named: "ring4") == nil)
  }

  /// The table of RINGS.md.
  @Test func shippedRingsAreThePublishedTable() {
    let rings = (0...3 as ClosedRange<UInt8>).map(RingProfile.shipped)
    #expect(rings.map(\.network) == [.host, .host, .loopback, .none])
    #expect(rings.map(\.root) == [.host, .host, .private, .private])
    #expect(rings.map(\.filesystem.workspace) == [.readWrite, .readWrite, .readWrite, .readOnly])
    #expect(rings.map { $0.filesystem.scratch?.executable } == [nil, nil, true, false])
    #expect(rings.map(\.capabilities) == [.inherited, .none, .none, .none])
    #expect(rings.map(\.namespaces.count) == [2, 5, 7, 7])
    #expect(rings.map(\.landlock.files) == [.none, .write, .full, .full])
    #expect(rings.map(\.landlock.scopeSignal) == [false, false, false, true])
    #expect(rings.map(\.landlock.scopeAbstractUnixSocket) == [false, true, true, true])
    #expect(rings.map(\.requests.perSecond) == [100, 50, 20, 5])
    #expect(rings.map(\.requests.burst) == [200, 100, 40, 10])
    #expect(rings.map(\.requests.concurrentTools) == [32, 16, 8, 2])
    #expect(rings.map(\.limits.wallMilliseconds) == [nil, nil, 3_600_000, 600_000])
    #expect(rings.map { $0.limits.processes == nil } == [true, false, false, false])
    #expect(
      rings.map(\.syscalls.defaultAction) == [
        .allow, .allow, .fail(errno: 38), .fail(errno: 38),
      ])
  }

  /// The example of RINGS.md.
  @Test func aDerivedProfileRecordsItsWidenings() throws {
    let profile = try Self.load(
      """
      apiVersion: agt-run/v1
      kind: RingProfile
      metadata: {name: research, description: read-only analysis with pandas}
      extends: ring3
      filesystem:
        read:
          - {path: ~/data, why: the data sets under analysis}
      limits: {memory: 2GiB, wall: 30m}
      """)
    #expect(profile.ring == 3)
    #expect(profile.limits.memoryBytes == 2 << 30)
    #expect(profile.limits.processes == 64)
    #expect(
      profile.widenings == [
        .init(what: "filesystem.read ~/data", reason: "the data sets under analysis"),
        .init(what: "limits.memory", reason: "read-only analysis with pandas"),
        .init(what: "limits.wall", reason: "read-only analysis with pandas"),
      ])
  }

  @Test func theMostExactReasonIsTaken() throws {
    let profile = try Self.load(
      Self.derived(
        """
        reason: general
        reasons: {limits: more of everything, limits.memory: large tables}
        network: loopback
        limits: {memory: 1GiB, openFiles: 512}
        """))
    #expect(
      profile.widenings == [
        .init(what: "network", reason: "general"),
        .init(what: "limits.memory", reason: "large tables"),
        .init(what: "limits.openFiles", reason: "more of everything"),
      ])
  }

  @Test func narrowingNeedsNoReason() throws {
    let profile = try Self.load(
      """
      apiVersion: agt-run/v1
      kind: RingProfile
      metadata: {name: t}
      extends: 2
      filesystem: {workspace: ro, without: [/opt], scratch: {size: 1MiB}}
      environment: {without: [EDITOR, PATH]}
      network: none
      limits: {memory: 1MiB}
      syscalls:
        groups:
          - {name: no sockets, why: talks to nobody, deny: [socket, connect]}
      """)
    #expect(profile.widenings == [])
    #expect(!profile.filesystem.read.contains { $0.path == "/opt" })
    #expect(!profile.environment.pass.contains("EDITOR"))
    #expect(profile.environment.set.isEmpty)
    #expect(profile.filesystem.scratch?.sizeBytes == 1 << 20)
    #expect(profile.filesystem.scratch?.inodes == 1_048_576)
    let unix: [UInt64] = [1, 1, 0, 0, 0, 0]
    #expect(profile.syscalls.action("socket", arguments: unix) == .fail(errno: 1))
    #expect(profile.syscalls.action("connect", arguments: unix) == .fail(errno: 1))
    // The conditions under which it was refused before still report.
    let packet: [UInt64] = [17, 3, 0, 0, 0, 0]
    #expect(profile.syscalls.action("socket", arguments: packet) == .violation)
  }

  @Test func aGroupOfTheSameNameReplaces() throws {
    let profile = try Self.load(
      Self.derived(
        """
        syscalls:
          groups:
            - {name: zero copy, why: it pipes, allow: [splice]}
        """))
    let none = [UInt64](repeating: 0, count: 6)
    #expect(profile.syscalls.action("splice", arguments: none) == .allow)
    #expect(profile.syscalls.action("tee", arguments: none) == .fail(errno: 38))
    #expect(profile.widenings == [.init(what: "syscalls splice", reason: "it pipes")])
    #expect(profile.syscalls.groups.count { $0.name == "zero copy" } == 1)
  }

  @Test func profilesExtendFilesBesideThem() throws {
    let files = [
      "/etc/agt/base.yaml": Self.derived("limits: {memory: 1GiB}"),
      "/etc/agt/teams/a.yaml": Self.derived("limits: {wall: 20m}", from: "../base.yaml"),
      "/etc/agt/teams/../base.yaml": Self.derived("limits: {memory: 1GiB}"),
    ]
    let profile = try Self.load(
      Self.derived("limits: {memory: 256MiB}", from: "./teams/a.yaml"), file: "/etc/agt/leaf.yaml",
      files: files)
    #expect(profile.limits.wallMilliseconds == 1_200_000)
    // What was widened on the way and narrowed again is no widening of the result.
    #expect(profile.widenings.map(\.what) == ["limits.wall"])
  }

  @Test func aProfileOfItsOwnIsMeasuredByTheRingThatItClaims() throws {
    let text = ProfileText.show(.shipped(3))
    let wider = text.replacing("  memory: 512MiB", with: "  memory: 1GiB")
    let profile = try Self.load(wider)
    #expect(
      profile.widenings == [
        .init(what: "limits.memory", reason: RingProfile.shipped(3).description)
      ])
    let silent = wider.replacing(
      "  description: \"unknown code; reads the workspace, computes, talks to nobody\"\n", with: "")
    #expect(throws: RingProfileError.self) { try Self.load(silent) }
  }

  @Test func aClaimOfAStricterRingNeedsReasonsToo() throws {
    let profile = try Self.load(Self.derived("ring: 3", from: "ring2"))
    #expect(profile.ring == 3)
    #expect(profile.widenings.contains { $0.what == "syscalls fork" })
    #expect(profile.widenings.allSatisfy { $0.reason == "d" })
  }

  @Test func shippedTextsFromAFileWidenNothing() throws {
    for ring in 0...3 {
      let profile = try Self.load(EmbeddedProfiles.all[ring].text, file: "ring.yaml")
      #expect(profile == RingProfile.shipped(UInt8(ring)))
    }
  }
}

extension String {
  func replacing(_ text: String, with other: String) -> String {
    guard let range = firstRange(of: text) else { fatalError("no \(text)") }
    return self[..<range.lowerBound] + other + self[range.upperBound...]
  }
}
