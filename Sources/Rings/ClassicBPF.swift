/// One instruction of classic BPF: struct sock_filter of linux/filter.h.
struct BPFInstruction: Equatable, Sendable {
  var code: UInt16
  /// Instructions to skip when a comparison holds or fails.
  var jumpTrue: UInt8
  var jumpFalse: UInt8
  var operand: UInt32

  static let sizeBytes = 8
  /// BPF_MAXINSNS of linux/bpf_common.h: the kernel refuses longer programs.
  static let programMaxInstructions = 4096

  init(_ code: UInt16, _ operand: UInt32, jumpTrue: UInt8 = 0, jumpFalse: UInt8 = 0) {
    self.code = code
    self.jumpTrue = jumpTrue
    self.jumpFalse = jumpFalse
    self.operand = operand
  }

  /// Reads 8 bytes in the byte order of x86-64, aarch64 and riscv64 (little-endian).
  init(_ bytes: [UInt8], at first: Int) {
    code = UInt16(bytes[first]) | UInt16(bytes[first + 1]) << 8
    jumpTrue = bytes[first + 2]
    jumpFalse = bytes[first + 3]
    operand =
      UInt32(bytes[first + 4]) | UInt32(bytes[first + 5]) << 8 | UInt32(bytes[first + 6]) << 16
      | UInt32(bytes[first + 7]) << 24
  }

  func append(to bytes: inout [UInt8]) {
    bytes.append(UInt8(truncatingIfNeeded: code))
    bytes.append(UInt8(truncatingIfNeeded: code >> 8))
    bytes.append(jumpTrue)
    bytes.append(jumpFalse)
    for shift in stride(from: 0, to: 32, by: 8) {
      bytes.append(UInt8(truncatingIfNeeded: operand >> UInt32(shift)))
    }
  }

  // Opcodes: class | size or operation | source, as in linux/bpf_common.h.

  static let loadWord: UInt16 = 0x20  // BPF_LD | BPF_W | BPF_ABS
  static let andConstant: UInt16 = 0x54  // BPF_ALU | BPF_AND | BPF_K
  static let jumpAlways: UInt16 = 0x05  // BPF_JMP | BPF_JA
  static let jumpEqual: UInt16 = 0x15  // BPF_JMP | BPF_JEQ | BPF_K
  static let jumpGreater: UInt16 = 0x25  // BPF_JMP | BPF_JGT | BPF_K
  static let jumpGreaterOrEqual: UInt16 = 0x35  // BPF_JMP | BPF_JGE | BPF_K
  static let returnConstant: UInt16 = 0x06  // BPF_RET | BPF_K
}

/// What a filter answers: SECCOMP_RET_* of linux/seccomp.h.
public enum SeccompAction: Equatable, Sendable {
  case killProcess
  case killThread
  case trap
  case errno(UInt16)
  case notify
  case trace(UInt16)
  case log
  case allow

  /// An unknown action is killProcess, as in the kernel (seccomp(2)).
  public init(returnValue: UInt32) {
    let data = UInt16(truncatingIfNeeded: returnValue)
    switch returnValue & 0xffff_0000 {
    case 0x0000_0000: self = .killThread
    case 0x0003_0000: self = .trap
    case 0x0005_0000: self = .errno(data)
    case 0x7fc0_0000: self = .notify
    case 0x7ff0_0000: self = .trace(data)
    case 0x7ffc_0000: self = .log
    case 0x7fff_0000: self = .allow
    default: self = .killProcess
    }
  }

  public var returnValue: UInt32 {
    switch self {
    case .killProcess: 0x8000_0000
    case .killThread: 0
    case .trap: 0x0003_0000
    case .errno(let number): 0x0005_0000 | UInt32(number)
    case .notify: 0x7fc0_0000
    case .trace(let number): 0x7ff0_0000 | UInt32(number)
    case .log: 0x7ffc_0000
    case .allow: 0x7fff_0000
    }
  }
}

/// A seccomp program, ready for seccomp(2).
public struct SeccompProgram: Equatable, Sendable {
  /// struct sock_filter, 8 bytes each.
  public let instructions: [UInt8]
  public var count: Int { instructions.count / BPFInstruction.sizeBytes }

  subscript(index: Int) -> BPFInstruction {
    BPFInstruction(instructions, at: index * BPFInstruction.sizeBytes)
  }

  /// Takes bytes from a file or a peer; `FilterMachine(_:)` says whether they are a valid program.
  public init(instructions: [UInt8]) { self.instructions = instructions }

  init(_ program: [BPFInstruction]) {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(program.count * BPFInstruction.sizeBytes)
    for instruction in program { instruction.append(to: &bytes) }
    instructions = bytes
  }
}
