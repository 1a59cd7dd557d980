internal import Glibc

/// A path or another string that the kernel takes: bytes without NUL, in no particular encoding.
public typealias ByteString = [UInt8]

extension ByteString {
  public init(_ text: String) { self = Array(text.utf8) }

  /// For messages only: what is not UTF-8 is shown as replacement characters.
  public var text: String { String(decoding: self, as: UTF8.self) }

  /// Runs `body` with the NUL-terminated form.
  /// - Precondition: no NUL inside; whoever takes bytes from outside refuses it first.
  @safe
  func withCString<R>(_ body: (UnsafePointer<CChar>) -> R) -> R {
    precondition(!contains(0), "a NUL byte inside a string for the kernel")
    return unsafe withUnsafeTemporaryAllocation(of: CChar.self, capacity: count + 1) { buffer in
      for index in 0..<count {
        // SAFETY: the index is below count, and the buffer holds count + 1 elements.
        unsafe buffer[index] = CChar(bitPattern: self[index])
      }
      unsafe buffer[count] = 0
      // SAFETY: a temporary allocation of at least one element has a base address.
      return unsafe body(UnsafePointer(buffer.baseAddress!))
    }
  }
}
