internal import Broker
public import Kernel
public import Saga

/// What a runner asks before it calls a tool that was registered by a run that is over.
public enum ToolPins {
  /// - Parameters:
  ///   - command: of the tool.
  ///   - environment: of this process, in whose working directory it is looked for.
  /// - Returns: why it must not be called; nil when it executes what it executed when it was registered.
  public static func problem(
    _ command: [String], _ registered: [SagaFile], environment: [ByteString], workspace: String
  ) -> String? {
    guard !registered.isEmpty else { return nil }
    let caller = Caller(environment)
    let programs = ToolPrograms(
      caller, workspace: workspace,
      workingDirectory: caller.workingDirectory(within: workspace), writable: [])
    let found: ToolProgram
    do throws(BrokerError) { found = try programs.look(command) } catch { return error.message }
    let now = found.files.map { SagaFile(path: $0.path, digest: $0.digest) }
    if now == registered { return nil }
    for (was, file) in zip(registered, now) where was != file {
      return was.path == file.path
        ? "\(file.path) was changed since it was registered (SHA-256 \(was.digest ?? "-") then, "
          + "\(file.digest ?? "-") now)"
        : "\(command[0]) executes \(file.path) now, and executed \(was.path) when it was registered"
    }
    return "\(command[0]) executes other files than when it was registered"
  }
}
