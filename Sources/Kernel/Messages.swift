internal import CLinux
internal import Glibc

/// Messages with descriptors over a Unix socket pair (unix(7), SOCK_SEQPACKET).
public enum Messages {
  public struct Pair: ~Copyable {
    public let first: OwnedFD
    public let second: OwnedFD

    /// The first end alone; the other is closed.
    public consuming func takeFirst() -> OwnedFD { first }

    /// The second end alone; the other is closed.
    public consuming func takeSecond() -> OwnedFD { second }
  }

  /// A pair of connected sockets that keep message borders, close-on-exec.
  public static func pair() throws(SyscallError) -> Pair {
    var both: [Int32] = [-1, -1]
    let kind = Int32(SOCK_SEQPACKET.rawValue | SOCK_CLOEXEC.rawValue)
    // SAFETY: the kernel writes two ints.
    _ = try check(unsafe socketpair(AF_UNIX, kind, 0, &both), "socketpair")
    return Pair(first: OwnedFD(both[0]), second: OwnedFD(both[1]))
  }

  /// At most 8 descriptors ride along.
  public static func send(_ socket: Int32, _ bytes: [UInt8], descriptors: [Int32] = [])
    throws(SyscallError)
  {
    precondition(descriptors.count <= 8, "at most 8 descriptors a message")
    _ = try retrying("sendmsg") {
      // SAFETY: both buffers outlive the call, with their true counts.
      unsafe bytes.withUnsafeBytes { data in
        unsafe descriptors.withUnsafeBufferPointer {
          unsafe agt_send_message(
            socket, data.baseAddress, data.count, $0.baseAddress, Int32($0.count))
        }
      }
    }
  }

  /// As much of `bytes` as a stream socket takes now, with a descriptor on the first of them.
  /// - Throws: EAGAIN when it takes nothing; then the descriptor did not go either.
  public static func sendSome(
    _ socket: Int32, _ bytes: ArraySlice<UInt8>, descriptor: Int32
  ) throws(SyscallError) -> Int {
    var number = descriptor
    return try retrying("sendmsg") {
      // SAFETY: the slice and the number outlive the call, with their true counts.
      unsafe bytes.withUnsafeBytes { data in
        unsafe agt_send_message(socket, data.baseAddress, data.count, &number, 1)
      }
    }
  }

  /// From now on each look at a stream that is left where it is begins where the last one ended (socket(7),
  /// SO_PEEK_OFF).
  public static func letPeeksGoOn(_ socket: Int32) throws(SyscallError) {
    let (level, peekOffset): (Int32, Int32) = (1, 42)
    _ = try check(agt_set_option(socket, level, peekOffset, 0), "setsockopt", "SO_PEEK_OFF")
  }

  /// Takes `count` bytes of a stream that were only looked at, with their descriptors, which nobody gets.
  /// - Returns: whether there were as many.
  public static func discard(_ socket: Int32, _ count: Int) throws(SyscallError) -> Bool {
    var count = count
    while count > 0 {
      let part = try Descriptors.read(socket, upTo: min(count, 16_384))
      if part.isEmpty { return false }
      count -= part.count
    }
    return true
  }

  /// Whether the other end of a stream has taken everything, descriptors included.
  public static func isTaken(_ socket: Int32) -> Bool { agt_untaken_bytes(socket) == 0 }

  /// One message of at most `capacity` bytes; nil at end of file. The caller owns the descriptors.
  /// - Parameter peeking: leaves it where it is (MSG_PEEK); its descriptors come now, and would come again.
  /// - Throws: EAGAIN when `blocking` is false and nothing waits.
  public static func receive(
    _ socket: Int32, capacity: Int, blocking: Bool, peeking: Bool = false
  ) throws(SyscallError) -> (bytes: [UInt8], descriptors: [Int32])? {
    let flags = (blocking ? 0 : Int32(MSG_DONTWAIT)) | (peeking ? Int32(MSG_PEEK) : 0)
    var bytes: [UInt8] = []
    var descriptors: [Int32] = []
    var failure: SyscallError?
    // SAFETY: at most `capacity` bytes and 8 descriptors are written, and what is not written is not read.
    unsafe withUnsafeTemporaryAllocation(of: UInt8.self, capacity: capacity) { buffer in
      unsafe withUnsafeTemporaryAllocation(of: Int32.self, capacity: 8) { numbers in
        var count: Int32 = 0
        do throws(SyscallError) {
          // A peer that ends with messages of ours unread leaves ECONNRESET in front of its own last
          // messages; the error is reported once, then they come (unix(7)).
          var wasReset = false
          let length = try retrying("recvmsg") {
            var result = unsafe agt_receive_message(
              socket, buffer.baseAddress, capacity, numbers.baseAddress, &count, flags)
            if result < 0, errno == ECONNRESET, !wasReset {
              wasReset = true
              result = unsafe agt_receive_message(
                socket, buffer.baseAddress, capacity, numbers.baseAddress, &count, flags)
            }
            return result
          }
          bytes = unsafe Array(buffer[..<length])
          if count > 0 { descriptors = unsafe Array(numbers[..<Int(count)]) }
        } catch {
          failure = error
        }
      }
    }
    if let failure { throw failure }
    if bytes.isEmpty {
      // An empty message looks like the end, and its descriptors are nobody's.
      for number in descriptors { _ = OwnedFD(number) }
      return nil
    }
    return (bytes, descriptors)
  }
}
