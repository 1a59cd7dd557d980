/// Runs a seccomp program on one system call, as the kernel would.
///
/// A filter is a claim about numbers that only running it can show; this machine is what
/// `RingOrder`, `agt profile verify` and the tests run it on. It takes the instructions that seccomp
/// takes (kernel/seccomp.c, seccomp_check_filter) except those on scratch memory, which neither
/// libseccomp nor we emit. Since every jump goes forward, a run is at most as many steps as there
/// are instructions.
public struct FilterMachine: Sendable {
  /// struct seccomp_data: what the filter sees of a call.
  public struct Call: Equatable, Sendable {
    public var number: UInt32
    /// AUDIT_ARCH_* of linux/audit.h.
    public var architecture: UInt32
    /// Six arguments.
    public var arguments: [UInt64]
    public init(number: UInt32, architecture: UInt32, arguments: [UInt64]) {
      precondition(arguments.count == 6)
      self.number = number
      self.architecture = architecture
      self.arguments = arguments
    }
  }

  private let program: [BPFInstruction]

  /// - Throws: `RingProfileError.filter` when the kernel would refuse the program.
  public init(_ program: SeccompProgram) throws(RingProfileError) {
    if let fault = Self.fault(program) { throw .filter(message: fault) }
    self.program = (0..<program.count).map { program[$0] }
  }

  /// Why the kernel would refuse a program, or nil.
  static func fault(_ program: SeccompProgram) -> String? {
    let bytes = program.instructions.count
    guard bytes % BPFInstruction.sizeBytes == 0, program.count >= 1,
      program.count <= BPFInstruction.programMaxInstructions
    else {
      return "\(bytes) bytes are no program; 1 to 4096 instructions of 8 bytes are"
    }
    for index in 0..<program.count {
      if let fault = fault(program[index], following: program.count - index - 1) {
        return "instruction \(index) \(fault)"
      }
    }
    return nil
  }

  /// What the kernel does with the call.
  public func run(_ call: Call) -> SeccompAction {
    var accumulator: UInt32 = 0
    var index: UInt32 = 0
    var next = 0
    while true {
      let instruction = program[next]
      let operand = instruction.operand
      next += 1
      switch instruction.code {
      case 0x20: accumulator = Self.load(call, operand)
      case 0x80: accumulator = Self.dataSizeBytes
      case 0x81: index = Self.dataSizeBytes
      case 0x00: accumulator = operand
      case 0x01: index = operand
      case 0x07: index = accumulator
      case 0x87: accumulator = index
      case 0x06: return SeccompAction(returnValue: operand)
      case 0x16: return SeccompAction(returnValue: accumulator)
      case 0x05: next += Int(operand)
      case let code where code & 0x07 == 0x05:
        let right = code & 0x08 == 0 ? operand : index
        let isTrue = Self.compare(code & 0xf0, accumulator, right)
        next += Int(isTrue ? instruction.jumpTrue : instruction.jumpFalse)
      case let code:
        // Division by an index of zero ends the program with 0, which kills the thread.
        let right = code & 0x08 == 0 ? operand : index
        guard let result = Self.arithmetic(code & 0xf0, accumulator, right) else {
          return .killThread
        }
        accumulator = result
      }
    }
  }

  /// sizeof (struct seccomp_data)
  private static let dataSizeBytes: UInt32 = 64

  /// Why the kernel refuses an instruction, or nil.
  private static func fault(_ instruction: BPFInstruction, following: Int) -> String? {
    let operand = instruction.operand
    switch instruction.code {
    case 0x20:
      let isInside = operand % 4 == 0 && operand < dataSizeBytes
      return isInside ? reach(0, following) : "loads at offset \(operand)"
    case 0x80, 0x81, 0x00, 0x01, 0x07, 0x87: return reach(0, following)
    case 0x06, 0x16: return nil
    case 0x05: return reach(operand, following)
    case 0x15, 0x1d, 0x25, 0x2d, 0x35, 0x3d, 0x45, 0x4d:
      return reach(UInt32(max(instruction.jumpTrue, instruction.jumpFalse)), following)
    case 0x34: return operand != 0 ? reach(0, following) : "divides by zero"
    case 0x64, 0x74: return operand < 32 ? reach(0, following) : "shifts by \(operand)"
    case 0x04, 0x0c, 0x14, 0x1c, 0x24, 0x2c, 0x3c, 0x44, 0x4c, 0x54, 0x5c, 0x6c, 0x7c, 0x84, 0xa4,
      0xac:
      return reach(0, following)
    case let code: return "has opcode \(code), which seccomp does not allow"
    }
  }

  /// A jump over `distance` instructions must end inside the program.
  private static func reach(_ distance: UInt32, _ following: Int) -> String? {
    Int(distance) < following ? nil : "runs past the end of the program"
  }

  private static func load(_ call: Call, _ offset: UInt32) -> UInt32 {
    switch offset {
    case ArgumentBlock.numberOffset: return call.number
    case ArgumentBlock.architectureOffset: return call.architecture
    case 8, 12: return 0  // The instruction pointer: no filter of ours depends on it.
    default:
      let argument = call.arguments[Int(offset - 16) / 8]
      return UInt32(truncatingIfNeeded: offset % 8 == 0 ? argument : argument >> 32)
    }
  }

  private static func compare(_ operation: UInt16, _ left: UInt32, _ right: UInt32) -> Bool {
    switch operation {
    case 0x10: left == right
    case 0x20: left > right
    case 0x30: left >= right
    default: left & right != 0
    }
  }

  private static func arithmetic(
    _ operation: UInt16, _ left: UInt32, _ right: UInt32
  ) -> UInt32? {
    switch operation {
    case 0x00: left &+ right
    case 0x10: left &- right
    case 0x20: left &* right
    case 0x30: right == 0 ? nil : left / right
    case 0x40: left | right
    case 0x50: left & right
    case 0x60: left << (right & 31)
    case 0x70: left >> (right & 31)
    case 0x80: 0 &- left
    default: left ^ right
    }
  }
}
