internal import Glibc
internal import Kernel
internal import Paths
internal import Supervisor

/// Files that the operator names, and standard streams instead of them.
enum OperatorFiles {
  /// Proofs and notes are small; fixtures of policy tests are generated and large.
  private static let sizeMaxBytes = PolicyFiles.sizeMaxBytes

  static func read(_ file: String) throws(RunError) -> [UInt8] {
    do throws(SyscallError) {
      return try Files.read(ByteString(file), limit: sizeMaxBytes)
    } catch {
      throw RunError(.usage, "\(file): \(Errno.message(error.errno)) (\(Errno.name(error.errno)))")
    }
  }

  static func standardInput() throws(RunError) -> [UInt8] {
    do throws(SyscallError) {
      return try Descriptors.readAll(0, limit: sizeMaxBytes)
    } catch {
      throw RunError(.usage, "standard input: \(error.description)")
    }
  }

  /// Replaces the file; to standard output without a name.
  static func write(_ bytes: [UInt8], to file: String?) throws(RunError) {
    do throws(SyscallError) {
      guard let file else { return try Descriptors.write(1, bytes) }
      // A link at this place may be a program's; those to open descriptors are the kernel's.
      let isKernels = ["/dev", "/proc"].contains { PathText.isInside(file, $0) }
      let target = try Files.open(
        ByteString(file), O_WRONLY | O_CREAT | O_TRUNC | (isKernels ? 0 : O_NOFOLLOW), mode: 0o644)
      try Descriptors.write(target.raw, bytes)
    } catch {
      throw RunError(.internalFailure, "\(file ?? "standard output"): \(error.description)")
    }
  }
}
