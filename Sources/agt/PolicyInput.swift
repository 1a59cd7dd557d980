internal import ArgumentParser
internal import Glibc
internal import Kernel
internal import Policy
internal import Supervisor

/// What the policy commands read and write, and their end.
enum PolicyInput {
  static func read(_ paths: [String]) throws -> [PolicySource] {
    do throws(RunError) { return try PolicyFiles.read(paths) } catch { throw fail(error.message) }
  }

  static func bytes(_ path: String) throws -> [UInt8] {
    do throws(SyscallError) {
      return try Files.read(ByteString(path), limit: PolicyFiles.sizeMaxBytes)
    } catch { throw fail(error.description) }
  }

  static func standardInput() throws -> [UInt8] {
    do throws(SyscallError) {
      return try Descriptors.readAll(0, limit: PolicyFiles.sizeMaxBytes)
    } catch { throw fail(error.description) }
  }

  /// Replaces the file.
  static func write(_ text: String, to path: String) throws {
    do throws(SyscallError) {
      let file = try Files.open(
        ByteString(path), O_WRONLY | O_CREAT | O_TRUNC, mode: 0o644, at: Files.here)
      try Descriptors.write(file.raw, Array(text.utf8))
    } catch { throw fail(error.description) }
  }

  private static func fail(_ message: String) -> ExitCode {
    try? Descriptors.write(2, Array("agt: \(message)\n".utf8))
    return ExitCode(ToolOutput.cannotLoad)
  }

  /// Prints and ends with the status.
  static func end(_ output: ToolOutput) throws {
    print(output.text, terminator: "")
    if output.status != 0 { throw ExitCode(output.status) }
  }
}
