@testable import Rings

/// SplitMix64, and random values of this module.
struct SeededGenerator: RandomNumberGenerator {
  private var state: UInt64

  init(_ seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }

  mutating func pick<T>(_ values: [T]) -> T { values[Int(next() % UInt64(values.count))] }

  mutating func condition() -> SyscallPolicy.Condition {
    let wide = next() % 3 == 0
    let masks: [UInt64] = [.max, 0xf, 0x7e02_0080, 0x10] + (wide ? [0xf_0000_0000] : [])
    let mask = pick(masks)
    let width: UInt64 = wide ? .max : 0xffff_ffff
    var values: [UInt64] = []
    for _ in 0..<pick([1, 2, 5]) {
      let edges: [UInt64] = [0, 1, 3, 0x10, 0x5412, 0xffff_ffff, .max, next()]
      let value = pick(edges) & mask & width
      if !values.contains(value) { values.append(value) }
    }
    return SyscallPolicy.Condition(
      argument: UInt8(next() % 3), mask: mask,
      comparison: next() % 2 == 0 ? .isIn(values) : .isNotIn(values), wide: wide)
  }

  mutating func policy(_ names: [String]) -> SyscallPolicy {
    var groups: [SyscallPolicy.Group] = []
    for number in 0..<pick([1, 3, 6]) {
      let action =
        pick([.allow, .allow, .violation, .fail(errno: 1), .fail(errno: 97)])
        as SyscallPolicy.Action
      var calls: [SyscallPolicy.Call] = []
      for _ in 0..<pick([1, 2, 4]) {
        let when = (0..<pick([0, 1, 1, 2])).map { _ in condition() }
        calls.append(SyscallPolicy.Call(name: pick(names), when: when))
      }
      groups.append(SyscallPolicy.Group(name: "g\(number)", why: "w", action: action, calls: calls))
    }
    return SyscallPolicy(
      defaultAction: pick([.allow, .fail(errno: 38), .fail(errno: 1)]), groups: groups)
  }

  /// Arguments that conditions care about, or anything.
  mutating func arguments(_ conditions: [SyscallPolicy.Condition]) -> [UInt64] {
    var arguments = (0..<6).map { _ in pick([0, 1, UInt64.max, next()]) }
    for condition in conditions where next() % 2 == 0 {
      switch condition.comparison {
      case .isIn(let values), .isNotIn(let values):
        arguments[Int(condition.argument)] =
          pick(values) | pick([0, 1 << 32, ~condition.significantBits, 1])
      }
    }
    return arguments
  }
}

extension SeededGenerator {
  /// A text that YAML could misread.
  mutating func text() -> String {
    pick([
      "plain", "a: b", "- x", "# no", "\"quoted\"", "back\\slash", "two\nlines", "tab\there",
      "null", "~", "ünïcödé ☂", " spaces ", "{flow}", "[x]", "'", "%", "@", "`", "1.10", "yes",
    ])
  }

  /// A profile with everything changed at random that a profile file can say.
  mutating func profile() -> RingProfile {
    var profile = RingProfile.shipped(UInt8(next() % 4))
    profile.name = pick(["t", "a-b_c.9", "null", "123"])
    profile.description = text()
    for _ in 0..<pick([0, 1, 3]) {
      let rule = RingProfile.PathRule(
        path: "\(pick(["/data", "~/data", "/with space", "/ü", "/#x", "/a:b"]))\(next() % 1000)",
        optional: next() % 2 == 0, why: text())
      switch next() % 3 {
      case 0: profile.filesystem.read.append(rule)
      case 1: profile.filesystem.write.append(rule)
      default: if profile.root == .host { profile.filesystem.hide.append(rule) }
      }
    }
    profile.filesystem.workspace = pick(RingProfile.Access.allCases)
    profile.filesystem.proc = pick(RingProfile.ProcView.allCases)
    profile.filesystem.scratch = pick([
      nil, RingProfile.Scratch(sizeBytes: 1 + next() % 9999, inodes: 5, executable: true),
      RingProfile.Scratch(sizeBytes: 3 << 30, inodes: 1, executable: false),
    ])
    profile.environment.pass.append("N\(next() % 100)*")
    profile.environment.set.append(("SET\(next() % 100)", text()))
    profile.capabilities = pick(RingProfile.Capabilities.allCases)
    profile.landlock.files = pick(RingProfile.LandlockFiles.allCases)
    profile.landlock.scopeSignal = next() % 2 == 0
    profile.landlock.scopeAbstractUnixSocket = next() % 2 == 0
    profile.landlock.denyTCP = next() % 2 == 0
    for limit in RingProfile.Limits.all where next() % 2 == 0 {
      limit.set(&profile.limits, pick([nil, 1 + next() % 100_000, 60_000]))
    }
    for field in RingProfile.Requests.all {
      field.set(&profile.requests, 1 + next() % 1000)
    }
    var call = SyscallPolicy.Call(name: pick(["bpf", "socket", "ioctl"]), when: [condition()])
    if next() % 2 == 0 { call.when.append(condition()) }
    let action: SyscallPolicy.Action = pick([.allow, .violation, .fail(errno: 1), .fail(errno: 5)])
    profile.syscalls.groups.append(
      SyscallPolicy.Group(name: text() + "!", why: text(), action: action, calls: [call]))
    return profile
  }
}
