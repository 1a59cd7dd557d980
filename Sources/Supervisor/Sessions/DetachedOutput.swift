internal import Glibc
internal import Kernel

/// The standard descriptors of a detached program, and what reads its output.
final class DetachedOutput {
  private let null: OwnedFD
  private var reader: OwnedFD?
  private var writer: OwnedFD?

  /// - Parameter hasTerminal: then the stage makes a terminal, and nothing else is needed.
  init(hasTerminal: Bool, _ environment: [[UInt8]]) throws(RunError) {
    try RunRegistry(environment: environment).removeOldestEnded()
    do throws(SyscallError) {
      null = try Files.open(ByteString("/dev/null"), O_RDWR)
      guard !hasTerminal else { return }
      let pipe = try Descriptors.pipe()
      writer = try pipe.writer.duplicate()
      reader = pipe.takeReader()
    } catch {
      throw RunError(.internalFailure, "detaching: \(error.description)")
    }
  }

  /// (ours, number in the stage). One pipe for both, so that the order of what is written stays.
  var standard: [(Int32, Int32)] {
    let output = writer.raw ?? null.raw
    return [(null.raw, 0), (output, 1), (output, 2)]
  }

  /// From here on only the ring writes.
  func session(directory: Int32) throws(SyscallError) -> OutputSession {
    writer = nil
    return try OutputSession(output: reader.take(), directory: directory)
  }
}
