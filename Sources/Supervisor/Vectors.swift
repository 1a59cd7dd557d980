internal import Glibc

/// The process's own arguments and environment as bytes: Swift's strings would repair what is not UTF-8.
public enum Vectors {
  public static var arguments: [[UInt8]] {
    // SAFETY: the kernel's vectors are NULL-terminated and live as long as the process; one thread.
    unsafe copy(CommandLine.unsafeArgv)
  }

  public static var environment: [[UInt8]] {
    // SAFETY: as above; nothing in this program changes the environment.
    unsafe copy(environ)
  }

  private static func copy(_ vector: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>)
    -> [[UInt8]]
  {
    var strings: [[UInt8]] = []
    var index = 0
    // SAFETY: read up to the NULL that ends the vector.
    while let string = unsafe vector[index] {
      unsafe strings.append(
        Array(
          UnsafeBufferPointer(
            start: UnsafeRawPointer(string).assumingMemoryBound(to: UInt8.self),
            count: strlen(string))))
      index += 1
    }
    return strings
  }
}
