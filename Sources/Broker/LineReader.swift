/// Cuts what a connection sends into lines: one JSON object each (docs/broker-protocol.md).
///
/// The bytes come from untrusted code, in any pieces. It must never hold more than one line and what came
/// with it, nor take time that grows with how often a line was continued.
public struct LineReader: Sendable {
  /// Longest line, without its line feed.
  public static let lineMaxBytes = 65_536

  public enum Next: Equatable, Sendable {
    /// Without the line feed.
    case line(ArraySlice<UInt8>)
    /// More bytes are needed.
    case incomplete
    /// What comes is longer than a line may be; the end of it is not looked for.
    case tooLong
  }

  private var buffer: [UInt8] = []
  /// Where the first line begins that was not taken.
  private var start = 0
  /// Before here no line feed follows `start`.
  private var scanned = 0

  public init() {}

  /// Whether no part of a line waits.
  public var isEmpty: Bool { start == buffer.count }

  public mutating func append(_ bytes: [UInt8]) {
    if start == buffer.count {
      buffer = bytes
      start = 0
      scanned = 0
      return
    }
    if start > 0 {
      buffer.removeFirst(start)
      scanned -= start
      start = 0
    }
    buffer += bytes
  }

  public mutating func next() -> Next {
    guard let end = lineFeed() else {
      scanned = buffer.count
      return buffer.count - start > Self.lineMaxBytes ? .tooLong : .incomplete
    }
    guard end - start <= Self.lineMaxBytes else { return .tooLong }
    defer {
      start = end + 1
      scanned = start
    }
    return .line(buffer[start..<end])
  }

  private func lineFeed() -> Int? {
    let bytes = buffer.span
    var index = max(start, scanned)
    while index < bytes.count {
      // SAFETY: it is not negative, and below the count.
      if unsafe bytes[unchecked: index] == 0x0A { return index }
      index += 1
    }
    return nil
  }
}
