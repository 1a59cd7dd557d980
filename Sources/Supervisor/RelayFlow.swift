internal import Glibc
internal import Kernel

/// Pipes for splice(2), kept for the next one who needs one: a connection holds one only while bytes of it
/// wait, so that idle connections cost two sockets.
final class PipePool {
  final class Held {
    let pipe: Descriptors.Pipe
    init(_ pipe: consuming Descriptors.Pipe) { self.pipe = pipe }
  }

  private var free: [Held] = []
  private static let maximumFree = 16
  /// What one turn can move; larger pipes were no faster (docs/network.md).
  static let pipeBytes: Int32 = 262_144

  func take() throws(SyscallError) -> Held {
    if let last = free.popLast() { return last }
    return Held(try Sockets.splicePipe(bytes: Self.pipeBytes))
  }

  /// - Precondition: the pipe is empty.
  func give(_ held: Held) { if free.count < Self.maximumFree { free.append(held) } }
}

/// One direction of a relayed connection.
struct RelayFlow {
  private var pipe: PipePool.Held?
  /// In the pipe.
  private(set) var heldBytes = 0
  private(set) var movedBytes: UInt64 = 0
  /// The source has ended.
  private(set) var hasEnded = false
  /// More has come than may be sent (`EgressAllowance`); none of that was.
  private(set) var isBeyond = false
  /// The sink knows.
  private(set) var isOver = false
  /// Read ahead to look at, and still to be written.
  var head: [UInt8] = []

  /// In one turn of the loop, so that others have theirs.
  private static let turnBytes = 1 << 20
  /// A source that gave less has no more at this moment; asking it again would be one call for nothing.
  private static let shortBytes = 16_384

  /// Read and written, each counted.
  var transferredBytes: UInt64 { 2 * movedBytes + UInt64(heldBytes + head.count) }

  var waitsForSink: Bool { heldBytes > 0 || !head.isEmpty }
  var waitsForSource: Bool { !hasEnded && !waitsForSink }

  mutating func endSource() { hasEnded = true }

  /// Moves what can be moved without waiting, and passes the end on.
  /// - Parameter allowance: what may still be moved; nil when all may.
  mutating func pump(
    from source: Int32, to sink: Int32, _ pipes: PipePool, _ allowance: EgressAllowance? = nil
  ) throws(SyscallError) {
    defer { release(pipes) }
    var room = Self.turnBytes
    var isShort = false
    while true {
      guard try drain(to: sink) else { return }
      if hasEnded {
        if !isOver { Sockets.endWriting(sink) }
        isOver = true
        return
      }
      guard room > 0, !isShort else { return }
      if pipe == nil { pipe = try pipes.take() }
      var most = Int(PipePool.pipeBytes)
      // With nothing left, one more byte is what tells that there is more.
      if let allowance { most = Int(min(UInt64(most), max(1, allowance.leftBytes))) }
      let moved = try Sockets.splice(from: source, to: pipe!.pipe.writer.raw, upTo: most)
      guard let moved else { return }
      if moved == 0 { hasEnded = true }
      if let allowance, !allowance.take(moved) {
        heldBytes = moved
        isBeyond = true
        return
      }
      heldBytes = moved
      room -= moved
      isShort = moved > 0 && moved < Self.shortBytes
    }
  }

  /// False when the sink takes no more now.
  private mutating func drain(to sink: Int32) throws(SyscallError) -> Bool {
    while !head.isEmpty {
      do throws(SyscallError) {
        let count = try Descriptors.writeSome(sink, head[...])
        head.removeFirst(count)
        movedBytes += UInt64(count)
      } catch {
        if error.errno == EAGAIN { return false }
        throw error
      }
    }
    while heldBytes > 0 {
      let moved = try Sockets.splice(from: pipe!.pipe.reader.raw, to: sink, upTo: heldBytes)
      guard let moved, moved > 0 else { return false }
      heldBytes -= moved
      movedBytes += UInt64(moved)
    }
    return true
  }

  private mutating func release(_ pipes: PipePool) {
    guard heldBytes == 0, let held = pipe else { return }
    pipes.give(held)
    pipe = nil
  }
}
