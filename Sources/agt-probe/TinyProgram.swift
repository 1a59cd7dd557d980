/// The smallest executables that can report: they write one text to descriptor 1 and leave with 0.
///
/// They stand for any program that an attacker brings along, in a form that a probe can write
/// anywhere, and, as an i386 file, for a program of a foreign ABI (elf(5)).
enum TinyProgram {
  /// A static x86-64 executable.
  static func native(says text: String) -> [UInt8] {
    let message = Array(text.utf8)
    let base: UInt64 = 0x40_0000
    let headers = 64 + 56
    let code = 34
    let address = base + UInt64(headers + code)
    let size = UInt64(headers + code + message.count)
    var bytes: [UInt8] = [0x7f, 0x45, 0x4c, 0x46, 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    bytes += little(2, 2) + little(62, 2) + little(1, 4)  // ET_EXEC, EM_X86_64
    bytes += little(base + UInt64(headers), 8) + little(64, 8) + little(0, 8) + little(0, 4)
    bytes += little(64, 2) + little(56, 2) + little(1, 2) + little(0, 6)
    bytes += little(1, 4) + little(5, 4) + little(0, 8)  // PT_LOAD, read and execute
    bytes += little(base, 8) + little(base, 8) + little(size, 8) + little(size, 8)
    bytes += little(0x1000, 8)
    bytes += [0xb8] + little(1, 4)  // mov $1, %eax: write
    bytes += [0xbf] + little(1, 4)  // mov $1, %edi
    bytes += [0xbe] + little(address, 4)  // mov $message, %esi
    bytes += [0xba] + little(UInt64(message.count), 4)  // mov $length, %edx
    bytes += [0x0f, 0x05]  // syscall
    bytes += [0xb8] + little(231, 4)  // mov $231, %eax: exit_group
    bytes += [0x31, 0xff]  // xor %edi, %edi
    bytes += [0x0f, 0x05, 0x0f, 0x0b, 0x90]  // syscall; ud2; nop
    precondition(bytes.count == headers + code, "the code's length and its address disagree")
    return bytes + message
  }

  /// A static i386 executable: every call of its is one of the foreign ABI.
  static func foreign(says text: String) -> [UInt8] {
    let message = Array(text.utf8)
    let base: UInt64 = 0x0804_8000
    let headers = 52 + 32
    let code = 34
    let address = base + UInt64(headers + code)
    let size = UInt64(headers + code + message.count)
    var bytes: [UInt8] = [0x7f, 0x45, 0x4c, 0x46, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    bytes += little(2, 2) + little(3, 2) + little(1, 4)  // ET_EXEC, EM_386
    bytes += little(base + UInt64(headers), 4) + little(52, 4) + little(0, 4) + little(0, 4)
    bytes += little(52, 2) + little(32, 2) + little(1, 2) + little(0, 6)
    bytes += little(1, 4) + little(0, 4) + little(base, 4) + little(base, 4)
    bytes += little(size, 4) + little(size, 4) + little(5, 4) + little(0x1000, 4)
    bytes += [0xb8] + little(4, 4)  // mov $4, %eax: write
    bytes += [0xbb] + little(1, 4)  // mov $1, %ebx
    bytes += [0xb9] + little(address, 4)  // mov $message, %ecx
    bytes += [0xba] + little(UInt64(message.count), 4)  // mov $length, %edx
    bytes += [0xcd, 0x80]  // int $0x80
    bytes += [0xb8] + little(1, 4)  // mov $1, %eax: exit
    bytes += [0x31, 0xdb]  // xor %ebx, %ebx
    bytes += [0xcd, 0x80, 0x0f, 0x0b, 0x90]  // int $0x80; ud2; nop
    precondition(bytes.count == headers + code, "the code's length and its address disagree")
    return bytes + message
  }

  /// What it says: the line that a probe prints when its act was done.
  static func report(of name: String) -> String {
    "{\"probe\":\"\(name)\",\"outcome\":\"done\",\"errno\":null,\"detail\":\"it ran\"}\n"
  }

  private static func little(_ value: UInt64, _ count: Int) -> [UInt8] {
    (0..<count).map { $0 < 8 ? UInt8(truncatingIfNeeded: value >> UInt64(8 * $0)) : 0 }
  }
}
