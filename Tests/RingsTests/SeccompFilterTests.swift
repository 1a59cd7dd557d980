import Testing

@testable import Rings

@Suite struct SeccompFilterTests {
  static let native = SyscallTable.nativeArchitecture

  static func number(_ name: String) -> UInt32 {
    guard case .number(let number) = SyscallTable.lookup(name) else { fatalError(name) }
    return number
  }

  static func run(
    _ program: SeccompProgram, _ name: String, _ arguments: UInt64...
  ) throws -> SeccompAction {
    let padded = arguments + Array(repeating: 0, count: 6 - arguments.count)
    return try FilterMachine(program).run(
      FilterMachine.Call(number: number(name), architecture: native, arguments: padded))
  }

  static func group(
    _ action: SyscallPolicy.Action, _ calls: [SyscallPolicy.Call]
  ) -> SyscallPolicy.Group {
    SyscallPolicy.Group(name: "g", why: "w", action: action, calls: calls)
  }

  static let policy = SyscallPolicy(
    defaultAction: .fail(errno: 38),
    groups: [
      group(.allow, [.init(name: "read", when: []), .init(name: "ioctl", when: [])]),
      group(
        .violation,
        [
          .init(name: "mount", when: []),
          .init(
            name: "ioctl",
            when: [
              .init(argument: 1, mask: .max, comparison: .isIn([0x5412, 0x541c]), wide: false)
            ]),
        ]),
      group(
        .allow,
        [
          .init(
            name: "personality",
            when: [.init(argument: 0, mask: .max, comparison: .isIn([0, 0xffff_ffff]), wide: true)])
        ]),
      group(.fail(errno: 1), [.init(name: "personality", when: [])]),
    ])

  @Test func decidesByNumberAndArguments() throws {
    let notify = try SeccompFilter.compile(Self.policy, notify: true)
    let plain = try SeccompFilter.compile(Self.policy, notify: false)
    #expect(try Self.run(notify, "read") == .allow)
    #expect(try Self.run(notify, "write") == .errno(38))
    #expect(try Self.run(notify, "mount") == .notify)
    #expect(try Self.run(plain, "mount") == .errno(1))
    #expect(try Self.run(notify, "ioctl", 0, 0x5401) == .allow)
    #expect(try Self.run(notify, "ioctl", 0, 0x5412) == .notify)
    #expect(try Self.run(notify, "ioctl", 0, 0x5412 | 1 << 32) == .notify)
    #expect(try Self.run(notify, "personality", 0) == .allow)
    #expect(try Self.run(notify, "personality", 0xffff_ffff) == .allow)
    #expect(try Self.run(notify, "personality", .max) == .errno(1))
    #expect(try Self.run(notify, "personality", 1 << 32) == .errno(1))
  }

  @Test func foreignArchitecturesAreKilled() throws {
    let program = try SeccompFilter.compile(Self.policy, notify: true)
    let machine = try FilterMachine(program)
    let none = [UInt64](repeating: 0, count: 6)
    // AUDIT_ARCH_I386
    let i386 = FilterMachine.Call(number: 3, architecture: 0x4000_0003, arguments: none)
    #expect(machine.run(i386) == .killProcess)
    let x32 = FilterMachine.Call(number: 0x4000_0000, architecture: Self.native, arguments: none)
    #expect(machine.run(x32) == .killProcess)
  }

  @Test func unknownNumbersAreAnsweredAsMissing() throws {
    for policy in [Self.policy, SyscallPolicy(defaultAction: .allow, groups: [])] {
      let machine = try FilterMachine(SeccompFilter.compile(policy, notify: true))
      let none = [UInt64](repeating: 0, count: 6)
      for number in [400, 471, 1023, 0x3fff_ffff, UInt32.max] as [UInt32] {
        let call = FilterMachine.Call(number: number, architecture: Self.native, arguments: none)
        #expect(machine.run(call) == .errno(38), "\(number)")
      }
    }
    let open = try SeccompFilter.compile(
      SyscallPolicy(defaultAction: .allow, groups: []), notify: true)
    #expect(try Self.run(open, "file_setattr") == .allow)
    #expect(try Self.run(open, "read") == .allow)
  }
}
