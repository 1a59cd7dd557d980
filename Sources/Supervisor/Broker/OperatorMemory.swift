internal import Glibc
internal import Kernel

/// Writes what an operator wants to be remembered, for the commands of `agt`.
public enum OperatorMemory {
  /// Whole or not at all; the directory is made when it is missing.
  public static func write(_ text: String, to file: String) throws(RunError) {
    let cut = file.lastIndex(of: "/") ?? file.startIndex
    let (directory, name) = (String(file[..<cut]), String(file[cut...].dropFirst()))
    do throws(SyscallError) {
      try Files.makeDirectories(ByteString(directory), mode: 0o700)
      let place = try Files.open(ByteString(directory), O_RDONLY | O_DIRECTORY)
      try Files.replace(
        ByteString(name), with: Array(text.utf8), mode: 0o600, through: ByteString(name + ".new"),
        at: place.raw)
    } catch {
      throw RunError(
        .internalFailure, "approved, but not remembered: \(file): \(error.description)",
        hint: "make the directory writable for you and nobody else")
    }
  }
}
