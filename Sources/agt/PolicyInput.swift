internal import ArgumentParser
internal import Policy
internal import Supervisor

/// What the policy commands read, and their end.
enum PolicyInput {
  static func read(_ paths: [String]) throws -> [PolicySource] {
    try Printing.attempt { () throws(RunError) in try PolicyFiles.read(paths) }
  }

  /// Prints and ends with the status.
  static func end(_ output: ToolOutput) throws {
    print(output.text, terminator: "")
    if output.status != 0 { throw ExitCode(output.status) }
  }
}
