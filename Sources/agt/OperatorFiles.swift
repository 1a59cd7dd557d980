internal import Glibc
internal import Kernel
internal import Supervisor

/// Small files that the log's commands read and write.
enum OperatorFiles {
  private static let sizeMaxBytes = 16 << 20

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

  /// To standard output without a name.
  static func write(_ bytes: [UInt8], to file: String?) throws(RunError) {
    do throws(SyscallError) {
      guard let file else { return try Descriptors.write(1, bytes) }
      let target = try Files.open(ByteString(file), O_WRONLY | O_CREAT | O_TRUNC, mode: 0o644)
      try Descriptors.write(target.raw, bytes)
    } catch {
      throw RunError(.internalFailure, "\(file ?? "standard output"): \(error.description)")
    }
  }
}
