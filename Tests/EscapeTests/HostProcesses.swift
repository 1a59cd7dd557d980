import CProbe
import Foundation

/// Processes as the host sees them in /proc.
enum HostProcesses {
  static func all() -> [Int32] {
    ((try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []).compactMap { Int32($0) }
  }

  static func text(_ pid: Int32, _ file: String) -> String {
    guard let data = FileManager.default.contents(atPath: "/proc/\(pid)/\(file)") else { return "" }
    return String(decoding: data.map { $0 == 0 ? UInt8(ascii: " ") : $0 }, as: UTF8.self)
  }

  /// One field of /proc/PID/status.
  static func field(_ pid: Int32, _ name: String) -> [String] {
    for line in text(pid, "status").split(separator: "\n") where line.hasPrefix(name + ":") {
      return line.dropFirst(name.count + 1).split(whereSeparator: \.isWhitespace).map(String.init)
    }
    return []
  }

  /// Those whose arguments contain a text, zombies left out.
  static func marked(_ mark: String) -> [Int32] {
    all().filter {
      $0 != getpid() && text($0, "cmdline").contains(mark) && field($0, "State").first != "Z"
    }
  }

  /// A process and what descends from it.
  static func tree(below root: Int32) -> [Int32] {
    var found = [root]
    let parents = all().map { ($0, field($0, "PPid").first.flatMap { Int32($0) }) }
    var index = 0
    while index < found.count {
      found += parents.filter { $0.1 == found[index] }.map(\.0)
      index += 1
    }
    return found
  }

  static func namespace(_ pid: Int32, _ name: String) -> String {
    (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(pid)/ns/\(name)")) ?? ""
  }

  /// Waits until a condition holds; false when it has not after `seconds`.
  static func wait(seconds: Double, _ condition: () -> Bool) -> Bool {
    let deadline = Date().addingTimeInterval(seconds)
    while Date() < deadline {
      if condition() { return true }
      usleep(5000)
    }
    return condition()
  }
}

/// The seccomp programs of a process, taken from the kernel and run by hand.
///
/// What a filter answers cannot be told from what a missing capability answers by calling; here
/// the loaded program itself is asked (and not the list that it was made from: libseccomp drops
/// names that it does not know).
struct LoadedFilters: CustomStringConvertible {
  struct Instruction {
    var code: UInt16
    var whenTrue: UInt8
    var whenFalse: UInt8
    var value: UInt32
  }

  let programs: [[Instruction]]

  var description: String { "programs of \(programs.map(\.count)) instructions" }

  /// - Precondition: root; the process is stopped and continued within the call.
  init(of pid: Int32) {
    let target = Int(pid)
    // PTRACE_SEIZE, PTRACE_INTERRUPT, then the stop.
    _ = probe_call(Int(SYS_ptrace), 0x4206, target, 0, 0, 0, 0)
    _ = probe_call(Int(SYS_ptrace), 0x4207, target, 0, 0, 0, 0)
    // __WALL
    _ = probe_call(Int(SYS_wait4), target, 0, 0x4000_0000, 0, 0, 0)
    var programs: [[Instruction]] = []
    while true {
      // PTRACE_SECCOMP_GET_FILTER: without a buffer it answers the number of instructions.
      let count = probe_call(Int(SYS_ptrace), 0x420c, target, programs.count, 0, 0, 0)
      if count <= 0 { break }
      var words = [UInt64](repeating: 0, count: count)
      // SAFETY: struct sock_filter is 8 bytes, and the array holds as many as the kernel said.
      _ = unsafe words.withUnsafeMutableBytes {
        probe_call(
          Int(SYS_ptrace), 0x420c, target, programs.count,
          Int(bitPattern: $0.baseAddress), 0, 0)
      }
      programs.append(
        words.map {
          Instruction(
            code: UInt16(truncatingIfNeeded: $0), whenTrue: UInt8(truncatingIfNeeded: $0 >> 16),
            whenFalse: UInt8(truncatingIfNeeded: $0 >> 24), value: UInt32($0 >> 32))
        })
    }
    // PTRACE_DETACH
    _ = probe_call(Int(SYS_ptrace), 17, target, 0, 0, 0, 0)
    self.programs = programs
  }

  /// AUDIT_ARCH_X86_64 and AUDIT_ARCH_I386.
  static let native: UInt32 = 0xc000_003e
  static let i386: UInt32 = 0x4000_0003

  /// Whether some program lets the call not run: any action but ALLOW and LOG.
  func refuse(_ number: Int32, _ arguments: [UInt64] = [], architecture: UInt32 = native) -> Bool {
    var data = [UInt32](repeating: 0, count: 16)
    data[0] = UInt32(bitPattern: number)
    data[1] = architecture
    for (index, argument) in arguments.enumerated() {
      data[4 + 2 * index] = UInt32(truncatingIfNeeded: argument)
      data[5 + 2 * index] = UInt32(argument >> 32)
    }
    return programs.contains { program in
      let action = Self.run(program, data) & 0xffff_0000
      return action != 0x7fff_0000 && action != 0x7ffc_0000
    }
  }

  /// Classic BPF, as far as seccomp(2) admits it.
  private static func run(_ program: [Instruction], _ data: [UInt32]) -> UInt32 {
    var (accumulator, index): (UInt32, UInt32) = (0, 0)
    var memory = [UInt32](repeating: 0, count: 16)
    var next = 0
    while program.indices.contains(next) {
      let instruction = program[next]
      next += 1
      let operand = instruction.code & 0x08 == 0 ? instruction.value : index
      switch instruction.code & 0x07 {
      case 0x00:
        accumulator = loaded(instruction, data, memory)
      case 0x01:
        index = loaded(instruction, data, memory)
      case 0x02: memory[Int(instruction.value)] = accumulator
      case 0x03: memory[Int(instruction.value)] = index
      case 0x04: accumulator = calculated(instruction.code & 0xf0, accumulator, operand)
      case 0x05:
        if instruction.code & 0xf0 == 0x00 {
          next += Int(instruction.value)
        } else {
          let holds = compared(instruction.code & 0xf0, accumulator, operand)
          next += Int(holds ? instruction.whenTrue : instruction.whenFalse)
        }
      case 0x06: return instruction.code & 0x18 == 0x10 ? accumulator : instruction.value
      default:
        if instruction.code & 0xf8 == 0x80 { accumulator = index } else { index = accumulator }
      }
    }
    preconditionFailure("a seccomp program without an end")
  }

  private static func loaded(
    _ instruction: Instruction, _ data: [UInt32], _ memory: [UInt32]
  ) -> UInt32 {
    switch instruction.code & 0xe0 {
    case 0x20: data[Int(instruction.value) / 4]
    case 0x60: memory[Int(instruction.value)]
    case 0x80: 64
    default: instruction.value
    }
  }

  private static func calculated(_ operation: UInt16, _ left: UInt32, _ right: UInt32) -> UInt32 {
    switch operation {
    case 0x00: left &+ right
    case 0x10: left &- right
    case 0x20: left &* right
    case 0x30: right == 0 ? 0 : left / right
    case 0x40: left | right
    case 0x50: left & right
    case 0x60: left << right
    case 0x70: left >> right
    case 0x80: 0 &- left
    default: left ^ right
    }
  }

  private static func compared(_ operation: UInt16, _ left: UInt32, _ right: UInt32) -> Bool {
    switch operation {
    case 0x10: left == right
    case 0x20: left > right
    case 0x30: left >= right
    default: left & right != 0
    }
  }
}
