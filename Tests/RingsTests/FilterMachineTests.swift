import Testing

@testable import Rings

@Suite struct FilterMachineTests {
  static func program(_ instructions: BPFInstruction...) -> SeccompProgram {
    SeccompProgram(instructions)
  }

  static let allow = BPFInstruction(0x06, 0x7fff_0000)
  static let call = FilterMachine.Call(
    number: 7, architecture: 0xc000_003e,
    arguments: [1, 0x2_0000_0003, 4, 5, 6, 0xffff_ffff_0000_0000])

  /// Leaves the accumulator in the errno of the answer.
  static func value(_ instructions: BPFInstruction...) throws -> UInt32 {
    let end = [
      BPFInstruction(0x54, 0xffff), BPFInstruction(0x44, 0x0005_0000), BPFInstruction(0x16, 0),
    ]
    let answer = try FilterMachine(SeccompProgram(instructions + end)).run(call)
    guard case .errno(let value) = answer else { return .max }
    return UInt32(value)
  }

  @Test func loadsTheCallsParts() throws {
    #expect(try Self.value(.init(0x20, 0)) == 7)
    #expect(try Self.value(.init(0x20, 4)) == 0x3e)
    #expect(try Self.value(.init(0x20, 16)) == 1)
    #expect(try Self.value(.init(0x20, 24)) == 3)
    #expect(try Self.value(.init(0x20, 28)) == 2)
    #expect(try Self.value(.init(0x20, 60)) == 0xffff)
    #expect(try Self.value(.init(0x80, 0)) == 64)
  }

  @Test func computes() throws {
    let load = BPFInstruction(0x00, 12)
    for (code, operand, expected) in [
      (0x04, 3, 15), (0x14, 3, 9), (0x24, 3, 36), (0x34, 5, 2), (0x44, 3, 15), (0x54, 8, 8),
      (0x64, 2, 48), (0x74, 2, 3), (0x84, 0, 0xfff4), (0xa4, 5, 9),
    ] as [(UInt16, UInt32, UInt32)] {
      #expect(try Self.value(load, .init(code, operand)) == expected, "\(code)")
    }
    // Through the index register.
    #expect(try Self.value(load, .init(0x01, 4), .init(0x0c, 0)) == 16)
    #expect(try Self.value(load, .init(0x07, 0), .init(0x00, 1), .init(0x87, 0)) == 12)
    let byZero = Self.program(load, .init(0x01, 0), .init(0x3c, 0), Self.allow)
    #expect(try FilterMachine(byZero).run(Self.call) == .killThread)
  }

  @Test func jumps() throws {
    for (code, operand, isTaken) in [
      (0x15, 7, true), (0x15, 8, false), (0x25, 6, true), (0x25, 7, false), (0x35, 7, true),
      (0x35, 8, false), (0x45, 4, true), (0x45, 8, false),
    ] as [(UInt16, UInt32, Bool)] {
      let program = Self.program(
        .init(0x20, 0), .init(code, operand, jumpTrue: 1), .init(0x06, 0x0005_0001), Self.allow)
      #expect(try FilterMachine(program).run(Self.call) == (isTaken ? .allow : .errno(1)))
    }
    let always = Self.program(.init(0x05, 1), .init(0x06, 0x0005_0001), Self.allow)
    #expect(try FilterMachine(always).run(Self.call) == .allow)
  }

  @Test(
    arguments: [
      ([], "0 bytes are no program; 1 to 4096 instructions of 8 bytes are"),
      ([BPFInstruction(0x20, 0)], "instruction 0 runs past the end of the program"),
      ([.init(0x05, 0)], "instruction 0 runs past the end of the program"),
      ([.init(0x05, .max), allow], "instruction 0 runs past the end of the program"),
      ([.init(0x15, 0, jumpFalse: 1), allow], "instruction 0 runs past the end of the program"),
      ([.init(0x20, 2), allow], "instruction 0 loads at offset 2"),
      ([.init(0x20, 64), allow], "instruction 0 loads at offset 64"),
      ([.init(0x34, 0), allow], "instruction 0 divides by zero"),
      ([.init(0x64, 32), allow], "instruction 0 shifts by 32"),
      ([.init(0x28, 0), allow], "instruction 0 has opcode 40, which seccomp does not allow"),
      ([.init(0xffff, 0), allow], "instruction 0 has opcode 65535, which seccomp does not allow"),
      (
        Array(repeating: allow, count: 4097),
        "32776 bytes are no program; 1 to 4096 instructions of 8 bytes are"
      ),
    ] as [([BPFInstruction], String)])
  func refusesWhatTheKernelRefuses(_ instructions: [BPFInstruction], _ message: String) {
    let error = #expect(throws: RingProfileError.self) {
      try FilterMachine(SeccompProgram(instructions))
    }
    #expect(error == .filter(message: message))
  }

  @Test func halfAnInstructionIsNone() {
    #expect(throws: RingProfileError.self) {
      try FilterMachine(SeccompProgram(instructions: [6, 0, 0, 0]))
    }
  }

  @Test func answersAreReadAsTheKernelReadsThem() {
    for action in [
      .killProcess, .killThread, .trap, .errno(38), .notify, .trace(7), .log, .allow,
    ] as [SeccompAction] {
      #expect(SeccompAction(returnValue: action.returnValue) == action)
    }
    #expect(SeccompAction(returnValue: 0x1234_0000) == .killProcess)
  }

  // MARK: compiled policies

  /// Policies with all kinds of rules, compiled and run, do what `SyscallPolicy.action` says.
  @Test(arguments: 1...40 as ClosedRange<UInt64>)
  func compiledPoliciesMeanWhatTheySay(_ seed: UInt64) throws {
    var random = SeededGenerator(seed)
    let names = ["read", "ioctl", "socket", "mount", "cachestat", "statmount"]
    let policy = random.policy(names)
    let both = try SeccompFilter.compileBoth(policy)
    let notify = try FilterMachine(both.notify)
    let plain = try FilterMachine(both.plain)
    let conditions = policy.groups.flatMap(\.calls).flatMap(\.when)
    for name in names + ["write"] {
      for _ in 0..<60 {
        let arguments = random.arguments(conditions)
        let call = FilterMachine.Call(
          number: SeccompFilterTests.number(name),
          architecture: SyscallTable.nativeArchitecture, arguments: arguments)
        let expected = policy.action(name, arguments: arguments)
        #expect(notify.run(call) == SeccompFilter.result(expected, notify: true))
        #expect(plain.run(call) == SeccompFilter.result(expected, notify: false))
      }
    }
  }
}
