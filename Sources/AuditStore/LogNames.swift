internal import Glibc
internal import Kernel

/// The files of a log in its directory: `entries.FIRST.jsonl`, `checkpoint.0` and `.1`, `tree.0` and `.1`.
enum LogNames {
  /// The name sorts by the index of the first entry.
  static func segment(_ first: UInt64) -> ByteString {
    let digits = String(first)
    return ByteString(
      "entries." + String(repeating: "0", count: 20 - digits.utf8.count) + digits + ".jsonl")
  }

  static func first(of name: ByteString) -> UInt64? {
    let text = name.text
    guard text.hasPrefix("entries."), text.hasSuffix(".jsonl") else { return nil }
    guard let first = UInt64(text.dropFirst(8).dropLast(6)), segment(first) == name else {
      return nil
    }
    return first
  }

  static func checkpoint(_ slot: Int) -> ByteString { ByteString("checkpoint.\(slot)") }
  static func tree(_ slot: Int) -> ByteString { ByteString("tree.\(slot)") }

  /// The first indexes of the segments, in order.
  static func segments(in directory: Int32) throws(SyscallError) -> [UInt64] {
    // A descriptor of its own: reading a directory moves its offset.
    let copy = try Files.open(ByteString("."), O_RDONLY | O_DIRECTORY, at: directory)
    return try Files.names(in: copy).compactMap { first(of: $0) }.sorted()
  }

  static func openSegment(
    _ first: UInt64, forWriting: Bool, in directory: Int32
  ) throws(SyscallError) -> OwnedFD {
    try Files.open(
      segment(first), (forWriting ? O_RDWR : O_RDONLY) | O_NOFOLLOW | O_NONBLOCK, at: directory)
  }
}
