internal import CProbe

/// Memory for system call arguments, as addresses.
///
/// Nothing is ever freed: a probe process runs one short list of calls and leaves, and an address
/// that stays valid cannot be the reason for an EFAULT.
enum Memory {
  /// An address that no process has mapped: the kernel answers EFAULT when it gets as far as
  /// reading it. A filter cannot follow pointers, so EFAULT proves that no filter refused the
  /// call, without any privilege.
  static let unmapped = 1

  /// x86-64's, and a multiple of it elsewhere is not needed.
  private static let pageSize = 4096

  /// A buffer of zeroes; from a page on, it begins at one.
  static func zeroed(_ count: Int) -> Int {
    // SAFETY: the allocation is at least one byte and initialised over its whole length.
    let memory = UnsafeMutableRawPointer.allocate(
      byteCount: max(count, 1), alignment: count < pageSize ? 16 : pageSize)
    unsafe memory.initializeMemory(as: UInt8.self, repeating: 0, count: max(count, 1))
    return Int(bitPattern: memory)
  }

  static func bytes(_ bytes: [UInt8]) -> Int {
    let address = zeroed(bytes.count)
    for (offset, byte) in bytes.enumerated() { store(byte, at: address + offset) }
    return address
  }

  /// A NUL-terminated string.
  static func text(_ text: String) -> Int { bytes(Array(text.utf8) + [0]) }

  static func words(_ words: [UInt64]) -> Int {
    let address = zeroed(words.count * 8)
    for (index, word) in words.enumerated() { store(word, at: address + 8 * index) }
    return address
  }

  static func halves(_ halves: [UInt32]) -> Int {
    let address = zeroed(halves.count * 4)
    for (index, half) in halves.enumerated() { store(half, at: address + 4 * index) }
    return address
  }

  /// The argv or envp of execve(2).
  static func strings(_ strings: [String]) -> Int {
    words(strings.map { UInt64(bitPattern: Int64(text($0))) } + [0])
  }

  static func store<T: BitwiseCopyable>(_ value: T, at address: Int) {
    // SAFETY: callers pass addresses inside a buffer that this type handed out, or the mapping
    // that the probe made one line above.
    unsafe UnsafeMutableRawPointer(bitPattern: address)!
      .storeBytes(of: value, as: T.self)
  }

  static func load<T: BitwiseCopyable>(_ type: T.Type, at address: Int) -> T {
    // SAFETY: as for `store`.
    unsafe UnsafeRawPointer(bitPattern: address)!.loadUnaligned(as: T.self)
  }

  static func load(count: Int, at address: Int) -> [UInt8] {
    (0..<count).map { load(UInt8.self, at: address + $0) }
  }

  /// The strings of the environment, `NAME=VALUE`.
  static func environment() -> [String] {
    var strings: [String] = []
    // SAFETY: the C function returns null past the end, and otherwise a NUL-terminated string
    // that nothing in this program changes.
    while let string = unsafe probe_environment(strings.count) {
      strings.append(unsafe String(cString: string))
    }
    return strings
  }
}
