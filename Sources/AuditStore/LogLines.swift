internal import Audit
internal import Glibc
internal import Kernel

/// The complete lines of one segment, read in blocks: memory does not grow with the log.
enum LogLines {
  private static let blockBytes = 1 << 20

  /// Where reading ended: behind the last line that was taken.
  struct End {
    var offset: Int64
    /// Bytes behind it: a torn line, or one that `body` did not take.
    var rest: Int64
  }

  /// - Parameter body: Gets each line without its line feed; false stops before that line.
  static func read(
    _ file: Int32, from offset: Int64 = 0, _ body: (Span<UInt8>) throws(LogError) -> Bool
  ) throws(LogError) -> End {
    let length = try calling { () throws(SyscallError) in try Files.status(file) }.sizeBytes
    var place = offset
    var buffer: [UInt8] = []
    while place + Int64(buffer.count) < length {
      let block = try calling { () throws(SyscallError) in
        try Files.read(file, upTo: blockBytes, at: place + Int64(buffer.count))
      }
      if block.isEmpty { break }
      buffer = buffer.isEmpty ? block : buffer + block
      let (taken, goesOn) = try lines(buffer, body)
      place += Int64(taken)
      if !goesOn { break }
      if taken == 0, buffer.count > Entry.sizeMaxBytes { break }
      buffer = taken == buffer.count ? [] : Array(buffer[taken...])
    }
    return End(offset: place, rest: max(0, length - place))
  }

  static func copy(_ line: Span<UInt8>) -> [UInt8] {
    // SAFETY: copied within the call.
    unsafe line.withUnsafeBufferPointer { unsafe Array($0) }
  }

  private static func lines(
    _ buffer: [UInt8], _ body: (Span<UInt8>) throws(LogError) -> Bool
  ) throws(LogError) -> (taken: Int, goesOn: Bool) {
    let span = buffer.span
    var start = 0
    while let end = lineFeed(buffer, from: start) {
      if !(try body(span.extracting(start..<end))) { return (start, false) }
      start = end + 1
    }
    return (start, true)
  }

  private static func lineFeed(_ buffer: [UInt8], from start: Int) -> Int? {
    guard start < buffer.count else { return nil }
    // SAFETY: the search stays within the rest of the buffer.
    return unsafe buffer.withUnsafeBytes { all in
      guard let base = all.baseAddress,
        let found = unsafe memchr(base + start, 0x0A, all.count - start)
      else { return nil }
      return unsafe found - UnsafeMutableRawPointer(mutating: base)
    }
  }
}
