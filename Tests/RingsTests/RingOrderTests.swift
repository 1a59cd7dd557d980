import Testing

@testable import Rings

@Suite struct RingOrderTests {
  static func compiled(_ ring: UInt8) throws -> CompiledProfile {
    try CompiledProfile(compiling: .shipped(ring))
  }

  @Test func shippedRingsAreInOrder() throws {
    #expect(try RingOrder.verifyShipped() == [])
  }

  /// Twins: each control removed from ring 3 shows up.
  @Test(arguments: [
    (
      "syscalls:\n  groups:\n    - {name: chroot, why: w, allow: [chroot]}",
      "chroot(0x0) is allowed, and refused in the ring above"
    ),
    (
      "syscalls:\n  groups:\n    - {name: terminal takeover, why: w, allow: [ioctl]}\n"
        + "    - {name: device control, why: w, allow: [ioctl]}",
      "ioctl(0x0, 0x5412) is allowed, and refused in the ring above"
    ),
    (
      "syscalls:\n  groups:\n    - {name: personality, why: w, allow: [personality]}",
      "personality(0x1) is allowed, and refused in the ring above"
    ),
    (
      "network: host\nnamespaces: [user, pid, mount, ipc, uts, cgroup]",
      "namespaces network is shared, and own in ring2"
    ),
    ("limits: {memory: 8GiB}", "limits.memory is 8GiB, and 4GiB in ring2"),
    ("limits: {processes: none}", "limits.processes is none, and 512 in ring2"),
    ("requests: {burst: 41}", "requests.burst is 41, and 40 in ring2"),
    (
      "filesystem: {read: [{path: /etc/shadow, why: w}]}",
      "filesystem.read /etc/shadow is ro, and not visible in ring2"
    ),
    ("filesystem: {proc: full}", "filesystem.proc is full, and masked in ring2"),
    ("capabilities: inherited", "capabilities is inherited, and none in ring2"),
    ("landlock: {files: write}", "landlock.files is write, and full in ring2"),
    (
      "environment: {pass: [AWS_SECRET_ACCESS_KEY]}",
      "environment.pass AWS_SECRET_ACCESS_KEY is passed, and removed in ring2"
    ),
  ])
  func aWiderRing3IsABreach(_ body: String, _ what: String) throws {
    let profile = try ProfileLoadingTests.load(ProfileLoadingTests.derived(body))
    let breaches = try RingOrder.verify([
      Self.compiled(2), CompiledProfile(compiling: profile),
    ])
    #expect(breaches.first == .init(ring: 3, what: what))
  }

  @Test func whatRing1HidesIsHiddenBelow() throws {
    let profile = try ProfileLoadingTests.load(
      ProfileLoadingTests.derived(
        "filesystem: {read: [{path: ~/.ssh/id_ed25519, why: w}]}", from: "ring2"))
    let breaches = try RingOrder.verify([
      Self.compiled(1), CompiledProfile(compiling: profile),
    ])
    #expect(
      breaches == [
        .init(ring: 2, what: "filesystem.read ~/.ssh/id_ed25519 is ro, and not visible in ring1")
      ])
  }

  /// A filter that was tampered with is found by running it.
  @Test func aFilterThatIsNotItsPolicysIsABreach() throws {
    let good = try Self.compiled(3)
    var bytes = good.encode()
    // The last EAFNOSUPPORT becomes an allow.
    let refusal: [UInt8] = [0x06, 0, 0, 0, 97, 0, 5, 0]
    let start = try #require(
      bytes.indices.dropLast(8).last { Array(bytes[$0..<$0 + 8]) == refusal })
    bytes.replaceSubrange(start..<start + 8, with: [0x06, 0, 0, 0, 0, 0, 0xff, 0x7f])
    let bad = try CompiledProfile.decode(bytes)
    let breaches = try RingOrder.verify([Self.compiled(2), bad])
    #expect(!breaches.isEmpty)
    #expect(breaches.allSatisfy { $0.ring == 3 && $0.what.hasPrefix("socket") })
  }

  // MARK: lint

  @Test func shippedRingsHaveNoFindings() throws {
    for ring in 0...3 as ClosedRange<UInt8> {
      #expect(try ProfileLint.findings(.shipped(ring)) == [], "ring \(ring)")
    }
  }

  @Test(
    arguments: [
      ("filesystem: {read: [{path: ~/data, why: w}]}", []),
      (
        "filesystem: {read: [{path: ~/.ssh, why: w}]}",
        ["filesystem.read ~/.ssh shows ~/.ssh, which ring 1 hides: private keys"]
      ),
      (
        "filesystem: {read: [{path: /etc, why: w}]}",
        [
          "filesystem.read /etc shows /etc/shadow, "
            + "which ring 1 hides: password hashes"
        ]
      ),
      (
        "filesystem: {write: [{path: /etc/cron.d, why: w}]}",
        ["filesystem.write /etc/cron.d is read-only even in ring 1: configuration is for reading"]
      ),
      (
        "filesystem: {read: [{path: /usr/share, why: w}]}",
        ["filesystem.read /usr/share is below /usr, which grants as much"]
      ),
      (
        "environment: {pass: [OPENAI_API_KEY]}",
        ["environment.pass OPENAI_API_KEY hands a secret of the caller to the ring"]
      ),
      (
        "environment: {pass: [LD_PRELOAD]}",
        ["environment.pass LD_PRELOAD lets the caller's environment load code"]
      ),
      (
        "limits: {memory: none}",
        ["limits.memory is none: one run can take the machine from the others"]
      ),
      (
        "capabilities: inherited",
        ["breaks the order of rings: capabilities is inherited, and none in ring2"]
      ),
    ] as [(String, [String])])
  func doubtfulProfilesAreNamed(_ body: String, _ expected: [String]) throws {
    let profile = try ProfileLoadingTests.load(ProfileLoadingTests.derived(body))
    let findings = try ProfileLint.findings(profile).map(\.what)
    for what in expected { #expect(findings.contains(what), "\(findings)") }
    if expected.isEmpty { #expect(findings == []) }
  }
}
